"""
sendEmail, the Perl script that monitoring systems and cron jobs send with, from its log (`-l`) or what it prints.

Reads: each refusal and each mail that was sent; with `-v` sender, recipients, HELO and mechanism of the conversation.
Leaves: what it says of its options, TLS, and the answers that went well.

What a reader could not guess:
- A refused log-in is told without the server's answer; only `-v -v -v` shows that, a line above.
- Without `-v` a refusal names no sender, and a recipient only on the line above the answer.
- Lines of one answer are joined with a comma.
- The line at the end names all that a sent mail was, so the answer to its end says nothing new.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.answers import address_of, answer, host_of
from pipeline.applications.dialogue import Dialogue
from pipeline.applications.errors import refusal
from pipeline.lines import Line, text_of
from pipeline.model import Carry, event_id_of
from pipeline.programs import Row

MOST_OPEN = 200
_SENDING = re.compile(rb"(?:INFO|DEBUG) => Sending: \t(?P<said>.*)", re.DOTALL)
_RECEIVED = re.compile(rb"(?P<level>[A-Z]+) => Received: \t(?P<said>.*)", re.DOTALL)
_BODY = re.compile(rb"INFO => Sending message body")
_CHECKING = re.compile(
    rb"DEBUG => evalSMTPresponse\(\) - Checking for SMTP success or error status in the message: (?P<said>[2-5]\d\d.*)",
    re.DOTALL,
)
_NO_LOGIN = re.compile(
    rb"ERROR => (?:ERROR => )?(?P<words>SMTP-AUTH: Authentication to (?P<host>\S{1,255}):(?P<port>\d{1,5}) failed.*)",
    re.DOTALL,
)
_RECIPIENT = re.compile(rb"WARNING => The recipient <(?P<address>[^<>]{1,320})> was rejected")
_SENT = re.compile(
    rb"Email was sent successfully!\s+From: <(?P<sender>[^<>]{0,320})> "
    rb"(?P<to>(?:To: |Cc: |Bcc: |<[^<>]{1,320}> ?){1,2000})"
    rb".* Server: \[(?P<host>[^\[\]\s]{1,255}):(?P<port>\d{1,5})\]\s*",
    re.DOTALL,
)
_ADDRESS = re.compile(rb"<([^<>]{1,320})>")
_JOINT = re.compile(r", (?=[2-5]\d\d[ -])")
_LONGEST = 8_192


@dataclass(slots=True)
class _Run:
    """What is known of one run of the script: its conversation, the last answer, and the last recipient refused."""

    talk: Dialogue = field(default_factory=Dialogue)
    said: str = ""
    recipient: str = ""


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is sendEmail's."""
    return tag == b"sendEmail"


class Reader:
    """Goes through one log; runs by host and process id."""

    def __init__(self, carry: Carry) -> None:
        self._runs = {
            key: _Run(Dialogue(**known["talk"]), known["said"], known["recipient"])
            for key, known in carry.get("runs", {}).items()
        }

    def owns(self, line: Line) -> bool:
        """Return whether `line` says how a submission ended, as sendEmail says it."""
        return _NO_LOGIN.match(line.message) is not None or _SENT.fullmatch(line.message[:_LONGEST]) is not None

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows that `line` makes, or None."""
        words = line.message[:_LONGEST]
        run = self._run(f"{line.host} {text_of(line.pid)}")
        if match := _SENDING.match(words):
            run.talk.client(text_of(match["said"]))
        elif match := _RECEIVED.match(words):
            return self._received(run, match["level"], text_of(match["said"]).strip(), line)
        elif match := _CHECKING.match(words):
            run.said = _JOINT.sub("\n", text_of(match["said"]).strip())
        elif match := _RECIPIENT.match(words):
            run.recipient = address_of(match["address"])
        elif match := _NO_LOGIN.match(words):
            return [("deliveries", _no_login(match, run))]
        elif match := _SENT.fullmatch(words):
            return [("deliveries", row) for row in _sent(match, run, line)]
        elif _BODY.match(words):
            run.talk.is_mail = True
        return None

    def close(self) -> list[Row]:
        """Return nothing: a question without an answer tells nothing."""
        return []

    def carry(self) -> Carry:
        """Return the runs that may go on."""
        return {"runs": {key: asdict(run) for key, run in self._runs.items()}} if self._runs else {}

    def _run(self, key: str) -> _Run:
        self._runs[key] = run = self._runs.pop(key, None) or _Run()
        if len(self._runs) > MOST_OPEN:
            del self._runs[next(iter(self._runs))]
        return run

    def _received(self, run: _Run, level: bytes, said: str, line: Line) -> list[Row] | None:
        reply = _JOINT.sub("\n", said)
        known = run.talk.endpoint or run.talk.helo
        rows = [row for each in reply.split("\n") for row in run.talk.server(each, line)]
        if known:
            return [row for row in rows if row[1]["outcome"] != "accepted"] or None
        if level not in {b"WARNING", b"ERROR"} or reply[:1] not in "45":
            return None
        recipient, run.recipient = run.recipient, ""
        stage = "rcpt_to" if recipient else "unknown"
        return [("deliveries", refusal(reply, stage, recipient=recipient or None))]


def _no_login(match: re.Match[bytes], run: _Run) -> dict[str, Any]:
    said = run.said if run.said[:1] in {"4", "5"} else ""
    row = answer(said or text_of(match["words"]), host_of(match["host"]), "basic")
    return {
        **row,
        "kind": "try",
        "stage": "auth",
        "outcome": "deferred" if said[:1] == "4" else "rejected",  # the script ends here
        "endpoint_port": int(match["port"]),
        "client_name": run.talk.helo,
        "auth_mechanism": run.talk.mechanism,
    }


def _sent(match: re.Match[bytes], run: _Run, line: Line) -> list[dict[str, Any]]:
    row = {
        **answer("", host_of(match["host"]), "basic" if run.talk.is_logged_in else "unknown"),
        "kind": "try",
        "stage": "data",
        "outcome": "accepted",
        "reply_class": "accepted",
        "sender": address_of(match["sender"]),
        "endpoint_port": int(match["port"]),
        "client_name": run.talk.helo,
        "auth_mechanism": run.talk.mechanism if run.talk.is_logged_in else None,
    }
    itself = (line.raw,) if line.time else (line.raw, line.offset)
    return [
        {**row, "recipient": address_of(each), "event_id": event_id_of(*itself, number)}
        for number, each in enumerate(_ADDRESS.findall(match["to"]))
    ]
