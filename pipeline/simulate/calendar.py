"""
Which days are worked, by region: public holidays, the days that offices close on besides, and the ends of months.

The dates of Germany and the United States follow from their laws and from Easter (Gauss's rule in the form of Meeus).
A holiday of the United States on a weekend is kept on the working day beside it.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

_EPIPHANY = ("DE-BY", "DE-BW", "DE-ST")
_CORPUS_CHRISTI = ("DE-BY", "DE-BW", "DE-NW", "DE-HE")
_ALL_SAINTS = ("DE-BY", "DE-BW", "DE-NW")
_REFORMATION = ("DE-HH", "DE-SN", "DE-ST")

REGIONS = ("DE-BY", "DE-BW", "DE-NW", "DE-HE", "DE-HH", "DE-SN", "US")


def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar."""
    golden, century, rest = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


@cache
def holidays(region: str, year: int) -> frozenset[date]:
    """Return the public holidays of `region`, and those half days on which German offices are closed."""
    return _american(year) if region == "US" else _german(region, year)


def _german(region: str, year: int) -> frozenset[date]:
    sunday = easter(year)
    movable = [sunday + timedelta(days=days) for days in (-2, 1, 39, 50)]
    fixed = [(1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31)]
    fixed += [(1, 6)] * (region in _EPIPHANY) + [(11, 1)] * (region in _ALL_SAINTS)
    fixed += [(10, 31)] * (region in _REFORMATION)
    if region in _CORPUS_CHRISTI:
        movable.append(sunday + timedelta(days=60))
    return frozenset([*movable, *(date(year, month, day) for month, day in fixed)])


def _american(year: int) -> frozenset[date]:
    thanksgiving = _nth(year, 11, 3, 4)
    floating = [_nth(year, 1, 0, 3), _nth(year, 2, 0, 3), _last(year, 5, 0), _nth(year, 9, 0, 1)]
    fixed = [_observed(date(year, month, day)) for month, day in ((1, 1), (6, 19), (7, 4), (12, 25))]
    beyond = _observed(date(year + 1, 1, 1))
    days = [*floating, *fixed, thanksgiving, thanksgiving + timedelta(days=1), date(year, 12, 24)]
    return frozenset(days + [beyond] * (beyond.year == year))


def _observed(day: date) -> date:
    return day + timedelta(days={5: -1, 6: 1}.get(day.weekday(), 0))


def _nth(year: int, month: int, weekday: int, count: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (count - 1))


def _last(year: int, month: int, weekday: int) -> date:
    last = last_day(year, month)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def last_day(year: int, month: int) -> date:
    """Return the last day of a month."""
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


@cache
def is_workday(day: date, region: str, *, closes: bool = False) -> bool:
    """Return whether an office works on `day`; one that `closes` is shut from 24 December to 3 January."""
    if day.weekday() >= 5 or day in holidays(region, day.year):
        return False
    return not (closes and ((day.month == 12 and day.day >= 24) or (day.month == 1 and day.day <= 3)))


def workday_from(day: date, region: str, *, closes: bool = False, step: int = 1) -> date:
    """Return `day`, or the next working day after it; with `step` -1 the last one before it."""
    while not is_workday(day, region, closes=closes):
        day += timedelta(days=step)
    return day
