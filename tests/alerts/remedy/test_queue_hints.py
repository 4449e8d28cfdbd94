"""The hints about queues, lost mail, refusals in part, recoveries and our own sight, for what each detection finds."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from alerts.decide import Reason
from alerts.group import group
from alerts.message import Message
from alerts.remedy import render_finding_hint
from alerts.remedy.rescue import queues
from alerts.render import render
from pipeline.model import Window
from queries.ask import ask
from queries.cases import NOW, case_connection
from queries.detection import Detection, detection
from queries.facts import SenderFacts
from queries.history import entries, noted_of
from tests.alerts.remedy.samples import facts, full_facts
from tests.hostile import HOSTILE

NAMES = (
    "rescuable_queue",
    "lost_mail",
    "partial_refusal",
    "refused_then_recovered",
    "rejects_rising",
    "clock_wrong",
    "unknown_replies",
)
FIRING = [(name, case["name"]) for name in NAMES for case in detection(name).cases if case["finds"]]
HEADINGS = ["What it means", "Check first", "Then", "It is over when"]
A_SCREEN = 45
BLOCKS = {"heading", "paragraph", "bullet_list", "ordered_list", "list_item", "fence", "inline"}
INLINE = {"text", "text_special", "code_inline", "strong_open", "strong_close", "softbreak"}


@cache
def findings(name: str, case_name: str) -> list[Mapping[str, Any]]:
    """Return the rows that the detection finds in one of its cases, as the history keeps them."""
    which, case = detection(name), next(each for each in detection(name).cases if each["name"] == case_name)
    with case_connection(case) as connection:
        found = ask(connection, which, Window(NOW - which.window, NOW))
    return [noted_of(row).facts for row in entries([], found, which.window, NOW)]


def finding(name: str, **known: Any) -> dict[str, Any]:
    """Return what the detection finds first, with what is `known` instead."""
    case = next(each for each in detection(name).cases if each["finds"])
    return {**findings(name, case["name"])[0], **known}


def hint_of(found: Mapping[str, Any], which: Detection, others: int = 0, about: SenderFacts | None = None) -> str:
    if about is None and which.about == ("sender",):
        about = full_facts(sender=found["sender"], reply_class="")
    return render_finding_hint(which.remedy, which, found, others, about)


def hint(name: str, others: int = 0, **known: Any) -> str:
    return hint_of(finding(name, **known), detection(name), others)


def message(name: str) -> Message:
    which, case = detection(name), next(each for each in detection(name).cases if each["finds"])
    with case_connection(case) as connection:
        found = ask(connection, which, Window(NOW - which.window, NOW))
    noted = [noted_of(row) for row in entries([], found, which.window, NOW)]
    about = {each.fingerprint: full_facts(sender=each.sender, reply_class="") for each in noted if each.sender}
    return render(group(noted)[0], Reason.NEW, about, NOW)


def parsed(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": False}).parse(markdown)


def headings(markdown: str) -> list[tuple[str, str]]:
    tokens = parsed(markdown)
    return [(token.tag, tokens[at + 1].content) for at, token in enumerate(tokens) if token.type == "heading_open"]


def commands(markdown: str) -> list[tuple[str, str]]:
    blocks = [token for token in parsed(markdown) if token.type == "fence"]
    return [(block.info, line) for block in blocks for line in block.content.splitlines()]


def words(markdown: str) -> str:
    return " ".join(child.content for token in parsed(markdown) for child in token.children or [])


@pytest.mark.parametrize(("name", "case"), FIRING)
@pytest.mark.parametrize("others", [0, 1, 7])
def test_a_hint_has_four_headings_no_hole_and_fits_on_a_screen(name: str, case: str, others: int) -> None:
    for found in findings(name, case):
        rendered = hint_of(found, detection(name), others)

        assert headings(rendered) == [("h3", heading) for heading in HEADINGS]
        assert not re.search(r"\{\{|\{%|Undefined|\bNone\b|\n\n\n", rendered)
        assert len(rendered.splitlines()) <= A_SCREEN


@pytest.mark.parametrize(("name", "case"), FIRING)
def test_every_command_says_whether_it_reads_or_changes(name: str, case: str) -> None:
    for found in findings(name, case):
        shown = commands(hint_of(found, detection(name)))

        assert shown
        assert {language for language, _ in shown} <= {"sh", "powershell"}
        assert [line for _, line in shown if not re.search(r"  # (reads|changes): ", line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_something_is_looked_at_before_anything_is_changed(name: str) -> None:
    kinds = [re.findall(r"  # (reads|changes): ", line)[0] for _, line in commands(hint(name))]

    assert kinds[0] == "reads"


@pytest.mark.parametrize("name", NAMES)
def test_the_title_names_what_it_is_about_and_no_fact_is_empty(name: str) -> None:
    said = message(name)

    assert "(unknown)" not in said.title
    assert "{" not in said.title
    assert all(str(value) in said.title for value in (finding(name)[each] for each in detection(name).about))
    assert all(label and value for label, value in said.facts)


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", NAMES)
def test_hostile_values_stay_text(name: str, value: str) -> None:
    plain = finding(name)
    hostile = {key: value if isinstance(known, str) else known for key, known in plain.items()}
    about = full_facts(sender=value, reply_class="", relays=(value,)) if "sender" in plain else None

    rendered = hint_of(hostile, detection(name), about=about)

    tokens = parsed(rendered)
    assert headings(rendered) == [("h3", heading) for heading in HEADINGS]
    assert {re.sub("_(open|close)$", "", token.type) for token in tokens} <= BLOCKS
    assert {child.type for token in tokens for child in token.children or []} <= INLINE
    assert [line for _, line in commands(rendered) if not re.search(r"  # (reads|changes): ", line)] == []


@pytest.mark.parametrize("value", [value for value in HOSTILE.values() if len(value) < 1_000])
@pytest.mark.parametrize(("name", "column"), [("rejects_rising", "source"), ("rejects_rising", "origin")])
def test_a_hostile_value_stays_one_argument_of_a_command(name: str, column: str, value: str) -> None:
    plain = commands(hint_of({**finding(name), column: "/x"}, detection(name)))

    shown = commands(hint_of({**finding(name), column: f"/{value}"}, detection(name)))

    assert [len(shlex.split(line, comments=True)) for _, line in shown] == [
        len(shlex.split(line, comments=True)) for _, line in plain
    ]


@pytest.mark.parametrize("name", ["lost_mail", "partial_refusal", "refused_then_recovered"])
def test_a_mailbox_that_nobody_knows_has_to_be_filled_in(name: str) -> None:
    unknown = finding(name, sender="(unknown sender)")

    rendered = hint_of(unknown, detection(name), about=facts(sender="(unknown sender)", reply_class=""))

    assert "authsunset senders THE-MAILBOX" in rendered
    assert "yours to fill in" in rendered


@pytest.mark.parametrize("program", [queue.format for queue in queues()])
def test_the_queue_is_shown_before_it_is_sent_with_the_commands_of_its_program(program: str) -> None:
    queue = next(each for each in queues() if each.format == program)

    shown = hint("rescuable_queue", program=program)

    assert shown.index(f"{queue.reads}  # reads") < shown.index("### Then") < shown.index(f"{queue.sends}  # changes")
    assert ("keep mail for longer" in shown) != bool(queue.longer)
    assert {language for language, _ in commands(shown)} == ({"sh", "powershell"} if "exch" in program else {"sh"})


@pytest.mark.parametrize(("listing", "command"), [("postfix_queue", "postqueue -f"), ("exchange_queue", "Retry-Queue")])
def test_a_listing_of_a_queue_is_that_of_its_program(listing: str, command: str) -> None:
    assert command in hint("rescuable_queue", program=listing)


def test_of_a_program_that_is_not_known_the_usual_commands_are_told() -> None:
    shown = hint("rescuable_queue", program="dsn")

    assert "mailq  # reads" in shown
    assert "reckoned from 5 days" in words(shown)


def test_the_rescue_says_until_when_and_whether_that_is_known() -> None:
    reckoned = hint("rescuable_queue")
    told = hint("rescuable_queue", that_time_is="told by the relay")

    assert "2027-01-05 20:00 UTC" in words(reckoned)
    assert "look first" in reckoned
    assert "what the relay itself says" in told


def test_one_mail_is_one_mail() -> None:
    assert "holds 1 mail that" in hint("rescuable_queue", mails=1)
    assert hint("lost_mail", mails=1, recipients=1).count("1 mail of") == 1
    assert "1 recipient does not know" in hint("lost_mail", recipients=1)


def test_lost_mail_says_when_the_log_does_not_tell_to_whom_it_went() -> None:
    shown = hint("lost_mail", recipients=0, some_recipients=None)

    assert "does not tell to whom" in shown
    assert "None" not in shown


def test_more_recipients_than_are_listed_are_counted() -> None:
    assert "and 37 more" in hint("lost_mail", recipients=42)


def test_a_device_that_is_always_refused_is_told_from_a_roll_out_bit_by_bit() -> None:
    one_of_several = hint("partial_refusal")
    bit_by_bit = hint("partial_refusal", devices_always_refused=0)

    assert "Refused every time: 1 of its devices" in one_of_several
    assert "set the refused ones alike" in one_of_several
    assert "The same devices are refused and accepted" in bit_by_bit
    assert "all devices at once" in bit_by_bit


def test_a_recovery_with_a_password_is_not_called_done() -> None:
    by_password = hint("refused_then_recovered", log_in="basic")
    by_oauth = hint("refused_then_recovered", log_in="oauth2")

    assert "still logs in with a password" in by_password
    assert "count the sender as done" not in by_password
    assert "count the sender as done" in by_oauth


def test_a_recovery_says_what_is_to_be_sent_again() -> None:
    assert "1 mail of that time was never accepted" in hint("refused_then_recovered")
    assert "Nothing is to be sent again" in hint("refused_then_recovered", mails_never_accepted=0)


def test_a_wrong_zone_is_mended_in_the_settings_and_a_wrong_clock_at_the_clock() -> None:
    zone = hint("clock_wrong")
    clock = hint("clock_wrong", looks_like="a clock that runs wrong: the difference is no whole hours")

    assert "zone = " in zone
    assert "zone = " not in clock
    assert "timedatectl set-ntp true" in clock


def test_when_many_clocks_are_wrong_it_is_our_own() -> None:
    assert "the clock of this machine" in hint("clock_wrong", others=9)
    assert "the clock of this machine" not in hint("clock_wrong")


def test_rejects_without_a_reason_or_a_file_leave_no_hole() -> None:
    shown = hint("rejects_rising", commonest_reason=None, origin=None)

    assert "None" not in shown
    assert "commonest" not in shown
    assert "tail" not in shown


def test_an_unknown_answer_to_a_log_in_is_said_to_be_about_it() -> None:
    assert "answer to a log-in" in hint("unknown_replies", stage="auth")
    assert "answer to a log-in" not in hint("unknown_replies", stage=None)


def test_a_time_reads_the_same_from_the_history_and_from_the_query() -> None:
    moment = datetime.fromisoformat("2027-01-05T20:00:00+00:00")

    assert hint("rescuable_queue", can_be_saved_until=moment) == hint(
        "rescuable_queue", can_be_saved_until="2027-01-05 20:00:00+00:00"
    )
