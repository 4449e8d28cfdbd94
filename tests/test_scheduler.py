"""
The timetable under a clock that the tests set: through both changes of the clocks, a leap day, the turn of the year,
steps of the clock, days off, and new settings. No run is skipped, none comes twice, nothing is waited for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.executors.debug import DebugExecutor

from pipeline.clock import Clock
from pipeline.timetable import Listeners, Planned, Timetable, share_of

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
EVERY = {"source relay": 10 * SECOND, "detection": MINUTE, "report": HOUR, "maintenance": 6 * HOUR}


@dataclass
class SetClock:
    """A clock that goes on when told to, and can be set without time going on."""

    moment: datetime = START
    passed: timedelta = timedelta(0)

    def go_on(self, span: timedelta) -> None:
        self.moment += span
        self.passed += span

    def set(self, span: timedelta) -> None:
        self.moment += span

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.moment, self._ticks, lambda _seconds: False)

    def _ticks(self) -> float:
        return self.passed.total_seconds()


class Held(BaseExecutor):  # type: ignore[misc]
    """Begins runs, and ends them when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[tuple[Any, list[datetime]]] = []

    def _do_submit_job(self, job: Any, run_times: list[datetime]) -> None:
        self.begun.append((job, run_times))

    def end(self) -> None:
        job, run_times = self.begun.pop(0)
        self._run_job_success(job.id, run_job(job, "default", run_times, "apscheduler.executors"))


@dataclass
class Watched:
    """A timetable that notes each run: when it was, by the clock and by ticks, and for which due time."""

    time: SetClock = field(default_factory=SetClock)
    executor: BaseExecutor = field(default_factory=DebugExecutor)
    ran: dict[str, list[tuple[datetime, timedelta]]] = field(default_factory=dict)
    due: dict[str, list[datetime]] = field(default_factory=dict)
    heard: list[tuple[Any, ...]] = field(default_factory=list)
    timetable: Timetable = field(init=False)

    def __post_init__(self) -> None:
        listeners = Listeners(*(partial(self._hear, word) for word in ("broke", "missed", "goes_on", "clock_set")))
        self.timetable = Timetable(self.time.clock, {"pool": self.executor}, listeners)
        self.timetable.add_listener(
            lambda event: self.due.setdefault(event.job_id, []).append(event.scheduled_run_time), EVENT_JOB_EXECUTED
        )
        self.timetable.start()

    def _hear(self, *words: Any) -> None:
        self.heard.append(words)

    def plan(self, every: dict[str, timedelta] = EVERY, spread: timedelta = timedelta(0)) -> None:
        for name, interval in every.items():
            self.timetable.put(Planned(name, interval, partial(self._note, name), "pool", spread=spread), self.now)

    def _note(self, name: str) -> None:
        self.ran.setdefault(name, []).append((self.now, self.time.passed))

    @property
    def now(self) -> datetime:
        return self.time.moment

    def live(self, span: timedelta) -> None:
        """Turn through `span` as the main loop does, only that nobody waits."""
        end = self.time.passed + span
        while self.time.passed < end:
            wait = timedelta(seconds=self.timetable.turn())
            self.time.go_on(min(wait, end - self.time.passed))
        self.timetable.turn()

    def times(self, name: str) -> list[datetime]:
        return [moment for moment, _ in self.ran[name]]

    def gaps(self, name: str) -> set[timedelta]:
        """Return how much time really passed between one run and the next."""
        passed = [at for _, at in self.ran[name]]
        return {after - before for before, after in pairwise(passed)}


@pytest.fixture
def berlin() -> Iterator[None]:
    """Let the process live in a zone that changes its clocks twice a year."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


@pytest.mark.parametrize(
    "middle",
    [
        pytest.param(datetime(2027, 3, 28, 1, tzinfo=UTC), id="clocks go forward"),
        pytest.param(datetime(2026, 10, 25, 1, tzinfo=UTC), id="clocks go back"),
        pytest.param(datetime(2028, 2, 29, 12, tzinfo=UTC), id="leap day"),
        pytest.param(datetime(2027, 1, 1, tzinfo=UTC), id="turn of the year"),
        pytest.param(datetime(2026, 12, 31, 23, tzinfo=UTC), id="turn of the year in Berlin"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_each_run_comes_exactly_when_it_is_due(middle: datetime) -> None:
    start = middle - 18 * HOUR
    assert time.localtime(start.timestamp()).tm_hour != start.hour, "the zone of the process is not UTC"
    watched = Watched(SetClock(start))
    watched.plan()

    watched.live(36 * HOUR)

    for name, every in EVERY.items():
        assert watched.times(name) == [start + number * every for number in range(36 * HOUR // every + 1)]
        assert watched.due[name] == watched.times(name)
    assert watched.heard == []


@pytest.mark.parametrize("step", [2 * HOUR, -2 * HOUR, 45 * MINUTE, -30 * DAY], ids=str)
def test_a_step_of_the_clock_skips_nothing_and_doubles_nothing(step: timedelta) -> None:
    watched = Watched()
    watched.plan(spread=3 * SECOND)
    watched.live(7 * HOUR + 3 * SECOND)

    watched.time.set(step)
    watched.live(DAY)

    assert [word for word in watched.heard if word[0] == "clock_set"] == [("clock_set", step)]
    for name, every in EVERY.items():
        assert max(watched.gaps(name)) <= every, "none is late by more than its interval"
        if step < timedelta(0):
            assert watched.gaps(name) == {every}, "the rhythm stays, however the clock is set back"
        else:
            assert len(set(watched.due[name])) == len(watched.due[name]), "none runs twice for one due time"
            early = [gap for gap in watched.gaps(name) if gap < every]
            assert len(early) <= 2, "one catch-up, and then the rhythm again"


def test_a_clock_that_is_set_to_and_fro_makes_no_job_late() -> None:
    watched = Watched()
    watched.plan()
    watched.live(HOUR + SECOND)

    for step in (-2 * HOUR, 2 * HOUR, HOUR, -HOUR):
        watched.time.set(step)
        watched.live(100 * SECOND)
    watched.live(DAY)

    for name, every in EVERY.items():
        assert max(watched.gaps(name)) == every
        assert len(watched.ran[name]) <= (DAY + HOUR + 401 * SECOND) // every + 1 + 2, (
            "a catch-up for each step forward"
        )


def test_a_time_server_that_moves_the_clock_smoothly_is_no_step() -> None:
    watched = Watched()
    watched.plan({"source relay": 10 * SECOND})

    for _ in range(600):
        watched.live(SECOND)
        watched.time.set(timedelta(milliseconds=50))

    assert watched.heard == []


def test_a_clock_that_was_decades_behind_costs_one_run_of_each_job() -> None:
    watched = Watched(SetClock(datetime(1970, 1, 1, tzinfo=UTC)))
    watched.plan()
    watched.live(5 * SECOND)
    began = time.monotonic()

    watched.time.set(START - datetime(1970, 1, 1, tzinfo=UTC))
    watched.timetable.turn()

    assert [len(ran) for ran in watched.ran.values()] == [2, 2, 2, 2]
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("is_asleep", [True, False], ids=["the machine slept", "the service was held up"])
def test_after_three_days_off_each_job_catches_up_once_and_goes_on_in_its_rhythm(is_asleep: bool) -> None:
    watched = Watched()
    watched.plan()
    watched.live(HOUR + 4 * SECOND)
    before = {name: len(ran) for name, ran in watched.ran.items()}

    (watched.time.set if is_asleep else watched.time.go_on)(3 * DAY)
    watched.timetable.turn()
    caught_up = {name: len(ran) - before[name] for name, ran in watched.ran.items()}
    watched.live(DAY)

    assert caught_up == dict.fromkeys(EVERY, 1)
    missed = {name: turns for word, name, turns, _since in (each for each in watched.heard if each[0] == "missed")}
    assert missed == {"source relay": 25_919, "detection": 4_319, "report": 71, "maintenance": 11}
    for name, every in EVERY.items():
        after = watched.times(name)[before[name] + 1 :]
        assert after[0] - watched.now <= every
        assert {later - sooner for sooner, later in pairwise(after)} == {every}
        assert len(set(watched.due[name])) == len(watched.due[name])


def test_a_service_that_starts_after_three_days_runs_each_job_once_and_then_in_its_rhythm() -> None:
    first = Watched()
    first.plan()
    first.live(HOUR)

    again = Watched(SetClock(first.now + 3 * DAY))
    again.plan(spread=3 * SECOND)
    again.live(3 * SECOND)
    soon = {name: len(ran) for name, ran in again.ran.items()}
    again.live(DAY)

    assert soon == dict.fromkeys(EVERY, 1)
    assert all(again.gaps(name) == {every} for name, every in EVERY.items())


def test_jobs_of_one_interval_do_not_all_start_in_the_same_second_and_always_in_the_same_one() -> None:
    names = [f"detection rejection/rule_{number}" for number in range(20)]
    watched = Watched()

    watched.plan(dict.fromkeys(names, MINUTE), spread=30 * SECOND)
    watched.live(30 * SECOND)
    offsets = [watched.times(name)[0] - START for name in names]

    assert max(offsets) < 30 * SECOND
    assert len({int(offset.total_seconds()) for offset in offsets}) >= 12
    assert [round(share_of(name), 4) for name in ("source relay", "source tenant")] == [0.8964, 0.3121]


def test_a_run_that_is_due_while_the_one_before_goes_on_follows_right_after_it() -> None:
    held = Held()
    watched = Watched(executor=held)
    watched.plan({"source relay": 10 * SECOND})

    watched.live(35 * SECOND)
    assert len(held.begun) == 1, "a job never runs beside itself"
    held.end()
    watched.live(SECOND)
    assert len(held.begun) == 1
    held.end()
    watched.live(4 * SECOND)

    assert watched.due["source relay"] == [START, START + 30 * SECOND]
    assert [run_times for _, run_times in held.begun] == [[START + 40 * SECOND]]
    assert ("goes_on", "source relay", 3, START + 10 * SECOND) in watched.heard
    assert not [each for each in watched.heard if each[0] == "missed"], "what waits for a run is not missed"


def test_a_job_that_raises_is_told_and_runs_again() -> None:
    watched = Watched()
    broken = ZeroDivisionError("no disk")

    def fail() -> None:
        raise broken

    watched.timetable.put(Planned("source relay", 10 * SECOND, fail, "pool"), START)
    watched.live(10 * SECOND)

    assert watched.heard == [("broke", "source relay", broken)] * 2


def test_a_shorter_interval_counts_from_the_last_run_and_a_longer_one_too() -> None:
    watched = Watched()
    watched.plan({"report": HOUR, "relay": MINUTE, "other": HOUR})
    watched.live(25 * MINUTE + 30 * SECOND)

    watched.plan({"report": 20 * MINUTE, "relay": 5 * MINUTE, "other": HOUR})
    watched.live(60 * MINUTE)

    minutes = {name: [round((moment - START) / MINUTE, 1) for moment in watched.times(name)] for name in watched.ran}
    assert minutes["report"] == [0, 25.5, 45.5, 65.5, 85.5], "overdue by the new interval, so at once"
    assert minutes["relay"][-12:] == [25 + 5 * number for number in range(1, 13)]
    assert minutes["other"] == [0, 60]


def test_new_settings_leave_a_job_that_has_not_run_yet_where_it_is() -> None:
    watched = Watched()
    watched.timetable.put(
        Planned("maintenance", 6 * HOUR, partial(watched._note, "maintenance"), "pool", MINUTE), START
    )
    watched.live(30 * SECOND)

    watched.plan({"maintenance": HOUR})
    watched.live(HOUR)

    assert watched.times("maintenance") == [START + MINUTE]


def test_a_job_that_is_taken_out_ends_its_run_and_comes_no_more() -> None:
    held = Held()
    watched = Watched(executor=held)
    watched.plan({"source relay": 10 * SECOND, "source other": 10 * SECOND})
    watched.live(SECOND)

    watched.timetable.take_out(["source other"])
    for _ in range(2):
        held.end()
    watched.live(30 * SECOND)

    assert len(watched.ran["source other"]) == 1
    assert [job.id for job, _ in held.begun] == ["source relay"]


def test_a_job_that_comes_back_while_its_old_run_goes_on_does_not_run_beside_it() -> None:
    held = Held()
    watched = Watched(executor=held)
    watched.plan({"source relay": 10 * SECOND})
    watched.live(SECOND)

    watched.timetable.take_out(["source relay"])
    watched.plan({"source relay": 10 * SECOND})
    watched.live(SECOND)

    assert len(held.begun) == 1


def test_once_it_is_ending_nothing_starts_that_waited_for_a_thread() -> None:
    held = Held()
    watched = Watched(executor=held)
    watched.plan({"source relay": 10 * SECOND})
    watched.timetable.turn()

    watched.timetable.shutdown()
    held.end()

    assert watched.ran == {}
