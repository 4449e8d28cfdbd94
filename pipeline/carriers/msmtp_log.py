"""
msmtp's own log file: a time stamp, and then the line as msmtp also gives it to syslog.

The stamp is `strftime` as `logfile_time_format` says, and in the sender's language: the default `%b %d %H:%M:%S` gives
`Dez 30 18:32:30` on a German machine. It is read where it names a day and a time of day, whatever stands around them;
of the month's name the first letters tell, in the languages that are spoken around us. Any other leaves its line
without a time: a day alone, or one of which nobody can know which number is the year.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pipeline.lines import Line, RawLine, lines_of, text_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.spelling import time_of
from pipeline.stamps import Stamps

# A syslog header ends in ": ", one of RFC 5424 begins with <PRI>, and JSON with {: none of them is a stamp.
_LINE = re.compile(
    rb"(?!<)(?:(?P<stamp>[^{\"]{0,63}[^\s:\-{\"]) +)?(?P<message>host=\S+ tls=(?:on|off) auth=(?:on|off) .*)", re.DOTALL
)


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` are msmtp's own."""
    raws = [raw for raw in head.splitlines() if raw.strip()]
    return bool(raws) and 2 * sum(_LINE.fullmatch(raw) is not None for raw in raws) >= len(raws)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`."""
    last = memory.get("last")
    stamps = Stamps(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None, memory.get("day_first"))
    for raw in lines_of(chunk):
        yield _record(raw, stamps)
    if stamps.last and chunk.zone is not UTC:
        memory["last"] = stamps.last.isoformat()
    if stamps.is_day_first is not None:
        memory["day_first"] = stamps.is_day_first


def _record(raw: RawLine, stamps: Stamps) -> Line | Reject | None:
    if not raw.raw.strip():
        return None
    if long := too_long(raw):
        return long
    match = _LINE.fullmatch(raw.raw)
    if match is None:
        why = "is no line of msmtp's log" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    time = time_of(text_of((match["stamp"] or b"").strip(b"[]()'")), stamps)
    return Line(time, None, b"msmtp", b"", match["message"], raw.raw, raw.offset, raw.is_ended)
