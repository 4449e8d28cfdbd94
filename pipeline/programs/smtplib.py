"""
Python's smtplib and aiosmtplib, wherever a script or an application (Django, Odoo) logs their exceptions.

Reads: SMTPAuthenticationError, SMTPSenderRefused, SMTPRecipientsRefused, SMTPDataError and their like, in messages and
tracebacks; bare `(550, b'5.7.30 …')`; the bytes that Odoo quotes without a code; and the conversation that
`set_debuglevel` prints. Leaves: everything else of a traceback, and mail that was sent.

What a reader could not guess:
- Code and text are apart: "550 5.7.30" never stands in such a log.
- It tries each mechanism that the server offers and raises the last answer only; the others are nowhere.
- Nobody logs the account; the sender is there in SMTPSenderRefused, where the line above the traceback names it, or in
  the conversation.
- The same answer in a message and again in its traceback is one refusal.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from pipeline.applications.errors import Sign, Values, refusal, user_in
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.programs import Row

_LITERAL = r"b?(?:'(?:[^'\\\n]|\\.){0,4000}+'|\"(?:[^\"\\\n]|\\.){0,4000}+\")"
"""A literal of Python, which holds no line end; one that a logger has cut has no end either, and is none."""

_NAMES = {
    "AuthenticationError": "auth",
    "SenderRefused": "mail_from",
    "RecipientsRefused": "rcpt_to",
    "RecipientRefused": "rcpt_to",
    "DataError": "data",
    "ConnectError": "connect",
    "ConnectResponseError": "connect",
    "HeloError": "connect",
    "NotSupportedError": "unknown",
    "ResponseException": "unknown",
}
SIGN = Sign(
    re.compile(
        rb"SMTP(?:Authentication|Data|Connect|ConnectResponse|Helo)Error\b|SMTP(?:Sender|Recipients?)Refused\b|"
        rb"SMTPResponseException\b|\([45]\d\d, b?['\"]|\bb\\?['\"][45]\.\d{1,3}\.\d{1,3} |"
        rb"^(?:\d\d:\d\d:\d\d\.\d+ )?(?:send: b?['\"]|reply: (?:b['\"]|retcode \()|connect: (?:to )?\(|data: \()"
    ),
    (b"SMTP", b"b'", b'b"', b", '", b', "', b"send: ", b"reply: ", b"connect: ", b"data: ("),
)
_RAISED = re.compile(
    rf"SMTP(?P<name>{'|'.join(_NAMES)})\W{{1,4}}(?P<code>[2-5]\d\d), (?P<text>{_LITERAL})(?:, (?P<whom>{_LITERAL}))?"
)
_TUPLE = re.compile(
    rf"(?:(?P<whom>'[^'\s]{{1,320}}+'|\"[^\"\s]{{1,320}}+\"): )?\((?P<code>[45]\d\d), (?P<text>{_LITERAL})"
    rf"(?:, (?P<by>{_LITERAL}))?\)"
)
_BYTES = re.compile(
    r"\b(?P<text>b(?:'[45]\.\d{1,3}\.\d{1,3} (?:[^'\\\n]|\\.){1,4000}+'|\"[45]\.\d(?:[^\"\\\n]|\\.){1,4000}+\"))"
)
_QUOTED_ADDRESS = re.compile(r"\(([^\s()@]{1,64}@[^\s()]{1,253})\)")
_DEBUG = re.compile(r"(?:\d\d:\d\d:\d\d\.\d+ )?(?P<what>send|reply|connect|data): (?P<said>.*)", re.DOTALL)
_ANSWERED = re.compile(rf"retcode \((?P<code>\d{{3}})\); Msg: (?P<text>{_LITERAL})\s*\Z")
_SENT = re.compile(rf"{_LITERAL}\s*\Z")
_CONNECTING = re.compile(r"(?:to )?\(['\"](?P<host>[A-Za-z0-9.:-]{1,255})['\"], (?P<port>\d{1,5})\)")
_END_OF_MAIL = re.compile(r"\r?\n\.\r?\n\Z")


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: a script has any name."""
    return False


class Reader(TranscriptReader):
    """Goes through one log."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals, _spoken)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the refusals in `line`."""
        debug = _DEBUG.match(line.message[:400].decode("utf-8", "replace"))
        if debug is None:
            return super().read(line)
        if debug["what"] == "connect" and (to := _CONNECTING.match(debug["said"])):
            self._talk("", is_new=True).endpoint = to["host"].lower()
            return None
        # Each line of a reply is printed by itself, and then the whole: `retcode`; DATA prints its answer once more.
        return super().read(line) if debug["what"] == "send" or debug["said"].startswith("retcode") else None


def _spoken(text: str) -> Spoken | None:
    debug = _DEBUG.match(text)
    if debug is None:
        return None
    answered = _ANSWERED.match(debug["said"])
    if answered:
        *first, last = _value(answered["text"]).split("\n")
        code = answered["code"]
        return Spoken("\n".join([*(f"{code}-{each}" for each in first), f"{code} {last}"]), is_server=True)
    sent = _SENT.match(debug["said"])
    said = _value(sent[0].strip()) if sent else debug["said"]
    return Spoken("." if _END_OF_MAIL.search(said) else said.strip(), is_server=False)


def _refusals(text: str) -> Iterator[Values]:
    raised = list(_RAISED.finditer(text))
    for match in raised:
        stage = _NAMES[match["name"]]
        whom = _value(match["whom"]).lower() if match["whom"] else None
        yield _refusal(
            match,
            stage,
            sender=whom if stage == "mail_from" else None,
            recipient=whom if stage == "rcpt_to" else None,
            user=user_in(text[: match.start()]) if stage == "auth" else None,
        )
    known = {match.start("code") for match in raised}
    tuples = list(_TUPLE.finditer(text))
    for match in tuples:
        if match.start("code") in known:
            continue
        whom = _value(match["whom"]).lower() if match["whom"] else None
        sender = _value(match["by"]).lower() if match["by"] else None  # three of them are those of SMTPSenderRefused
        stage = "rcpt_to" if whom else "mail_from" if sender else "unknown"
        yield _refusal(match, stage, sender=sender, recipient=whom)
    if not tuples and not raised and (quoted := _BYTES.search(text)):
        address = _QUOTED_ADDRESS.search(text[: quoted.start()])
        yield refusal(_value(quoted["text"]), "unknown", sender=address[1].lower() if address else None)


def _refusal(
    match: re.Match[str],
    stage: str,
    *,
    sender: str | None = None,
    recipient: str | None = None,
    user: str | None = None,
) -> Values:
    said = f"{match['code']} {_value(match['text'])}"
    return refusal(said, stage, sender=sender, recipient=recipient, user=user)


def _value(literal: str) -> str:
    """Return what a literal of Python says; one that is none as it stands."""
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return literal
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
