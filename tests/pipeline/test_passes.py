from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Window
from pipeline.passes import AGES, Passes

START = datetime(2026, 12, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LEAST = MINUTE


def read_all_due(passes: Passes, now: datetime) -> tuple[Passes, list[Window]]:
    spans = []
    while (due := passes.due(now, LEAST)) is not None:
        spans.append(due)
        passes = passes.after(due, now)
    return passes, spans


def test_what_is_new_is_read_first_and_not_before_it_has_settled() -> None:
    passes = Passes.beginning(START)

    assert passes.due(START + AGES[0] + LEAST, LEAST) == Window(START, START + LEAST)
    assert passes.due(START + AGES[0], LEAST) is None


def test_a_stretch_that_is_read_late_counts_for_every_age_it_has_reached() -> None:
    passes = Passes.beginning(START)

    passes, spans = read_all_due(passes, START + timedelta(days=3))

    assert spans == [Window(START, START + timedelta(days=3) - AGES[0])]
    assert passes.read_until[6] == START + timedelta(days=1), "two days old already"


def test_in_a_steady_week_each_moment_is_read_once_at_each_age_and_not_more() -> None:
    passes, now = Passes.beginning(START), START
    read: list[tuple[Window, datetime]] = []
    while now < START + timedelta(days=10):
        now += 5 * MINUTE
        passes, spans = read_all_due(passes, now)
        read += [(span, now) for span in spans]

    moment = START + timedelta(days=1, hours=3)
    ages = [now - moment for span, now in read if moment in span]

    assert len(ages) == len(AGES)
    assert all(age <= at <= age * 1.25 + 6 * MINUTE for age, at in zip(AGES, ages, strict=True))


@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=30), st.integers(0, 10))
def test_no_pass_is_ahead_of_the_one_before_it_whatever_the_rhythm(minutes: list[int], hole: int) -> None:
    passes, now = Passes.beginning(START), START
    for number, each in enumerate(minutes):
        now += each * MINUTE
        due = passes.due(now, LEAST)
        if due and number == hole:
            passes = passes.stepping_over(due)
        elif due:
            passes = passes.after(Window(due.start, min(due.end, due.start + timedelta(hours=6))), now)

        assert list(passes.read_until) == sorted(passes.read_until, reverse=True)
        assert passes.read_until[0] <= now


def test_complete_is_as_far_back_as_rows_were_late_lately() -> None:
    now = START + timedelta(days=9)
    passes, _ = read_all_due(Passes.beginning(START), now)

    assert passes.complete_until == now - AGES[1]
    late = passes.with_lag(timedelta(hours=5), now)
    assert late.complete_until == now - timedelta(hours=6)
    assert late.with_lag(MINUTE, now + timedelta(days=15)).lag == AGES[1], "a fortnight later it is forgotten"


def test_a_row_that_came_during_days_of_downtime_says_no_more_than_the_next_age() -> None:
    passes = Passes.beginning(START).after(Window(START, START + timedelta(hours=1)), START + timedelta(hours=2))

    lag = passes.lag_of(START + timedelta(minutes=50), START + timedelta(days=4))

    assert lag == AGES[2]


def test_it_comes_back_from_json_and_a_program_with_more_ages_goes_on() -> None:
    passes, _ = read_all_due(Passes.beginning(START, AGES[:3]), START + timedelta(days=1))
    passes = passes.with_lag(timedelta(hours=1), START + timedelta(days=1))

    stored = json.loads(json.dumps(passes.as_json()))

    assert Passes.of(stored, AGES[:3]) == passes
    assert Passes.of(stored).read_until[-1] == passes.read_until[-1]
