"""
Post to a Microsoft Teams channel through a Workflows webhook.

The address holds a signature and is a secret as a whole. 202 means queued, not posted: the flow may still fail, or be
switched off when its owner leaves, so a second channel should exist. A message may weigh 28 KB as sent.
Text from logs goes into TextRuns, which know no Markdown, so that an address or a command is copied exactly as it
is. Facts know Markdown, so there it is escaped. A block of code is shown whole or not at all: half a command is worse
than none. An old connector address (webhook.office.com) hides errors behind a 200 and is refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from alerts.http import address_complaints, endpoints_of, post, split
from alerts.markdown import CODE, HEADING, Piece, pieces
from alerts.message import Message
from alerts.plain import lines, one_line
from pipeline.clock import Now, utc_now
from pipeline.errors import SettingsError
from pipeline.needs import Needs
from pipeline.secret import Secret

USES = "http"

LARGEST_BYTES = 27_000
"""Of the JSON as sent; Teams takes 28 KB, and does not say how it counts."""

MOST_FACTS = 10

WORKFLOW_HOSTS = (".logic.azure.com", ".api.powerplatform.com")

_COLOURS = {"critical": "Attention", "high": "Attention", "medium": "Warning", "low": "Accent"}
_NOTE_BYTES = 400
_MARKS = re.compile(r"[\\`*_\[\]<>~&|]|^[#+\-=]|^[0-9]{1,9}(?=[.)])")
_MENTION = re.compile(r"(?<!\\)<(?=/?at\b)", re.IGNORECASE)

Element = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The address of the workflow; `allow_hosts` names hosts to accept besides Microsoft's public cloud."""

    url: Secret
    allow_hosts: tuple[str, ...] = ()
    timeout_s: float = 10.0


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as far as can be told without a network."""
    complaints = ["timeout_s should be more than 0"] if settings.timeout_s <= 0 else []
    try:
        url = settings.url.reveal()
    except SettingsError as error:
        return [*complaints, str(error)]
    return complaints + (address_complaints(url) or _workflow_complaints(url, settings.allow_hosts))


def needs(settings: Settings) -> Needs:
    """Return the host that is posted to; raise SettingsError when its address is not there."""
    return Needs(endpoints=endpoints_of(settings.url.reveal()))


def send(message: Message, settings: Settings, client: httpx.Client, *, now: Now = utc_now) -> None:
    """Post `message`; raise DeliveryError unless the workflow took it."""
    post(
        client,
        settings.url.reveal(),
        as_sent(card(message)),
        channel="teams",
        timeout_s=settings.timeout_s,
        accepted=(200, 202),
        now=now,
    )


def card(message: Message) -> Element:
    """Return the payload with the Adaptive Card for `message`, cut to the size Teams accepts."""
    parts = pieces(message.hint)
    top = _top(message)
    shown = _fitting(parts, LARGEST_BYTES - _NOTE_BYTES - len(as_sent(_payload(message, top))))
    note = _note(len(message.facts) - MOST_FACTS, len(parts) - len(shown), len(parts))
    return _payload(message, [*top, *map(_block, shown), *note])


def as_sent(payload: Element) -> bytes:
    """Return the bytes of `payload`, as they are counted and posted."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def escaped(text: str) -> str:
    """Return `text` so that Markdown shows it as it is."""
    return _MARKS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}"


def _payload(message: Message, body: list[Element]) -> Element:
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "fallbackText": one_line(message.title, 200),
        "body": body,
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": content,
    }
    return {"type": "message", "attachments": [attachment]}


def _top(message: Message) -> list[Element]:
    """Return what is always shown; its limits keep it below the largest size whatever the message holds."""
    colour = _COLOURS.get(message.severity, "Default")
    heading: Element = {
        "type": "Container",
        "style": "emphasis",
        "bleed": True,
        "items": [
            _run(f"{one_line(message.reason, 60)} · {one_line(message.severity, 20)}", isSubtle=True, size="Small"),
            _run(one_line(message.title, 200), weight="Bolder", size="Medium", color=colour),
        ],
    }
    facts = [
        {"title": escaped(one_line(label, 60)), "value": escaped(one_line(value, 200))}
        for label, value in message.facts[:MOST_FACTS]
    ]
    fact_set: list[Element] = [{"type": "FactSet", "facts": facts}] if facts else []
    return [heading, *map(_run, lines(message.summary, 1_500, 10)), *fact_set]


def _run(text: str, **looks: object) -> Element:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **looks}]}


def _block(piece: Piece) -> Element:
    if piece.kind == CODE:
        rows = [_run(row or " ", fontType="Monospace") | {"spacing": "None"} for row in piece.text.split("\n")]
        return {"type": "Container", "style": "emphasis", "items": rows}
    text = _MENTION.sub(r"\\<", piece.text)
    block: Element = {"type": "TextBlock", "text": text, "wrap": True}
    return block | ({"weight": "Bolder", "spacing": "Large"} if piece.kind == HEADING else {})


def _fitting(parts: list[Piece], room: int) -> list[Piece]:
    """Return the first of `parts` that fit into `room` bytes; a heading that lost its text goes too."""
    shown: list[Piece] = []
    for part in parts:
        room -= len(as_sent(_block(part))) + 1
        if room < 0:
            break
        shown.append(part)
    while len(shown) < len(parts) and shown and shown[-1].kind == HEADING:
        shown.pop()
    return shown


def _note(facts_left: int, parts_left: int, parts: int) -> list[Element]:
    left = [f"{facts_left} more facts"] if facts_left > 0 else []
    left += [f"the last {parts_left} of {parts} parts of the hint"] if parts_left else []
    return [_run(f"… and more: {' and '.join(left)} did not fit into Teams.", isSubtle=True)] if left else []


def _workflow_complaints(url: str, allow_hosts: tuple[str, ...]) -> list[str]:
    parts = split(url)
    host = (parts.hostname or "").lower() if parts else ""
    if host in {allowed.lower() for allowed in allow_hosts}:
        return []
    if host.endswith(".webhook.office.com"):
        return ["the url is one of an Office 365 connector, which Microsoft retired: make a Workflows webhook instead"]
    if not host.endswith(WORKFLOW_HOSTS):
        return [
            f"the url leads to {one_line(host, 100)}, which is no host of Teams Workflows "
            f"(…{' or …'.join(WORKFLOW_HOSTS)}): copy the address from the workflow, or name the host in allow_hosts"
        ]
    if parts and "sig=" not in parts.query:
        return ["the url has no sig=, so it was cut when it was copied: copy the whole address, in quotes"]
    return []
