"""
Run SQL from outside: it reads the lake and nothing else, for so long, with so much memory, up to so many rows.

There are two walls. The query is held against what it may use before it runs (`grammar.py`), and the connection can
reach no file but those of the lake, no network, no extension, and none of its settings can be changed. Time is kept
by interrupting DuckDB from a timer. DuckDB counts most of its memory but not all: a text of gigabytes is built behind
its back, so the address space of the process is bounded as well while the query runs, where the system can do that.
A single function over enormous values hears no interrupt; `give_up` is then the last resort.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.errors import DetectionError
from pipeline.lake import Lake
from queries.grammar import REFUSED, Tables, the_select
from queries.published import LAYERS, show_layers

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None  # type: ignore[assignment]

_BESIDE_DUCKDB = 1 << 30
_BATCH_ROWS = 2_048


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one query may take."""

    seconds: float = 30.0
    grace_seconds: float = 3.0  # an interrupt is heard within a fraction of one, or in one enormous value not at all
    rows: int = 100_000
    result_bytes: int = 128 << 20
    memory_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a query; `left_out` says in a sentence that there are more, and why they are not here."""

    rows: pa.Table
    left_out: str | None = None


def never_mind() -> None:
    """Go on waiting for a query that does not end: what `give_up` is where nobody waits at a prompt."""


@dataclass(slots=True)
class Sandbox:
    """A lake open for reading, locked down; make one with `Sandbox.of`."""

    connection: duckdb.DuckDBPyConnection
    tables: Tables
    limits: Limits
    give_up: Callable[[], None] = never_mind

    @classmethod
    def of(cls, lake: Lake, limits: Limits | None = None, give_up: Callable[[], None] = never_mind) -> Sandbox:
        """Lock down the connection of `lake`, for good, and return it ready for queries from outside."""
        limits = limits or Limits()
        show_layers(lake)
        tables = {*_tables_of(lake.connection), *((layer, view) for layer, views in LAYERS.items() for view in views)}
        _lock_down(lake.connection, lake.folder, limits)
        return cls(lake.connection, tables, limits, give_up)

    def run(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Found:
        """Return the rows of `sql`; raise DetectionError, with the reason, when it is refused or fails."""
        watch = _Watch(self.connection, self.limits, self.give_up)
        try:
            statement = the_select(self.connection, sql, self.tables)
            with watch.running(), _bounded_memory(self.limits.memory_bytes + _BESIDE_DUCKDB):
                return _fetched(self.connection.execute(statement, dict(parameters or {})), self.limits)
        except (duckdb.Error, pa.ArrowException, MemoryError) as error:
            raise DetectionError(f"{REFUSED}: {_reason(error, watch, self.limits)}") from error


def _fetched(result: duckdb.DuckDBPyConnection, limits: Limits) -> Found:
    reader = result.to_arrow_reader(_BATCH_ROWS)
    batches: list[pa.RecordBatch] = []
    rows = held = 0
    for batch in reader:
        batches.append(batch.slice(0, limits.rows - rows))
        rows, held = rows + batch.num_rows, held + batch.nbytes
        if rows > limits.rows or held > limits.result_bytes:
            break
    table = pa.Table.from_batches(batches, reader.schema)
    if rows > limits.rows:
        return Found(table, f"only the first {limits.rows:,} rows are here; there are more, see --max-rows")
    if held > limits.result_bytes:
        most = limits.result_bytes >> 20
        return Found(table, f"only the first {table.num_rows:,} rows are here, which are {most} MB; there may be more")
    return Found(table)


def _reason(error: Exception, watch: _Watch, limits: Limits) -> str:
    if watch.has_rung:
        return f"it took more than {limits.seconds:g} s; ask for fewer rows or days, or give it more with --timeout"
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)):
        return f"it needs more than {limits.memory_bytes >> 20} MB of memory; ask for fewer rows or columns"
    # The first paragraph says what is wrong and what may be meant; below it DuckDB draws where.
    return " ".join(str(error).split("\n\nLINE ")[0].split()) or type(error).__name__


def _tables_of(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str]]:
    for kind in ("table", "view"):
        yield from connection.execute(
            f"SELECT lower(schema_name), lower({kind}_name) FROM duckdb_{kind}s() WHERE database_name = 'lake'"
        ).fetchall()


def _lock_down(connection: duckdb.DuckDBPyConnection, folder: Path, limits: Limits) -> None:
    """Take from the connection every way out of the lake: files, network, extensions, other settings."""
    data = {f"{each.as_posix()}/data/" for each in (folder.absolute(), folder.resolve())}
    allowed = ", ".join("'" + path.replace("'", "''") + "'" for path in sorted(data))
    for setting in (
        f"memory_limit = '{limits.memory_bytes >> 20}MiB'",
        "temp_directory = ''",  # what does not fit into memory would fill a disk instead
        "python_enable_replacements = false",
        f"allowed_directories = [{allowed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")


@dataclass(slots=True)
class _Watch:
    """Interrupts the query of `connection` when its time is over, and gives up on one that does not hear it."""

    connection: duckdb.DuckDBPyConnection
    limits: Limits
    give_up: Callable[[], None]
    has_rung: bool = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep watch while the block runs."""
        is_over = threading.Event()
        thread = threading.Thread(target=self._keep, args=(is_over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _keep(self, is_over: threading.Event) -> None:
        if is_over.wait(self.limits.seconds):
            return
        self.has_rung = True
        self.connection.interrupt()
        if not is_over.wait(self.limits.grace_seconds):
            self.give_up()


@contextmanager
def _bounded_memory(most: int) -> Iterator[None]:
    """Let the process take `most` bytes beyond what it has, while the block runs, where the system can tell."""
    statm = Path("/proc/self/statm")
    if resource is None or not statm.exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    has = int(statm.read_text("ascii").split()[0]) * resource.getpagesize()
    wanted = min(each for each in (soft, hard, has + most) if each != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
