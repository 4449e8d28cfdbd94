"""
A span of time as the settings write it, such as '15m', for the dataclasses of settings.

Apart from `pipeline/spans.py`, which reads spans everywhere and loads nothing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

from pipeline.spans import span_of


def span_written(value: object) -> timedelta:
    """Return the span that a setting names; raise ValueError, with an example, for what is none or negative."""
    span = value if isinstance(value, timedelta) else span_of(str(value))
    if span < timedelta(0):
        raise ValueError(f"{str(value)!r} is a negative span of time; write it without the sign")
    return span


Span = Annotated[timedelta, BeforeValidator(span_written)]
"""A span of time, written like '15m'."""
