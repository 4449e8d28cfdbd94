"""
sSMTP, which hands one mail to a server and keeps no queue, from its syslog or what it prints to stderr.

Reads: the answer that ended a submission, and each mail that was sent.
Leaves: TLS and input messages, which say nothing about a submission.

What a reader could not guess:
- A refusal names neither sender nor account nor host, and a recipient at RCPT TO only. Nothing joins it to them.
- Of an answer in several lines only the last one is kept, so the sentence about Basic authentication is lost; its code
  and the name of Microsoft's server remain.
- The answer in `Sent mail for` is that to QUIT; it is written only after the mail was taken.
- Like sendmail, it prints under the name by which it was called.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.answers import ADDRESS, address_of, answer, host_of, words_of
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.programs import Row

_STDERR = re.compile(rb"(?:ssmtp|sSMTP|(sendmail)): (.*)", re.DOTALL)
_LOGIN = re.compile(
    rb"(?:Authorization failed|Server [^(]{1,40} AUTH [A-Z0-9-]{1,20}) \((?P<answer>.*)\)\s*", re.DOTALL
)
_RECIPIENT = re.compile(rb"RCPT TO:<" + ADDRESS + rb"> \((?P<answer>.*)\)\s*", re.DOTALL)
_BARE = re.compile(rb"(?P<answer>[45]\d\d[ -].*)", re.DOTALL)
_SENT = re.compile(rb"Sent mail for (\S*) \((?P<answer>.*)\) uid=\d+ username=\S+ outbytes=(\d{1,15})\s*", re.DOTALL)
_NO_CONNECTION = re.compile(
    rb"(?:Cannot open|Unable to locate|Unable to connect to) \"?([^\s\":]+)\"?(?::(\d{1,5})| port (\d{1,5}))?.*"
)


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is sSMTP's."""
    return tag in {b"sSMTP", b"ssmtp"}


class Reader:
    """Goes through one log; each line stands alone."""

    def __init__(self, carry: Carry) -> None:
        """Nothing is carried."""

    def owns(self, line: Line) -> bool:
        """Return whether `line` is what sSMTP prints; under the name sendmail only its own words count."""
        said = _STDERR.fullmatch(line.message)
        if said is None:
            return False
        return not said[1] or bool(_LOGIN.fullmatch(said[2]) or _RECIPIENT.fullmatch(said[2]))

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the submission that `line` ends, why it cannot be read, or None."""
        said = _STDERR.fullmatch(line.message)
        row = _row_of(said[2] if said else line.message)
        if row is None:
            return None
        if not line.is_ended:
            return "the file ends in mid-line"
        return [("deliveries", {"kind": "try", **row})]

    def close(self) -> list[Row]:
        """Return nothing: each row is made of one line."""
        return []

    def carry(self) -> Carry:
        """Return nothing: no line knows of another."""
        return {}


def _row_of(words: bytes) -> dict[str, Any] | None:
    if match := _LOGIN.fullmatch(words):
        return _refused(match, "auth", "basic")  # it knows LOGIN and CRAM-MD5 alone, both with the password
    if match := _RECIPIENT.fullmatch(words):
        return {**_refused(match, "rcpt_to"), "recipient": address_of(match[1])}
    if match := _BARE.fullmatch(words):
        return _refused(match, "unknown")
    if match := _SENT.fullmatch(words):
        known = {"sender": address_of(match[1]), "size_bytes": int(match[3]), "stage": "data", "outcome": "accepted"}
        return {**answer(words_of(match["answer"]), None), **known}
    if match := _NO_CONNECTION.fullmatch(words):
        port = match[2] or match[3]
        known = {"endpoint_port": int(port) if port else None, "stage": "connect", "outcome": "rejected"}
        return {**answer(words_of(words), host_of(match[1])), **known}
    return None


def _refused(match: re.Match[bytes], stage: str, protocol: str = "unknown") -> dict[str, Any]:
    row = answer(words_of(match["answer"]), None, protocol)
    outcome = {4: "deferred", 5: "rejected"}.get((row["reply_code"] or 0) // 100, "unknown")
    return {**row, "stage": stage, "outcome": outcome}
