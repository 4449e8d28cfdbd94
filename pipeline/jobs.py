"""
What the books say of our own jobs: which fails, goes on for too long, was missed, or gets through again, since when.

A row is written when such a thing begins, when it ends, and in between ever more rarely, so that a job of ten seconds
that fails for a day leaves a dozen rows. The books outlive the process: what failed before a restart goes on failing
since then, or is over with the first run that gets through. While the lake itself is what fails, rows wait here.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.clock import Now
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.spans import in_words

FAILED, OVERRUNNING, MISSED, RECOVERED = "failed", "overrunning", "missed", "recovered"
OFTEN = 3
LONG = timedelta(minutes=5)
"""A run that goes on for longer, while it is due again, is noted."""
LATE = timedelta(minutes=1)
"""A missed turn that was later than this is noted."""

_MINUTE = timedelta(minutes=1)
_RUNGS = (_MINUTE, LONG, 15 * _MINUTE, 60 * _MINUTE, 240 * _MINUTE, 720 * _MINUTE)
_DAY = timedelta(days=1)
_GONE = "it is no longer in the settings"
_NEWEST = """
SELECT job, max_by(state, noted_at) AS state, max_by(since, noted_at) AS since, max(noted_at) AS noted_at,
  max_by(times, noted_at) AS times, max_by(error, noted_at) AS error
FROM jobs
GROUP BY job
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the books: what became of a job, since when, as of when, how many times, and why."""

    job: str
    state: str
    since: datetime
    noted_at: datetime
    times: int
    error: str

    @property
    def lasted(self) -> timedelta:
        """How long it has gone on."""
        return self.noted_at - self.since


def after_failure(before: Entry | None, job: str, error: str, now: datetime) -> Entry:
    """Return what is to be said of `job` once it has failed again, or for the first time."""
    if before is None or before.state != FAILED:
        return Entry(job, FAILED, now, now, 1, error)
    return replace(before, noted_at=now, times=before.times + 1, error=error)


def is_news(entry: Entry, noted: Entry | None) -> bool:
    """Tell whether `entry` deserves a row after `noted`: at first, at the third time, then ever more rarely."""
    if noted is None or noted.state != entry.state:
        return True
    return noted.times < OFTEN <= entry.times or _rung(entry.lasted) > _rung(noted.lasted)


def _rung(lasted: timedelta) -> int:
    return bisect_right(_RUNGS, lasted) + max(0, lasted // _DAY)


def words_of(entry: Entry) -> str:
    """Return `entry` as a sentence for people, without the name of its job."""
    lasted = in_words(entry.lasted)
    match entry.state:
        case "failed" if entry.times == 1:
            return entry.error
        case "failed":
            return f"has failed {entry.times} times in {lasted}: {entry.error}"
        case "overrunning":
            return f"has been running for {lasted}; {_turns(entry.times)} for its end"
        case "missed":
            return f"is late by {lasted} and runs now; turns left out: {entry.times}"
        case _:
            return f"is all right again after {lasted}" + (f": {entry.error}" if entry.error == _GONE else "")


def _turns(count: int) -> str:
    return "1 turn waits" if count == 1 else f"{count} turns wait"


@dataclass(slots=True)
class Books:
    """
    Keeps what is open of each job, and writes it into the lake; `say` hears of each row, with the job it is about.

    Only `note` waits for the lake; the others may be called by what must never wait.
    """

    lake: Callable[[], AbstractContextManager[Lake]]
    now: Now
    say: Callable[[Entry], None]
    _open: dict[str, Entry] = field(default_factory=dict)
    _noted: dict[str, Entry] = field(default_factory=dict)
    _last_at: dict[str, datetime] = field(default_factory=dict)
    _names: frozenset[str] | None = None
    _waiting: list[Entry] = field(default_factory=list)
    _is_read: bool = False
    _trouble: str = ""
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def note(self, verdicts: Mapping[str, str]) -> None:
        """Note how a run ended for each job in `verdicts`: the error, or '' where it got through."""
        self._read_once()
        with self._lock:
            for job, error in verdicts.items():
                if self._names is not None and job not in self._names:
                    continue  # taken out of the settings while it ran
                if error:
                    self._go_on(after_failure(self._open.get(job), job, error, self.now()))
                else:
                    self._end(job)
        self._write()

    def goes_on(self, job: str, turns: int, since: datetime) -> None:
        """Note that a run of `job` still goes on since `since`, while `turns` of it have fallen due."""
        now = self.now()
        if now - since >= LONG:
            with self._lock:
                self._go_on(Entry(job, OVERRUNNING, since, now, turns, "its run does not come to an end"))

    def missed(self, job: str, turns: int, since: datetime) -> None:
        """Note that `turns` of `job` were missed since `since`, and that it runs now."""
        now = self.now()
        if now - since >= LATE:
            with self._lock:
                self._note(Entry(job, MISSED, since, now, turns, "the machine slept, or its clock was set"))

    def only(self, names: Iterable[str]) -> None:
        """Close what is open of other jobs than `names`: they are gone."""
        with self._lock:
            self._names = frozenset(names)
            self._close_gone()

    def clock_set(self, step: timedelta) -> None:
        """Let what is open have lasted as long as it has, when the clock was set back."""
        if step < timedelta(0):
            with self._lock:
                for entries in (self._open, self._noted):
                    entries.update({job: _moved(entry, step) for job, entry in entries.items()})

    def open(self) -> list[Entry]:
        """Return what is wrong now, the longest first."""
        with self._lock:
            return sorted(self._open.values(), key=lambda entry: (entry.since, entry.job))

    def _go_on(self, entry: Entry) -> None:
        self._open[entry.job] = entry
        if is_news(entry, self._noted.get(entry.job)):
            self._note(entry)

    def _end(self, job: str, why: str = "") -> None:
        if before := self._open.pop(job, None):
            self._note(replace(before, state=RECOVERED, noted_at=self.now(), error=why or before.error))

    def _note(self, entry: Entry) -> None:
        if entry.state in {FAILED, OVERRUNNING}:
            self._noted[entry.job] = entry
        elif entry.state == RECOVERED:
            self._noted.pop(entry.job, None)
        self._waiting.append(entry)
        self.say(entry)

    def _close_gone(self) -> None:
        for job in [job for job in self._open if self._names is not None and job not in self._names]:
            self._end(job, _GONE)

    def _read_once(self) -> None:
        with self._writing:
            if not self._is_read:
                self._on_lake(self._take_up)

    def _write(self) -> None:
        with self._writing:
            if self._is_read and self._waiting:
                self._on_lake(self._write_waiting)

    def _on_lake(self, act: Callable[[Lake], None]) -> None:
        """Do `act` on the lake, or say why it cannot be done; what waits goes on waiting."""
        try:
            with self.lake() as lake:
                act(lake)
        except LakeError as error:
            self._say_trouble(str(error))
        else:
            self._trouble = ""

    def _take_up(self, lake: Lake) -> None:
        """Go on from what an earlier process has written."""
        entries = [Entry(**row) for row in lake.rows(_NEWEST)]
        with self._lock:
            for entry in entries:
                self._last_at[entry.job] = entry.noted_at
                if entry.state in {FAILED, OVERRUNNING}:
                    self._open[entry.job] = _joined(entry, self._open.get(entry.job))
                    self._noted.setdefault(entry.job, entry)
            self._is_read = True
            self._close_gone()

    def _write_waiting(self, lake: Lake) -> None:
        with self._lock:
            entries = [*self._waiting]
        rows = [asdict(self._in_order(entry)) for entry in entries]
        with lake.writing():
            lake.insert("jobs", rows)
        with self._lock:
            del self._waiting[: len(entries)]

    def _in_order(self, entry: Entry) -> Entry:
        """Return `entry` behind the last row of its job, where the clock was set back since that was written."""
        last = self._last_at.get(entry.job)
        behind = last + timedelta(microseconds=1) - entry.noted_at if last else timedelta(0)
        moved = _moved(entry, behind) if behind > timedelta(0) else entry
        self._last_at[entry.job] = moved.noted_at
        return moved

    def _say_trouble(self, error: str) -> None:
        if error != self._trouble:
            self._trouble = error
            now = self.now()
            self.say(Entry("books", FAILED, now, now, 1, f"what became of the jobs could not be noted: {error}"))


def _moved(entry: Entry, by: timedelta) -> Entry:
    return replace(entry, since=entry.since + by, noted_at=entry.noted_at + by)


def _joined(before: Entry, now: Entry | None) -> Entry:
    """Return one entry for what an earlier process noted and what this one has seen."""
    if now is None or now.state != before.state:
        return now or before
    return replace(now, since=min(before.since, now.since), times=before.times + now.times)
