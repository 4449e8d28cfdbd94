"""
Put findings together that one person will act on at once: all that is known of one sender, and what is about no sender
by its detection, so that a full disk is one message and not one for each job that it stops.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from queries.history import Noted
from queries.tuning import SEVERITIES


@dataclass(frozen=True, slots=True)
class Group:
    """All findings about one thing; `thread` names it from the first message to the last."""

    thread: str
    findings: tuple[Noted, ...]

    @property
    def open(self) -> tuple[Noted, ...]:
        """The findings that go on."""
        return tuple(noted for noted in self.findings if noted.is_open)

    def spoken_of(self, firing: frozenset[str]) -> Group:
        """Return the group with those findings alone that `firing` names: what was said is what is over."""
        return replace(self, findings=tuple(noted for noted in self.findings if episode_of(noted) in firing))

    @property
    def firing(self) -> frozenset[str]:
        """The names of the open episodes."""
        return frozenset(episode_of(noted) for noted in self.open)


def episode_of(noted: Noted) -> str:
    """Name the episode that a finding is in."""
    return f"{noted.fingerprint} {noted.episode.isoformat()}"


def group(findings: Iterable[Noted]) -> list[Group]:
    """Return the groups of `findings`, the most severe first, each with its most severe finding first."""
    by_thread: dict[str, list[Noted]] = {}
    for noted in findings:
        by_thread.setdefault(thread_of(noted), []).append(noted)
    groups = [Group(thread, tuple(sorted(members, key=_urgency))) for thread, members in by_thread.items()]
    return sorted(groups, key=lambda each: (_urgency(each.findings[0]), each.thread))


def thread_of(noted: Noted) -> str:
    """Return the group that a finding belongs to."""
    return f"sender {noted.sender}" if noted.sender else f"detection {noted.detection}"


def _urgency(noted: Noted) -> tuple[bool, int, str, datetime]:
    return (
        not noted.is_open,
        SEVERITIES.index(noted.severity) if noted.severity in SEVERITIES else len(SEVERITIES),
        noted.detection,
        noted.first_seen,
    )
