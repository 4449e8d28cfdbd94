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


_BOMS_OF_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


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
    # A later chunk is cut behind a line end, so a lone CR within it belongs to a torn line of a file that knows LF.
    is_cut_at_cr = body.offset == 0 or body.body.endswith(b"\r")
    end = line_end_of(body.body) if is_cut_at_cr else b"\n"
    offset = body.offset
    pieces = body.body.split(end)
    for raw in pieces[:-1]:
        yield RawLine(_text_alone(raw).strip(b"\r"), offset, is_ended=True)
        offset += len(raw) + 1
    if pieces[-1] and (rest := _text_alone(pieces[-1])):
        yield RawLine(rest, offset, is_ended=False)


def line_end_of(start: bytes) -> bytes:
    """Return what ends the lines of a text that begins with `start`: LF, or CR where there is no LF at all."""
    return b"\r" if b"\n" not in start and b"\r" in start else b"\n"


def _text_alone(raw: bytes) -> bytes:
    """
    Return `raw` without what is no text: a byte order mark, and zero bytes before it or beside each of its letters.

    A crash or a truncated log leaves the former; a program that appends UTF-16 to a log in ASCII, as PowerShell's `>>`
    does, the latter.
    """
    if b"\x00" in raw:
        raw = raw.lstrip(b"\x00")
        raw = raw.replace(b"\x00", b"") if raw.count(0) * 3 > len(raw) else raw
    return raw[3:] if raw.startswith(codecs.BOM_UTF8) else raw[2:] if raw.startswith(_BOMS_OF_UTF16) else raw


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
