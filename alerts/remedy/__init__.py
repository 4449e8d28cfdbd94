"""The way out for one sender: chosen by evidence, and told as a hint to follow."""

from __future__ import annotations

from alerts.remedy.choose import Advice, choose
from alerts.remedy.hint import render_hint
from queries.facts import SenderFacts

__all__ = ["Advice", "advise"]


def advise(facts: SenderFacts) -> tuple[Advice, str]:
    """Return the way out for the sender of `facts`, and the Markdown hint that leads there."""
    advice = choose(facts)
    return advice, render_hint(facts, advice)
