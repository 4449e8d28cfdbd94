"""Cut the body of a chunk into lines, keep count of where each one stands in its file, and read bytes as text."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pipeline.model import Chunk, Reject

LONGEST = 1 << 20
"""A line beyond 1 MiB is no log line; it is rejected with its first 64 KiB."""
KEPT_OF_LONG = 1 << 16


@dataclass(frozen=True, slots=True)
class RawLine:
    """One line without its end; `is_ended` tells whether it had one, `offset` counts bytes of the whole file."""

    raw: bytes
    offset: int
    is_ended: bool


class Line(NamedTuple):
    """
    One line of a log taken apart by its carrier: `tag` is the program as the header names it, b"" where none is named.

    `time` is UTC, None where no line has told it yet; one that `is_bare` has no header of its own and may go on with
    what the line before it began. `raw` is what makes the line itself: its bytes as they stand in the file.
    """

    time: datetime | None
    host: str | None
    tag: bytes
    pid: bytes
    message: bytes
    raw: bytes
    offset: int
    is_ended: bool = True
    is_bare: bool = False


def lines_of(body: Chunk) -> Iterator[RawLine]:
    """Yield the lines of `body`; a file that ends lines with CR alone is cut there."""
    # Such a file comes as one chunk, for chunks are cut at LF; later in a file a lone CR is part of its line.
    end = b"\r" if body.offset == 0 and b"\n" not in body.body and b"\r" in body.body else b"\n"
    offset = body.offset
    pieces = body.body.split(end)
    for raw in pieces[:-1]:
        yield RawLine(raw.rstrip(b"\r\n").removeprefix(codecs.BOM_UTF8), offset, is_ended=True)
        offset += len(raw) + 1
    if pieces[-1]:
        yield RawLine(pieces[-1].removeprefix(codecs.BOM_UTF8), offset, is_ended=False)


def too_long(line: RawLine) -> Reject | None:
    """Return `line` with its beginning as a reject when it is longer than any record, else None."""
    if len(line.raw) <= LONGEST:
        return None
    return Reject(line.raw[:KEPT_OF_LONG], line.offset, f"The line is longer than {LONGEST} bytes, which no record is.")


def text_of(raw: bytes) -> str:
    """Return `raw` as text: UTF-8, or else Windows-1252, which is what other programs write; each byte has a sign."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
