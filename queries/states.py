"""
The state of every sender: what the view `senders` says now, and the history of what it said.

A state is a fact about the evidence, so reading late rows or the whole lake again leads to the same one. What is kept
here is only when it changed, for those who ask how the migration went.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pipeline.lake import Lake

STATES = (
    "refused",
    "partly_refused",
    "went_silent",
    "regressed",
    "does_still",
    "migrated",
    "verified",
    "can_still",
    "unknown",
)
"""The most urgent first."""

_CHANGED = """
WITH latest AS (
  SELECT sender, state, noted_at
  FROM sender_states
  QUALIFY row_number() OVER (PARTITION BY sender ORDER BY noted_at DESC) = 1
)
SELECT senders.sender, senders.state, senders.since, senders.because, senders.confidence, latest.noted_at AS before
FROM senders
LEFT JOIN latest ON latest.sender = senders.sender
WHERE senders.state IS DISTINCT FROM coalesce(latest.state, 'unknown')
ORDER BY senders.sender
"""


def senders(lake: Lake, states: Sequence[str] = (), sender: str | None = None) -> list[dict[str, Any]]:
    """Return the senders of `lake`, the most urgent first: all, those in one of `states`, or one alone."""
    wanted = {"states": list(states), "sender": sender}
    return lake.rows(
        "SELECT * FROM senders WHERE (len($states) = 0 OR list_contains($states, state)) "
        "AND ($sender IS NULL OR sender = $sender)",
        wanted,
    )


def note_states(lake: Lake, now: datetime) -> int:
    """Keep the states that have changed since they were noted last; return how many have."""
    with lake.reading():
        changed = lake.rows(_CHANGED)
    if changed:
        with lake.writing():
            lake.insert("sender_states", [{**row, "noted_at": _after(row.pop("before"), now)} for row in changed])
    return len(changed)


def _after(before: datetime | None, now: datetime) -> datetime:
    """Return `now`, or just after `before` where the clock was set back: the latest row is the state."""
    return max(now, before + timedelta(microseconds=1)) if before else now
