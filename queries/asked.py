"""Detections as they were when the service asked them last: what a list of them can say of each beside its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.lake import Lake

_CURSOR = "detection "


@dataclass(frozen=True, slots=True)
class LastAsked:
    """How it went with one detection when it was asked last: ok · nodata · error, when, and why not ok."""

    state: str = ""
    asked_at: datetime | None = None
    because: str = ""


def last_asked(lake: Lake) -> dict[str, LastAsked]:
    """Return how it went with each detection that has been asked, by id."""
    rows = lake.rows("SELECT name, state, updated_at FROM cursors WHERE starts_with(name, ?)", [_CURSOR])
    return {row["name"].removeprefix(_CURSOR): _told(row) for row in rows}


def _told(row: Mapping[str, Any]) -> LastAsked:
    """Return what a cursor tells; one of an older version, or that somebody wrote by hand, tells less."""
    try:
        state = json.loads(row["state"])
    except (TypeError, ValueError):
        state = None
    said = state if isinstance(state, dict) else {}
    return LastAsked(
        str(said.get("state") or "ok"),
        _moment(said.get("asked_at")) or row["updated_at"],
        str(said.get("because") or ""),
    )


def _moment(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
