"""
Any text, line by line: the last resort, for the own log of a program or an application that no other carrier knows.

A time stamp in front of a line is read, in the forms that logging libraries write, behind a level that stands in front
of it; a line without one is bare, belongs to the record above it and has its time. Objects of a JSON log
that stand between lines of text are read as those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.carriers import json_lines, syslog
from pipeline.lines import Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

_CLOCK = rb"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_HALF = rb"(?: ?[AaPp]\.?[Mm]\.?)?"
_ZONE = rb"(?: ?(?:Z|[+-]\d\d:?\d\d|UTC|GMT|CES?T|MES?Z|[A-Z][a-z]{2,12}/[A-Za-z_/]{2,30})\b)?"
_STAMP = b"|".join(
    (
        rb"\d{4}-\d\d-\d\d[T ]" + _CLOCK + _ZONE,
        rb"[A-Z][a-z]{2} [ \d]\d " + _CLOCK + rb"(?! (?:[A-Z]{3,4} )?\d{4}\b)",
        rb"\d{4}/\d\d/\d\d[T ]" + _CLOCK,
        rb"(?:[A-Z][a-z]{2}, )?\d{1,2}(?P<sign>[-/ ])[A-Z][a-z]{2}(?P=sign)\d{4}[: ]" + _CLOCK + _ZONE,
        rb"\d{1,2}(?P<mark>[./])\d{1,2}(?P=mark)\d{4},? " + _CLOCK + _HALF,
        rb"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]?\d " + _CLOCK + _ZONE + rb" \d{4}",
        rb"[A-Z][a-z]{2} \d{1,2}, \d{4},? " + _CLOCK + _HALF,
    )
)
_LEVEL = rb"\[?(?i:trace|debug|info|notice|warn|warning|error|err|critical|fatal)\]?:?[ \t]{1,8}"
_LINE = re.compile(
    rb"(?:" + _LEVEL + rb"|[A-Z], |(?:time|ts|timestamp)=)?[\[(\"'<]?(?P<stamp>" + _STAMP + rb")(?: #\d{1,10})?"
    rb"(?:[\])\"'>][:,]?[ \t|-]*|:?[ \t|]+|:?\Z)(?:- )?(?![0-9A-Fa-f]{16}\])(?P<said>.*)",
    re.DOTALL,
)  # a time and 16 digits are the end of a signature of Exchange's that a console broke
_BSD = re.compile(rb"[A-Z][a-z]{2} [ \d]\d ")
_MOST_SURE = 20


def looks_like(head: bytes) -> bool:
    """Return whether `head` is text."""
    return b"\x00" not in head[:4096]


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`."""
    last = memory.get("last")
    stamps = Stamps(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None, memory.get("day_first"))
    for raw in lines_of(chunk):
        yield _record(raw, stamps)
    if stamps.last:
        memory["last"] = stamps.last.isoformat()
    if stamps.is_day_first is not None:
        memory["day_first"] = stamps.is_day_first
    _remember_what_it_is(chunk.body, memory)


def _remember_what_it_is(body: bytes, memory: dict[str, Any]) -> None:
    # The log of an application stays one, though a few of its lines (`… SMTP ERROR: x`) are just like those of syslog.
    lines = body.splitlines()
    if memory.get("pending"):
        memory["pending"] = len(lines) < _MOST_SURE or not syslog.looks_like(body)
    elif any(_LINE.match(line) and not _BSD.match(line) for line in lines[:200]):
        memory["pending"] = not syslog.looks_like(body)


def _record(raw: RawLine, stamps: Stamps) -> Line | Reject | None:
    if not raw.raw.strip():
        return None
    if long := too_long(raw):
        return long
    if raw.raw[:1] == b"{" and (told := json_lines.line_of(raw, stamps)):
        return told
    match = _LINE.fullmatch(raw.raw)
    if match is None:
        return Line(stamps.last, None, b"", b"", raw.raw, raw.raw, raw.offset, raw.is_ended, is_bare=True)
    time = stamps.read(_spelt(match["stamp"]))
    return Line(time, None, b"", b"", match["said"], raw.raw, raw.offset, raw.is_ended)


def _spelt(stamp: bytes) -> bytes:
    """Return an ISO stamp as Python spells it."""
    if stamp[4:5] != b"-":
        return stamp
    return (
        stamp.replace(b" UTC", b"Z")
        .replace(b" GMT", b"Z")
        .replace(b" +", b"+")
        .replace(b" -", b"-")
        .replace(b" Z", b"Z")
    )
