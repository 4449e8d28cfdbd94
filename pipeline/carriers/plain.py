"""
Any text, line by line: the last resort, for the own log of a program or an application that no other carrier knows.

A time stamp in front of a line is read, in the forms that logging libraries write and in any language, behind a level,
a program's name or keys that stand in front of it; a line without one is bare, belongs to the record above it and has
its time. A clock without a day begins a record, whose time nobody can know. Objects of a JSON log that stand between
lines of text are read as those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.carriers import json_lines, syslog
from pipeline.lines import Line, RawLine, lines_of, text_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.spelling import time_of
from pipeline.stamps import Stamps

_SECONDS = rb"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_CLOCK = rb"\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
_HALF = rb"(?:(?: |\xc2\xa0|\xe2\x80\xaf)?[AaPp]\.?(?: |\xc2\xa0)?[Mm]\b\.?)?"
_ZONE = (
    rb"(?: ?(?:Z|[+-]\d\d:?\d\d|UTC|GMT|CES?T|MES?Z|WES?T|EES?T|[ECMP][SD]T|"
    rb"[A-Z][a-z]{2,12}/[A-Za-z_/]{2,30})(?!\w|:\d))?"
)
_LETTER = rb"[A-Za-z\xc3-\xc5\x80-\xbf]"
_MONTH = _LETTER + rb"{3,14}\.?"
_WEEKDAY = rb"(?:" + _LETTER + rb"{2,10}\.?,? )?"
_STAMP = b"|".join(
    (
        rb"\d{4}-\d\d-\d\d(?:[T \t_]|, )" + _SECONDS + _ZONE,
        rb"\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d",
        rb"\d{4}(?P<year_mark>[./-])\d{1,2}(?P=year_mark)\d{1,2}[T ]" + _CLOCK + _ZONE,
        rb"\d{4}\xe5\xb9\xb4 ?\d{1,2}\xe6\x9c\x88 ?\d{1,2}\xe6\x97\xa5 ?" + _CLOCK,
        rb"\d{8}[T:_ -]\d\d(?::\d\d:\d\d|\d{4})(?:[.,]\d{1,9})?Z?",
        rb"[A-Z][a-z]{2} [ \d]\d " + _SECONDS + rb"(?! (?:[A-Z]{3,4} )?\d{4}\b)",
        _WEEKDAY + rb"\d{1,2}(?:[-/ ]|\. ?)" + _MONTH + rb"[-/ ]\d{4},?(?:[: ]| \xc3\xa0 | um )" + _CLOCK
        + _HALF + _ZONE,
        _WEEKDAY + rb"\d{1,2}\.? " + _MONTH + rb" " + _SECONDS + _ZONE + rb"(?: \d{4})?",
        _WEEKDAY + rb"\d{1,2}(?P<mark>[./-])\d{1,2}(?P=mark)(?:\d{4}|\d\d),? (?:" + _CLOCK + _HALF + _ZONE
        + rb"|\d\d\.\d\d\.\d\d)",
        _LETTER + rb"{2,4}\.? " + _MONTH + rb" [ \d]?\d " + _SECONDS + _ZONE + rb" \d{4}",
        _MONTH + rb" \d{1,2}, \d{4},? " + _CLOCK + _HALF + _ZONE,
        rb"\d{10}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?",
    )
)  # fmt: skip
_LEVEL = rb"(?i:trace|debug|info|information|notice|warn|warning|error|err|eror|severe|critical|crit|fatal|alert|emerg)"
_KEY = rb"(?:time|ts|t|timestamp|datetime|date|when|at)="
_BEFORE = (
    rb"(?:<\d{1,3}>|\[?" + _LEVEL + rb"\]?[ \t]{0,8}(?:[:|]|[ \t])[ \t]{0,8}|[A-Z], |\[[\w./:@ -]{1,40}\][ \t:]{1,2}|"
    rb"[\w./@-]{1,40}\[\d{1,10}\]:? | {0,4}\d{1,7}:(?=\d{8}:\d{6}\.)|"
    rb"(?:[\w.]{1,30}=(?:\"[^\"]{0,80}\"|[^\s\"]{0,80}) ){0,4}" + _KEY + rb"){0,3}"
)
_LINE = re.compile(
    _BEFORE + rb"[\[(\"'<]?(?P<stamp>" + _STAMP + rb")(?: #\d{1,10})?"
    rb"(?:[\])\"'>][:,]?[ \t|-]*|:?[ \t|]+|[;,](?=\[?" + _LEVEL + rb"\b)|:?\Z)(?:- )?"
    rb"(?![0-9A-Fa-f]{16}\])(?P<said>.*)",
    re.DOTALL,
)  # a time and 16 digits are the end of a signature of Exchange's that a console broke
_KLOG = re.compile(rb"[IWEF](?P<stamp>\d{4} \d\d:\d\d:\d\d(?:\.\d{1,9})?) {1,8}\d{1,9} (?P<said>.*)", re.DOTALL)
_DAYLESS = re.compile(
    rb"\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:\]:?[ \t]| \[?" + _LEVEL + rb"\b\]?:?[ \t]{0,8})(?P<said>.*)", re.DOTALL
)
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
    match = _LINE.fullmatch(raw.raw) or _KLOG.fullmatch(raw.raw)
    if match is not None:
        time = time_of(text_of(match["stamp"]).replace("\xa0", " ").replace("\u202f", " "), stamps)
        return Line(time, None, b"", b"", match["said"], raw.raw, raw.offset, raw.is_ended)
    if match := _DAYLESS.fullmatch(raw.raw):  # a record of its own; on which day, nobody can know
        return Line(None, None, b"", b"", match["said"], raw.raw, raw.offset, raw.is_ended)
    return Line(stamps.last, None, b"", b"", raw.raw, raw.raw, raw.offset, raw.is_ended, is_bare=True)
