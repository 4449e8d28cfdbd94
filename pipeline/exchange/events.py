"""
One event of message tracking, from the log itself or from `Get-MessageTrackingLog`: what it tells of a mail.

- A log-in is never seen here: the stage is unknown, and whether a password was used too.
- The envelope sender is the return path; the other sender is who the mail itself says that it is from.
- Behind a front end RECEIVE names the front end as the client; the device is the original client, or in the data of the
  event ProxiedClientIPAddress and ProxiedClientHostname.
- A copy of a message gets another internal id, and devices may send one message-id twice. So the device is joined by
  the network's id, else by the internal id, else by a message-id that only one device used.
- FAIL by SMTP under a Receive connector is one's own server that refuses a device, not a server that refuses ours.
- Where an answer does not say whose it is, SEND, DEFER and FAIL by SMTP name the server that was spoken to, beside its
  address; without an address the server is one's own. Where that was a front end that passed the mail on, the data of
  the event name the other server as OutboundProxyTarget.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pipeline.answers import answer
from pipeline.endpoints import OTHER, is_microsoft, service_of
from pipeline.exchange.reason import Reason, reason_of, statuses_of
from pipeline.model import event_id_of

MOST_OPEN = 50_000
"""Messages whose device is remembered between reads; beyond it the oldest is forgotten."""
KEPT = timedelta(days=3)
"""Exchange gives a message up after two days."""

_SENDS = {"SEND", "SENDEXTERNAL"}
_OUTCOMES = {"FAIL": "rejected", "DEFER": "deferred", "SUBMITFAIL": "rejected", "SUBMITDEFER": "deferred"}
_TELLING = {"SMTP", "QUEUE", "DSN"}
_OWN_HOPS = re.compile(r"Intra-Organization SMTP Send Connector|.*Internal Send Connector", re.IGNORECASE)
_CODE = re.compile(r"(?<![\d.])[245]\d\d[ -]|(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?![\d.])")
_TAKEN = re.compile(r"(?:^|;)(250[ -].*)", re.DOTALL)
_BEHIND_TAKEN = re.compile(r";(?:ClientSubmitTime|S):")
_PROXIED = re.compile(r"(?:^|;|\[)(?:S:)?ProxiedClient(IPAddress|Hostname)(?:=|, )([^;\]\s]{1,255})")
_PASSED_TO = re.compile(
    r"(?:^|;|\[)(?:S:)?OutboundProxyTarget(IPAddress|HostName)(?:=|, )([^;\]\s]{1,255})", re.IGNORECASE
)
_EXPIRED = re.compile(r"QUEUE\.Expired", re.IGNORECASE)
_LONGEST = 16_000
_LONGEST_ID = 998


@dataclass(frozen=True, slots=True)
class Event:
    """
    One event: what its columns say, by their names in the log, with the recipients and their statuses beside it.

    `identity` is what makes the event itself.
    """

    time: datetime
    columns: Mapping[str, str]
    recipients: tuple[str, ...]
    statuses: tuple[str, ...]
    identity: tuple[object, ...]
    offset: int

    def __getitem__(self, column: str) -> str:
        return self.columns.get(column, "").strip()

    @property
    def name(self) -> str:
        """What happened."""
        return self["event-id"].upper()

    @property
    def source(self) -> str:
        """Which part of Exchange tells it."""
        return self["source"].upper()

    @property
    def ids(self) -> list[str]:
        """The names of the message, the one that is most its own first."""
        kinds = (("n", "network-message-id"), ("i", "internal-message-id"), ("m", "message-id"))
        return [f"{kind} {self[column][:_LONGEST_ID]}" for kind, column in kinds if self[column]]


@dataclass(slots=True)
class Mail:
    """Who handed a message in, when and to which server; `has_failed` when its failure was told."""

    time: str
    ids: list[str]
    client_ip: str | None = None
    client_name: str | None = None
    host: str | None = None
    has_failed: bool = False


class Mails:
    """The messages seen so far, by each of their ids; a message-id that two devices used names none."""

    def __init__(self, stored: list[list[Any]]) -> None:
        self._mails: dict[str, Mail] = {}
        self._by_id: dict[str, str | None] = {}
        for each in stored:
            self.keep(Mail(*each))

    def keep(self, mail: Mail) -> None:
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

    def _is_from_same(self, key: str, mail: Mail) -> bool:
        known = self._mails.get(key)
        return known is None or (known.client_ip, known.host) == (mail.client_ip, mail.host)

    def _forget(self, key: str) -> None:
        for each in self._mails.pop(key).ids:
            if self._by_id.get(each) == key:
                del self._by_id[each]

    def of(self, ids: list[str], time: datetime) -> Mail | None:
        """Return the message that has the first of `ids` that is known, unless it is too old to be it."""
        keys = (self._by_id.get(each) for each in ids)
        mail = next((self._mails[key] for key in keys if key in self._mails), None)
        return mail if mail and time - datetime.fromisoformat(mail.time) <= KEPT else None

    def stored(self, now: datetime | None) -> list[list[Any]]:
        """Return all that is not too old as JSON values."""
        since = now - KEPT if now else None
        mails = self._mails.values()
        return [list(astuple(each)) for each in mails if not since or datetime.fromisoformat(each.time) >= since]


def told(event: Event, mails: Mails, host: str | None) -> Iterator[dict[str, Any]]:
    """Yield the rows of `event`, or learn from it; `host` is whose log it is where no event says so."""
    name, source = event.name, event.source
    if name == "RECEIVE" and source == "SMTP":
        _receive(event, mails)
    elif name in _SENDS and source == "SMTP" and not _OWN_HOPS.fullmatch(event["connector-id"]):
        yield from _sent(event, mails, host)
    elif name in _OUTCOMES and (source in _TELLING or name.startswith("SUBMIT")):
        yield from _failed(event, mails, host)
    elif name == "DSN":
        yield from _reported(event, mails, host)


def _receive(event: Event, mails: Mails) -> None:
    """Learn which device handed a message in."""
    proxied = {name: value.lower() for name, value in _PROXIED.findall(event["custom-data"][:_LONGEST])}
    client_ip = event["client-ip"].lower()
    device = proxied.get("IPAddress") or event["original-client-ip"].lower() or client_ip
    name = proxied.get("Hostname") or (event["client-hostname"] if device == client_ip else "")
    if ids := event.ids:
        host = event["server-hostname"].lower() or None
        mails.keep(Mail(event.time.isoformat(), ids, device or None, name.strip()[:255] or None, host))


def _sent(event: Event, mails: Mails, host: str | None) -> Iterator[dict[str, Any]]:
    taken = _TAKEN.search(event["source-context"])
    words = _BEHIND_TAKEN.split(taken[1])[0] if taken else None
    endpoint, ip = _spoken_to(event)
    usual = _usual(event, mails, host)
    for place, (recipient, status) in enumerate(_fates(event)):
        yield {
            **usual,
            **answer(words or status[:_LONGEST], endpoint),
            "recipient": recipient,
            "endpoint_ip": ip,
            "stage": "data",
            "outcome": "accepted",
            "reply_class": "accepted",
            "event_id": event_id_of(*event.identity, place),
        }


def _failed(event: Event, mails: Mails, host: str | None) -> Iterator[dict[str, Any]]:
    mail = mails.of(event.ids, event.time)
    usual = _usual(event, mails, host)
    refusals: dict[str, dict[str, Any] | None] = {}  # a mail has many recipients, and often one reason for all
    for place, (recipient, status) in enumerate(_fates(event)):
        if status not in refusals:
            refusals[status] = _refused(status, event)
        refusal = refusals[status]
        if refusal is None:
            continue
        if mail and event.name == "FAIL":
            mail.has_failed = True
        yield {**usual, **refusal, "recipient": recipient, "event_id": event_id_of(*event.identity, place)}


def _refused(status: str, event: Event) -> dict[str, Any] | None:
    """Return what is told of a failure, or None where neither status nor context tell a reason."""
    has_reason = _CODE.search(status[:_LONGEST]) is not None
    words = (status if has_reason else event["source-context"])[:_LONGEST]
    if (has_reason and status.startswith("2")) or not _CODE.search(words):
        return None
    return _refusal(words, event, event.name)


def _fates(event: Event) -> list[tuple[str | None, str]]:
    """Return the recipients, each with its status; one that stands alone for several is that of each."""
    recipients = event.recipients or (None,)
    statuses = event.statuses
    if len(statuses) != len(recipients):
        statuses = tuple(statuses_of(";".join(statuses), len(recipients)))
    return list(zip(recipients, statuses, strict=True))


def _refusal(words: str, event: Event, name: str) -> dict[str, Any]:
    reason = _whose(reason_of(words), event)
    own = _own_refusal(event) if reason.endpoint is None else {}
    is_expired = _EXPIRED.search(words) is not None
    return {
        **answer(reason.text, reason.endpoint),
        "kind": "expired" if is_expired else "try",
        "outcome": "unknown" if is_expired else _OUTCOMES[name],
        "endpoint_ip": reason.ip,
        "endpoint_port": reason.port,
        **own,
    }


def _whose(reason: Reason, event: Event) -> Reason:
    """Return `reason` with the server that was spoken to, where it does not say whose answer it is, or from where."""
    if reason.ip or event.source != "SMTP" or not event["server-ip"] or _is_taken_in(event):
        return reason
    named, ip = _spoken_to(event)
    if reason.endpoint is None:
        return replace(reason, endpoint=named, ip=ip)
    is_same = is_microsoft(service_of(named)) and is_microsoft(service_of(reason.endpoint))
    return replace(reason, ip=ip) if is_same else reason


def _spoken_to(event: Event) -> tuple[str | None, str | None]:
    """Return name and address of the server that was spoken to, be it through a front end."""
    target = {name.lower(): value.lower() for name, value in _PASSED_TO.findall(event["custom-data"][:_LONGEST])}
    if target:
        return _host(target.get("hostname", "")), target.get("ipaddress")
    return _host(event["server-hostname"]), event["server-ip"].lower() or None


def _is_taken_in(event: Event) -> bool:
    """Return whether `event` is about mail that comes in: the names of Receive connectors begin with their server's."""
    return "\\" in event["connector-id"] and bool(event["client-ip"])


def _own_refusal(event: Event) -> dict[str, Any]:
    """Return what is told of the device where one's own server refused it, else nothing."""
    if event.source != "SMTP" or not _is_taken_in(event):
        return {}
    host = event["connector-id"].partition("\\")[0].lower()
    client = {"client_ip": event["client-ip"].lower(), "client_name": event["client-hostname"] or None}
    return {**client, "log_host": host, "endpoint": host, "endpoint_ip": None, "service": OTHER}


def _reported(event: Event, mails: Mails, host: str | None) -> Iterator[dict[str, Any]]:
    """Yield the failure that a bounce reports, unless it was told; the bounce goes to the sender of the mail."""
    status = "; ".join(event.statuses)[:_LONGEST]
    words = status if _CODE.search(status) else event["source-context"]
    about = event["reference"]
    mail = mails.of([f"m {about}"], event.time) if about else None
    if not _CODE.search(words) or words.lstrip().startswith("2") or (mail and mail.has_failed):
        return
    yield {
        **_device(mail, host),
        **_refusal(words, event, "FAIL"),
        "event_time": event.time,
        "sender": event.recipients[0] if len(event.recipients) == 1 else None,
        "stage": "unknown",
        "message_id": about or None,
        "origin_offset": event.offset,
        "event_id": event_id_of(*event.identity),
    }


def _usual(event: Event, mails: Mails, host: str | None) -> dict[str, Any]:
    """Return what each row about a mail has."""
    known = _device(mails.of(event.ids, event.time), host)
    size = event["total-bytes"]
    return {
        **known,
        "log_host": _own_host(event) or known["log_host"],
        "event_time": event.time,
        "kind": "try",
        "stage": "unknown",
        "sender": _sender(event),
        "queue_id": event["internal-message-id"] or None,
        "message_id": event["message-id"][:_LONGEST_ID] or None,
        "size_bytes": int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None,
        "origin_offset": event.offset,
    }


def _own_host(event: Event) -> str | None:
    """Return the server that tells `event`, where its columns name it."""
    is_client = event.name == "DEFER" or (event.source == "SMTP" and bool(event["server-ip"]))
    return event["client-hostname" if is_client else "server-hostname"].lower() or None


def _device(mail: Mail | None, host: str | None) -> dict[str, Any]:
    if mail is None:
        return {"log_host": host, "client_ip": None, "client_name": None}
    return {"log_host": mail.host or host, "client_ip": mail.client_ip, "client_name": mail.client_name}


def _sender(event: Event) -> str | None:
    path = event["return-path"] or event["sender-address"]
    return "" if path == "<>" else path.lower() or None


def _host(name: str) -> str | None:
    return name.strip("[]").rstrip(".").lower() or None
