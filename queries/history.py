"""
The history of findings in the lake: what is open now, and what a cycle adds.

A row is written when a finding opens, changes or ends, not at each cycle. An episode is one problem from its opening
to its end; it is named by the time of its first evidence.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pipeline.lake import Lake
from queries.finding import Finding

_LATEST = """
SELECT *, max(over_at) OVER (PARTITION BY fingerprint) AS ended_before FROM findings {where}
QUALIFY row_number() OVER (
  PARTITION BY fingerprint ORDER BY episode DESC, noted_at DESC, CASE state WHEN 'over' THEN 0 ELSE 1 END
) = 1 {only}
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
    ended_before: datetime | None = None  # the end of the episode before, or of this one when it is over

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
    return [_noted(row) for row in lake.rows(_LATEST.format(where=where, only=""), [detection] if detection else None)]


def open_or(lake: Lake, detection: str, fingerprints: Iterable[str] = ()) -> list[Noted]:
    """Return the latest word on each finding of `detection` that is open, or is one of `fingerprints`."""
    sql = _LATEST.format(where="WHERE detection = ?", only="AND (state <> 'over' OR list_contains(?, fingerprint))")
    return [_noted(row) for row in lake.rows(sql, [detection, list(fingerprints)])]


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
    rows = (_entry(finding, known.get(finding.fingerprint), window, now) for finding in found)
    return [row for row in rows if row]


def _entry(finding: Finding, last: Noted | None, window: timedelta, now: datetime) -> dict[str, Any] | None:
    since = last.ended_before if last else None
    if since and finding.last_seen <= since:
        return None
    first_seen = max(finding.first_seen, since) if since else finding.first_seen
    if last is None or not last.is_open:
        is_late = finding.last_seen < now - window
        return _row(replace(finding, first_seen=first_seen), "open", first_seen, now, is_late=is_late)
    if finding.last_seen <= last.last_seen and first_seen >= last.first_seen:
        return None
    seen = replace(
        finding,
        first_seen=min(first_seen, last.first_seen),
        last_seen=max(finding.last_seen, last.last_seen),
        facts=finding.facts if finding.last_seen > last.last_seen else last.facts,
    )
    return _row(seen, "changed", last.episode, now, is_late=last.is_late)


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


def _row(finding: Finding, state: str, episode: datetime, now: datetime, *, is_late: bool) -> dict[str, Any]:
    return {
        "noted_at": now,
        "fingerprint": finding.fingerprint,
        "episode": episode,
        "state": state,
        "detection": finding.detection,
        "severity": finding.severity,
        "sender": finding.sender,
        "first_seen": finding.first_seen,
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
        ended_before=row.get("ended_before"),
    )
