"""
swaks, the test client for SMTP, from its transcript.

Reads: each refusal and each acceptance, with sender, recipients, HELO and mechanism of the same conversation.
Leaves: the mail itself, TLS details, and what answers a challenge, which is a password.

A transcript has no times; the answer of Exchange Online brings its own.
"""

from __future__ import annotations

import re

from pipeline.applications.dialogue import Dialogue
from pipeline.applications.errors import refusal
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import Row

_LINE = re.compile(rb"(?P<mark> -> | ~> |<-  |<~  |<\*\* |<~\* |=== |\*\*\* |\*\*> |\*~> )(?P<said>.*)", re.DOTALL)
_TRYING = re.compile(r"(?:Trying|Connected to) (?P<host>[A-Za-z0-9.:-]+?)(?::\d+)?\.*$")
_KNOWN = re.compile(
    rb"=== (?:Trying|Connected|TLS |Connection )|<[-~*]|"
    rb"[ *<][-~*][>* ] {0,2}(?:EHLO|HELO|LHLO|MAIL FROM|RCPT TO|[2-5]\d\d[ -])"
)
_SERVER = {b"<-  ", b"<~  ", b"<** ", b"<~* "}


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is swaks'."""
    return tag == b"swaks"


class Reader:
    """Goes through one transcript; `===  Trying` begins a new conversation."""

    def __init__(self, carry: Carry) -> None:
        self._talk = Dialogue(**carry["talk"]) if "talk" in carry else None

    def owns(self, line: Line) -> bool:
        """Return whether `line` is marked as swaks marks who speaks."""
        found = _LINE.fullmatch(line.message)
        return found is not None and (self._talk is not None or _KNOWN.match(line.message) is not None)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows of the answer that `line` completes, or None."""
        found = _LINE.fullmatch(line.message)
        if found is None:
            return None
        said = text_of(found["said"][:8_192])
        self._talk = self._talk or Dialogue()
        if found["mark"] in _SERVER:
            begun = self._talk.begun_reply
            rows = self._talk.server(said, line)
            if not rows and found["mark"].endswith(b"* ") and not (self._talk.endpoint or self._talk.helo):
                rows = _told_alone(f"{begun}\n{said}" if begun else said)
            return rows or None
        if found["mark"].endswith(b"> "):
            self._talk.client(said)
        elif (trying := _TRYING.match(said)) and (said.startswith("Trying") or not self._talk.endpoint):
            self._talk = Dialogue(endpoint=trying["host"].lower())
        return None

    def close(self) -> list[Row]:
        """Return nothing: a question without an answer tells nothing."""
        return []

    def carry(self) -> Carry:
        """Return the conversation as far as it has come."""
        return {"talk": self._talk.to_json()} if self._talk else {}


def _told_alone(reply: str) -> list[Row]:
    """Return the refusal `reply`, of which `--silent` shows nothing else."""
    if reply.rpartition("\n")[2][3:4] != " ":
        return []
    return [("deliveries", refusal(reply, "unknown"))] if reply[:1] in "45" else []
