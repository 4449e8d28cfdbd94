"""Spans of time, as people write and read them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spans import in_words, span_of


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("6h", timedelta(hours=6)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("1.5h", timedelta(minutes=90)),
        (" 15 m ", timedelta(minutes=15)),
        ("-61m", timedelta(minutes=-61)),
        ("0s", timedelta(0)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text: str, span: timedelta) -> None:
    assert span_of(text) == span


@pytest.mark.parametrize("text", ["", "m", "15", "15 minutes", "15M", "1h30m", "1e3s", "--5m", "1,5h", "P1D"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no span of time; write a number and s, m, h, d or w, such as '15m'"):
        span_of(text)


def test_a_span_beyond_the_calendar_is_refused_like_any_other_mistake() -> None:
    with pytest.raises(ValueError, match="longer than any calendar"):
        span_of("9" * 40 + "w")


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=1), "1 min"),
        (timedelta(hours=6, minutes=5), "6 h 5 min"),
        (timedelta(hours=6), "6 h"),
        (timedelta(days=1), "1 day"),
        (timedelta(days=3, hours=2, minutes=9), "3 days 2 h"),
        (timedelta(days=3, minutes=9), "3 days 9 min"),
        (-timedelta(minutes=5), "5 min"),
    ],
)
def test_a_span_is_said_in_its_largest_units(span: timedelta, words: str) -> None:
    assert in_words(span) == words


@given(st.text(max_size=20))
def test_a_span_or_a_sentence_whatever_is_written(text: str) -> None:
    with suppress(ValueError):
        assert span_of(text) == span_of(text.strip())
