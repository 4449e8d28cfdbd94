"""
PHPMailer, as web applications (WordPress, Moodle, shops) log it.

Reads: `SMTP ERROR: … command failed: 550 …`, the conversation of `SMTPDebug` (`SERVER -> CLIENT`, `CLIENT -> SERVER`,
and `SMTP -> FROM SERVER` of version 5), also as HTML, and what `ErrorInfo` makes of an answer:
`Detail: … SMTP code: 550 Additional SMTP info: 5.7.30`. Leaves: `Could not authenticate`, which says nothing that the
line before it did not say, and the mail itself.

What a reader could not guess:
- The answer stands in the conversation and again in the error: it is one refusal.
- `ErrorInfo` takes an answer apart and sets text, code and enhanced code in this order, or puts commas between. The
  text keeps its line end, so the code stands on the next line of the log, and all of it may stand there twice.
- Of refused recipients it lists address and text, one a line; their code is told nowhere but in the conversation.
- What the client answers to a challenge is a password in base64 and is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.applications.errors import Sign, Values, refusal, reply_in
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import Row

SIGN = Sign(
    re.compile(
        rb"SMTP (?:->? )?(?:ERROR|Error): |\b(?:SERVER -(?:>|&gt;) CLIENT|CLIENT -(?:>|&gt;) S(?:ERVER|MTP)): |"
        rb"\bSMTP -(?:>|&gt;) (?:FROM SERVER|ERROR): ?|Connection: opening to \S+:\d|"
        rb"\bDetail: [^\n]{0,2000}? SMTP[ -][Cc]ode: ?[2-5]\d\d|"
        rb"following recipients failed: [^\s:,]+@|\b(?:Code|C\xc3\xb3digo) SMTP\s?: ?[2-5]\d\d|"
        rb"(?:MAIL FROM|RCPT TO|DATA(?: END)?|EHLO|STARTTLS) command failed(?:,| Detail: )\S|\bSMTP INBOUND: \""
    ),
    (b"SMTP", b"CLIENT", b"opening to ", b"recipients failed: ", b"command failed"),
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
_PART = re.compile(r" failed\.? ?Detail: |[A-Z] command failed,(?=\S)|recipients failed: (?=[^\s:,]{1,64}@)")
_CODE = re.compile(
    r"\s{0,4}(?:(?:SMTP[ -][Cc]ode|Code SMTP|Código SMTP)\s?: ?(?P<code>[2-5]\d\d)"
    r"(?:[^:\n]{1,80}: ?(?P<enhanced>[245]\.\d{1,3}\.\d{1,3}))?|"
    r",(?P<listed>[2-5]\d\d),(?P<behind>[245]\.\d{1,3}\.\d{1,3})?)"
)
_RECIPIENT = re.compile(r"(?:\A|[\s\]])(?P<to>[^\s:,<>@\[\]]{1,64}@[^\s:,<>@]{1,255}): ?(?=\S)")
_SIGNATURE_ENDS = re.compile(r"[0-9A-F]{16}\]\s*\Z")
_TRACE = re.compile(rb"#\d{1,3} |Stack trace:| {1,4}(?:in|thrown in) /|\{main\}")
_MOST_LINES = 60
_LONGEST = 16_384
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

    def _is_begun(self, text: str, line: Line) -> bool:
        return super()._is_begun(text, line) or _is_unfinished(text)

    def _is_more(self, line: Line, begun: Mapping[str, Any]) -> bool:
        if not _is_unfinished(begun["text"]):
            return super()._is_more(line, begun)
        if not line.is_bare or _TRACE.match(line.message) or begun["text"].count("\n") > _MOST_LINES:
            return False
        is_next = _RECIPIENT.match(text_of(line.message[:400])) is not None
        return is_next or not (_is_of_recipients(begun["text"]) and _SIGNATURE_ENDS.search(begun["text"]))

    def _is_whole(self, text: str) -> bool:
        return len(text) > _LONGEST or (super()._is_whole(text) and not _is_unfinished(text))

    def _joined(self, text: str, more: str) -> str:
        return f"{text}\n{more}" if _is_unfinished(text) else super()._joined(text, more)


def _spoken(text: str) -> Spoken | None:
    talk = _TALK.search(text)
    if talk is None:
        return None
    said = _plain(talk["said"])
    is_server = talk["who"].startswith("S")
    return Spoken(said, is_server=is_server, is_begin=is_server and said.startswith("220 ") and "ESMTP" in said)


def _plain(said: str) -> str:
    return _HTML.sub(lambda mark: _SIGNS.get(mark[0], ""), said)


def _is_unfinished(text: str) -> bool:
    """Return whether `text` ends within an answer that was taken apart, or in a list of recipients."""
    part = _last_part(text)
    return part is not None and (_is_of_recipients(text) or _CODE.search(text, part.end()) is None)


def _is_of_recipients(text: str) -> bool:
    part = _last_part(text)
    return part is not None and part[0].startswith("recipients")


def _last_part(text: str) -> re.Match[str] | None:
    return next(reversed(list(_PART.finditer(text[:_LONGEST]))), None)


def _refusals(text: str) -> Iterator[Values]:
    text = _plain(text[:_LONGEST])
    if failed := _FAILED.search(text):
        yield refusal(reply_in(failed["reply"]), _stage_of(failed["command"]))
        return
    parts = list(_PART.finditer(text))
    ends = [*(part.start() for part in parts[1:]), len(text)]
    for part, end in zip(parts, ends, strict=False):
        said = text[part.end() : end]
        if part[0].startswith("recipients"):
            yield from _refused_recipients(said)
        elif code := _CODE.search(said):
            words = [code["code"] or code["listed"], code["enhanced"] or code["behind"], *said[: code.start()].split()]
            command = re.split(r"[\n:.]", text[max(0, part.start() - 60) : part.start() + 1])[-1]
            yield refusal(" ".join(word for word in words if word), _stage_of(command))


def _refused_recipients(listed: str) -> Iterator[Values]:
    found = list(_RECIPIENT.finditer(listed))
    ends = [*(each.start() + 1 for each in found[1:]), len(listed)]
    for each, end in zip(found, ends, strict=True):
        reply = reply_in(" ".join(listed[each.end() : end].split()))
        yield refusal(reply, "rcpt_to", recipient=each["to"].lower())


def _stage_of(command: str) -> str:
    return next((stage for words, stage in _COMMANDS if words.search(command)), "unknown")
