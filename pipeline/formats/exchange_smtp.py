"""
SMTP protocol logs of Exchange Server 2010 to SE: SmtpSend and SmtpReceive.

Reads: each refusal and each acceptance of a mail, recipient by recipient, with the log-in that went before it. In a
SmtpSend log the other server answers; in a SmtpReceive log one's own does, and its clients are the devices, whose
log-ins are `signins` besides.
Leaves: connections without a mail or a refusal, failed connects, TLS details, permissions, greetings, and challenges.

What a reader could not guess:
- `>` is always sent by the server that logs: a remote refusal is `<` in SmtpSend, one's own is `>` in SmtpReceive.
- Exchange logs in before it says whose mail it has, and hangs up when the log-in is refused. So a refusal at AUTH has
  no sender, unless the session goes on to MAIL FROM; it is held until then, or until QUIT or the end of the session.
  The mail waits in Exchange's queue. The account of the Send connector is never logged.
- A refused sender costs every recipient that was pipelined behind it: one row for each, with one request id.
- A session that breaks off before the last answer has the outcome `unknown`: the server may have taken the mail.
- A front end passes log-ins on to the server behind it, so the mail of such a session is in the log of that server
  only, where XPROXY names the device; and a mail that goes out through a front end is answered by another server than
  the one whose banner stands in the log.
- Some versions write each line of a reply as a record of its own, others all of them in one.
- A file that lost its header is read in the order of columns that all versions have; who answers tells which log it is.
- The endpoint is what the banner claims to be. AUTH payloads are dropped while reading and never stored.
- Sessions interleave, go on in the next read, and sometimes never end: after an hour of silence they are closed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from pipeline.exchange.directives import directive_of, names_of
from pipeline.exchange.open_sessions import OpenSessions
from pipeline.exchange.record import Record, read_record, redacted, text_of
from pipeline.exchange.session import RECEIVE, SEND, Row
from pipeline.lines import RawLine, lines_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, rows_of

WHOLE = False

_REQUIRED = ("date-time", "session-id", "sequence-number", "event", "data")
_FIELDS = names_of(
    "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
)
_HEADLESS = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]{8,16}Z?,(?:[^\",]*|\"[^\"]*\"),[0-9A-F]{16},\d{1,15},[^,\"]*,[^,\"]*,[-+<>*],.*", re.DOTALL
)
_LOG_TYPE = re.compile(r"SMTP (Send|Receive) Protocol Log", re.IGNORECASE)


@dataclass(slots=True)
class _Log:
    """Where the reading of one log stands."""

    kind: str
    fields: list[str] | None
    sessions: OpenSessions


def looks_like(head: bytes) -> bool:
    """Return whether `head` holds the header of an SMTP protocol log, or begins with rows of one that lost it."""
    lines = [text_of(raw) for raw in head.splitlines() if raw.strip()]
    if any(_is_ours(*directive) for line in lines if (directive := directive_of(line))):
        return True
    return any(_HEADLESS.fullmatch(line) for line in lines[:3])


def _is_ours(name: str, value: str) -> bool:
    return (name == "log-type" and _LOG_TYPE.fullmatch(value) is not None) or (
        name == "fields" and _has_all(names_of(value))
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
            session_id, record = found
            rows += log.sessions.take(f"{log.kind} {session_id}", record, session_id, log.kind)
    if body.is_last:
        rows += log.sessions.close_all()
    return Parsed(_tables(rows, body.host), tuple(rejects), _carry_of(log), lines, lines - len(rejects))


def _tables(rows: list[Row], host: str | None) -> dict[str, pa.Table]:
    timed = [
        row | {"event_time": datetime.fromisoformat(row["event_time"]), "log_host": row["log_host"] or host}
        for row in rows
    ]
    deliveries = rows_of("deliveries", [row for row in timed if "table" not in row])
    signins = [row for row in timed if "table" in row]
    return {"deliveries": deliveries, **({"signins": rows_of("signins", signins)} if signins else {})}


def _log_of(carry: Carry) -> _Log:
    return _Log(carry.get("kind", ""), carry.get("fields"), OpenSessions(carry.get("sessions", {})))


def _carry_of(log: _Log) -> Carry:
    return {
        "kind": log.kind,
        "fields": log.fields,
        "sessions": log.sessions.to_json(),
    }


def _read(raw: RawLine, log: _Log) -> tuple[str, Record] | Reject | None:
    """Return one record and its session, why the line cannot be read, or None where it is a header or empty."""
    if long := too_long(raw):
        return replace(long, raw=redacted(long.raw))
    text = text_of(raw.raw)
    if not text.strip():
        return None
    if directive := directive_of(text):
        return _heading(directive, raw, log)
    try:
        is_headless = log.fields is None and _HEADLESS.fullmatch(text) is not None
        return read_record(text, _FIELDS if is_headless else log.fields, raw.offset)
    except ValueError as wrong:
        reason = str(wrong) if raw.is_ended else "The file ends in the middle of this line."
        return Reject(redacted(raw.raw), raw.offset, reason)


def _heading(directive: tuple[str, str], raw: RawLine, log: _Log) -> Reject | None:
    name, value = directive
    if name == "log-type":
        found = _LOG_TYPE.fullmatch(value)
        log.kind = {"send": SEND, "receive": RECEIVE}[found[1].lower()] if found else ""
    elif name == "fields":
        names = names_of(value)
        log.fields = names if _has_all(names) else []
        if not log.fields:
            reason = f"The #Fields line lacks one of {', '.join(_REQUIRED)}, so the lines below it cannot be read."
            return Reject(redacted(raw.raw), raw.offset, reason)
    return None


def _has_all(names: list[str]) -> bool:
    return all(name in names for name in _REQUIRED)
