"""
The hint to follow: the way out for one sender, chosen by evidence, or what to do about any other finding.

A detection's `remedy` is one of WAY_OUT, and then the evidence chooses; or it names the one hint in hints/ that fits.
"""

from __future__ import annotations

from alerts.remedy.choose import Advice, choose
from alerts.remedy.hint import render_finding_hint, render_hint, render_own_hint
from queries.facts import SenderFacts

__all__ = ["WAY_OUT", "Advice", "advise", "render_finding_hint", "render_own_hint"]

WAY_OUT = frozenset({"basic_auth", "not_authenticated", "smtp_auth_off", "policy_block"})
"""Remedies of problems with the log-in of a sender, from which a way leads out that has to be chosen."""


def advise(facts: SenderFacts) -> tuple[Advice, str]:
    """Return the way out for the sender of `facts`, and the Markdown hint that leads there."""
    advice = choose(facts)
    return advice, render_hint(facts, advice)
