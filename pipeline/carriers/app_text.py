"""
The text log of an application whose lines only look like those of a syslog: a time, and then what is said, or a level.

`2026-12-30 08:00:01 Invalid login: 550 …` has the shape of time, host and program, and so has a process id before a
level. What tells them apart: a comma before the fraction of a second, which Python and Java write; a level behind a
number; a second word that is no host's name but begins a sentence or names one side of a conversation, where no process
id follows; and a sentence in lower case, where a syslog has a program's name with a colon or a process id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.carriers import exim_mainlog, plain
from pipeline.lines import Line
from pipeline.model import Chunk, Reject

_STAMPED = re.compile(
    rb"(?:\[?\d{4}([-/])\d\d\1\d\d[T ]\d\d:\d\d:\d\d(?P<fraction>[.,]\d{1,9})?[^\s\],.]{0,8}\]?:?|"
    rb"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:[A-Z]{3,4} )?\d{4})\s+(?:[+-]\d{4}\s)?(?P<said>.*)",
    re.DOTALL,
)
_EXIM = rb"(?:Start|End) queue run: pid|SMTP (?:(?:connection|call) from|(?:protocol|syntax) |\w{1,10} timeout )"
_SENTENCE = re.compile(
    rb"(?!" + _EXIM + rb")"
    rb"(?:[A-Z][a-z]+|SMTP|SERVER|CLIENT|Net::\w+)[\s:.,](?!\S{1,60}\[\d{1,10}\]:)"
    rb"|\d{1,10} (?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL) |(?:UTC|GMT|CES?T) "
)
_LOWER_CASE = re.compile(rb"[a-z]{2,20} (?!host=)[^\s:\[\]<>=*(]{1,60}(?:[ ,]|\Z)")
_MOST_LOOKED_AT = 200


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` that begin with a time are an application's."""
    stamped = [match for line in head.splitlines() if (match := _STAMPED.fullmatch(line))][:_MOST_LOOKED_AT]
    found = sum(map(_is_application, stamped))
    if stamped and 2 * found < len(stamped) and not exim_mainlog.looks_like(head):  # which has sentences as well
        found += sum(_LOWER_CASE.match(each["said"]) is not None and not _is_application(each) for each in stamped)
    return bool(stamped) and 2 * found >= len(stamped)


def _is_application(stamped: re.Match[bytes]) -> bool:
    return (stamped["fraction"] or b"").startswith(b",") or _SENTENCE.match(stamped["said"]) is not None


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`."""
    yield from plain.records(chunk, memory)
