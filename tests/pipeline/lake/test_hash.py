from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.lake import INLINED_ROWS, Lake
from pipeline.lake.hash import hash_of, hash_of_table
from pipeline.lake.tables import TABLES
from pipeline.model import SCHEMAS, TIME
from tests.conftest import NOW

EXEMPT = {"ingested_at", "quarantined_at", "origin", "origin_offset", "source", "seen_at"}


def values(kind: pa.DataType) -> tuple[Any, Any]:
    """Return two values of a column that differ as little as they can."""
    pairs: dict[pa.DataType, tuple[Any, Any]] = {
        TIME: (NOW, NOW + timedelta(microseconds=1)),
        pa.date32(): (date(2026, 12, 31), date(2027, 1, 1)),
        pa.int64(): (1, 2),
        pa.int32(): (550, 551),
        pa.bool_(): (True, False),
        pa.string(): ("contoso", "contoso "),
        pa.binary(): (b"a\x00", b"a\x00\x00"),
    }
    return pairs[kind]


def full_row(table: str, **changes: Any) -> dict[str, Any]:
    return {field.name: values(field.type)[0] for field in TABLES[table]} | changes


def numbered(numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [full_row("deliveries", event_id=f"event {number}", size_bytes=number) for number in numbers]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """One lake for all tests here; each begins by emptying it."""
    with Lake.open(tmp_path_factory.mktemp("hash") / "lake") as lake:
        yield lake


def hash_with(lake: Lake, table: str, *commits: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the hash of a lake that got `commits` into `table`, and then nothing else."""
    for rows in commits:
        with lake.writing():
            lake.insert(table, rows)
    found = hash_of(lake)
    with lake.writing():
        lake.connection.execute(f"DELETE FROM {table}")
    return found


def test_the_same_rows_in_one_commit_or_in_fifty_and_in_any_order_have_the_same_hash(fresh: Lake) -> None:
    rows = numbered(range(50))

    at_once = hash_with(fresh, "deliveries", rows)
    one_by_one = hash_with(fresh, "deliveries", *([row] for row in reversed(rows)))

    assert at_once == one_by_one


def test_the_same_rows_in_the_catalog_or_in_files_have_the_same_hash(fresh: Lake) -> None:
    rows = numbered(range(INLINED_ROWS + 50))
    with fresh.writing():
        fresh.insert("deliveries", rows)
    assert fresh.one("SELECT file_count FROM ducklake_table_info('lake') WHERE table_name = 'deliveries'") == 1
    in_files = hash_of(fresh)
    with fresh.writing():
        fresh.connection.execute("DELETE FROM deliveries")

    in_catalog = hash_with(fresh, "deliveries", rows[:100], rows[100:200], rows[200:])

    assert in_files == in_catalog


def test_a_flush_and_a_merge_leave_the_hash_as_it_is(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        for start in (0, 1_000, 2_000):
            with lake.writing():
                lake.insert("deliveries", numbered(range(start, start + 20)))
        before = hash_of(lake)

        lake.connection.execute("CALL ducklake_flush_inlined_data('lake')")
        lake.connection.execute("CALL ducklake_merge_adjacent_files('lake')")

        assert list((tmp_path / "lake" / "data").rglob("*.parquet"))
        assert hash_of(lake) == before


@pytest.mark.parametrize("table", [*SCHEMAS, "quarantine"])
def test_each_value_of_evidence_counts_and_where_and_when_it_was_read_does_not(fresh: Lake, table: str) -> None:
    changes = [{field.name: other} for field in TABLES[table] for other in (values(field.type)[1], None)]

    before, *after = hashes_of_rows(fresh, table, [full_row(table), *(full_row(table, **change) for change in changes)])

    for change, found in zip(changes, after, strict=True):
        assert (found != before) == EXEMPT.isdisjoint(change), change


def hashes_of_rows(lake: Lake, table: str, rows: Iterable[dict[str, Any]]) -> list[str]:
    """Return the hash of `table` for each of `rows` alone in it; nothing is committed."""
    found = []
    lake.connection.execute("BEGIN")
    for row in rows:
        lake.insert(table, [row])
        found.append(hash_of_table(lake, table))
        lake.connection.execute(f"DELETE FROM {table}")
    lake.connection.execute("ROLLBACK")
    return found


def test_the_hash_of_all_evidence_changes_with_that_of_any_table(fresh: Lake) -> None:
    hashes = [hash_with(fresh, table, [full_row(table)])["evidence"] for table in (*SCHEMAS, "quarantine")]

    assert len({hash_of(fresh)["evidence"], *hashes}) == len(SCHEMAS) + 2


def test_each_row_counts_also_when_it_is_there_twice(fresh: Lake) -> None:
    row = full_row("deliveries")

    once, twice, thrice = (hash_with(fresh, "deliveries", [row] * count)["evidence"] for count in (1, 2, 3))

    assert len({once, twice, thrice}) == 3


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"queue_id": "a", "session_id": "bc"}, {"queue_id": "ab", "session_id": "c"}),
        ({"queue_id": "a", "session_id": None}, {"queue_id": None, "session_id": "a"}),
        ({"queue_id": "", "session_id": None}, {"queue_id": None, "session_id": ""}),
        ({"queue_id": "\x00", "session_id": "a"}, {"queue_id": None, "session_id": "a"}),
        ({"queue_id": "a\x1fb", "session_id": "c"}, {"queue_id": "a", "session_id": "b\x1fc"}),
        ({"queue_id": "-", "session_id": "a"}, {"queue_id": None, "session_id": "a"}),
    ],
)
def test_no_value_can_pass_for_another_or_for_none(fresh: Lake, one: dict[str, Any], other: dict[str, Any]) -> None:
    first = hash_with(fresh, "deliveries", [full_row("deliveries", **one)])
    second = hash_with(fresh, "deliveries", [full_row("deliveries", **other)])

    assert first["evidence"] != second["evidence"]


def test_a_row_in_another_table_is_other_evidence(fresh: Lake) -> None:
    empty = hash_of(fresh)
    delivery = hash_with(fresh, "deliveries", [full_row("deliveries")])
    sign_in = hash_with(fresh, "signins", [full_row("signins")])

    assert len({empty["evidence"], delivery["evidence"], sign_in["evidence"]}) == 3
    assert delivery["signins"] == empty["signins"]


def test_our_own_books_are_no_evidence(fresh: Lake) -> None:
    empty = hash_of(fresh)

    assert hash_with(fresh, "reads", [{"read_at": datetime(2027, 1, 1, tzinfo=UTC), "source": "relay"}]) == empty
    assert hash_with(fresh, "cursors", [{"name": "source relay", "state": "{}"}]) == empty


def test_the_hash_names_each_table_of_evidence_and_all_together(fresh: Lake) -> None:
    assert list(hash_of(fresh)) == [*SCHEMAS, "quarantine", "evidence"]
    assert all(len(value) == 32 for value in hash_of(fresh).values())
