"""
One entry of the systemd journal as a line, whichever way `journalctl -o` wrote it.

The time is the sender's own (`_SOURCE_REALTIME_TIMESTAMP`) or else the journal's, in microseconds. What makes the
entry itself is its cursor, because the order and choice of fields differ between exports; without one, when and what
was said.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pipeline.lines import Line
from pipeline.model import Reject

_TIMES = ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_MICROSECONDS = 10**17


def line_of(entry: Mapping[str, bytes], offset: int, *, is_ended: bool = True) -> Line | Reject | None:
    """Return the entry with these fields as a line, None where it has no message, or why it is none."""
    if "MESSAGE" not in entry:
        return None
    time = _time(entry)
    if time is None:
        return Reject(b"MESSAGE=" + entry["MESSAGE"][:1000], offset, "the journal entry names no time that we know")
    host = entry.get("_HOSTNAME", b"").decode("utf-8", "replace").lower() or None
    tag = entry.get("SYSLOG_IDENTIFIER") or entry.get("_COMM", b"")
    pid = entry.get("SYSLOG_PID") or entry.get("_PID", b"")
    itself = entry.get("__CURSOR") or b"%d %s %s" % (int((time - _EPOCH).total_seconds()), pid, entry["MESSAGE"])
    return Line(time, host, tag, pid, entry["MESSAGE"], itself, offset, is_ended)


def _time(entry: Mapping[str, bytes]) -> datetime | None:
    for name in _TIMES:
        digits = entry.get(name, b"")
        if digits.isdigit() and int(digits[:20]) < _MOST_MICROSECONDS:
            return _EPOCH + timedelta(microseconds=int(digits))
    return None
