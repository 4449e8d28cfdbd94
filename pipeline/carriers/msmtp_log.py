"""
msmtp's own log file: a time stamp, and then the line as msmtp also gives it to syslog.

The stamp is `strftime` in the sender's language and as its `logfile_time_format` says, so it may be anything: the
default (`Nov 23 18:32:30`), ISO 8601, asctime and seconds since 1970 are read. Any other leaves its line without
a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pipeline.lines import Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

# A syslog header ends in ": ", one of RFC 5424 begins with <PRI>, and JSON with {: none of them is a stamp.
_LINE = re.compile(
    rb"(?!<)(?:(?P<stamp>[^{\"]{0,63}[^\s:\-{\"]) +)?(?P<message>host=\S+ tls=(?:on|off) auth=(?:on|off) .*)", re.DOTALL
)
_BSD = re.compile(rb"[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d(?:\.\d{1,6})?")
_ISO = re.compile(rb"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,6})?) ?(Z|[+-]\d\d:?\d\d)?")
_ASCTIME = re.compile(rb"(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d:\d\d:\d\d)(?: (UTC))? (\d{4})")
_SECONDS = re.compile(rb"\d{9,10}")
_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` are msmtp's own."""
    raws = [raw for raw in head.splitlines() if raw.strip()]
    return bool(raws) and 2 * sum(_LINE.fullmatch(raw) is not None for raw in raws) >= len(raws)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`."""
    last = memory.get("last")
    stamps = Stamps(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None)
    for raw in lines_of(chunk):
        yield _record(raw, stamps)
    if stamps.last and chunk.zone is not UTC:
        memory["last"] = stamps.last.isoformat()


def _record(raw: RawLine, stamps: Stamps) -> Line | Reject | None:
    if not raw.raw.strip():
        return None
    if long := too_long(raw):
        return long
    match = _LINE.fullmatch(raw.raw)
    if match is None:
        why = "is no line of msmtp's log" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    time = _time((match["stamp"] or b"").strip(b"[]()'"), stamps)
    return Line(time, None, b"msmtp", b"", match["message"], raw.raw, raw.offset, raw.is_ended)


def _time(stamp: bytes, stamps: Stamps) -> datetime | None:
    if _SECONDS.fullmatch(stamp):
        return datetime.fromtimestamp(int(stamp), UTC)
    if _BSD.fullmatch(stamp):
        return stamps.read(stamp)
    if iso := _ISO.fullmatch(stamp):
        return stamps.read(iso[1] + (iso[2] or b""))
    if (asctime := _ASCTIME.fullmatch(stamp)) and asctime[1] in _MONTHS:
        month, day = _MONTHS[asctime[1]], int(asctime[2])
        zone = b"Z" if asctime[4] else b""
        return stamps.read(b"%s-%02d-%02d %s%s" % (asctime[5], month, day, asctime[3], zone))
    return None
