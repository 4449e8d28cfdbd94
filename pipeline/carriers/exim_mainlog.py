"""
Exim's own logs (mainlog, rejectlog): a local time, with `log_timezone` its shift, with `+pid` a process id, then the
text.

A reply of several lines stands on several lines, of which only the first has a time; and in the rejectlog the envelope
and the headers of what was refused stand below it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pipeline.lines import Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

_LINE = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)(?: ([+-]\d{4}))? (?:\[(\d+)\] )?(.*)", re.DOTALL)
_OWN = re.compile(
    rb"[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4} |authenticator failed|(?:^|\W)H=|(?:Start|End) queue run|"
    rb"exim \d\.\d|SMTP (?:connection|call|protocol|command|syntax)|rejected |no host name found|no MAIL in SMTP"
)
_REFUSED_HEADER = re.compile(rb"Envelope-(?:from|to): |[A-Z* ] [A-Za-z][\w-]{0,60}:|\t|    \S")
_HEAD_LINES = 500


def looks_like(head: bytes) -> bool:
    """Return whether lines in `head` begin as Exim's do, and one goes on so."""
    lines = [line for line in head.splitlines() if line.strip() and not _REFUSED_HEADER.match(line)][:_HEAD_LINES]
    found = [match for line in lines if (match := _LINE.match(line))]
    return 2 * len(found) >= len(lines) > 0 and any(_OWN.search(match[4][:200]) for match in found)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each physical line of `chunk`."""
    last = memory.get("last")
    stamps = Stamps(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None)
    for raw in lines_of(chunk):
        yield _record(raw, stamps)
    if stamps.last:
        memory["last"] = stamps.last.isoformat()


def _record(raw: RawLine, stamps: Stamps) -> Line | Reject | None:
    if not raw.raw.strip():
        return None
    if long := too_long(raw):
        return long
    match = _LINE.fullmatch(raw.raw)
    if match is None:
        return Line(stamps.last, None, b"exim", b"", raw.raw, raw.raw, raw.offset, raw.is_ended, is_bare=True)
    stamp, shift, pid, text = match.groups()
    time = stamps.read(stamp + (shift or b""))
    if time is None:
        return Reject(raw.raw, raw.offset, "names a time that never was")
    return Line(time, None, b"exim", pid or b"", text, raw.raw, raw.offset, raw.is_ended)
