"""
Tell systemd how the service is: ready, loading its settings anew, ending, alive, and a line of status.

The protocol is one datagram of `NAME=value` lines to the socket in $NOTIFY_SOCKET, a path or, with `@` in front, an
abstract name; see sd_notify(3). There is no well-kept library of Python alone for these few lines, so they are written
here. Nothing is said where no socket is named, and a message that systemd does not take within a second is dropped: it
must never hold up what it tells about.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

LONGEST_S = 1.0


@dataclass(frozen=True, slots=True)
class Systemd:
    """The service manager that started this process, as its environment names it; none without an address."""

    address: str = ""
    watchdog_s: float = 0.0

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Systemd:
        """Return what `environment` says; a watchdog that is meant for another process is none."""
        is_meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        usec = environment.get("WATCHDOG_USEC", "")
        return cls(environment.get("NOTIFY_SOCKET", ""), int(usec) / 1e6 if is_meant and usec.isdecimal() else 0.0)

    def ready(self, status: str) -> None:
        """Say that the service runs, first or again."""
        self._tell(f"READY=1\nSTATUS={_line(status)}")

    def reloading(self, monotonic_s: float) -> None:
        """Say that the settings are being read anew since `monotonic_s`; `ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={round(monotonic_s * 1e6)}\nSTATUS=reading the settings anew")

    def stopping(self, status: str) -> None:
        """Say that the service is ending."""
        self._tell(f"STOPPING=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """Set the line that `systemctl status` shows."""
        self._tell(f"STATUS={_line(status)}")

    def alive(self) -> bool:
        """Say that the service still lives, and return whether that was taken; unsaid, it is started anew."""
        return self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> bool:
        if not self.address or not hasattr(socket, "AF_UNIX"):
            return False
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(LONGEST_S)
            return sender.sendto(text.encode(), name) > 0
        return False


@dataclass(slots=True)
class Watchdog:
    """
    Says `alive` at half of the time that systemd allows, and only while a heartbeat has been heard within that time.

    The heartbeat is a job like any other, and this is asked by the loop that starts the jobs; so it is silent when
    either of the two hangs.
    """

    systemd: Systemd
    ticks: Callable[[], float]
    _heard: float = field(init=False)
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        self._heard = self._said = self.ticks()

    @property
    def every_s(self) -> float:
        """How often a heartbeat is due, in seconds; 0 when nobody watches."""
        return self.systemd.watchdog_s / 4

    def beat(self) -> None:
        """Hear the heartbeat."""
        self._heard = self.ticks()

    def look(self) -> None:
        """Say that the service lives, when it is time and true."""
        half, now = self.systemd.watchdog_s / 2, self.ticks()
        if half and now - self._said >= half and now - self._heard <= half and self.systemd.alive():
            self._said = now


def systemd_of_us() -> Systemd:
    """Return the service manager that started this process, if one did."""
    return Systemd.of(os.environ, os.getpid())


def _line(text: str) -> str:
    return " ".join(text.split())[:500]
