"""
msmtp's own log file: a time stamp, and then the line as msmtp also gives it to syslog.

The stamp is `strftime` as `logfile_time_format` says, and in the sender's language: the default `%b %d %H:%M:%S` gives
`Dez 30 18:32:30` on a German machine. It is read where it names a day and a time of day, whatever stands around them;
of the month's name the first letters tell, in the languages that are spoken around us. Any other leaves its line
without a time: a day alone, or one of which nobody can know which number is the year.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pipeline.lines import Line, RawLine, lines_of, text_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

# A syslog header ends in ": ", one of RFC 5424 begins with <PRI>, and JSON with {: none of them is a stamp.
_LINE = re.compile(
    rb"(?!<)(?:(?P<stamp>[^{\"]{0,63}[^\s:\-{\"]) +)?(?P<message>host=\S+ tls=(?:on|off) auth=(?:on|off) .*)", re.DOTALL
)
_SECONDS = re.compile(r"\d{9,10}")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?")
_RUN_TOGETHER = re.compile(r"(\d{4})(\d\d)(\d\d)[-_T ]?(\d\d):?(\d\d):?(\d\d)(.*)")
_DASHED = re.compile(r"(?P<year>\d{4})-(\d\d)-(\d\d)[ T](.+)|(\d{1,2})-(\d{1,2})-(\d{4})[ T](.+)")
_CLOCK = re.compile(
    r"(?<!\d)(?P<clock>\d{1,2}:\d\d)(?P<second>:\d\d(?:[.,]\d{1,6})?)?(?P<half> ?[AaPp]\.?[Mm]\.?(?![A-Za-z]))?"
    r"(?P<zone> ?(?:[+-]\d\d:?\d\d|[A-Z]{1,5}\b))?"
)
_WORD = re.compile(r"[^\W\d_]{3,12}")
_NUMBER = re.compile(r"\d{1,4}")
_MONTHS = {
    "Jan": "jan jän ene gen", "Feb": "feb fév fev", "Mar": "mar mär mrz mrt maa", "Apr": "apr avr abr",
    "May": "may mai mei mag", "Jun": "jun juin giu", "Jul": "jul juil lug", "Aug": "aug aoû ago",
    "Sep": "sep set", "Oct": "oct okt ott out", "Nov": "nov", "Dec": "dec dez déc dic",
}  # fmt: skip
_MONTH_OF = {begin: name for name, begins in _MONTHS.items() for begin in begins.split()}


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` are msmtp's own."""
    raws = [raw for raw in head.splitlines() if raw.strip()]
    return bool(raws) and 2 * sum(_LINE.fullmatch(raw) is not None for raw in raws) >= len(raws)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`."""
    last = memory.get("last")
    stamps = Stamps(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None, memory.get("day_first"))
    for raw in lines_of(chunk):
        yield _record(raw, stamps)
    if stamps.last and chunk.zone is not UTC:
        memory["last"] = stamps.last.isoformat()
    if stamps.is_day_first is not None:
        memory["day_first"] = stamps.is_day_first


def _record(raw: RawLine, stamps: Stamps) -> Line | Reject | None:
    if not raw.raw.strip():
        return None
    if long := too_long(raw):
        return long
    match = _LINE.fullmatch(raw.raw)
    if match is None:
        why = "is no line of msmtp's log" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    time = _time(text_of((match["stamp"] or b"").strip(b"[]()'")), stamps)
    return Line(time, None, b"msmtp", b"", match["message"], raw.raw, raw.offset, raw.is_ended)


def _time(stamp: str, stamps: Stamps) -> datetime | None:
    if _SECONDS.fullmatch(stamp):
        return datetime.fromtimestamp(int(stamp), UTC)
    spelt = _spelt(stamp)
    return stamps.read(spelt.encode()) if spelt else None


def _spelt(stamp: str) -> str | None:
    """Return `stamp` as Stamps reads it, or None where it names no day and time of day."""
    if _ISO.fullmatch(stamp):
        return stamp.replace(" +", "+").replace(" -", "-").replace(" Z", "Z")
    if run_together := _RUN_TOGETHER.fullmatch(stamp):
        year, month, day, hour, minute, second, zone = run_together.groups()
        return f"{year}/{month}/{day} {hour}:{minute}:{second}{zone}"
    if dashed := _DASHED.fullmatch(stamp):
        *day_of, clock = (part for part in dashed.groups()[0 if dashed["year"] else 4 :] if part)
        return f"{'/'.join(day_of)} {clock}"
    months = [month for word in _WORD.findall(stamp) if (month := _month_of(word))]
    # A weekday may be called like a month (`mar.`), and stands before it.
    return _with_month(stamp, months[-1]) if months else stamp if _CLOCK.search(stamp) else None


def _month_of(word: str) -> str | None:
    return _MONTH_OF.get(word[:4].lower()) or _MONTH_OF.get(word[:3].lower())


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
        return f"{month} {days[0]:>2} {time:>8}"
    return f"{days[0]} {month} {years[0]} {time}{clock['half'] or ''}{clock['zone'] or ''}"
