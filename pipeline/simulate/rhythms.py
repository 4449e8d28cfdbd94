"""
When a device wants to send, and how much it says when it does not.

Each rhythm draws the moments of one local day, and tells for the same day how surprising silence would be to somebody
who knows the rhythm: a list of (due, by, nats). What was due after the last mail and has not come by then is worth so
many nats, a nat being one factor of e in probability. Silence of 7 nats happens once in 1,100 times by chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from pipeline.simulate.calendar import is_workday, last_day, workday_from
from pipeline.simulate.dice import Dice
from pipeline.simulate.moments import HOUR, MINUTE, local, midnight

Due = tuple[int, int, float]

CERTAIN = 50.0
"""Nats of a run that never fails to come, sooner or later on its day."""

_HOURS = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
_BUSY = (3, 8, 11, 12, 10, 4, 8, 11, 10, 7, 3)


@dataclass(frozen=True, slots=True)
class Office:
    """The part of a site that a rhythm needs to know."""

    region: str
    zone: ZoneInfo
    closes: bool

    def works(self, day: date) -> bool:
        """Return whether `day` is worked here."""
        return is_workday(day, self.region, closes=self.closes)


class Rhythm(Protocol):
    """What all rhythms can tell."""

    @property
    def words(self) -> str:
        """The rhythm in words."""

    @property
    def is_irregular(self) -> bool:
        """Whether no silence of it ever proves anything."""

    def wants(self, day: date, office: Office, dice: Dice) -> list[int]:
        """Return the moments of `day` at which a mail is wanted, in order."""

    def silence(self, day: date, office: Office) -> list[Due]:
        """Return what is due on `day`, by when silence says so, and how loudly."""


@dataclass(frozen=True, slots=True)
class People:
    """Mail that people cause by hand: on working days, with a dip at noon, some days many and some days none."""

    rate: float
    evenness: float
    weekend: float
    growth: float  # per 30 days, as a factor
    since: int
    is_irregular: bool = False

    @property
    def words(self) -> str:
        """The rhythm in words."""
        return f"people, about {self.rate:.1f} a working day"

    def _mean(self, day: date, office: Office) -> float:
        grown: float = self.rate * self.growth ** ((midnight(day) - self.since) / (30 * 24 * HOUR))
        return min(grown, 4 * self.rate + 1) * (1.0 if office.works(day) else self.weekend)

    def wants(self, day: date, office: Office, dice: Dice) -> list[int]:
        """Return the moments of `day` at which a mail is wanted, in order."""
        mean = self._mean(day, office)
        if mean <= 0:
            return []
        count = dice.poisson(mean * dice.gammavariate(self.evenness, 1 / self.evenness))
        hours = dice.choices(_HOURS, _BUSY, k=count)
        return sorted(local(day, hour + dice.random(), office.zone) for hour in hours)

    def silence(self, day: date, office: Office) -> list[Due]:
        """Return what is due on `day`, by when silence says so, and how loudly."""
        if not office.works(day):
            return []
        nats = self.evenness * math.log1p(self._mean(day, office) / self.evenness)
        return [(local(day, 8, office.zone), local(day, 18, office.zone), nats)]


@dataclass(frozen=True, slots=True)
class Daily:
    """A job that a clock starts: at fixed hours, each day or each working day, and now and then not at all."""

    hours: tuple[float, ...]
    workdays: bool
    jitter: float  # minutes, the usual ones; now and then it takes much longer
    misses: float
    catches_up: bool
    is_irregular: bool = False

    @property
    def words(self) -> str:
        """The rhythm in words."""
        days = "working day" if self.workdays else "day"
        return f"{len(self.hours)} times a {days}" if len(self.hours) > 1 else f"once a {days} at {self.hours[0]:.2f} h"

    def _runs(self, day: date, office: Office) -> tuple[float, ...]:
        return self.hours if not self.workdays or office.works(day) else ()

    def wants(self, day: date, office: Office, dice: Dice) -> list[int]:
        """Return the moments of `day` at which a mail is wanted, in order."""
        found = []
        for hour in self._runs(day, office):
            moment = local(day, hour, office.zone) + _late(self.jitter, dice)
            if not dice.chance(self.misses):
                found.append(moment)
            elif self.catches_up:
                found.append(moment + round(dice.wide(0.5, 8) * HOUR))
        return sorted(found)

    def silence(self, day: date, office: Office) -> list[Due]:
        """Return what is due on `day`, by when silence says so, and how loudly."""
        nats = CERTAIN if self.catches_up else -math.log(max(self.misses, 1e-9))
        slack = round((9 if self.catches_up else 3) * HOUR)
        times = [local(day, hour, office.zone) for hour in self._runs(day, office)]
        return [(moment, moment + slack, nats) for moment in times]


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job of certain days only: a day of the week, or of the month; a run that was missed is caught up with."""

    rule: str
    hour: float
    jitter: float
    misses: float
    is_irregular: bool = False

    @property
    def words(self) -> str:
        """The rhythm in words."""
        return f"{self.rule} at {self.hour:.2f} h"

    def falls_on(self, day: date, office: Office) -> bool:
        """Return whether `day` is one of its days."""
        match self.rule.split():
            case ["each", weekday]:
                return day.strftime("%A") == weekday
            case ["day", number]:
                return day.day == min(int(number), last_day(day.year, day.month).day)
            case ["last", "working", "day"]:
                last = workday_from(last_day(day.year, day.month), office.region, closes=office.closes, step=-1)
                return day == last
            case ["first", "working", "day"]:
                return day == workday_from(day.replace(day=1), office.region, closes=office.closes)
            case ["first", weekday]:
                return day.day <= 7 and day.strftime("%A") == weekday
        return False

    def wants(self, day: date, office: Office, dice: Dice) -> list[int]:
        """Return the moments of `day` at which a mail is wanted, in order."""
        if not self.falls_on(day, office):
            return []
        moment = local(day, self.hour, office.zone) + _late(self.jitter, dice)
        return [moment + (round(dice.wide(0.5, 18) * HOUR) if dice.chance(self.misses) else 0)]

    def silence(self, day: date, office: Office) -> list[Due]:
        """Return what is due on `day`, by when silence says so, and how loudly."""
        if not self.falls_on(day, office):
            return []
        due = local(day, self.hour, office.zone)
        return [(due, due + 20 * HOUR, CERTAIN)]


@dataclass(frozen=True, slots=True)
class Bursts:
    """Alarms: at any hour, one incident brings several mails; some report so rarely that silence proves nothing."""

    incidents: float  # a day
    size: float
    stir: float  # how uneven days are

    @property
    def words(self) -> str:
        """The rhythm in words."""
        return f"alarms, about {self.incidents:.2f} incidents a day of {self.size:.0f} mails"

    @property
    def is_irregular(self) -> bool:
        """Whether no silence of it ever proves anything."""
        return self.incidents < 0.2

    def wants(self, day: date, office: Office, dice: Dice) -> list[int]:
        """Return the moments of `day` at which a mail is wanted, in order."""
        found = []
        for _ in range(dice.poisson(self.incidents * dice.gammavariate(self.stir, 1 / self.stir))):
            moment = local(day, dice.uniform(0, 24), office.zone)
            for _ in range(1 + dice.poisson(self.size - 1)):
                found.append(moment)
                moment += round(dice.expovariate(1 / (7 * MINUTE)))
        return sorted(found)

    def silence(self, day: date, office: Office) -> list[Due]:  # noqa: ARG002 - alarms keep no office hours
        """Return what is due on `day`, by when silence says so, and how loudly."""
        nats = self.stir * math.log1p(self.incidents / self.stir)
        return [(midnight(day), midnight(day + timedelta(days=1)), nats)] if not self.is_irregular else []


def _late(jitter: float, dice: Dice) -> int:
    """Return how late a run is: mostly about `jitter` minutes, sometimes ten times as much."""
    minutes = dice.lognormvariate(math.log(jitter), 0.6) * (dice.wide(2, 10) if dice.chance(0.02) else 1)
    return round(min(minutes, 170) * MINUTE)
