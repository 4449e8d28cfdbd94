"""
hMailServer, from its log: tab-separated, each word in quotes, one line for each thing said.

Reads: outbound sessions (`SMTPC`): each refusal and each acceptance of a mail, recipient by recipient, with the log-in
before it; inbound sessions (`SMTPD`) for the device that handed a mail in, and for its log-in, as `signins`; and
`Delivering message from … to …` of `APPLICATION` for the sender of a session that never came to MAIL FROM.
Leaves: what inbound sessions are told, POP and IMAP, `TCPIP`, `DEBUG`, `ERROR`, and what answers a challenge.

What a reader could not guess:
- hMailServer logs in before it says whose mail it has, and hangs up when it is refused. Whose mail it was is told by
  APPLICATION only, and only where no other message was in delivery when the session began; else it stays unknown.
- Nothing joins an inbound session with an outbound one but the envelope, so a device is told only where it is the only
  one that handed in mail of this sender for this recipient in the last days.
- Times are local. `[nl]` stands for a line break; some versions log each line of a reply by itself.
- Bytes are the code page of the machine. A long line is cut in its middle (` ... `), by default beyond 500 signs.
- A bare line feed within a reply breaks its line: the first half is read as far as it goes, the rest is left.
- Session numbers begin anew when the service does.
- The password is logged as `***`, the user name in base64. The name of one's own account is an address; of a log-in
  at another server, and where it is anything else, it is dropped.
- The log of one service alone (`hmailserver_SMTP_…`) has no `APPLICATION`.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pyarrow as pa

from pipeline.answers import protocol_of
from pipeline.devices import Devices
from pipeline.exchange.open_sessions import OpenSessions
from pipeline.exchange.session import Row
from pipeline.lines import RawLine, lines_of, text_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of
from pipeline.redact import redacted_bytes
from pipeline.stamps import Stamps

WHOLE = False
MOST_MESSAGES = 1_000
"""Messages in delivery that are remembered; hMailServer delivers ten at once by default."""

_BOM = b"\xef\xbb\xbf"
_CONVERSATIONS = (b"SMTPC", b"SMTPD")
_LINE = re.compile(
    rb"\"(?P<kind>SMTPC|SMTPD|POP3D|POP3C|IMAPD|APPLICATION|TCPIP|DEBUG|ERROR|EVENT|BACKUP|AWSTATS)\"\t"
    rb"(?P<thread>-?\d{1,20})\t(?:(?P<session>-?\d{1,20})\t)?\"(?P<time>[^\"\t]{0,40})\"\t"
    rb"(?:\"(?P<ip>[0-9A-Fa-f:.%]{0,60})\"\t)?\"(?P<said>.*?)(?P<end>\")?",
    re.DOTALL,
)
_SAID = re.compile(r"(SENT|RECEIVED): (.*)", re.DOTALL)
_BEGUN_REPLY = re.compile(r"\d{3}-[^\n]*")
_DELIVERING = re.compile(
    r"SMTPDeliverer - Message (\d{1,20}): Delivering message from (\S{1,1000}) to (.{1,8000}?)(?:\. File: .*|\.?)",
    re.DOTALL,
)
_ABOUT = re.compile(r"SMTPDeliverer - Message (\d{1,20}): (.*)", re.DOTALL)
_COMPLETED = re.compile(r"Message delivery thread completed|Message deleted|Message will be deleted")
_QUEUED = re.compile(r"250 Queued", re.IGNORECASE)
_AUTH = re.compile(
    r"AUTH (?P<mechanism>[A-Z0-9-]{2,20})(?: (?P<user>[A-Za-z0-9+/=]{4,400}))?(?: \*\*\*)?", re.IGNORECASE
)
_USER_NAME = "334 VXNlcm5hbWU6"
_ACCOUNT = re.compile(r"[\w.+%&'*/=?^{|}~!#$-]{1,64}@[\w.-]{1,255}")
_ANSWERED = re.compile(r"(?P<code>[2-5]\d\d)[ -](?P<said>.{0,500})", re.DOTALL)
_NO_LOG_IN = range(500, 505)
_LONGEST_DELIVERY = timedelta(minutes=15)
_LONGEST_REPLY = 16_000


@dataclass(slots=True)
class _Log:
    """Where the reading of one log stands."""

    sessions: OpenSessions
    devices: Devices
    stamps: Stamps
    host: str | None
    messages: dict[str, list[str]] = field(default_factory=dict)  # in delivery: time, sender, recipients
    about: dict[str, list[str]] = field(default_factory=dict)  # by session: message, sender, recipients
    begun: dict[str, str] = field(default_factory=dict)  # by session: a reply whose last line is still to come
    logins: dict[str, list[str]] = field(default_factory=dict)  # by session: mechanism, user, what was asked for last
    is_broken: bool = False  # the line before lacks its closing quote


def looks_like(head: bytes) -> bool:
    """Return whether the lines of `head` are hMailServer's."""
    lines = [raw for raw in head.removeprefix(_BOM).splitlines() if raw.strip()][:20]
    return bool(lines) and sum(_LINE.fullmatch(raw) is not None for raw in lines) * 2 > len(lines)


def parse(body: Chunk, carry: Carry) -> Parsed:
    """Return the rows that `body` completes, and the sessions and messages still open."""
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
        rows += _told(log, log.sessions.close_all())
    return Parsed(_tables(rows), tuple(rejects), _carry_of(log), lines, left)


def _tables(rows: list[Row]) -> dict[str, pa.Table]:
    signins = [row for row in rows if row.get("table") == "signins"]
    deliveries = rows_of("deliveries", [row for row in rows if "table" not in row])
    return {"deliveries": deliveries, **({"signins": rows_of("signins", signins)} if signins else {})}


def _log_of(body: Chunk, carry: Carry) -> _Log:
    last = datetime.fromisoformat(carry["last"]) if carry.get("last") else None
    return _Log(
        OpenSessions(carry.get("sessions", {})),
        Devices(carry.get("devices", {})),
        Stamps(body.as_of, body.zone, last),
        body.host,
        {key: list(each) for key, each in carry.get("messages", {}).items()},
        dict(carry.get("about", {})),
        dict(carry.get("begun", {})),
        {key: list(each) for key, each in carry.get("logins", {}).items()},
        carry.get("is_broken", False),
    )


def _carry_of(log: _Log) -> Carry:
    return {
        "sessions": log.sessions.to_json(),
        "devices": log.devices.to_json(),
        "messages": log.messages,
        "about": {key: each for key, each in log.about.items() if key in log.sessions},
        "begun": dict(list(log.begun.items())[-MOST_MESSAGES:]),
        "logins": dict(list(log.logins.items())[-MOST_MESSAGES:]),
        "last": log.stamps.last.isoformat() if log.stamps.last else None,
        "is_broken": log.is_broken,
    }


def _read(raw: RawLine, log: _Log) -> list[Row] | Reject | None:
    if not raw.raw.strip(b"\x00 \t\r\n"):
        return None
    if long := too_long(raw):
        return Reject(redacted_bytes(long.raw), long.offset, long.reason)
    line = raw.raw.removeprefix(_BOM)
    match = _LINE.fullmatch(line.rstrip(b"\r"))
    if match is None:
        if log.is_broken and raw.is_ended and not line.startswith(b'"'):
            return None
        reason = "The line is none of hMailServer's: expected a kind, a thread, a time and words, in quotes and tabs."
        return _reject(raw, reason)
    log.is_broken = match["end"] is None
    if log.is_broken and not raw.is_ended:
        return _reject(raw, "")
    time = log.stamps.read(match["time"])
    if time is None:
        return _reject(raw, "The time is not of the form 2026-12-30 09:00:01.123, or there is no such time.")
    return _heard(match, time, raw.offset, log)


def _reject(raw: RawLine, reason: str) -> Reject:
    return Reject(
        redacted_bytes(raw.raw), raw.offset, reason if raw.is_ended else "The file ends in the middle of this line."
    )


def _heard(match: re.Match[bytes], time: datetime, offset: int, log: _Log) -> list[Row] | None:
    words = text_of(match["said"])
    if match["kind"] == b"APPLICATION":
        _deliver(words, time, log)
    said = _SAID.fullmatch(words)
    if said is None or match["session"] is None or match["kind"] not in _CONVERSATIONS:
        return None
    key, ip = match["session"].decode("ascii"), (match["ip"] or b"").decode("ascii").lower() or None
    is_sent = said[1] == "SENT"
    if match["kind"] == b"SMTPD":
        signins = _log_in(key, ip, said[2], time, offset, log, is_sent=is_sent)
        _take_in(key, ip, said[2], time, log, is_sent=is_sent)
        return signins or None
    return _say(key, ip, said[2], time, offset, log, is_sent=is_sent) or None


def _take_in(key: str, ip: str | None, words: str, time: datetime, log: _Log, *, is_sent: bool) -> None:
    if not is_sent:
        log.devices.hear(key, ip, words)
    elif _QUEUED.match(words):
        log.devices.taken(key, time)


def _log_in(
    key: str, ip: str | None, words: str, time: datetime, offset: int, log: _Log, *, is_sent: bool
) -> list[Row]:
    """Return the log-in of a device that `words` complete."""
    known = log.logins.get(key)
    if not is_sent:
        if auth := _AUTH.fullmatch(words):
            log.logins[key] = [auth["mechanism"].upper(), _account(auth["user"] or ""), ""]
        elif known and known[2] == _USER_NAME:
            known[1] = _account(words)
        return []
    answered = _ANSWERED.match(words)
    if known is None or answered is None:
        return []
    if words.startswith("334"):
        known[2] = words.strip()
        return []
    mechanism, user, _ = log.logins.pop(key)
    is_accepted = answered["code"].startswith("2")
    if int(answered["code"]) in _NO_LOG_IN:
        return []
    row: Row = {
        "table": "signins",
        "event_time": time,
        "user": user or None,
        "client_ip": ip,
        "client_name": log.devices.name_of(key),
        "client_app": "SMTP",
        "auth_protocol": protocol_of(mechanism),
        "auth_mechanism": mechanism,
        "service": "own_relay",
        "outcome": "accepted" if is_accepted else "rejected",
        "error_code": None if is_accepted else answered["code"],
        "error_text": None if is_accepted else words,
        "log_host": log.host,
        "origin_offset": offset,
        "event_id": event_id_of("hmailserver", "signin", key, time, ip, mechanism, user, answered["code"]),
    }
    return [row]


def _account(encoded: str) -> str:
    """Return the account that `encoded` names in base64; '' where it is none."""
    try:
        name = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except ValueError:
        return ""
    return name.lower() if _ACCOUNT.fullmatch(name) else ""


def _say(key: str, ip: str | None, words: str, time: datetime, offset: int, log: _Log, *, is_sent: bool) -> list[Row]:
    """Return the rows of something said in the outbound session `key`."""
    if not is_sent:
        whole = _whole_reply(key, words, log)
        return [] if whole is None else _answer(key, ip, whole, time, offset, log)
    rows = _answer(key, ip, log.begun.pop(key), time, offset, log) if key in log.begun else []
    return rows + _hear(key, ip, words.replace("[nl]", "\n"), time, offset, log, is_client=True)


def _whole_reply(key: str, words: str, log: _Log) -> str | None:
    """Return the reply that `words` complete, or None while its last line is still to come."""
    whole = "\n".join([log.begun.pop(key, ""), *words.split("[nl]")]).strip("\r\n")[:_LONGEST_REPLY]
    if _BEGUN_REPLY.fullmatch(whole.rpartition("\n")[2]):
        log.begun[key] = whole
        return None
    return whole


def _answer(key: str, ip: str | None, words: str, time: datetime, offset: int, log: _Log) -> list[Row]:
    rows = _close(key, log) if log.sessions.is_new(key, words) else []
    if words.startswith("221") and key not in log.sessions:
        return rows
    rows += _hear(key, ip, words, time, offset, log, is_client=False)
    return rows + (_close(key, log) if words.startswith(("221", "421")) else [])


def _hear(
    key: str, ip: str | None, words: str, time: datetime, offset: int, log: _Log, *, is_client: bool
) -> list[Row]:
    if key not in log.sessions:
        log.about.pop(key, None)
        if only := _only_message(time, log):
            log.about[key] = only
    heard = log.sessions.hear(key, words, is_client=is_client, time=time, remote=ip or "", offset=offset)
    return _told(log, heard)


def _close(key: str, log: _Log) -> list[Row]:
    return _told(log, log.sessions.close(key))


def _deliver(words: str, time: datetime, log: _Log) -> None:
    """Note which messages are in delivery."""
    if delivering := _DELIVERING.fullmatch(words):
        number, sender, recipients = delivering.groups()
        sender = "" if sender == "<Empty>" else sender.lower()
        log.messages[number] = [time.isoformat(), sender, *(each.strip().lower() for each in recipients.split(","))]
    elif (about := _ABOUT.fullmatch(words)) and _COMPLETED.match(about[2]):
        log.messages.pop(about[1], None)
    if len(log.messages) > MOST_MESSAGES:
        del log.messages[next(iter(log.messages))]


def _only_message(time: datetime, log: _Log) -> list[str] | None:
    """Return number, sender and recipients of the message in delivery at `time`, if it is the only one."""
    since = time - _LONGEST_DELIVERY
    current = [[key, *each[1:]] for key, each in log.messages.items() if datetime.fromisoformat(each[0]) >= since]
    return current[0] if len(current) == 1 else None


def _told(log: _Log, rows: list[Row]) -> list[Row]:
    """Return `rows` with what other lines tell of their mail."""
    return [_row(log, row, log.about.get(row["session_id"])) for row in rows]


def _row(log: _Log, row: Row, about: list[str] | None) -> Row:
    sender, recipient, time = row.get("sender"), row.get("recipient"), datetime.fromisoformat(row["event_time"])
    queue_id = None
    if about and sender in {None, about[1]} and (recipient is None or recipient in about[2:]):
        queue_id, sender = about[0], about[1]
        recipient = about[2] if recipient is None and len(about) == 3 else recipient
    ip, name = log.devices.of(sender, recipient, time)
    known = {"sender": sender, "recipient": recipient, "client_ip": ip, "client_name": name, "queue_id": queue_id}
    return {**row, **known, "event_time": time, "log_host": log.host}
