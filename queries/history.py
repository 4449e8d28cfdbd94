"""
The history of findings in the lake: what is open now, and what a cycle adds.

A row is written when a finding opens, changes or ends, not at each cycle. An episode is one problem from its opening
to its end; it is named by the time of its first evidence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipeline.lake import Lake
from queries.finding import Finding

_LATEST = """
SELECT * FROM findings {where}
QUALIFY row_number() OVER (
  PARTITION BY fingerprint ORDER BY episode DESC, noted_at DESC, CASE state WHEN 'over' THEN 0 ELSE 1 END
) = 1
ORDER BY severity, sender, fingerprint
"""


@dataclass(frozen=True, slots=True)
class Noted:
    """The latest word on one finding."""

    fingerprint: str
    state: str
    detection: str
    severity: str
    sender: str
    episode: datetime
    first_seen: datetime
    last_seen: datetime
    is_late: bool
    facts: Mapping[str, Any]
    over_at: datetime | None
    because: str

    @property
    def is_open(self) -> bool:
        """Return whether the problem goes on."""
        return self.state != "over"


@dataclass(frozen=True, slots=True)
class Ending:
    """A finding that is over: since when, and why."""

    over_at: datetime
    because: str


def latest(lake: Lake, detection: str | None = None) -> list[Noted]:
    """Return the latest word on each finding, of one detection or of all."""
    where = "WHERE detection = ?" if detection else ""
    return [_noted(row) for row in lake.rows(_LATEST.format(where=where), [detection] if detection else None)]


def entries(
    before: Sequence[Noted],
    found: Sequence[Finding],
    window: timedelta,
    now: datetime,
) -> list[dict[str, Any]]:
    """
    Return the rows that `found` adds to the history: what opens, and what is open and has been seen again since.

    Evidence from before the end of the last episode is old news that came late; it opens nothing.
    """
    known = {noted.fingerprint: noted for noted in before}
    rows = []
    for finding in found:
        last = known.get(finding.fingerprint)
        if last and last.is_open:
            if finding.last_seen > last.last_seen:
                rows.append(
                    _row(finding, "changed", last.episode, min(last.first_seen, finding.first_seen), last.is_late, now)
                )
        elif last is None or last.over_at is None or finding.last_seen > last.over_at:
            first = max(finding.first_seen, last.over_at) if last and last.over_at else finding.first_seen
            rows.append(_row(finding, "open", first, first, finding.last_seen < now - window, now))
    return rows


def over_entries(open_now: Sequence[Noted], endings: Mapping[str, Ending], now: datetime) -> list[dict[str, Any]]:
    """Return the rows that end those of `open_now` for which `endings` has an end."""
    return [
        {
            "noted_at": now,
            "fingerprint": noted.fingerprint,
            "episode": noted.episode,
            "state": "over",
            "detection": noted.detection,
            "severity": noted.severity,
            "sender": noted.sender,
            "first_seen": noted.first_seen,
            "last_seen": noted.last_seen,
            "is_late": noted.is_late,
            "facts": json.dumps(noted.facts, default=str),
            "over_at": endings[noted.fingerprint].over_at,
            "because": endings[noted.fingerprint].because,
        }
        for noted in open_now
        if noted.fingerprint in endings
    ]


def _row(
    finding: Finding, state: str, episode: datetime, first_seen: datetime, is_late: bool, now: datetime
) -> dict[str, Any]:
    return {
        "noted_at": now,
        "fingerprint": finding.fingerprint,
        "episode": episode,
        "state": state,
        "detection": finding.detection,
        "severity": finding.severity,
        "sender": finding.sender,
        "first_seen": first_seen,
        "last_seen": finding.last_seen,
        "is_late": is_late,
        "facts": json.dumps(finding.facts, default=str),
        "over_at": None,
        "because": None,
    }


def noted_of(row: Mapping[str, Any]) -> Noted:
    """Return a row of the history as the latest word on its finding."""
    return _noted(row)


def _noted(row: Mapping[str, Any]) -> Noted:
    return Noted(
        fingerprint=row["fingerprint"],
        state=row["state"],
        detection=row["detection"],
        severity=row["severity"],
        sender=row["sender"],
        episode=row["episode"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        is_late=row["is_late"],
        facts=json.loads(row["facts"]),
        over_at=row["over_at"],
        because=row["because"] or "",
    )
