from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from pipeline.simulate.calendar import easter, holidays, is_workday, last_day, workday_from
from pipeline.simulate.dice import Dice
from pipeline.simulate.moments import HOUR, MINUTE, iso, iso_local, local, midnight, syslog
from pipeline.simulate.rhythms import Daily, Office, Periodic

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Office("DE-BY", BERLIN, closes=True)


@pytest.mark.parametrize(
    "sunday", ["1818-03-22", "2000-04-23", "2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2038-04-25"]
)
def test_easter_falls_where_the_almanac_says(sunday: str) -> None:
    day = date.fromisoformat(sunday)

    assert easter(day.year) == day


def test_german_holidays_of_2026_and_those_of_a_region() -> None:
    bavaria, hamburg = holidays("DE-BY", 2026), holidays("DE-HH", 2026)

    everywhere = {date(2026, 4, 3), date(2026, 4, 6), date(2026, 5, 14), date(2026, 5, 25), date(2026, 10, 3)}
    assert everywhere <= bavaria & hamburg
    assert {date(2026, 1, 6), date(2026, 6, 4), date(2026, 11, 1)} <= bavaria - hamburg
    assert {date(2026, 12, day) for day in (24, 25, 26, 31)} <= bavaria & hamburg


def test_american_holidays_move_off_the_weekend() -> None:
    days = holidays("US", 2026)

    assert {date(2026, 7, 3), date(2026, 11, 26), date(2026, 9, 7), date(2026, 5, 25)} <= days
    assert date(2021, 12, 31) in holidays("US", 2021)  # New Year of 2022 was a Saturday


def test_an_office_that_closes_works_neither_between_the_years_nor_on_holidays() -> None:
    between = date(2026, 12, 29)

    assert is_workday(between, "DE-BY")
    assert not is_workday(between, "DE-BY", closes=True)
    assert workday_from(date(2026, 12, 24), "DE-BY", closes=True) == date(2027, 1, 4)
    assert workday_from(date(2027, 1, 6), "DE-BY") == date(2027, 1, 7)
    assert workday_from(date(2026, 12, 31), "DE-HH", step=-1) == date(2026, 12, 30)


def test_months_end_where_they_end() -> None:
    assert [last_day(2028, 2).day, last_day(2026, 2).day, last_day(2026, 12).day] == [29, 28, 31]


def test_clocks_change_and_moments_do_not() -> None:
    before, after = local(date(2026, 10, 24), 8.5, BERLIN), local(date(2026, 10, 25), 8.5, BERLIN)

    assert after - before == 25 * HOUR
    assert iso(before) == "2026-10-24T06:30:00Z"
    assert iso_local(before, BERLIN) == "2026-10-24T08:30:00.000000+02:00"
    assert iso_local(local(date(2026, 12, 1), 9, ZoneInfo("America/New_York")), ZoneInfo("America/New_York")).endswith(
        "T09:00:00.000000-05:00"
    )
    assert syslog(midnight(date(2026, 12, 1))) == "Dec  1 00:00:00"


@pytest.mark.parametrize(
    ("rule", "days"),
    [
        ("day 1", {date(2026, 12, 1)}),
        ("day 31", {date(2026, 12, 31)}),
        ("last working day", {date(2026, 12, 23)}),
        ("first working day", {date(2026, 12, 1)}),
        ("first Monday", {date(2026, 12, 7)}),
        ("each Friday", {date(2026, 12, day) for day in (4, 11, 18, 25)}),
    ],
)
def test_a_monthly_job_falls_on_its_days(rule: str, days: set[date]) -> None:
    job = Periodic(rule, 6.0, jitter=1.0, misses=0.0)

    assert {date(2026, 12, day) for day in range(1, 32) if job.falls_on(date(2026, 12, day), OFFICE)} == days


def test_a_job_of_the_31st_runs_on_the_last_day_of_a_short_month() -> None:
    assert Periodic("day 31", 6.0, 1.0, 0.0).falls_on(date(2026, 11, 30), OFFICE)


def test_a_nightly_job_comes_each_day_and_its_silence_is_told_once_it_is_due() -> None:
    job = Daily((2.0,), workdays=False, jitter=1.0, misses=0.0, catches_up=False)
    day = date(2026, 12, 26)

    wanted = job.wants(day, OFFICE, Dice("nightly"))
    (due, by, nats), *others = job.silence(day, OFFICE)

    assert not others
    assert due <= wanted[0] < due + 3 * HOUR
    assert (by - due, nats > 7) == (3 * HOUR, True)
    assert abs(wanted[0] - local(day, 2.0, BERLIN)) < 175 * MINUTE


def test_a_job_of_working_days_rests_on_holidays() -> None:
    job = Daily((9.0, 15.0), workdays=True, jitter=1.0, misses=0.0, catches_up=False)

    assert job.wants(date(2026, 12, 25), OFFICE, Dice("x")) == []
    assert job.silence(date(2026, 12, 25), OFFICE) == []
    assert len(job.wants(date(2026, 12, 22), OFFICE, Dice("x"))) == 2
