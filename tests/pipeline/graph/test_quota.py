from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from pipeline.clock import Clock, Stopped
from pipeline.errors import SourceError
from pipeline.graph.quota import LIMITS, Limit, Quota
from tests.cli import FRESH

NOW = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)


class Time:
    def __init__(self) -> None:
        self.seconds = 1_000.0
        self.set_by = timedelta(0)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: NOW + timedelta(seconds=self.seconds) + self.set_by, lambda: self.seconds, self.pass_)

    def pass_(self, seconds: float) -> bool:
        self.seconds += seconds
        return False


@pytest.fixture
def time() -> Time:
    return Time()


def quota(folder: Path, time: Time, *limits: Limit) -> Quota:
    return Quota(folder / "quota.sqlite", "contoso.example", time.clock, limits or LIMITS)


def ask(
    quota: Quota, time: Time, times: int, *, api: str = "admin", lasts: float = 0.0, backfill: bool = False
) -> None:
    for _ in range(times):
        with quota.request(api, is_backfill=backfill):
            time.pass_(lasts)


def test_a_hundred_go_at_once_and_the_next_waits_until_the_first_is_five_minutes_old(
    tmp_path: Path, time: Time
) -> None:
    ask(quota(tmp_path, time), time, 100)
    assert time.seconds == 1_000

    ask(quota(tmp_path, time), time, 1)

    assert time.seconds == 1_300


def test_a_place_is_kept_from_the_answer_on_because_only_that_is_after_microsoft_counted(
    tmp_path: Path, time: Time
) -> None:
    ask(quota(tmp_path, time, Limit(1, 300)), time, 1, lasts=40)

    ask(quota(tmp_path, time, Limit(1, 300)), time, 1)

    assert time.seconds == 1_340


def test_a_process_that_was_killed_keeps_its_place_as_long_as_its_request_may_have_lasted(
    tmp_path: Path, time: Time
) -> None:
    killed = quota(tmp_path, time, Limit(1, 300)).request("admin")
    killed.__enter__()

    ask(quota(tmp_path, time, Limit(1, 300)), time, 1)

    assert time.seconds == 1_000 + 120 + 300


def test_a_backfill_leaves_a_reserve_to_what_is_live(tmp_path: Path, time: Time) -> None:
    ask(quota(tmp_path, time), time, 75, backfill=True)
    ask(quota(tmp_path, time), time, 25)
    assert time.seconds == 1_000

    ask(quota(tmp_path, time), time, 1, backfill=True)

    assert time.seconds == 1_300


def test_a_mailbox_full_of_bounces_leaves_room_for_the_traces(tmp_path: Path, time: Time) -> None:
    ask(quota(tmp_path, time), time, 75, api="users")
    ask(quota(tmp_path, time), time, 25, api="admin")
    assert time.seconds == 1_000

    ask(quota(tmp_path, time), time, 1, api="users")

    assert time.seconds == 1_300


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_neither_frees_places_nor_blocks_them(tmp_path: Path, time: Time, hours: int) -> None:
    ask(quota(tmp_path, time), time, 100)
    time.set_by = timedelta(hours=hours)

    ask(quota(tmp_path, time), time, 1)

    assert time.seconds == 1_300


def test_after_a_restart_of_the_machine_the_clock_tells_how_old_a_request_is(tmp_path: Path, time: Time) -> None:
    ask(quota(tmp_path, time), time, 100)
    time.set_by = timedelta(seconds=1_000 - 10 + 200)
    time.seconds = 10.0

    ask(quota(tmp_path, time), time, 1)

    assert 105 < time.seconds < 115


def test_a_pause_that_microsoft_asks_for_holds_every_process_back(tmp_path: Path, time: Time) -> None:
    quota(tmp_path, time).pause("admin", 90)

    ask(quota(tmp_path, time), time, 1, api="auditLogs")
    assert time.seconds == 1_000
    ask(quota(tmp_path, time), time, 1)

    assert time.seconds == 1_090


def test_sign_ins_are_asked_for_more_slowly(tmp_path: Path, time: Time) -> None:
    ask(quota(tmp_path, time), time, 6, api="auditLogs")

    assert time.seconds == 1_010


def test_another_tenant_has_a_count_of_its_own(tmp_path: Path, time: Time) -> None:
    ask(quota(tmp_path, time), time, 100)

    ask(replace(quota(tmp_path, time), tenant="fabrikam.example"), time, 100)

    assert time.seconds == 1_000


def test_whoever_is_asked_to_stop_does_not_wait(tmp_path: Path, time: Time) -> None:
    ask(quota(tmp_path, time), time, 100)
    stopping = replace(quota(tmp_path, time), clock=replace(time.clock, wait=lambda _: True))

    with pytest.raises(Stopped):
        ask(stopping, time, 1)


def test_many_at_once_take_no_place_twice(tmp_path: Path) -> None:
    taken: Counter[str] = Counter()
    clock = Clock(lambda: NOW, lambda: 1_000.0, lambda _: True)

    def take() -> None:
        for _ in range(10):
            try:
                with Quota(tmp_path / "quota.sqlite", "contoso.example", clock, (Limit(30, 300),)).request("admin"):
                    taken["yes"] += 1
            except Stopped:
                taken["no"] += 1

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert taken == {"yes": 30, "no": 30}


def test_processes_that_ask_at_once_share_one_count(tmp_path: Path) -> None:
    together = FRESH.Barrier(3)
    asking = [
        FRESH.Process(target=ask_as_often_as_allowed, args=(tmp_path, str(number), together)) for number in range(3)
    ]

    for each in asking:
        each.start()
    for each in asking:
        each.join(60)

    taken = [int((tmp_path / str(number)).read_text()) for number in range(3)]
    assert sum(taken) == 100
    assert [each.exitcode for each in asking] == [0, 0, 0]


def ask_as_often_as_allowed(folder: Path, name: str, together: Barrier) -> None:
    """Take places until there is none left, as one of several processes; write down how many it were."""
    taken = 0
    together.wait(60)
    clock = Clock(lambda: NOW, lambda: 1_000.0, lambda _: True)
    with suppress(Stopped):
        while True:
            with Quota(folder / "quota.sqlite", "contoso.example", clock).request("admin"):
                taken += 1
    (folder / name).write_text(str(taken))


def test_a_count_that_cannot_be_kept_is_an_error_with_its_place(tmp_path: Path, time: Time) -> None:
    path = tmp_path / "quota.sqlite"
    path.write_bytes(b"no database" * 100)

    with pytest.raises(SourceError, match=r"quota\.sqlite: the count of requests to Microsoft Graph cannot be kept"):
        ask(quota(tmp_path, time), time, 1)


def test_what_is_over_is_not_kept(tmp_path: Path, time: Time) -> None:
    for _ in range(5):
        ask(quota(tmp_path, time), time, 50)
        time.pass_(301)
    ask(quota(tmp_path, time), time, 1)

    with closing(sqlite3.connect(tmp_path / "quota.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM requests").fetchone() == (1,)
