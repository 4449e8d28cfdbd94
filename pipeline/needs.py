"""
What a source or a channel needs of the world outside, as it says itself, for `authsunset doctor` to look at.

A module in `pipeline/sources/` or `alerts/channels/` may have `needs(settings) -> Needs`; where two constants say it
all, PERMISSIONS (names of them at Graph) and PATH (what is asked there) do. One whose files are brought by a job or by
people may have `ages(settings, now) -> Iterable[Age]` too. Nothing is asked or opened by either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import ModuleType


class Api(StrEnum):
    """An application of Microsoft that grants permissions, by the name that its portal shows."""

    GRAPH = "Microsoft Graph"
    EXCHANGE_ONLINE = "Office 365 Exchange Online"


@dataclass(frozen=True, slots=True)
class Permission:
    """An application permission, such as AuditLog.Read.All, which an administrator of the tenant consents to."""

    name: str
    api: Api = Api.GRAPH


class Way(StrEnum):
    """How one speaks to a server at first."""

    TLS = "TLS from the first byte"
    STARTTLS = "SMTP that becomes TLS"
    IMAP_STARTTLS = "IMAP that becomes TLS"
    SMTP = "SMTP in plain text"
    PLAIN = "plain text"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    A server that is connected to: never more than its host and port, because the rest of an address may be a secret.

    `ca_file` is the only authority that is trusted there. Without it that is this machine's store, or, with `is_web`,
    the list that comes with our HTTP client.
    """

    host: str
    port: int
    way: Way = Way.TLS
    ca_file: Path | None = None
    is_web: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """
    `asks` are paths below Graph that show by one small answer whether the permissions do; `files` are glob patterns
    of what is read, `folders` what is written to.
    """

    permissions: tuple[Permission, ...] = ()
    asks: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    files: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()


def needs_of(module: ModuleType, settings: object) -> Needs:
    """Return what `module` needs with `settings`; raise SettingsError when a secret that tells it is not there."""
    tell: Callable[[object], Needs] | None = getattr(module, "needs", None)
    if tell is not None:
        return tell(settings)
    permissions = tuple(Permission(name) for name in getattr(module, "PERMISSIONS", ()))
    path = getattr(module, "PATH", "")
    return Needs(permissions=permissions, asks=(f"{path}?$top=1",) if permissions and path else ())


@dataclass(frozen=True, slots=True)
class Age:
    """When something that others bring into `folder` was written last, and for how long that is good enough."""

    what: str
    folder: Path
    written_at: datetime | None
    limit: timedelta

    def is_stale(self, now: datetime) -> bool:
        """Return whether a newer one is missing."""
        return self.written_at is None or now - self.written_at > self.limit
