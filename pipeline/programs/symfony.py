"""
Symfony Mailer and SwiftMailer, as Laravel, Drupal, TYPO3, Nextcloud and others log them.

Reads: `Expected response code "235" but got code "535", with message "535 …"`, for each log-in that was tried, with
account and mechanism, and the conversation in `getDebug()` (`> MAIL FROM:<…>`, `< 550 …` behind a time).
Leaves: stack traces, and the same message again in the context of a record.

The code that was expected tells the stage: 235 and 334 are of a log-in, 354 of DATA, 250/251/252 of RCPT TO.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.applications.errors import Sign, Values, refusal, reply_in
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.lines import Line, text_of
from pipeline.model import Carry

_QUOTE = r"\\{0,3}[\"']?"
SIGN = Sign(
    re.compile(
        rb"Expected response code [^\n]{1,60}? but got (?:an? )?(?:response )?(?:code )?\\{0,3}[\"']?\d{3}|"
        rb"^\s{2,6}Failed to authenticate on SMTP server with username|^< 220[ -]\S+ [^\n]{0,200}SMTP"
    ),
    (b"Expected response code", b"Failed to authenticate on SMTP", b"< 220"),
)
_EXPECTED = re.compile(
    rf"(?:Authenticator {_QUOTE}(?P<mechanism>[A-Z][A-Z0-9-]{{2,20}}){_QUOTE} returned {_QUOTE})?"
    rf"Expected response code {_QUOTE}(?P<expected>[\d/, ]{{3,30}}?){_QUOTE} but got (?:an? )?(?:response )?(?:code )?"
    rf"{_QUOTE}(?P<code>\d{{3}}){_QUOTE},? with message {_QUOTE}"
    r"(?P<reply>[2-5]\d\d(?:[^\"\\\n]|\\[rn/]|\n\t?\s{0,40}(?=[2-5]\d\d[ -]))*)"
)
_USER = re.compile(rf"with username {_QUOTE}(?P<user>[^\"'\\\s]{{1,320}})")
_BOX = re.compile(r"\s{2,6}(?:Expected response code |Failed to authenticate on SMTP server )")
_MOST_LINES = 40
_STAGES = {"235": "auth", "334": "auth", "354": "data", "250/251/252": "rcpt_to", "220": "connect"}
_TALK = re.compile(r"(?P<side>[<>]) (?P<words>.*)", re.DOTALL)
_TALKING = re.compile(rb"> (?:EHLO|HELO|STARTTLS|AUTH|MAIL FROM|RCPT TO|DATA|RSET|QUIT|\.)\b|< [2-5]\d\d")


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: an application has any name."""
    return False


class Reader(TranscriptReader):
    """Goes through one log, and follows the conversation where it is logged."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals, _spoken)

    def owns(self, line: Line) -> bool:
        """Return whether `line` holds an error of Symfony's, or is of its conversation, which has times."""
        is_talking = bool(self._talks) and not line.is_bare and _TALKING.match(line.message) is not None
        if line.is_bare and line.message.startswith(b"< "):
            return False
        return is_talking or super().owns(line)

    def _is_begun(self, text: str, line: Line) -> bool:
        # A console has the message in a box, broken at its width; only what stands in no box tells where it ends.
        return super()._is_begun(text, line) or (line.is_bare and _BOX.match(text) is not None)

    def _is_more(self, line: Line, begun: Mapping[str, Any]) -> bool:
        if _BOX.match(begun["text"]) is None:
            return super()._is_more(line, begun)
        is_next = _BOX.match(text_of(line.message[:100])) is not None
        return (
            line.is_bare and line.message.startswith(b"  ") and not is_next and begun["text"].count("\n") < _MOST_LINES
        )

    def _is_whole(self, text: str) -> bool:
        return _BOX.match(text) is None and super()._is_whole(text)

    def _joined(self, text: str, more: str) -> str:
        return f"{text}\n{more.strip()}" if _BOX.match(text) else super()._joined(text, more)


def _spoken(text: str) -> Spoken | None:
    talk = _TALK.match(text)
    if talk is None:
        return None
    is_begin = talk["side"] == "<" and talk["words"].startswith("220") and "SMTP" in talk["words"]
    return Spoken(talk["words"], is_server=talk["side"] == "<", is_begin=is_begin)


def _refusals(text: str) -> Iterator[Values]:
    text = " ".join(text.split()) if _BOX.match(text) else text
    user = _USER.search(text)
    for expected in _EXPECTED.finditer(text):
        stage = "auth" if expected["mechanism"] else _STAGES.get(expected["expected"].strip(), "unknown")
        yield refusal(
            reply_in(_unescaped(expected["reply"])),
            stage,
            mechanism=expected["mechanism"],
            user=user["user"].lower() if user and stage == "auth" else None,
        )


def _unescaped(reply: str) -> str:
    return reply.replace("\\r\\n", "\n").replace("\\n", "\n").replace("\\/", "/").replace("\r", "")
