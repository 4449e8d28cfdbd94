from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from pipeline.simulate.plan import Plan
from pipeline.simulate.states import STATES
from pipeline.simulate.tenant import live

SEEDS = (3, 8, 11)
TWO_WEEKS = timedelta(days=14)


@cache
def truths() -> list[dict[str, Any]]:
    plans = [Plan(seed, days=60, senders=60, history=40) for seed in SEEDS]
    return [each for plan in plans for each in live(plan).truth]


def end() -> datetime:
    return datetime.fromisoformat("2027-01-28T00:00:00Z")


def age(moment: str) -> timedelta:
    return end() - datetime.fromisoformat(moment)


def in_state(state: str) -> list[dict[str, Any]]:
    return [each for each in truths() if each["state"] == state and not each["may_also_be"]]


def test_every_state_occurs() -> None:
    assert {each["state"] for each in truths()} == set(STATES)


def test_few_senders_are_such_that_nobody_could_tell() -> None:
    senders = [each for each in truths() if each["category"] not in {"person", "relay_account"}]

    unsure = [each for each in senders if each["may_also_be"]]

    assert len(unsure) / len(senders) < 0.08  # these tenants are small; with 400 senders it is about half as much
    assert all(each["why_unsure"] and each["state"] not in each["may_also_be"] for each in unsure)


def test_who_is_refused_has_met_a_refusal_in_a_log_and_nothing_has_got_in_since() -> None:
    for each in in_state("refused"):
        assert each["refusals_logged"], each
        assert (each["last_mail_in"] or "") < each["refused"]["last"], each


def test_who_went_silent_is_overdue_by_a_day_and_has_a_rhythm() -> None:
    for each in in_state("went_silent"):
        assert age(each["overdue_at"]) >= timedelta(days=1), each
        assert each["overdue_at"] > each["last_mail_in"], each
        assert not each["is_irregular"], each
        assert each["missed_mails"], each


def test_who_never_fails_to_be_irregular_is_never_called_silent() -> None:
    irregular = [each for each in truths() if each["is_irregular"] and each["category"] != "relay_account"]

    assert irregular
    assert not [each for each in irregular if each["state"] == "went_silent"]
    assert not [each for each in irregular if each["overdue_at"]]


def test_who_is_verified_has_sent_for_a_fortnight_by_another_way() -> None:
    for each in in_state("verified"):
        assert age(each["migrated_at"]) >= TWO_WEEKS
        assert each["mails_since_migration"] >= 2
        assert each["migrated_at"] > each["basic_successes"]["last"]


def test_who_has_migrated_is_on_the_way_to_it() -> None:
    for each in in_state("migrated"):
        is_young = age(each["migrated_at"]) < TWO_WEEKS or each["mails_since_migration"] < 2
        assert is_young or each["refused"]["last"] > each["migrated_at"], each


def test_who_still_does_it_got_in_with_a_password_last() -> None:
    for each in [*in_state("does_still"), *in_state("regressed")]:
        assert each["basic_successes"]["last"] == each["last_mail_in"], each
        assert (each["refused"]["last"] or "") < each["last_mail_in"], each


def test_who_still_could_is_allowed_to_and_does_not() -> None:
    for each in in_state("can_still"):
        assert each["in_exposure"]
        assert not each["basic_successes"]["last"] or age(each["basic_successes"]["last"]) > timedelta(days=90)


def test_who_is_partly_refused_has_both_since_the_first_refusal() -> None:
    found = in_state("partly_refused")

    assert found
    assert all(each["accepted_after_first_refusal"]["count"] for each in found)


def test_attacks_leave_their_mark_in_the_truth() -> None:
    assert {name for each in truths() for name in each["attacks"]} == {"spray", "brute force", "stolen password"}
