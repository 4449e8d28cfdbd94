"""Ask a detection: run its query over a window and return what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from pipeline.errors import DetectionError
from pipeline.model import Window
from queries.detection import Detection
from queries.finding import Finding


def ask(connection: duckdb.DuckDBPyConnection, detection: Detection, window: Window) -> list[Finding]:
    """Return the findings of `detection` in `window`; raise DetectionError when its query fails."""
    parameters = {"window_start": window.start, "window_end": window.end, **detection.params}
    return [
        _finding(detection, row, window) for row in rows_of_query(connection, detection.id, detection.sql, parameters)
    ]


def rows_of_query(
    connection: duckdb.DuckDBPyConnection, id: str, sql: str, parameters: dict[str, Any]
) -> Sequence[dict[str, Any]]:
    """Return the rows of `sql`; a failure names `id`."""
    try:
        return connection.execute(sql, parameters).to_arrow_table().to_pylist()  # type: ignore[no-any-return]
    except duckdb.Error as error:
        raise DetectionError(f"{id} failed: {error}") from error


def _finding(detection: Detection, row: dict[str, Any], window: Window) -> Finding:
    about = {name: row.get(name) for name in detection.about}
    facts = {name: value for name, value in row.items() if name not in {"first_seen", "last_seen"}}
    first, last = (row.get(name) or window.start for name in ("first_seen", "last_seen"))
    return Finding(detection.id, detection.severity, about, _utc(first), _utc(last), facts)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
