"""
An SMTP dialogue as a client's transcript shows it: commands and replies in order, and what they come to.

For every program that prints its side of the conversation (swaks, PHPMailer, nodemailer, smtplib, JavaMail, curl). What
the client says in answer to a challenge, and the mail itself, is never kept. Commands may be pipelined; the `503` that
follow a refused sender are its shadow and say nothing new.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.answers import answer, protocol_of, signer_of
from pipeline.endpoints import service_of
from pipeline.lines import Line
from pipeline.model import event_id_of
from pipeline.programs import Row

_COMMAND = re.compile(
    r"(EHLO|HELO|STARTTLS|AUTH|MAIL|RCPT|DATA|BDAT|RSET|QUIT|NOOP|LHLO)\b[ \t]*(.*)", re.IGNORECASE | re.DOTALL
)
_REPLY = re.compile(r"([2-5]\d\d)([ -]|$)(.*)", re.DOTALL)
_ADDRESS = re.compile(r"(?:FROM|TO):\s*<((?:[^\">]|\"(?:[^\"\\]|\\.)*\")*)>", re.IGNORECASE)
_SIZE = re.compile(r"\bSIZE=(\d{1,15})", re.IGNORECASE)
_STAGES = {
    "EHLO": "connect", "HELO": "connect", "LHLO": "connect", "STARTTLS": "tls", "AUTH": "auth", "MAIL": "mail_from",
    "RCPT": "rcpt_to", "DATA": "data", "BDAT": "data", ".": "data",
}  # fmt: skip
_BANNER = re.compile(r"220[ -]([A-Za-z0-9.-]+)")
_MOST_RECIPIENTS = 1_000
_MOST_WAITING = 1_100
_SEQUENCE = 503


@dataclass(slots=True)
class Dialogue:
    """What is known of one conversation so far: JSON values, so that it can be kept between two reads."""

    endpoint: str | None = None
    helo: str | None = None
    mechanism: str | None = None
    user: str | None = None
    is_logged_in: bool = False
    sender: str | None = None
    size: int | None = None
    recipients: list[str] = field(default_factory=list)
    waiting: list[list[str]] = field(default_factory=list)
    begun_reply: str = ""
    has_refused: bool = False
    is_mail: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return asdict(self)

    def client(self, said: str) -> None:
        """Take in what the client says: a command, an answer to a challenge, or a line of the mail."""
        if self.is_mail:
            if said.rstrip() == ".":
                self.is_mail = False
                self._wait(".", "")
            return
        command = _COMMAND.match(said.strip())
        if command is None:
            return
        if self.begun_reply:
            self._complete()
        verb, argument = command[1].upper(), command[2]
        if verb == "AUTH":
            self.mechanism, argument = (argument.split() or [""])[0].upper()[:40] or None, ""
        elif verb in {"EHLO", "HELO", "LHLO"}:
            self.helo = argument.strip()[:255] or None
        elif verb == "MAIL":
            self._begin(argument)
        elif verb == "RSET":
            self._begin("")
        address = _ADDRESS.match(argument) if verb == "RCPT" else None
        self._wait(verb, address[1].lower() if address else "")

    def server(self, said: str, line: Line) -> list[Row]:
        """Take in a line of the server's; return the rows of a reply that it completes."""
        reply = _REPLY.match(said.strip())
        if reply is None:
            return []
        text = f"{self.begun_reply}\n{reply[0]}" if self.begun_reply else reply[0]
        if reply[2] == "-":
            self.begun_reply = text[:4_000]
            return []
        self.begun_reply = ""
        return self._answered(int(reply[1]), text, line)

    def _begin(self, argument: str) -> None:
        address, size = _ADDRESS.match(argument), _SIZE.search(argument)
        self.sender = address[1].lower() if address else None
        self.size = int(size[1]) if size else None
        self.recipients, self.has_refused = [], False

    def _complete(self) -> None:
        """Take a reply for finished whose last line is not in the transcript: the client has gone on."""
        self.begun_reply = ""
        if self.waiting and self.waiting[0][0] != "AUTH":
            self.waiting.pop(0)

    def _wait(self, verb: str, recipient: str) -> None:
        if len(self.waiting) < _MOST_WAITING:
            self.waiting.append([verb, recipient])

    def _answered(self, code: int, text: str, line: Line) -> list[Row]:
        if code == 334:
            return []  # a challenge; the command still waits
        if code == 220 and not self.waiting:
            banner = _BANNER.match(text)
            self.endpoint = self.endpoint or (banner[1].lower() if banner else None)
            return []
        if self.is_mail and not self.waiting:
            self._wait(".", "")  # the program does not show the mail
        self.is_mail = False
        verb, recipient = self.waiting.pop(0) if self.waiting else ["", ""]
        if code >= 400:
            return self._refused(verb, recipient, code, text, line)
        return self._accepted(verb, recipient, text, line)

    def _accepted(self, verb: str, recipient: str, text: str, line: Line) -> list[Row]:
        if verb == "AUTH":
            self.is_logged_in = True
        elif verb == "RCPT" and recipient and len(self.recipients) < _MOST_RECIPIENTS:
            self.recipients.append(recipient)
        elif verb == "DATA":
            self.is_mail = True
        elif verb in {".", "BDAT"}:
            taken, self.recipients = self.recipients, []
            return [self._row(verb, each, "accepted", text, line, number) for number, each in enumerate(taken or [""])]
        return []

    def _refused(self, verb: str, recipient: str, code: int, text: str, line: Line) -> list[Row]:
        if verb not in _STAGES and not self.endpoint and not self.helo:
            return []
        if (code == _SEQUENCE and self.has_refused) or (verb in {"EHLO", "LHLO"} and 500 <= code <= 504):
            return []
        self.has_refused = self.has_refused or verb in {"MAIL", "RCPT", "AUTH"}
        outcome = "rejected" if code >= 500 else "deferred"
        whose = [recipient] if verb == "RCPT" else (self.recipients or [""]) if verb in {".", "DATA", "BDAT"} else [""]
        return [self._row(verb, each, outcome, text, line, number) for number, each in enumerate(whose)]

    def _row(self, verb: str, recipient: str, outcome: str, text: str, line: Line, number: int) -> Row:
        is_about_login = verb == "AUTH" or self.is_logged_in
        host = self.endpoint or signer_of(text)
        said = answer(text, self.endpoint, protocol_of(self.mechanism) if is_about_login else "unknown")
        if said["auth_protocol"] == "unknown" and not self.mechanism and verb in {"MAIL", "RCPT", ".", "DATA"}:
            said["auth_protocol"] = "none"
        return (
            "deliveries",
            {
                **said,
                "kind": "try",
                "stage": _STAGES.get(verb, "unknown"),
                "outcome": outcome,
                "sender": self.sender,
                "recipient": recipient or None,
                "client_name": self.helo,
                "auth_mechanism": self.mechanism if is_about_login else None,
                "auth_user": self.user if is_about_login else None,
                "size_bytes": self.size,
                "service": service_of(host) if host else None,
                "event_id": event_id_of(
                    line.raw, line.offset if line.time is None else "", verb, recipient, text, number
                ),
            },
        )
