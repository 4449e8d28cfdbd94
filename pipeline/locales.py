"""
Read counts, shares and dates as the machine that exported them wrote them, in whatever locale.

A file names its locale nowhere, so each reading says what decides: a count is whole, so three digits behind a mark are
thousands; the order of day and month is settled once from all dates of a file, never date by date.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import StrEnum

_MOST_DIGITS = 10
_COUNT = re.compile(r"[0-9]{1,10}|[0-9]{1,3}(?P<mark>[.,'’ \u00a0\u2009\u202f])[0-9]{3}(?:(?P=mark)[0-9]{3}){0,2}")
_ZERO_FRACTION = re.compile(r"[.,]0{1,2}\Z")
_DATE = re.compile(
    r"(?:(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?)"
    r"|(?P<one>\d\d?)(?P<sign>[-/.])(?P<two>\d\d?)(?P=sign)(?P<last>\d{4}))"
    r"(?:(?:T|,? )(?P<hour>\d\d?)(?P<colon>[:.])(?P<minute>\d\d)"
    r"(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r" ?(?P<half>[AP]\.? ?M\.?)? ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_ZONE = re.compile(
    r"\(\s*+(?:UTC|GMT)\s*+(?:(?P<sign>[+\-\u2212\u2013])\s*+(?P<hours>\d\d?)(?::?(?P<minutes>\d\d))?)?+\s*+\)",
    re.ASCII | re.IGNORECASE,
)

_NO_MARKS = {0x200E: None, 0x200F: None}


class DayOrder(StrEnum):
    """Which number comes first in a date that does not begin with its year."""

    MONTH_FIRST = "m/d/y"
    DAY_FIRST = "d.m.y"


def count_of(text: str) -> int | None:
    """Return a count written in any locale (1234, 1,234, 1.234, 1 234), or None; three digits are never a fraction."""
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)  # as most are written
    number = _ZERO_FRACTION.sub("", text.strip())
    return int(re.sub(r"[^0-9]", "", number)) if _COUNT.fullmatch(number) else None


def share_of(text: str) -> float | None:
    """Return a share in the unit it is written in (97.5, 97,5 %, 0, an empty field or a dash as 0), or None."""
    bare = text.replace("\u00a0", " ").replace("\u202f", " ").strip().strip("%<").strip()
    if bare in {"", "-", "–"}:
        return 0.0
    return float(bare.replace(",", ".")) if re.fullmatch(r"[0-9]{1,10}(?:[.,][0-9]{1,15})?", bare) else None


def zone_of(header: str) -> timezone | None:
    """Return the zone that the header of a column names in brackets, as in "Date (UTC+01:00)", or None."""
    match = _ZONE.search(header)
    if match is None:
        return None
    shift = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
    if shift >= timedelta(hours=24):
        return None
    return timezone(shift if match["sign"] == "+" else -shift) if shift else UTC


def without_zone(header: str) -> str:
    """Return `header` without the zone in brackets, and without what is behind it."""
    match = _ZONE.search(header)
    return header[: match.start()] if match else header


def day_order_of(texts: Iterable[str], as_of: datetime) -> DayOrder:
    """
    Return the order of day and month in which a file writes its dates, decided once from all of them.

    A number above 12 decides (the majority, where a file contradicts itself); otherwise dots mean d.m.y. Of what is
    left, the reading with fewer dates after `as_of` is taken; then AM or PM means m/d/y, and without it the reading
    in which all dates lie closer together. What is still ambiguous is read as m/d/y.
    """
    pairs: set[tuple[int, int, int]] = set()
    found = dotted = halves = 0
    for text in texts:
        match = _match(text)
        if match and match["one"]:
            pairs.add((int(match["one"]), int(match["two"]), int(match["last"])))
            found += 1
            dotted += match["sign"] == "."
            halves += match["half"] is not None
    day_first = sum(one > 12 for one, _two, _year in pairs)
    month_first = sum(two > 12 for _one, two, _year in pairs)
    if day_first != month_first:
        return DayOrder.DAY_FIRST if day_first > month_first else DayOrder.MONTH_FIRST
    if 2 * dotted > found:
        return DayOrder.DAY_FIRST
    readings = {order: _read_all(pairs, order) for order in DayOrder}
    spans = dict.fromkeys(DayOrder, 0) if halves else {order: _span(days) for order, days in readings.items()}
    return min(DayOrder, key=lambda order: (_after(readings[order], as_of), spans[order]))


def moment_of(text: str, order: DayOrder, zone: tzinfo = UTC) -> datetime | None:
    """Return the UTC time that `text` writes, midnight where it names a day only, or None; `zone` is for no zone."""
    match = _match(text)
    if match is None:
        return None
    try:
        return datetime(*_day(match, order), *_time(match), tzinfo=_zone(match["zone"], zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _match(text: str) -> re.Match[str] | None:
    # Browsers write direction marks, and newer locale data a narrow no-break space before PM.
    return _DATE.fullmatch(" ".join((text if text.isascii() else text.translate(_NO_MARKS)).split()))


def _day(match: re.Match[str], order: DayOrder) -> tuple[int, int, int]:
    if match["year"]:
        return int(match["year"]), int(match["month"]), int(match["day"])
    one, two = int(match["one"]), int(match["two"])
    return (int(match["last"]), one, two) if order is DayOrder.MONTH_FIRST else (int(match["last"]), two, one)


def _time(match: re.Match[str]) -> tuple[int, int, int, int]:
    hour = int(match["hour"] or 0)
    if match["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
    fraction = (match["fraction"] or "").ljust(6, "0")[:6]
    return hour, int(match["minute"] or 0), int(match["second"] or 0), int(fraction)


def _zone(text: str | None, usual: tzinfo) -> tzinfo:
    if text is None:
        return usual
    if text[0] not in "+-":
        return UTC
    shift = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(shift if text[0] == "+" else -shift)


def _read_all(pairs: set[tuple[int, int, int]], order: DayOrder) -> list[int]:
    """Return the days, as ordinals, of those dates that can be read in either order."""
    both = [(one, two, year) for one, two, year in pairs if 1 <= one <= 12 and 1 <= two <= 12 and year]
    is_month_first = order is DayOrder.MONTH_FIRST
    return [(date(year, one, two) if is_month_first else date(year, two, one)).toordinal() for one, two, year in both]


def _after(days: list[int], as_of: datetime) -> int:
    # One day later is no contradiction: clocks and zones differ.
    return sum(day > as_of.toordinal() + 1 for day in days)


def _span(days: list[int]) -> int:
    return max(days) - min(days) if days else 0
