"""Time stamps that name no year or no zone: the turn of the year, the night when clocks change, leap days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipeline.stamps import Stamps

BERLIN = ZoneInfo("Europe/Berlin")
LONG_AFTER = datetime(2026, 12, 1, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(stamps: Stamps, *texts: str) -> list[datetime | None]:
    return [stamps.read(text.encode()) for text in texts]


def test_a_log_over_the_turn_of_the_year_keeps_its_order() -> None:
    stamps = Stamps(as_of=utc("2027-01-01T00:05:00"))

    read = times(stamps, "Dec 31 23:59:59", "Jan  1 00:00:00", "Jan  1 00:05:00")

    assert read == [utc("2026-12-31T23:59:59"), utc("2027-01-01T00:00:00"), utc("2027-01-01T00:05:00")]


def test_a_december_log_that_is_read_in_spring_keeps_its_year() -> None:
    assert times(Stamps(as_of=utc("2027-04-01T00:00:00")), "Dec 30 08:00:00") == [utc("2026-12-30T08:00:00")]


def test_a_zone_ahead_of_utc_turns_the_year_before_utc_does() -> None:
    stamps = Stamps(as_of=utc("2026-12-31T23:30:00"), zone=BERLIN)

    assert times(stamps, "Jan  1 00:30:00") == [utc("2026-12-31T23:30:00")]


def test_a_leap_day_is_found_in_its_year() -> None:
    assert times(Stamps(as_of=utc("2027-03-01T00:00:00")), "Feb 29 12:00:00") == [utc("2024-02-29T12:00:00")]


def test_the_hour_that_comes_twice_is_told_by_its_order() -> None:
    stamps = Stamps(as_of=LONG_AFTER, zone=BERLIN)

    read = times(
        stamps, "Oct 25 01:59:00", "Oct 25 02:00:00", "Oct 25 02:30:00", "Oct 25 02:59:59", "Oct 25 02:00:01",
        "Oct 25 02:30:00", "Oct 25 03:00:00",
    )  # fmt: skip

    assert read == [
        utc("2026-10-24T23:59:00"), utc("2026-10-25T00:00:00"), utc("2026-10-25T00:30:00"), utc("2026-10-25T00:59:59"),
        utc("2026-10-25T01:00:01"), utc("2026-10-25T01:30:00"), utc("2026-10-25T02:00:00"),
    ]  # fmt: skip


def test_the_hour_that_comes_twice_is_told_over_two_reads() -> None:
    before = Stamps(as_of=LONG_AFTER, zone=BERLIN)
    times(before, "2026-10-25 02:58:00")

    after = Stamps(as_of=LONG_AFTER, zone=BERLIN, last=before.last)

    assert times(after, "2026-10-25 02:10:00") == [utc("2026-10-25T01:10:00")]


def test_lines_a_little_out_of_order_are_no_second_hour() -> None:
    stamps = Stamps(as_of=LONG_AFTER, zone=BERLIN)

    read = times(stamps, "Oct 25 02:30:02", "Oct 25 02:30:01")

    assert read == [utc("2026-10-25T00:30:02"), utc("2026-10-25T00:30:01")]


def test_a_log_that_is_followed_tells_the_second_hour_by_when_it_was_written() -> None:
    assert times(Stamps(as_of=utc("2026-10-25T01:30:05"), zone=BERLIN), "Oct 25 02:30:00") == [
        utc("2026-10-25T01:30:00")
    ]
    assert times(Stamps(as_of=utc("2026-10-25T00:30:05"), zone=BERLIN), "Oct 25 02:30:00") == [
        utc("2026-10-25T00:30:00")
    ]


def test_the_hour_that_never_was_skips_and_doubles_nothing() -> None:
    stamps = Stamps(as_of=LONG_AFTER, zone=BERLIN)

    read = times(stamps, "Mar 29 01:59:59", "Mar 29 03:00:00")

    assert read[1] is not None
    assert read[0] is not None
    assert read[1] - read[0] == timedelta(seconds=1)


@pytest.mark.parametrize("stamp", ["Foo 11 10:00:00", "Feb 30 10:00:00", "Nov 23 25:00:00", "2026-13-01T00:00:00"])
def test_a_time_that_never_was_is_none(stamp: str) -> None:
    assert times(Stamps(as_of=LONG_AFTER), stamp) == [None]


@pytest.mark.parametrize(
    "stamp",
    [
        "23-Nov-2026 18:22:53 UTC",
        "23-Nov-2026 19:22:53 Europe/Berlin",
        "23/Nov/2026:13:22:53 -0500",
        "Mon, 23 Nov 2026 18:22:53 +0000",
        "23 Nov 2026 18:22:53,000",
        "Mon Nov 23 18:22:53.000 2026",
        "Mon Nov 23 19:22:53 CET 2026",
        "Nov 23, 2026 6:22:53 PM",
        "2026/11/23 18:22:53",
        "23.11.2026 18:22:53",
        "11/23/2026 06:22:53 pm",
    ],
)
def test_a_time_is_read_as_it_is_written(stamp: str) -> None:
    assert times(Stamps(as_of=LONG_AFTER), stamp) == [utc("2026-11-23T18:22:53")]


def test_a_written_time_without_a_zone_has_that_of_the_log() -> None:
    assert times(Stamps(as_of=LONG_AFTER, zone=BERLIN), "23.11.2026 19:22:53") == [utc("2026-11-23T18:22:53")]


def test_midnight_and_noon_are_told_apart() -> None:
    stamps = Stamps(as_of=LONG_AFTER)

    read = times(stamps, "11/23/2026 12:00:00 AM", "11/23/2026 12:00:00 PM")

    assert read == [utc("2026-11-23T00:00:00"), utc("2026-11-23T12:00:00")]


def test_day_and_month_are_told_by_another_date_of_the_log() -> None:
    assert times(Stamps(as_of=LONG_AFTER), "11/10/2026 18:00:00", "13/10/2026 18:00:00", "11/10/2026 18:00:00") == [
        None,
        utc("2026-10-13T18:00:00"),
        utc("2026-10-11T18:00:00"),
    ]
    assert times(Stamps(as_of=LONG_AFTER), "10/13/2026 18:00:00", "11/10/2026 18:00:00") == [
        utc("2026-10-13T18:00:00"),
        utc("2026-11-10T18:00:00"),
    ]


def test_a_date_that_would_lie_ahead_is_the_other_one() -> None:
    assert times(Stamps(as_of=LONG_AFTER), "12/11/2026 18:00:00") == [utc("2026-11-12T18:00:00")]


@pytest.mark.parametrize(
    "stamp",
    ["31-Feb-2026 10:00:00 UTC", "23-Nov-2026 10:00:00 Nowhere/Land", "13/13/2026 10:00:00", "32.01.2026 10:00:00",
     "23-Nov-2026 25:00:00 UTC", "23-Nov-2026 10:00:00 ../../etc", "", "x", "0/0/0000 10:00:00"],
)  # fmt: skip
def test_a_written_time_that_never_was_is_none(stamp: str) -> None:
    assert times(Stamps(as_of=LONG_AFTER), stamp) == [None]
