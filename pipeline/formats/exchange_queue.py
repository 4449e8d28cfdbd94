"""
What waits in the queues of an Exchange Server: `Get-Message` and `Get-Queue`, as PowerShell saves their objects.

Reads: each mail that waits with an error, recipient by recipient where `-IncludeRecipientInfo` told them, with the
device that handed it in; and each queue with an error, which names no mail. Leaves: what waits without an error, and
subjects, which are never kept.

What a reader could not guess:
- A listing says what was true when it was made, so nothing here was tried: each row is `held`. The time of a mail is
  when it was received, and its id covers no time of listing, so a mail that waits through many listings is one row.
- SourceIP is who handed the mail to this server: behind a front end, or for mail of a mailbox, that is no device.
- The number that ends Identity is the internal-message-id of message tracking.
- A recipient is written as `address;status;type;last error`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.answers import answer
from pipeline.exchange.reason import reason_of
from pipeline.exports.locales import DayOrder, count_of, day_order_of
from pipeline.exports.powershell import Saved, objects_in, properties_in, time_of
from pipeline.exports.tables import fold, shown
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of

WHOLE = True

_PROPERTIES = {
    "identity": "Identity",
    "from": "FromAddress",
    "error": "LastError",
    "received": "DateReceived",
    "expires": "ExpirationTime",
    "message_id": "InternetMessageId",
    "size": "Size",
    "source_ip": "SourceIP",
    "recipients": "Recipients",
    "next_hop": "NextHopDomain",
    "retried": "LastRetryTime",
    "count": "MessageCount",
}
_NAMES = {fold(name): ours for ours, name in _PROPERTIES.items()}
_OF_MAIL = {"from", "error", "identity"}
_OF_QUEUE = {"next_hop", "error", "count"}
_BYTES = re.compile(r"(?:^|\()(\d[\d.,'’ \u00a0\u202f]{0,20}?)(?:$| [^\d()]{1,20}\))")
_ADDRESS = re.compile(r"[^\s;{}@]{1,320}@[^\s;{},@]{1,255}(?=;|,|$|\})")
_NO_DEVICE = {"", "255.255.255.255", "127.0.0.1", "::1"}


def looks_like(head: bytes) -> bool:
    """Return whether the objects in `head` are mails in queues, or queues."""
    names = properties_in(head, _NAMES)
    return names >= _OF_MAIL or names >= _OF_QUEUE


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `held` row for each recipient that waits with an error."""
    found = list(objects_in(body, _NAMES))
    saved = [each for each in found if isinstance(each, Saved)]
    rejects = [each for each in found if isinstance(each, Reject)]
    dates = (each[name] for each in saved for name in ("received", "expires", "retried") if each[name])
    order = day_order_of(dates, body.as_of)
    rows: list[dict[str, Any]] = []
    telling = 0
    for each in saved:
        if not each["error"]:
            continue
        known = _mail(each, order, body) if "from" in each.names else _queue(each, order, body)
        if isinstance(known, Reject):
            rejects.append(known)
        else:
            telling += 1
            rows += _rows(each, known, body)
    left = len(found) - len(rejects) - telling
    return Parsed({"deliveries": rows_of("deliveries", rows)}, tuple(rejects), lines=len(found), left=left)


def _mail(saved: Saved, order: DayOrder, body: Chunk) -> dict[str, Any] | Reject:
    received = time_of(saved["received"], order, body)
    if received is None:
        reason = f"DateReceived is {shown(saved['received'])}, which is no time"
        return Reject(saved.raw, saved.offset, reason)
    sender = saved["from"].strip("<>").lower()
    ip = saved["source_ip"].lower()
    return {
        "event_time": received,
        "queued_at": received,
        "expires_at": time_of(saved["expires"], order, body),
        "sender": sender,
        "client_ip": None if ip in _NO_DEVICE else ip,
        "queue_id": saved["identity"].rpartition("\\")[2] or None,
        "message_id": saved["message_id"] or None,
        "size_bytes": _size(saved["size"]),
    }


def _queue(saved: Saved, order: DayOrder, body: Chunk) -> dict[str, Any] | Reject:
    return {"event_time": time_of(saved["retried"], order, body) or body.as_of}


def _rows(saved: Saved, known: dict[str, Any], body: Chunk) -> Iterator[dict[str, Any]]:
    reason = reason_of(saved["error"])
    said = answer(reason.text, reason.endpoint)
    host = saved["identity"].partition("\\")[0].lower() or body.host
    recipients = dict.fromkeys(address.lower() for address in _ADDRESS.findall(saved["recipients"]))
    for recipient in recipients or (None,):
        yield {
            **said,
            **known,
            "log_host": host,
            "kind": "held",
            "stage": "unknown",
            "outcome": "deferred",
            "recipient": recipient,
            "endpoint_ip": reason.ip,
            "endpoint_port": reason.port,
            "origin_offset": saved.offset,
            "event_id": event_id_of("exchange_queue", host, saved["identity"], recipient, said["reply_class"]),
        }


def _size(text: str) -> int | None:
    found = _BYTES.search(text)
    return count_of(found[1]) if found else None
