"""
Which device handed in a mail, where nothing but the envelope joins what came in and what went out.

A device is told only where all mail of this sender for this recipient came from one and the same device in the last
days; two devices that share sender and recipient are not told apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

MOST_ENVELOPES = 20_000
"""Senders that are remembered; beyond it the one not heard of longest is forgotten."""
MOST_OPEN = 5_000
KEPT = timedelta(days=3)
"""Relays give a mail up after two days."""

_MOST_RECIPIENTS = 100
_COMMAND = re.compile(r"(EHLO|HELO|MAIL|RCPT|RSET|QUIT)(?= |$):? *(.{0,2000})", re.IGNORECASE | re.DOTALL)
_PATH = re.compile(r"(?:FROM|TO): *(?:<((?:\"(?:[^\"\\]|\\.)*\"|[^\">])*)>|(\S+))", re.IGNORECASE)

Device = tuple[str | None, str | None]
"""Address and name."""


@dataclass(slots=True)
class Handing:
    """One device that is handing in a mail: its name for itself, and the envelope so far."""

    ip: str | None
    name: str | None = None
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Envelope:
    """The devices of one sender by recipient, and when the last of them handed in."""

    time: str
    devices: dict[str, list[list[str | None]]] = field(default_factory=dict)


class Devices:
    """What came in over one's own server: sessions that are open, and the devices by sender."""

    def __init__(self, stored: Mapping[str, Any]) -> None:
        self._open = {key: Handing(**known) for key, known in stored.get("open", {}).items()}
        self._envelopes = {key: _Envelope(**known) for key, known in stored.get("envelopes", {}).items()}

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values, without what is too much."""
        for kept, most in ((self._open, MOST_OPEN), (self._envelopes, MOST_ENVELOPES)):
            for forgotten in list(kept)[: max(0, len(kept) - most)]:
                del kept[forgotten]
        return {
            "open": {key: asdict(each) for key, each in self._open.items()},
            "envelopes": {key: asdict(each) for key, each in self._envelopes.items()},
        }

    def hear(self, key: str, ip: str | None, said: str) -> None:
        """Take in a command of a device in the session `key`."""
        command = _COMMAND.match(said)
        if command is None:
            return
        verb, argument = command[1].upper(), command[2]
        if verb == "QUIT":
            self._open.pop(key, None)
            return
        handing = self._open.setdefault(key, Handing(ip))
        if verb in {"EHLO", "HELO"}:
            handing.name = argument.strip()[:255] or None
        elif verb == "RCPT":
            if (address := address_in(argument)) and len(handing.recipients) < _MOST_RECIPIENTS:
                handing.recipients.append(address)
        else:
            handing.sender, handing.recipients = address_in(argument), []

    def name_of(self, key: str) -> str | None:
        """Return what the device of the session `key` called itself, where that is open."""
        return self._open[key].name if key in self._open else None

    def is_handing(self, key: str) -> bool:
        """Return whether the session `key` has begun a mail."""
        return key in self._open and self._open[key].sender is not None

    def taken(self, key: str, time: datetime, name: str | None = None) -> None:
        """Note that one's own server took the mail of the session `key`, whose device is called `name`."""
        handing = self._open.get(key)
        if handing is None or handing.sender is None:
            return
        envelope = self._envelopes.pop(handing.sender, None)
        if envelope is None or datetime.fromisoformat(envelope.time) < time - KEPT:
            envelope = _Envelope("")
        envelope.time = time.isoformat()
        self._envelopes[handing.sender] = envelope  # the last of the dict: the first is the one not heard of longest
        for recipient in handing.recipients:
            known = envelope.devices.setdefault(recipient, [])
            device = [handing.ip, handing.name or name]
            if device not in known and len(known) < _MOST_RECIPIENTS:
                known.append(device)
        handing.sender, handing.recipients = None, []

    def of(self, sender: str | None, recipient: str | None, time: datetime) -> Device:
        """Return the device of a mail from `sender` to `recipient`, or (None, None) where it cannot be told."""
        envelope = self._envelopes.get(sender) if sender is not None else None
        if envelope is None or datetime.fromisoformat(envelope.time) < time - KEPT:
            return None, None
        lists = envelope.devices.values() if recipient is None else [envelope.devices.get(recipient, [])]
        found = {(device[0], device[1]) for devices in lists for device in devices}
        if len(found) == 1:
            return found.pop()
        addresses = {ip for ip, _ in found}
        return (addresses.pop(), None) if len(addresses) == 1 else (None, None)


def address_in(argument: str) -> str | None:
    """Return the address that MAIL FROM or RCPT TO names, in lower case, or None."""
    path = _PATH.match(argument)
    if path is None:
        return None
    return (path[1] if path[1] is not None else path[2]).lower()[:1_000]
