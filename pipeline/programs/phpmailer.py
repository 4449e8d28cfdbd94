"""
PHPMailer, as web applications (WordPress, Moodle, shops) log it.

Reads: `SMTP ERROR: … command failed: 550 …`, the conversation of `SMTPDebug` (`SERVER -> CLIENT`, `CLIENT -> SERVER`,
and `SMTP -> FROM SERVER` of version 5), also as HTML, and what `ErrorInfo` makes of an answer:
`Detail: … SMTP code: 550 Additional SMTP info: 5.7.30`. Leaves: `Could not authenticate`, which says nothing that the
line before it did not say, and the mail itself.

What a reader could not guess:
- The answer stands in the conversation and again in the error: it is one refusal.
- `ErrorInfo` takes an answer apart and sets text, code and enhanced code in this order.
- What the client answers to a challenge is a password in base64 and is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.app_errors import Sign, Values, refusal, reply_in
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.programs import Row
from pipeline.transcripts import Spoken, TranscriptReader

SIGN = Sign(
    re.compile(
        rb"SMTP (?:->? )?(?:ERROR|Error): |\b(?:SERVER -(?:>|&gt;) CLIENT|CLIENT -(?:>|&gt;) S(?:ERVER|MTP)): |"
        rb"\bSMTP -(?:>|&gt;) (?:FROM SERVER|ERROR): ?|Connection: opening to \S+:\d|"
        rb"\bDetail: [^\n]{0,2000}? SMTP[ -][Cc]ode: ?[2-5]\d\d|"
        rb"following recipients failed: [^\s:,]+@|\b(?:Code|C\xc3\xb3digo) SMTP\s?: ?[2-5]\d\d"
    ),
    (b"SMTP", b"CLIENT", b"opening to ", b"recipients failed: "),
)
_TALK = re.compile(
    r"\b(?P<who>SERVER -(?:>|&gt;) CLIENT|CLIENT -(?:>|&gt;) S(?:ERVER|MTP)|SMTP -(?:>|&gt;) FROM SERVER): ?"
    r"(?P<said>.*)",
    re.DOTALL,
)
_OPENING = re.compile(r"Connection: opening to (?:\w+://)?(?P<host>[A-Za-z0-9.-]{1,255}):\d")
_FAILED = re.compile(
    r"SMTP (?:-(?:>|&gt;) )?(?:ERROR|Error): (?P<command>[^\n]{0,60}?)(?: command)?"
    r"(?: failed| not accepted from server)?: ?(?P<reply>[2-5]\d\d[ -].*)",
    re.DOTALL,
)
_TAKEN_APART = re.compile(
    r"(?P<command>[^\n:]{0,60}?)(?: command)? failed\.? ?Detail: (?P<text>[^\n]{0,2000}?) "
    r"(?:SMTP[ -][Cc]ode|Code SMTP|Código SMTP)\s?: ?(?P<code>[2-5]\d\d)"
    r"(?:[^:\n]{1,80}: ?(?P<enhanced>[245]\.\d{1,3}\.\d{1,3}))?"
)
_RECIPIENTS = re.compile(
    r"following recipients failed: (?P<to>[^\s:,]{1,64}@[^\s:,]{1,255}): ?"
    r"(?P<reply>[2-5]\d\d[ -][^\n]*|[45]\.\d{1,3}\.\d{1,3} [^\n]*|"
    r"[^\n]{1,1500}? \[[\w.-]{4,255} [\d:.T-]{20,26}Z [0-9A-F]{16}\])"
)
_HTML = re.compile(r"<br ?/?>\s*\Z|&(?:lt|gt|quot|amp|#0?39);")
_SIGNS = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&", "&#39;": "'", "&#039;": "'"}
_COMMANDS = (
    (re.compile(r"password|username|authenticat|AUTH|user & password", re.IGNORECASE), "auth"),
    (re.compile(r"MAIL\b", re.IGNORECASE), "mail_from"),
    (re.compile(r"RCPT\b", re.IGNORECASE), "rcpt_to"),
    (re.compile(r"DATA\b", re.IGNORECASE), "data"),
    (re.compile(r"STARTTLS", re.IGNORECASE), "tls"),
    (re.compile(r"EHLO|HELO", re.IGNORECASE), "connect"),
)


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: an application has any name."""
    return False


class Reader(TranscriptReader):
    """Goes through one log, and follows the conversation where it is logged."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals, _spoken)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the refusals in `line`, those of a conversation with all that was said in it."""
        opening = _OPENING.search(line.message[:1_000].decode("utf-8", "replace"))
        if opening is None:
            return super().read(line)
        self._note(line)
        self._talk("", is_new=True).endpoint = opening["host"].lower()
        return self._finished() or None


def _spoken(text: str) -> Spoken | None:
    talk = _TALK.search(text)
    if talk is None:
        return None
    said = _plain(talk["said"])
    is_server = talk["who"].startswith("S")
    return Spoken(said, is_server=is_server, is_begin=is_server and said.startswith("220 ") and "ESMTP" in said)


def _plain(said: str) -> str:
    return _HTML.sub(lambda mark: _SIGNS.get(mark[0], ""), said)


def _refusals(text: str) -> Iterator[Values]:
    text = _plain(text)
    if failed := _FAILED.search(text):
        yield refusal(reply_in(failed["reply"]), _stage_of(failed["command"]))
    elif apart := _TAKEN_APART.search(text):
        words = [apart["code"], apart["enhanced"], apart["text"]]
        yield refusal(" ".join(word for word in words if word), _stage_of(apart["command"]))
    elif to := _RECIPIENTS.search(text):
        yield refusal(reply_in(to["reply"]), "rcpt_to", recipient=to["to"].lower())


def _stage_of(command: str) -> str:
    return next((stage for words, stage in _COMMANDS if words.search(command)), "unknown")
