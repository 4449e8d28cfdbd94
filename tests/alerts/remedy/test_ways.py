from __future__ import annotations

from datetime import date

import pytest

from alerts.remedy.evidence import VALUES
from alerts.remedy.ways import Way, When, additions, plan, rules, ways

EVERY_WAY = list(ways().values())
ASKED = (
    "internal",
    "external",
    "devices",
    "keeps_basic",
    "needs_smtp_auth",
    "effort",
    "cost",
    "mfa_ca",
    "endpoint",
    "limits",
    "deadline",
)


@pytest.mark.parametrize("way", EVERY_WAY, ids=lambda way: way.id)
def test_each_way_answers_every_question_and_names_its_evidence_and_its_day(way: Way) -> None:
    assert all(question in way.row for question in ASKED)
    assert way.row["evidence"]
    assert all(one["source"] and one["says"] for one in way.row["evidence"])
    assert way.reviewed_on == date(2026, 11, 23)


@pytest.mark.parametrize("way", EVERY_WAY, ids=lambda way: way.id)
def test_each_way_has_a_last_clause_that_fits_any_sender(way: Way) -> None:
    assert not way.against[-1].when
    assert not way.against[-1].hard
    assert all(against.because for against in way.against)


def test_the_ways_are_the_eight_that_exist() -> None:
    assert set(ways()) == {
        "oauth_smtp",
        "graph_send_mail",
        "hve",
        "acs_email",
        "connector_relay",
        "direct_send",
        "onprem_relay_oauth",
        "reenable_basic",
    }


@pytest.mark.parametrize(
    ("way", "says"),
    [
        ("hve", "generally available since 2026-03-31, and billed since 2026-06-01"),
        ("hve", "only to September 2028"),
        ("hve", "New-MailUser needs -Password"),
        ("acs_email", "It has SMTP"),
        ("connector_relay", "It may send outside"),
        ("direct_send", "leaves it out"),
        ("oauth_smtp", "without a refresh token"),
        ("reenable_basic", "not the day"),
    ],
)
def test_what_the_old_comparison_got_wrong_is_marked(way: str, says: str) -> None:
    assert says in ways()[way].row["corrects"]


def test_the_corrected_values_stand_in_the_rows_themselves() -> None:
    hve, acs, direct = (ways()[way].row for way in ("hve", "acs_email", "direct_send"))

    assert hve["endpoint"].startswith("smtp.hve.mx.microsoft:587")
    assert (hve["external"], hve["keeps_basic"], hve["deadline"]) == (False, True, "passwords end in September 2028")
    assert (acs["devices"], acs["external"]) == ("yes", True)
    assert ways()["connector_relay"].row["external"] is True
    assert direct["external"] is False


def test_the_plan_is_dated_and_names_its_evidence() -> None:
    assert plan()["evidence"].startswith("https://techcommunity.microsoft.com/")
    assert plan()["reviewed_on"] == date(2026, 11, 23)


def test_every_rule_names_a_way_that_exists_and_the_last_one_fits_always() -> None:
    assert {rule.way for rule in rules()} <= set(ways())
    assert not rules()[-1].when
    assert len({rule.name for rule in rules()}) == len(rules())


def test_rules_and_clauses_ask_only_for_values_that_a_case_can_have() -> None:
    asked: list[When] = [rule.when for rule in rules()]
    asked += [also.when for also in additions()]
    asked += [against.when for way in EVERY_WAY for against in way.against]

    unknown = [
        (field, value)
        for when in asked
        for field, values in when.items()
        for value in values
        if value not in VALUES.get(field, ())
    ]

    assert unknown == []
