"""What the evidence says about one sender: the ground on which a message is written and a way out is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Device:
    """One client that handed in mail of the sender, as far as the log names it."""

    ip: str | None
    name: str | None

    def __str__(self) -> str:
        return f"{self.name} ({self.ip})" if self.name and self.ip else self.name or self.ip or "unknown device"


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """
    Counts of one problem of one sender, over the span from `first_seen` to `last_seen`.

    One refusal is one answer of the server (one request id), one mail one queue id: recipients and retries are not
    refusals. `rescuable` mails still wait in a relay's queue, `lost` ones were given up or refused for good and
    never accepted later. Shares are between 0 and 1 and None where the evidence does not tell.
    """

    sender: str
    reply_class: str
    first_seen: datetime
    last_seen: datetime
    refusals: int = 0
    mails: int = 0
    rescuable: int = 0
    lost: int = 0
    recipients: int = 0
    external_share: float | None = None  # of its recipients, those outside the tenant's own domains
    mails_per_day: float | None = None  # on its busiest day
    largest_bytes: int | None = None
    devices: tuple[Device, ...] = ()
    relays: tuple[str, ...] = ()  # log hosts of relays through which its mail went
    formats: tuple[str, ...] = ()  # formats of the logs that tell about it
    endpoints: tuple[str, ...] = ()  # hosts that refused it
    stages: tuple[str, ...] = ()
    reply_text: str = ""  # the last reply, as the server said it
