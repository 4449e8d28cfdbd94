"""
Message traces as JSON: pages of Graph's `messageTraces`, `Get-MessageTraceV2 | ConvertTo-Json`, and the older
reporting service, saved to a file.

Reads: one row for each message and recipient; the null sender `<>` of a bounce becomes ''. Pages may stand one behind
the other, or be cut off.
Leaves: the subject, which is never kept, and records that are no traces.

A trace shows what got in, never a refusal. Graph's `id` is what `Get-MessageTraceV2` calls MessageTraceId, so the same
version keeps its id in both. Graph's statuses are read as that cmdlet writes them (filteredAsSpam, FilteredAsSpam).
Each record is counted once: lines = rows + rejects + left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.exports.entra_records import looks_like_json, raw_of, records_in, text_of, without_surrogates
from pipeline.exports.json_records import JsonRecord
from pipeline.exports.locales import DayOrder, count_of, moment_of
from pipeline.exports.plain_pages import table_of_page
from pipeline.exports.tables import shown
from pipeline.exports.traces import table_of, trace_row
from pipeline.model import Carry, Chunk, Parsed, Reject

WHOLE = True

_SIGNS = tuple(
    re.compile(rf"\"{key}\"\s{{0,9}}:", re.IGNORECASE)
    for key in ("senderAddress", "recipientAddress", "received(?:DateTime)?")
)
_PAGE = re.compile(r"\"@odata\.context\"\s{0,9}:\s{0,9}\"[^\"]{0,200}/tracing/messageTraces\"", re.IGNORECASE)
_KEYS = {
    "received_at": ("receiveddatetime", "received"),
    "sender": ("senderaddress",),
    "recipient": ("recipientaddress",),
    "status": ("status",),
    "trace_id": ("messagetraceid", "id"),
    "message_id": ("messageid",),
    "from_ip": ("fromip",),
    "to_ip": ("toip",),
    "size": ("size",),
}
_OWN_KEYS = {"senderaddress", "recipientaddress", "messagetraceid"}
_OLD_TIME = re.compile(r"/Date\((-?[0-9]{1,14})(?:[+-][0-9]{4})?\)/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def looks_like(head: bytes) -> bool:
    """Return whether `head` holds traces as JSON."""
    if not looks_like_json(head):
        return False
    text = text_of(head)
    return all(sign.search(text) for sign in _SIGNS) or _PAGE.search(text) is not None


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `traces` row for each record that is one."""
    if (page := table_of_page(body)) is not None:
        return Parsed({"traces": page}, lines=page.num_rows)
    return parse_records(body)


def parse_records(body: Chunk) -> Parsed:
    """Return what `parse` does, record by record: for whatever is no plain page of Graph."""
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    lines = 0
    for record in _traces(body):
        lines += 1
        found = record if isinstance(record, Reject) else _row(record, body)
        if isinstance(found, Reject):
            rejects.append(found)
        elif found is not None:
            rows.append(found)
    left = lines - len(rows) - len(rejects)
    return Parsed({"traces": table_of(rows)}, tuple(rejects), lines=lines, left=left)


def _traces(body: Chunk) -> Iterator[JsonRecord | Reject]:
    """Yield each record; the reporting service packs a page once more, as `{"d": {"results": […]}}`."""
    for record in records_in(body):
        page = None if isinstance(record, Reject) else record.inner("d").get("results", record.values.get("d"))
        if isinstance(record, Reject) or not isinstance(page, list):
            yield record
            continue
        for each in page:
            values = each if isinstance(each, dict) else {}
            yield JsonRecord({str(key).lower(): value for key, value in values.items()}, record.offset)


def _row(record: JsonRecord, body: Chunk) -> dict[str, Any] | Reject | None:
    """Return the row of a trace, why there is none, or None for a record of another kind."""
    if not record.values.keys() & _OWN_KEYS:
        return None
    values = {name: without_surrogates(record.text(*keys)) for name, keys in _KEYS.items()}
    received_at = _moment(values["received_at"])
    size = count_of(values["size"])
    if received_at is None or (size is None and values["size"]) or _empty(values):
        return Reject(raw_of(record.values), record.offset, _trouble(values, received_at))
    return trace_row(
        received_at=received_at,
        trace_id=values["trace_id"],
        message_id=values["message_id"],
        sender=values["sender"],
        recipient=values["recipient"],
        status=values["status"],
        from_ip=values["from_ip"],
        to_ip=values["to_ip"],
        size=size,
        seen_at=body.as_of,
        offset=record.offset,
    )


def _empty(values: dict[str, str]) -> list[str]:
    return [name for name in ("sender", "recipient", "status") if not values[name]]


def _trouble(values: dict[str, str], received_at: datetime | None) -> str:
    if received_at is None:
        return f"the time is {shown(values['received_at'])}; expected a date and time in receivedDateTime"
    if empty := _empty(values):
        return f"{' and '.join(empty)} is empty; expected a value in each trace"
    return f"the size is {shown(values['size'])}; expected a number of bytes"


def _moment(text: str) -> datetime | None:
    old = _OLD_TIME.fullmatch(text)
    if old is None:
        return moment_of(text, DayOrder.MONTH_FIRST)
    try:
        return _EPOCH + timedelta(milliseconds=int(old[1]))
    except OverflowError:
        return None
