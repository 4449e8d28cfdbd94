"""
When each job runs: the jobs, pools and events of APScheduler, turned by a loop of ours and by the clock handed in.

APScheduler's own turn asks the system's clock, walks through missed runs one by one, and drops all but the last without
a word. Here a turn counts what was missed. A run that falls due while the one before it still goes on follows right
after it. When the clock is set back, every due time is set back with it, so each wait stays as long as it was; when it
is set forward, or the machine has slept, what has fallen due meanwhile is run once.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.base import BaseExecutor, MaxInstancesReachedError
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.triggers.interval import IntervalTrigger

from pipeline.clock import Clock

JOB_DEFAULTS: Mapping[str, Any] = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
STEP_S = 3.0
"""What a clock is set by, in seconds, before it is called a step: time servers move it smoothly below that."""

# What a job raises is told by who listens to its end.
logging.getLogger("apscheduler.executors").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Planned:
    """
    A job: what it does and how often, in which pool of threads.

    It first runs `after` the start and up to `spread` later, always by the same share of it, so that jobs that are
    planned alike do not all begin at once.
    """

    name: str
    every: timedelta
    run: Callable[[], object]
    pool: str
    after: timedelta = timedelta(0)
    spread: timedelta = timedelta(0)

    def first(self, start: datetime) -> datetime:
        """Return when the job runs first, if it is planned at `start`."""
        return start + self.after + share_of(self.name) * self.spread


def share_of(name: str) -> float:
    """Return a number from 0 up to 1 that is always the same for `name`, and evenly spread over names."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest()) / 2**32


@dataclass(frozen=True, slots=True)
class Listeners:
    """
    Who hears of what.

    `broke`: a job raised something. `missed`: turns of a job were missed since a time, and it runs now. `goes_on`: a
    run goes on since a time, while turns of it have fallen due. `clock_set`: by how much.
    """

    broke: Callable[[str, BaseException], None]
    missed: Callable[[str, int, datetime], None]
    goes_on: Callable[[str, int, datetime], None]
    clock_set: Callable[[timedelta], None]


@dataclass(slots=True)
class Steps:
    """Watches by how much the clock was set between two looks at it; ticks tell how much time has really passed."""

    clock: Clock
    _last: tuple[datetime, float] = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock.now(), self.clock.ticks()

    def since_last(self) -> timedelta:
        """Return by how much the clock was set since the last call; nothing when it just went on."""
        before, (now, ticks) = self._last, (self.clock.now(), self.clock.ticks())
        self._last = now, ticks
        step = (now - before[0]).total_seconds() - (ticks - before[1])
        return timedelta(seconds=step) if abs(step) > STEP_S else timedelta(0)


class Timetable(BaseScheduler):  # type: ignore[misc]
    """All jobs with their due times; `turn` it about once a second."""

    def __init__(self, clock: Clock, pools: Mapping[str, BaseExecutor], listeners: Listeners) -> None:
        super().__init__(timezone=UTC, job_defaults=dict(JOB_DEFAULTS), executors=dict(pools))
        self._clock = clock
        self._tell = listeners
        self._steps = Steps(clock)
        self._begun: dict[str, datetime] = {}
        self._held_up: set[str] = set()
        self._is_ending = threading.Event()
        self.add_listener(lambda event: listeners.broke(event.job_id, event.exception), EVENT_JOB_ERROR)

    def wakeup(self) -> None:
        """Wait for the next turn: jobs are started nowhere else."""

    def turn(self) -> float:
        """Start each job that is due; return in how many seconds the next one will be."""
        if step := self._steps.since_last():
            self._follow(step)
        now = self._clock.now()
        for job in self.get_jobs():
            if job.next_run_time <= now:
                self._start(job, now)
        waits = ((job.next_run_time - now).total_seconds() for job in self.get_jobs())
        return min((wait for wait in waits if wait > 0), default=60.0)

    def put(self, planned: Planned, now: datetime) -> None:
        """Add a job, or change the one of that name without skipping or doubling a run of it."""
        run = partial(self._run, planned.name, planned.run)
        if (job := self.get_job(planned.name)) is None:
            first = planned.first(now)
            trigger = _every(planned.every, first)
            self.add_job(run, trigger, id=planned.name, name=planned.name, executor=planned.pool, next_run_time=first)
        elif job.trigger.interval == planned.every:
            job.modify(func=run)
        else:
            due = _due_anew(job, planned.every, now)
            job.modify(func=run, trigger=_every(planned.every, due), next_run_time=due)

    def take_out(self, names: Iterable[str]) -> None:
        """Remove jobs; a run of theirs that goes on is not ended."""
        for name in names:
            self.remove_job(name)

    def running(self) -> dict[str, datetime]:
        """Return the jobs that run now, and since when."""
        return dict(self._begun)

    def shutdown(self, wait: bool = False) -> None:
        """Start no more jobs, neither those that are due nor those that wait for a thread."""
        self._is_ending.set()
        super().shutdown(wait=wait)

    def _start(self, job: Any, now: datetime) -> None:
        every = job.trigger.interval
        since = job.next_run_time
        missed = (now - since) // every
        try:
            self._lookup_executor(job.executor).submit_job(job, [since + missed * every])
        except MaxInstancesReachedError:
            self._held_up.add(job.id)
            self._tell.goes_on(job.id, missed + 1, self._begun.get(job.id, since))
            return
        job.modify(next_run_time=since + (missed + 1) * every)
        if missed and job.id not in self._held_up:
            self._tell.missed(job.id, missed, since)
        self._held_up.discard(job.id)

    def _follow(self, step: timedelta) -> None:
        if step < timedelta(0):
            for job in self.get_jobs():
                job.modify(next_run_time=job.next_run_time + step)
        self._tell.clock_set(step)

    def _run(self, name: str, run: Callable[[], object]) -> None:
        if self._is_ending.is_set():
            return
        self._begun[name] = self._clock.now()
        try:
            run()
        finally:
            del self._begun[name]


def _every(interval: timedelta, first: datetime) -> IntervalTrigger:
    return IntervalTrigger(seconds=interval.total_seconds(), start_date=first, timezone=UTC)


def _due_anew(job: Any, every: timedelta, now: datetime) -> datetime:
    """Return when `job` is due with another interval: that long after its last run; before its first, as it was."""
    due: datetime = job.next_run_time
    has_run = due != job.trigger.start_date
    return max(now, due - job.trigger.interval + every) if has_run else due
