"""
Historical searches of Exchange Online, the enhanced summary and the extended report: what got in, up to 90 days back.

Reads: of the summary one row for each recipient in `recipient_status`; of the extended report, which has a line for
each event, one row for each message and recipient with the status that its events leave. Leaves: subjects, events and
messages that tell no recipient, and a header that returns.

What a reader could not guess:
- The file is UTF-16 without a byte order mark more often than not.
- `recipient_status` of the summary packs all recipients: `a@b##Receive, Send;c@d##Receive, Fail`. The last word
  decides: Deliver and Send are delivered, Receive is pending. A word that is not known here stays as it is.
- In the extended report the last event decides that says something about delivery. One that ends it (DELIVER, SEND,
  FAIL …) is not taken back by one that does not (a late RECEIVE of another server), only by another end. An EXPAND,
  RESOLVE or REDIRECT ends it for `related_recipient_address`; the addresses it leads to are pending. Events that say
  nothing (AGENTINFO, HARECEIVE …) leave the status alone; if there are no others, it is 'unknown'.
- A message was received when its first event happened, and that event names its sender, size and client.
- Only `original_client_ip` is who handed the mail in; `client_ip` is mostly a server of Microsoft's own.
- Microsoft cuts such an export at 100,000 lines and says so nowhere. One of that size is a gap.
- It has no protocol and no refused log-in.

Counting: lines = records with rows + rejects + left; in the extended report many records make one row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from pipeline.exports.locales import DayOrder, count_of, day_order_of, expected, moment_of
from pipeline.exports.tables import Export, Record, columns_in, cut, fold, read, reject_of, shown, without
from pipeline.exports.traces import table_of, trace_row
from pipeline.model import Carry, Chunk, Parsed, Reject

WHOLE = True

_HEADERS = {
    "time": ("origin_timestamp_utc", "origin_timestamp", "date_time_utc", "date_time"),
    "sender": ("sender_address",),
    "statuses": ("recipient_status",),
    "recipients": ("recipient_address",),
    "related": ("related_recipient_address",),
    "event": ("event_id",),
    "trace_id": ("network_message_id",),
    "message_id": ("message_id",),
    "size": ("total_bytes",),
    "from_ip": ("original_client_ip",),
}
_NAMES = {fold(header): name for name, headers in _HEADERS.items() for header in headers}
_SUMMARY = {"time": "origin_timestamp_utc", "sender": "sender_address", "statuses": "recipient_status"}
_EXTENDED = {
    "time": "date_time_utc",
    "sender": "sender_address",
    "event": "event_id",
    "recipients": "recipient_address",
    "trace_id": "network_message_id",
}
_ADVICE = "expected the report of a historical search (MessageTrace or MessageTraceDetail)"
_ENDS = {
    "deliver": "delivered",
    "duplicatedeliver": "delivered",
    "send": "delivered",
    "sendexternal": "delivered",
    "expand": "expanded",
    "fail": "failed",
    "badmail": "failed",
    "drop": "failed",
    "poisonmessage": "failed",
    "spam": "filteredasspam",
    "filter": "filteredasspam",
    "quarantine": "quarantined",
}
_FINAL = frozenset(_ENDS.values())
_ON_ITS_WAY = {
    *("receive", "submit", "submitdefer", "submitfail", "transfer", "defer", "delay", "resubmit", "throttle"),
    *("resolve", "redirect"),
}
_PASSED_ON = {"expand", "resolve", "redirect"}
_FACTS = ("trace_id", "message_id", "sender", "from_ip", "size")
_ADDRESS = re.compile(r"\"[^\"]+\"@[^\s@\";]+|[^\s@\";]+@[^\s@\";]+")


def looks_like(head: bytes) -> bool:
    """Return whether the header in `head` is that of a historical search."""
    columns = columns_in(head, _NAMES)
    return columns >= _SUMMARY.keys() or (columns >= _EXTENDED.keys() and "statuses" in columns)


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return the `traces` rows of either report; raise FormatError when the header is neither's."""
    export = read(body, _NAMES)
    is_extended = "event" in export.columns
    if error := without(export, _EXTENDED if is_extended else _SUMMARY, body, _ADVICE):
        raise error
    rejects: list[Reject] = []
    found = _Found(_timed(export, body, rejects), body, rejects)
    rows = table_of(found.messages() if is_extended else found.summary())
    return Parsed(
        {"traces": rows},
        tuple(rejects),
        lines=len(export.records) + export.repeated,
        left=found.left + export.repeated,
        gaps=cut(export, body),
    )


def _timed(export: Export, body: Chunk, rejects: list[Reject]) -> Iterator[tuple[datetime, Record]]:
    """Yield each record with its time, and add to `rejects` those that cannot be read."""
    order = day_order_of((record["time"] for record in export.records), body.as_of)
    for record in export.records:
        time = record.trouble or _time(record, order)
        if isinstance(time, str):
            rejects.append(reject_of(record, body, time))
        else:
            yield time, record


def _time(record: Record, order: DayOrder) -> datetime | str:
    """Return when `record` happened, or why it cannot be read."""
    time = moment_of(record["time"], order)
    if time is None:
        return f"the time is {shown(record['time'])}; {expected(order)}"
    if record["size"] and count_of(record["size"]) is None:
        return f"total_bytes is {shown(record['size'])}; expected a number of bytes"
    return time


@dataclass(slots=True)
class _Message:
    """What the events of one message tell, in the order of their times."""

    received_at: datetime
    offset: int
    facts: dict[str, str]
    statuses: dict[str, str] = field(default_factory=dict)

    def note(self, record: Record) -> bool:
        """Take in one event; return whether it told of a recipient."""
        for name in _FACTS:
            self.facts[name] = self.facts[name] or record[name]
        event = fold(record["event"])
        recipients = _addresses(record["recipients"])
        passed_on = _addresses(record["related"]) if event in _PASSED_ON else []
        for recipient in recipients:
            self._leave(recipient, "pending" if passed_on else _status_after(event))
        for recipient in passed_on:
            self._leave(recipient, "expanded")
        return bool(recipients or passed_on)

    def _leave(self, recipient: str, status: str) -> None:
        before = self.statuses.setdefault(recipient, status)
        if status in _FINAL or before == "unknown":
            self.statuses[recipient] = status


@dataclass(slots=True)
class _Found:
    """The rows of one report, and how many of its records have none on purpose."""

    timed: Iterator[tuple[datetime, Record]]
    body: Chunk
    rejects: list[Reject]
    left: int = 0

    def summary(self) -> Iterator[dict[str, Any]]:
        """Yield one row for each recipient that a record lists."""
        for time, record in self.timed:
            pairs = _pairs(record["statuses"])
            odd = next((recipient for recipient, _status in pairs if not _ADDRESS.fullmatch(recipient)), None)
            if odd is not None:
                reason = f"recipient_status names {shown(odd)}; expected address##status, with ; between recipients"
                self.rejects.append(reject_of(record, self.body, reason))
                continue
            self.left += not pairs
            facts = {name: record[name] for name in _FACTS}
            for recipient, status in pairs:
                yield self._row(facts, time, recipient, status, record.offset)

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield one row for each message and recipient that the events are about."""
        messages: dict[str, _Message] = {}
        for time, record in sorted(self.timed, key=itemgetter(0)):
            name = record["trace_id"].lower() or record["message_id"] or f"at {record.offset}"
            message = messages.setdefault(name, _Message(time, record.offset, dict.fromkeys(_FACTS, "")))
            self.left += not message.note(record)
        for message in messages.values():
            for recipient, status in message.statuses.items():
                yield self._row(message.facts, message.received_at, recipient, status, message.offset)

    def _row(self, facts: dict[str, str], time: datetime, recipient: str, status: str, offset: int) -> dict[str, Any]:
        return trace_row(
            received_at=time,
            trace_id=facts["trace_id"],
            message_id=facts["message_id"],
            sender=facts["sender"],
            recipient=recipient,
            status=status,
            from_ip=facts["from_ip"],
            to_ip="",
            size=count_of(facts["size"]),
            seen_at=self.body.as_of,
            offset=self.body.offset + offset,
        )


def _pairs(statuses: str) -> list[tuple[str, str]]:
    """Return each recipient with the status that its last word leaves; a `;` within quotes separates nothing."""
    pairs = []
    for piece in _pieces(statuses):
        recipient, _mark, words = piece.rpartition("##") if "##" in piece else (piece, "", "")
        said = [word.strip() for word in words.split(",") if word.strip()]
        pairs.append((recipient.strip(), _status_of(said[-1]) if said else "unknown"))
    return pairs


def _addresses(packed: str) -> list[str]:
    return [piece.lower() for piece in map(str.strip, _pieces(packed)) if _ADDRESS.fullmatch(piece)]


def _pieces(packed: str) -> list[str]:
    if '"' not in packed:
        return [piece for piece in packed.split(";") if piece.strip()]
    return [piece for piece in re.findall(r"(?:\"[^\"]*+\"|[^;])++", packed) if piece.strip()]


def _status_of(word: str) -> str:
    """Return what the last word of a recipient's statuses leaves."""
    after = _status_after(fold(word))
    return word.lower() if after == "unknown" else after


def _status_after(event: str) -> str:
    return _ENDS.get(event) or ("pending" if event in _ON_ITS_WAY else "unknown")
