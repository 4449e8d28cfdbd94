"""A message about authsunset itself: what fails, since when, with which error, what is not known, what to do first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from alerts.decide import Reason
from alerts.group import group
from alerts.message import Message
from alerts.render import render
from pipeline.cli import COMMANDS
from queries.detection import detections
from queries.history import Noted
from tests.conftest import NOW
from tests.hostile import HOSTILE

HEADINGS = ["What it means", "Check first", "Then", "It is over when"]
A_SCREEN = 45
JOBS = [
    "source tenant",
    "detection rejection/basic_auth_refused",
    "channel oncall",
    "delivery",
    "maintenance",
    "reload",
]
KINDS = [(job, which) for job in JOBS for which in ("health/job_failing", "health/job_overrunning")]
FULL = "no space left on device; make room"


def noted(job: str, detection: str = "health/job_failing", minutes: int = 26, **facts: Any) -> Noted:
    """Return the finding that a job has been in trouble for some minutes."""
    error = {} if detection.endswith("overrunning") else {"error": facts.get("error", FULL)}
    return Noted(
        fingerprint=f"{detection} {job}",
        state="open",
        detection=detection,
        severity="high",
        sender="",
        episode=NOW - timedelta(minutes=minutes),
        first_seen=NOW - timedelta(minutes=minutes),
        last_seen=NOW - timedelta(minutes=1),
        is_late=False,
        facts={"job": job, "times": 14, **error},
        over_at=None,
        because="",
    )


def said(*findings: Noted, reason: Reason = Reason.NEW) -> Message:
    [together] = group(findings)
    return render(together, reason, {}, NOW)


def parsed(message: Message) -> list[Token]:
    return MarkdownIt("commonmark", {"html": False}).parse(message.hint)


def commands(message: Message) -> list[str]:
    return [line for token in parsed(message) if token.type == "fence" for line in token.content.splitlines()]


def facts(message: Message) -> Mapping[str, str]:
    return dict(message.facts)


@pytest.mark.parametrize(("job", "which"), KINDS)
def test_it_says_what_since_when_and_what_is_not_known_meanwhile(job: str, which: str) -> None:
    message = said(noted(job, which))

    assert job in message.title
    assert facts(message)["Since"] == "2026-12-31 22:34 UTC, 26 min ago"
    assert message.summary.endswith(".")
    assert facts(message).get("Last error") == (None if which.endswith("overrunning") else FULL)


@pytest.mark.parametrize(("job", "which"), KINDS)
def test_the_hint_has_four_headings_on_a_screen_and_no_hole(job: str, which: str) -> None:
    message = said(noted(job, which))

    tokens = parsed(message)
    assert [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"] == HEADINGS
    assert not re.search(r"\{\{|\{%|Undefined|None|\n\n\n", message.hint)
    assert len(message.hint.splitlines()) <= A_SCREEN


@pytest.mark.parametrize(("job", "which"), KINDS)
def test_every_command_exists_and_says_whether_it_reads_or_changes(job: str, which: str) -> None:
    lines = commands(said(noted(job, which)))

    ours = [match[1] for line in lines if (match := re.match(r"(?:sudo -u authsunset )?authsunset ([a-z]+)", line))]
    assert ours
    assert set(ours) <= {*COMMANDS, "doctor"}
    assert [line for line in lines if not re.search(r"  # (reads|changes)\b", line)] == []


@pytest.mark.parametrize("job", JOBS)
def test_what_would_change_the_lake_is_done_as_the_user_of_the_service(job: str) -> None:
    changing = [line for line in commands(said(noted(job))) if "  # changes" in line]

    assert changing
    assert all(line.startswith(("sudo -u authsunset ", "systemctl reload ")) for line in changing)


def test_the_commands_name_the_job_itself() -> None:
    assert any("ingest --source tenant " in line for line in commands(said(noted("source tenant"))))
    assert any("detect --rule rejection/x " in line for line in commands(said(noted("detection rejection/x"))))


def test_a_full_disk_is_one_message_that_names_one_cause() -> None:
    message = said(*(noted(job, minutes=30 - at) for at, job in enumerate(JOBS)))

    assert message.title == "authsunset's source tenant keeps failing (and 5 more)"
    assert "look for **one cause**" in message.hint
    assert [value for label, value in message.facts if label == "Also"] == [
        f"{job}, since 2026-12-31 22:{30 + at} UTC: the same error" for at, job in enumerate(JOBS[1:], start=1)
    ]
    assert len(message.summary.splitlines()) == len(JOBS), "what each kind of job means to those who rely on it"


def test_jobs_with_errors_of_their_own_are_told_with_them_the_oldest_first() -> None:
    message = said(noted("source b", minutes=20, error="401"), noted("source a", minutes=50))

    assert message.title == "authsunset's source a keeps failing (and 1 more)"
    assert facts(message)["Also"] == "source b, since 2026-12-31 22:40 UTC: 401"
    assert "begin with the source a" in message.hint


def test_a_hundred_jobs_in_trouble_are_still_a_short_message() -> None:
    message = said(*(noted(f"source s{number}") for number in range(100)))

    assert len(message.facts) <= 12
    assert len(message.summary) < 500


def test_over_says_from_when_to_when_and_why() -> None:
    ended = replace(noted("source tenant"), state="over", over_at=NOW, because="it got through again")

    message = said(ended, reason=Reason.RESOLVED)

    assert message.title == "Over: authsunset's source tenant keeps failing"
    assert message.summary == "It is over since 2026-12-31 23:00 UTC: it got through again."
    assert message.facts == (("source tenant", "2026-12-31 22:34 UTC to 2026-12-31 23:00 UTC"),)
    assert message.hint == ""


def test_programs_get_the_finding_too() -> None:
    [finding] = said(noted("source tenant")).data["findings"]

    assert finding["facts"] == {"job": "source tenant", "times": 14, "error": FULL}


@pytest.mark.parametrize(
    "each", [each for each in detections() if each.id.startswith("health/job_")], ids=lambda each: each.id
)
def test_each_detection_about_ourselves_has_a_hint_of_its_own(each: Any) -> None:
    assert said(noted("source tenant", each.id)).hint


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_name_or_error_stays_text(value: str) -> None:
    message = said(noted(f"source {value}", error=value))

    tokens = parsed(message)
    assert [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"] == HEADINGS
    assert {token.type for token in tokens} <= {
        "heading_open",
        "heading_close",
        "paragraph_open",
        "paragraph_close",
        "inline",
        "fence",
    }
    assert not [line for line in commands(message) if not re.search(r"  # (reads|changes)\b", line)]
