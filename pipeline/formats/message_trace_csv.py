"""
Message traces that an administrator exported: `Get-MessageTraceV2 | Export-Csv`, from any PowerShell and any locale.

Reads: one row for each message and recipient, with `Received` (UTC by documentation, whatever the machine's zone),
`SenderAddress`, `RecipientAddress`, `Status`, and where they are there `MessageTraceId`, `MessageId`, `FromIP`, `ToIP`
and `Size`; other columns may stand between them. The null sender `<>` of a bounce becomes ''.
Leaves: the subject, which is never kept, all other columns, the `#TYPE` line of PowerShell 5.1, and a header that
returns where exports were appended to one another.

A trace shows what got in. A log-in that was refused has no envelope and so no trace: the sign is that rows stop.
Dates stand in the machine's locale; the order of day and month is decided once for the whole file, and a file that is
ambiguous throughout is read as m/d/y (see `locales.day_order_of`). The rows of one file were all seen when it was
written, so a later export of the same message with another status is another version, and the same version from
another file keeps its id.
Each record is counted once: lines = rows + rejects + left (the headers that returned).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pipeline.locales import DayOrder, count_of, day_order_of, moment_of
from pipeline.model import Carry, Chunk, Parsed, event_id_of, rows_of
from pipeline.tables import Record, columns_in, read, reject_of, shown, without

WHOLE = True

_NAMES = {
    "received": "received_at",
    "senderaddress": "sender",
    "recipientaddress": "recipient",
    "status": "status",
    "messagetraceid": "trace_id",
    "messageid": "message_id",
    "fromip": "from_ip",
    "toip": "to_ip",
    "size": "size_bytes",
}
_NEEDED = {
    "received_at": "Received",
    "sender": "SenderAddress",
    "recipient": "RecipientAddress",
    "status": "Status",
}
_ADVICE = "export the objects of Get-MessageTraceV2 with these properties"


def looks_like(head: bytes) -> bool:
    """Return whether the header in `head` names the properties of a message trace."""
    return _NEEDED.keys() <= columns_in(head, _NAMES)


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `traces` row for each record of the export; raise FormatError when its header lacks a column."""
    export = read(body, _NAMES)
    if error := without(export, _NEEDED, body, _ADVICE):
        raise error
    order = day_order_of((record["received_at"] for record in export.records), body.as_of)
    rows, rejects = [], []
    for record in export.records:
        row = record.trouble or _row(record, order, body)
        if isinstance(row, str):
            rejects.append(reject_of(record, body, row))
        else:
            rows.append(row)
    lines = len(export.records) + export.repeated
    return Parsed({"traces": rows_of("traces", rows)}, tuple(rejects), lines=lines, left=export.repeated)


def _row(record: Record, order: DayOrder, body: Chunk) -> dict[str, Any] | str:
    """Return the row of `record`, or why there is none."""
    received_at = moment_of(record["received_at"], order)
    if received_at is None:
        expected = f"expected a date and time (read as {order} unless the year comes first)"
        return f"Received is {shown(record['received_at'])}; {expected}"
    size = count_of(record["size_bytes"])
    if size is None and record["size_bytes"]:
        return f"Size is {shown(record['size_bytes'])}; expected a number of bytes"
    empty = [header for name, header in _NEEDED.items() if not record[name]]
    if empty:
        return f"{' and '.join(empty)} is empty; expected a value in each record"
    version = _version(record, received_at, size)
    return {
        **version,
        "seen_at": body.as_of,
        "origin_offset": body.offset + record.offset,
        "event_id": event_id_of(*version.values()),
    }


def _version(record: Record, received_at: datetime, size: int | None) -> dict[str, Any]:
    """Return what one version of a trace says, which is also what its id is made of."""
    return {
        "received_at": received_at,
        "trace_id": record["trace_id"].lower() or None,
        "message_id": record["message_id"] or None,
        "sender": "" if record["sender"] == "<>" else record["sender"].lower(),
        "recipient": record["recipient"].lower(),
        "status": record["status"].lower(),
        "from_ip": record["from_ip"].lower() or None,
        "to_ip": record["to_ip"].lower() or None,
        "size_bytes": size,
    }
