"""
The time, handed in everywhere: what it is, how much has passed, and a wait that a stop ends.

`now` may be set by an administrator or a time server, forwards and backwards; `ticks` only ever grow, and are the same
for all processes since this machine was started. What must not be fooled by a clock that is set is measured in ticks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Now = Callable[[], datetime]


class Stopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The program was asked to stop while something waited."""


@dataclass(frozen=True, slots=True)
class Clock:
    """`wait` lets some seconds pass and returns whether it was asked to stop meanwhile."""

    now: Now
    ticks: Callable[[], float]
    wait: Callable[[float], bool]

    def is_stopped(self) -> bool:
        """Return whether the program was asked to stop."""
        return self.wait(0)


def utc_now() -> datetime:
    """Return the time of the system's clock."""
    return datetime.now(UTC)


def system_clock(stop: threading.Event | None = None) -> Clock:
    """Return the machine's own clock, whose waits end when `stop` is set."""
    return Clock(utc_now, time.monotonic, (stop or threading.Event()).wait)
