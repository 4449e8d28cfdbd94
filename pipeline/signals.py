"""
What people and systemd ask of a running process by signals: to stop, or to read its settings anew.

A signal only leaves a note, in a queue that may be filled while it is being read, and the main loop reads it; an event
or a lock could be held by the very code that the signal interrupts. Asked to stop a second time, the process is gone at
once.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import FrameType

STOP = frozenset({signal.SIGTERM, signal.SIGINT})
RELOAD = getattr(signal, "SIGHUP", None)
"""Windows has none."""


@dataclass(slots=True)
class Signals:
    """The notes; `wait` takes the next one."""

    stop: signal.Signals | None = None
    _notes: SimpleQueue[signal.Signals | None] = field(default_factory=SimpleQueue)

    def listen(self) -> None:
        """Take notes from now on, instead of whatever a signal did before."""
        for number in STOP if RELOAD is None else STOP | {RELOAD}:
            signal.signal(number, self._note)

    def wait(self, seconds: float) -> signal.Signals | None:
        """Return the next note, or None when there is none for so long or somebody woke us."""
        try:
            return self._notes.get(timeout=max(0.0, seconds))
        except Empty:
            return None

    def wake(self) -> None:
        """Let `wait` return now."""
        self._notes.put(None)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        asked = signal.Signals(number)
        if asked in STOP:
            if self.stop:
                os.write(2, b"asked to stop again: gone at once\n")
                os._exit(128 + number)
            self.stop = asked
        self._notes.put(asked)
