"""
Microsoft 365's unified audit log: who logged in, where Entra's own sign-in log is not to be had.

Reads: `UserLoggedIn` and `UserLoginFailed` as JSON (Management API, Graph's audit queries, what
`Search-UnifiedAuditLog` gives), as the CSV of an audit search, whose column AuditData holds the record as JSON, and as
PowerShell prints or saves the objects of that cmdlet.
Leaves: all other operations.

What a reader could not guess:
- The user agent is all that tells the protocol: `BAV2ROPC` is a password, over SMTP, IMAP or POP alike, so the service
  stays unknown.
- Applications and resources are named by their id.
- `UserLoggedIn` with an error number was interrupted and is no success.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.exports.entra_fields import address_of, is_password_agent
from pipeline.exports.entra_records import looks_like_json, raw_of, records_in, text_of, without_surrogates
from pipeline.exports.json_records import JsonRecord
from pipeline.exports.locales import DayOrder, moment_of
from pipeline.exports.powershell import Saved, is_printed, objects_in, properties_in
from pipeline.exports.tables import columns_in, fold, read, reject_of, shown
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of
from pipeline.replies import LONGEST_TEXT

WHOLE = True

_SIGNS = tuple(re.compile(rf"\"{key}\"\s{{0,9}}:", re.IGNORECASE) for key in ("Operation", "CreationTime", "Workload"))
_PACKED_SIGN = re.compile(r"\"AuditData\"\s{0,9}:\s{0,9}(?:\{|\"\s{0,9}\{)", re.IGNORECASE)
_OUTCOMES = {"userloggedin": "accepted", "userloginfailed": "rejected"}
_NAMES = {fold("AuditData"): "record", fold("CreationDate"): "time"}
_NOT_TOLD = {"", "not available", "unknown"}


def looks_like(head: bytes) -> bool:
    """Return whether `head` holds records of the audit log."""
    if is_printed(head, _NAMES):
        return {"record", "time"} <= properties_in(head, _NAMES)
    if not looks_like_json(head):
        return {"record", "time"} <= columns_in(head, _NAMES)
    text = text_of(head)
    return all(sign.search(text) for sign in _SIGNS) or _PACKED_SIGN.search(text) is not None


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `signins` row for each log-in."""
    found = _found(body)
    rows = [each for each in found if isinstance(each, dict)]
    rejects = tuple(each for each in found if isinstance(each, Reject))
    left = len(found) - len(rows) - len(rejects)
    return Parsed({"signins": rows_of("signins", rows)}, rejects, lines=len(found), left=left)


def _found(body: Chunk) -> list[dict[str, Any] | Reject | None]:
    if is_printed(body.body, _NAMES):
        return [_unpacked(each) if isinstance(each, Saved) else each for each in objects_in(body, _NAMES)]
    return _json(body) if looks_like_json(body.body) else _csv(body)


def _unpacked(saved: Saved) -> dict[str, Any] | Reject | None:
    packed = JsonRecord({"auditdata": saved["record"]}, saved.offset)
    if saved.names and not packed.inner("auditdata"):
        why = f"AuditData is {shown(saved['record'])}; expected a record as JSON"
        return Reject(saved.raw, saved.offset, why)
    return _row(packed)


def _json(body: Chunk) -> list[dict[str, Any] | Reject | None]:
    return [record if isinstance(record, Reject) else _row(record) for record in records_in(body)]


def _csv(body: Chunk) -> list[dict[str, Any] | Reject | None]:
    export = read(body, _NAMES)
    found: list[dict[str, Any] | Reject | None] = [None] * export.repeated
    for record in export.records:
        packed = JsonRecord({"auditdata": record["record"]}, body.offset + record.offset)
        if record.trouble or not packed.inner("auditdata"):
            why = record.trouble or f"AuditData is {shown(record['record'])}; expected a record as JSON"
            found.append(reject_of(record, body, why))
        else:
            found.append(_row(packed))
    return found


def _row(packed: JsonRecord) -> dict[str, Any] | Reject | None:
    record = JsonRecord({**packed.values, **packed.inner("auditdata")}, packed.offset)
    outcome = _OUTCOMES.get(record.text("operation").lower())
    if outcome is None:
        return None
    stamp = record.text("creationtime", "createddatetime")
    time = moment_of(stamp, DayOrder.MONTH_FIRST)
    if time is None:
        reason = f"CreationTime is {shown(stamp)}; expected a date and time"
        return Reject(raw_of(packed.values), record.offset, reason)
    told = {name: without_surrogates(text) or None for name, text in _texts(record, outcome).items()}
    values = {"event_time": time, **told}
    itself = (record.text("id").lower(),) if record.text("id") else tuple(values.values())
    return {**values, "origin_offset": record.offset, "event_id": event_id_of("audit", *itself)}


def _texts(record: JsonRecord, outcome: str) -> dict[str, str]:
    agent = _extended(record).get("useragent", "")
    error = record.text("errornumber", "errorcode")
    is_refused = outcome == "rejected" or error.strip("0") != ""
    return {
        "user": _told(record.text("userid", "userprincipalname", "userkey")).lower(),
        "client_ip": address_of(record.text("clientip", "actoripaddress")),
        "user_agent": agent,
        "auth_protocol": "basic" if is_password_agent(agent) else "unknown",
        "outcome": "rejected" if is_refused else "accepted",
        "error_code": error,
        "error_text": record.text("logonerror")[:LONGEST_TEXT] if is_refused else "",
        "app_name": _told(record.text("applicationid")),
        "resource_name": _told(record.text("objectid")),
        "request_id": record.text("id"),
    }


def _told(text: str) -> str:
    return "" if text.lower() in _NOT_TOLD else text


def _extended(record: JsonRecord) -> dict[str, str]:
    """Return the list of Name and Value that is called ExtendedProperties as a dictionary."""
    listed = record.values.get("extendedproperties")
    pairs = [
        {str(key).lower(): value for key, value in each.items()}
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, dict)
    ]
    return {str(pair.get("name", "")).lower(): str(pair.get("value") or "").strip() for pair in pairs}
