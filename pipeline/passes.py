"""
When a stretch of time has to be asked for again: rows of a cloud service come late, and change.

A feed is read in passes. The first takes what is new; each further one reads the same stretch again at a greater age,
because a row may appear hours after its time and a status may change for days. A pass is nothing but the moment up to
which everything was read at its age, so a stretch that is read late, after days of downtime, counts for every pass
whose age it has reached, and is not read eight times. All of it is pure: moments in, spans out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.model import Window

HOUR = timedelta(hours=1)
AGES = (
    timedelta(minutes=10),
    timedelta(minutes=30),
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    24 * HOUR,
    48 * HOUR,
    timedelta(days=7),
)
"""How old a stretch is each time it is read: Microsoft shows most traces within ten minutes, and promises a day."""

SHORTEST_LAG = AGES[1]
"""Rows are taken to be this late at least, until later ones were seen."""
LAG_KEPT_DAYS = 14


@dataclass(frozen=True, slots=True)
class Passes:
    """
    `read_until[i]` is the moment before which everything was read at `ages[i]` or older; none is before the next one.

    `lags` holds how late the latest row was of those that came late, by the day on which it came.
    """

    read_until: tuple[datetime, ...]
    ages: tuple[timedelta, ...] = AGES
    lags: tuple[tuple[str, float], ...] = ()

    @classmethod
    def beginning(cls, start: datetime, ages: Sequence[timedelta] = AGES) -> Passes:
        """Return passes that have read nothing since `start`."""
        return cls((start,) * len(ages), tuple(ages))

    @classmethod
    def of(cls, values: Mapping[str, object], ages: Sequence[timedelta] = AGES) -> Passes:
        """Return the passes that `values` of a position hold; a program with other ages goes on from the nearest."""
        until = [datetime.fromisoformat(str(each)) for each in _listed(values.get("read_until"))]
        until += [until[-1]] * (len(ages) - len(until))
        lags = tuple((str(day), float(seconds)) for day, seconds in _pairs(values.get("lags")))
        return cls(tuple(until[: len(ages)]), tuple(ages), lags)

    def as_json(self) -> dict[str, object]:
        """Return all of it as JSON values."""
        return {
            "read_until": [each.isoformat() for each in self.read_until],
            "lags": [list(each) for each in self.lags],
        }

    def due(self, now: datetime, at_least: timedelta) -> Window | None:
        """
        Return the span to read next, oldest moment first, or None when nothing is due.

        What is new comes first; a pass is due when a quarter of its age has gathered, so a row is read again no more
        than once a pass and no later than a quarter too late.
        """
        for index, age in enumerate(self.ages):
            end = min(_whole_second(now - age), self.read_until[0] if index else now)
            start = self.read_until[index]
            if end - start >= (age / 4 if index else at_least):
                return Window(start, end)
        return None

    def after(self, read: Window, asked_at: datetime) -> Passes:
        """Return the passes once everything in `read` was read, by requests sent from `asked_at` on."""
        until = [
            max(before, min(read.end, _whole_second(asked_at - age))) if before >= read.start else before
            for before, age in zip(self.read_until, self.ages, strict=True)
        ]
        return replace(self, read_until=tuple(until))

    def beyond(self, moment: datetime) -> Passes:
        """Return the passes as if everything before `moment` had been read at every age."""
        return replace(self, read_until=tuple(max(each, moment) for each in self.read_until))

    def stepping_over(self, window: Window) -> Passes:
        """Return the passes that stood in `window` behind it; those before it still have it to read."""
        return replace(self, read_until=tuple(window.end if each in window else each for each in self.read_until))

    def lag_of(self, moment: datetime, asked_at: datetime) -> timedelta:
        """
        Return how late a row of `moment` is that was not there when `moment` was read before.

        It came between the last pass over it and `asked_at`, which after days of downtime says little; so it is taken
        to have come when the next pass would have been.
        """
        passed = sum(moment < until for until in self.read_until)
        return min(asked_at - moment, self.ages[min(passed, len(self.ages) - 1)])

    def with_lag(self, lag: timedelta, now: datetime) -> Passes:
        """Return the passes after a row has come `lag` late."""
        today = now.date().isoformat()
        kept = {day: lag for day, lag in self.lags if day > (now - timedelta(days=LAG_KEPT_DAYS)).date().isoformat()}
        kept[today] = max(kept.get(today, 0.0), lag.total_seconds())
        return replace(self, lags=tuple(sorted(kept.items())))

    @property
    def lag(self) -> timedelta:
        """How late rows have to be expected."""
        return max(SHORTEST_LAG, *(timedelta(seconds=seconds) for _, seconds in self.lags), timedelta(0))

    @property
    def complete_until(self) -> datetime:
        """The moment before which no row is still to come, as far as the lateness of the last days tells."""
        enough = [until for until, age in zip(self.read_until, self.ages, strict=True) if age >= self.lag]
        return enough[0] if enough else self.read_until[-1]


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _pairs(value: object) -> list[tuple[object, float]]:
    return [(each[0], each[1]) for each in _listed(value) if isinstance(each, list)]
