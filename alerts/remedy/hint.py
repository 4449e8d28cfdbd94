"""
Render the hint for one sender: Markdown of ours, with values that anybody may have written.

A value that passes no filter is escaped as Markdown, so forgetting one is safe. Filters: `md` for text, `ps` and `sh`
for one argument of a command, `line` for a line of a settings file, `sentence` for a reason. Nothing is run by us.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from alerts.remedy.choose import Advice, choose
from alerts.remedy.evidence import Case, case_of, relays_text
from alerts.remedy.rescue import queue_of, queues
from alerts.remedy.ways import plan, ways
from pipeline.replies import meaning_of
from queries.detection import Detection
from queries.facts import SenderFacts

LONGEST_VALUE = 120
NO_MAILBOX = "THE-MAILBOX"

_HINTS: Mapping[str, str] = {
    "smtp_auth_off": "smtp_auth_off",
    "not_authenticated": "not_authenticated",
    "security_defaults": "policy_block",
    "conditional_access": "policy_block",
}
_LONGEST_ADDRESS = 320
_LONGEST_NAME = 60
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SPECIAL = re.compile(  # in the midst of a word or before a space, - . : ) mean nothing and read better bare
    r"[\\`*_{}\[\]<>#+!|~&@=^$]|(?<![A-Za-z0-9])-|-(?![A-Za-z0-9])|\.(?=\S)|(?<=\d)[.)]|:(?=\S)"
)
_QUOTES = re.compile("['‘’‚‛]")
_ADDRESS = re.compile(r"[^\s@]+@[^\s@]+")


class Ready(str):
    """Text that is safe where it stands; everything made from it is a plain str again and will be escaped."""

    __slots__ = ()


def render_hint(facts: SenderFacts, advice: Advice) -> str:
    """Return the Markdown hint for `advice`, with this sender's values in it."""
    case = case_of(facts)
    name = _HINTS.get(case.reply, advice.way)
    return _templates().get_template(f"{name}.md.j2").render(_values(facts, advice, case)).strip() + "\n"


def render_own_hint(name: str, values: Mapping[str, Any]) -> str:
    """Return the Markdown hint `name`, which is about no way out, with `values` in it."""
    return _templates().get_template(f"{name}.md.j2").render(values).strip() + "\n"


def render_finding_hint(
    name: str, detection: Detection, finding: Mapping[str, Any], others: int, facts: SenderFacts | None
) -> str:
    """
    Return the Markdown hint `name` for one finding of `detection`, of which `others` are open beside it.

    A template gets `finding` (the row of the detection), `detection`, `others`, `queues` by the program that keeps
    them, and of a finding about a sender, whose `facts` are given, all that the ways out get too.
    """
    told: dict[str, Any] = {"queues": {queue.format: queue for queue in queues()}}
    if facts:
        told |= _values(facts, choose(facts), case_of(facts))
    return render_own_hint(name, {**told, "finding": finding, "detection": detection, "others": others})


def md(value: object) -> Ready:
    """Return `value` as Markdown that reads as that very text, on one line and not longer than 120 characters."""
    seen = "".join(_visible(character) for character in str(value)[: 4 * LONGEST_VALUE])
    text = re.sub(" +", " ", seen).strip()
    is_whole = len(text) <= LONGEST_VALUE and len(str(value)) <= 4 * LONGEST_VALUE
    return Ready(_SPECIAL.sub(r"\\\g<0>", text if is_whole else text[: LONGEST_VALUE - 1] + "…"))


def ps(value: object) -> Ready:
    """Return `value` as a literal string of PowerShell, which takes typographic quotes for quotes too."""
    return Ready("'" + _QUOTES.sub(r"\g<0>\g<0>", _without_unseen(value)) + "'")


def sh(value: object) -> Ready:
    """Return `value` as one argument for a shell."""
    return Ready(shlex.quote(_without_unseen(value)))


def line(value: object) -> Ready:
    """Return `value` as it is, for a line of a settings file in a fenced block."""
    return Ready(_without_unseen(value))


def sentence(value: object) -> Ready:
    """Return a reason, which is a sentence of ours around short values, as Markdown of any length."""
    return Ready(" ".join(md(word) for word in str(value)[:1_000].split(" ")))


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp", "Cs"}:
        return "␣"
    return "" if category in _UNSEEN else character


def _without_unseen(value: object) -> str:
    return "".join(character for character in str(value) if unicodedata.category(character) not in _UNSEEN)


def _values(facts: SenderFacts, advice: Advice, case: Case) -> dict[str, Any]:
    mailbox = _mailbox(facts.sender)
    local, _, domain = mailbox.partition("@")
    return {
        "facts": facts,
        "advice": advice,
        "case": case,
        "way": ways()[advice.way],
        "plan": plan(),
        "meaning": meaning_of(facts.reply_class),
        "relays": relays_text(facts),
        "queue": queue_of(facts),
        "span": f"{facts.first_seen:%Y-%m-%d %H:%M} to {facts.last_seen:%Y-%m-%d %H:%M %Z}",
        "mailbox": mailbox,
        "mailbox_known": mailbox != NO_MAILBOX,
        "domain": domain or "THE-DOMAIN",
        "label": f"SMTP {local}"[:_LONGEST_NAME],
        "mailbox_filter": "PrimarySmtpAddress -eq '" + mailbox.replace("'", "''") + "'",
        "hve_account": f"hve-{mailbox}",
        "graph_url": f"https://graph.microsoft.com/v1.0/users/{quote(mailbox, safe='@')}/sendMail",
    }


def _mailbox(sender: str) -> str:
    """Return `sender` if it can stand in a command, or words that a person has to replace."""
    is_pastable = len(sender) <= _LONGEST_ADDRESS and _ADDRESS.fullmatch(sender) and _without_unseen(sender) == sender
    return sender if is_pastable else NO_MAILBOX


def _escaped(value: object) -> object:
    """Escape what no filter made ready; StrictUndefined passes, so that it complains as it should."""
    return value if isinstance(value, Ready | StrictUndefined) else md(value)


@cache
def _templates() -> Environment:
    found = SandboxedEnvironment(  # Markdown, not HTML: `finalize` is what escapes
        loader=PackageLoader("alerts.remedy", "hints"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_escaped,
    )
    found.filters.update({"md": md, "ps": ps, "sh": sh, "line": line, "sentence": sentence})
    return found
