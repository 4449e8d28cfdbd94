"""
The bytes of one file as they were before it was packed: plain, gzip, xz or bzip2, told apart by content.

A packed file that was cut off or is damaged gives what could be read before the break; `trouble` then says so. Offsets
count unpacked bytes. The file stays open from the first byte to the last, so a rotation meanwhile does not matter.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

PIECE_BYTES = 1 << 16
_PACKED: tuple[tuple[bytes, str, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", "gzip", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
    (b"BZh", "bzip2", bz2.BZ2File),
)


class Unpacked:
    """An open file; `packing` names how it is packed, None is not at all."""

    def __init__(self, raw: IO[bytes]) -> None:
        start = raw.read(8)
        raw.seek(0)
        self.packing, self._stream = _unpacked(start, raw)
        self.trouble: str | None = None

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes from where the last read ended; fewer only at the end or at a break."""
        pieces: list[bytes] = []
        try:
            while size > 0 and not self.trouble and (piece := self._stream.read1(min(size, PIECE_BYTES))):
                pieces.append(piece)
                size -= len(piece)
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            self._note(error)
        return b"".join(pieces)

    def seek(self, offset: int) -> None:
        """Go to `offset`; behind the end there is nothing to read, which is no trouble."""
        self.trouble = None
        try:
            self._stream.seek(offset)
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            self._note(error)

    def _note(self, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno is not None:
            raise error  # the disk's trouble; that of a packed stream has no number
        end = "ends in the middle (it was cut off)" if isinstance(error, EOFError) else f"is damaged ({error})"
        self.trouble = (
            f"the {self.packing} file {end}; what came before is kept, the rest is missing: copy the file again"
        )


def _unpacked(start: bytes, raw: IO[bytes]) -> tuple[str | None, Any]:
    for magic, name, stream in _PACKED:
        if start.startswith(magic):
            return name, stream(raw)
    return None, raw


@contextmanager
def unpacked(path: str | Path) -> Iterator[Unpacked]:
    """Open the file at `path` for reading from its start."""
    with Path(path).open("rb") as raw:
        yield Unpacked(raw)
