"""
Write the lake, or some of it, as plain files that any tool reads: one folder a table, Parquet or CSV.

All tables come from one snapshot. DuckDB streams them, so memory does not grow with the lake. Everything is written
aside first and flushed to disk; only then do the folders get their names, so an export is whole or it is not there.
In CSV, a text that a spreadsheet would run as a formula gets a quote in front, as in all CSV that we print.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.errors import LakeError, Place
from pipeline.lake import Lake
from pipeline.lake.tables import TABLES, TIME_KEPT, VIEWS

FORMATS = ("parquet", "csv")
_OPTIONS = {
    "parquet": "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880",
    "csv": "FORMAT csv, HEADER true",
}
_TIMES: Mapping[str, str] = {**TIME_KEPT, "removals": "removed_at"}
_TIMES_OF_VIEWS = ("@timestamp", "time_dt", *dict.fromkeys(TIME_KEPT.values()))
_MEMORY = "1GiB"
# What a spreadsheet takes for a formula, at the start of any line of a text.
_FORMULA = "(^|\\n)([ \u00a0]*[=+\\-@\\t\\r＝＋－＠])"


@dataclass(frozen=True, slots=True)
class Exported:
    """One table as it was written."""

    table: str
    rows: int
    bytes: int


def export(
    lake: Lake,
    into: Path,
    *,
    format: str = "parquet",
    tables: Sequence[str] = (),
    since: datetime | None = None,
    overwrite: bool = False,
) -> list[Exported]:
    """
    Write `tables` of `lake` (all of them, where none is named; views too, where they are) into folders below `into`.

    With `since`, only rows from then on, of tables that have a time. Raise LakeError, with nothing written, when one
    of the folders is there already, unless `overwrite` says that it may be replaced.
    """
    names = list(dict.fromkeys(tables)) or list(TABLES)
    taken = [name for name in names if (into / name).exists()]
    if taken and not overwrite:
        raise LakeError(
            f"holds an export of {', '.join(taken)} already; name another folder, or replace it with --overwrite",
            place=Place(into),
        )
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _aside(into) as aside:
            written = _write_all(lake, aside, names, format, since)
            _put_in_place(aside, into, names)
    except OSError as error:
        raise LakeError(
            f"nothing was exported: {error.strerror or error}; see that the folder may be written and has room",
            place=Place(into),
        ) from error
    return written


@contextmanager
def _aside(into: Path) -> Iterator[Path]:
    """Yield a folder of this export beside its goal, on the same disk; what is left in it goes."""
    aside = Path(tempfile.mkdtemp(prefix=".export-", dir=into))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write_all(lake: Lake, aside: Path, names: Sequence[str], format: str, since: datetime | None) -> list[Exported]:
    connection = lake.connection
    connection.execute(f"SET memory_limit = '{_MEMORY}'; SET preserve_insertion_order = false")
    try:
        with lake.reading():
            return [_write(lake, aside / name, name, format, since) for name in names]
    finally:
        connection.execute("RESET memory_limit; RESET preserve_insertion_order")


def _write(lake: Lake, folder: Path, name: str, format: str, since: datetime | None) -> Exported:
    columns = _columns_of(lake, name)
    listed = ", ".join(_as_text(column, kind) if format == "csv" else _quoted(column) for column, kind in columns)
    time = _TIMES.get(name) or next((each for each in _TIMES_OF_VIEWS if each in dict(columns)), None)
    where = f"WHERE {_quoted(time)} >= CAST('{since.isoformat()}' AS {dict(columns)[time]})" if since and time else ""
    folder.mkdir()
    path = folder / f"{name}.{format}"
    rows = lake.one(
        f"COPY (SELECT {listed} FROM {_table(name)} {where}) "
        f"TO '{path.as_posix().replace(chr(39), chr(39) * 2)}' ({_OPTIONS[format]})"
    )
    _flush(path)
    return Exported(name, int(rows or 0), path.stat().st_size)


def _columns_of(lake: Lake, name: str) -> list[tuple[str, str]]:
    if name not in TABLES and name not in VIEWS and not _is_known(lake, name):
        there_is = ", ".join([*TABLES, *VIEWS])
        raise LakeError(f"there is no table or view {name!r} to export; there is {there_is}, and ecs.* and ocsf.*")
    return [(row["column_name"], row["column_type"]) for row in lake.rows(f"DESCRIBE {_table(name)}")]


def _is_known(lake: Lake, name: str) -> bool:
    [(found,)] = lake.connection.execute(
        "SELECT count(*) FROM duckdb_views() WHERE NOT internal AND "
        "? IN (database_name || '.' || view_name, schema_name || '.' || view_name)",
        [name],
    ).fetchall()
    return bool(found)


def _as_text(column: str, kind: str) -> str:
    """Return `column` as it stands in CSV: nothing that a spreadsheet would run, and times as ISO 8601 in UTC."""
    name = _quoted(column)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}"
    if kind in {"BIGINT", "INTEGER", "BOOLEAN", "DATE", "DOUBLE"}:
        return name
    text = name if kind == "VARCHAR" else f"CAST({name} AS VARCHAR)" if kind == "BLOB" else f"to_json({name})::VARCHAR"
    return f"regexp_replace({text}, '{_FORMULA}', '\\1''\\2', 'g') AS {name}"


def _put_in_place(aside: Path, into: Path, names: Sequence[str]) -> None:
    """Give each folder its name; one that is replaced stays aside until then."""
    for name in names:
        goal = into / name
        before = aside / f"{name}.before"
        if goal.exists():
            goal.rename(before)
        try:
            (aside / name).rename(goal)
        except OSError:
            if before.exists():
                before.rename(goal)
            raise
    _flush(into)


def _flush(path: Path) -> None:
    if os.name == "nt" and path.is_dir():  # Windows cannot open a folder
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _table(name: str) -> str:
    return ".".join(_quoted(part) for part in name.split("."))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
