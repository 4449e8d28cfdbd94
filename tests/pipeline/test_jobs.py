"""What the books say of our own jobs: few rows, the same after a restart, and an alarm that somebody can act on."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts.dispatch import plan
from alerts.message import Message
from alerts.outbox import pending
from pipeline.errors import LakeError
from pipeline.jobs import Books, Entry, words_of
from pipeline.lake import Lake
from pipeline.lake.maintain import maintain
from queries.detect import detect
from queries.detection import detection
from queries.history import latest
from tests.conftest import NOW

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
FAILS, WORKS = {"source relay": "the disk is full"}, {"source relay": ""}


@dataclass
class Office:
    """Books over a lake, under a clock that the test sets."""

    lake: Lake
    now: datetime = NOW
    said: list[Entry] = field(default_factory=list)
    is_closed: bool = False
    books: Books = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.books = Books(self.open, lambda: self.now, self.said.append)

    def open(self) -> AbstractContextManager[Lake]:
        if self.is_closed:
            raise LakeError("no space left on device")
        return nullcontext(self.lake)

    def rows(self) -> list[dict[str, Any]]:
        return self.lake.rows("SELECT * FROM jobs ORDER BY noted_at")

    def states(self) -> list[tuple[str, int]]:
        return [(row["state"], row["times"]) for row in self.rows()]

    def fail_for(self, span: timedelta, every: timedelta = 10 * SECOND) -> None:
        end = self.now + span
        while self.now < end:
            self.books.note(FAILS)
            self.now += every

    def look(self) -> list[Message]:
        """Return the messages that are due once the detections were asked."""
        for id in ("job_failing", "job_overrunning"):
            detect(self.lake, detection(id), self.now)
        plan(self.lake, ["oncall"], self.now, DAY)
        return [each.message for each in pending(self.lake, self.now)]


@pytest.fixture
def office(lake: Lake) -> Office:
    return Office(lake)


def test_a_job_that_gets_through_leaves_no_row(office: Office) -> None:
    for _ in range(100):
        office.books.note(WORKS)

    assert office.rows() == []
    assert office.said == []


def test_a_failure_and_its_end_are_a_row_each(office: Office) -> None:
    office.books.note(FAILS)
    office.now += MINUTE
    office.books.note(WORKS)

    first, last = office.rows()
    assert first == {
        "job": "source relay",
        "state": "failed",
        "since": NOW,
        "noted_at": NOW,
        "times": 1,
        "error": "the disk is full",
    }
    assert last == first | {"state": "recovered", "noted_at": NOW + MINUTE}


def test_a_day_of_failures_every_ten_seconds_is_a_handful_of_rows(office: Office) -> None:
    office.fail_for(DAY)

    states = office.states()
    assert len(states) == 8
    assert states[:3] == [("failed", 1), ("failed", 3), ("failed", 7)]
    assert {row["since"] for row in office.rows()} == {NOW}


def test_what_failed_before_a_restart_goes_on_failing_since_then(office: Office) -> None:
    office.fail_for(20 * MINUTE)
    office.restart()
    office.now += MINUTE
    office.fail_for(50 * MINUTE)

    [entry] = office.books.open()
    assert entry.since == NOW
    assert entry.times == 91 + 300, "the count goes on from the last row, which was written after 15 minutes"


def test_what_failed_before_a_restart_is_over_with_the_first_run_that_gets_through(office: Office) -> None:
    office.fail_for(MINUTE)
    office.restart()

    office.books.note(WORKS)

    assert office.states()[-1][0] == "recovered"
    assert office.books.open() == []


def test_what_is_no_longer_in_the_settings_is_over(office: Office) -> None:
    office.fail_for(MINUTE)
    office.restart()
    office.books.only({"source other"})

    office.books.note({"source other": ""})

    assert office.rows()[-1]["state"] == "recovered"
    assert office.rows()[-1]["error"] == "it is no longer in the settings"


def test_a_run_that_ends_after_its_job_was_taken_out_opens_nothing(office: Office) -> None:
    office.books.only({"source other"})

    office.books.note(FAILS)

    assert office.books.open() == []


def test_while_the_lake_fails_rows_wait_and_it_is_said_once(office: Office) -> None:
    office.is_closed = True
    office.fail_for(2 * MINUTE)
    assert [words_of(entry) for entry in office.said if entry.job == "books"] == [
        "what became of the jobs could not be noted: no space left on device"
    ]

    office.is_closed = False
    office.books.note(FAILS)

    assert office.states() == [("failed", 1), ("failed", 3), ("failed", 7)]


def test_what_an_earlier_process_and_this_one_saw_before_the_lake_could_be_read_is_one_trouble(office: Office) -> None:
    office.fail_for(MINUTE)
    office.restart()
    office.is_closed = True
    office.fail_for(MINUTE)
    office.is_closed = False

    office.books.note(FAILS)

    [entry] = office.books.open()
    assert (entry.since, entry.times) == (NOW, 3 + 6 + 1)


def test_a_run_that_goes_on_is_noted_when_it_is_long_and_over_when_it_ends(office: Office) -> None:
    for minute in range(1, 31):
        office.now = NOW + minute * MINUTE
        office.books.goes_on("source relay", minute * 6, NOW)
    office.books.note(WORKS)

    assert office.states() == [("overrunning", 30), ("overrunning", 90), ("recovered", 180)]


def test_turns_that_were_missed_are_counted_and_open_nothing(office: Office) -> None:
    office.books.missed("source relay", 3, NOW - 30 * SECOND)
    office.books.missed("source tenant", 96, NOW - 8 * HOUR)
    office.books.note(WORKS)

    assert [(row["job"], row["state"], row["times"]) for row in office.rows()] == [("source tenant", "missed", 96)]
    assert office.books.open() == []
    assert office.look() == []


def test_a_clock_that_is_set_back_neither_hides_a_trouble_nor_its_end(office: Office) -> None:
    office.fail_for(4 * MINUTE)
    office.now -= 2 * HOUR
    office.books.clock_set(-2 * HOUR)
    office.fail_for(4 * MINUTE)
    assert office.books.open()[0].lasted == 8 * MINUTE - 10 * SECOND

    office.books.note(WORKS)

    noted = [row["noted_at"] for row in office.rows()]
    assert noted == sorted(set(noted)), "each row is later than the one before it"
    assert office.rows()[-1]["state"] == "recovered"


def test_a_failing_job_is_said_after_five_minutes_once_and_again_when_it_is_over(office: Office) -> None:
    office.fail_for(4 * MINUTE)
    assert office.look() == []

    office.fail_for(2 * MINUTE)
    [message] = office.look()
    assert message.title == "authsunset's source relay keeps failing"
    assert dict(message.facts)["Last error"] == "the disk is full"
    office.fail_for(HOUR)
    assert len(office.look()) == 1

    office.books.note(WORKS)
    office.look()
    assert [each.is_open for each in latest(office.lake)] == [False]


def test_a_failure_that_passes_by_itself_within_minutes_wakes_nobody(office: Office) -> None:
    office.fail_for(2 * MINUTE)
    office.look()
    office.books.note(WORKS)

    assert office.look() == []
    assert latest(office.lake) == []


def test_a_job_that_comes_back_to_failing_is_said_again(office: Office) -> None:
    office.fail_for(10 * MINUTE)
    office.look()
    office.books.note(WORKS)
    office.look()

    office.now += HOUR
    office.fail_for(10 * MINUTE)
    office.look()

    [noted] = latest(office.lake)
    assert noted.is_open
    assert noted.first_seen >= NOW + HOUR


def test_the_open_trouble_of_a_job_outlives_the_time_that_rows_are_kept(office: Office) -> None:
    office.books.note(FAILS)
    office.books.note({"source other": "refused"})
    office.now += SECOND
    office.books.note({"source other": ""})

    maintain(office.lake, NOW + 400 * DAY, {"jobs": DAY}, timedelta(0))

    assert [row["job"] for row in office.rows()] == ["source relay"]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (Entry("x", "failed", NOW, NOW, 1, "no disk"), "no disk"),
        (Entry("x", "failed", NOW - HOUR, NOW, 7, "no disk"), "has failed 7 times in 1 h: no disk"),
        (Entry("x", "overrunning", NOW - HOUR, NOW, 1, ""), "has been running for 1 h; 1 turn waits for its end"),
        (Entry("x", "missed", NOW - HOUR, NOW, 6, ""), "is late by 1 h and runs now; turns left out: 6"),
        (Entry("x", "recovered", NOW - HOUR, NOW, 7, "no disk"), "is all right again after 1 h"),
    ],
)
def test_each_entry_can_be_said(entry: Entry, words: str) -> None:
    assert words_of(entry) == words
