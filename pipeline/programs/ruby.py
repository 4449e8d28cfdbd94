"""
Ruby's Net::SMTP, as Rails applications (GitLab, Redmine, Discourse) log it.

Reads: Net::SMTPAuthenticationError, SMTPFatalError, SMTPServerBusy and their like with the server's answer, before or
behind it. Leaves: backtraces.

An answer of several lines is told with its first line only, as the library raises it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.app_errors import ErrorReader, Sign, Values, refusal, reply_in, user_in
from pipeline.model import Carry

_NAMES = {
    "AuthenticationError": "auth",
    "FatalError": "unknown",
    "ServerBusy": "unknown",
    "SyntaxError": "unknown",
    "UnknownError": "unknown",
}
_CLASS = rf"Net::SMTP(?P<name>{'|'.join(_NAMES)})"
SIGN = Sign(
    re.compile(rb"Net::SMTP(?:AuthenticationError|FatalError|ServerBusy|SyntaxError|UnknownError)\b"), (b"Net::SMTP",)
)
_BEFORE = re.compile(
    rf"{_CLASS}(?:\W{{1,4}}|\n[\w. -]{{1,40}}: )(?P<reply>[2-5]\d\d[ -][^\n]*(?:\n\t?\s{{0,40}}[2-5]\d\d[ -][^\n]*){{0,50}})"
)
_BEHIND = re.compile(rf"(?P<reply>\b[45]\d\d[ -](?:[45]\.\d{{1,3}}\.\d{{1,3}})?[^\n]{{0,2000}}?)\s\({_CLASS}\)")


def owns_tag(tag: bytes) -> bool:  # noqa: ARG001 - it is known by what it says
    """Return False: an application has any name."""
    return False


class Reader(ErrorReader):
    """Goes through one log."""

    def __init__(self, carry: Carry) -> None:
        super().__init__(carry, SIGN, _refusals)


def _refusals(text: str) -> Iterator[Values]:
    found = list(_BEFORE.finditer(text)) or list(_BEHIND.finditer(text))
    for raised in found:
        stage = _NAMES[raised["name"]]
        yield refusal(
            reply_in(raised["reply"]),
            stage,
            user=user_in(text[: raised.start()]) if stage == "auth" else None,
        )
