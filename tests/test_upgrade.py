"""A lake that an earlier version has left is opened, read and gone on with."""

from __future__ import annotations

import json
import shutil
import tarfile
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipeline.lake.hash import hash_of
from pipeline.service import Service
from pipeline.settings import load
from tests.cli import SAMPLE_DATA, settings_in
from tests.conftest import counts
from tests.fixtures.make_lake import LOGS_END

LAKES = sorted(Path(__file__).parent.joinpath("fixtures").glob("lake-*.tar.gz"))


@pytest.fixture(params=LAKES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def left(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """Return the settings of a folder with an old lake in it, and what that lake holds."""
    archive: Path = request.param
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "lake", filter="data")
    holds = json.loads(archive.with_name(archive.name.replace(".tar.gz", ".json")).read_text("utf-8"))
    return settings_in(tmp_path), holds


def test_it_opens_in_another_folder_with_the_same_evidence(left: tuple[Path, dict[str, Any]]) -> None:
    settings, holds = left

    with Service(load(settings)).lake() as lake:
        assert hash_of(lake)["evidence"] == holds["hash"]
        assert {table: rows for table, rows in counts(lake).items() if rows and table != "meta"} == {
            table: rows for table, rows in holds["counts"].items() if rows and table != "meta"
        }


def test_reading_the_same_log_again_adds_nothing_and_says_nothing_again(left: tuple[Path, dict[str, Any]]) -> None:
    settings, holds = left
    shutil.copy(SAMPLE_DATA / "relay01" / "mail.iso.log", settings.parent / "logs" / "mail.log")
    service = Service(load(settings), now=lambda: LOGS_END + timedelta(hours=1))

    with service.lake() as lake:
        known = {row["detection"] for row in lake.rows("SELECT DISTINCT detection FROM findings")}
        done = service.cycle(lake)

        said_again = {each.detection for each in done.detected if each.noted} & known
        assert done.rows == 0
        assert not said_again, "only detections that the old version did not have may find something"
        assert hash_of(lake)["evidence"] == holds["hash"]


def test_it_goes_on_from_where_it_was(left: tuple[Path, dict[str, Any]]) -> None:
    settings, _ = left
    log = settings.parent / "logs" / "mail.log"
    shutil.copy(SAMPLE_DATA / "relay01" / "mail.iso.log", log)
    with log.open("ab") as growing:
        growing.write((SAMPLE_DATA / "relay02" / "mail.iso.log").read_bytes())
    service = Service(load(settings), now=lambda: LOGS_END + timedelta(hours=1))

    with service.lake() as lake:
        done = service.cycle(lake)

    assert done.rows > 0
    assert done.alerted.delivered > 0


def test_each_version_has_left_a_lake() -> None:
    assert f"lake-{version('authsunset')}.tar.gz" in {path.name for path in LAKES}
