"""Decide whether to speak about a group of findings: one pure function, and the reason is a value that people read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Reason(StrEnum):
    """Why a message is sent; the words are shown to the reader."""

    NEW = "new"
    GREW = "more of it than before"
    REMINDER = "still open"
    RESOLVED = "over"


@dataclass(frozen=True, slots=True)
class Sent:
    """The last thing said about a group on one channel: which findings it spoke of, when, and why."""

    firing: frozenset[str]
    at: datetime
    reason: Reason


def decide(firing: frozenset[str], last: Sent | None, now: datetime, remind_after: timedelta) -> Reason | None:
    """
    Return why to send a message about `firing` now, or None to stay silent.

    `firing` and `last.firing` hold the names of open episodes, so a problem that ended and came back is a new one.
    """
    spoken = last.firing if last and last.reason is not Reason.RESOLVED else frozenset()
    if not firing:
        return Reason.RESOLVED if spoken else None
    if not spoken:
        return Reason.NEW
    if firing - spoken:
        return Reason.GREW
    if last and now - last.at >= remind_after:
        return Reason.REMINDER
    return None
