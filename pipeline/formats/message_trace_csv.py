"""
Message traces that an administrator exported: `Get-MessageTraceV2` saved with `Export-Csv`, `Export-Clixml` or as the
text of `Format-List` or `Format-Table`, or "Export results" of the trace page in the Exchange admin center, from any
PowerShell and any locale.

Reads: one row for each message and recipient, with `Received` (UTC by documentation, whatever the machine's zone),
`SenderAddress`, `RecipientAddress`, `Status`, and where they are there `MessageTraceId`, `MessageId`, `FromIP`, `ToIP`
and `Size`; other columns may stand between them. The null sender `<>` of a bounce becomes ''. The admin center's file
(Date, Sender, Recipient, Subject, Status, in English, German, French or Spanish) has the same columns by other names.
Leaves: the subject, which is never kept, all other columns, the `#TYPE` line of PowerShell 5.1, and a header that
returns where exports were appended to one another.

A trace shows what got in. A log-in that was refused has no envelope and so no trace: the sign is that rows stop. Dates
stand in the machine's locale; the order of day and month is decided once for the whole file, and in a file that is
ambiguous throughout each record is a reject (see `locales.day_order_of`). A header such as "Date (UTC+01:00)" names the
zone of its times; where the admin center's names none, they are in the zone that the settings give. The rows of one
file were all seen when it was written, so a later export of the same message with another status is another version,
and the same version from another file keeps its id. Each record is counted once: lines = rows + rejects + left (the
headers that returned).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, tzinfo
from typing import Any

from pipeline.exports.locales import DayOrder, count_of, day_order_of, expected, moment_of, zone_of
from pipeline.exports.powershell import Saved, is_printed, objects_in, properties_in
from pipeline.exports.tables import Export, columns_in, fold, read, reject_of, shown, without
from pipeline.exports.traces import table_of, trace_row
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of

WHOLE = True

_HEADERS = {
    "received_at": ("Received", "Date", "Datum", "Fecha", "Received Date", "Date received", "Date and time"),
    "sender": (
        *("SenderAddress", "Sender", "Absender", "Absenderadresse", "Expéditeur", "Adresse de l'expéditeur"),
        *("Adresse d'expéditeur", "Remitente", "Dirección del remitente"),
    ),
    "recipient": (
        *("RecipientAddress", "Recipient", "Empfänger", "Empfängeradresse", "Destinataire"),
        *("Adresse du destinataire", "Destinatario", "Dirección del destinatario"),
    ),
    "status": ("Status", "Statut", "État", "Zustellungsstatus", "Estado"),
    "trace_id": ("MessageTraceId", "Network message ID", "Netzwerknachrichten-ID"),
    "message_id": ("MessageId", "Nachrichten-ID", "ID de message", "ID du message", "Id. de mensaje"),
    "from_ip": ("FromIP", "Von IP", "Von-IP"),
    "to_ip": ("ToIP", "An IP", "An-IP"),
    "size_bytes": ("Size", "Message size", "Größe", "Nachrichtengröße", "Taille", "Tamaño"),
}
_NAMES = {fold(header): name for name, headers in _HEADERS.items() for header in headers}
_NOTHING = dict.fromkeys(_HEADERS, "")
_NEEDED = {
    "received_at": "Received",
    "sender": "SenderAddress",
    "recipient": "RecipientAddress",
    "status": "Status",
}
_ADVICE = "export the objects of Get-MessageTraceV2 with these properties"


def looks_like(head: bytes) -> bool:
    """Return whether the header in `head` names the properties of a message trace."""
    names = properties_in(head, _NAMES) if is_printed(head, _NAMES) else columns_in(head, _NAMES)
    return _NEEDED.keys() <= names


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `traces` row for each record of the export; raise FormatError when its header lacks a column."""
    if is_printed(body.body, _NAMES):
        return _printed(body)
    export = read(body, _NAMES)
    if error := without(export, _NEEDED, body, _ADVICE):
        raise error
    rejects: list[Reject] = []
    rows = table_of(_rows(export, body, rejects))
    lines = len(export.records) + export.repeated
    return Parsed({"traces": rows}, tuple(rejects), lines=lines, left=export.repeated)


def _rows(export: Export, body: Chunk, rejects: list[Reject]) -> Iterator[dict[str, Any]]:
    """Yield the row of each record, and add to `rejects` those that have none."""
    order = day_order_of((record["received_at"] for record in export.records), body.as_of)
    zone = _zone_in(export, body)
    repeats = _Repeats()
    headings = set(export.headings)
    for place, record in enumerate(export.records):
        if place in headings:
            repeats = _Repeats()
        row = record.trouble or _row(record.values, body.offset + record.offset, order, zone, body)
        if isinstance(row, str):
            rejects.append(reject_of(record, body, row))
        else:
            yield row if row["trace_id"] or row["message_id"] else repeats.told_apart(row)


def _printed(body: Chunk) -> Parsed:
    """Return the rows of what PowerShell printed, or saved as CLIXML."""
    found = list(objects_in(body, _NAMES))
    saved = [each for each in found if isinstance(each, Saved) and each.names]
    rejects = [each for each in found if isinstance(each, Reject)]
    order = day_order_of((each["received_at"] for each in saved), body.as_of)
    repeats = _Repeats()
    rows: list[dict[str, Any]] = []
    for each in saved:
        row = _row(each.values, each.offset, order, UTC, body)
        if isinstance(row, str):
            rejects.append(Reject(each.raw, each.offset, row))
        else:
            rows.append(row if row["trace_id"] or row["message_id"] else repeats.told_apart(row))
    left = len(found) - len(rows) - len(rejects)
    return Parsed({"traces": table_of(rows)}, tuple(rejects), lines=len(found), left=left)


class _Repeats:
    """
    Messages without any id, which look the same when they came in the same moment: the second has an id of its own.

    Exports that overlap hold all messages of a moment, so its second one is the same in each of them.
    """

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def told_apart(self, row: dict[str, Any]) -> dict[str, Any]:
        name = row["event_id"]
        self._seen[name] += 1
        times = self._seen[name]
        return row if times == 1 else {**row, "event_id": event_id_of(name, times)}


def _zone_in(export: Export, body: Chunk) -> tzinfo:
    """Return the zone of times that name none."""
    header = export.words["received_at"]
    return zone_of(header) or (UTC if fold(header) == "received" else body.zone)


def _row(given: Mapping[str, str], offset: int, order: DayOrder, zone: tzinfo, body: Chunk) -> dict[str, Any] | str:
    """Return the row of one record, or why there is none."""
    values = {**_NOTHING, **given}
    received_at = moment_of(values["received_at"], order, zone)
    if received_at is None:
        return f"Received is {shown(values['received_at'])}; {expected(order)}"
    size = count_of(values["size_bytes"]) if values["size_bytes"] else None
    if size is None and values["size_bytes"]:
        return f"Size is {shown(values['size_bytes'])}; expected a number of bytes"
    if not (values["sender"] and values["recipient"] and values["status"]):
        empty = [header for name, header in _NEEDED.items() if not values[name]]
        return f"{' and '.join(empty)} is empty; expected a value in each record"
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
        offset=offset,
    )
