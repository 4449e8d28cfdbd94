"""
The SMTP service of IIS, from its logs in W3C extended, NCSA and Microsoft IIS format.

Reads: outbound connections (`OutboundConnectionCommand`, `OutboundConnectionResponse`): each refusal and each
acceptance of a mail, recipient by recipient, with the log-in before it; inbound commands, which name the device (its
address and its HELO) that handed a mail in.
Leaves: what inbound connections come to, rows of other services of IIS, and what answers a challenge. The service can
also log into a database (ODBC), which is no file.

What a reader could not guess:
- A row names the other server's address and port, not the connection. Where a second connection to it begins before
  the first said QUIT, the rows of both are mixed until all of them have: then a refusal is kept without sender,
  recipient and command, an acceptance only where it says what was accepted, and the mail at hand becomes `unknown`.
- Only the first line of a reply is logged, so `550-5.7.30 …` is a whole reply and not the beginning of one.
- Nothing says that each AUTH is logged, so a connection without one may still have logged in.
- The service logs in before it says whose mail it has, so a refusal at AUTH has no sender unless the session goes on.
- Nothing joins an inbound mail with an outbound one but the envelope, so a device is told only where it is the only
  one that handed in mail of this sender for this recipient in the last days.
- Columns are chosen by the administrator. Without date and time a row gets the time that Exchange Online signs its
  reply with, or else that of the last `#Date`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.answers import answer, signer_of
from pipeline.devices import Devices
from pipeline.endpoints import OTHER, service_of
from pipeline.exchange.open_sessions import OpenSessions
from pipeline.exchange.session import Row
from pipeline.iis_lines import COMMAND, Reading, Told
from pipeline.lines import RawLine, lines_of, text_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of
from pipeline.redact import redacted_bytes
from pipeline.stamps import Stamps

WHOLE = False
MOST_MIXED = 5_000
QUIET = timedelta(minutes=10)
"""No SMTP timeout is longer: after it a connection is over, whether it said QUIT or not."""

_OUTBOUND = re.compile(rb"\bOutboundConnection(?:Command|Response)\b", re.IGNORECASE)
_SERVICE = re.compile(rb"[ \t,]SMTPSVC\d*[ \t,]", re.IGNORECASE)
_HEADER = re.compile(rb"^(?:\xef\xbb\xbf)?#Fields:.*\bcs-(?:username|method)\b", re.IGNORECASE | re.MULTILINE)
_FIXED = re.compile(rb"^[0-9A-Fa-f.:]{2,60}(?:, [^,\r\n]+, .* SMTPSVC| \S+ Outbound\w+ \[)", re.MULTILINE)
_BANNER = re.compile(r"220[ -](?=[\w.-]*[A-Za-z])[\w-]+(?:\.[\w-]+)+(?: |$)")
_QUEUED = re.compile(r"250\b.*(?:\bqueued\b|\[Hostname=)", re.IGNORECASE | re.DOTALL)
_SIGNED_AT = re.compile(r"\[[A-Za-z0-9.-]+ (\d{4}-\d\d-\d\dT[\d:.]{8,15})Z [0-9A-Fa-f]{16}\]")
_SAYS_NOTHING = {500, 501, 502, 503, 504}


@dataclass(slots=True)
class _Log:
    """Where the reading of one log stands."""

    reading: Reading
    sessions: OpenSessions
    devices: Devices
    mixed: dict[str, list[Any]]  # by address: how many connections, and when one of them was heard last
    as_of: datetime
    host: str | None
    named: str | None = None  # the server that the last line names


def looks_like(head: bytes) -> bool:
    """Return whether `head` is a log of the SMTP service, and not of another service of IIS."""
    is_ours = _OUTBOUND.search(head) or _SERVICE.search(head)
    return is_ours is not None and (_HEADER.search(head) or _FIXED.search(head)) is not None


def parse(body: Chunk, carry: Carry) -> Parsed:
    """Return the rows that `body` completes, the columns, and the connections still open."""
    log = _log_of(body, carry)
    rows: list[Row] = []
    rejects: list[Reject] = []
    lines = left = 0
    for lines, raw in enumerate(lines_of(body), start=1):  # noqa: B007 - the count is the result
        found = _read(raw, log)
        if isinstance(found, Reject):
            rejects.append(found)
        elif found:
            rows += found
        else:
            left += 1
    if body.is_last:
        rows += [_row(row, log, None) for row in log.sessions.close_all()]
    return Parsed({"deliveries": rows_of("deliveries", rows)}, tuple(rejects), _carry_of(log), lines, left)


def _log_of(body: Chunk, carry: Carry) -> _Log:
    local = Stamps(body.as_of, body.zone, _moment(carry.get("last")), carry.get("is_day_first"))
    started = _moment(carry.get("started"))
    reading = Reading(Stamps(body.as_of, UTC), local, carry.get("fields"), started, carry.get("clock", ""))
    mixed = {key: list(each) for key, each in carry.get("mixed", {}).items()}
    sessions = OpenSessions(carry.get("sessions", {}), may_miss_log_ins=True)
    return _Log(reading, sessions, Devices(carry.get("devices", {})), mixed, body.as_of, body.host, carry.get("named"))


def _carry_of(log: _Log) -> Carry:
    reading = log.reading
    return {
        "fields": reading.fields,
        "started": reading.started.isoformat() if reading.started else None,
        "clock": reading.clock,
        "last": reading.local.last.isoformat() if reading.local.last else None,
        "is_day_first": reading.local.is_day_first,
        "sessions": log.sessions.to_json(),
        "devices": log.devices.to_json(),
        "named": log.named,
        "mixed": dict(list(log.mixed.items())[-MOST_MIXED:]),
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _read(raw: RawLine, log: _Log) -> list[Row] | Reject | None:
    if long := too_long(raw):
        return Reject(redacted_bytes(long.raw), long.offset, long.reason)
    line = text_of(raw.raw).removeprefix("\ufeff").strip("\x00 \t\r")
    if not line:
        return None
    if line.startswith("#"):
        log.reading.heading(line)
        return None
    try:
        told = log.reading.told(line)
    except ValueError as wrong:
        reason = str(wrong) if raw.is_ended else "The file ends in the middle of this line."
        return Reject(redacted_bytes(raw.raw), raw.offset, reason)
    log.named = told.host or log.named
    if told.is_outbound:
        return _outbound(told, raw, log) or None
    _inbound(told, log)
    return None


def _inbound(told: Told, log: _Log) -> None:
    """Learn from a command of a device; `user` is what it called itself in HELO."""
    key = f"{told.site} {told.ip}"
    is_refused = told.status.startswith(("4", "5"))
    if told.words.upper().startswith(("DATA", "BDAT")):
        if not is_refused:
            log.devices.taken(key, _time(told, log), told.user or None)
    elif not is_refused:
        log.devices.hear(key, told.ip or None, told.words)


def _outbound(told: Told, raw: RawLine, log: _Log) -> list[Row]:
    key = " ".join((told.site, told.ip, told.port, told.connection))
    if _is_mixed(key, told, log):
        return _in_a_mix(key, told, raw, log)
    if told.user.lower() == COMMAND:
        rows = _hear(key, told, raw, log, is_client=True)
        return rows + (_close(key, told, log) if told.words.upper().startswith("QUIT") else [])
    return _answer(key, told, raw, log)


def _answer(key: str, told: Told, raw: RawLine, log: _Log) -> list[Row]:
    rows: list[Row] = []
    if log.sessions.is_new(key, told.words) and _BANNER.match(told.words):
        silence = log.sessions.since(key, _time(told, log))
        rows = _close(key, told, log)
        if silence is None or silence < QUIET:
            log.mixed[key] = [2, _time(told, log).isoformat()]
            return rows
    if told.words.startswith("221") and key not in log.sessions:
        return rows
    rows += _hear(key, told, raw, log, is_client=False)
    return rows + (_close(key, told, log) if told.words.startswith("421") else [])


def _is_mixed(key: str, told: Told, log: _Log) -> bool:
    """Return whether several connections to one address are open, so that nobody can tell whose this row is."""
    mix = log.mixed.get(key)
    if mix is None:
        return False
    if mix[0] < 1 or _time(told, log) - datetime.fromisoformat(mix[1]) > QUIET:
        del log.mixed[key]
        return False
    mix[1] = _time(told, log).isoformat()
    return True


def _in_a_mix(key: str, told: Told, raw: RawLine, log: _Log) -> list[Row]:
    """Return the row of an answer that says by itself what it is about; count the connections that begin and end."""
    mix, words = log.mixed[key], told.words
    if told.user.lower() == COMMAND:
        mix[0] -= words.upper().startswith("QUIT")
        return []
    mix[0] += bool(_BANNER.match(words)) - words.startswith("421")
    signer = signer_of(words)
    said = answer(words, signer if service_of(signer) != OTHER else None)
    code, is_taken = said["reply_code"] or 0, _QUEUED.match(words) is not None
    if not is_taken and (code < 400 or (code in _SAYS_NOTHING and said["reply_class"] == "unknown")):
        return []
    row: Row = {
        **said,
        "event_time": _time(told, log).isoformat(),
        "kind": "try",
        "stage": "data" if is_taken else "unknown",
        "outcome": "accepted" if is_taken else "deferred" if code < 500 else "rejected",
        "endpoint_ip": told.ip or None,
        "endpoint_port": _port(told.port),
        "origin_offset": raw.offset,
        "event_id": "mixed",
    }
    return [_row(row, log, told)]


def _hear(key: str, told: Told, raw: RawLine, log: _Log, *, is_client: bool) -> list[Row]:
    address = f"[{told.ip}]:{told.port}" if _port(told.port) is not None else told.ip
    # One line is all that is logged of a reply, so nothing is to come behind a hyphen.
    words = told.words if is_client else re.sub(r"^(\d{3})-", r"\1 ", told.words)
    time = _time(told, log)
    rows = log.sessions.hear(key, words, is_client=is_client, time=time, remote=address, offset=raw.offset)
    return [_row(row, log, told) for row in rows]


def _close(key: str, told: Told, log: _Log) -> list[Row]:
    return [_row(row, log, told) for row in log.sessions.close(key)]


def _row(row: Row, log: _Log, told: Told | None) -> Row:
    """Return `row` with its device; a log without a clock takes the time that Exchange Online wrote into its reply."""
    time = datetime.fromisoformat(row["event_time"])
    if log.reading.fields is not None and "time" not in log.reading.fields:
        signed = _SIGNED_AT.search(row.get("reply_text") or "")
        time = _signed_time(signed[1]) or time if signed else time
    ip, name = log.devices.of(row.get("sender"), row.get("recipient"), time)
    # Two connections may say the same in one second: only the place in the file tells them apart.
    event_id = event_id_of("iis_smtp", row["event_id"], row["origin_offset"])
    known = {"session_id": None, "client_ip": ip, "client_name": name, "event_id": event_id}
    return {**row, **known, "event_time": time, "log_host": (told.host if told else log.named) or log.host}


def _signed_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _time(told: Told, log: _Log) -> datetime:
    return told.time or log.as_of


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
