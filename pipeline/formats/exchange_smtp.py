"""
SMTP protocol logs of Exchange Server 2010 to SE: SmtpSend and SmtpReceive.

Reads: each refusal and each acceptance of a mail, recipient by recipient, with the log-in that went before it. In a
SmtpSend log the other server answers; in a SmtpReceive log one's own does, and its clients are the devices.
Leaves: connections without a mail or a refusal, failed connects, TLS details, permissions, greetings, and challenges.

What a reader could not guess:
- `>` is always sent by the server that logs: a remote refusal is `<` in SmtpSend, one's own is `>` in SmtpReceive.
- Exchange logs in before it says whose mail it has, and hangs up when the log-in is refused. So a refusal at AUTH has
  no sender, unless the session goes on to MAIL FROM; it is held until then, or until QUIT or the end of the session.
  The mail waits in Exchange's queue. The account of the Send connector is never logged.
- A refused sender costs every recipient that was pipelined behind it: one row for each, with one request id.
- A session that breaks off before the last answer has the outcome `unknown`: the server may have taken the mail.
- The endpoint is what the banner claims to be. AUTH payloads are dropped while reading and never stored.
- Sessions interleave, go on in the next read, and sometimes never end: after an hour of silence they are closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.exchange_record import Record, read_record, redacted, text_of
from pipeline.exchange_session import RECEIVE, SEND, Row, Session
from pipeline.lines import RawLine, lines_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, rows_of

WHOLE = False
MOST_OPEN = 50_000
"""Open sessions kept between reads; beyond it the one that was silent longest is closed as it stands."""
SILENCE = timedelta(hours=1)

_REQUIRED = ("date-time", "session-id", "sequence-number", "event", "data")
_LOG_TYPE = re.compile(r"SMTP (Send|Receive) Protocol Log", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#(Software|Version|Log-Type|Date|Fields):(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class _Log:
    """Where the reading of one log stands."""

    kind: str = ""
    fields: list[str] | None = None
    sessions: dict[str, Session] = field(default_factory=dict)


def looks_like(head: bytes) -> bool:
    """Return whether `head` holds the header of an SMTP protocol log."""
    return any(_is_ours(*directive) for raw in head.splitlines() if (directive := _directive(text_of(raw))))


def _is_ours(name: str, value: str) -> bool:
    return (name == "log-type" and _LOG_TYPE.fullmatch(value) is not None) or (
        name == "fields" and _has_all(_names(value))
    )


def parse(body: Chunk, carry: Carry) -> Parsed:
    """Return the rows that `body` completes, the lines that cannot be read, and the sessions still open."""
    log = _log_of(carry)
    rows: list[Row] = []
    rejects: list[Reject] = []
    lines = 0
    for lines, raw in enumerate(lines_of(body), start=1):  # noqa: B007 - the count is the result
        found = _read(raw, log)
        if isinstance(found, Reject):
            rejects.append(found)
        elif found is not None:
            rows += _rows_of(log, *found)
    if body.is_last:
        rows += [row for session in log.sessions.values() for row in session.close()]
        log.sessions.clear()
    timed = [row | {"event_time": datetime.fromisoformat(row["event_time"])} for row in rows]
    return Parsed(
        {"deliveries": rows_of("deliveries", timed)}, tuple(rejects), _carry_of(log), lines, lines - len(rejects)
    )


def _log_of(carry: Carry) -> _Log:
    sessions = {key: Session.from_json(stored) for key, stored in carry.get("sessions", {}).items()}
    return _Log(carry.get("kind", ""), carry.get("fields"), sessions)


def _carry_of(log: _Log) -> Carry:
    if log.fields is None and not log.kind:
        return {}
    return {
        "kind": log.kind,
        "fields": log.fields,
        "sessions": {key: one.to_json() for key, one in log.sessions.items()},
    }


def _rows_of(log: _Log, session_id: str, record: Record) -> list[Row]:
    key = f"{log.kind} {session_id}"
    rows = [row for silent in _silent(log, key, record) for row in silent.close()]
    session = log.sessions.pop(key, None) or Session(session_id, log.kind)
    rows += session.take(record)
    if not session.is_ended:
        log.sessions[key] = session  # last in the order of the dict: the first is the one silent longest
    return rows


def _silent(log: _Log, key: str, record: Record) -> Iterator[Session]:
    since = datetime.fromisoformat(record.time) - SILENCE
    while log.sessions:
        oldest = next(iter(log.sessions))
        is_full = len(log.sessions) >= MOST_OPEN and key not in log.sessions
        if oldest == key or not (is_full or _last_time(log.sessions[oldest]) < since):
            return
        yield log.sessions.pop(oldest)


def _last_time(session: Session) -> datetime:
    return max(datetime.fromisoformat(record.time) for record in (*session.early, session.last) if record)


def _read(raw: RawLine, log: _Log) -> tuple[str, Record] | Reject | None:
    """Return one record and its session, why the line cannot be read, or None where it is a header or empty."""
    if long := too_long(raw):
        return replace(long, raw=redacted(long.raw))
    text = text_of(raw.raw)
    if not text.strip():
        return None
    if directive := _directive(text):
        return _heading(directive, raw, log)
    try:
        return read_record(text, log.fields, raw.offset)
    except ValueError as wrong:
        reason = str(wrong) if raw.is_ended else "The file ends in the middle of this line."
        return Reject(redacted(raw.raw), raw.offset, reason)


def _directive(text: str) -> tuple[str, str] | None:
    found = _DIRECTIVE.fullmatch(text)
    return (found[1].lower(), found[2].strip()) if found else None


def _heading(directive: tuple[str, str], raw: RawLine, log: _Log) -> Reject | None:
    name, value = directive
    if name == "log-type":
        found = _LOG_TYPE.fullmatch(value)
        log.kind = {"send": SEND, "receive": RECEIVE}[found[1].lower()] if found else ""
    elif name == "fields":
        names = _names(value)
        log.fields = names if _has_all(names) else None
        if log.fields is None:
            reason = f"The #Fields line lacks one of {', '.join(_REQUIRED)}, so the lines below it cannot be read."
            return Reject(redacted(raw.raw), raw.offset, reason)
    return None


def _names(value: str) -> list[str]:
    return [name.strip().lower() for name in value.split(",")]


def _has_all(names: list[str]) -> bool:
    return all(name in names for name in _REQUIRED)
