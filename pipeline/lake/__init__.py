"""
The lake: evidence in Parquet files, everything else in a SQL catalog, both reached through DuckDB's `ducklake`.

A write is one transaction of rows, rollup, cursor and open sessions, so after a crash there is nothing of ours to
recover. Two writers would only make each other's commits fail, so every writer takes one lock with a deadline; any
number of readers see whole snapshots meanwhile. DuckDB does not fsync Parquet files before the catalog commits, so
that is done here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout

from pipeline.errors import LakeError, Place
from pipeline.lake.borrowed import catalog_for, is_there
from pipeline.lake.engines import connected
from pipeline.lake.migrate import migrate
from pipeline.lake.tables import (
    LATEST_FIRST,
    SCHEMA_VERSION,
    TABLES,
    VERSIONS,
    VIEWS,
    ddl_of,
    ddl_of_view,
)

CATALOG = "catalog.sqlite"
INLINED_ROWS = 200
"""Commits of up to this many rows stay in the catalog, so that a one-second tail makes no litter of small files."""
_FEW_FILES = 100
_LITTLE_DATA = 16 << 20
"""Bytes in so many files at most are a small lake: one thread is as quick as two there, for half of the work."""


@dataclass(slots=True)
class Lake:
    """An attached lake; make one with `Lake.open`."""

    folder: Path
    connection: duckdb.DuckDBPyConnection
    read_only: bool
    lock_deadline_s: float = 60.0
    fsync: Callable[[int], None] = os.fsync
    is_small: bool | None = field(default=None, init=False)  # looked at anew by each transaction that writes

    @classmethod
    @contextmanager
    def open(cls, folder: Path, *, read_only: bool = False, lock_deadline_s: float = 60.0) -> Iterator[Self]:
        """Attach the lake in `folder`, made there when it is new; raise LakeError when that cannot be."""
        folder = folder.absolute()
        if folder.is_file():
            raise LakeError(
                "is a file, and a lake is a folder; name another place in [lake] folder", place=Place(folder)
            )
        if read_only and not is_there(_catalog(folder)):
            raise LakeError("there is no lake yet; `authsunset run --once` or `ingest` makes it", place=Place(folder))
        catalog = catalog_for(_catalog(folder)) if read_only else nullcontext(_catalog(folder))
        with connected() as connection, catalog as path:
            lake = cls(folder, connection, read_only, lock_deadline_s)
            lake._attach(path)
            yield lake

    def _attach(self, catalog: Path) -> None:
        rights = (
            "this user may read all of the folder" if self.read_only else "the folder may be written, the disk has room"
        )
        mend = f"see that {rights} and {CATALOG} is whole, or restore the backup"
        with self._translated("the lake cannot be opened", mend=mend):
            self._fit(_data_files(self.folder))
            if self.read_only:
                self._attach_catalog(catalog)
                version = self._version()
            else:
                with self._lock():
                    self._attach_catalog(catalog)
                    version = self._brought_up(self._version())
            self._check(version)

    def _fit(self, files: Collection[Path]) -> None:
        """Use as many threads as the data is worth: over little of it they only get in each other's way."""
        is_small = len(files) <= _FEW_FILES and sum(map(_bytes_of, files)) <= _LITTLE_DATA
        if is_small is not self.is_small:
            self.connection.execute("SET threads = 1" if is_small else "RESET threads")
            self.is_small = is_small

    def _attach_catalog(self, catalog: Path) -> None:
        options = {
            "DATA_PATH": _quoted((self.folder / "data").as_posix()),
            "OVERRIDE_DATA_PATH": "true",  # a lake that was moved or restored elsewhere lies beside its catalog
            "META_BUSY_TIMEOUT": "10000",
            "DATA_INLINING_ROW_LIMIT": str(INLINED_ROWS),
        }
        if not self.read_only:
            options["META_JOURNAL_MODE"] = "'WAL'"
        listed = ", ".join(f"{name} {value}" for name, value in options.items())
        mode = ", READ_ONLY" if self.read_only else ""
        self.connection.execute(f"ATTACH {_quoted(f'ducklake:sqlite:{catalog.as_posix()}')} AS lake ({listed}{mode})")
        self.connection.execute("USE lake")

    def _version(self) -> int | None:
        """Return the version of the schema; None where there are no tables yet."""
        try:
            return int(self.connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchall()[0][0])
        except duckdb.CatalogException:
            return None

    def _brought_up(self, version: int | None) -> int:
        """Make the tables of a lake that has none, or bring those of an older version up; return the version then."""
        if version is None:
            self._create_tables()
        elif version < SCHEMA_VERSION:
            with self._transaction():
                migrate(self, version)
        return max(version or 0, SCHEMA_VERSION)

    def _create_tables(self) -> None:
        # Options first: a crash between the two leaves a lake without tables, which the next start completes.
        self.connection.execute("CALL lake.set_option('parquet_compression', 'zstd')")
        self.connection.execute("CALL lake.set_option('parquet_row_group_size', '122880')")
        with self._transaction():
            for table in TABLES:
                self.connection.execute(ddl_of(table))
            for view in VIEWS:
                self.connection.execute(ddl_of_view(view))
            self.connection.execute("INSERT INTO meta VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)])

    def _check(self, version: int | None) -> None:
        if version is None:
            raise LakeError("the lake has no tables yet; `authsunset ingest` completes it", place=Place(self.folder))
        if version < SCHEMA_VERSION:
            mend = "`authsunset lake maintain`, or the next run of the service, brings it up to date"
        elif version > SCHEMA_VERSION:
            mend = "use the program that made it, or a newer one"
        else:
            return
        raise LakeError(
            f"the lake has schema version {version} and this program works with {SCHEMA_VERSION}; {mend}",
            place=Place(self.folder),
        )

    def rows(self, sql: str, parameters: object = None) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries; times are aware datetimes in UTC."""
        found: list[dict[str, Any]] = self.arrow(sql, parameters).to_pylist()
        return found

    def arrow(self, sql: str, parameters: object = None) -> pa.Table:
        """Return the rows of a query as Arrow."""
        with self._translated("a query failed"):
            return self.connection.execute(sql, parameters).to_arrow_table()

    def one(self, sql: str, parameters: object = None) -> Any:
        """Return the first column of the first row, or None when there is no row."""
        found = self.arrow(sql, parameters)  # DuckDB's own rows of aware times want pytz
        return found.column(0)[0].as_py() if found.num_rows else None

    @contextmanager
    def _translated(self, what: str, *, mend: str = "", retry: bool = False) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:
            sentence = f"{what}: {error}" + (f"; {mend}" if mend else "")
            raise LakeError(sentence, place=Place(self.folder), retry=retry) from error

    def snapshot(self) -> int:
        """Return the number of the newest snapshot: a position in the lake's change feed."""
        return int(self.one("SELECT id FROM ducklake_current_snapshot('lake')"))

    def oldest_snapshot(self) -> int | None:
        """Return the number of the oldest snapshot that is kept; the catalog's own table tells, at once."""
        found = self.one("SELECT min(snapshot_id) FROM __ducklake_metadata_lake.ducklake_snapshot")
        return None if found is None else int(found)

    @contextmanager
    def reading(self) -> Iterator[Self]:
        """One transaction for all that is read inside: one snapshot, which is looked up in the catalog only once."""
        self.connection.execute("BEGIN")
        try:
            yield self
        finally:
            self._roll_back()

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """One transaction under the writer lock: all that is written inside is committed, durable, or nothing is."""
        if self.read_only:
            raise LakeError("the lake was opened for reading only", place=Place(self.folder))
        mend = "see that the disk has room and the folder may be written, then run it again"
        with self._translated("nothing was committed", mend=mend, retry=True), self._lock(), self._transaction():
            yield self

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / "writer.lock", timeout=self.lock_deadline_s)
        try:
            lock.acquire()
        except Timeout as error:
            raise LakeError(
                f"another authsunset has been writing for more than {self.lock_deadline_s:g} s; wait for it or end it",
                place=Place(self.folder),
                retry=True,
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        before = _data_files(self.folder)
        self._fit(before)
        try:
            self.connection.execute("BEGIN")
            yield
            self._make_durable(_data_files(self.folder) - before)
            self.connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _make_durable(self, paths: set[Path]) -> None:
        """Flush files, and the folders of the lake that name them, to disk."""
        folders = {folder for path in paths for folder in path.parents if folder.is_relative_to(self.folder)}
        # Windows cannot open a folder; its names are durable with the file.
        for path in [*paths, *(folders if os.name != "nt" else ())]:
            descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
            try:
                self.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _roll_back(self) -> None:
        try:
            self.connection.execute("ROLLBACK")
        except duckdb.Error:
            return  # the failed COMMIT has already ended the transaction

    def insert(self, table: str, rows: pa.Table | Sequence[dict[str, Any]]) -> int:
        """Append `rows` to `table` inside `writing()`; return how many."""
        arrow = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=TABLES[table])
        if arrow.num_rows:
            names = ", ".join(f'"{name}"' for name in TABLES[table].names)
            self.over(arrow, f"INSERT INTO {table} ({names}) SELECT {names} FROM new_rows")
        return int(arrow.num_rows)

    def insert_new(self, table: str, rows: pa.Table, time_column: str | None = None) -> pa.Table:
        """
        Append those of `rows` whose `event_id` the table does not have yet; return them.

        `time_column` bounds the search for known ids to the times of the new rows, which file statistics prune.
        """
        if not rows.num_rows:
            return rows
        where = _where_known(rows, time_column)
        # Files are not pruned by an OR; where there are few, one look at all of them is quicker.
        known = " UNION ALL ".join(
            f"SELECT event_id FROM {table} WHERE {each}" for each in ([" OR ".join(where)] if self.is_small else where)
        )
        fresh = self.over(
            rows,
            f"SELECT new_rows.* FROM new_rows ANTI JOIN ({known}) AS known USING (event_id) "
            "QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY origin_offset) = 1 "
            f"ORDER BY {time_column or 'origin_offset'}, origin_offset",
        )
        self.insert(table, fresh)
        return fresh

    def insert_versions(self, table: str, rows: pa.Table, time_column: str) -> pa.Table:
        """
        Append those of `rows` that say something else than what is known last of the same thing; return them.

        What makes a thing and what is said of it stands in VERSIONS. A version that is known already is appended once
        more only where another one came between and this one was seen after it: a status that went there and back.
        The returned rows tell in `is_first` whether nothing was known of their thing before.
        """
        if not rows.num_rows:
            return rows.append_column("is_first", pa.array([], pa.bool_()))
        first, last = pc.min_max(rows[time_column]).as_py().values()
        seconds = timedelta(seconds=1)  # one export tells fractions of a second, another does not
        span = f"BETWEEN '{(first - seconds).isoformat()}' AND '{(last + seconds).isoformat()}'"
        thing = [f'"{name}"' for name in VERSIONS[table].thing]
        said = [f'"{name}"' for name in VERSIONS[table].said]
        said_now = ", ".join(f"new_rows.{each}" for each in said)
        fresh = self.over(
            rows,
            f"""
            WITH
            known AS (SELECT * FROM {table} WHERE "{time_column}" {span}),
            known_ids AS (SELECT DISTINCT event_id FROM known),
            latest AS (
              SELECT {", ".join(thing)}, seen_at AS last_seen_at, row({", ".join(said)}) AS last_said
              FROM known
              WHERE {thing[0]} IS NOT NULL
              QUALIFY row_number() OVER (PARTITION BY {", ".join(thing)} ORDER BY {LATEST_FIRST}) = 1
            ),
            news AS (
              SELECT new_rows.*,
                known_ids.event_id IS NOT NULL AS is_known,
                latest.last_seen_at IS NULL AS is_first,
                latest.last_seen_at < new_rows.seen_at AND last_said IS DISTINCT FROM row({said_now}) AS is_back
              FROM new_rows
              LEFT JOIN known_ids USING (event_id)
              LEFT JOIN latest ON {" AND ".join(f"latest.{each} = new_rows.{each}" for each in thing)}
            )
            SELECT * EXCLUDE (is_known, is_back) REPLACE (
                CASE WHEN is_known THEN left(md5(event_id || CAST(epoch_us(seen_at) AS VARCHAR)), 24) ELSE event_id END
                AS event_id
              )
            FROM news
            WHERE NOT is_known OR is_back
            QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY origin_offset) = 1
            ORDER BY "{time_column}", origin_offset
            """,
        )
        self.insert(table, fresh)
        return fresh

    def over(self, rows: pa.Table, sql: str) -> pa.Table:
        """Return the result of `sql`, which may select from `new_rows`."""
        self.connection.register("new_rows", rows)
        try:
            return self.connection.execute(sql).to_arrow_table()
        finally:
            self.connection.unregister("new_rows")


def _where_known(rows: pa.Table, time_column: str | None) -> list[str]:
    """
    Return where an event of `rows` may stand already: each condition apart, of which one or more hold.

    A time that names no year or zone may have been read as another one before: from a file of another age, under
    another setting. So the years beside it are searched too, each with some days to spare.
    """
    if time_column is None:
        return ["true"]
    first, last = pc.min_max(rows[time_column]).as_py().values()
    if first is None:
        return ["true"]
    spans = [(_shifted(first, years, -3), _shifted(last, years, 3)) for years in (-1, 0, 1)]
    return [f'"{time_column}" IS NULL', *(f"\"{time_column}\" BETWEEN '{start}' AND '{end}'" for start, end in spans)]


def _shifted(moment: date, years: int, days: int) -> str:
    try:
        return (moment + timedelta(days=365 * years + days)).isoformat()
    except OverflowError:
        return moment.isoformat()


def _catalog(folder: Path) -> Path:
    return folder / CATALOG


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _data_files(folder: Path) -> set[Path]:
    return set((folder / "data").rglob("*.parquet"))


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # maintenance has just taken it away
        return 0
