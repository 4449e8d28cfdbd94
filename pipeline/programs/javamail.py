"""
JavaMail and Jakarta Mail, as Java applications (Spring, Jenkins, SAP) log their exceptions and debug output.

Reads: AuthenticationFailedException, SMTPSendFailedException, SMTPSenderFailedException, SMTPAddressFailedException,
MessagingException and their nested forms, with the server's answer; the conversation that `mail.debug` prints.
Leaves: stack traces, and `SendFailedException: Invalid Addresses`, whose answer stands in the exception nested in it.

What a reader could not guess:
- Spring and others wrap the exception, and a trace prints it again below `Caused by:`: it is one refusal.
- The debug output has no mark for who speaks, and leaves the log-in out (`command trace suppressed`): the answer to it
  stands in the exception only, the account in `protocolConnect login, … user=…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.applications.errors import Sign, Values, refusal, reply_in, user_in
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.endpoints import service_of
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import Row

_STAGES = {
    "AuthenticationFailedException": "auth",
    "SMTPSenderFailedException": "mail_from",
    "SMTPAddressFailedException": "rcpt_to",
    "SMTPSendFailedException": "unknown",
    "SendFailedException": "unknown",
    "MessagingException": "unknown",
}
_PACKAGE = r"(?:javax|jakarta|com\.sun|org\.eclipse\.angus)\.mail\.(?:\w{1,40}\.){0,4}"
_THROWN = re.compile(
    rf"(?:{_PACKAGE})?\b(?P<name>{'|'.join(_STAGES)}): \s{{0,40}}"
    r"(?P<reply>[2-5]\d\d[ -][^\n]*(?:\n\t?\s{0,40}[2-5]\d\d[ -][^\n]*){0,50})"
)
SIGN = Sign(
    re.compile(
        _PACKAGE.encode()
        + rb"(?:AuthenticationFailed|SMTPSendFailed|SMTPSenderFailed|SMTPAddressFailed|SendFailed|Messaging)"
        rb"Exception\b|\b(?:AuthenticationFailed|SMTPSendFailed|SMTPSenderFailed|SMTPAddressFailed)Exception: "
        rb"[2-5]\d\d[ -]|"
        rb"\bDEBUG SMTPS?: "
    ),
    (b"mail.", b"FailedException", b"DEBUG SMTP"),
)
_DEBUG = re.compile(r"\bDEBUG SMTPS?: (?P<told>.*)", re.DOTALL)
_ECHO = re.compile(r"got response code \d\d\d, with response: \d\d\d-")
_TRYING = re.compile(r"trying to connect to host \"(?P<host>[^\"\s]{1,255})\"")
_USER = re.compile(r"protocolConnect login, host=[^,\s]*, user=(?P<user>[^,\s]{1,320}), password=")
_MECHANISM = re.compile(r"(?:Using mechanism|AUTH) (?P<mechanism>[A-Z][A-Z0-9-]{2,20})\b(?P<end> succeeded| failed)?")
_SPOKEN = re.compile(r"(?:(?:EHLO|HELO) \S|STARTTLS\s*\Z|MAIL FROM:<|RCPT TO:<|DATA\s*\Z|RSET\s*\Z|QUIT\s*\Z|\.\s*\Z)")
_REPLY = re.compile(r"[2-5]\d\d(?:[ -]|\s*\Z)")


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: an application has any name."""
    return False


class Reader(TranscriptReader):
    """Goes through one log."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals, _spoken)
        self._is_in_echo = bool(carry.get("echo"))

    def owns(self, line: Line) -> bool:
        """Return whether `line` holds an error of JavaMail's, or is of its debug output."""
        if self._is_in_echo and line.is_bare and _REPLY.match(text_of(line.message[:400])):
            return True
        is_talking = bool(self._talks) and line.is_bare and not self._document
        return (is_talking and _spoken(text_of(line.message[:400])) is not None) or super().owns(line)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the refusals in `line`, those of a conversation with all that was said in it."""
        text = text_of(line.message[:1_000])
        if self._is_in_echo:
            self._is_in_echo = text[3:4] == "-"
            if line.is_bare and _REPLY.match(text):
                return None
        told = _DEBUG.search(text)
        if told is not None:
            self._is_in_echo = _ECHO.match(told["told"]) is not None
            self._note(line)
            self._learn(told["told"])
            return self._finished() or None
        if not self._talks and _spoken(text) is not None and not self._goes_on(line):
            return None
        rows = super().read(line)
        return [self._in_talk(row) for row in rows] if isinstance(rows, list) else rows

    def carry(self) -> Carry:
        """Return besides whether the debug output is within an answer that it shows once more."""
        return {**super().carry(), **({"echo": True} if self._is_in_echo else {})}

    def _learn(self, told: str) -> None:
        trying = _TRYING.match(told)
        if trying is not None:
            self._talk("", is_new=True).endpoint = trying["host"].lower()
        if not self._talks:
            return
        talk = self._talk("")
        if user := _USER.match(told):
            talk.user = user["user"].lower()
        elif mechanism := _MECHANISM.match(told):
            talk.mechanism = mechanism["mechanism"]
            talk.is_logged_in = mechanism["end"] == " succeeded"
            talk.has_refused = mechanism["end"] == " failed"

    def _in_talk(self, row: Row) -> Row:
        """Return the refusal of a log-in with what the debug output told of it."""
        table, values = row
        talk = self._talks.get("")
        if talk is None or not talk.has_refused or values["stage"] != "auth" or values["endpoint"] is not None:
            return row
        known = {
            "auth_user": talk.user, "auth_mechanism": talk.mechanism, "client_name": talk.helo,
            "endpoint": talk.endpoint, "service": service_of(talk.endpoint) if talk.endpoint else values["service"],
        }  # fmt: skip
        return table, {**values, **{name: value for name, value in known.items() if value is not None}}


def _spoken(text: str) -> Spoken | None:
    if _REPLY.match(text):
        return Spoken(text, is_server=True)
    return Spoken(text, is_server=False) if _SPOKEN.match(text) else None


def _refusals(text: str) -> Iterator[Values]:
    found = list(_THROWN.finditer(text))
    known = {thrown["reply"]: stage for thrown in found if (stage := _STAGES[thrown["name"]]) != "unknown"}
    for thrown in found:
        stage = known.get(thrown["reply"], "unknown")  # the one that is nested tells more
        yield refusal(
            reply_in(thrown["reply"]),
            stage,
            user=user_in(text[: thrown.start()]) if stage == "auth" else None,
        )
