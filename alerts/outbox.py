"""
The outbox: what is to be said, what was said, and what comes next, all rows of the lake's `notifications`.

The intent is committed before the send and names its own id; each try adds a row. So after a crash nothing is lost,
and at most the message that was on its way is sent once more, with the same id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alerts.decide import Reason, Sent
from alerts.message import Message
from pipeline.errors import DeliveryError
from pipeline.lake import Lake
from pipeline.model import event_id_of

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=6)
GIVE_UP_AFTER = timedelta(days=3)

_LATEST = """
SELECT notification_id, channel, thread, state, attempt, next_attempt_at,
  max(message) OVER same AS message, min(noted_at) OVER same AS intended_at
FROM notifications
WINDOW same AS (PARTITION BY notification_id)
QUALIFY row_number() OVER (
  PARTITION BY notification_id ORDER BY attempt DESC, CASE state WHEN 'intended' THEN 1 ELSE 0 END
) = 1
"""
# What is said about one thing is said in order: `over` waits until `new` was taken.
_NEXT = f"""
SELECT * FROM ({_LATEST}) WHERE state IN ('intended', 'failed')
QUALIFY row_number() OVER (PARTITION BY channel, thread ORDER BY intended_at, notification_id) = 1
"""
_LAST_SENT = """
SELECT channel, thread, fingerprints, noted_at, reason
FROM notifications
WHERE state = 'intended'
QUALIFY row_number() OVER (PARTITION BY channel, thread ORDER BY noted_at DESC, notification_id) = 1
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """A message that is still to be delivered on one channel."""

    notification_id: str
    channel: str
    message: Message
    attempt: int
    intended_at: datetime
    next_attempt_at: datetime


def last_sent(lake: Lake) -> dict[tuple[str, str], Sent]:
    """Return the last thing said about each group on each channel, by (channel, thread)."""
    return {
        (row["channel"], row["thread"]): Sent(
            frozenset(json.loads(row["fingerprints"])), row["noted_at"], Reason(row["reason"])
        )
        for row in lake.rows(_LAST_SENT)
    }


def intent(channel: str, message: Message, firing: frozenset[str], now: datetime) -> dict[str, Any]:
    """Return the row that says: this will be said on `channel`."""
    id = event_id_of(channel, message.id)
    return _row(
        now,
        id,
        "intended",
        channel,
        message.thread,
        reason=message.reason,
        fingerprints=json.dumps(sorted(firing)),
        attempt=0,
        next_attempt_at=now,
        message=json.dumps({**message.to_json(), "id": id}, ensure_ascii=False),
    )


def pending(lake: Lake, now: datetime) -> list[Pending]:
    """Return what is to be sent by now, the oldest first."""
    rows = lake.rows(f"SELECT * FROM ({_NEXT}) WHERE next_attempt_at <= ? ORDER BY intended_at, notification_id", [now])
    return [_pending(row) for row in rows]


def waiting(lake: Lake) -> list[dict[str, Any]]:
    """Return what is not delivered yet, with its next attempt, and what was given up."""
    columns = "notification_id, channel, thread, state, attempt, next_attempt_at"
    return lake.rows(f"SELECT {columns} FROM ({_LATEST}) WHERE state <> 'delivered' ORDER BY next_attempt_at")


def given_up(lake: Lake, since: datetime) -> list[dict[str, Any]]:
    """Return what was given up since `since`; later than that it is said anew as a reminder."""
    sql = "SELECT channel, thread, error FROM notifications WHERE state = 'dead' AND noted_at > ? ORDER BY noted_at"
    return lake.rows(sql, [since])


def delivered(sent: Pending, now: datetime) -> dict[str, Any]:
    """Return the row that says: it was taken."""
    return _row(now, sent.notification_id, "delivered", sent.channel, sent.message.thread, attempt=sent.attempt + 1)


def failed(sent: Pending, error: DeliveryError, now: datetime, jitter: float) -> dict[str, Any]:
    """
    Return the row that says: it was not taken, and when the next try is, or that there is none.

    `jitter` is between 0 and 1: a full jitter, so that many messages do not come back all at once.
    """
    given_up = not error.retry or now - sent.intended_at > GIVE_UP_AFTER
    return _row(
        now,
        sent.notification_id,
        "dead" if given_up else "failed",
        sent.channel,
        sent.message.thread,
        attempt=sent.attempt + 1,
        next_attempt_at=None if given_up else now + wait_before(sent.attempt + 1, error.after_s, jitter),
        error=str(error),
    )


def wait_before(attempt: int, after_s: float | None, jitter: float) -> timedelta:
    """Return how long to wait before the try after `attempt`: doubling with jitter, never less than was asked for."""
    grown: timedelta = min(FIRST_WAIT * int(2 ** min(attempt, 20)), LONGEST_WAIT)
    return max(FIRST_WAIT / 2 + grown * jitter, timedelta(seconds=after_s or 0))


def _pending(row: dict[str, Any]) -> Pending:
    message = Message.from_json(json.loads(row["message"]))
    return Pending(
        row["notification_id"], row["channel"], message, row["attempt"], row["intended_at"], row["next_attempt_at"]
    )


def _row(now: datetime, id: str, state: str, channel: str, thread: str, **more: Any) -> dict[str, Any]:
    empty: Iterable[str] = ("reason", "fingerprints", "attempt", "next_attempt_at", "message", "error")
    return {
        "noted_at": now,
        "notification_id": id,
        "state": state,
        "channel": channel,
        "thread": thread,
        **dict.fromkeys(empty),
        **more,
    }
