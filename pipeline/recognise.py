"""Recognise a log by its content: ask each format whether it knows the first bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from pipeline.errors import NOWHERE, Place
from pipeline.kinds import find, find_in, known

FORMATS = "pipeline.formats"
PROGRAMS = "pipeline.programs"
LOG = "log"
"""The format of lines that programs wrote; it is asked last, because others are more exact."""
HEAD_BYTES = 1 << 18
"""How much of a file is looked at: a mail log may begin with pages of another daemon's lines."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A recognised format: its name, and whether a file of it is read whole instead of being followed line by line."""

    name: str
    is_whole: bool


Recognise = Callable[[bytes], Kind | None]


_APPENDED_UTF16 = re.compile(rb"(?:[\t\r\n -~]\x00){16,}")


def recognise(head: bytes) -> Kind | None:
    """Return the first format, by name, that knows `head`, or None."""
    if b"\x00" in head and b"\x00" not in head[:16]:  # PowerShell's `>>` appends UTF-16 to a log in ASCII
        head = _APPENDED_UTF16.sub(lambda match: match[0][::2], head)
    for name in sorted(known(FORMATS), key=lambda name: (name == LOG, name)):
        if find(FORMATS, name).looks_like(head):
            return kind_of(name)
    return None


@cache
def programs() -> frozenset[str]:
    """Return the names of the programs whose lines are known; each may stand where a format is named."""
    return frozenset(known(PROGRAMS))


def always(name: str, place: Place = NOWHERE) -> Recognise:
    """Return a function that takes every file for the format `name`, as settings or `--as` say."""
    kind = kind_of(name, place)
    return lambda _head: kind


def kind_of(name: str, place: Place = NOWHERE) -> Kind:
    """Return the format or program `name`; raise SettingsError when there is none."""
    if name in programs():
        return Kind(name, is_whole=False)
    module: ModuleType = find_in((FORMATS, PROGRAMS), name, place)
    return Kind(name, bool(module.WHOLE))
