"""
Look at everything side by side: one that fails or hangs never keeps the others from being told.

The threads are daemons, so that a name server that never answers does not keep the program from ending. A check that
is over its time keeps what it has found until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool
from threading import Event

from pipeline.doctor.result import Group, Result, Topic
from pipeline.errors import AuthsunsetError

Look = Callable[[], Iterable[Result]]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at something; `topic` is what is said when the look itself fails."""

    topic: Topic
    look: Look


def run(checks: Sequence[Check], within_s: float) -> list[Result]:
    """Return what all `checks` found, by group and in their order; each has `within_s` seconds."""
    running = [_Running(check) for check in checks]
    if not running:
        return []
    until = time.monotonic() + within_s
    with ThreadPool(len(running)) as pool:
        for each in running:
            pool.apply_async(each.look, callback=each.end, error_callback=each.fail)
        results = [result for each in running for result in each.results_by(until, within_s)]
    order = list(Group)
    return sorted(results, key=lambda result: order.index(result.group))


@dataclass(slots=True)
class _Running:
    """One check, with what it has found so far."""

    check: Check
    found: list[Result] = field(default_factory=list)
    error: BaseException | None = None
    is_over: Event = field(default_factory=Event)

    def look(self) -> None:
        for result in self.check.look():
            self.found.append(result)  # at once, so that it is there when the next one hangs

    def end(self, _: None) -> None:
        self.is_over.set()

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.is_over.set()

    def results_by(self, until: float, within_s: float) -> list[Result]:
        in_time = self.is_over.wait(max(0.0, until - time.monotonic()))
        found = list(self.found)
        if not in_time:
            sentence = f"gave no answer within {within_s:g} s, and the others were not kept waiting"
            found.append(self.check.topic.broken(sentence, "see that what it talks to is up and can be reached"))
        if self.error is not None:
            found.append(self.check.topic.broken(*_words_of(self.error)))
        return found


def _words_of(error: BaseException) -> tuple[str, str]:
    """Return what was found and the mend; the text of a foreign error is not trusted with what it may quote."""
    if isinstance(error, AuthsunsetError):
        return str(error), "do what the sentence says"
    if isinstance(error, OSError) and error.strerror:
        return f"the look itself failed: {error.strerror}", "mend that and look again"
    return f"the look itself failed with {type(error).__name__}", "this is a fault of authsunset: please report it"
