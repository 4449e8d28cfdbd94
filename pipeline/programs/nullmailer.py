"""
nullmailer, which hands a queue to a server, from what its nullmailer-send prints (mostly a syslog through logger).

Reads: each try of a file in its queue: host, sender, recipients, Message-ID, answer and end.
Leaves: the queue's own news, and the bounces that it makes.

What a reader could not guess:
- No line has an id. What a try is about stands in the lines before its answer, and at which stage it was refused only
  in the line behind (`Sending failed: Failed to authenticate to server`). So a try becomes a row when it ends.
- An answer of several lines is several lines of the log; the later ones begin with its code and nothing else.
- A refused log-in is tried again until the mail expires, whatever the code; so it is deferred.
- It knows PLAIN and LOGIN only, and names neither the mechanism nor the account.
- Version 1 names neither sender nor recipients, and joins the lines of an answer with a slash.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import datetime

from pipeline.answers import ADDRESS, address_of, answer, host_of, words_of
from pipeline.lines import Line
from pipeline.model import Carry, event_id_of
from pipeline.programs import Row

MOST_OPEN = 1_000
"""Hosts with a try under way; beyond it the oldest is forgotten."""

_MOST_LINES = 20
_MOST_RECIPIENTS = 10_000
_BEGINS = re.compile(rb"Starting delivery: (?:protocol: \S+ )?host: (\S+)(?: protocol: \S+)? file: (\S+)")
_ENVELOPE = re.compile(rb"From: <" + ADDRESS + rb"> to: (<.*>)", re.DOTALL)
_RECIPIENT = re.compile(rb"<" + ADDRESS + rb">(?:, )?", re.DOTALL)
_RECIPIENTS = re.compile(rb"(?:<" + ADDRESS.replace(b"(", b"(?:", 1) + rb">(?:, )?)++", re.DOTALL)
_MESSAGE_ID = re.compile(rb"message-id: (.*)", re.DOTALL | re.IGNORECASE)
_ANSWERED = re.compile(rb"(?:smtp|qmqp): (?:Failed|Succeeded): (.*)", re.DOTALL)
_NEXT_LINE = re.compile(rb"[2-5]\d\d[ -].*", re.DOTALL)
_MORE_FOLLOWS = re.compile(r"[2-5]\d\d-")
_FAILED = re.compile(rb"Sending failed: (.*)", re.DOTALL)
_SENT = b"Sent file."
_GRAMMAR = re.compile(
    rb"Starting delivery(?:: |, \d+ message\(s\) in queue\.)|From: <[^>]*> to: <|(?:smtp|qmqp): (?:Failed|Succeeded): "
    rb"|Sending failed: |Sent file\.\Z|Delivery complete, \d+ message\(s\) remain\.|Rescanning queue\.\Z"
)
_NO_LOGIN = "Failed to authenticate"
_CONNECT = re.compile(r"[Hh]ost|[Cc]onnect|[Ss]ocket|[Nn]etwork|TLS|SSL")


@dataclass(slots=True)
class _Try:
    """One try so far; the last four fields are those of the line that brought the answer."""

    endpoint: str
    queue_id: str
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    message_id: str | None = None
    answers: list[str] = field(default_factory=list)
    event_time: str | None = None
    log_host: str | None = None
    origin_offset: int = 0
    line_id: str = ""


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is nullmailer's."""
    return tag in {b"nullmailer", b"nullmailer-send"}


class Reader:
    """Goes through one log; each host has one try under way at most."""

    def __init__(self, carry: Carry) -> None:
        self._tries = {key: _Try(**known) for key, known in carry.get("tries", {}).items()}

    def owns(self, line: Line) -> bool:
        """Return whether `line` is nullmailer's by its words, or goes on with an answer that it began."""
        return bool(_GRAMMAR.match(line.message)) or self._goes_on(line)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows of the try that `line` ends, or None."""
        if match := _BEGINS.fullmatch(line.message):
            rows = self._end(line, "")
            self._tries[_key(line)] = _Try(host_of(match[1]), words_of(match[2]))
            return rows
        if line.message == _SENT:
            return self._end(line, "")
        if match := _FAILED.fullmatch(line.message):
            return self._end(line, words_of(match[1]).strip())
        if current := self._tries.get(_key(line)):
            _learn(line, current, goes_on=self._goes_on(line))
        return None

    def close(self) -> list[Row]:
        """Return the tries whose end is missing, as far as they were answered."""
        rows = [row for current in self._tries.values() for row in _rows(current, "", is_at_end=True)]
        self._tries.clear()
        return rows

    def carry(self) -> Carry:
        """Return the tries that have not ended."""
        self._tries = dict(list(self._tries.items())[-MOST_OPEN:])
        return {"tries": {key: asdict(each) for key, each in self._tries.items()}} if self._tries else {}

    def _goes_on(self, line: Line) -> bool:
        current = self._tries.get(_key(line))
        has_begun = current is not None and bool(current.answers and _MORE_FOLLOWS.match(current.answers[-1]))
        return has_begun and _NEXT_LINE.fullmatch(line.message) is not None

    def _end(self, line: Line, failure: str) -> list[Row] | None:
        current = self._tries.pop(_key(line), None)
        if current is None:
            return None
        if not current.answers:
            _note_place(line, current)
        return _rows(current, failure) or None


def _learn(line: Line, current: _Try, *, goes_on: bool) -> None:
    words = line.message
    if match := _ENVELOPE.fullmatch(words):
        current.sender = address_of(match[1])
        listed = match[2] if _RECIPIENTS.fullmatch(match[2]) else b""
        current.recipients = [address_of(each) for each in _RECIPIENT.findall(listed)][:_MOST_RECIPIENTS]
    elif match := _ANSWERED.fullmatch(words):
        current.answers = [words_of(match[1])]
        _note_place(line, current)
    elif goes_on and len(current.answers) < _MOST_LINES:
        current.answers.append(words_of(words))
    elif match := _MESSAGE_ID.fullmatch(words):
        current.message_id = words_of(match[1]).strip()


def _note_place(line: Line, current: _Try) -> None:
    current.event_time = line.time.isoformat() if line.time else None
    current.log_host = line.host
    current.origin_offset = line.offset
    current.line_id = event_id_of(line.raw) if line.time else event_id_of(line.offset, line.raw)


def _rows(current: _Try, failure: str, *, is_at_end: bool = False) -> list[Row]:
    text = "\n".join(current.answers)
    if not text and not failure:
        return []
    stage = _stage(failure, has_answer=bool(text))
    row = answer(text or failure, current.endpoint, "basic" if stage == "auth" else "unknown")
    is_sent = row["reply_class"] == "accepted"
    known = {
        **row,
        "kind": "try",
        "stage": "data" if is_sent else stage,
        "outcome": "accepted" if is_sent else _outcome(failure, row["reply_code"]),
        "sender": current.sender,
        "queue_id": current.queue_id,
        "message_id": current.message_id,
        "event_time": datetime.fromisoformat(current.event_time) if current.event_time else None,
        "origin_offset": current.origin_offset,
    }
    if is_at_end or current.log_host:
        known["log_host"] = current.log_host
    names: list[str | None] = [*current.recipients] or [None]
    return [("deliveries", {**known, "recipient": name, "event_id": _id(current, at)}) for at, name in enumerate(names)]


def _id(current: _Try, number: int) -> str:
    return event_id_of(current.line_id, current.queue_id, *current.answers, number)


def _stage(failure: str, *, has_answer: bool) -> str:
    if failure.startswith(_NO_LOGIN):
        return "auth"
    return "connect" if not has_answer and _CONNECT.search(failure) else "unknown"


def _outcome(failure: str, code: int | None) -> str:
    if failure.startswith("Permanent"):
        return "rejected"
    if failure:
        return "deferred"
    return {4: "deferred", 5: "rejected"}.get((code or 0) // 100, "unknown")


def _key(line: Line) -> str:
    return str(line.host)  # the program that talks to the server is another process
