"""How the lake is: rows of each table, its newest row, and the files behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.lake import Lake
from pipeline.lake.tables import TABLES, TIME_KEPT

_NEWEST = {**TIME_KEPT, "removals": "removed_at", "cursors": "updated_at"}


def status_of(lake: Lake) -> list[dict[str, Any]]:
    """Return one row for each table: its rows, its newest time, its Parquet files and their bytes."""
    with lake.reading():
        files = {
            row["table_name"]: row
            for row in lake.rows("SELECT table_name, file_count, file_size_bytes FROM ducklake_table_info('lake')")
        }
        return [_status_of(lake, table, files.get(table, {})) for table in TABLES]


def _status_of(lake: Lake, table: str, files: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "table": table,
        "rows": lake.one(f"SELECT count(*) FROM {table}"),
        "newest": lake.one(f"SELECT max({_NEWEST[table]}) FROM {table}") if table in _NEWEST else None,
        "files": files.get("file_count"),
        "bytes": files.get("file_size_bytes"),
    }
