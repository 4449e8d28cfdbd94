"""The things that this world is made of. What changes with time is a list of (moment, value), oldest first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar
from zoneinfo import ZoneInfo

from pipeline.simulate.rhythms import Rhythm

T = TypeVar("T")

NEVER = 1 << 60
DOMAIN = "contoso.example"
PARTNERS = ("fabrikam.example", "northwind.example", "adatum.example", "proseware.example", "litware.example")

PASSWORD_WAYS = ("basic",)
"""Ways in that end with Basic authentication. High Volume Email keeps its password and is a way out all the same."""

Since = list[tuple[int, T]]


def value_at(since: Since[T], moment: int) -> T:
    """Return the value that holds at `moment`."""
    found = since[0][1]
    for start, value in since[1:]:
        if start > moment:
            break
        found = value
    return found


@dataclass(frozen=True, slots=True)
class Site:
    """One office or data centre: its calendar, and the address that all its devices share towards the internet."""

    name: str
    region: str
    zone: ZoneInfo
    closes: bool
    nat: str


@dataclass(slots=True)
class Device:
    """
    One thing that sends. `path` is `direct`, the host of a relay, or the program whose own log tells of it.

    A `dead` device wants to send and does not; a `retired` one was switched off on purpose.
    """

    name: str
    site: Site
    rhythm: Rhythm
    path: str
    helo: str
    ips: Since[str]
    ways: Since[str]
    born: int = -NEVER
    dead: int = NEVER
    retired: int = NEVER
    tires_after: float = 0.0  # days in which people give up a device that refuses; 0: a machine, it goes on
    owns_public_ip: str | None = None
    away: list[tuple[int, int]] = field(default_factory=list)  # the holidays of the one person who uses it

    def ip_at(self, moment: int) -> str:
        """Return the device's own address at `moment`."""
        return value_at(self.ips, moment)

    def way_at(self, moment: int) -> str:
        """Return how it sends at `moment`."""
        return value_at(self.ways, moment)

    @property
    def public_ip(self) -> str:
        """The address that Exchange Online sees."""
        return self.owns_public_ip or self.site.nat

    def is_away(self, moment: int) -> bool:
        """Return whether the one person who uses it is on holiday."""
        return any(start <= moment < end for start, end in self.away)


@dataclass(slots=True)
class Sender:
    """A mailbox that devices send with, or a person's, or the account of a relay."""

    address: str
    category: str
    devices: list[Device]
    switches: Since[bool | None]  # SmtpClientAuthenticationDisabled of the mailbox; None inherits
    policies: Since[str]  # its authentication policy; '' is none
    external_share: float = 0.2
    subject: str = ""
    is_listed: bool = True  # in the export of mailboxes
    attacks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Relay:
    """A mail server of one's own that logs in to Exchange Online with one account for all senders behind it."""

    host: str
    kind: str  # postfix, exim, exchange
    site: Site
    account: str
    endpoint: str
    ways: Since[str]  # basic, relay_oauth, connector
    rescues: bool  # whether the queue was flushed when the way was mended
    soft_bounce: bool = True
    lifetime: int = 0
    least_wait: int = 0
    longest_wait: int = 0
    stamps: str = "iso"
    tag: str = "postfix"
    long_ids: bool = False
    logs_subjects: bool = False
    knows_devices: bool = False  # whether devices log in to the relay itself
    mechanisms: tuple[str, ...] = ("LOGIN",)

    def way_at(self, moment: int) -> str:
        """Return how the relay hands its mail on at `moment`."""
        return value_at(self.ways, moment)

    @property
    def mended(self) -> int:
        """When it stopped using a password, or NEVER."""
        return next((moment for moment, way in self.ways if way != "basic"), NEVER)


@dataclass(frozen=True, slots=True)
class Tenant:
    """One organisation: who is in it, and what Exchange Online does to it at which time."""

    sites: tuple[Site, ...]
    relays: dict[str, Relay]
    senders: tuple[Sender, ...]
    people: tuple[Sender, ...]
    accounts: tuple[Sender, ...]  # of the relays
    locale: str
    tenant_disabled: bool  # the tenant's own switch
    mode: str  # at_once, phased
    phase: int  # how long Basic is refused ever more often before it always is
    reopened: int  # when an administrator allows Basic again for the tenant
    off_spans: tuple[tuple[int, int], ...]  # when SMTP AUTH is switched off for the tenant by mistake
    rates: dict[str, float]

    @property
    def everyone(self) -> tuple[Sender, ...]:
        """All of them, in a fixed order."""
        return (*self.senders, *self.accounts, *self.people)

    def way_now(self, device: Device, moment: int) -> str:
        """Return how `device` sends at `moment`, be it by itself or by its relay; `none` for what sends no more."""
        if moment > min(device.dead, device.retired):
            return "none"
        way = device.way_at(moment)
        return self.relays[device.path].way_at(moment) if way == "basic" and device.path in self.relays else way
