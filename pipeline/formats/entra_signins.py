"""
Entra sign-in logs, in every shape that they are exported in: who logs in, from where, and whether with a password.

Reads: Graph's `signIns` pages, exports and query results of Log Analytics (`SigninLogs`,
`AADNonInteractiveUserSignInLogs` and their like) and of Defender's hunting, what an Event Hub or a storage account
holds, the portal's own downloads, as JSON or CSV, and what PowerShell printed or saved of Graph's objects. Leaves:
audit events and whatever else shares a feed with sign-ins.

What a reader could not guess:
- A password over SMTP shows as client app "Authenticated SMTP" (in places "SMTP"), as user agent `BAV2ROPC` (or
  `CBAinPROD` and its like), or as protocol `ropc`, once misspelt `rpoc`. The user agents also stand for IMAP, POP and
  Exchange ActiveSync, so only the client app says that it was SMTP: only then `service` is exchange_online.
- An OAuth log-in of an SMTP client shows as "Mobile Apps and Desktop clients" and says nothing of SMTP.
- Unknown client apps and protocols are rows all the same; their protocol is 'unknown'.
- After the cutover a refused log-in may leave no row at all: silence here is not health.
- The same sign-in from several exports has one id (Graph's `id`, `Id`, "Request ID") and so one row; the id of the
  first request of a sequence is another thing. An interrupted sign-in may be listed again under its id once it is
  completed, so the outcome is part of its name. Only error code 0 is a success; an interruption is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any

from pipeline.exports.entra_fields import NAMES, address_of, is_password_agent, name_of, plain, status_of
from pipeline.exports.entra_records import looks_like_json, raw_of, records_in, text_of, without_surrogates
from pipeline.exports.json_records import JsonRecord
from pipeline.exports.locales import DayOrder, day_order_of, expected, is_local, moment_of
from pipeline.exports.powershell import Saved, is_printed, objects_in, properties_in
from pipeline.exports.tables import Record, columns_in, fold, read, reject_of, shown
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of
from pipeline.replies import LONGEST_TEXT

WHOLE = True

_KEY = r"\"(?:client_?App_?Used|conditional_?Access_?Status|sign_?In_?Event_?Types)\""
# Keys, not values: what stands in a value may be chosen by a stranger.
_SIGN = re.compile(
    rf"{_KEY}\s{{0,9}}:|\"@odata\.context\"\s{{0,9}}:\s{{0,9}}\"[^\"]{{0,200}}auditLogs/signIns"
    r"|\"operationName\"\s{0,9}:\s{0,9}\"Sign-in activity\""
    r"|\"(?:category|type|\$table)\"\s{0,9}:\s{0,9}\"[\w-]{0,40}SignIn(?:Logs|Events(?:Beta)?)\"",
    re.IGNORECASE,
)
_COLUMNS = re.compile(r"\"columns\"\s{0,9}:\s{0,9}\[", re.IGNORECASE)
_COLUMN = re.compile(_KEY, re.IGNORECASE)
_PACKED = re.compile(r"\"(?:properties|body)\"\s{0,9}:\s{0,9}\"\s{0,9}[{\[]", re.IGNORECASE)
_ESCAPED = re.compile(r"\\\"(?:clientAppUsed|conditionalAccessStatus)\\\"\s{0,9}:", re.IGNORECASE)

_MARKS = {"client_app", "conditional_access", "status", "protocol", "interactive", "events", "resource", "ip"}
_SMTP_APP = re.compile(r"\bsmtp\b", re.IGNORECASE)
_EXCHANGE = "office 365 exchange online"
_EXCHANGE_ID = "00000002-0000-0ff1-ce00-000000000000"
_LOG_ANALYTICS_RESOURCE = "microsoft.aadiam"
_PASSWORD_PROTOCOLS = {"ropc", "rpoc"}
_OAUTH_PROTOCOLS = {"oauth2", "oauth20", "devicecode"}
_SUCCESS_WORDS = {"success", "erfolg", "erfolgreich"}
_FAILURE_WORDS = {"failure", "interrupted", "fehler", "unterbrochen"}
_SAYS_NOTHING = {"", "other.", "none"}
_OLD_TIME = re.compile(r"/Date\((-?\d{1,14})(?:[+-]\d{4})?\)/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _SignIn:
    """
    What one sign-in says by our names for it, where it stands, and how to get its bytes for a reject.

    `zones` has the zone of those times that the export does not write in UTC.
    """

    said: Mapping[str, str]
    offset: int
    raw: Callable[[], bytes]
    zones: Mapping[str, tzinfo] = field(default_factory=dict)

    def first(self, *names: str) -> str:
        return next((self.said[name] for name in names if self.said.get(name)), "")


def looks_like(head: bytes) -> bool:
    """Return whether `head` holds a sign-in, as JSON or as the CSV of the portal or of Log Analytics."""
    if looks_like_json(head):
        text = text_of(head)
        return bool(
            _SIGN.search(text)
            or (_COLUMNS.search(text) and _COLUMN.search(text))
            or (_PACKED.search(text) and _ESCAPED.search(text))
        )
    columns = properties_in(head, NAMES) if is_printed(head, NAMES) else columns_in(head, NAMES)
    return (
        bool({"created", "logged"} & columns)
        and bool({"user", "service_principal"} & columns)
        and "ip" in columns
        and bool({"client_app", "app"} & columns)
        and bool({"code", "result", "status", "conditional_access"} & columns)
    )


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `signins` row for each sign-in of the export."""
    found, rejects, left, lines = _read(body)
    order = day_order_of((each.first("created", "logged") for each in found), body.as_of)
    rows = []
    for each in found:
        time = _time_of(each, order)
        if time is None:
            what = shown(each.first("created", "logged"))
            rejects.append(Reject(each.raw(), each.offset, f"the time is {what}; {expected(order)}"))
        else:
            rows.append(_row(each, time))
    rejects.sort(key=lambda reject: reject.offset)
    return Parsed({"signins": rows_of("signins", rows)}, tuple(rejects), lines=lines, left=left)


def _read(body: Chunk) -> tuple[list[_SignIn], list[Reject], int, int]:
    if is_printed(body.body, NAMES):
        return _printed(body)
    return _json(body) if looks_like_json(body.body) else _csv(body)


def _printed(body: Chunk) -> tuple[list[_SignIn], list[Reject], int, int]:
    found = list(objects_in(body, NAMES))
    rejects = [each for each in found if isinstance(each, Reject)]
    sign_ins = [
        _SignIn({**each.values, **status_of(each["status"])}, each.offset, partial(bytes, each.raw))
        for each in found
        if isinstance(each, Saved) and _is_sign_in(each.values, set(each.names))
    ]
    return sign_ins, rejects, len(found) - len(sign_ins) - len(rejects), len(found)


def _json(body: Chunk) -> tuple[list[_SignIn], list[Reject], int, int]:
    """Return the sign-ins, what could not be read, and how many records were left and were there."""
    found: list[_SignIn] = []
    rejects: list[Reject] = []
    left = lines = 0
    for record in records_in(body):
        lines += 1
        if isinstance(record, Reject):
            rejects.append(record)
        elif sign_in := _from_json(record):
            found.append(sign_in)
        else:
            left += 1
    return found, rejects, left, lines


def _csv(body: Chunk) -> tuple[list[_SignIn], list[Reject], int, int]:
    export = read(body, NAMES)
    zones = {name: body.zone for name, word in export.words.items() if is_local(word)}
    found: list[_SignIn] = []
    rejects: list[Reject] = []
    left = export.repeated
    for record in export.records:
        if record.trouble:
            rejects.append(reject_of(record, body, record.trouble))
        elif _is_named_sign_in(record.values) is not False:
            said = {**record.values, **status_of(record["status"])}
            found.append(_SignIn(said, body.offset + record.offset, partial(_bytes_of, record, body), zones))
        else:
            left += 1
    return found, rejects, left, len(export.records) + export.repeated


def _bytes_of(record: Record, body: Chunk) -> bytes:
    return body.body[record.offset : record.offset + record.size]


def _from_json(record: JsonRecord) -> _SignIn | None:
    """Return the sign-in of `record`, whose `properties` go before its envelope; None for what is no sign-in."""
    said: dict[str, str] = {}
    names = set()
    for values in (record.inner("properties"), record.values):
        for key, value in values.items():
            name = name_of(key)
            if name:
                names.add(name)
                _add(said, name, value)
    return _SignIn(said, record.offset, partial(raw_of, record.values)) if _is_sign_in(said, names) else None


def _add(said: dict[str, str], name: str, value: Any) -> None:
    text = plain(value)
    if text:
        said.setdefault(name, text)
    if name == "status" and "status_code" not in said:
        said.update(status_of(value))


def _is_sign_in(said: Mapping[str, str], names: set[str]) -> bool:
    named = _is_named_sign_in(said)
    if named is not None:
        return named
    # A query may have kept a few columns only; no other log has one for the client app that a user logged in with.
    return bool(names & {"created", "logged"}) and (len(names & _MARKS) >= 3 or {"client_app", "user"} <= names)


def _is_named_sign_in(said: Mapping[str, str]) -> bool | None:
    """Return whether a record is called a sign-in, or None where it is not called anything."""
    feeds = [said.get(name, "").lower() for name in ("category", "operation", "table")]
    if any("sign-in activity" in feed or "signinlogs" in feed or "signinevents" in feed for feed in feeds):
        return True
    return False if feeds[0] or feeds[1] else None


def _time_of(sign_in: _SignIn, order: DayOrder) -> datetime | None:
    """Return when it was: as the sign-in says, or else as the log does that it was written to."""
    times = (_moment(sign_in.said.get(name, ""), order, sign_in.zones.get(name, UTC)) for name in ("created", "logged"))
    return next((time for time in times if time), None)


def _moment(text: str, order: DayOrder, zone: tzinfo) -> datetime | None:
    if old := _OLD_TIME.fullmatch(text):
        milliseconds = int(old[1])
        return _EPOCH + timedelta(milliseconds=milliseconds) if abs(milliseconds) < 1 << 47 else None
    return moment_of(text, order, zone)


def _row(sign_in: _SignIn, time: datetime) -> dict[str, Any]:
    code = _code(sign_in.first("status_code", "code", "result"))
    outcome = _outcome(code, [sign_in.said.get(name, "") for name in ("status", "signature", "result")])
    texts = {
        "user": sign_in.first("user", "typed", "service_principal").lower(),
        "client_ip": address_of(sign_in.first("ip", "caller_ip")),
        "client_app": sign_in.first("client_app"),
        "user_agent": sign_in.first("user_agent"),
        "auth_protocol": _auth_protocol(sign_in),
        "auth_mechanism": sign_in.first("protocol"),
        "service": _service(sign_in),
        "outcome": outcome,
        "error_code": code,
        "error_text": "" if outcome == "accepted" else _reason(sign_in),
        "app_name": sign_in.first("app"),
        "resource_name": _resource(sign_in),
        "conditional_access": sign_in.first("conditional_access"),
        "request_id": sign_in.first("id"),
    }
    row = {
        "event_time": time,
        "is_interactive": _is_interactive(sign_in),
        **{name: without_surrogates(text) or None for name, text in texts.items()},
    }
    itself = (sign_in.first("id").lower(), outcome) if sign_in.first("id") else tuple(row.values())
    return {**row, "origin_offset": sign_in.offset, "event_id": event_id_of("sign-in", *itself)}


def _auth_protocol(sign_in: _SignIn) -> str:
    protocol = fold(sign_in.first("protocol"))
    if protocol in _PASSWORD_PROTOCOLS or is_password_agent(sign_in.first("user_agent")):
        return "basic"
    if protocol in _OAUTH_PROTOCOLS:
        return "oauth2"
    return "basic" if _is_smtp(sign_in) else "unknown"


def _is_smtp(sign_in: _SignIn) -> bool:
    """Return whether the client app is SMTP, as in "Authenticated SMTP", "Other clients; SMTP", or another language."""
    return _SMTP_APP.search(sign_in.first("client_app")) is not None


def _service(sign_in: _SignIn) -> str:
    resource = _resource(sign_in).lower()
    is_exchange = resource in {"", _EXCHANGE} or sign_in.first("resource_id").lower() == _EXCHANGE_ID
    return "exchange_online" if is_exchange and _is_smtp(sign_in) else ""


def _resource(sign_in: _SignIn) -> str:
    """Return what was logged in to; the column Resource of Log Analytics names the log instead."""
    named = sign_in.first("resource", "resource_short")
    return "" if named.lower() == _LOG_ANALYTICS_RESOURCE else named


def _code(text: str) -> str:
    return text if text.isascii() and text.isdigit() and len(text) < 12 else ""


def _outcome(code: str, words: Iterable[str]) -> str:
    if code:
        return "accepted" if int(code) == 0 else "rejected"
    said = {word.lower() for word in words}
    if said & _FAILURE_WORDS:
        return "rejected"
    return "accepted" if said & _SUCCESS_WORDS else "unknown"


def _reason(sign_in: _SignIn) -> str:
    reasons = [sign_in.first(name) for name in ("status_reason", "reason", "description", "details")]
    telling = [reason for reason in reasons if reason.lower() not in _SAYS_NOTHING]
    return (telling or [reason for reason in reasons if reason] or [""])[0][:LONGEST_TEXT]


def _is_interactive(sign_in: _SignIn) -> bool | None:
    word = sign_in.first("interactive").lower()
    if word in {"true", "false", "yes", "no"}:
        return word in {"true", "yes"}
    events = sign_in.first("events").lower()
    if "interactiveuser" in events:
        return "noninteractiveuser" not in events
    return False if "noninteractiveuser" in sign_in.first("category", "table").lower() else None
