"""One row of a detection: one problem about one thing, with a name that stays the same from cycle to cycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.model import event_id_of


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem that a detection reports; `facts` is its row."""

    detection: str
    severity: str
    about: Mapping[str, Any]
    first_seen: datetime
    last_seen: datetime
    facts: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """Name the problem by its detection and what it is about, whatever the order of settings or rows."""
        return event_id_of(self.detection, *(part for item in sorted(self.about.items()) for part in item))

    @property
    def sender(self) -> str:
        """The sender that the finding is about; '' when it is about something else."""
        return str(self.about.get("sender") or "")


def merge(one: Finding, other: Finding) -> Finding:
    """Return one finding for two of the same problem: the newer facts over the whole span."""
    newer = max(one, other, key=lambda finding: finding.last_seen)
    return Finding(
        newer.detection,
        newer.severity,
        newer.about,
        min(one.first_seen, other.first_seen),
        newer.last_seen,
        newer.facts,
    )
