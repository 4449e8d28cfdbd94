"""Commits to a lake, as tests and the processes that they start make them; imports little, so that those start fast."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.errors import LakeError
from pipeline.lake import INLINED_ROWS, Lake
from pipeline.lake.tables import TABLES

MOMENT = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)


def deliveries(start: int, end: int, **changes: Any) -> pa.Table:
    """Return one row for each number; its number is its offset."""
    usual = {"event_time": MOMENT, "sender": "scan@contoso.example"}
    rows = [usual | {"event_id": f"event {number}", "origin_offset": number} | changes for number in range(start, end)]
    return pa.Table.from_pylist(rows, schema=TABLES["deliveries"])


def keep(lake: Lake, rows: pa.Table) -> None:
    """Commit `rows` and their sum for the day together."""
    with lake.writing():
        lake.insert("deliveries", rows)
        lake.insert("sender_days", [{"day": date(2026, 12, 31), "events": rows.num_rows}])


def rows_of_commit(number: int) -> pa.Table:
    """Return the rows of the commit `number`: every third makes a file, the others stay in the catalog."""
    return deliveries(number * 1_000, number * 1_000 + (INLINED_ROWS + 1 if number % 3 == 0 else 5))


def commit_in_a_loop(folder: Path, first: int, said: Connection) -> None:
    """Commit until killed; say the number of each commit behind it."""
    take_over()
    with Lake.open(folder) as lake:
        said.send("open")
        for number in range(first, sys.maxsize):
            keep(lake, rows_of_commit(number))
            said.send(number)


def commit_on_a_full_disk(folder: Path, said: Connection) -> None:
    """Try three large commits where no file may grow beyond 20,000 bytes; say how each of them failed."""
    import resource

    take_over()
    with Lake.open(folder) as lake:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        for number in range(1, 4):
            try:
                keep(lake, deliveries(number * 100_000, number * 100_000 + 30_000))
            except LakeError as error:
                said.send((error.sentence.partition(":")[0], error.retry))


def take_over() -> None:
    from tests import preloaded

    preloaded.take_over()


def commit_and_show_extensions(folder: str) -> None:
    """Commit once; print whether DuckDB may fetch extensions by itself."""
    with Lake.open(Path(folder)) as lake:
        keep(lake, deliveries(0, INLINED_ROWS + 1))
        for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
            switch = lake.one("SELECT current_setting(?)", [name])
            sys.stdout.write(f"{name} {switch}\n")


if __name__ == "__main__":
    commit_and_show_extensions(sys.argv[1])
