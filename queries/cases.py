"""
Run the cases that a SQL file carries: rows in, findings out, on a DuckDB in memory.

A case row states only what matters; all other columns get usual values. `times` repeats a row (each with an event id
of its own, and `step` later than the one before), "-61m" is a time before the test's now, and `{}` is NULL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any, Self

import duckdb
import pyarrow as pa

from pipeline.errors import DetectionError
from pipeline.lake.tables import TABLES, VIEWS, ddl_of, ddl_of_view
from pipeline.model import TIME, Window
from pipeline.spans import span_of
from queries.ask import ask, rows_of_query
from queries.detect import OPEN_FINDINGS
from queries.detection import Detection
from queries.finding import Finding
from queries.parameters import default_of
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
_Found = Callable[[duckdb.DuckDBPyConnection], list[dict[str, Any]]]
_RELATIVE = re.compile(r"-?\d+(?:\.\d+)?[smhdw]")


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that did not come out: what it is called and what was found instead."""

    case: str
    sentence: str


@dataclass(slots=True)
class Bench:
    """A DuckDB in memory with the tables of a lake; the rows of one case after another are put on it and taken off."""

    connection: duckdb.DuckDBPyConnection

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """Make one with empty tables; that takes longer than most cases, so many share it."""
        with duckdb.connect(":memory:") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET threads = 1")  # over a handful of rows more of them only cost
            for table in TABLES:
                connection.execute(ddl_of(table))
            for statement in (*map(ddl_of_view, VIEWS), *view_statements()):
                connection.execute(statement)
            yield cls(connection)

    @contextmanager
    def given(self, case: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
        """Put the rows on it that `case` gives, for as long as that lasts."""
        numbers = count(1)
        try:
            for table, rows in case.get("given", {}).items():
                self._put(table, rows, numbers)
            yield self.connection
        finally:
            for table in case.get("given", {}):
                self.connection.execute(f"DELETE FROM {table}" if table in TABLES else f"DROP TABLE IF EXISTS {table}")

    def _put(self, table: str, rows: Iterable[Mapping[str, Any]], numbers: Iterator[int]) -> None:
        schema = TABLES.get(table) or _SPECIAL.get(table)
        if schema is None:
            raise DetectionError(f"a case gives rows of {table!r}, which is no table of the lake")
        given = [_row(each, schema, next(numbers)) for row in rows for each in _repeated(row)]
        self.connection.register("given_rows", pa.Table.from_pylist(given, schema=schema))
        if table in TABLES:
            self.connection.execute(f"INSERT INTO {table} SELECT * FROM given_rows")
        else:
            self.connection.execute(f"CREATE TABLE {table} AS SELECT * FROM given_rows")
        self.connection.unregister("given_rows")


def failures_of(detection: Detection, bench: Bench | None = None) -> list[Failure]:
    """Return the cases of `detection` that fail, run on `bench` where many share one."""
    window = window_of(detection)

    def found(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        return shown(ask(connection, detection, window))

    return _failures(detection.cases, found, bench)


def failures_of_file(file: SqlFile, bench: Bench | None = None) -> list[Failure]:
    """Return the cases of any other SQL file that fail; its parameters have their defaults."""
    parameters = parameters_of_case(file)

    def found(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        return list(rows_of_query(connection, file.name, file.sql, parameters))

    return _failures(file.cases, found, bench)


def window_of(detection: Detection) -> Window:
    """Return the window over which cases of `detection` are asked: it ends at their now."""
    return Window(NOW - detection.window, NOW)


def shown(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return `findings` as the rows that a case compares."""
    return [{**each.facts, "first_seen": each.first_seen, "last_seen": each.last_seen} for each in findings]


def parameters_of_case(file: SqlFile) -> dict[str, Any]:
    """Return the parameters of a SQL file as its cases have them: the defaults, spans counted from their now."""
    return {name: _default(default_of(value)) for name, value in file.header.get("params", {}).items()}


def _default(value: Any) -> Any:
    return _moment(value) if isinstance(value, str) and _RELATIVE.fullmatch(value) else value


@contextmanager
def case_connection(case: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a DuckDB in memory with the tables of a lake and the rows that `case` gives."""
    with Bench.open() as bench, bench.given(case) as connection:
        yield connection


def with_usual_values(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return `rows` of `table` as Arrow, with usual values in the columns that they do not name."""
    schema = TABLES[table]
    return pa.Table.from_pylist(
        [_row(each, schema, next(_NUMBERS)) for row in rows for each in _repeated(row)], schema=schema
    )


def comes_out(case: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether `rows` are what `case` says is found: as many, in order, alike in the columns that it names."""
    wanted = case["finds"]
    named = [{name: row.get(name) for name in want} for row, want in zip(rows, wanted, strict=False)]
    return len(rows) == len(wanted) and named == wanted


def _failures(cases: Iterable[Mapping[str, Any]], found: _Found, bench: Bench | None) -> list[Failure]:
    with nullcontext(bench) if bench else Bench.open() as shared:
        return [failure for case in cases for failure in _failure(case, found, shared)]


def _failure(case: Mapping[str, Any], found: _Found, bench: Bench) -> list[Failure]:
    try:
        with bench.given(case) as connection:
            rows = found(connection)
    except DetectionError as error:
        return [Failure(case["name"], str(error))]
    if not comes_out(case, rows):
        return [Failure(case["name"], f"should find {case['finds']}, but finds {rows}")]
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
    if value == {}:
        return None
    if field.type == TIME:
        return _moment(value)
    if field.type == pa.date32():
        return _moment(value).date()
    return value


def _usual(field: pa.Field, number: int) -> Any:
    if field.name == "event_id":
        return f"event-{number}"
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
