"""The hints about permissions, limits, old doors and attacks, for what each detection finds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import product
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from alerts.decide import Reason
from alerts.group import group
from alerts.message import Message
from alerts.remedy import WAY_OUT, render_finding_hint
from alerts.render import render
from pipeline.model import Window
from queries.ask import ask
from queries.cases import NOW, case_connection
from queries.detection import Detection, detection
from queries.facts import SenderFacts
from queries.finding import Finding
from queries.history import entries, noted_of
from tests.alerts.remedy.samples import facts, full_facts
from tests.hostile import HOSTILE

NAMES = (
    "send_as_denied",
    "direct_send_refused",
    "relay_denied",
    "hve_external_recipient",
    "submission_limits",
    "hve_limits",
    "acs_limits",
    "legacy_tls",
    "legacy_endpoint",
    "basic_reenabled",
    "smtp_auth_spray",
    "smtp_auth_brute_force",
    "basic_from_new_network",
)
FIRING = [
    (name, case["name"])
    for name in NAMES
    for case in detection(name).cases
    if case["finds"] and not case["name"].startswith("looks at")
]
SHORT_ENOUGH = {title: value[:500] for title, value in HOSTILE.items()}
HEADINGS = ["What it means", "Check first", "Then", "It is over when"]
A_SCREEN = 45
BLOCKS = {"heading", "paragraph", "bullet_list", "ordered_list", "list_item", "fence", "inline"}
INLINE = {"text", "text_special", "code_inline", "strong_open", "strong_close", "softbreak"}
CHANGING = re.compile(r"(?<!-Operations )\b(?<!,)(New|Set|Add|Remove|Enable|Disable|Revoke)-|postconf -e|\bcreate\b")


@cache
def found_in(name: str, case_name: str) -> list[Finding]:
    which = detection(name)
    case = next(each for each in which.cases if each["name"] == case_name)
    with case_connection(case) as connection:
        return ask(connection, which, Window(NOW - which.window, NOW))


@cache
def findings(name: str, case_name: str) -> list[Mapping[str, Any]]:
    """Return the rows that the detection finds in one of its cases, as the history keeps them."""
    return [noted_of(row).facts for row in entries([], found_in(name, case_name), detection(name).window, NOW)]


def finding(name: str, /, **known: Any) -> dict[str, Any]:
    """Return what the detection finds first, with what is `known` instead."""
    case = next(each for each in detection(name).cases if each["finds"])
    return {**findings(name, case["name"])[0], **known}


def about(found: Mapping[str, Any], which: Detection, **known: Any) -> SenderFacts | None:
    if "sender" not in which.about:
        return None
    reply = str(which.params.get("reply_class", ""))
    return full_facts(**{"sender": found["sender"], "reply_class": reply, **known})


def hint(name: str, others: int = 0, /, *, whose: SenderFacts | None = None, **known: Any) -> str:
    found, which = finding(name, **known), detection(name)
    return render_finding_hint(which.remedy, which, found, others, whose or about(found, which))


def hint_with(name: str, column: str, value: str) -> str:
    which = detection(name)
    return render_finding_hint(which.remedy, which, {**finding(name), column: value}, 0, None)


def message(name: str) -> Message:
    which = detection(name)
    case = next(each for each in which.cases if each["finds"])
    noted = [noted_of(row) for row in entries([], found_in(name, case["name"]), which.window, NOW)]
    known = {each.fingerprint: full_facts(sender=each.sender, reply_class="") for each in noted if each.sender}
    return render(group(noted)[0], Reason.NEW, known, NOW)


@lru_cache(8)
def parsed(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": False}).parse(markdown)


def headings(markdown: str) -> list[tuple[str, str]]:
    tokens = parsed(markdown)
    return [(token.tag, tokens[at + 1].content) for at, token in enumerate(tokens) if token.type == "heading_open"]


def commands(markdown: str) -> list[tuple[str, str]]:
    blocks = [token for token in parsed(markdown) if token.type == "fence"]
    return [(block.info, line) for block in blocks for line in block.content.splitlines()]


def words(markdown: str) -> str:
    """Return the text of `markdown` as a reader sees it."""
    return " ".join(child.content for token in parsed(markdown) for child in token.children or [])


@pytest.mark.parametrize(("name", "case"), FIRING)
def test_a_hint_has_four_headings_no_hole_and_fits_on_a_screen(name: str, case: str) -> None:
    which = detection(name)

    for found, others in product(findings(name, case), (0, 1, 7)):
        rendered = render_finding_hint(which.remedy, which, found, others, about(found, which))

        assert headings(rendered) == [("h3", heading) for heading in HEADINGS]
        assert not re.search(r"\{\{|\{%|Undefined|\bNone\b|\n\n\n| ,|\(\)", rendered)
        assert len(rendered.splitlines()) <= A_SCREEN


@pytest.mark.parametrize(("name", "case"), FIRING)
def test_every_command_says_whether_it_reads_or_changes(name: str, case: str) -> None:
    which = detection(name)

    for found in findings(name, case):
        shown = commands(render_finding_hint(which.remedy, which, found, 0, about(found, which)))

        assert {language for language, _ in shown} <= {"sh", "powershell"}
        assert [line for _, line in shown if not re.search(r"  # (reads: |changes(: |$))", line)] == []
        assert [line for _, line in shown if "  # reads" in line and CHANGING.search(line.partition("  # ")[0])] == []
        assert [line for _, line in shown if "  # changes" in line and not CHANGING.search(line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_something_is_looked_at_before_anything_is_changed(name: str) -> None:
    kinds = [re.findall(r"  # (reads|changes)", line)[0] for _, line in commands(hint(name))]

    assert kinds[0] == "reads"


@pytest.mark.parametrize("name", NAMES)
def test_the_title_names_what_it_is_about_and_no_fact_is_empty(name: str) -> None:
    said = message(name)

    assert "(unknown)" not in said.title
    assert "{" not in said.title
    assert all(str(value) in said.title for value in (finding(name)[each] for each in detection(name).about))
    assert all(label and value for label, value in said.facts)
    assert said.hint


@pytest.mark.parametrize("name", ["security_defaults", "conditional_access"])
def test_a_refusal_by_a_policy_leads_to_the_way_out_that_evidence_chooses(name: str) -> None:
    assert detection(name).remedy in WAY_OUT
    assert "The way out:" in message(name).hint


@pytest.mark.parametrize("name", NAMES)
def test_hostile_values_stay_text(name: str) -> None:
    plain, which = finding(name), detection(name)

    for title, value in SHORT_ENOUGH.items():
        hostile = {key: value if isinstance(known, str) else known for key, known in plain.items()}
        whose = full_facts(sender=value, reply_class="", relays=(value,), reply_text=value)
        rendered = render_finding_hint(which.remedy, which, hostile, 0, whose if "sender" in plain else None)
        tokens = parsed(rendered)

        assert headings(rendered) == [("h3", heading) for heading in HEADINGS], title
        assert {re.sub("_(open|close)$", "", token.type) for token in tokens} <= BLOCKS, title
        assert {child.type for token in tokens for child in token.children or []} <= INLINE, title
        assert [line for _, line in commands(rendered) if not re.search(r"  # (reads|changes)\b", line)] == [], title


@pytest.mark.parametrize(
    ("name", "column"),
    [("smtp_auth_spray", "client_ip"), ("smtp_auth_brute_force", "account"), ("basic_reenabled", "name")],
)
def test_a_hostile_value_stays_one_literal_of_a_command(name: str, column: str) -> None:
    plain = [skeleton(line) for _, line in commands(hint_with(name, column, "x"))]

    for title, value in SHORT_ENOUGH.items():
        shown = [skeleton(line) for _, line in commands(hint_with(name, column, value))]

        assert shown == plain, title


def skeleton(line: str) -> str:
    """Return a PowerShell line with what stands between quotes of any kind taken out; two of them stand for one."""
    return re.sub("['‘’‚‛](?:[^'‘’‚‛]|['‘’‚‛]{2})*['‘’‚‛]", "''", line)


@pytest.mark.parametrize("name", [name for name in NAMES if "sender" in detection(name).about])
def test_a_mailbox_that_nobody_knows_has_to_be_filled_in(name: str) -> None:
    unknown = facts(sender="(unknown sender)", reply_class="")

    rendered = hint(name, whose=unknown, sender="(unknown sender)")

    assert all("unknown sender" not in line for _, line in commands(rendered))
    assert headings(rendered) == [("h3", heading) for heading in HEADINGS]


@pytest.mark.parametrize("name", [name for name in NAMES if "sender" in detection(name).about])
def test_commands_carry_the_mailbox_and_go_through_a_shell_unchanged(name: str) -> None:
    lines = commands(hint(name, sender="o'neill@contoso.example"))

    shells = [shlex.split(line, comments=True) for language, line in lines if language == "sh"]
    assert all("o'neill@contoso.example" in argument or "'" not in argument for line in shells for argument in line)
    assert [line for language, line in lines if language == "powershell" and "o'neill" in line] == []


def test_send_as_names_the_right_that_is_missing() -> None:
    assert "Add-RecipientPermission" in hint("send_as_denied")
    assert "-AccessRights SendAs" in hint("send_as_denied")


def test_direct_send_is_not_opened_again_before_a_connector_was_thought_of() -> None:
    shown = hint("direct_send_refused")

    assert shown.index("New-InboundConnector") < shown.index("RejectDirectSend $false")
    assert "forged" in shown


def test_mail_that_high_volume_email_took_for_outside_is_not_called_delivered() -> None:
    assert "taken is not delivered" in hint("hve_external_recipient", mails_taken=1)
    assert "taken is not delivered" not in hint("hve_external_recipient", mails_taken=0)
    assert "and 4 more" in hint("hve_external_recipient", recipients_outside=9)


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("recipients a day", "waiting a day"),
        ("messages a minute", "smtp_destination_rate_delay"),
        ("connections at once", "smtp_destination_concurrency_limit"),
        ("size of a message", "less resolution"),
    ],
)
def test_each_limit_of_a_mailbox_has_its_own_mend(limit: str, says: str) -> None:
    assert says in hint("submission_limits", limits_hit=limit)


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("size of a message", "200 dpi"),
        ("recipients of a message", "smtp_destination_recipient_limit = 50"),
        ("messages over time", "there should be none"),
    ],
)
def test_each_limit_of_high_volume_email_has_its_own_mend(limit: str, says: str) -> None:
    assert says in hint("hve_limits", limits_hit=limit)


def test_a_new_azure_resource_is_told_its_limits_and_how_to_have_more() -> None:
    shown = hint("acs_limits", limits_hit="messages over time")

    assert "30 a minute and 100 an hour" in shown
    assert "support request" in shown


def test_old_tls_that_gets_in_is_told_from_old_tls_that_is_refused() -> None:
    assert "by an exception for old clients" in hint("legacy_tls", tries_refused=0)
    assert "It was refused 7 times" in hint("legacy_tls", tries_refused=7, versions_reported=None)


@pytest.mark.parametrize(
    ("scope", "command"),
    [
        ("mailbox", "Set-CASMailbox -Identity 'No Basic'"),
        ("policy", "Set-AuthenticationPolicy -Identity 'No Basic' -AllowBasicAuthSmtp:$false"),
        ("tenant", "Set-TransportConfig -SmtpClientAuthenticationDisabled $true"),
    ],
)
def test_the_switch_that_was_opened_is_the_one_to_close(scope: str, command: str) -> None:
    shown = hint("basic_reenabled", scope=scope, name="No Basic")

    assert command in shown
    assert shown.index("Search-UnifiedAuditLog") < shown.index(command)


def test_a_password_that_was_right_comes_first() -> None:
    hit = hint("smtp_auth_spray", accounts_with_a_right_password=7, right_for="a@contoso.example")
    miss = hint("smtp_auth_spray", accounts_with_a_right_password=0, right_for=None)

    assert "For 7 accounts the password was right" in words(hit)
    assert "and 2 more" in hit
    assert hit.index("Revoke-MgUserSignInSession") < hit.index("New-AuthenticationPolicy")
    assert "Revoke-" not in miss


def test_a_guess_that_succeeded_is_told_from_one_that_did_not() -> None:
    assert "It knows the password" in hint("smtp_auth_brute_force", right_password_from="203.0.113.9")
    assert "No password was right so far" in hint("smtp_auth_brute_force", right_password_from=None)


def test_a_new_network_names_the_harmless_reasons_before_anything_is_shut() -> None:
    shown = hint("basic_from_new_network")

    assert shown.index("DHCP") < shown.index("Set-CASMailbox")
    assert "NAT" in shown
