"""A lake is read by who may not write there: another user, a mount that is read-only."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import LakeError
from pipeline.lake import CATALOG, Lake
from pipeline.lake.borrowed import TRIES, looked_at, settled
from pipeline.lake.engines import connected
from tests.cli import FRESH

NOBODY = 65_534


@pytest.fixture
def anybodys(empty_lake: Path) -> Iterator[Path]:
    """Return a lake that anybody may read and nobody may write."""
    with tempfile.TemporaryDirectory() as folder:
        lake = shutil.copytree(empty_lake, Path(folder) / "lake")
        for path in (Path(folder), lake, *lake.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield lake
        for path in (Path(folder), lake, *lake.rglob("*")):
            path.chmod(0o755)


def become_nobody() -> None:
    """Be somebody else than root, who perhaps may not read this program: so DuckDB gets its extensions before."""
    with connected():
        pass
    if os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def read_as_somebody_else(folder: Path) -> None:
    """Exit with 0 when the lake can be read, by one who is not root."""
    become_nobody()
    with Lake.open(folder, read_only=True) as lake:
        assert lake.one("SELECT count(*) FROM meta") == 1
        assert lake.one("SELECT count(*) FROM deliveries") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_who_may_not_write_into_the_folder_reads_all_the_same_and_leaves_nothing_there(anybodys: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in anybodys.rglob("*")}

    reader = FRESH.Process(target=read_as_somebody_else, args=(anybodys,))
    reader.start()
    reader.join(60)

    assert reader.exitcode == 0
    assert {path: path.stat().st_mtime_ns for path in anybodys.rglob("*")} == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_who_may_not_even_look_is_told_as_whom_to_look(anybodys: Path) -> None:
    anybodys.chmod(0o700)
    said = anybodys.parent / "said"
    anybodys.parent.chmod(0o777)

    reader = FRESH.Process(target=say_why_it_cannot_be_read, args=(anybodys, said))
    reader.start()
    reader.join(60)

    assert "cannot be read: Permission denied; look at the lake as the user of the service" in said.read_text()


def say_why_it_cannot_be_read(folder: Path, said: Path) -> None:
    """Write down the error that one who is not root, and not the owner, gets."""
    try:
        if os.geteuid() != 0:
            folder.chmod(0)
        read_as_somebody_else(folder)
    except LakeError as error:
        said.write_text(str(error))


def test_a_catalog_that_is_just_being_written_is_looked_at_until_it_stays(tmp_path: Path) -> None:
    looks = iter([b"one", b"two", b"three", b"three"])

    assert settled(tmp_path / CATALOG, lambda path: {path.name: next(looks)}) == {CATALOG: b"three"}


def test_a_catalog_that_never_stays_is_told(tmp_path: Path) -> None:
    looks = iter(range(TRIES + 1))

    with pytest.raises(LakeError, match="is written to all the time"):
        settled(tmp_path / CATALOG, lambda path: {path.name: bytes([next(looks)])})


def test_commits_that_stand_beside_the_catalog_belong_to_it(tmp_path: Path) -> None:
    (tmp_path / CATALOG).write_bytes(b"pages")
    (tmp_path / f"{CATALOG}-wal").write_bytes(b"newer pages")

    assert looked_at(tmp_path / CATALOG) == {CATALOG: b"pages", f"{CATALOG}-wal": b"newer pages"}
