from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from filelock import FileLock

from pipeline.errors import LakeError
from pipeline.lake import CATALOG, INLINED_ROWS, Lake
from pipeline.lake.engines import CONFIG
from pipeline.lake.extensions import PACKAGES, path_of
from pipeline.lake.status import status_of
from pipeline.lake.tables import SCHEMA_VERSION, TABLES
from queries.sandbox import Sandbox
from tests.cli import FRESH, ROOT
from tests.conftest import counts
from tests.pipeline.lake.commits import (
    MOMENT,
    commit_in_a_loop,
    commit_on_a_full_disk,
    deliveries,
    keep,
    rows_of_commit,
)


@contextmanager
def started(act: Callable[..., None], *arguments: object) -> Iterator[tuple[BaseProcess, Connection]]:
    """Start `act` in a process of its own; at the end it is killed, if it still runs, and can clean nothing up."""
    heard, said = FRESH.Pipe(duplex=False)
    child = FRESH.Process(target=act, args=(*arguments, said))
    child.start()
    said.close()
    try:
        yield child, heard
    finally:
        child.kill()
        child.join()


def all_that_is_left(heard: Connection) -> Iterator[Any]:
    try:
        while True:
            yield heard.recv()
    except EOFError:
        return


def test_a_lake_is_made_where_there_is_none_and_is_there_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "lake"

    with Lake.open(folder) as lake:
        keep(lake, deliveries(0, 3))
    with Lake.open(folder) as lake:
        found = counts(lake)

    assert found == dict.fromkeys(TABLES, 0) | {"meta": 1, "deliveries": 3, "sender_days": 1}


def test_a_lake_that_was_opened_by_a_relative_path_opens_by_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Lake.open(Path("lake")) as lake:
        keep(lake, deliveries(0, INLINED_ROWS + 1))

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    for path in (tmp_path / "lake", Path("../lake"), tmp_path / "elsewhere" / ".." / "lake"):
        with Lake.open(path, read_only=True) as lake:
            assert counts(lake)["deliveries"] == INLINED_ROWS + 1


def test_a_lake_that_was_moved_keeps_its_rows_and_takes_new_ones(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        keep(lake, deliveries(0, INLINED_ROWS + 1))
    shutil.move(tmp_path / "lake", tmp_path / "restored")

    with Lake.open(tmp_path / "restored") as lake:
        keep(lake, deliveries(1_000, 1_000 + INLINED_ROWS + 1))
        found = counts(lake)["deliveries"]

    assert found == 2 * (INLINED_ROWS + 1)
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    "name", ["o'brien's lake", 'a "lake"', "lake #1?mode=memory&x", "ein Übersee-See 湖", "a;b--c"]
)
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    with Lake.open(tmp_path / name) as lake:
        keep(lake, deliveries(0, INLINED_ROWS + 1))

    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
    assert (tmp_path / name / CATALOG).exists()
    assert list((tmp_path / name / "data").rglob("*.parquet"))


def test_a_missing_lake_cannot_be_read_and_the_sentence_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(LakeError) as raised, Lake.open(tmp_path / "lake", read_only=True):
        pass

    assert str(raised.value) == f"{tmp_path}/lake: there is no lake yet; `authsunset run --once` or `ingest` makes it"
    assert list(tmp_path.iterdir()) == []


def test_a_lake_of_an_older_version_is_brought_up_to_date_by_whoever_may_write(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake, lake.writing():
        lake.connection.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
        lake.connection.execute("ALTER TABLE deliveries DROP COLUMN expires_at")
        lake.connection.execute("DROP TABLE exposure")

    with pytest.raises(LakeError, match="`authsunset lake maintain`"), Lake.open(tmp_path / "lake", read_only=True):
        pass
    with Lake.open(tmp_path / "lake") as lake:
        assert lake.one("SELECT value FROM meta WHERE key = 'schema_version'") == str(SCHEMA_VERSION)
        assert lake.one("SELECT count(expires_at) FROM deliveries") == 0
        assert lake.one("SELECT count(*) FROM exposure") == 0


def test_a_lake_of_a_newer_schema_version_is_refused(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake, lake.writing():
        lake.connection.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")

    sentence = f"has schema version 999 and this program works with {SCHEMA_VERSION}; use the program"
    for read_only in (True, False):
        with (
            pytest.raises(LakeError, match=sentence) as raised,
            Lake.open(tmp_path / "lake", read_only=read_only),
        ):
            pass

        assert raised.value.place.path == tmp_path / "lake"


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("content", [b"no catalog at all" * 100, b"SQLite format 3\0" + b"\xff" * 8_000])
def test_a_damaged_catalog_is_a_sentence_that_names_it_and_the_mend(
    tmp_path: Path, content: bytes, *, read_only: bool
) -> None:
    (tmp_path / CATALOG).write_bytes(content)

    with (
        pytest.raises(LakeError, match=r"the lake cannot be opened: .*restore the backup"),
        Lake.open(tmp_path, read_only=read_only),
    ):
        pass

    assert (tmp_path / CATALOG).read_bytes() == content


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with (
        pytest.raises(LakeError, match=r"the lake cannot be opened: .*Not a directory.*may be written"),
        Lake.open(tmp_path / "file" / "lake"),
    ):
        pass


def test_an_empty_catalog_that_a_crash_left_is_completed_by_the_next_start(tmp_path: Path) -> None:
    (tmp_path / CATALOG).write_bytes(b"")

    with Lake.open(tmp_path) as lake:
        assert counts(lake)["meta"] == 1


def test_a_catalog_without_tables_that_a_crash_left_is_completed_by_the_next_start(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        for table in TABLES:
            lake.connection.execute(f"DROP TABLE {table}")

    with (
        pytest.raises(LakeError, match="has no tables yet; `authsunset ingest` completes it"),
        Lake.open(tmp_path / "lake", read_only=True),
    ):
        pass
    with Lake.open(tmp_path / "lake") as lake:
        assert counts(lake) == dict.fromkeys(TABLES, 0) | {"meta": 1}


def test_a_reader_cannot_write(lake: Lake) -> None:
    with Lake.open(lake.folder, read_only=True) as reader:
        with pytest.raises(LakeError, match="opened for reading only"):
            keep(reader, deliveries(0, 1))
        with pytest.raises(LakeError, match="a query failed"):
            reader.rows("DELETE FROM meta")

    assert counts(lake)["meta"] == 1


@pytest.mark.parametrize("ask", ["rows", "arrow", "one"])
def test_a_query_that_fails_is_a_sentence(lake: Lake, ask: str) -> None:
    with pytest.raises(LakeError, match=r"a query failed: .*no_such_table"):
        getattr(lake, ask)("SELECT * FROM no_such_table")


def test_a_writer_that_waits_too_long_says_who_is_in_its_way_and_the_mend(lake: Lake) -> None:
    lake.lock_deadline_s = 0.05

    with FileLock(lake.folder / "writer.lock"):
        with pytest.raises(LakeError, match=r"another authsunset has been writing .*wait for it or end it") as writing:
            keep(lake, deliveries(0, 1))
        with (
            pytest.raises(LakeError, match="another authsunset has been writing") as opening,
            Lake.open(lake.folder, lock_deadline_s=0.05),
        ):
            pass

    assert writing.value.retry
    assert opening.value.retry
    keep(lake, deliveries(0, 1))
    assert counts(lake)["deliveries"] == 1


def test_a_reader_never_waits_for_a_writer(lake: Lake) -> None:
    with lake.writing():
        lake.insert("deliveries", deliveries(0, 5))

        with Lake.open(lake.folder, read_only=True, lock_deadline_s=0) as reader:
            assert counts(reader)["deliveries"] == 0


def break_off(lake: Lake) -> None:
    with lake.writing():
        lake.insert("deliveries", deliveries(0, INLINED_ROWS + 1))
        lake.insert("cursors", [{"name": "source relay"}])
        raise KeyboardInterrupt


def test_what_is_written_in_one_go_is_committed_whole_or_not_at_all(lake: Lake) -> None:
    with pytest.raises(KeyboardInterrupt):
        break_off(lake)

    assert counts(lake) == dict.fromkeys(TABLES, 0) | {"meta": 1}
    keep(lake, deliveries(0, 1))
    assert counts(lake)["deliveries"] == 1


def fail_after_rows(lake: Lake) -> None:
    with lake.writing():
        lake.insert("deliveries", deliveries(0, 5))
        lake.connection.execute("INSERT INTO no_such_table VALUES (1)")


def test_a_failed_statement_commits_nothing_and_the_lake_goes_on(lake: Lake) -> None:
    with pytest.raises(LakeError, match=r"nothing was committed: .*no_such_table") as raised:
        fail_after_rows(lake)

    assert raised.value.retry
    assert counts(lake)["deliveries"] == 0
    keep(lake, deliveries(0, 5))
    assert counts(lake)["deliveries"] == 5


def test_small_commits_make_no_files_and_large_ones_do(lake: Lake) -> None:
    before = files_of(lake.folder)
    keep(lake, deliveries(0, INLINED_ROWS // 2))
    after_small = files_of(lake.folder)
    keep(lake, deliveries(1_000, 1_000 + 2 * INLINED_ROWS))
    after_large = files_of(lake.folder)

    assert after_small == before
    assert len(after_large - before) == 1
    assert counts(lake)["deliveries"] == INLINED_ROWS // 2 + 2 * INLINED_ROWS


def files_of(folder: Path) -> set[Path]:
    return set((folder / "data").rglob("*.parquet"))


def test_every_new_file_and_the_folders_that_name_it_are_on_disk_before_the_commit(lake: Lake) -> None:
    flushed: set[int] = set()
    seen_by_others: set[int] = set()
    before = files_of(lake.folder)

    with Lake.open(lake.folder, read_only=True) as reader:

        def fsync(descriptor: int) -> None:
            os.fsync(descriptor)
            flushed.add(os.fstat(descriptor).st_ino)
            seen_by_others.add(counts(reader)["deliveries"])

        lake.fsync = fsync
        with lake.writing():
            lake.insert("deliveries", deliveries(0, 3 * INLINED_ROWS))
            lake.insert("reads", [{"source": "relay"}] * 3 * INLINED_ROWS)

        assert counts(reader)["deliveries"] == 3 * INLINED_ROWS

    files = files_of(lake.folder) - before
    folders = {parent for path in files for parent in path.parents if parent.is_relative_to(lake.folder)}
    assert len(files) == 2
    assert {path.stat().st_ino for path in files | folders} == flushed
    assert seen_by_others == {0}


def test_a_file_that_cannot_be_flushed_is_not_committed(lake: Lake) -> None:
    def fsync(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    lake.fsync = fsync

    with pytest.raises(LakeError, match=r"nothing was committed: .*Input/output error"):
        keep(lake, deliveries(0, 3 * INLINED_ROWS))

    assert counts(lake)["deliveries"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX")
def test_a_full_disk_is_a_sentence_and_loses_nothing_that_was_there(lake: Lake) -> None:
    keep(lake, deliveries(0, 300))

    with started(commit_on_a_full_disk, lake.folder) as (child, heard):
        said = [*all_that_is_left(heard)]
        child.join(60)

    assert said == [("nothing was committed", True)] * 3
    assert child.exitcode == 0
    assert [counts(lake)[table] for table in ("deliveries", "sender_days")] == [300, 1]
    keep(lake, deliveries(300, 600))
    assert lake.one("SELECT count(DISTINCT event_id) FROM deliveries") == 600


def test_a_reader_that_loops_while_we_write_never_errs_and_sees_whole_commits_only(lake: Lake) -> None:
    def write() -> None:
        for number in range(50):
            # Every tenth commit is a file, the others stay in the catalog.
            keep(lake, deliveries(number * 1_000, number * 1_000 + (INLINED_ROWS + 1 if number % 10 == 0 else 3)))

    seen = []
    with ThreadPoolExecutor(1) as pool, Lake.open(lake.folder, read_only=True) as reader:
        writing = pool.submit(write)
        while not writing.done():
            seen.append(rows_and_sum(reader))
        writing.result()
        last = rows_and_sum(reader)

    assert all(rows == summed for rows, summed in seen)
    assert [rows for rows, _ in seen] == sorted(rows for rows, _ in seen)
    assert last == (5 * (INLINED_ROWS + 1) + 45 * 3,) * 2


def rows_and_sum(lake: Lake) -> tuple[int, int]:
    [row] = lake.rows(
        "SELECT (SELECT count(*) FROM deliveries) AS rows, (SELECT coalesce(sum(events), 0) FROM sender_days) AS summed"
    )
    return int(row["rows"]), int(row["summed"])


def test_after_kill_9_at_any_moment_each_commit_that_was_reported_is_there_exactly_once(tmp_path: Path) -> None:
    chance = random.Random(20261231)  # noqa: S311 - moments, no secrets
    reported: set[int] = set()

    for number in range(10):
        with started(commit_in_a_loop, tmp_path / "lake", number * 1_000) as (child, heard):
            assert heard.recv() == "open"
            reported |= {heard.recv() for _ in range(chance.randint(0, 4))}
            time.sleep(chance.random() * 0.1)
            child.kill()
            reported |= {*all_that_is_left(heard)}

    with Lake.open(tmp_path / "lake") as lake:
        found = lake.rows(
            "SELECT origin_offset // 1000 AS commit, count(*) AS rows, count(DISTINCT event_id) AS ids "
            "FROM deliveries GROUP BY ALL"
        )
        assert {row["commit"] for row in found} >= reported
        assert len(found) - len(reported) <= 10
        for row in found:
            assert row["rows"] == row["ids"] == rows_of_commit(row["commit"]).num_rows
        assert counts(lake)["sender_days"] == len(found)
        assert len(set(rows_and_sum(lake))) == 1
        for table in TABLES:
            assert lake.arrow(f"SELECT * FROM {table}").num_rows == counts(lake)[table]
    assert len(reported) > 5


def test_a_lake_whose_making_was_killed_is_completed_by_the_next_start(tmp_path: Path) -> None:
    chance = random.Random(5730)  # noqa: S311 - moments, no secrets

    for number in range(3):
        catalog = tmp_path / f"lake{number}" / CATALOG
        with started(commit_in_a_loop, catalog.parent, 0) as (child, _):
            while not catalog.exists():
                assert child.exitcode is None
                time.sleep(0.001)
            time.sleep(chance.random() * 0.15)
        with Lake.open(catalog.parent) as lake:
            assert counts(lake)["meta"] == 1
            assert counts(lake)["deliveries"] % 5 == counts(lake)["cursors"] == 0


def test_nothing_is_fetched_or_written_into_the_home_folder(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    places = dict.fromkeys(("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(home))

    said = subprocess.check_output(
        [sys.executable, "-m", "tests.pipeline.lake.commits", work / "lake"],
        cwd=ROOT,
        env=os.environ | places | {"PYTHONDONTWRITEBYTECODE": "1"},
        text=True,
    )

    assert said.splitlines() == ["autoinstall_known_extensions False", "autoload_known_extensions False"]
    assert list(home.iterdir()) == []
    assert [path.name for path in work.iterdir()] == ["lake"]


@pytest.mark.parametrize("extension", PACKAGES)
def test_each_extension_comes_from_its_installed_package(extension: str) -> None:
    path = path_of(extension, PACKAGES[extension])

    assert path.is_file()
    assert path.is_relative_to(Path(sys.prefix))


def test_a_missing_extension_is_a_sentence_that_says_what_to_install() -> None:
    with pytest.raises(LakeError, match="package no-such-package is not installed; install both in the same version"):
        path_of("ducklake", "no_such_package")


def test_an_extension_of_another_version_is_a_sentence_that_says_what_to_install() -> None:
    with pytest.raises(LakeError, match=r"duckdb-extension-ducklake does not fit DuckDB 0\.9\.9; install both"):
        path_of("ducklake", "duckdb_extension_ducklake", "0.9.9")


def test_an_extension_that_was_altered_is_not_loaded(tmp_path: Path) -> None:
    altered = tmp_path / "ducklake.duckdb_extension"
    content = bytearray(path_of("ducklake", PACKAGES["ducklake"]).read_bytes())
    content[len(content) // 2] ^= 1
    altered.write_bytes(content)

    with duckdb.connect(config=CONFIG) as connection, pytest.raises(duckdb.IOException, match="signature"):
        connection.execute(f"LOAD '{altered}'")


def test_what_is_used_again_of_a_lake_holds_nothing_of_it(tmp_path: Path) -> None:
    for name in ("one", "other"):
        with Lake.open(tmp_path / name) as lake:
            assert counts(lake)["deliveries"] == 0
            keep(lake, deliveries(0, 3))
            lake.connection.execute("CREATE TEMP TABLE left_behind AS SELECT 1")
            lake.connection.execute("BEGIN")  # and never ended

    with pytest.raises(LakeError, match="a query failed"):
        lake.one("SELECT count(*) FROM deliveries")


def test_an_engine_that_was_locked_down_serves_no_other_lake(tmp_path: Path, lake: Lake) -> None:
    with Lake.open(lake.folder, read_only=True) as reader:
        Sandbox.of(reader).run("SELECT 1")

    with Lake.open(tmp_path / "other") as other:
        keep(other, deliveries(0, INLINED_ROWS + 1))


def test_times_are_utc_in_and_out(lake: Lake) -> None:
    berlin = datetime.fromisoformat("2027-01-01T00:30:00.123456+01:00")
    keep(lake, deliveries(0, 1, event_time=berlin))

    [row] = lake.rows("SELECT event_time, event_time::VARCHAR AS written FROM deliveries")

    assert row["event_time"] == datetime(2026, 12, 31, 23, 30, 0, 123_456, UTC)
    assert row["event_time"].utcoffset() == timedelta(0)
    assert row["written"] == "2026-12-31 23:30:00.123456+00"


def add(lake: Lake, rows: pa.Table) -> int:
    with lake.writing():
        return int(lake.insert_new("deliveries", rows, "event_time").num_rows)


@pytest.fixture(params=["little", "much"])
def sized(request: pytest.FixtureRequest, lake: Lake) -> Lake:
    """Return a lake of few files, then one of many, in which known events are looked for in another way."""
    for number in range(101 if request.param == "much" else 0):
        (lake.folder / "data").mkdir(exist_ok=True)
        (lake.folder / "data" / f"other{number}.parquet").touch()
    return lake


def test_as_many_threads_are_used_as_the_data_is_worth(sized: Lake, request: pytest.FixtureRequest) -> None:
    add(sized, deliveries(0, 1))

    threads = "SELECT current_setting('threads')"
    with duckdb.connect() as usual:
        all_there_are = usual.execute(threads).fetchall()[0][0]
    assert sized.one(threads) == (all_there_are if request.node.callspec.id == "much" else 1)


def test_an_event_is_added_once_however_often_it_comes(sized: Lake) -> None:
    added = [add(sized, deliveries(0, 5)), add(sized, deliveries(3, 8)), add(sized, deliveries(0, 8))]

    assert added == [5, 3, 0]
    assert counts(sized)["deliveries"] == 8


def test_an_event_that_comes_twice_in_one_batch_is_added_once(lake: Lake) -> None:
    both = pa.concat_tables([deliveries(0, 3), deliveries(0, 3, origin_offset=77)])

    assert add(lake, both) == 3
    assert lake.one("SELECT max(origin_offset) FROM deliveries") == 2


def test_an_event_without_a_time_is_added_once(sized: Lake) -> None:
    timeless = deliveries(0, 3, event_time=None)
    mixed = pa.concat_tables([timeless, deliveries(3, 5)])

    assert [add(sized, rows) for rows in (timeless, timeless, mixed, mixed)] == [3, 0, 2, 0]


@pytest.mark.parametrize(
    "shift",
    [
        timedelta(hours=14),
        timedelta(days=-365),
        timedelta(days=366),
    ],
    ids=["zone", "year before", "year after"],
)
def test_an_event_whose_time_was_read_as_another_zone_or_year_is_known(sized: Lake, shift: timedelta) -> None:
    add(sized, deliveries(0, 3))

    assert add(sized, deliveries(0, 3, event_time=MOMENT + shift)) == 0


@pytest.mark.parametrize("extreme", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_a_hostile_time_at_the_end_of_the_calendar_is_kept_once(lake: Lake, extreme: datetime) -> None:
    rows = deliveries(0, 2, event_time=extreme)

    assert [add(lake, rows), add(lake, rows)] == [2, 0]


def test_rows_of_no_table_are_an_error_of_ours_and_not_kept(lake: Lake) -> None:
    with pytest.raises(LakeError, match="nothing was committed"), lake.writing():
        lake.insert("deliveries", pa.table({"no_such_column": [1]}))

    assert counts(lake)["deliveries"] == 0


def test_the_snapshot_moves_with_each_commit(lake: Lake) -> None:
    before = lake.snapshot()

    keep(lake, deliveries(0, 2))

    assert lake.snapshot() == before + 1
    fed = lake.rows(
        f"SELECT event_id FROM ducklake_table_insertions('lake', 'main', 'deliveries', {before + 1}, {before + 1})"
    )
    assert {row["event_id"] for row in fed} == {"event 0", "event 1"}


def test_the_status_names_each_table_with_its_rows_its_newest_and_its_files(lake: Lake) -> None:
    keep(lake, deliveries(0, INLINED_ROWS + 1))

    status = {row["table"]: row for row in status_of(lake)}

    assert list(status) == list(TABLES)
    assert status["deliveries"]["rows"] == INLINED_ROWS + 1
    assert status["deliveries"]["newest"] == MOMENT
    assert status["deliveries"]["files"] == 1
    assert status["deliveries"]["bytes"] > 0
    assert status["findings"]["rows"] == 0


def test_files_are_packed_with_zstd(lake: Lake) -> None:
    before = files_of(lake.folder)
    keep(lake, deliveries(0, INLINED_ROWS + 1))

    [path] = files_of(lake.folder) - before

    assert duckdb.sql(f"SELECT DISTINCT compression FROM parquet_metadata('{path}')").fetchall() == [("ZSTD",)]


def test_a_file_where_the_lake_should_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("not a folder")

    with pytest.raises(LakeError, match="is a file, and a lake is a folder"), Lake.open(tmp_path / "lake"):
        pass
