"""
MailKit, the mail library of .NET applications: its exceptions, and its protocol log.

Reads: AuthenticationException and SmtpCommandException with the server's answer; the conversation that ProtocolLogger
writes (`S: ` and `C: ` behind `Connected to smtp://…`). Leaves: stack traces, and conversations by IMAP and POP.

What a reader could not guess: it sets a colon behind the code (`535: 5.7.139 …`), and SmtpCommandException shows no
code at all. In the protocol log what answers a challenge may be masked or not; it is never kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.applications.errors import Sign, Values, refusal, reply_in, user_in
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.programs import Row

SIGN = Sign(
    re.compile(
        rb"MailKit\.(?:Security\.AuthenticationException|Net\.Smtp\.SmtpCommandException|ServiceNotAuthenticatedException)|"
        rb"\b(?:Authentication|SmtpCommand|ServiceNotAuthenticated)Exception\W{1,4}(?:[2-5]\d\d: ?)?"
        rb"[245]\.\d{1,3}\.\d{1,3} |"
        rb"^Connected to smtps?://|^S: 220[ -]\S+ [^\n]{0,200}SMTP"
    ),
    (b"MailKit", b"Exception", b"Connected to smtp", b"S: 220"),
)
_THROWN = re.compile(
    r"\b(?P<name>AuthenticationException|SmtpCommandException|ServiceNotAuthenticatedException)\W{1,4}"
    r"(?:(?P<code>[2-5]\d\d)(?:: ?|[ -](?=[245]\.)))?(?P<reply>[245]\.\d{1,3}\.\d{1,3} .*)",
    re.DOTALL,
)
_TRACE = re.compile(r"\n\s+at |\s(?:at|bei) [\w.]+\(|\s---&?>")
_ERROR = re.compile(r"\bErrorCode\b[\"']?\s?[=:]\s?[\"']?(?P<name>Sender|Recipient|Message)NotAccepted")
_STAGES = {"Sender": "mail_from", "Recipient": "rcpt_to", "Message": "data"}
_CONNECTED = re.compile(rb"Connected to smtps?://(?P<host>[A-Za-z0-9.-]{1,255})(?::(?P<port>\d{1,5}))?")
_TALK = re.compile(r"(?P<side>[SC]): (?P<words>.*)", re.DOTALL)
_TALKING = re.compile(rb"[SC]: ")


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: an application has any name."""
    return False


class Reader(TranscriptReader):
    """Goes through one log."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals, _spoken)

    def owns(self, line: Line) -> bool:
        """Return whether `line` holds an error of MailKit's, or is of its protocol log."""
        is_talking = bool(self._talks) and not self._document and _TALKING.match(line.message) is not None
        return is_talking or super().owns(line)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the refusals in `line`, those of a conversation with all that was said in it."""
        connected = _CONNECTED.match(line.message)
        if connected is None:
            return super().read(line)
        self._note(line)
        self._talk("", is_new=True).endpoint = connected["host"].decode("ascii").lower()
        return self._finished() or None


def _spoken(text: str) -> Spoken | None:
    talk = _TALK.match(text)
    if talk is None:
        return None
    return Spoken(talk["words"], is_server=talk["side"] == "S")


def _refusals(text: str) -> Iterator[Values]:
    for thrown in _THROWN.finditer(text):
        trace = _TRACE.search(thrown["reply"])
        said = reply_in(thrown["reply"][: trace.start()] if trace else thrown["reply"])
        is_login = thrown["name"] == "AuthenticationException"
        error = _ERROR.search(text)
        yield refusal(
            f"{thrown['code']} {said}" if thrown["code"] else said,
            "auth" if is_login else _STAGES[error["name"]] if error else "unknown",
            user=user_in(text[: thrown.start()]) if is_login else None,
        )
