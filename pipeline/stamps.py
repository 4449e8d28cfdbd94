"""
Read the time stamps of logs: ISO 8601 with or without a zone, BSD syslog's `Nov 23 18:24:22`, which has no year, and
the forms that PHP, Java, .NET, Go, Apache and `date` write.

A stamp without a year gets the newest year that is not later than when the log was last written, so a log of December
that is read in January keeps its year. A stamp without a zone that stands twice in the night when clocks go back is the
first of the two until time would run backwards. `11/12/2026` is read once another date of the same log has told whether
the day or the month comes first, or when one of the two would be in the future; else nobody can know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTH_NAMES = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_BSD_STAMP_LENGTH = len("Nov 23 18:24:22")
_MOST_SEEN = 10_000
_AN_HOUR = timedelta(hours=1)
_DISORDER = timedelta(minutes=5)
"""Several programs write one log, so its lines are a little out of order."""

_WEEKDAY = rb"(?:[A-Z][a-z]{2},? )?"
_DATES = (
    re.compile(_WEEKDAY + rb"(?P<day>\d{1,2})[-/ ](?P<month>[A-Z][a-z]{2})[-/ ](?P<year>\d{4})[: ](?P<clock>.+)"),
    re.compile(_WEEKDAY + rb"(?P<month>[A-Z][a-z]{2}) {1,2}(?P<day>\d{1,2}) (?P<clock>\d.*) (?P<year>\d{4})"),
    re.compile(rb"(?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<year>\d{4}) (?P<clock>\d.*)"),
    re.compile(rb"(?P<month>[A-Z][a-z]{2}) (?P<day>\d{1,2}), (?P<year>\d{4}),? (?P<clock>.+)"),
    re.compile(rb"(?P<year>\d{4}) (?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) (?P<clock>\d.*)"),
    re.compile(rb"[A-Z][a-z]{2} (?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[ T](?P<clock>.+)"),
    re.compile(rb"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d)[ T-](?P<clock>.+)"),
    re.compile(rb"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4}),? (?P<clock>.+)"),
    re.compile(rb"(?P<one>\d{1,2})/(?P<other>\d{1,2})/(?P<year>\d{4}),? (?P<clock>.+)"),
)
_CLOCK = re.compile(
    rb"(\d{1,2}):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?([AaPp])\.?[Mm]\.?(?![A-Za-z]))?"
    rb"(?: ?([+-]\d\d(?::?\d\d)?|[A-Za-z][A-Za-z_/]{0,40}))?"
)
_ZONES = {
    b"Z": 0, b"UTC": 0, b"GMT": 0, b"CET": 60, b"CEST": 120, b"MEZ": 60, b"MESZ": 120, b"WET": 0, b"WEST": 60,
    b"EET": 120, b"EEST": 180, b"EST": -300, b"EDT": -240, b"CST": -360, b"CDT": -300, b"MST": -420, b"MDT": -360,
    b"PST": -480, b"PDT": -420,
}  # fmt: skip


@dataclass(slots=True)
class Stamps:
    """
    Reads the stamps of one log; remembers the last ones, because most lines share theirs with a neighbour.

    `as_of` is when the log was last written: no stamp is later (give a day for clocks and zones). `last` is the time
    before, and `is_day_first` what a date with slashes has told; both may come from an earlier read.
    """

    as_of: datetime
    zone: tzinfo = UTC
    last: datetime | None = None
    is_day_first: bool | None = None
    _seen: dict[bytes, datetime] = field(default_factory=dict)

    def read(self, stamp: bytes) -> datetime | None:
        """Return the time that `stamp` names, in UTC, or None where there is no such time."""
        known = self._seen.get(stamp)
        if known is not None:
            self.last = known
            return known
        try:
            local = self._local(stamp)
            time = local.astimezone(UTC)
        except (ValueError, OverflowError):  # no such day, or beyond the years that Python counts
            return None
        later = local.replace(fold=1).astimezone(UTC)
        if later > time:
            time = self._first_or_second(time, later)  # not remembered: the same stamp may come again an hour later
        else:
            self._remember(stamp, time)
        self.last = time
        return time

    def _local(self, stamp: bytes) -> datetime:
        if stamp[10:11] == b"." and stamp[:10].isdigit():
            return datetime.fromtimestamp(float(stamp), UTC)
        if stamp[:4].isdigit() and stamp[4:5] not in b"/ ":
            return self._iso(stamp)
        if stamp[9:10] == b":" and stamp[_BSD_STAMP_LENGTH:][:1] in {b"", b"."} and stamp[:3] in _MONTHS:
            return self._year_less(stamp)
        return self._written(stamp)

    def _remember(self, stamp: bytes, time: datetime) -> None:
        if len(self._seen) > _MOST_SEEN:
            self._seen.clear()
        self._seen[stamp] = time

    def _first_or_second(self, first: datetime, second: datetime) -> datetime:
        if self.last is None:
            return second if timedelta(0) <= self.as_of - second < _AN_HOUR else first
        return second if first < self.last - _DISORDER else first

    def _iso(self, stamp: bytes) -> datetime:
        text = stamp.decode("ascii").replace(",", ".").replace(" +", "+").replace(" -", "-")
        time = datetime.fromisoformat(text)
        return time if time.tzinfo else time.replace(tzinfo=self.zone)

    def _year_less(self, stamp: bytes) -> datetime:
        month = _MONTHS.get(stamp[:3])
        if month is None:
            raise ValueError("no such month")
        hour, minute, second = (int(part) for part in stamp[7:_BSD_STAMP_LENGTH].split(b":"))
        fraction = stamp[_BSD_STAMP_LENGTH + 1 :]
        micro = int(fraction.ljust(6, b"0")[:6]) if fraction else 0
        latest = self.as_of + timedelta(days=1)
        for year in _years_back_from(latest.year):
            try:
                local = datetime(year, month, int(stamp[4:6]), hour, minute, second, micro, tzinfo=self.zone)
            except ValueError:
                continue  # 29 February needs a leap year
            if local <= latest:
                return local
        raise ValueError("no such day in any year")

    def _written(self, stamp: bytes) -> datetime:
        found = next((match for form in _DATES if (match := form.fullmatch(stamp))), None)
        clock = _CLOCK.fullmatch(found["clock"]) if found else None
        if found is None or clock is None:
            raise ValueError("no form of a time that we know")
        hour, minute, second, part, half, zone = clock.groups()
        day = self._day(found.groupdict())
        micro = int(part.ljust(6, b"0")[:6]) if part else 0
        of_day = int(hour) if half is None else int(hour) % 12 + (12 if half in b"Pp" else 0)
        return datetime(
            day.year, day.month, day.day, of_day, int(minute), int(second), micro, tzinfo=_zone(zone) or self.zone
        )

    def _day(self, parts: dict[str, bytes]) -> date:
        year = int(parts["year"])
        if "month" in parts:
            return date(year, _MONTHS.get(parts["month"]) or int(parts["month"]), int(parts["day"]))
        one, other = int(parts["one"]), int(parts["other"])
        if self.is_day_first is None:
            self.is_day_first = self._told_by(year, one, other)
        if one == other:
            return date(year, one, other)
        if self.is_day_first is None:
            raise ValueError("day and month cannot be told apart")
        return date(year, other, one) if self.is_day_first else date(year, one, other)

    def _told_by(self, year: int, one: int, other: int) -> bool | None:
        """Return whether the day comes first in a date of `one`/`other`, where it tells."""
        latest = (self.as_of + timedelta(days=1)).date() if self.as_of.year < date.max.year else date.max
        is_month_first = other > 12 or (one <= 12 and date(year, one, min(other, 28)) <= latest)
        is_day_first = one > 12 or (other <= 12 and date(year, other, min(one, 28)) <= latest)
        if one > 12 or other > 12:
            return one > 12
        return is_day_first if is_day_first != is_month_first else None


def _zone(name: bytes | None) -> tzinfo | None:
    """Return the zone called `name`, None where none is named; raise ValueError for one that nobody knows."""
    if name is None:
        return None
    if name[:1] in b"+-":
        minutes = int(name[1:3]) * 60 + int(name[3:].lstrip(b":") or 0)
        return timezone(timedelta(minutes=-minutes if name[:1] == b"-" else minutes))
    if name.upper() in _ZONES:
        return timezone(timedelta(minutes=_ZONES[name.upper()]))
    try:
        return ZoneInfo(name.decode("ascii"))
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("no such time zone") from error


def _years_back_from(year: int) -> range:
    # Eight years reach over a century that is no leap year.
    return range(year, max(year - 9, 0), -1)
