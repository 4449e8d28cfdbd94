"""Read and write spans of time as people write them: 90s, 15m, 6h, 30d."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*([smhdw])\s*")


def span_of(text: str) -> timedelta:
    """Return the span that `text` names; raise ValueError, with an example, when it names none."""
    match = _SPAN.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no span of time; write a number and s, m, h, d or w, such as '15m'")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any calendar; write a number and a unit, such as '15m'") from None


def in_words(span: timedelta) -> str:
    """Return `span` for people, in its one or two largest units: '6 h 5 min', '3 days'."""
    seconds = int(abs(span.total_seconds()))
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes = rest // 60
    parts = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min")]
    named = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(named[:2]) or f"{seconds} s"
