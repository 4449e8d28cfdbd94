from __future__ import annotations

import re
import shlex
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from jinja2 import UndefinedError
from markdown_it import MarkdownIt
from markdown_it.token import Token

from alerts.remedy import advise
from alerts.remedy.choose import choose
from alerts.remedy.hint import NO_MAILBOX, _templates, md, ps, render_hint, sh
from alerts.remedy.rescue import Queue, queues
from alerts.remedy.ways import ways
from queries.detection import detections
from queries.facts import Device, SenderFacts
from tests.alerts.remedy.samples import facts, full_facts
from tests.hostile import HOSTILE

HEADINGS = ["What it means", "Check first", "Then", "It is over when"]
A_SCREEN = 45
REPLIES = [
    "",
    "basic_retired",
    "basic_disabled",
    "smtpauth_off_tenant",
    "smtpauth_off_mailbox",
    "security_defaults",
    "conditional_access",
    "not_authenticated",
    "bad_credentials",
    "unheard_of",
]
RENDERED = [(way, reply, make) for way in ways() for reply in REPLIES for make in (facts, full_facts)]
BLOCKS = {"heading", "paragraph", "bullet_list", "ordered_list", "list_item", "fence", "inline"}
INLINE = {"text", "text_special", "code_inline", "strong_open", "strong_close", "em_open", "em_close", "softbreak"}
QUOTES = "'‘’‚‛"


def hint_of(given: SenderFacts, way: str | None = None) -> str:
    advice = choose(given)
    return render_hint(given, replace(advice, way=way, title=ways()[way].title) if way else advice)


def parsed(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": False}).parse(markdown)


def headings(markdown: str) -> list[tuple[str, str]]:
    tokens = parsed(markdown)
    return [(token.tag, tokens[at + 1].content) for at, token in enumerate(tokens) if token.type == "heading_open"]


def commands(markdown: str) -> list[tuple[str, str]]:
    blocks = [token for token in parsed(markdown) if token.type == "fence"]
    return [(block.info, line) for block in blocks for line in block.content.splitlines()]


@pytest.mark.parametrize(("way", "reply", "make"), RENDERED)
def test_a_hint_has_four_headings_and_no_hole(way: str, reply: str, make: Any) -> None:
    hint = hint_of(make(reply_class=reply), way)

    assert headings(hint) == [("h3", heading) for heading in HEADINGS]
    assert "{{" not in hint
    assert "{%" not in hint
    assert "Undefined" not in hint
    assert "None" not in hint
    assert "\n\n\n" not in hint


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("name", ["scanner", "nas", "zabbix", "cron", "erp", "info"])
@pytest.mark.parametrize("known", [{}, {"formats": ("exim",)}, {"relays": ()}, {"relays": (), "external_share": 0.0}])
@pytest.mark.parametrize("mails", [12, 20_000])
def test_the_hint_for_a_sender_of_whom_all_is_known_fits_on_a_screen(
    mails: int, known: dict[str, Any], name: str, reply: str
) -> None:
    given = full_facts(sender=f"{name}@contoso.example", reply_class=reply, mails_per_day=mails, **known)

    assert len(hint_of(given).splitlines()) <= A_SCREEN


@pytest.mark.parametrize(("way", "reply", "make"), RENDERED)
def test_every_command_says_whether_it_reads_or_changes(way: str, reply: str, make: Any) -> None:
    found = commands(hint_of(make(reply_class=reply), way))

    assert found
    assert {language for language, _ in found} <= {"sh", "powershell"}
    assert [line for _, line in found if not re.search(r"  # (reads|changes)(: |; |$)", line)] == []


@pytest.mark.parametrize(("way", "reply", "make"), RENDERED)
def test_reading_commands_only_read(way: str, reply: str, make: Any) -> None:
    changing = re.compile(r"\b(New|Set|Add|Remove|Enable|Disable)-|postconf -e|postqueue -f|\bcreate\b|[^-]>|install")

    lines = [
        line.rpartition("  # ")[0] for _, line in commands(hint_of(make(reply_class=reply), way)) if "  # reads" in line
    ]

    assert [line for line in lines if changing.search(line)] == []


@pytest.mark.parametrize("way", ways())
def test_commands_carry_the_values_of_the_sender(way: str) -> None:
    lines = " ".join(line for _, line in commands(hint_of(full_facts(sender="paula@fabrikam.example"), way)))

    assert ("fabrikam.example" if way in {"direct_send", "connector_relay"} else "paula@fabrikam.example") in lines


@pytest.mark.parametrize("reply", REPLIES)
def test_the_hint_says_the_way_out_and_each_reason(reply: str) -> None:
    given = full_facts(reply_class=reply)

    advice, hint = advise(given)

    shown = "".join(child.content for token in parsed(hint) for child in token.children or [])
    assert advice.title in shown
    assert all(reason in shown for reason in advice.because)


def test_the_rescue_comes_first_while_mail_waits_in_a_postfix_queue() -> None:
    hint = hint_of(full_facts(rescuable=17))

    check = hint.partition("### Check first\n")[2]
    assert check.startswith("**The rescue comes first.** 17 mails still wait in the relay's queue")
    assert "5 days by default" in check
    assert "On relay01, relay02:" in check
    assert check.index("postqueue -p") < check.index("postqueue -f") < check.index("### Then")


def test_one_waiting_mail_is_one_mail() -> None:
    assert "1 mail still waits" in hint_of(full_facts(rescuable=1))


@pytest.mark.parametrize("queue", queues(), ids=lambda queue: queue.format)
def test_each_queue_is_shown_before_it_is_sent_and_each_command_says_what_it_does(queue: Queue) -> None:
    hint = hint_of(full_facts(rescuable=17, formats=(queue.format,)))

    assert f"{queue.called} gives deferred mail up after {queue.keeps}" in hint
    assert hint.index(f"{queue.reads}  # reads") < hint.index(f"{queue.sends}  # changes")


@pytest.mark.parametrize("known", [{"rescuable": 0}, {"formats": ("exim",)}])
def test_without_mail_in_a_postfix_queue_nobody_is_told_to_flush_one(known: dict[str, Any]) -> None:
    assert "postqueue" not in hint_of(full_facts(**known))


def test_before_the_day_the_hint_speaks_of_the_future() -> None:
    hint = hint_of(facts(reply_class=""))

    assert "Nothing is refused yet; from the end of December 2026 on the answer is `550 5.7.30`" in hint
    assert "Exchange Online refuses" not in hint


def test_the_hint_for_smtp_auth_says_that_a_switch_alone_is_no_way_out() -> None:
    hint = hint_of(facts(reply_class="smtpauth_off_tenant"))

    assert "SMTP AUTH is switched off for the tenant, for passwords and OAuth alike" in hint
    assert "helps only until Basic ends" in hint
    assert (
        "Set-CASMailbox -Identity 'someone@contoso.example' -SmtpClientAuthenticationDisabled $false  # changes" in hint
    )


def test_the_hint_for_a_missing_log_in_asks_whether_one_is_sent() -> None:
    hint = hint_of(facts(reply_class="not_authenticated"))

    assert "Does the program send a user name and password at all?" in hint
    assert "Exim and Sendmail go on like this" in hint


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("security_defaults", "Do not switch them off for it"),
        ("conditional_access", "the tab Conditional Access names the policy"),
    ],
)
def test_the_hint_for_a_policy_names_the_policy(reply: str, says: str) -> None:
    assert says in hint_of(facts(reply_class=reply))


def test_hve_is_set_up_with_a_password_and_a_billing_policy_at_the_new_host() -> None:
    hint = hint_of(facts(sender="scanner@contoso.example", external_share=0.0))

    assert "New-MailUser -HVEAccount" in hint
    assert "-Password (Read-Host -AsSecureString 'New password')" in hint
    assert "Set-HVEAccountBillingPolicy -Identity 'hve-scanner@contoso.example'" in hint
    assert "smtp.hve.mx.microsoft" in hint
    assert "smtp-hve.office365.com" not in hint


def test_oauth_is_set_up_with_a_role_for_this_mailbox_only() -> None:
    hint = hint_of(facts(sender="erp@contoso.example"))

    assert "-Role 'Application SMTP.SendAsApp' -App CLIENT_ID" in hint
    assert "-RecipientRestrictionFilter 'PrimarySmtpAddress -eq ''erp@contoso.example'''" in hint
    assert "OBJECT_ID is the object id of the *enterprise application*" in hint
    assert "There is no refresh token" in hint


def test_graph_is_limited_to_this_mailbox_and_202_is_not_called_delivered() -> None:
    hint = hint_of(facts(sender="cron@contoso.example"))

    assert "-Role 'Application Mail.Send' -App CLIENT_ID" in hint
    assert "202 means accepted, not delivered" in hint
    assert "https://graph.microsoft.com/v1.0/users/cron@contoso.example/sendMail" in hint


def test_a_consumer_mailbox_is_not_shown_commands_for_a_tenant() -> None:
    hint = hint_of(facts(endpoints=("smtp-mail.outlook.com",)))

    assert "CASMailbox" not in hint
    assert "offline_access" in hint


@pytest.mark.parametrize("sender", ["(unknown sender)", "", "a b@x.example", "a\n@x.example", "x@" + "y" * 400])
def test_what_cannot_be_a_mailbox_is_left_for_a_person_to_fill_in(sender: str) -> None:
    hint = hint_of(facts(sender=sender))

    assert f"Get-CASMailbox -Identity '{NO_MAILBOX}'" in hint
    assert "the evidence does not name the mailbox" in hint


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_reads_as_text_in_markdown(value: str) -> None:
    tokens = parsed(f"before {md(value)} after")

    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    shown = "".join(child.content for child in tokens[1].children or [])
    assert {child.type for child in tokens[1].children or []} <= {"text", "text_special"}
    assert shown == f"before {as_shown(value)} after"


def as_shown(value: str) -> str:
    """Return what a reader should see of `value`: one line, cut, breaks visible, nothing hidden in it."""
    visible = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "␣", value)
    hidden = re.sub(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\U000e0041]", "", visible)
    text = re.sub(" +", " ", hidden).strip()
    return text if len(text) <= 120 else text[:119] + "…"


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_alone_on_a_line_starts_no_block(value: str) -> None:
    kinds = {token.type for token in parsed(f"{md(value)}\n{md(value)}")}

    assert kinds <= {"paragraph_open", "inline", "paragraph_close"}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("way", ways())
def test_a_hostile_sender_relay_device_and_reply_stay_text_in_every_hint(way: str, value: str) -> None:
    given = full_facts(
        sender=value,
        relays=(value, value),
        devices=(Device(value, value),),
        reply_text=value,
        endpoints=(value,),
    )

    hint = hint_of(given, way)

    tokens = parsed(hint)
    assert headings(hint) == [("h3", heading) for heading in HEADINGS]
    assert {re.sub("_(open|close)$", "", token.type) for token in tokens} <= BLOCKS
    assert {child.type for token in tokens for child in token.children or []} <= INLINE
    assert [line for _, line in commands(hint) if not re.search(r"  # (reads|changes)\b", line)] == []


@pytest.mark.parametrize("value", [value for value in HOSTILE.values() if len(value) < 1_000])
@pytest.mark.parametrize("way", ways())
def test_a_hostile_address_stays_one_argument_in_every_command(way: str, value: str) -> None:
    address = "".join(value.split()) + "'‘x@contoso.example"

    lines = commands(hint_of(full_facts(sender=address), way))

    plain = commands(hint_of(full_facts(sender="scanner@contoso.example"), way))
    assert [skeleton(language, line) for language, line in lines] == [
        skeleton(language, line) for language, line in plain
    ]


def skeleton(language: str, line: str) -> int:
    """Return of how many arguments a command is made, which no value may change."""
    return len(shlex.split(line, comments=True)) if language == "sh" else len(ps_parts(line))


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_goes_through_a_shell_unchanged(value: str) -> None:
    assert shlex.split(sh(value)) == [without_unseen(value)]


@pytest.mark.parametrize("value", [*HOSTILE.values(), "it's", "‘’‚‛'", "''", "’; Remove-Item C:\\ #"])
def test_a_hostile_value_goes_through_powershell_unchanged(value: str) -> None:
    assert ps_parts(ps(value)) == [without_unseen(value)]


def without_unseen(value: str) -> str:
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0041]", "", value
    )


def ps_parts(line: str) -> list[str]:
    """Read a PowerShell line: words and single-quoted literals, in which two quotes of any kind stand for one."""
    parts: list[str] = []
    at = 0
    while at < len(line):
        if line[at] == "#":
            break
        if line[at] == " ":
            at += 1
        elif line[at] in QUOTES:
            text, at = ps_literal(line, at + 1)
            parts.append(text)
        else:
            word = re.match(r"[^ '‘’‚‛]+", line[at:])
            assert word
            parts.append(word[0])
            at += len(word[0])
    return parts


def ps_literal(line: str, at: int) -> tuple[str, int]:
    text = ""
    while at < len(line):
        if line[at] not in QUOTES:
            text += line[at]
            at += 1
        elif line[at + 1 : at + 2] and line[at + 1] in QUOTES:
            text += line[at + 1]
            at += 2
        else:
            return text, at + 1
    raise AssertionError(f"the literal never ends: {line}")


def test_a_long_value_is_cut() -> None:
    assert md("x" * 500) == "x" * 119 + "…"


def test_a_value_that_passes_no_filter_is_escaped_all_the_same() -> None:
    rendered = _templates().from_string("{{ value }} {{ value | upper }} {{ 'a' ~ value }}").render(value="<b>*x*")

    assert rendered == r"\<b\>\*x\* \<B\>\*X\* a\<b\>\*x\*"


def test_text_made_from_an_escaped_value_is_escaped_again() -> None:
    rendered = _templates().from_string("{{ (value | ps) ~ '<i>' }}").render(value="x")

    assert rendered == r"'x'\<i\>"


def test_a_hole_in_a_template_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        _templates().from_string("{{ nothing_of_that_name }}").render()


def test_every_hint_is_for_a_way_a_reply_or_a_detection() -> None:
    names = {path.name.removesuffix(".md.j2") for path in (files("alerts.remedy") / "hints").iterdir()}

    hints = {name for name in names if not name.startswith("_")}
    remedies = {detection.remedy for detection in detections()} - {"basic_auth"}
    assert hints == {*ways(), *remedies, "smtp_auth_off", "not_authenticated", "policy_block"}
