"""
Days of traces from a Graph that does everything wrong, read by a process that is killed: in the end all is there.

A few days in each run of the suite; AUTHSUNSET_DAYS=30 AUTHSUNSET_KILLS=50 is the whole.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.lake import Lake
from pipeline.lake.audit import audit
from pipeline.model import Window
from tests.cli import ROOT
from tests.fake_graph.clock import SharedTime
from tests.fake_graph.server import FakeGraph, Faults, records_of
from tests.fake_graph.traces import Trace, traces

DAYS = int(os.environ.get("AUTHSUNSET_DAYS", "1"))
KILLS = int(os.environ.get("AUTHSUNSET_KILLS", "3"))
SEED = int(os.environ.get("AUTHSUNSET_SEED", "7"))
START = datetime(2026, 12, 15, tzinfo=UTC)
AFTERWARDS = timedelta(days=3)
"""A status may change for a day and more, and a message may be shown a day late."""
PER_DAY = 150
EVERY = timedelta(minutes=int(os.environ.get("AUTHSUNSET_EVERY_MINUTES", "60")))


@dataclass
class Played:
    """How it went: what was true, what the lake holds, and what the server saw."""

    truth: list[Trace]
    lake: Path
    fake: FakeGraph
    kills: int


def played(
    folder: Path,
    faults: Faults,
    *,
    days: int,
    kills: int,
    skew: timedelta = timedelta(0),
    afterwards: timedelta = AFTERWARDS,
) -> Played:
    """Play `days`, killing the reader at random moments."""
    chance = random.Random(SEED)  # noqa: S311 - repeatable on purpose
    truth = traces(SEED, Window(START, START + timedelta(days=days)), PER_DAY)
    shared = SharedTime(folder / "time", START + timedelta(hours=1))
    fake = FakeGraph(shared, records_of(truth), faults=faults, skew=skew, seed=SEED)
    busy = START + timedelta(days=days)
    end = busy + afterwards
    killed = 0
    with fake.served() as address:
        while shared.now() < end:
            reader = start_reader(folder, address, busy, end)
            if killed < kills:
                time.sleep(chance.uniform(0.7, 3.0))
                killed += reader.poll() is None
                reader.kill()
                reader.wait()
            else:
                assert reader.wait(3_000) == 0
    return Played(truth, folder / "lake", fake, killed)


def start_reader(folder: Path, address: str, busy: datetime, end: datetime) -> subprocess.Popen[bytes]:
    asked = {
        "folder": str(folder),
        "address": address,
        "busy": busy.isoformat(),
        "end": end.isoformat(),
        "every_s": EVERY.total_seconds(),
        "ahead_s": 0,
        "page_size": 40,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fake_graph.reader", json.dumps(asked)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def with_every_fault(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return played(tmp_path_factory.mktemp("graph"), Faults.all(), days=DAYS, kills=KILLS, skew=timedelta(seconds=-400))


@pytest.fixture
def lake(with_every_fault: Played) -> Iterator[Lake]:
    with Lake.open(with_every_fault.lake) as opened:
        yield opened


def known_last(lake: Lake) -> set[tuple[object, ...]]:
    rows = lake.rows("SELECT trace_id, recipient, sender, message_id, received_at, status FROM traces_latest")
    return {tuple(row.values()) for row in rows}


def test_the_latest_of_each_trace_is_the_truth_row_for_row(with_every_fault: Played, lake: Lake) -> None:
    assert with_every_fault.kills == KILLS
    assert known_last(lake) == {each.row for each in with_every_fault.truth}
    assert lake.one("SELECT count(*) FROM traces_latest") == len(with_every_fault.truth)


def test_no_span_of_five_minutes_saw_more_than_a_hundred_requests(with_every_fault: Played) -> None:
    assert with_every_fault.fake.most_in_a_span() <= 100
    assert with_every_fault.fake.refused == 0


def test_nothing_is_missing_after_catching_up_and_the_books_add_up(lake: Lake) -> None:
    assert lake.rows("SELECT * FROM gaps") == []
    assert lake.one("SELECT count(*) FROM quarantine") == 0
    assert [check for check in audit(lake) if not check.holds] == []


def test_a_span_that_is_dropped_for_good_is_a_gap_with_its_cause(tmp_path: Path) -> None:
    broken = Window(START + timedelta(hours=12), START + timedelta(hours=12, minutes=30))

    done = played(tmp_path, Faults(broken=broken), days=1, kills=0, afterwards=timedelta(0))

    with Lake.open(done.lake) as lake:
        gaps = lake.rows("SELECT from_time, to_time, cause FROM gaps ORDER BY from_time")
        known = {row[:2] for row in known_last(lake)}
    assert gaps[0]["from_time"] <= broken.start
    assert gaps[-1]["to_time"] >= broken.end
    assert sum((gap["to_time"] - gap["from_time"] for gap in gaps), timedelta(0)) <= timedelta(minutes=45)
    assert all("Microsoft Graph did not answer in 4 tries" in gap["cause"] for gap in gaps)
    shown = [each for each in done.truth if each.statuses[0][0] < START + timedelta(hours=20)]
    missing = [each for each in shown if each.row[:2] not in known]
    assert missing
    assert all(any(gap["from_time"] <= each.received_at <= gap["to_time"] for gap in gaps) for each in missing)
