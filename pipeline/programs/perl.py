"""
Perl's Net::SMTP with `Debug => 1`, as scripts and cron jobs print it.

Reads: each refusal and each acceptance in the conversation (`Net::SMTP=GLOB(0x…)>>> MAIL FROM:<…>`), with sender,
recipients, HELO and mechanism. Leaves: versions, the mail itself, and what answers a challenge.

Each connection is named by the address of its object, so several that run side by side are told apart.
"""

from __future__ import annotations

import re

from pipeline.applications.errors import Sign
from pipeline.applications.transcripts import Spoken, TranscriptReader
from pipeline.model import Carry

SIGN = Sign(
    re.compile(rb"^(?:Net::SMTP|Net::SMTP::\w+|Net::SMTP_auth)(?:::_SSL)?=GLOB\(0x[0-9a-f]{4,16}\)(?:>>>|<<<) ?"),
    (b"Net::SMTP",),
)
_TALK = re.compile(
    r"Net::SMTP\w*(?:::\w+){0,3}=GLOB\((?P<talk>0x[0-9a-f]{4,16})\)(?P<side>>>>|<<<) ?(?P<words>.*)", re.DOTALL
)


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: a script has any name."""
    return False


class Reader(TranscriptReader):
    """Goes through one log."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, lambda _text: [], _spoken)


def _spoken(text: str) -> Spoken | None:
    talk = _TALK.match(text)
    if talk is None:
        return None
    words = talk["words"]
    is_server = talk["side"] == "<<<"
    return Spoken(
        words,
        is_server=is_server,
        talk=talk["talk"],
        is_begin=is_server and words.startswith("220 ") and "SMTP" in words,
    )
