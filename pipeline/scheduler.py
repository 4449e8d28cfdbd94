"""
Put the stages on a timetable, one job a source, a detection and the delivery, and run them until asked to stop.

The main thread only turns the timetable, once a second, and never waits for the lake or a network; so it can be trusted
to say whether the service lives. Jobs run in pools of their own kind: delivery never waits behind a slow source.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor as Pool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor

from pipeline.changes import changes_of
from pipeline.clock import Clock
from pipeline.errors import AuthsunsetError, Place, SettingsError
from pipeline.jobs import Books, Entry, words_of
from pipeline.lake import Lake
from pipeline.service import Cycle, Service
from pipeline.settings import Part, Settings, load
from pipeline.signals import RELOAD, Signals
from pipeline.spans import in_words
from pipeline.systemd import Systemd, Watchdog
from pipeline.timetable import Listeners, Planned, Timetable
from pipeline.work import Ran, Say, alert, detect, ingest, maintain, states, verdicts_of

GRACE_S = 8.0
"""How long jobs may go on once the service is asked to stop; it is gone within 10 s."""
TURN_S = 1.0
SHORTEST = timedelta(seconds=1)
LONGEST_SPREAD = timedelta(seconds=30)
THREADS: Mapping[str, int] = {"sources": 4, "detections": 2, "delivery": 1, "maintenance": 1, "heartbeat": 1}
"""The pools; jobs beyond their threads wait for one."""

RELOADED = "reload"
"""The job that says, for as long as it is so, that new settings were not taken over."""
_STATES_EVERY = timedelta(minutes=10)
_LOOK_AT_RELOAD = timedelta(minutes=1)

_ON_DISK = frozenset({"files", "drop_folder"})
_A_MOMENT = timedelta(seconds=2)


@dataclass(slots=True)
class Running:
    """The service on its timetable; `warn` is heard however quiet the screen is."""

    service: Service
    clock: Clock
    say: Say
    warn: Say
    systemd: Systemd
    timetable: Timetable = field(init=False)
    books: Books = field(init=False)
    watchdog: Watchdog = field(init=False)
    _said: dict[str, Sequence[str]] = field(default_factory=dict)
    _missed: dict[str, int] = field(default_factory=dict)
    _status: str = ""
    _refused: str = ""

    def __post_init__(self) -> None:
        pools = {name: ThreadPoolExecutor(threads) for name, threads in THREADS.items()}
        listeners = Listeners(self._broke, self._was_missed, self._goes_on, self._clock_set)
        self.timetable = Timetable(self.clock, pools, listeners)
        self.books = Books(self._lake, self.clock.now, self._say_entry)
        self.watchdog = Watchdog(self.systemd, self.clock.ticks)

    def start(self) -> None:
        """Plan all jobs and start the first; raise SettingsError when the settings of a detection are wrong."""
        self._plan(self.planned(self.service))
        self.timetable.start()
        settings = self.service.settings
        counted = {"sources": settings.sources, "detections": self.service.detections(), "channels": settings.channels}
        self.say("running: " + ", ".join(f"{len(each)} {name}" for name, each in counted.items()))
        self._status = self._state()
        self.systemd.ready(self._status)

    def turn(self) -> float:
        """Start what is due, and tell systemd how it is; return in how many seconds to turn again."""
        wait = self.timetable.turn()
        self._say_missed()
        self.watchdog.look()
        if (state := self._state()) != self._status:
            self._status = state
            self.systemd.status(state)
        return min(TURN_S, wait)

    def reload(self) -> None:
        """Read the settings anew, as at the start; take them over when they are good, and keep the old ones if not."""
        self.systemd.reloading(self.clock.ticks())
        before = self.service
        try:
            after = before.with_settings(_loaded(before.settings.path))
            planned = self.planned(after)
        except SettingsError as error:
            for problem in str(error).splitlines():
                self.warn(problem)
            self.warn("the settings were not taken over; the service goes on with those it has")
            self._refused = _refusal_of(error)
        else:
            self._refused = ""
            rhythm = {job.id: job.trigger.interval for job in self.timetable.get_jobs()}
            changes = changes_of(before.settings, after.settings, rhythm, {job.name: job.every for job in planned})
            self.service = after
            self._plan(planned)
            self.say("settings taken over: " + ("; ".join(changes) or "nothing has changed"))
        self.systemd.ready(self._status)

    def stop(self, signals: Signals) -> list[str]:
        """End what runs, and return what was still running when the time for that was over."""
        running = sorted(self.timetable.running())
        self.say("stopping" + (f", once these have ended: {', '.join(running)}" if running else ""))
        self.systemd.stopping(f"ending {', '.join(running)}" if running else "ending")
        self.service.stop.set()
        self.timetable.shutdown()
        deadline = self.clock.ticks() + GRACE_S
        while self.timetable.running() and self.clock.ticks() < deadline:
            signals.wait(0.05)
        cut_off = sorted(self.timetable.running())
        for name in cut_off:
            self.say(f"{name} was cut off: what it had not finished is done again at the next start")
        if not cut_off:
            self.service.close()
        return cut_off

    def planned(self, service: Service) -> list[Planned]:
        """Return the jobs of `service`; raise SettingsError when the settings of a detection are wrong."""
        settings = service.settings
        jobs = [self._source(service, part) for part in settings.sources.values()]
        jobs += [
            self._job(f"detection {each.id}", each.every, partial(detect, service, each.id, self.say), "detections", 1)
            for each in service.detections()
        ]
        jobs += [
            self._job("states", _STATES_EVERY, partial(states, service, self.say), "detections", 2),
            self._job("delivery", settings.alerts.every, partial(alert, service, self.say), "delivery", 3),
            self._job(
                "maintenance", settings.lake.maintain_every, partial(maintain, service, self.say), "maintenance", 60
            ),
            self._job(RELOADED, _LOOK_AT_RELOAD, lambda: Ran({RELOADED: self._refused}), "detections", 2),
        ]
        if every_s := self.watchdog.every_s:
            jobs.append(Planned("heartbeat", timedelta(seconds=every_s), self.watchdog.beat, "heartbeat"))
        return jobs

    def _lake(self) -> AbstractContextManager[Lake]:
        return self.service.lake()  # of the settings as they are by then

    def _source(self, service: Service, part: Part) -> Planned:
        job = self._job(f"source {part.name}", part.every, partial(ingest, service, part.name, self.say), "sources", 0)
        # Many installations ask the same servers; what reads a disk troubles nobody.
        spread = min(part.every / 10, LONGEST_SPREAD)
        return job if part.kind in _ON_DISK else replace(job, spread=spread)

    def _job(self, name: str, every: timedelta, work: Callable[[], Ran], pool: str, after_s: float) -> Planned:
        run = partial(self._run, name, work)
        return Planned(name, max(every, SHORTEST), run, pool, timedelta(seconds=after_s), _A_MOMENT)

    def _plan(self, planned: Sequence[Planned]) -> None:
        now = self.clock.now()
        names = {job.name for job in planned}
        self.timetable.take_out([job.id for job in self.timetable.get_jobs() if job.id not in names])
        for job in planned:
            self.timetable.put(job, now)
        self.books.only(names | {f"channel {name}" for name in self.service.settings.channels})

    def _run(self, name: str, work: Callable[[], Ran]) -> None:
        try:
            ran = work()
        except AuthsunsetError as error:
            ran = Ran({name: str(error)}, [f"{name}: {error}"])
        self._say_new(name, ran.failures)
        if self.service.stop.is_set():
            return  # what ended early has neither failed nor got through
        self.books.note(ran.verdicts)

    def _say_new(self, name: str, failures: Sequence[str]) -> None:
        """Say what failed; not again what failed in the same way the last time."""
        for failure in dict.fromkeys(failures):
            if failure not in self._said.get(name, ()):
                self._tell_of(name)(failure)
        self._said[name] = failures

    def _say_entry(self, entry: Entry) -> None:
        """Say what goes on; that it began was said by the run itself, and what was missed is said for all at once."""
        if entry.state != "missed" and (entry.state, entry.times) != ("failed", 1):
            self._tell_of(entry.job)(f"{entry.job} {words_of(entry)}")

    def _tell_of(self, job: str) -> Say:
        is_delivery = job == "delivery" or job.startswith("channel ")
        return self.warn if is_delivery and self.service.settings.alerts.undelivered_on_stderr else self.say

    def _broke(self, name: str, error: BaseException) -> None:
        """Note an error that nobody foresaw; its words may hold anything, so only its kind and place are told."""
        what = f"{type(error).__name__} at {_place_of(error)}; this is a mistake in authsunset, please report it"
        self._say_new(name, [f"{name}: {what}"])
        self.books.note({name: what})

    def _was_missed(self, name: str, turns: int, since: datetime) -> None:
        if name != "heartbeat":
            self._missed[name] = turns
            self.books.missed(name, turns, since)

    def _say_missed(self) -> None:
        if self._missed:
            counted = ", ".join(f"{name} ({turns})" for name, turns in sorted(self._missed.items()))
            self.say(f"turns were missed, and each of these runs once now: {counted}")
            self._missed.clear()

    def _goes_on(self, name: str, turns: int, since: datetime) -> None:
        self.books.goes_on(name, turns, since)

    def _clock_set(self, step: timedelta) -> None:
        self.books.clock_set(step)
        if step < timedelta(0):
            self.say(f"the clock was set back by {in_words(step)}; each job keeps its rhythm")
        else:
            self.say(f"the clock was set forward by {in_words(step)}, or the machine slept")

    def _state(self) -> str:
        jobs = len(self.timetable.get_jobs())
        trouble = [f"{each.job} since {each.since:%Y-%m-%d %H:%M} UTC" for each in self.books.open()]
        return f"{jobs} jobs; in trouble: {', '.join(trouble)}" if trouble else f"{jobs} jobs, all well"


def run_until_stopped(running: Running, signals: Signals) -> list[str]:
    """Run until a signal asks to stop; return what had to be cut off."""
    running.start()
    while not signals.stop:
        asked = signals.wait(max(0.01, running.turn()))
        if asked is not None and asked == RELOAD:
            running.reload()
    return running.stop(signals)


def run_once(service: Service, clock: Clock, signals: Signals) -> Cycle | None:
    """Run one cycle, ended early when a signal asks to; return None when it had to be cut off."""
    running = Pool(1).submit(_cycle, service, clock)
    running.add_done_callback(lambda _: signals.wake())
    deadline = None
    while not running.done():
        signals.wait(TURN_S)
        if signals.stop and deadline is None:
            service.stop.set()
            deadline = clock.ticks() + GRACE_S
        if deadline is not None and clock.ticks() >= deadline:
            return None
    return running.result()


def _cycle(service: Service, clock: Clock) -> Cycle:
    with service.lake() as lake:
        cycle = service.cycle(lake)
        if not service.stop.is_set():
            _note(service, cycle, Books(lambda: nullcontext(lake), clock.now, lambda _: None))
    return cycle


def _note(service: Service, cycle: Cycle, books: Books) -> None:
    names = [
        *(f"source {name}" for name in service.settings.sources),
        *(f"detection {each.id}" for each in service.detections()),
        *("states", "delivery", "maintenance"),
        *(f"channel {name}" for name in service.settings.channels),
    ]
    books.only([*names, RELOADED])  # of which a service beside us may have written
    books.note(verdicts_of(cycle, names))


def _loaded(path: Path) -> Settings:
    """Return the settings in `path` as at the start; an empty file is one that is just being written."""
    settings = load(path)
    if not any(line.strip() for line in settings.lines):
        raise SettingsError("is empty; if it was just being written, ask again", place=Place(path))
    return settings


def _refusal_of(error: SettingsError) -> str:
    """Return why settings were not taken over, as one sentence with its first problem."""
    first, *others = str(error).splitlines()
    more = f"; and {len(others)} more, which `authsunset config check` lists" if others else ""
    return f"new settings were not taken over, the old ones count: {first}{more}; correct that and reload again"


def _place_of(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
