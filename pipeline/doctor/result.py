"""What a look at one prerequisite found, and how to mend it, in the words that are printed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a prerequisite is; `skipped` says that nothing could be told, or that there was nothing to tell."""

    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"
    SKIPPED = "skipped"


class Group(StrEnum):
    """What a prerequisite belongs to, in the order in which things are set up."""

    SETTINGS = "settings"
    MACHINE = "machine"
    LAKE = "lake"
    MICROSOFT = "Microsoft"
    SOURCES = "sources"
    CHANNELS = "channels"


@dataclass(frozen=True, slots=True)
class Result:
    """`found` is a sentence, `mend` what to do about it: words, and commands that can be pasted line by line."""

    group: Group
    check: str
    about: str
    state: State
    found: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """What is looked at; its methods say how it is."""

    group: Group
    check: str
    about: str

    def ok(self, found: str) -> Result:
        """Return that all is well."""
        return self._result(State.OK, found, "")

    def warning(self, found: str, mend: str) -> Result:
        """Return that it works, and why it may not for long."""
        return self._result(State.WARNING, found, mend)

    def broken(self, found: str, mend: str) -> Result:
        """Return that it does not work."""
        return self._result(State.BROKEN, found, mend)

    def skipped(self, found: str, mend: str = "") -> Result:
        """Return why it was not looked at."""
        return self._result(State.SKIPPED, found, mend)

    def _result(self, state: State, found: str, mend: str) -> Result:
        return Result(self.group, self.check, self.about, state, found, mend)
