"""
Ruby's Net::SMTP, as Rails applications (GitLab, Redmine, Discourse) log it.

Reads: Net::SMTPAuthenticationError, SMTPFatalError, SMTPServerBusy and their like with the server's answer, before or
behind it. Leaves: backtraces.

What a reader could not guess: an answer to DATA stands in `could not get 3xx (550: …)`, and 530, which is said where no
log-in was tried, is raised as a refused one. An answer of several lines is told with its first line only, as the
library raises it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.applications.errors import ErrorReader, Sign, Values, refusal, reply_in, user_in
from pipeline.model import Carry

_NAMES = {
    "AuthenticationError": "auth",
    "FatalError": "unknown",
    "ServerBusy": "unknown",
    "SyntaxError": "unknown",
    "UnknownError": "unknown",
}
_NO_LOGIN = "530"
_CLASS = rf"Net::SMTP(?P<name>{'|'.join(_NAMES)})"
SIGN = Sign(
    re.compile(rb"Net::SMTP(?:AuthenticationError|FatalError|ServerBusy|SyntaxError|UnknownError)\b"), (b"Net::SMTP",)
)
_AT_DATA = r"(?P<at_data>could not get 3xx \([2-5]\d\d: )?"
_BEFORE = re.compile(
    rf"{_CLASS}(?:\W{{1,4}}|\n[\w. -]{{1,40}}: ){_AT_DATA}"
    r"(?P<reply>[2-5]\d\d[ -][^\n]*(?:\n\t?\s{0,40}[2-5]\d\d[ -][^\n]*){0,50})"
)
_BEHIND = re.compile(
    rf"{_AT_DATA}(?P<reply>\b[45]\d\d[ -](?:[45]\.\d{{1,3}}\.\d{{1,3}})?[^\n]{{0,2000}}?)\s\({_CLASS}\)"
)


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
        is_at_mail = raised["reply"].startswith(_NO_LOGIN)  # raised as a refused log-in, which was never tried
        stage = "data" if raised["at_data"] else "unknown" if is_at_mail else _NAMES[raised["name"]]
        yield refusal(
            reply_in(raised["reply"]),
            stage,
            user=user_in(text[: raised.start()]) if stage == "auth" else None,
        )
