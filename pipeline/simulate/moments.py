"""Moments are whole milliseconds since 1970 in UTC: they add up, sort and compare fast, and no zone can slip in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = date(1970, 1, 1)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment_of(when: datetime) -> int:
    """Return the moment of `when`, which knows its zone."""
    return round((when - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))


def date_of(moment: int) -> date:
    """Return the day in UTC that `moment` lies in."""
    return _EPOCH + timedelta(days=moment // DAY)


def midnight(day: date) -> int:
    """Return the moment at which `day` begins in UTC."""
    return (day - _EPOCH).days * DAY


@lru_cache(maxsize=8192)
def _local_midnight(day: date, zone: tzinfo, hour: int) -> int:
    return moment_of(datetime(day.year, day.month, day.day, hour, tzinfo=zone))


def local(day: date, hours: float, zone: tzinfo) -> int:
    """Return the moment at which the clocks of `zone` show `hours` (8.5 is half past eight) on `day`."""
    whole = min(int(hours), 23)
    return _local_midnight(day, zone, whole) + round((hours - whole) * HOUR)


@lru_cache(maxsize=8192)
def _offset_in_hour(hour: int, zone: tzinfo) -> int:
    shift = datetime.fromtimestamp(hour * 3600, zone).utcoffset() or timedelta()
    return shift // timedelta(milliseconds=1)


def offset_at(moment: int, zone: tzinfo) -> int:
    """Return by how many milliseconds the clocks of `zone` are ahead of UTC at `moment`."""
    return _offset_in_hour(moment // HOUR, zone)


@lru_cache(maxsize=4096)
def _day_text(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).isoformat()


def clock_text(moment: int) -> str:
    """Return the time of day as `08:00:01`."""
    seconds = moment % DAY // SECOND
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def iso(moment: int) -> str:
    """Return `2026-12-30T08:00:01Z`."""
    return f"{_day_text(moment // DAY)}T{clock_text(moment)}Z"


def iso_ms(moment: int) -> str:
    """Return `2026-12-30T08:00:01.123Z`."""
    return f"{_day_text(moment // DAY)}T{clock_text(moment)}.{moment % 1000:03}Z"


def spaced(moment: int) -> str:
    """Return `2026-12-30 08:00:01`."""
    return f"{_day_text(moment // DAY)} {clock_text(moment)}"


@lru_cache(maxsize=4096)
def _syslog_day(number: int) -> str:
    day = _EPOCH + timedelta(days=number)
    return f"{_MONTHS[day.month - 1]} {day.day:2}"


def syslog(moment: int) -> str:
    """Return `Dec 30 08:00:01`, which names neither year nor zone."""
    return f"{_syslog_day(moment // DAY)} {clock_text(moment)}"


@lru_cache(maxsize=4096)
def _php_day(number: int) -> str:
    day = _EPOCH + timedelta(days=number)
    return f"{day.day:02}-{_MONTHS[day.month - 1]}-{day.year}"


def php(moment: int) -> str:
    """Return `30-Dec-2026 08:00:01 UTC`."""
    return f"{_php_day(moment // DAY)} {clock_text(moment)} UTC"


def iso_local(moment: int, zone: tzinfo) -> str:
    """Return `2026-12-30T09:00:01.123000+01:00`, as rsyslog writes it."""
    shift = offset_at(moment, zone)
    there = moment + shift
    sign = "-" if shift < 0 else "+"
    minutes = abs(shift) // MINUTE
    text = f"{_day_text(there // DAY)}T{clock_text(there)}.{there % 1000:03}000"
    return f"{text}{sign}{minutes // 60:02}:{minutes % 60:02}"
