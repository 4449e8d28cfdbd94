"""What many tests share: a clock that stands, and a lake made of rows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.lake import Lake
from pipeline.lake.rollup import add_to_rollups
from pipeline.lake.tables import TABLES, VERSIONS
from pipeline.model import TIME_OF
from queries.cases import with_usual_values

NOW = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a lake with nothing in it, to be copied: making one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("empty") / "lake"
    with Lake.open(folder):
        pass
    return folder


@pytest.fixture
def lake(empty_lake: Path, tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(shutil.copytree(empty_lake, tmp_path / "lake")) as opened:
        yield opened


def keep(lake: Lake, table: str, *rows: Mapping[str, Any]) -> None:
    """Commit evidence as an ingest does: rows and their daily sums together."""
    arrow = with_usual_values(table, rows)
    with lake.writing():
        insert = lake.insert_versions if table in VERSIONS else lake.insert_new
        fresh = insert(table, arrow, TIME_OF[table])
        add_to_rollups(lake, table, fresh)


def counts(lake: Lake) -> dict[str, int]:
    """Return how many rows each table has."""
    [counted] = lake.rows("SELECT " + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in TABLES))
    return counted


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that must not skip anything, which is how the tests of a fresh machine are run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("AUTHSUNSET_NO_SKIPS") and reporter and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
