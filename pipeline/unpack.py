"""
The bytes of one file as they were before it was packed, as UTF-8: gzip, xz, bzip2, zstd, or a member of a zip archive,
which may be packed itself.

All is told by content. Text in UTF-16, with or without a byte order mark, comes as UTF-8, so that whatever reads it
may cut at line ends. Zero bytes in front of a text are what a program leaves that goes on at its old place after its
log was truncated; they are skipped. Offsets count what comes out.

A packed file that was cut off or is damaged gives what could be read before the break; `trouble` then says so, as it
does for one that unpacks to an absurd size. The file stays open from the first byte to the last, so a rotation
meanwhile does not matter. A member of an archive has the path `exports.zip!/report.csv`.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1 << 16
MOST_UNPACKED = 1 << 30
MOST_TIMES = 250
"""Beyond MOST_UNPACKED bytes, a file that unpacks to more than so many times its size is no log."""
IN_ARCHIVE = "!/"

_PACKED: tuple[tuple[bytes, str, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", "gzip", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMAFile),
    (b"BZh", "bzip2", bz2.BZ2File),
    (b"\x28\xb5\x2f\xfd", "zstd", zstd.ZstdFile),
    (b"\x50\x2a\x4d\x18", "zstd", zstd.ZstdFile),  # as pzstd begins
    (b"\x5d\x00\x00", "lzma", lzma.LZMAFile),
)
_ZIP = b"PK\x03\x04"
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zstd.ZstdError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
_BOMS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_PROBE_BYTES = 64


class Unpacked:
    """An open file; `packing` names how it is packed, None is not at all."""

    def __init__(self, raw: IO[bytes], packing: str | None = None, packed_size: int | None = None) -> None:
        self._packed_size = packed_size if packed_size is not None else os.fstat(raw.fileno()).st_size
        inner, self._stream = _unpacked(_start_of(raw), raw)
        self.packing: str | None = inner or packing
        self.trouble: str | None = None
        self.is_cut_off = False
        self._offset = 0
        self._as_text()

    def _as_text(self) -> None:
        start = self.read(_PROBE_BYTES)
        hole = 0
        while start and not start.strip(b"\x00"):
            hole += len(start)
            start = self.read(PIECE_BYTES)
        hole += len(start) - len(start.lstrip(b"\x00")) if hole else 0
        encoding = _utf16_of(start[:_PROBE_BYTES].lstrip(b"\x00") if hole else start[:_PROBE_BYTES])
        if encoding:
            self._stream = _Utf16(self._stream, encoding, hole)
        elif hole and start:
            self._stream = _Behind(self._stream, hole)
        trouble = self.trouble
        self.seek(0)
        self.trouble = self.trouble or (trouble if not start else None)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes from where the last read ended; fewer only at the end or at a break."""
        pieces: list[bytes] = []
        try:
            while size > 0 and not self.trouble and (piece := self._stream.read1(min(size, PIECE_BYTES))):
                pieces.append(piece)
                size -= len(piece)
                self._offset += len(piece)
                self._weigh()
        except (*_BROKEN, OSError) as error:
            self._note(error)
        return b"".join(pieces)

    def seek(self, offset: int) -> None:
        """Go to `offset`; behind the end there is nothing to read, which is no trouble."""
        self.trouble, self.is_cut_off = None, False
        self._offset = offset
        try:
            self._stream.seek(offset)
        except (*_BROKEN, OSError) as error:
            self._note(error)

    def _weigh(self) -> None:
        if self.packing and self._offset > MOST_UNPACKED and self._offset > MOST_TIMES * self._packed_size:
            self.trouble = (
                f"the {self.packing} file unpacks to more than {MOST_TIMES} times its size, which no log does; "
                f"what came before byte {self._offset} is kept; unpack it by hand if it is one"
            )

    def _note(self, error: Exception) -> None:
        if isinstance(error, OSError) and error.errno is not None:
            raise error  # the disk's trouble; that of a packed stream has no number
        self.is_cut_off = isinstance(error, EOFError)
        if isinstance(error, RuntimeError | NotImplementedError):
            end = f"cannot be unpacked ({error})"
        elif isinstance(error, EOFError):
            end = "ends in the middle (it was cut off)"
        else:
            end = f"is damaged ({error})"
        self.trouble = (
            f"the {self.packing} file {end}; what came before is kept, the rest is missing: copy the file again"
        )


def _start_of(raw: IO[bytes]) -> bytes:
    start = raw.read(8)
    raw.seek(0)
    return start


def archive_of(head: bytes) -> str | None:
    """Return what kind of archive of files `head` begins, or None."""
    if head.startswith(_ZIP):
        return "zip"
    return "tar" if head[257:262] == b"ustar" else None


def _unpacked(start: bytes, raw: IO[bytes]) -> tuple[str | None, Any]:
    for magic, name, stream in _PACKED:
        if start.startswith(magic):
            return name, stream(raw)
    return None, raw


def _utf16_of(start: bytes) -> str | None:
    """Return the encoding of text that begins with `start` when that is UTF-16: ASCII shows it by every second zero."""
    for bom, encoding in _BOMS:
        if start.startswith(bom):
            return encoding
    even, odd = start[::2], start[1::2]
    if odd.count(0) > len(odd) * 3 / 4 and not even.count(0):
        return "utf-16-le"
    if even.count(0) > len(even) * 3 / 4 and not odd.count(0):
        return "utf-16-be"
    return None


class _Utf16:
    """A stream of UTF-16 as UTF-8; half a character at its end waits for the other half."""

    def __init__(self, stream: Any, encoding: str, start: int) -> None:
        self._stream = stream
        self._encoding = encoding
        self._start = start
        self._restart()

    def _restart(self) -> None:
        self._stream.seek(self._start)
        self._decoder = codecs.getincrementaldecoder(self._encoding)("replace")
        self._waiting = b""
        self._offset = 0

    def read1(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end."""
        while not self._waiting and (raw := self._stream.read1(PIECE_BYTES)):
            text = self._decoder.decode(raw)
            self._waiting = (text if self._offset else text.removeprefix("\ufeff")).encode("utf-8", "replace")
        piece, self._waiting = self._waiting[:size], self._waiting[size:]
        self._offset += len(piece)
        return piece

    def seek(self, offset: int) -> None:
        """Go to `offset` of what comes out, which has to be read again up to there."""
        if offset < self._offset:
            self._restart()
        while self._offset < offset and self.read1(min(offset - self._offset, PIECE_BYTES)):
            pass


class _Behind:
    """A stream without its first bytes."""

    def __init__(self, stream: Any, start: int) -> None:
        self._stream = stream
        self._start = start

    def read1(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end."""
        piece: bytes = self._stream.read1(size)
        return piece

    def seek(self, offset: int) -> None:
        """Go to `offset` of what is left."""
        self._stream.seek(self._start + offset)


@contextmanager
def unpacked(path: str | Path) -> Iterator[Unpacked]:
    """Open the file, or the member of an archive, at `path` for reading from its start."""
    archive, _, member = str(path).partition(IN_ARCHIVE)
    if not member:
        with Path(path).open("rb") as raw:
            yield Unpacked(raw)
        return
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as raw:
            yield Unpacked(raw, "zip", opened.getinfo(member).compress_size)
    except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise OSError(None, f"the archive cannot be opened: {error}; unpack it by hand") from error


def members_of(path: str) -> list[str]:
    """Return the paths of the files in the zip archive at `path`, or `path` itself when it is none."""
    if not path.lower().endswith(".zip"):  # spreadsheets and programs are such archives too
        return [path]
    try:
        with Path(path).open("rb") as raw:
            if raw.read(len(_ZIP)) != _ZIP:
                return [path]
        with zipfile.ZipFile(path) as archive:
            return [f"{path}{IN_ARCHIVE}{each.filename}" for each in archive.infolist() if not each.is_dir()]
    except (OSError, zipfile.BadZipFile):
        return [path]


def file_of(path: str) -> Path:
    """Return the file on disk that `path` lies in."""
    return Path(path.partition(IN_ARCHIVE)[0])
