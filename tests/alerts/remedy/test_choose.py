from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from alerts.remedy.choose import choose, first_rule, is_impossible
from alerts.remedy.evidence import VALUES, Case, case_of, share_text
from alerts.remedy.ways import additions, rules, ways
from pipeline.replies import known_replies
from queries.facts import Device, SenderFacts
from tests.alerts.remedy.samples import facts, full_facts

INSIDE, OUTSIDE = 0.0, 0.4
EVERY_CASE = [Case(*values) for values in product(*VALUES.values())]
POSTFIX: dict[str, Any] = {"relays": ("relay01",), "formats": ("postfix",)}
EXIM: dict[str, Any] = {"relays": ("relay02",), "formats": ("exim",)}
TWO_DEVICES = (Device("192.0.2.1", None), Device("192.0.2.2", None))

ARCHETYPES: dict[str, tuple[dict[str, Any], str]] = {
    "internal scanner": ({"sender": "scanner@x.example", "external_share": INSIDE}, "hve"),
    "internal NAS": ({"sender": "nas@x.example", "external_share": INSIDE}, "hve"),
    "internal monitoring": ({"sender": "nagios@x.example", "external_share": INSIDE}, "hve"),
    "script": ({"sender": "cron@x.example", "external_share": OUTSIDE}, "graph_send_mail"),
    "internal script": ({"sender": "script@x.example", "external_share": INSIDE}, "graph_send_mail"),
    "application": ({"sender": "erp@x.example", "external_share": OUTSIDE}, "oauth_smtp"),
    "legacy device that writes outside": ({"sender": "fax@x.example", "external_share": OUTSIDE}, "acs_email"),
    "several legacy devices that write outside": (
        {"sender": "fax@x.example", "external_share": OUTSIDE, "devices": TWO_DEVICES},
        "onprem_relay_oauth",
    ),
    "scanner, recipients unknown": ({"sender": "scanner@x.example"}, "acs_email"),
    "scanner with large mails, inside": (
        {"sender": "scanner@x.example", "external_share": INSIDE, "largest_bytes": 12_000_000},
        "connector_relay",
    ),
    "scanner with large mails, outside": (
        {"sender": "scanner@x.example", "external_share": OUTSIDE, "largest_bytes": 12_000_000},
        "onprem_relay_oauth",
    ),
    "busy scanner, outside": (
        {"sender": "scan@x.example", "external_share": OUTSIDE, "mails_per_day": 3e3},
        "onprem_relay_oauth",
    ),
    "monitoring that writes outside": ({"sender": "zabbix@x.example", "external_share": OUTSIDE}, "onprem_relay_oauth"),
    "mass mail inside": ({"sender": "news@x.example", "external_share": INSIDE, "mails_per_day": 2e4}, "hve"),
    "mass mail outside": (
        {"sender": "news@x.example", "external_share": OUTSIDE, "mails_per_day": 2e4},
        "connector_relay",
    ),
    "unknown sender inside": ({"external_share": INSIDE}, "hve"),
    "nothing known": ({"sender": "(unknown sender)"}, "oauth_smtp"),
    "scanner behind Postfix": (
        {"sender": "scanner@x.example", "external_share": INSIDE} | POSTFIX,
        "onprem_relay_oauth",
    ),
    "script behind Exim": ({"sender": "cron@x.example"} | EXIM, "connector_relay"),
    "Postfix with more than one mailbox may send": ({"mails_per_day": 20_000} | POSTFIX, "connector_relay"),
    "script that logs with msmtp": (
        {"sender": "cron@x.example", "relays": ("web1",), "formats": ("msmtp",)},
        "graph_send_mail",
    ),
    "consumer mailbox": ({"endpoints": ("smtp-mail.outlook.com",), "external_share": INSIDE}, "oauth_smtp"),
    "consumer mailbox behind Postfix": ({"endpoints": ("smtp-mail.outlook.com",)} | POSTFIX, "onprem_relay_oauth"),
    "scanner under Security Defaults": (
        {"sender": "scanner@x.example", "external_share": INSIDE, "reply_class": "security_defaults"},
        "connector_relay",
    ),
    "scanner, SMTP AUTH off": (
        {"sender": "scanner@x.example", "external_share": INSIDE, "reply_class": "smtpauth_off_tenant"},
        "hve",
    ),
}


@pytest.mark.parametrize(("known", "way"), ARCHETYPES.values(), ids=ARCHETYPES)
def test_the_way_out_fits_the_kind_of_sender(known: dict[str, Any], way: str) -> None:
    advice = choose(facts(**known))

    assert advice.way == way
    assert advice.title == ways()[way].title


def test_every_rule_decides_some_sender() -> None:
    deciding = {first_rule(case).name for case in EVERY_CASE}

    assert deciding == {rule.name for rule in rules()}


def test_every_rule_decides_one_of_the_archetypes_too() -> None:
    deciding = {first_rule(case_of(facts(**known))).name for known, _ in ARCHETYPES.values()}

    assert deciding == {rule.name for rule in rules()}


def test_no_sender_is_sent_down_a_way_that_is_impossible_for_it() -> None:
    wrong = [case for case in EVERY_CASE if is_impossible(ways()[first_rule(case).way], case)]

    assert wrong == []


def test_every_clause_against_a_way_is_said_to_some_sender() -> None:
    said = {
        (way.id, next(number for number, against in enumerate(way.against) if case.fits(against.when)))
        for case in EVERY_CASE
        for way in ways().values()
        if way.id != first_rule(case).way
    }

    assert said == {(way.id, number) for way in ways().values() for number in range(len(way.against))}


@pytest.mark.parametrize("reply_class", ["", "unheard_of", *(row.reply_class for row in known_replies())])
def test_every_reply_gets_advice_that_explains_itself(reply_class: str) -> None:
    for given in (facts(reply_class=reply_class), full_facts(reply_class=reply_class)):
        advice = choose(given)

        assert all(advice.because)
        assert [way for way, _ in advice.not_others] == [way for way in ways() if way != advice.way]
        assert all(clause and "{" not in clause for _, clause in advice.not_others)


def test_the_explanation_names_the_evidence() -> None:
    because = " ".join(choose(full_facts()).because)

    assert "relay01, relay02 (Postfix)" in because
    assert "a printer or scanner, because the mailbox is called 'scanner'" in because
    assert "40 % of its recipients are outside" in because
    assert "12 mails on its busiest day, largest mail 3.1 MB" in because


def test_the_explanation_says_what_is_not_known() -> None:
    because = " ".join(choose(facts()).because)

    assert "No relay of yours is seen" in because
    assert "no name tells" in because
    assert "Whether it writes to people outside is not known" in because


def test_a_word_in_the_name_of_a_client_is_said_to_be_the_clients() -> None:
    because = choose(facts(devices=(Device("192.0.2.9", "kopierer.contoso.example"),))).because

    assert any("a client that sends for it is called 'kopierer'" in sentence for sentence in because)


def test_a_long_list_of_relays_is_cut() -> None:
    because = choose(facts(relays=("r1", "r2", "r3", "r4", "r5"), formats=("exim",))).because

    assert "Its mail goes through your relay r1, r2, r3 and 2 more." in because


def test_hve_is_out_with_the_share_of_people_outside() -> None:
    not_others = dict(choose(facts(sender="scanner@x.example", external_share=0.37)).not_others)

    assert not_others["hve"] == "37 % of its recipients are outside, and HVE delivers only inside the tenant"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.001, "less than 1 %"),
        (0.5, "50 %"),
        (0.999, "more than 99 %"),
        (1.0, "100 %"),
        (None, "an unknown share"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(share: float | None, text: str) -> None:
    assert share_text(share) == text


def test_a_sender_with_one_recipient_outside_among_thousands_is_not_sent_to_hve() -> None:
    advice = choose(facts(sender="scanner@x.example", external_share=0.0001))

    assert advice.way != "hve"
    assert "less than 1 %" in dict(advice.not_others)["hve"]


@pytest.mark.parametrize(("size", "way"), [(10_000_000, "hve"), (10_000_001, "connector_relay")])
def test_ten_megabytes_still_fit(size: int, way: str) -> None:
    assert choose(facts(sender="scanner@x.example", external_share=0.0, largest_bytes=size)).way == way


@pytest.mark.parametrize(
    ("known", "saved"),
    [
        ({"rescuable": 2} | POSTFIX, True),
        ({"rescuable": 0} | POSTFIX, False),
        ({"rescuable": 2} | EXIM, True),
        ({"rescuable": 2, "formats": ("exim",)}, True),
        ({"rescuable": 2, "formats": ("postfix",)}, False),
        ({"rescuable": 2, "relays": ("web01",), "formats": ("msmtp",)}, False),
        ({"rescuable": 2, "relays": ("gw",), "formats": ("dsn",)}, False),
    ],
)
def test_a_rescue_is_promised_only_for_mail_in_a_queue_that_we_know(known: dict[str, Any], saved: bool) -> None:
    assert choose(facts(**known)).rescue is saved


def test_the_two_classes_that_mean_basic_get_the_same_way() -> None:
    retired, disabled = (choose(full_facts(reply_class=name)) for name in ("basic_retired", "basic_disabled"))

    assert retired == disabled


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (facts(reply_class=""), "Nothing is refused yet"),
        (facts(reply_class="smtpauth_off_mailbox"), "Alone it is a stopgap that Basic's end overtakes"),
        (facts(reply_class="smtpauth_off_tenant", external_share=0.0), "so it can stay off"),
        (facts(reply_class="not_authenticated"), "may have gone on without one after its password was refused"),
        (facts(reply_class="security_defaults"), "Security Defaults refuse password log-ins"),
        (facts(reply_class="conditional_access"), "would help only until Basic ends"),
        (facts(reply_class="bad_credentials"), "mend that first"),
    ],
    ids=lambda value: value.reply_class if isinstance(value, SenderFacts) else "",
)
def test_the_reply_adds_its_own_reason(given: SenderFacts, says: str) -> None:
    assert says in choose(given).because[-1]


def test_every_addition_is_said_to_some_sender() -> None:
    said = {
        also
        for also in range(len(additions()))
        for case in EVERY_CASE
        if case.fits(additions()[also].when)
        and additions()[also].smtp_auth in {None, ways()[first_rule(case).way].needs_smtp_auth}
    }

    assert said == set(range(len(additions())))


def test_basic_refused_adds_nothing_because_the_rule_says_it_all() -> None:
    assert len(choose(facts()).because) == 4


def test_switching_smtp_auth_on_for_one_mailbox_is_called_a_stopgap() -> None:
    not_others = dict(choose(facts(reply_class="smtpauth_off_mailbox")).not_others)

    assert not_others["reenable_basic"] == "SMTP AUTH for this mailbox alone is only a stopgap: Basic ends all the same"
