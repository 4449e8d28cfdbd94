"""
Does everything that was read add up? The equation of the lake, and whether all its files are there.

For each table: what reads brought = what is there + what was removed. For each line: lines read = lines that made rows,
were left on purpose, or went into quarantine. No event twice, no daily sum off, no file missing or left over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.lake import Lake
from pipeline.model import SCHEMAS


@dataclass(frozen=True, slots=True)
class Check:
    """One equation: what it is about, both sides, and whether they are equal."""

    what: str
    expected: int
    found: int

    @property
    def holds(self) -> bool:
        """Whether both sides are equal."""
        return self.expected == self.found


_COUNTED = {"traces": "traces_latest"}
"""What the daily sums count, where it is not each row of the table."""


def audit(lake: Lake) -> list[Check]:
    """Return every equation of `lake`, those that do not hold first; without all its files, only which are missing."""
    with lake.reading():
        checks = _files(lake)
        if all(check.holds for check in checks):
            checks += [*_rows(lake), *_quarantine(lake), *_lines(lake), *_doubles(lake), *_sums(lake)]
    return sorted(checks, key=lambda check: check.holds)


def _count(lake: Lake, sql: str) -> int:
    return int(lake.one(sql) or 0)


def _removed(lake: Lake, table: str) -> int:
    return _count(lake, f"SELECT sum(rows) FROM removals WHERE \"table\" = '{table}'")


def _rows(lake: Lake) -> list[Check]:
    there = sum(_count(lake, f"SELECT count(*) FROM {table}") + _removed(lake, table) for table in SCHEMAS)
    if _removed(lake, "reads"):
        return []  # the books of what was read were cut themselves
    return [Check("rows kept by reads = rows there + rows removed", _count(lake, "SELECT sum(rows) FROM reads"), there)]


def _quarantine(lake: Lake) -> list[Check]:
    if _removed(lake, "reads"):
        return []
    put = _count(lake, "SELECT sum(coalesce(quarantined, rejects)) FROM reads")
    there = _count(lake, "SELECT count(*) FROM quarantine") + _removed(lake, "quarantine")
    return [Check("records put into quarantine = records there + records taken out", put, there)]


def _lines(lake: Lake) -> list[Check]:
    wrong = _count(lake, 'SELECT count(*) FROM reads WHERE lines < "left" + rejects')
    return [Check("reads whose lines are fewer than left + rejected", 0, wrong)]


def _doubles(lake: Lake) -> list[Check]:
    return [
        Check(
            f"events of {table} that are there twice",
            0,
            _count(lake, f"SELECT count(*) - count(DISTINCT event_id) FROM {table}"),
        )
        for table in SCHEMAS
    ]


def _sums(lake: Lake) -> list[Check]:
    return [
        Check(
            f"daily sums of {table} = its rows",
            _count(lake, f"SELECT count(*) FROM {_COUNTED.get(table, table)}") + _removed(lake, table),
            _count(lake, f"SELECT sum(events) FROM sender_days WHERE evidence = '{table}'"),
        )
        for table in ("deliveries", "signins", "traces")
        if not _removed(lake, table) and not _removed(lake, "sender_days")
    ]


def _files(lake: Lake) -> list[Check]:
    live = {
        Path(str(path))
        for row in lake.rows("SELECT table_name FROM ducklake_table_info('lake')")
        for file in lake.rows(f"SELECT * FROM ducklake_list_files('lake', '{row['table_name']}')")
        for path in (file["data_file"], file["delete_file"])
        if path
    }
    return [
        Check("data files that the catalog names and the disk has", len(live), sum(each.is_file() for each in live))
    ]
