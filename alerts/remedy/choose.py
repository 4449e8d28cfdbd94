"""
Choose the way out for one sender.

The decision is the table in rules.toml, asked from top to bottom; this module only reads the case, takes the first
rule that fits and says why. The reasons hold values from logs: they are plain text and untrusted.
"""

from __future__ import annotations

from dataclasses import dataclass

from alerts.remedy.evidence import Case, case_of, evidence_of, words_of
from alerts.remedy.rescue import queue_of
from alerts.remedy.ways import Rule, Way, additions, rules, ways
from queries.facts import SenderFacts


@dataclass(frozen=True, slots=True)
class Advice:
    """
    The way out, and why.

    `not_others` says for each other way in one clause why not. `rescue` means that mails still wait in the queue of a
    Postfix relay and can be saved.
    """

    way: str
    title: str
    because: tuple[str, ...]
    not_others: tuple[tuple[str, str], ...]
    rescue: bool
    device_class: str


def choose(facts: SenderFacts) -> Advice:
    """Return the way out that fits the evidence about one sender."""
    case = case_of(facts)
    rule = first_rule(case)
    way = ways()[rule.way]
    words = words_of(facts)
    return Advice(
        way=way.id,
        title=way.title,
        because=(rule.because, *evidence_of(facts), *_added(case, way)),
        not_others=tuple((other.id, why_not(other, case).format(**words)) for other in ways().values() if other != way),
        rescue=queue_of(facts) is not None,
        device_class=case.device,
    )


def first_rule(case: Case) -> Rule:
    """Return the first rule that fits; the last one fits always."""
    return next(rule for rule in rules() if case.fits(rule.when))


def why_not(way: Way, case: Case) -> str:
    """Return the first clause that speaks against `way`; the last one fits always."""
    return next(against.because for against in way.against if case.fits(against.when))


def is_impossible(way: Way, case: Case) -> bool:
    """Tell whether something rules `way` out for `case`."""
    return any(against.hard and case.fits(against.when) for against in way.against)


def _added(case: Case, way: Way) -> tuple[str, ...]:
    return tuple(
        also.because for also in additions() if case.fits(also.when) and also.smtp_auth in {None, way.needs_smtp_auth}
    )
