"""
What `Get-MessageTrackingLog` found on an Exchange Server, as `ConvertTo-Json`, `Format-List` or `Export-Csv` write it.

Reads: the events that the log itself is read for (`exchange_tracking`), with the device that handed the mail in.
Leaves: all other events, and subjects, which are never kept.

What a reader could not guess:
- The cmdlet asks one server after the other, so events are put in the order of their times first.
- `Format-List` writes a list as `{a, b}`, and no more than four of its values. `Export-Csv` writes only
  `System.String[]`, unless somebody joined the values; then an event that failed has no reason here, which is a gap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.exchange.events import Event, Mails, told
from pipeline.exchange.reason import statuses_of
from pipeline.exports.locales import DayOrder, day_order_of
from pipeline.exports.powershell import Saved, objects_in, properties_in, time_of
from pipeline.exports.tables import fold, shown
from pipeline.model import Carry, Chunk, Gap, Parsed, Reject, rows_of

WHOLE = True

_PROPERTIES = {
    "date-time": "Timestamp",
    "client-ip": "ClientIp",
    "client-hostname": "ClientHostname",
    "server-ip": "ServerIp",
    "server-hostname": "ServerHostname",
    "source-context": "SourceContext",
    "connector-id": "ConnectorId",
    "source": "Source",
    "event-id": "EventId",
    "internal-message-id": "InternalMessageId",
    "message-id": "MessageId",
    "network-message-id": "NetworkMessageId",
    "recipient-address": "Recipients",
    "recipient-status": "RecipientStatus",
    "total-bytes": "TotalBytes",
    "reference": "Reference",
    "sender-address": "Sender",
    "return-path": "ReturnPath",
    "original-client-ip": "OriginalClientIp",
    "custom-data": "EventData",
}
_NAMES = {fold(name): ours for ours, name in _PROPERTIES.items()}
_NEEDED = {"date-time", "source", "event-id"}
_TELLING = {"recipient-address", "recipient-status", "source-context"}
_LIST = re.compile(r"System\.(?:String\[\]|Collections\.\S+)")
_BETWEEN = re.compile(r"[\s;,|]+")
_BETWEEN_STATUSES = re.compile(r"(?<=\]), (?=\[\{)|\n(?=\[\{|[245]\d\d[ -])|, (?=[245]\d\d [245]\.\d)")
_CUT = re.compile(r"(?:\.\.\.|\u2026)$")
_OWN = (
    "source",
    "event-id",
    "internal-message-id",
    "message-id",
    "connector-id",
    "recipient-address",
    "recipient-status",
)
_FAILED = {"FAIL", "DEFER"}
_LOST = (
    "The export writes recipients or their statuses as System.String[], so it holds no reason of a failure; export "
    "with ConvertTo-Json, or join the values: @{n='RecipientStatus';e={$_.RecipientStatus -join ';'}}."
)


def looks_like(head: bytes) -> bool:
    """Return whether the objects in `head` are events of message tracking."""
    names = properties_in(head, _NAMES)
    return names >= _NEEDED and bool(names & _TELLING)


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one row for each recipient of a mail that left, was put off or failed."""
    found = list(objects_in(body, _NAMES))
    saved = [each for each in found if isinstance(each, Saved)]
    rejects = [each for each in found if isinstance(each, Reject)]
    order = day_order_of([each["date-time"] for each in saved], body.as_of)
    events: list[Event] = []
    for each in saved:
        event = _event(each, order, body)
        if isinstance(event, Event):
            events.append(event)
        else:
            rejects.append(event)
    mails, rows, telling = Mails([]), list[dict[str, Any]](), 0
    for event in sorted(events, key=lambda event: event.time):
        told_now = list(told(event, mails, body.host))
        telling += bool(told_now)
        rows += told_now
    left = len(found) - len(rejects) - telling
    return Parsed(
        {"deliveries": rows_of("deliveries", rows)}, tuple(rejects), lines=len(found), left=left, gaps=_lost(saved)
    )


def _event(saved: Saved, order: DayOrder, body: Chunk) -> Event | Reject:
    time = time_of(saved["date-time"], order, body)
    if time is None:
        return Reject(saved.raw, saved.offset, f"Timestamp is {shown(saved['date-time'])}, which is no time")
    recipients = tuple(address.lower() for address in _addresses(saved["recipient-address"]))
    statuses = _statuses(saved["recipient-status"], max(1, len(recipients)))
    columns = {**saved.values, "reference": " ".join(_addresses(saved["reference"]))}
    identity = ("tracked", time, *(saved[name] for name in _OWN))
    return Event(time, columns, recipients, statuses, identity, saved.offset)


def _addresses(text: str) -> Iterator[str]:
    """Yield the values of a list of addresses or ids, however it was joined."""
    if _LIST.fullmatch(text):
        return
    for each in _BETWEEN.split(_bare(text)):
        if each and not _CUT.search(each):
            yield each


def _statuses(text: str, recipients: int) -> tuple[str, ...]:
    if not text or _LIST.fullmatch(text):
        return ("",) * recipients
    parts = [part for part in _BETWEEN_STATUSES.split(_bare(text)) if not _CUT.fullmatch(part)]
    return tuple(parts) if len(parts) == recipients else tuple(statuses_of(_bare(text), recipients))


def _bare(text: str) -> str:
    """Return a list without the braces that Format-List sets around it."""
    return text[1:-1] if text.startswith("{") and text.endswith("}") else text


def _lost(saved: list[Saved]) -> tuple[Gap, ...]:
    """Return the gap that an export makes whose failures have lost their reasons."""
    lost = (
        each
        for each in saved
        if each["event-id"].upper() in _FAILED
        and any(_LIST.fullmatch(each[name]) for name in ("recipient-status", "recipient-address"))
    )
    first = next(lost, None)
    return (Gap(first.offset, _LOST),) if first else ()
