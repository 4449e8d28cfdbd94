"""
A page of message traces as Graph lays it out, read column by column; one that differs in anything is not read here.

A backfill parses millions of traces, and a walk through each record costs four times as much. What is read here is
exactly what that walk reads (`pipeline/formats/graph_message_trace.py`), and a test compares the two: the keys are
Graph's own, values are texts and whole numbers, times are in UTC, and nothing that must be there is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.exports.entra_records import document_of, without_surrogates
from pipeline.exports.traces import status_of, version_id
from pipeline.model import TIME, TRACES, Chunk

KEYS = (
    "receivedDateTime", "id", "messageId", "senderAddress", "recipientAddress", "status", "fromIP", "toIP", "size",
)  # fmt: skip
"""Graph's names, in the order of the columns of `traces`."""

_OTHER_NAMES = frozenset({"received", "messagetraceid", "d", "tables", "body", "columns", "rows"})
"""In lower case: what would say the same, or hold the record itself somewhere below."""
_TIME = (
    r"^[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?Z$"
)
_MICROSECONDS = len("2026-12-31T23:59:59.123456")
_MOST_SIZE = 10**10

_values = itemgetter(*KEYS)
_NO_TEXTS = frozenset({type(None)})


def table_of_page(body: Chunk) -> pa.Table | None:
    """Return the traces in `body`, or None when it is anything but a plain page of them."""
    columns = _columns(_records(body.body))
    if columns is None:
        return None
    received, trace_id, message_id, sender, recipient, status, from_ip, to_ip = map(_texts, columns[:-1])
    size = columns[-1]
    moments = _moments(received)
    if moments is None or not (all(sender) and all(recipient) and all(status)):
        return None
    statuses = {word: status_of(word) for word in set(status)}
    versions = (
        _lower(trace_id),
        [each or None for each in message_id],
        ["" if each == "<>" else each.lower() for each in sender],
        [each.lower() for each in recipient],
        [statuses[each] for each in status],
        _lower(from_ip),
        _lower(to_ip),
        size,
    )
    seconds = [f"{each[:10]} {each[11:19]}+00:00" for each in received]
    rest = (_same(body.as_of, len(size), TIME), _same(body.offset, len(size), pa.int64()))
    ids = [version_id(*each) for each in zip(seconds, *versions, strict=True)]
    return pa.table([moments, *versions, *rest, ids], schema=TRACES)


def _records(body: bytes) -> Sequence[Any]:
    """Return the records of a page whose list is all that it holds, besides what OData says of it."""
    page = document_of(body)
    if not isinstance(page, dict) or not all(key == "value" or key.startswith("@odata.") for key in page):
        return ()
    records = page.get("value")
    return records if isinstance(records, list) else ()


def _columns(records: Sequence[Any]) -> Sequence[Sequence[Any]] | None:
    """Return the values of `records` by column, when each has Graph's keys and values of Graph's types."""
    if not records or {*map(type, records)} != {dict} or not all(map(_is_plain, {*map(tuple, records)})):
        return None
    *texts, size = columns = tuple(zip(*map(_values, records), strict=True))
    if not all({*map(type, column)} - _NO_TEXTS <= {str} for column in texts):
        return None
    return columns if {*map(type, size)} == {int} and 0 <= min(size) <= max(size) < _MOST_SIZE else None


def _is_plain(keys: tuple[str, ...]) -> bool:
    """Return whether a record with these keys has Graph's, and none that could be taken for one of them."""
    folded = [key.lower() for key in keys]
    return {*KEYS} <= {*keys} and len({*folded}) == len(folded) and _OTHER_NAMES.isdisjoint(folded)


def _texts(values: Sequence[str | None]) -> list[str]:
    return [without_surrogates(each).strip() if each else "" for each in values]


def _lower(texts: Sequence[str]) -> list[str | None]:
    return [each.lower() or None for each in texts]


def _moments(texts: Sequence[str]) -> pa.Array | None:
    """Return `texts` as times, cut to microseconds; None when one is no day of the calendar or is written otherwise."""
    if not pc.all(pc.match_substring_regex(pa.array(texts, pa.string()), _TIME)).as_py():
        return None
    try:
        return pa.array([f"{each[:-1][:_MICROSECONDS]}Z" for each in texts], pa.string()).cast(TIME)
    except pa.ArrowInvalid:
        return None


def _same(value: Any, times: int, type: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, type), times)
