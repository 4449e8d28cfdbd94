"""
curl sending mail (`curl smtp://… --mail-from … -v`), as shell scripts keep its output.

Reads: each refusal and each acceptance in the conversation that `-v` prints, with sender, recipients, HELO and
mechanism. Leaves: TLS details, the mail itself, and `curl: (67) Login denied`, which says what the conversation said.

What a reader could not guess: without `-v` curl tells no answer at all; `--trace-time` sets a clock before each line,
which names no day. What answers a challenge is a password in base64 and is dropped; so are the conversations by HTTP,
which look alike.
"""

from __future__ import annotations

import re

from pipeline.applications.errors import Sign
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.programs import Row

_CLOCK = rb"(?:\d\d:\d\d:\d\d\.\d{6} )?(?:\[[\dx-]{3,12}\] )?"
SIGN = Sign(re.compile(rb"^" + _CLOCK + rb"< 220[ -]\S+ [^\n]{0,200}SMTP"), (b"< 220",))
_CONNECTED = re.compile(_CLOCK + rb"\* +Connected to (?P<host>[A-Za-z0-9.-]{1,255}) \(")
_TALKING = re.compile(_CLOCK + rb"[<>] ")
_TALK = re.compile(_CLOCK.decode() + r"(?P<side>[<>]) (?P<words>.*)", re.DOTALL)
_CLOSING = re.compile(_CLOCK + rb"\* (?:Closing connection|Connection #\d+ to host)")


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is curl's."""
    return tag == b"curl"


class Reader(TranscriptReader):
    """Goes through the output of one script; `Connected to` names the host of the conversation that follows."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, lambda _text: [], _spoken)
        self._host: str | None = carry.get("host")

    def owns(self, line: Line) -> bool:
        """Return whether `line` is of a conversation by SMTP as curl marks it."""
        if not line.is_bare:
            return False
        if connected := _CONNECTED.match(line.message):
            self._host = connected["host"].decode("ascii").lower()
        is_banner = self._host is not None and SIGN.search(line.message) is not None
        is_talking = bool(self._talks) and (_TALKING.match(line.message) or _CLOSING.match(line.message)) is not None
        return is_banner or is_talking

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows of the answer that `line` completes, or None."""
        if SIGN.search(line.message):
            self._talk("", is_new=True).endpoint = self._host
        elif _CLOSING.match(line.message):
            self._talks.clear()
            return None
        return super().read(line) if self._talks else None

    def carry(self) -> Carry:
        """Return the open conversation, and the host that it is with."""
        return {**super().carry(), **({"host": self._host} if self._host else {})}


def _spoken(text: str) -> Spoken | None:
    talk = _TALK.match(text)
    return Spoken(talk["words"], is_server=talk["side"] == "<") if talk else None
