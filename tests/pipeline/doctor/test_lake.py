"""The lake, looked at and left alone."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock

from pipeline.doctor.lake import LOCK, holder_of, openable, unlocked
from pipeline.doctor.result import State
from pipeline.lake import CATALOG, Lake


def test_a_lake_that_opens_is_well_and_free(tmp_path: Path) -> None:
    with Lake.open(tmp_path):
        pass

    assert openable(tmp_path).state is State.OK
    assert unlocked(tmp_path).state is State.OK


def test_where_no_lake_is_none_is_made(tmp_path: Path) -> None:
    assert openable(tmp_path).state is State.SKIPPED
    assert unlocked(tmp_path).state is State.OK
    assert list(tmp_path.iterdir()) == []


def test_a_catalog_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / CATALOG).write_bytes(b"no catalogue\n" * 100)

    found = openable(tmp_path)

    assert found.state is State.BROKEN
    assert "backup" in found.mend


def test_a_lock_that_another_program_keeps_is_told_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    with FileLock(path):
        lines = f"1: FLOCK  ADVISORY  WRITE 4711 08:01:{path.stat().st_ino} 0 EOF"
        named = unlocked(tmp_path, 0, lambda: lines)
        unnamed = unlocked(tmp_path, 0, lambda: "")
        found = unlocked(tmp_path, 0)

    assert {each.state for each in (named, unnamed, found)} == {State.WARNING}
    assert "process 4711 has been writing" in named.found
    assert "ps -o pid,etime,args -p 4711" in named.mend
    assert "fuser -v" in unnamed.mend


def test_the_holder_of_a_lock_is_who_has_it_and_not_who_waits() -> None:
    listed = (
        "1: POSIX  ADVISORY  WRITE 100 08:01:77 0 EOF\n"
        "2: -> FLOCK  ADVISORY  WRITE 200 08:01:88 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 300 08:01:88 0 EOF\n"
        "4: FLOCK\n"
    )

    assert holder_of(listed, 88) == 300
    assert holder_of(listed, 99) is None


def test_the_holder_of_a_real_lock_is_found_where_the_system_lists_it(tmp_path: Path) -> None:
    with FileLock(tmp_path / LOCK):
        found = unlocked(tmp_path, 0)

    assert f"process {os.getpid()} " in found.found or "another program" in found.found
