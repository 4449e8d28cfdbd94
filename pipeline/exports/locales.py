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
_LONGEST_DATE = 80
_COUNT = re.compile(r"[0-9]{1,10}|[0-9]{1,3}(?P<mark>[.,'’ \u00a0\u2009\u202f])[0-9]{3}(?:(?P=mark)[0-9]{3}){0,2}")
_ZERO_FRACTION = re.compile(r"[.,]0{1,2}\Z")
_CLOCK = (
    r"(?:(?:T|,? )(?P<hour>\d\d?)(?P<colon>[:.])(?P<minute>\d\d)"
    r"(?:(?P=colon)(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r" ?(?P<half>[AP]\.? ?M\.?)? ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?)?"
)
_DATE = re.compile(
    r"(?:(?P<year>\d{4})(?P<mark>[-/.])(?:(?<=\.) )?(?P<month>\d\d?)(?P=mark)(?:(?<=\.) )?(?P<day>\d\d?)"
    r"|(?P<one>\d\d?)(?P<sign>[-/.])(?:(?<=\.) )?(?P<two>\d\d?)(?P=sign)(?:(?<=\.) )?(?P<last>\d{4}))\.?" + _CLOCK,
    re.ASCII | re.IGNORECASE,
)
_WORD = "[a-zà-ÿ]"
_NAMED = re.compile(
    rf"(?:{_WORD}{{2,12}}\.?,? )?(?:(?P<before>{_WORD}{{3,10}})\.? (?P<one>\d\d?)"
    rf"|(?P<two>\d\d?)\.?[ -](?:de )?(?P<behind>{_WORD}{{3,10}})\.?),?[ -](?:de )?(?P<year>\d{{4}})" + _CLOCK,
    re.ASCII | re.IGNORECASE,
)
_MONTHS = {
    name: number
    for names in (
        "jan feb mar apr may jun jul aug sep oct nov dec",
        "january february march april may june july august september october november december",
        "januar februar märz april mai juni juli august september oktober november dezember",
        "jan feb mär apr mai jun jul aug sept okt nov dez",
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "janv févr mars avr mai juin juil août sept oct nov déc",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "ene feb mar abr may jun jul ago sept oct nov dic",
    )
    for number, name in enumerate(names.split(), start=1)
}
_ZONE = re.compile(
    r"[(\[]\s*+(?:UTC|GMT)\s*+(?:(?P<sign>[+\-\u2212\u2013])\s*+(?P<hours>\d\d?)(?::?(?P<minutes>\d\d))?)?+\s*+[)\]]",
    re.ASCII | re.IGNORECASE,
)
_LOCAL = re.compile(r"[(\[]\s*+local(?:\s++time)?+\s*+[)\]]", re.ASCII | re.IGNORECASE)

_NO_MARKS = {0x200E: None, 0x200F: None}


class DayOrder(StrEnum):
    """Which number comes first in a date that does not begin with its year; UNKNOWN where nothing in a file tells."""

    MONTH_FIRST = "m/d/y"
    DAY_FIRST = "d.m.y"
    UNKNOWN = "either m/d/y or d/m/y"


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
    match = _ZONE.search(header) or _LOCAL.search(header)
    return header[: match.start()] if match else header


def is_local(header: str) -> bool:
    """Return whether the header of a column says that its times are those of the reader, as in "[Local Time]"."""
    return _LOCAL.search(header) is not None


def day_order_of(texts: Iterable[str], as_of: datetime) -> DayOrder:
    """
    Return the order of day and month in which a file writes its dates, decided once from all of them.

    A number above 12 decides (the majority, where a file contradicts itself); otherwise dots and dashes mean d.m.y, and
    so does a day without a zero before a month with one (5/06/2026), which no country writes the other way round. Of
    what is left, the reading with fewer dates after `as_of` is taken; then AM or PM in capitals means m/d/y, and
    without it the reading in which all dates lie closer together. Where even that tells nothing the order is unknown:
    a time that is a month wrong does more harm than one that is missing.
    """
    pairs: set[tuple[int, int, int]] = set()
    found = pointed = halves = half_padded = 0
    for text in texts:
        match = _match(text)
        if match and match.re is _DATE and match["one"]:
            pairs.add((int(match["one"]), int(match["two"]), int(match["last"])))
            found += 1
            pointed += match["sign"] != "/"
            halves += match["half"] in {"AM", "PM"}
            half_padded += len(match["one"]) == 1 and match["two"][0] == "0"
    day_first = sum(one > 12 for one, _two, _year in pairs)
    month_first = sum(two > 12 for _one, two, _year in pairs)
    if day_first != month_first:
        return DayOrder.DAY_FIRST if day_first > month_first else DayOrder.MONTH_FIRST
    if 2 * pointed > found or 2 * half_padded > found:
        return DayOrder.DAY_FIRST
    readings = {order: _read_all(pairs, order) for order in (DayOrder.MONTH_FIRST, DayOrder.DAY_FIRST)}
    spans = dict.fromkeys(readings, 0) if halves else {order: _span(days) for order, days in readings.items()}
    evidence = {order: (_after(days, as_of), spans[order]) for order, days in readings.items()}
    is_open = len(set(evidence.values())) == 1 and not halves and any(one != two for one, two, _year in pairs)
    return DayOrder.UNKNOWN if is_open else min(evidence, key=evidence.__getitem__)


def moment_of(text: str, order: DayOrder, zone: tzinfo = UTC) -> datetime | None:
    """Return the UTC time that `text` writes, midnight where it names a day only, or None; `zone` is for no zone."""
    match = _match(text)
    if match is None:
        return None
    try:
        return datetime(*_day(match, order), *_time(match), tzinfo=_zone(match["zone"], zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def expected(order: DayOrder) -> str:
    """Return what a reader of dates expects, for the sentence of a reject."""
    if order is DayOrder.UNKNOWN:
        return (
            "expected a date in which day and month can be told apart; no date of this file tells which comes first: "
            "export more days, or dates that begin with the year"
        )
    return f"expected a date and time (read as {order} unless the year comes first)"


def _match(text: str) -> re.Match[str] | None:
    # Browsers write direction marks, and newer locale data a narrow no-break space before PM.
    plain = " ".join((text if text.isascii() else text.translate(_NO_MARKS)).split())
    return _DATE.fullmatch(plain) or (_NAMED.fullmatch(plain) if len(plain) <= _LONGEST_DATE else None)


def _day(match: re.Match[str], order: DayOrder) -> tuple[int, int, int]:
    if match.re is _NAMED:
        month = _MONTHS.get((match["before"] or match["behind"]).lower(), 0)
        return int(match["year"]), month, int(match["one"] or match["two"])
    if match["year"]:
        return int(match["year"]), int(match["month"]), int(match["day"])
    one, two = int(match["one"]), int(match["two"])
    if order is DayOrder.UNKNOWN and one != two:
        raise ValueError(order)
    return (int(match["last"]), two, one) if order is DayOrder.DAY_FIRST else (int(match["last"]), one, two)


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
