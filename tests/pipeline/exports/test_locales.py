from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exports.locales import (
    DayOrder,
    count_of,
    day_order_of,
    expected,
    moment_of,
    share_of,
    without_zone,
    zone_of,
)

LATER = datetime(2027, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "1234567",
        "1,234,567",
        "1.234.567",
        "1 234 567",
        "1\u00a0234\u00a0567",
        "1\u202f234\u202f567",
        "1'234'567",
        "1,234,567.00",
    ],
)
def test_a_count_is_read_in_any_locale(text: str) -> None:
    assert count_of(text) == 1_234_567


def test_three_digits_behind_a_mark_are_thousands_and_never_a_fraction() -> None:
    assert [count_of(text) for text in ("1.234", "1,234", "1.000", "12,0", "0")] == [1234, 1234, 1000, 12, 0]


@pytest.mark.parametrize(
    "text", ["", "many", "-1", "1.5", "1,23,456", "1.234,567", "12345678901", "٣", "1e3", "0x10", "1_000"]
)
def test_what_is_no_count_is_not_guessed(text: str) -> None:
    assert count_of(text) is None


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("97.5", 97.5),
        ("97,5 %", 97.5),
        ("100%", 100.0),
        ("100\u00a0%", 100.0),
        ("< 1 %", 1.0),
        ("0", 0.0),
        ("", 0.0),
        ("-", 0.0),
    ],
)
def test_a_share_is_read_in_any_shape(text: str, share: float) -> None:
    assert share_of(text) == share


@pytest.mark.parametrize("text", ["nan", "inf", "most", "1.2.3", "--5"])
def test_what_is_no_share_is_not_guessed(text: str) -> None:
    assert share_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "11/23/2026 2:05:12 PM",
        "11/23/2026 2:05:12\u202fPM",
        "11/23/2026, 02:05:12 p. m.",
        "11/23/2026 14:05:12",
        "23.11.2026 14:05:12",
        "23.11.2026 14.05.12",
        "\u200e23\u200e/\u200e11\u200e/\u200e2026 14:05:12",
        "23-11-2026 14:05:12",
        "2026-11-23 14:05:12",
        "2026-11-23T14:05:12.0000000Z",
        "2026/11/23 14:05:12 UTC",
        "2026-11-23T15:05:12+01:00",
        "2026-11-23 08:35:12 -0530",
        "23. 11. 2026 14:05:12",
        "23.11.2026. 14:05:12",
        "2026. 11. 23. 14:05:12",
        "Nov 23, 2026 2:05:12 PM",
        "23-Nov-2026 14:05:12",
        "23. Nov. 2026, 14:05:12",
        "Monday, November 23, 2026 2:05:12 PM",
        "Montag, 23. November 2026 14:05:12",
        "lundi 23 novembre 2026 14:05:12",
        "lunes, 23 de noviembre de 2026 14:05:12",
    ],
)
def test_the_same_moment_is_read_from_every_shape(text: str) -> None:
    order = day_order_of([text], LATER)

    assert moment_of(text, order) == datetime(2026, 11, 23, 14, 5, 12, tzinfo=UTC)


def test_midnight_and_noon_are_told_apart() -> None:
    assert moment_of("11/23/2026 12:00:00 AM", DayOrder.MONTH_FIRST) == datetime(2026, 11, 23, tzinfo=UTC)
    assert moment_of("11/23/2026 12:00:00 PM", DayOrder.MONTH_FIRST) == datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_day_without_a_time_is_its_midnight() -> None:
    assert moment_of("2026-12-31", DayOrder.MONTH_FIRST) == datetime(2026, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-02-30",
        "23/11/2026",
        "2026-11-23 24:00:00",
        "11/23/2026 13:00:00 PM",
        "11/23/26",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31 23:59:59-05:00",
        "2026-11-23T00:00:00+99:99",
        "0000-01-01",
        "2026-11-23 14:05:12 PST",
        "23 Nevember 2026",
        "Nov 31, 2026",
        "Nov 23, 2026 " + " " * 1_000 + "x",
    ],
)
def test_what_is_no_time_is_not_guessed(text: str) -> None:
    assert moment_of(text, DayOrder.MONTH_FIRST) is None


ORDERS = [
    ("a day above 12 in second place", ["5/12/2026 8:00", "12/13/2026 8:00"], DayOrder.MONTH_FIRST),
    ("a day above 12 in first place", ["05/12/2026 8:00", "13/12/2026 8:00"], DayOrder.DAY_FIRST),
    ("a day above 12 beats AM and PM", ["5/12/2026 8:00 AM", "13/12/2026 8:00 AM"], DayOrder.DAY_FIRST),
    ("a day above 12 beats dots", ["5.12.2026 8:00", "12.13.2026 8:00"], DayOrder.MONTH_FIRST),
    ("the majority of a contradiction", ["13/12/2026", "14/12/2026", "12/15/2026"], DayOrder.DAY_FIRST),
    ("dots", ["05.12.2026 8:00"], DayOrder.DAY_FIRST),
    ("dots, though one value is damaged", ["05.12.2026", "06.12.2026", "7/8/2026"], DayOrder.DAY_FIRST),
    ("AM and PM", ["9/8/2026 8:00 AM", "10/8/2026 8:00 AM"], DayOrder.MONTH_FIRST),
    ("no date after the file", ["12/01/2027 8:00 AM"], DayOrder.DAY_FIRST),
    ("ten days of December in a British file", [f"{day:02}/12/2026 8:00" for day in range(1, 11)], DayOrder.DAY_FIRST),
    ("ten days of December in a plain file", [f"12/{day:02}/2026 8:00" for day in range(1, 11)], DayOrder.MONTH_FIRST),
    ("dashes", ["05-12-2026 8:00"], DayOrder.DAY_FIRST),
    ("a day without a zero before a month with one", ["5/06/2026 2:05:12 PM"], DayOrder.DAY_FIRST),
    ("AM and PM of a single day", ["5/6/2026 2:05:12 PM"], DayOrder.MONTH_FIRST),
    ("small letters, which no American export has", ["05/06/2026, 2:05:12 pm"], DayOrder.UNKNOWN),
    ("ambiguous throughout", ["05/12/2026 8:00"], DayOrder.UNKNOWN),
    ("the same in either order", ["05/05/2026 8:00"], DayOrder.MONTH_FIRST),
    ("nothing to decide", ["2026-12-05", "soon", ""], DayOrder.MONTH_FIRST),
]


@pytest.mark.parametrize(("why", "texts", "order"), ORDERS, ids=[why for why, _texts, _order in ORDERS])
def test_the_order_of_day_and_month_is_decided_once_from_all_dates(why: str, texts: list[str], order: DayOrder) -> None:
    assert day_order_of(texts, LATER) is order, why


def test_the_end_of_time_as_writing_time_decides_nothing() -> None:
    assert day_order_of(["05/12/2026"], datetime.max.replace(tzinfo=UTC)) is DayOrder.UNKNOWN


def test_of_an_unknown_order_only_dates_are_read_that_need_none() -> None:
    texts = ["05/12/2026 8:00", "05/05/2026 8:00", "2026-12-05 8:00", "5 Dec 2026 8:00"]

    moments = [moment_of(text, DayOrder.UNKNOWN) for text in texts]

    assert [moment and (moment.month, moment.day) for moment in moments] == [None, (5, 5), (12, 5), (12, 5)]
    assert "which comes first" in expected(DayOrder.UNKNOWN)


@given(st.lists(st.text(alphabet="0123456789/.-: APMZ+T") | st.from_regex(r"\A[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}\Z")))
def test_no_text_makes_the_reading_of_dates_fail(texts: list[str]) -> None:
    order = day_order_of(texts, LATER)

    moments = [moment_of(text, order) for text in texts]

    assert all(moment is None or moment.tzinfo is UTC for moment in moments)


@pytest.mark.parametrize(
    ("header", "hours", "bare"),
    [
        ("Date (UTC+01:00)", 1, "Date "),
        ("Date (UTC-08:00) Pacific Time", -8, "Date "),
        ("Datum (utc +5:30)", 5.5, "Datum "),
        ("Date (GMT\u22123)", -3, "Date "),
        ("Date (UTC)", 0, "Date "),
        ("Date (UTC+00:00)", 0, "Date "),
        ("Date", None, "Date"),
        ("TimeGenerated [UTC]", 0, "TimeGenerated "),
        ("TimeGenerated [Local Time]", None, "TimeGenerated "),
        ("Date (UTC+99:00)", None, "Date "),
        ("Count (%)", None, "Count (%)"),
        ("(" * 1_000 + "UTC" + " " * 100_000, None, "(" * 1_000 + "UTC" + " " * 100_000),
    ],
)
def test_a_header_may_name_the_zone_of_its_times(header: str, hours: float | None, bare: str) -> None:
    zone = zone_of(header)

    assert (zone and zone.utcoffset(None)) == (None if hours is None else timedelta(hours=hours))
    assert without_zone(header) == bare


def test_a_zone_is_for_times_that_name_none() -> None:
    zone = timezone(timedelta(hours=2))

    hours = [moment_of(text, DayOrder.DAY_FIRST, zone) for text in ("5.12.2026 08:00", "2026-12-05T08:00Z")]

    assert [moment and moment.hour for moment in hours] == [6, 8]
