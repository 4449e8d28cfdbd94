"""
What waits in a Postfix queue, and until when: `postqueue -j`, and `mailq` or `postqueue -p`.

Reads: each recipient of each mail that was deferred or is held, with the reason that Postfix gives for it; and mails
that are active or came in just now, without one. Leaves: the listing's header and sum, an empty queue, and mails that
are being delivered at this moment.

What a reader could not guess:
- A listing says what was true when it was made, so nothing here was tried: each row is `held`. Its time is when the
  mail arrived, and its id covers no time of listing, so a mail that waits through a hundred listings is one row.
- When a mail is given up is not in the listing. `expires_at` is five days after it arrived, which is Postfix's default
  for `maximal_queue_lifetime` and `bounce_queue_lifetime` alike; a relay that is set otherwise gives up at another
  time. One that an administrator gave up (`#`, `forced_expire`) is over the next time that Postfix looks at it, so its
  end is when it arrived; one that is on hold (`!`) waits for ever.
- Text listings name the sender of a bounce MAILER-DAEMON, and their arrival has neither year nor zone.
- No listing says on which machine it was made: the source's `host` does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.lines import RawLine, lines_of, text_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of
from pipeline.programs.postfix import answer_of
from pipeline.stamps import Stamps

WHOLE = True
KEPT_BY_DEFAULT = timedelta(days=5)

_EMPTY = re.compile(rb"\s*Mail queue is empty\s*\Z")
_HEADER = re.compile(rb"-+Queue ID-+|-Queue ID-")
_SUM = re.compile(rb"-- \d+ (?:Kbytes|bytes) in \d+ Requests?\.")
_MAIL = re.compile(
    rb"([0-9A-Za-z]{5,24})([*!#]?) +(\d+) [A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) +(.*\S)\s*", re.DOTALL
)
_REASON = re.compile(rb" *\((.*)\)\s*", re.DOTALL)
_RECIPIENT = re.compile(rb"\s+(\S.*\S)\s*", re.DOTALL)
_NULL_SENDER = "mailer-daemon"
_DAEMONS_QUEUES = {"deferred", "hold", "active", "incoming", "maildrop"}
_NEEDED = {"queue_name", "queue_id", "arrival_time", "recipients"}


@dataclass(slots=True)
class _Mail:
    """One mail of a text listing, and the reason that was said last."""

    queue_id: str
    arrived_at: datetime
    sender: str
    size: int
    reason: str = ""
    is_given_up: bool = False
    is_on_hold: bool = False

    @property
    def expires_at(self) -> datetime | None:
        """When the mail is given up, as far as a listing tells."""
        if self.is_on_hold:
            return None
        return self.arrived_at if self.is_given_up else self.arrived_at + KEPT_BY_DEFAULT


def looks_like(head: bytes) -> bool:
    """Return whether `head` is a listing of a Postfix queue."""
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        return False
    return bool(_EMPTY.match(lines[0]) or _HEADER.match(lines[0]) or _mail_in_json(lines[0]))


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `held` row for each recipient that waits."""
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    lines = left = 0
    for found in _records(body):
        lines += 1
        if isinstance(found, Reject):
            rejects.append(found)
        elif found:
            rows += found
        else:
            left += 1
    return Parsed({"deliveries": rows_of("deliveries", rows)}, tuple(rejects), lines=lines, left=left)


def _records(body: Chunk) -> Iterator[list[dict[str, Any]] | Reject | None]:
    stamps = Stamps(body.as_of, body.zone)
    mail: _Mail | None = None
    for raw in lines_of(body):
        if long := too_long(raw):
            yield long
        elif raw.raw.lstrip()[:1] == b"{":
            yield _json_record(raw, body)
        elif match := _MAIL.fullmatch(raw.raw):
            mail = _mail(match, stamps)
            yield None if mail else Reject(raw.raw, raw.offset, "names a time of arrival that never was")
        else:
            yield _text_record(raw, mail, body)


def _mail(match: re.Match[bytes], stamps: Stamps) -> _Mail | None:
    queue_id, state, size, arrived, sender = match.groups()
    time = stamps.read(arrived)
    if time is None:
        return None
    mail = _Mail(queue_id.decode("ascii"), time, _sender(text_of(sender)), int(size[:15]))
    mail.is_given_up, mail.is_on_hold = state == b"#", state == b"!"
    return mail


def _text_record(raw: RawLine, mail: _Mail | None, body: Chunk) -> list[dict[str, Any]] | Reject | None:
    if not raw.raw.strip() or _EMPTY.match(raw.raw) or _HEADER.match(raw.raw) or _SUM.match(raw.raw):
        return None
    if mail and (reason := _REASON.fullmatch(raw.raw)):
        mail.reason = text_of(reason[1])
        return None
    if mail and (recipient := _RECIPIENT.fullmatch(raw.raw)):
        return [_row(mail, text_of(recipient[1]), mail.reason, raw, body)]
    return Reject(raw.raw, raw.offset, "is no line of a queue listing" if raw.is_ended else "the file ends in mid-line")


def _json_record(raw: RawLine, body: Chunk) -> list[dict[str, Any]] | Reject | None:
    found = _mail_in_json(raw.raw)
    if found is None:
        why = "is no mail of a queue listing" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    arrived, size = found["arrival_time"], found.get("message_size")
    if not isinstance(arrived, int) or not 0 <= arrived < 1 << 33:
        return Reject(raw.raw, raw.offset, "names a time of arrival that never was")
    time = datetime.fromtimestamp(arrived, UTC)
    size = size if isinstance(size, int) and 0 <= size < 1 << 62 else 0
    mail = _Mail(str(found["queue_id"]), time, _sender(str(found.get("sender") or "")), size)
    mail.is_given_up, mail.is_on_hold = found.get("forced_expire") is True, found["queue_name"] == "hold"
    recipients = [each for each in found["recipients"] if isinstance(each, dict) and each.get("address")]
    return [
        _row(mail, str(each["address"]), str(each.get("delay_reason") or ""), raw, body) for each in recipients
    ] or None


def _mail_in_json(line: bytes) -> dict[str, Any] | None:
    if b'"queue_id"' not in line:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_mail = isinstance(found, dict) and found.keys() >= _NEEDED and isinstance(found["recipients"], list)
    return found if is_mail and found["queue_name"] in _DAEMONS_QUEUES else None


def _row(mail: _Mail, recipient: str, reason: str, raw: RawLine, body: Chunk) -> dict[str, Any]:
    answer = answer_of(reason, "none", None)
    return {
        **answer,
        "event_time": mail.arrived_at,
        "log_host": body.host,
        "kind": "held",
        "outcome": "deferred",
        "queue_id": mail.queue_id,
        "sender": mail.sender,
        "recipient": recipient.strip("<>").lower(),
        "size_bytes": mail.size or None,
        "queued_at": mail.arrived_at,
        "expires_at": mail.expires_at,
        "origin_offset": raw.offset,
        "event_id": event_id_of(
            "queue", body.host, mail.queue_id, recipient.lower(), mail.arrived_at, answer["reply_class"]
        ),
    }


def _sender(word: str) -> str:
    sender = word.strip("<>").lower()
    return "" if sender == _NULL_SENDER else sender
