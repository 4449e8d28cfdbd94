"""What really happened: messages with the moments at which a trace shows them, and each status they go through."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.model import Window

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Trace:
    """One message and recipient; `statuses` are pairs of the moment from which it shows a status, and that status."""

    id: str
    sender: str
    recipient: str
    message_id: str
    received_at: datetime
    statuses: tuple[tuple[datetime, str], ...]
    size: int
    from_ip: str

    def at(self, now: datetime) -> dict[str, Any] | None:
        """Return the record that Graph shows at `now`, or None while it does not show it yet."""
        shown = [status for since, status in self.statuses if since <= now]
        if not shown:
            return None
        return {
            "id": self.id,
            "senderAddress": self.sender,
            "recipientAddress": self.recipient,
            "messageId": self.message_id,
            "receivedDateTime": self.received_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "subject": "Quarterly Report",
            "size": self.size,
            "fromIP": self.from_ip,
            "toIP": "",
            "status": shown[-1],
        }

    @property
    def row(self) -> tuple[str, str, str, str, datetime, str]:
        """What the lake should know of it in the end."""
        _, last = self.statuses[-1]
        return self.id, self.recipient, self.sender, self.message_id, self.received_at, last.lower()


def traces(seed: int, window: Window, per_day: int) -> list[Trace]:
    """Return the messages of `window`, oldest first: most show within ten minutes, some after hours."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    days = window.length / timedelta(days=1)
    moments = sorted(window.start + chance.random() * window.length for _ in range(int(days * per_day)))
    return [each for moment in moments for each in _message(chance, moment.replace(microsecond=0))]


def _message(chance: random.Random, received_at: datetime) -> Iterator[Trace]:
    id = str(uuid.UUID(int=chance.getrandbits(128)))
    sender = f"device{chance.randrange(40)}@contoso.example"
    for number in range(1 if chance.random() < 0.8 else chance.randint(2, 5)):
        yield Trace(
            id=id,
            sender=sender,
            recipient=f"user{number}.{chance.randrange(300)}@contoso.example",
            message_id=f"<{id}@contoso.example>",
            received_at=received_at,
            statuses=tuple(_statuses(chance, received_at + _lateness(chance))),
            size=chance.randrange(500, 200_000),
            from_ip=f"192.0.2.{chance.randrange(1, 255)}",
        )


def _lateness(chance: random.Random) -> timedelta:
    kind = chance.random()
    if kind < 0.9:
        return chance.uniform(4, 9) * MINUTE
    return chance.uniform(10, 60) * MINUTE if kind < 0.98 else chance.uniform(60, 20 * 60) * MINUTE


def _statuses(chance: random.Random, shown_at: datetime) -> Iterator[tuple[datetime, str]]:
    kind = chance.random()
    if kind < 0.8:
        yield shown_at, "delivered"
    elif kind < 0.9:
        yield shown_at, "gettingStatus"
        yield shown_at + chance.uniform(1, 20) * MINUTE, "delivered"
    elif kind < 0.97:
        yield shown_at, "pending"
        yield shown_at + chance.uniform(30, 28 * 60) * MINUTE, chance.choice(["delivered", "failed"])
    else:  # there and back: a message that is released and caught again
        yield shown_at, "quarantined"
        released = shown_at + chance.uniform(60, 600) * MINUTE
        yield released, "delivered"
        yield released + chance.uniform(60, 600) * MINUTE, "quarantined"
