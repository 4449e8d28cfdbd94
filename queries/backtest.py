"""
Ask a detection over the history of a lake as the service would have asked it, without writing anything.

At each step the lake is shown as it was then, by the times of its rows: what had not happened yet is not there, for the
detection and for what ends its findings. Steps are half a window apart and a day at most, so what opens may be so much
later here than the service would have said it. When a row came, rather than what time it tells, is not replayed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

import duckdb

from pipeline.errors import DetectionError
from pipeline.lake import Lake
from pipeline.lake.tables import TABLES, TIME_KEPT
from pipeline.model import TIME, Window
from queries.ask import ask
from queries.detect import endings
from queries.detection import Detection
from queries.finding import Finding
from queries.history import Noted, entries, noted_of, over_entries
from queries.parsed import views

LONGEST_STEP = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


@dataclass(slots=True)
class Episode:
    """One problem as it would have been said: from the step at which it opened to its end, if it has one."""

    opened_at: datetime
    about: Mapping[str, Any]
    first_seen: datetime
    last_seen: datetime
    facts: Mapping[str, Any]
    over_at: datetime | None = None
    because: str = ""

    @property
    def day(self) -> date:
        """The day to which the step that opened it belongs."""
        return (self.opened_at - _INSTANT).date()


@dataclass(slots=True)
class _Replay:
    """What is known at one step: the latest word on each problem, and its episodes so far."""

    detection: Detection
    latest: dict[str, Noted] = field(default_factory=dict)
    episodes: dict[tuple[str, datetime], Episode] = field(default_factory=dict)

    def note(self, rows: Sequence[Mapping[str, Any]], at: datetime) -> None:
        """Take in what a step adds to the history."""
        for row in rows:
            noted = noted_of(row)
            before = self.latest.get(noted.fingerprint)
            ended = noted.over_at or (before.ended_before if before else None)
            self.latest[noted.fingerprint] = replace(noted, ended_before=ended)
            about = {name: noted.facts.get(name) for name in self.detection.about}
            episode = self.episodes.setdefault(
                (noted.fingerprint, noted.episode),
                Episode(at, about, noted.first_seen, noted.last_seen, noted.facts),
            )
            episode.first_seen, episode.last_seen, episode.facts = noted.first_seen, noted.last_seen, noted.facts
            episode.over_at, episode.because = noted.over_at, noted.because

    def seen_again(self, found: Sequence[Finding]) -> list[Noted]:
        """Return what is open and has newer evidence in `found`: it may have been over in between."""
        newest = {finding.fingerprint: finding.last_seen for finding in found}
        return [each for each in self.open_now() if newest.get(each.fingerprint, each.last_seen) > each.last_seen]

    def open_now(self) -> list[Noted]:
        return [each for each in self.latest.values() if each.is_open]


def backtest(lake: Lake, detection: Detection, span: Window) -> list[Episode]:
    """Return what `detection` would have opened in `span`, in that order; nothing is written."""
    replay = _Replay(detection)
    try:
        with _as_it_was(lake):
            for at in _steps_to_ask(lake, detection, span):
                _show(lake, at)
                found = ask(lake.connection, detection, Window(at - detection.window, at))
                if again := replay.seen_again(found):
                    _end(lake, replay, again, at - step_of(detection))
                replay.note(entries(list(replay.latest.values()), found, detection.window, at), at)
            _end(lake, replay, replay.open_now(), span.end)
    except duckdb.Error as error:
        raise DetectionError(f"{detection.id} failed: {error}") from error
    return sorted(replay.episodes.values(), key=lambda each: (each.opened_at, each.first_seen, str(each.about)))


def by_day(span: Window, episodes: Sequence[Episode]) -> list[tuple[date, int]]:
    """Return how many of `episodes` opened on each day of `span`."""
    opened = Counter(each.day for each in episodes)
    days = ((span.end - _INSTANT).date() - span.start.date()).days + 1
    return [(day, opened[day]) for day in (span.start.date() + timedelta(days=number) for number in range(days))]


def missing_from(episodes: Sequence[Episode], others: Sequence[Episode]) -> list[Episode]:
    """Return those of `episodes` of which `others` has none about the same thing at the same time."""
    return [each for each in episodes if not any(_is_same(each, other) for other in others)]


def with_params(detection: Detection, given: Mapping[str, str]) -> Detection:
    """Return `detection` with parameters as `given` on a command line; raise DetectionError for one that it lacks."""
    unknown = given.keys() - detection.params.keys()
    if unknown:
        there_is = ", ".join(detection.params) or "none"
        raise DetectionError(f"{detection.id} has no parameter {', '.join(sorted(unknown))}; there is {there_is}")
    values = {name: _typed(name, text, detection.params[name]) for name, text in given.items()}
    return replace(detection, params={**detection.params, **values})


def step_of(detection: Detection) -> timedelta:
    """Return how far apart the moments are at which a backtest asks `detection`."""
    return min(detection.window / 2, LONGEST_STEP)


def _steps_to_ask(lake: Lake, detection: Detection, span: Window) -> Iterator[datetime]:
    """Yield the moments at which there is anything to ask: with new rows, or at each one if it looks for absence."""
    step = step_of(detection)
    first = (span.start - _EPOCH) // step
    every = [_EPOCH + step * number for number in range(first + 1, -((_EPOCH - span.end) // step))]
    steps = [at for at in every if at < span.end] + [span.end]
    if not detection.complete:
        touched = _touched(lake, detection, Window(span.start, span.end))
        steps = [at for at in steps if (at - _INSTANT - _EPOCH) // step in touched]
    if not detection.fires_for_one:
        yield from steps
        return
    for _, group in groupby(steps, key=lambda at: (at - _INSTANT).date()):
        day = list(group)  # where one event is enough, a day in which nothing is found holds no step that finds
        _show(lake, day[-1])
        if ask(lake.connection, detection, Window(day[0] - detection.window, day[-1])):
            yield from day


def _touched(lake: Lake, detection: Detection, span: Window) -> set[int]:
    """Return the numbers of the steps in `span` into which rows fall."""
    seconds = step_of(detection).total_seconds()
    numbers: set[int] = set()
    for table in set(detection.reads) & set(TIME_KEPT):
        time = TIME_KEPT[table]
        bucket = f"CAST(floor(epoch(CAST({time} AS TIMESTAMPTZ)) / {seconds}) AS BIGINT)"
        start, end = (f"CAST(? AS {'TIMESTAMPTZ' if _is_moment(table) else 'DATE'})" for _ in range(2))
        where = f"{time} >= {start} AND {time} {'<' if _is_moment(table) else '<='} {end}"
        rows = lake.connection.execute(
            f"SELECT DISTINCT {bucket} FROM lake.main.{table} WHERE {where}", [span.start, span.end]
        ).fetchall()
        numbers |= {int(number) for (number,) in rows}
    return numbers


def _end(lake: Lake, replay: _Replay, open_now: Sequence[Noted], at: datetime) -> None:
    _show(lake, at)
    replay.note(over_entries(open_now, endings(lake, replay.detection, open_now), at), at)


@contextmanager
def _as_it_was(lake: Lake) -> Iterator[None]:
    """Put views before the tables that show the lake as it was at the moment that `_show` sets."""
    made = []
    try:
        for name, sql in {**{table: _past_of(table) for table in TABLES}, **views()}.items():
            lake.connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {sql}")
            made.append(name)
        yield
    finally:
        for name in reversed(made):
            lake.connection.execute(f"DROP VIEW IF EXISTS temp.{name}")


def _show(lake: Lake, at: datetime) -> None:
    lake.connection.execute(f"SET VARIABLE as_of = TIMESTAMPTZ '{at.isoformat()}'")


def _past_of(table: str) -> str:
    past = "getvariable('as_of')"
    if table == "feeds":  # it says how far things are, and so far they cannot have been yet
        far = ", ".join(f"least({name}, {past}) AS {name}" for name in ("newest_at", "complete_until"))
        return f"SELECT * REPLACE ({far}) FROM lake.main.feeds"
    if table not in TIME_KEPT:
        return f"SELECT * FROM lake.main.{table}"
    until = f"< {past}" if _is_moment(table) else f"<= CAST({past} AS DATE)"
    return f"SELECT * FROM lake.main.{table} WHERE {TIME_KEPT[table]} {until}"


def _is_moment(table: str) -> bool:
    return bool(TABLES[table].field(TIME_KEPT[table]).type == TIME)


def _is_same(one: Episode, other: Episode) -> bool:
    is_apart = one.last_seen < other.first_seen or other.last_seen < one.first_seen
    return one.about == other.about and not is_apart


def _typed(name: str, text: str, usual: Any) -> Any:
    match usual:
        case bool():
            return text.lower() in {"1", "true", "yes"}
        case list():
            return [each.strip() for each in text.split(",") if each.strip()]
        case int() | float():
            try:
                return type(usual)(text)
            except ValueError:
                raise DetectionError(f"{name} should be a number such as {usual}, and {text!r} is none") from None
    return text
