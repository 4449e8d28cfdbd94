from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from alerts.channels.teams import LARGEST_BYTES, Settings, as_sent, card, check, escaped
from alerts.plain import one_line
from tests.alerts.channels.samples import hostile_message, message, secret
from tests.hostile import HOSTILE

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
"""Reads more Markdown than Teams shows, HTML included."""


def _elements(of: Any) -> Iterator[dict[str, Any]]:
    if isinstance(of, dict):
        yield of
        of = list(of.values())
    for part in of if isinstance(of, list) else []:
        yield from _elements(part)


def _content(payload: dict[str, Any]) -> dict[str, Any]:
    return payload["attachments"][0]["content"]  # type: ignore[no-any-return]


def _of(kind: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
    return [element for element in _elements(_content(payload)["body"]) if element.get("type") == kind]


def _runs(payload: dict[str, Any]) -> list[str]:
    return [run["text"] for run in _of("TextRun", payload)]


def _as_shown(markdown: str) -> str:
    """Return what a reader sees of `markdown`; fail when any of it is more than text."""
    tokens = READER.parse(markdown)
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    children = [child for token in tokens for child in token.children or []]
    assert {child.type for child in children} <= {"text", "text_special"}
    return "".join(child.content for child in children)


def test_the_payload_has_the_frame_that_a_workflow_expects() -> None:
    payload = card(message())

    (attachment,) = payload["attachments"]
    assert payload["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["contentUrl"] is None
    assert _content(payload)["type"] == "AdaptiveCard"
    assert _content(payload)["version"] == "1.4"
    assert _content(payload)["msteams"] == {"width": "Full"}


def test_title_reason_severity_and_summary_are_shown() -> None:
    runs = _runs(card(message()))

    assert runs[:4] == [
        "new · high",
        "scanner@contoso.example is refused: Basic authentication is off",
        "Exchange Online answers 550 5.7.30 to this sender.",
        "12 mails wait in the queue of relay1.contoso.example.",
    ]


@pytest.mark.parametrize(
    ("severity", "colour"),
    [
        ("critical", "Attention"),
        ("high", "Attention"),
        ("medium", "Warning"),
        ("low", "Accent"),
        ("info", "Default"),
        ("never heard of", "Default"),
    ],
)
def test_the_severity_colours_the_title(severity: str, colour: str) -> None:
    title = _of("TextRun", card(message(severity=severity)))[1]

    assert title["color"] == colour


def test_a_heading_of_the_hint_is_bold() -> None:
    bold = [block["text"] for block in _of("TextBlock", card(message())) if block.get("weight") == "Bolder"]

    assert bold == ["What it means", "Check first", "Then", "It is over when"]


def test_code_of_the_hint_is_monospace_and_can_be_copied_as_it_is() -> None:
    code = [run["text"] for run in _of("TextRun", card(message())) if run.get("fontType") == "Monospace"]

    assert code == [
        'Get-MessageTraceV2 -SenderAddress "scanner@contoso.example" |',
        "    Where-Object { $_.Status -ne 'Delivered' }",
    ]


def test_lists_links_and_emphasis_of_the_hint_stay_markdown() -> None:
    prose = [block["text"] for block in _of("TextBlock", card(message()))]

    assert any(
        "**password**" in text and "[the announcement](https://learn.example/basic-auth)" in text for text in prose
    )
    assert any(text.startswith("1. Send through the relay.\n2. Keep") for text in prose)


def test_code_inside_a_list_is_code_too() -> None:
    hint = "1. First:\n\n   ```sh\n   postqueue -p\n   ```\n\n2. Second."

    payload = card(message(hint=hint))

    assert [run["text"] for run in _of("TextRun", payload) if run.get("fontType")] == ["postqueue -p"]
    assert [block["text"] for block in _of("TextBlock", payload)] == ["1. First:", "2. Second."]


def test_ten_facts_are_shown_and_the_rest_is_counted() -> None:
    facts = tuple((f"Fact {number}", str(number)) for number in range(13))

    payload = card(message(facts=facts))

    (shown,) = _of("FactSet", payload)
    assert [fact["title"] for fact in shown["facts"]] == [f"Fact {number}" for number in range(10)]
    assert _runs(payload)[-1] == "… and more: 3 more facts did not fit into Teams."


def test_a_message_that_fits_has_no_note() -> None:
    assert "and more" not in as_sent(card(message())).decode()


def test_a_message_without_facts_summary_and_hint_is_still_a_card() -> None:
    payload = card(message(facts=(), summary="", hint=""))

    assert _of("FactSet", payload) == []
    assert len(_content(payload)["body"]) == 1


@pytest.mark.parametrize("filler", ["a", "ü", "😀", '"', "\\", "*", "\x00", "a\n", "a\n\n", "```\na\n```\n", "# a\n"])
def test_the_largest_message_fits_and_says_what_is_missing(filler: str) -> None:
    long = filler * (60_000 // len(filler))
    giant = message(
        title=long, reason=long, severity=long, summary=long, facts=((long, long),) * 40, hint=f"# A\n\n{long}"
    )

    sent = as_sent(card(giant))

    assert len(sent) <= LARGEST_BYTES
    assert "… and more: 30 more facts" in sent.decode()
    assert "parts of the hint" in sent.decode()


def test_a_hint_that_is_too_long_loses_its_end_and_no_command_is_halved() -> None:
    blocks = [f"## Step {number}\n\n```\n{'x' * 900} {number}\n```\n" for number in range(60)]

    payload = card(message(hint="\n".join(blocks)))

    code = [run["text"] for run in _of("TextRun", payload) if run.get("fontType") == "Monospace"]
    assert code == [f"{'x' * 900} {number}" for number in range(len(code))]
    assert LARGEST_BYTES - 2_000 < len(as_sent(payload)) <= LARGEST_BYTES
    shown = 2 * len(code)
    assert _runs(payload)[-1] == f"… and more: the last {120 - shown} of 120 parts of the hint did not fit into Teams."
    assert _content(payload)["body"][-2]["type"] == "Container"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_shown_as_text(text: str) -> None:
    payload = card(hostile_message(text))

    (facts,) = _of("FactSet", payload)
    assert _as_shown(facts["facts"][0]["value"]) == one_line(text, 200)
    assert _as_shown(facts["facts"][1]["title"]) == one_line(text, 60)
    assert _runs(payload)[1] == one_line(text, 200)
    hint = [block["text"] for block in _of("TextBlock", payload)]
    assert hint == [block["text"] for block in _of("TextBlock", card(message()))]


@limits(deadline=None)
@given(st.text())
def test_any_fact_is_shown_as_text(text: str) -> None:
    assert _as_shown(escaped(one_line(text, 500))) == one_line(text, 500)


@limits(deadline=None)
@given(st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=15))
def test_any_message_is_a_card_that_fits(text: str, facts: list[tuple[str, str]]) -> None:
    sent = as_sent(card(message(title=text, summary=text, facts=tuple(facts), hint=text)))

    assert len(sent) <= LARGEST_BYTES
    assert _of("Container", json.loads(sent))


@pytest.mark.parametrize("mention", ["<at>everyone</at>", "<AT id=0>x</AT>"])
def test_a_mention_that_reached_the_hint_unescaped_is_text(mention: str) -> None:
    (block,) = _of("TextBlock", card(message(hint=f"Ask {mention} now.")))

    assert _as_shown(block["text"]) == f"Ask {mention} now."


def test_an_override_of_the_reading_direction_is_spelled_out_in_code() -> None:
    payload = card(message(hint="```\nrm \u202egpj.exe\n```"))

    assert "rm {U+202E}gpj.exe" in _runs(payload)


def _checked(folder: Path, url: str, **changes: Any) -> list[str]:
    return check(Settings(url=secret(folder, "url", url), **changes))


@pytest.mark.parametrize(
    "url",
    [
        "https://prod-12.westeurope.logic.azure.com:443/workflows/0a/triggers/manual/paths/invoke?api-version=1&sig=x",
        "https://0a.4b.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0a/triggers/"
        "manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=x",
    ],
)
def test_both_forms_of_a_workflow_address_are_good(tmp_path: Path, url: str) -> None:
    assert _checked(tmp_path, url) == []


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://contoso.webhook.office.com/webhookb2/0a/IncomingWebhook/0b/0c", "make a Workflows webhook instead"),
        ("https://hooks.contoso.example/x?sig=y", "no host of Teams Workflows"),
        ("https://logic.azure.com.evil.example/x?sig=y", "no host of Teams Workflows"),
        ("https://evillogic.azure.com/x?sig=y", "no host of Teams Workflows"),
        ("https://evil.example/.logic.azure.com?sig=y", "no host of Teams Workflows"),
        ("https://prod-1.logic.azure.com@evil.example/?sig=y", "log-in before the @"),
        ("http://prod-1.westeurope.logic.azure.com/x?sig=y", "use https"),
        ("https://prod-12.westeurope.logic.azure.com/workflows/0a/triggers/manual/paths/invoke?api-version=1", "cut"),
        ("", "is empty"),
        ("sig=y", "is not a web address"),
    ],
)
def test_any_other_address_is_a_complaint_that_does_not_show_it(tmp_path: Path, url: str, complaint: str) -> None:
    (found,) = _checked(tmp_path, url)

    assert complaint in found
    assert "sig=y" not in found


def test_a_host_that_the_settings_allow_is_good(tmp_path: Path) -> None:
    url = "https://flow.contoso.example/x"

    assert _checked(tmp_path, url, allow_hosts=("Flow.contoso.example",)) == []
    assert _checked(tmp_path, url, allow_hosts=("contoso.example",)) != []
