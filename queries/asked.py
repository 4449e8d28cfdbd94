"""
Detections as they are now: whether each could say anything, and when it was asked last.

One whose source has stopped has no data, whatever it finds: silence is not health.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.lake import Lake
from pipeline.model import SCHEMAS
from queries.detection import Detection, detections
from queries.history import latest

STALE = "health/source_stale"
_CURSOR = "detection "
_SUMS = frozenset({"sender_days", "sender_domains"})
_SUMMED = frozenset({"deliveries", "traces", "signins", "usage"})
_FAILING = """
SELECT job, max_by(error, noted_at) AS error FROM jobs WHERE starts_with(job, 'detection ')
GROUP BY job HAVING max_by(state, noted_at) = 'failed'
"""


@dataclass(frozen=True, slots=True)
class LastAsked:
    """How it is with one detection: ok · nodata · error, why not ok, and when it was asked last."""

    state: str = ""
    because: str = ""
    asked_at: datetime | None = None


def last_asked(lake: Lake) -> dict[str, LastAsked]:
    """Return how it is with each detection, by id."""
    rows = lake.rows("SELECT name, updated_at FROM cursors WHERE starts_with(name, ?)", [_CURSOR])
    asked = {row["name"].removeprefix(_CURSOR): row["updated_at"] for row in rows}
    failing = {row["job"]: row["error"] for row in lake.rows(_FAILING)}
    sources = _sources(lake)
    stale = {noted.facts["source"]: noted.last_seen for noted in latest(lake, STALE) if noted.is_open}
    return {each.id: LastAsked(*_verdict(each, failing, sources, stale), asked.get(each.id)) for each in detections()}


def _verdict(
    detection: Detection,
    failing: Mapping[str, str],
    sources: Mapping[str, frozenset[str]],
    stale: Mapping[str, datetime],
) -> tuple[str, str]:
    if error := failing.get(f"{_CURSOR}{detection.id}"):
        return "error", error
    needed = evidence_of(detection)
    bringing = {source for table in needed for source in sources.get(table, ())}
    read = needed & {*detection.reads}
    if missing := sorted(read - sources.keys()) or (sorted(needed) if needed and not bringing else []):
        return "nodata", f"no source brings {', '.join(missing)}"
    if silent := sorted(bringing & stale.keys()):
        told = ", ".join(f"{source} since {stale[source]:%Y-%m-%d %H:%M} UTC" for source in silent)
        return "nodata", f"nothing comes from {told}"
    return "ok", ""


def evidence_of(detection: Detection) -> frozenset[str]:
    """Return the tables of evidence that `detection` rests on, those behind the daily sums too."""
    read = {*detection.reads, *detection.complete}
    return frozenset((read | (_SUMMED if read & _SUMS else set())) & SCHEMAS.keys())


def _sources(lake: Lake) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for row in lake.rows('SELECT "table", source FROM feeds'):
        found.setdefault(row["table"], set()).add(row["source"])
    return {table: frozenset(names) for table, names in found.items()}
