"""No data is never health: when a source stops, its detections have no data, nobody is verified, nothing is over."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.lake import Lake
from pipeline.service import Service
from pipeline.settings import load
from queries.asked import last_asked
from queries.history import latest
from queries.states import senders
from tests.cli import SAMPLE_DATA, authsunset, settings_in
from tests.fixtures.make_lake import LOGS_END

REFUSED = "rejection/basic_auth_refused"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the settings of a lake whose only log has had no line for three days; the last test brings some."""
    folder = tmp_path_factory.mktemp("stopped")
    settings = settings_in(folder)
    shutil.copy(SAMPLE_DATA / "relay01" / "mail.iso.log", folder / "logs" / "mail.log")
    for days in (0, 3):
        service = Service(load(settings), now=lambda days=days: LOGS_END + timedelta(days=days))  # type: ignore[misc]
        with service.lake() as lake:
            service.cycle(lake)
    return settings


def test_the_stopped_source_is_found(stopped: Path) -> None:
    with Lake.open(stopped.parent / "lake", read_only=True) as lake:
        [noted] = latest(lake, "health/source_stale")

    assert (noted.state, noted.facts["source"], noted.facts["brings"]) == ("open", "relay", "deliveries, signins")


def test_its_detections_have_no_data_and_say_since_when(stopped: Path) -> None:
    listed = json.loads(authsunset("-c", stopped, "rules", "list", "--format", "json", cwd=stopped.parent).out)
    states = {row["id"]: row["state"] for row in listed}

    assert states[REFUSED] == "nodata"
    assert states["silence/went_silent"] == "nodata"
    assert states["health/job_failing"] == "ok"
    with Lake.open(stopped.parent / "lake", read_only=True) as lake:
        assert last_asked(lake)[REFUSED].because.startswith("nothing comes from relay since 2026-11-23")


def test_nothing_is_over_and_nobody_becomes_silent_migrated_or_verified(stopped: Path) -> None:
    with Lake.open(stopped.parent / "lake", read_only=True) as lake:
        ended = lake.rows("SELECT * FROM findings WHERE state = 'over' AND noted_at > ?", [LOGS_END])
        states = {row["state"] for row in senders(lake)}
        history = lake.rows("SELECT * FROM sender_states WHERE noted_at > ?", [LOGS_END])

    assert ended == []
    assert not states & {"went_silent", "migrated", "verified"}
    assert history == []


@pytest.mark.parametrize("id", ["exposure/basic_reenabled", "exposure/can_still"])
def test_a_detection_that_lacks_a_table_has_no_data_whatever_else_is_there(id: str, stopped: Path) -> None:
    with Lake.open(stopped.parent / "lake", read_only=True) as lake:
        asked = last_asked(lake)[id]

    assert (asked.state, asked.because) == ("nodata", "no source brings exposure")


def test_when_lines_come_again_they_have_data_again(stopped: Path) -> None:
    with (stopped.parent / "logs" / "mail.log").open("ab") as log:
        log.write((SAMPLE_DATA / "relay02" / "mail.iso.log").read_bytes().replace(b"2026-11-23", b"2026-11-26"))
    service = Service(load(stopped), now=lambda: LOGS_END + timedelta(days=3, hours=1))

    with service.lake() as lake:
        service.cycle(lake)

        assert last_asked(lake)[REFUSED].state == "ok"
        assert {noted.state for noted in latest(lake, "health/source_stale")} == {"over"}
