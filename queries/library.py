"""Saved queries with typed parameters, and any read-only SQL, for analysts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.errors import DetectionError
from pipeline.lake import Lake
from pipeline.spans import span_of
from queries.sql_files import SqlFile, sql_file

MOST_MEMORY = "2GB"


def saved(name: str) -> SqlFile:
    """Return the saved query `name`; raise DetectionError, naming what there is, when there is none."""
    return sql_file("saved", name)


def parameters_of(file: SqlFile, given: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the parameters of `file` with those `given` in their place; '-30d' is a time before `now`."""
    defaults = dict(file.header.get("params", {}))
    unknown = given.keys() - defaults.keys()
    if unknown:
        raise DetectionError(
            f"query {file.name} has no parameter {', '.join(sorted(unknown))}; there is {', '.join(defaults) or 'none'}"
        )
    return {name: _value(given.get(name, default), default, now) for name, default in defaults.items()}


def run(lake: Lake, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
    """Return the rows of `sql`, which can read the lake and nothing else; raise DetectionError when it fails."""
    _lock_down(lake.connection, lake.folder)
    try:
        statements = lake.connection.extract_statements(sql)
        # EXPLAIN is out too: EXPLAIN ANALYZE runs what it explains.
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise DetectionError("the query was refused or failed: give one SELECT, which only reads")
        return lake.connection.execute(statements[0], dict(parameters or {})).to_arrow_table()
    except duckdb.Error as error:
        raise DetectionError(f"the query was refused or failed: {str(error).strip()}") from error


def _lock_down(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Take from the connection every way out of the lake: files, network, extensions, other settings."""
    settings = {
        "allowed_directories": [str(folder.resolve()) + "/"],
        "memory_limit": MOST_MEMORY,
    }
    for name, value in settings.items():
        connection.execute(f"SET {name} = {value!r}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _value(given: str, default: Any, now: datetime) -> Any:
    if isinstance(default, bool):
        return str(given).lower() in {"1", "true", "yes"}
    if isinstance(default, (int, float)):
        try:
            return type(default)(given)
        except ValueError as error:
            raise DetectionError(f"{given!r} is no number") from error
    if isinstance(default, str) and default.startswith("-"):
        return _moment(str(given), now)
    return given


def _moment(given: str, now: datetime) -> datetime:
    try:
        if given.startswith("-"):
            return now + span_of(given)
        moment = datetime.fromisoformat(given)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise DetectionError(f"{given!r} is no time; write '-30d' or '2026-12-31' or '2026-12-31T18:00'") from error
