"""
Time stamps as people and programs spell them, turned into what `Stamps` reads.

A month is told by the first letters of its name, in the languages that are spoken around us, whatever stands around day
and year; digits may run together or stand between dots, dashes and signs of East Asia; seconds since 1970 are read in
each unit. What names no day and time of day is none, and so is one of which nobody can know which number is the year.
"""

from __future__ import annotations

import re
from datetime import datetime

from pipeline.json_fields import since_1970
from pipeline.stamps import Stamps

_SECONDS = re.compile(r"\d{9,10}(?:\.\d{1,9})?|\d{13}|\d{16}|\d{19}")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|[+-]\d\d(?::?\d\d)?))?")
_NAMED_ZONE = re.compile(r"\[[\w/+-]{1,40}\]\Z")
_RUN_TOGETHER = re.compile(r"(\d{4})(\d\d)(\d\d)[-_:T ]?(\d\d):?(\d\d):?(\d\d)(.*)")
_YEAR_FIRST = re.compile(r"(\d{4})([-./年])\s?(\d{1,2})[-./月]\s?(\d{1,2})日?,?[T _\t-]{1,2}(.+)")
_YEAR_LAST = re.compile(r"(?:[^\W\d_]{2,4}\.?,? )?(\d{1,2})([-./])\s?(\d{1,2})[-./]\s?(\d{4}|\d\d),?[T _\t-]{1,2}(.+)")
_KLOG = re.compile(r"(\d\d)(\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,9})?)")
_CLOCK = re.compile(
    r"(?<!\d)(?P<clock>\d{1,2}:\d\d)(?P<second>:\d\d(?:[.,]\d{1,9})?)?(?P<half> ?[AaPp]\.? ?[Mm]\.?(?![A-Za-z]))?"
    r"(?P<zone> ?(?:[+-]\d\d:?\d\d|[A-Z]{1,5}\b|[A-Z][a-z]{2,12}/[A-Za-z_/]{2,30}))?"
)
_DOTTED = re.compile(r"\b(\d\d)\.(\d\d)\.(\d\d)\b")
_WORD = re.compile(r"[^\W\d_]{3,12}")
_NUMBER = re.compile(r"\d{1,4}")
_MONTHS = {
    "Jan": "jan jän ene gen sty", "Feb": "feb fév fev lut", "Mar": "mar mär mrz mrt maa", "Apr": "apr avr abr kwi",
    "May": "may mai mei mag maj", "Jun": "jun juin giu cze", "Jul": "jul juil lug lip", "Aug": "aug aoû ago sie",
    "Sep": "sep set wrz", "Oct": "oct okt ott out paź", "Nov": "nov lis", "Dec": "dec dez déc dic gru",
}  # fmt: skip
_MONTH_OF = {begin: name for name, begins in _MONTHS.items() for begin in begins.split()}
_NAMES = tuple(_MONTHS)


def time_of(stamp: str, stamps: Stamps) -> datetime | None:
    """Return the time that `stamp` names, in UTC, or None where it names none that can be known."""
    if _SECONDS.fullmatch(stamp):
        return since_1970(float(stamp))
    spelt = _spelt(_NAMED_ZONE.sub("", stamp))  # Java names the zone behind its shift
    return stamps.read(spelt.encode("ascii", "replace")) if spelt else None


def _spelt(stamp: str) -> str | None:
    """Return `stamp` as Stamps reads it, or None where it names no day and time of day."""
    if _ISO.fullmatch(stamp):
        return stamp.replace(" +", "+").replace(" -", "-").replace(" Z", "Z")
    if run_together := _RUN_TOGETHER.fullmatch(stamp):
        year, month, day, hour, minute, second, zone = run_together.groups()
        return f"{year}/{month}/{day} {hour}:{minute}:{second}{zone}"
    if klog := _KLOG.fullmatch(stamp):
        return _year_less(_NAMES[int(klog[1]) % 12 - 1], klog[2].lstrip("0"), klog[3])
    if numbers := _YEAR_FIRST.fullmatch(stamp):
        return _with_clock(f"{numbers[1]}/{numbers[3]:0>2}/{numbers[4]:0>2}", numbers[5])
    if numbers := _YEAR_LAST.fullmatch(stamp):
        one, mark, other, year, clock = numbers.groups()
        if len(year) == len("26") and mark != ".":
            return None  # any of the three may be the year
        # Between dots the day comes first; else another date of the log has to tell.
        mark = "." if mark == "." else "/"
        return _with_clock(f"{one}{mark}{other}{mark}{year if len(year) > len('26') else f'20{year}'}", clock)
    months = [month for word in _WORD.findall(stamp) if (month := _month_of(word))]
    # A weekday may be called like a month (`mar.`), and stands before it.
    return _with_month(stamp, months[-1]) if months else None


def _month_of(word: str) -> str | None:
    return _MONTH_OF.get(word[:4].lower()) or _MONTH_OF.get(word[:3].lower())


def _with_clock(day: str, said: str) -> str | None:
    clock = _CLOCK.fullmatch(_DOTTED.sub(r"\1:\2:\3", said))
    if clock is None:
        return None
    return f"{day} {clock['clock']}{clock['second'] or ':00'}{_half(clock['half'])}{clock['zone'] or ''}"


def _with_month(stamp: str, month: str) -> str | None:
    clock = _CLOCK.search(stamp)
    if clock is None:
        return None
    numbers = _NUMBER.findall(f"{stamp[: clock.start()]} {stamp[clock.end() :]}")
    days = [number for number in numbers if len(number) <= 2]
    years = [number for number in numbers if len(number) == 4]
    if len(days) != 1 or len(years) > 1:
        return None
    time = f"{clock['clock']}{clock['second'] or ':00'}"
    if not years:
        return _year_less(month, days[0], time)
    return f"{days[0]} {month} {years[0]} {time}{_half(clock['half'])}{clock['zone'] or ''}"


def _year_less(month: str, day: str, time: str) -> str:
    return f"{month} {day:>2} {time:>8}"


def _half(of_day: str | None) -> str:
    return of_day.replace(" ", "").replace(".", "") if of_day else ""
