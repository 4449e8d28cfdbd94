"""
Message tracking logs of Exchange Server 2010 to SE: what became of each mail that left, and which device handed it in.

Reads: SEND and SENDEXTERNAL by SMTP; FAIL and DEFER by SMTP or a queue, SUBMITFAIL and SUBMITDEFER, where they name a
reason, one row for each recipient; DSN whose failure was not told before; RECEIVE by SMTP for the device of a message.
Leaves: all other events (agents, routing, mailboxes of one's own), sends between one's own servers, and subjects,
which are never kept.

What a reader could not guess:
- Exchange 2010 writes 26 fields, 2013 27, later versions 30. `#Fields` decides; rows without one are read by their
  number, and only where their events are those of this log.
- recipient-address and recipient-status are lists in the same order, parted by semicolons, but a status may hold
  semicolons itself: where the list cannot be parted, all of it is the answer for each recipient.
- The envelope sender is return-path; sender-address is who the mail itself says that it is from.
- A log-in is never seen here: the stage is unknown, and whether a password was used too.
- Behind a front end RECEIVE names the front end as the client; the device is original-client-ip, or in custom-data
  ProxiedClientIPAddress and ProxiedClientHostname.
- A copy of a message gets another internal-message-id, and devices may send one message-id twice. So the device is
  joined by network-message-id, else by internal-message-id, else by a message-id that only one device used.
- FAIL by SMTP under a Receive connector is one's own server that refuses a device, not a server that refuses ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.answers import answer
from pipeline.endpoints import OTHER
from pipeline.exchange_csv import directive_of, names_of, time_of, values_of
from pipeline.exchange_reason import reason_of, statuses_of
from pipeline.lines import RawLine, lines_of, text_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of

WHOLE = False
MOST_OPEN = 50_000
"""Messages whose device is remembered between reads; beyond it the oldest is forgotten."""
KEPT = timedelta(days=3)
"""Exchange gives a message up after two days."""

_FIELDS_26 = names_of(
    "date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,"
    "internal-message-id,message-id,recipient-address,recipient-status,total-bytes,recipient-count,"
    "related-recipient-address,reference,message-subject,sender-address,return-path,message-info,directionality,"
    "tenant-id,original-client-ip,original-server-ip,custom-data"
)
_FIELDS_27 = [*_FIELDS_26[:11], "network-message-id", *_FIELDS_26[11:]]
_FIELDS_30 = [*_FIELDS_27, "transport-traffic-type", "log-id", "schema-version"]
_BY_NUMBER = {len(fields): fields for fields in (_FIELDS_26, _FIELDS_27, _FIELDS_30)}
_REQUIRED = ("date-time", "source", "event-id", "message-id", "recipient-address")
_LOG_TYPE = re.compile(r"Message Tracking Log", re.IGNORECASE)
_EVENT = re.compile(r"[A-Z]{3,40}")
_NAME = re.compile(r"[A-Za-z][A-Za-z_ -]*")
_SOURCE = re.compile(
    r"ADMIN|AGENT|APPROVAL|BOOTLOADER|DNS|DSN|GATEWAY|MAILBOXRULE|MEETINGMESSAGEPROCESSOR|ORAR|PICKUP|POISONMESSAGE|"
    r"PUBLICFOLDER|QUEUE|REDUNDANCY|RESOLVER|ROUTING|SAFETYNET|SMTP|STOREDRIVER"
)
_SENDS = {"SEND", "SENDEXTERNAL"}
_OUTCOMES = {"FAIL": "rejected", "DEFER": "deferred", "SUBMITFAIL": "rejected", "SUBMITDEFER": "deferred"}
_TELLING = {"SMTP", "QUEUE", "DSN"}
_OWN_HOPS = re.compile(r"Intra-Organization SMTP Send Connector|.*Internal Send Connector", re.IGNORECASE)
_CODE = re.compile(r"(?<![\d.])[245]\d\d[ -]|(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?![\d.])")
_TAKEN = re.compile(r"(?:^|;)(250[ -].*)", re.DOTALL)
_BEHIND_TAKEN = re.compile(r";(?:ClientSubmitTime|S):")
_PROXIED = re.compile(r"(?:^|;)S:ProxiedClient(IPAddress|Hostname)=([^;\s]{1,255})")
_EXPIRED = re.compile(r"QUEUE\.Expired", re.IGNORECASE)
_LONGEST_ID = 998

_Row = dict[str, str]


@dataclass(slots=True)
class _Mail:
    """Who handed a message in, when and to which server; `has_failed` when its failure was told."""

    time: str
    ids: list[str]
    client_ip: str | None = None
    client_name: str | None = None
    host: str | None = None
    has_failed: bool = False


class _Mails:
    """The messages seen so far, by each of their ids; a message-id that two devices used names none."""

    def __init__(self, stored: list[list[Any]]) -> None:
        self._mails: dict[str, _Mail] = {}
        self._by_id: dict[str, str | None] = {}
        for each in stored:
            self.keep(_Mail(*each))

    def keep(self, mail: _Mail) -> None:
        """Remember `mail`, which may be known already."""
        key = mail.ids[0]
        self._mails.pop(key, None)
        self._mails[key] = mail
        for each in mail.ids:
            known = self._by_id.get(each, key)
            same = known is not None and (known == key or self._is_from_same(known, mail))
            self._by_id[each] = key if same else None
        if len(self._mails) > MOST_OPEN:
            self._forget(next(iter(self._mails)))

    def _is_from_same(self, key: str, mail: _Mail) -> bool:
        known = self._mails.get(key)
        return known is None or (known.client_ip, known.host) == (mail.client_ip, mail.host)

    def _forget(self, key: str) -> None:
        for each in self._mails.pop(key).ids:
            if self._by_id.get(each) == key:
                del self._by_id[each]

    def of(self, ids: list[str], time: datetime) -> _Mail | None:
        """Return the message that has the first of `ids` that is known, unless it is too old to be it."""
        keys = (self._by_id.get(each) for each in ids)
        mail = next((self._mails[key] for key in keys if key in self._mails), None)
        return mail if mail and time - datetime.fromisoformat(mail.time) <= KEPT else None

    def stored(self, now: datetime | None) -> list[list[Any]]:
        """Return all that is not too old as JSON values."""
        since = now - KEPT if now else None
        mails = self._mails.values()
        return [list(astuple(each)) for each in mails if not since or datetime.fromisoformat(each.time) >= since]


@dataclass(slots=True)
class _Log:
    """Where the reading of one log stands."""

    fields: list[str] | None
    mails: _Mails
    host: str | None
    now: datetime | None = None


def looks_like(head: bytes) -> bool:
    """Return whether `head` is a message tracking log, by its header or by its rows."""
    lines = [text_of(raw).removeprefix("\ufeff") for raw in head.splitlines() if raw.strip()]
    for line in lines:
        name, value = directive_of(line) or ("", "")
        if name == "log-type":
            return _LOG_TYPE.fullmatch(value) is not None
        if name == "fields":
            return {*_REQUIRED, "recipient-status"} <= set(names_of(value))
    return not _names_columns(lines[:1]) and any(_is_row(line) for line in lines[:3])


def _names_columns(lines: list[str]) -> bool:
    """Return whether the first line is a header without a mark, as other exports of such rows have it."""
    return any(all(_NAME.fullmatch(value) for value in line.split(",")) for line in lines)


def _is_row(line: str) -> bool:
    try:
        values = values_of(line)
        fields = _BY_NUMBER.get(len(values))
        return fields is not None and _is_ours(dict(zip(fields, values, strict=True)))
    except ValueError:
        return False


def _is_ours(row: Mapping[str, str]) -> bool:
    time_of(row["date-time"])
    return _EVENT.fullmatch(row["event-id"]) is not None and _SOURCE.fullmatch(row["source"]) is not None


def parse(body: Chunk, carry: Carry) -> Parsed:
    """Return the rows of the events in `body`, and the devices of messages that may still go on."""
    log = _Log(carry.get("fields"), _Mails(carry.get("mails", [])), body.host)
    rows: list[dict[str, Any]] = []
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
    state = {"fields": log.fields, "mails": log.mails.stored(log.now)}
    return Parsed({"deliveries": rows_of("deliveries", rows)}, tuple(rejects), state, lines, left)


def _read(raw: RawLine, log: _Log) -> list[dict[str, Any]] | Reject | None:
    if long := too_long(raw):
        return long
    text = text_of(raw.raw).removeprefix("\ufeff").strip("\x00\r")
    if not text.strip():
        return None
    if directive := directive_of(text):
        if directive[0] == "fields":
            return _heading(names_of(directive[1]), raw, log)
        return None
    try:
        row = _row_of(text, log.fields)
        time = log.now = time_of(row["date-time"])
    except ValueError as wrong:
        return Reject(raw.raw, raw.offset, str(wrong) if raw.is_ended else "The file ends in the middle of this line.")
    return list(_told(row, time, raw, log))


def _heading(names: list[str], raw: RawLine, log: _Log) -> Reject | None:
    log.fields = names if set(_REQUIRED) <= set(names) else None
    if log.fields is None:
        return Reject(raw.raw, raw.offset, f"The #Fields line lacks one of {', '.join(_REQUIRED)}.")
    return None


def _row_of(text: str, fields: list[str] | None) -> _Row:
    values = values_of(text)
    if fields is not None and len(fields) == len(values):
        return dict(zip(fields, values, strict=True))
    by_number = _BY_NUMBER.get(len(values))
    if by_number is not None:
        row = dict(zip(by_number, values, strict=True))
        if _is_ours(row):
            return row
    expected = f"the #Fields line names {len(fields)}" if fields else "versions of this log have 26, 27 or 30"
    raise ValueError(f"The line has {len(values)} fields, and {expected}.")


def _told(row: _Row, time: datetime, raw: RawLine, log: _Log) -> Iterator[dict[str, Any]]:
    event, source = row["event-id"].upper(), row["source"].upper()
    if event == "RECEIVE" and source == "SMTP":
        _receive(row, time, log)
    elif event in _SENDS and source == "SMTP" and not _OWN_HOPS.fullmatch(row.get("connector-id", "")):
        yield from _sent(row, time, raw, log)
    elif event in _OUTCOMES and (source in _TELLING or event.startswith("SUBMIT")):
        yield from _failed(row, event, time, raw, log)
    elif event == "DSN":
        yield from _reported(row, time, raw, log)


def _ids(row: _Row) -> list[str]:
    kinds = (("n", "network-message-id"), ("i", "internal-message-id"), ("m", "message-id"))
    return [f"{kind} {row[name].strip()[:_LONGEST_ID]}" for kind, name in kinds if row.get(name, "").strip()]


def _receive(row: _Row, time: datetime, log: _Log) -> None:
    """Learn which device handed a message in."""
    proxied = {name: value.lower() for name, value in _PROXIED.findall(row.get("custom-data", "")[:16_000])}
    client_ip = row.get("client-ip", "").strip().lower()
    device = proxied.get("IPAddress") or row.get("original-client-ip", "").strip().lower() or client_ip
    name = proxied.get("Hostname") or (row.get("client-hostname", "") if device == client_ip else "")
    ids = _ids(row)
    if ids:
        host = row.get("server-hostname", "").lower() or None
        log.mails.keep(_Mail(time.isoformat(), ids, device or None, name.strip()[:255] or None, host))


def _sent(row: _Row, time: datetime, raw: RawLine, log: _Log) -> Iterator[dict[str, Any]]:
    taken = _TAKEN.search(row.get("source-context", ""))
    endpoint = row.get("server-hostname", "").strip("[]").rstrip(".").lower() or None
    own = row.get("client-hostname", "").lower() or None
    recipients = _recipients(row)
    statuses = statuses_of(row.get("recipient-status", ""), len(recipients))
    for place, (recipient, status) in enumerate(zip(recipients, statuses, strict=True)):
        said = answer(_BEHIND_TAKEN.split(taken[1])[0] if taken else status, endpoint)
        yield {
            **_usual(row, time, raw, log, own),
            **said,
            "recipient": recipient,
            "endpoint_ip": row.get("server-ip", "").lower() or None,
            "stage": "data",
            "outcome": "accepted",
            "reply_class": "accepted",
            "event_id": event_id_of("tracking", raw.raw, place),
        }


def _failed(row: _Row, event: str, time: datetime, raw: RawLine, log: _Log) -> Iterator[dict[str, Any]]:
    recipients: list[str | None] = [*_recipients(row)] or [None]
    statuses = statuses_of(row.get("recipient-status", ""), len(recipients))
    mail = log.mails.of(_ids(row), time)
    for place, (recipient, status) in enumerate(zip(recipients, statuses, strict=True)):
        told = status if _CODE.search(status) else row.get("source-context", "")
        if not _CODE.search(told):
            continue
        if mail and event == "FAIL":
            mail.has_failed = True
        yield {
            **_usual(row, time, raw, log, None),
            **_refusal(told, row, event),
            "recipient": recipient,
            "event_id": event_id_of("tracking", raw.raw, place),
        }


def _refusal(told: str, row: _Row, event: str) -> dict[str, Any]:
    reason = reason_of(told)
    own = _own_refusal(row) if reason.endpoint is None else {}
    is_expired = _EXPIRED.search(told) is not None
    return {
        **answer(reason.text, reason.endpoint),
        "kind": "expired" if is_expired else "try",
        "outcome": "unknown" if is_expired else _OUTCOMES[event],
        "endpoint_ip": reason.ip,
        "endpoint_port": reason.port,
        **own,
    }


def _own_refusal(row: _Row) -> dict[str, Any]:
    """Return what is told of the device where one's own server refused it, else nothing."""
    if row["source"].upper() != "SMTP" or "\\" not in row.get("connector-id", "") or not row.get("client-ip"):
        return {}
    host = row["connector-id"].partition("\\")[0].lower()
    client = {"client_ip": row["client-ip"].lower(), "client_name": row.get("client-hostname") or None}
    return {**client, "log_host": host, "endpoint": host, "endpoint_ip": None, "service": OTHER}


def _reported(row: _Row, time: datetime, raw: RawLine, log: _Log) -> Iterator[dict[str, Any]]:
    """Yield the failure that a bounce reports, unless it was told; the bounce goes to the sender of the mail."""
    told = row.get("recipient-status", "")
    told = told if _CODE.search(told) else row.get("source-context", "")
    about, senders = row.get("reference", "").strip(), _recipients(row)
    mail = log.mails.of([f"m {about}"], time) if about else None
    if not _CODE.search(told) or told.lstrip().startswith("2") or (mail and mail.has_failed):
        return
    known = _device(mail, log)
    yield {
        **known,
        **_refusal(told, row, "FAIL"),
        "event_time": time,
        "sender": senders[0] if len(senders) == 1 else None,
        "stage": "unknown",
        "message_id": about or None,
        "origin_offset": raw.offset,
        "event_id": event_id_of("tracking", raw.raw),
    }


def _usual(row: _Row, time: datetime, raw: RawLine, log: _Log, own: str | None) -> dict[str, Any]:
    """Return what each row about a mail has; `own` is the server that logs, where the row names it."""
    known = _device(log.mails.of(_ids(row), time), log)
    size = row.get("total-bytes", "")
    return {
        **known,
        "log_host": own or known["log_host"],
        "event_time": time,
        "kind": "try",
        "stage": "unknown",
        "sender": _sender(row),
        "queue_id": row.get("internal-message-id") or None,
        "message_id": row.get("message-id", "")[:_LONGEST_ID] or None,
        "size_bytes": int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None,
        "origin_offset": raw.offset,
    }


def _device(mail: _Mail | None, log: _Log) -> dict[str, Any]:
    if mail is None:
        return {"log_host": log.host, "client_ip": None, "client_name": None}
    return {"log_host": mail.host or log.host, "client_ip": mail.client_ip, "client_name": mail.client_name}


def _sender(row: _Row) -> str | None:
    path = row.get("return-path", "").strip() or row.get("sender-address", "").strip()
    return "" if path == "<>" else path.lower() or None


def _recipients(row: _Row) -> list[str]:
    return [each.strip().lower() for each in row["recipient-address"].split(";") if each.strip()]
