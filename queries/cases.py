"""
Run the cases that a SQL file carries: rows in, findings out, on a DuckDB in memory.

A case row states only what matters; all other columns get usual values. `times` repeats a row (each with an event id
of its own, and `step` later than the one before), and "-61m" is a time before the test's now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.errors import DetectionError
from pipeline.lake.tables import TABLES, VIEWS, ddl_of, ddl_of_view
from pipeline.model import TIME, Window
from pipeline.spans import span_of
from queries.ask import ask, rows_of_query
from queries.detect import OPEN_FINDINGS
from queries.detection import Detection
from queries.published import view_statements
from queries.sql_files import SqlFile

WITH_CASES = ("over", "saved", "dossier", "views")
"""Folders of SQL files that are no detections and carry cases all the same."""

NOW = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)

_USUAL: Mapping[str, Any] = {
    "sender": None,
    "client_ip": "192.0.2.10",
    "log_host": "relay",
    "kind": "try",
    "outcome": "rejected",
    "auth_protocol": "unknown",
    "service": "exchange_online",
    "endpoint": "smtp.office365.com",
    "format": "postfix",
    "source": "case",
    "events": 1,
    "evidence": "usage",
}
_RARELY_TOLD = frozenset({"queued_at", "expires_at", "first_at", "last_at"})
"""Times that most logs and sums do not tell."""
_SPECIAL = {
    "open_findings": OPEN_FINDINGS,
    "asked": pa.schema([("sender", pa.string()), ("reply_class", pa.string()), ("since", TIME)]),
}
_NUMBERS = count(1)
_RELATIVE = re.compile(r"-?\d+(?:\.\d+)?[smhdw]")


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that did not come out: what it is called and what was found instead."""

    case: str
    sentence: str


def failures_of(detection: Detection) -> list[Failure]:
    """Return the cases of `detection` that fail."""
    window = Window(NOW - detection.window, NOW)

    def found(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        return [
            {**finding.facts, "first_seen": finding.first_seen, "last_seen": finding.last_seen}
            for finding in ask(connection, detection, window)
        ]

    return [failure for case in detection.cases for failure in _failure(case, found)]


def failures_of_file(file: SqlFile) -> list[Failure]:
    """Return the cases of any other SQL file that fail; its parameters have their defaults."""
    parameters = {name: _default(value) for name, value in file.header.get("params", {}).items()}

    def found(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        return list(rows_of_query(connection, file.name, file.sql, parameters))

    return [failure for case in file.cases for failure in _failure(case, found)]


def _default(value: Any) -> Any:
    return _moment(value) if isinstance(value, str) and _RELATIVE.fullmatch(value) else value


def case_connection(case: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB in memory with the tables of a lake and the rows that `case` gives."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    for table in TABLES:
        connection.execute(ddl_of(table))
    for statement in (*map(ddl_of_view, VIEWS), *view_statements()):
        connection.execute(statement)
    numbers = count(1)
    for table, rows in case.get("given", {}).items():
        schema = TABLES.get(table) or _SPECIAL[table]
        given = [_row(each, schema, next(numbers)) for row in rows for each in _repeated(row)]
        connection.register("given_rows", pa.Table.from_pylist(given, schema=schema))
        if table in TABLES:
            connection.execute(f"INSERT INTO {table} SELECT * FROM given_rows")
        else:
            connection.execute(f"CREATE TABLE {table} AS SELECT * FROM given_rows")
        connection.unregister("given_rows")
    return connection


def with_usual_values(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return `rows` of `table` as Arrow, with usual values in the columns that they do not name."""
    schema = TABLES[table]
    return pa.Table.from_pylist(
        [_row(each, schema, next(_NUMBERS)) for row in rows for each in _repeated(row)], schema=schema
    )


def _failure(case: Mapping[str, Any], found: Any) -> list[Failure]:
    with case_connection(case) as connection:
        try:
            rows = found(connection)
        except DetectionError as error:
            return [Failure(case["name"], str(error))]
    wanted = case["finds"]
    shown = [{name: row.get(name) for name in want} for row, want in zip(rows, wanted, strict=False)]
    if len(rows) != len(wanted) or shown != wanted:
        return [Failure(case["name"], f"should find {wanted}, but finds {rows}")]
    return []


def _repeated(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield `row` as often as its `times` says, each `step` later than the one before."""
    plain = {name: value for name, value in row.items() if name != "step"}
    step = span_of(row["step"]) if "step" in row else timedelta(0)
    for number in range(row.get("times", 1)):
        yield {name: _shifted(value, step * number) for name, value in plain.items()}


def _shifted(value: Any, by: timedelta) -> Any:
    is_moment = isinstance(value, str) and _RELATIVE.fullmatch(value)
    return _moment(value) + by if is_moment and by else value


def _row(row: Mapping[str, Any], schema: pa.Schema, number: int) -> dict[str, Any]:
    unknown = row.keys() - set(schema.names) - {"times"}  # of `jobs` it is a column, too
    if unknown:
        raise DetectionError(f"a case names columns that the table does not have: {', '.join(sorted(unknown))}")
    return {field.name: _value(row, field, number) for field in schema}


def _value(row: Mapping[str, Any], field: pa.Field, number: int) -> Any:
    if field.name not in row:
        return _usual(field, number)
    value = row[field.name]
    if field.type == TIME:
        return _moment(value)
    if field.type == pa.date32():
        return _moment(value).date()
    return value


def _usual(field: pa.Field, number: int) -> Any:
    if field.name == "event_id":
        return f"event-{number}"
    if field.name in {"first_at", "last_at"}:
        return None  # of most sums only the day is known
    if field.name == "origin_offset":
        return number
    if field.type == TIME:
        return None if field.name in _RARELY_TOLD else NOW - timedelta(minutes=5)
    if field.type == pa.date32():
        return NOW.date()
    return _USUAL.get(field.name)


def _moment(value: str | datetime | date) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    text = str(value)
    return NOW + span_of(text) if _RELATIVE.fullmatch(text) else datetime.fromisoformat(text).replace(tzinfo=UTC)
