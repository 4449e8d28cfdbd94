"""
Message tracking logs of Exchange Server 2010 to SE: what became of each mail that left, and which device handed it in.

Reads: SEND and SENDEXTERNAL by SMTP; FAIL and DEFER by SMTP or a queue, SUBMITFAIL and SUBMITDEFER, where they name a
reason, one row for each recipient; DSN whose failure was not told before; RECEIVE by SMTP for the device of a message.
Leaves: all other events (agents, routing, mailboxes of one's own), sends between one's own servers, and subjects,
which are never kept.

What a reader could not guess:
- Exchange 2010 writes 26 fields, 2013 27, later versions 30. `#Fields` decides; rows without one are read by their
  number, and only where their events are those of this log.
- recipient-address and recipient-status are lists in the same order, parted by semicolons. A status that holds one
  itself stands between apostrophes; where a list cannot be parted all the same, all of it is the answer for each.
- What the events mean is the same in an export of them, and is told in `exchange_events`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.exchange.directives import directive_of, names_of, time_of, values_of
from pipeline.exchange.events import Event, Mails, told
from pipeline.exchange.reason import statuses_of, values_in
from pipeline.lines import RawLine, lines_of, text_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, rows_of

WHOLE = False

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


@dataclass(slots=True)
class _Log:
    """Where the reading of one log stands."""

    fields: list[str] | None
    mails: Mails
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
    log = _Log(carry.get("fields"), Mails(carry.get("mails", [])), body.host)
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
    return list(told(_event(row, time, raw), log.mails, log.host))


def _event(row: Mapping[str, str], time: datetime, raw: RawLine) -> Event:
    recipients = [each.strip().lower() for each in values_in(row["recipient-address"]) if each.strip()]
    statuses = statuses_of(row.get("recipient-status", ""), max(1, len(recipients)))
    # What a bounce refers to is a list too, of one message.
    columns = {**row, "reference": ";".join(values_in(row.get("reference", "")))}
    return Event(time, columns, tuple(recipients), tuple(statuses), ("tracking", raw.raw), raw.offset)


def _heading(names: list[str], raw: RawLine, log: _Log) -> Reject | None:
    log.fields = names if set(_REQUIRED) <= set(names) else None
    if log.fields is None:
        return Reject(raw.raw, raw.offset, f"The #Fields line lacks one of {', '.join(_REQUIRED)}.")
    return None


def _row_of(text: str, fields: list[str] | None) -> dict[str, str]:
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
