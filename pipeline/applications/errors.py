"""
What the errors of mail libraries have in common, wherever an application logs them.

One answer of a server is often logged several times: by the library, in the exception's text, again in its trace. It
is one refusal, so an answer that was seen a moment ago in the same log makes no second row. Exchange Online's replies
end in an id of their own, which tells; an answer without one is told by its time and its words.

A record of such a log is a line with a time and the bare lines below it: what its first line names (sender, recipient)
holds for the trace. An answer of several lines is waited for until its last.

A text that only speaks of an error is none: see `is_quotation`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.answers import answer, protocol_of, signer_of
from pipeline.carriers.json_lines import texts_in
from pipeline.endpoints import OTHER, service_of
from pipeline.lines import Line, text_of
from pipeline.model import Carry, event_id_of
from pipeline.programs import Row
from pipeline.replies import LONGEST_TEXT

MOST_RECENT = 200
LONGEST = 64 << 10
_MOST_WAITED_FOR = 8_000
_MOST_NAMED = 1_000
_MAILBOX = r"[\"'<(\[\\]{0,3}([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}[A-Za-z0-9])"
_SENDER = re.compile(
    rf"\b(?:mail[ _]?from|sender|from(?: address failed)?)(?:\s?[=:]\s?|\s)(?:[^\s<>@]{{1,40}} <)?{_MAILBOX}",
    re.IGNORECASE,
)
_RECIPIENT = re.compile(
    rf"(?<!reply[ _-])(?<!reply)\b(?:rcpt[ _]?to|recipients?|to)(?:\s?[=:]\s?|\s){_MAILBOX}"
    rf"(?P<more>[>\"'\])\s]{{0,3}}[,;]\s?\S)?",
    re.IGNORECASE,
)
_USER = re.compile(rf"\b(?:user(?:[ _]?name)?|account|login)(?:\s?[=:]\s?|\s){_MAILBOX}", re.IGNORECASE)

_SIGNED = r"\[(?=[A-Za-z0-9-]*\.)[A-Za-z0-9.-]{4,255}"
_FULLY_SIGNED = re.compile(rf"(?:\s?{_SIGNED} \d{{4}}-\d\d-\d\dT[\d:.]{{8,15}}Z [0-9A-Fa-f]{{16}}\])+")
_SHORTLY_SIGNED = re.compile(rf"(?:\s?{_SIGNED}\.(?:com|net)\])+", re.IGNORECASE)
_WRAPPER = re.compile(
    r"; nested exception|; message exceptions| \(Net::|\s\(code: \d|[\"']? (?:in|at) /|\t|"
    r"\\?[\"']?\s?[,}\]]\s?\\?[\"']\w+\\?[\"']:"
)
_BEGUN = re.compile(r"(?:^|[:'\"`({]\s?|\s)([45]\d\d)-")
_GOES_ON = re.compile(rb"(?:\s{0,40}|[A-Z]{4,8} {1,3})['\"`]?([45]\d\d)[ -]")
_JOINT = re.compile(r"(?:\\n)?['\"`]? \+\s*\Z")
_TRACE = re.compile(rb"Traceback \(|Caused by: |[A-Za-z_][\w.$]{0,200}(?:Error|Exception|Refused)\b[:(]|\s|\}")

_MESSAGE = re.compile(
    rb"(?!From|To\b|Cc|Sender|Reply|Von|An\b|De\b)[A-Z\xc3][^\s:]{2,20}(?:\xc2\xa0| )?: "
)  # of a record that Java's own logger begins a line above

_MARKUP = re.compile(rb"```|~~~|\|[ :|-]{5,}|<(?:!doctype|html|head|body|div|p|pre|table|h\d)\b", re.IGNORECASE)
_TITLE = re.compile(rb"#{1,3} [^#]*[^#=*\s-]\s*")  # but not the banner of a script
_WHOLE, _HERE = "whole", "here"  # a file that begins as a document is one; in a log one ends with the next record
_MARKS = frozenset({b"#", b"`", b"~", b"|", b"<"})
_ITEM = re.compile(r"\s*(?:[>#|*•]\s|[-+] |\d{1,3}\. |//|<!--|<\w|[{\[]\s?[\"{\[]|\"?[\w -]{1,40}\"?[,;]\")")
_CELL = re.compile(r"[,;\t]\"(?:[^\"]|\"\")*\Z")
_SUBJECT = re.compile(
    r"(?:\b(?:subject|betreff|asunto|objet)\b\s?[=:]?|\bT=)\s{0,3}(?P<quote>\\?[\"'])?", re.IGNORECASE
)

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sign:
    """What tells the lines of a library: a pattern, and words, found faster, one of which must stand there."""

    pattern: re.Pattern[bytes]
    words: tuple[bytes, ...]

    def search(self, message: bytes) -> re.Match[bytes] | None:
        """Return where `message` shows it, or None."""
        for word in self.words:
            if word in message:
                return self.pattern.search(message)
        return None


class ErrorReader:
    """
    Goes through one log for one library: `sign` tells its lines by grammar, `found` reads the refusals in one of them.

    What it remembers: the last answers, so that one that is logged again is no second refusal; the line at the head of
    the record; and an answer of which more is to come.
    """

    def __init__(self, carry: Carry, sign: Sign, found: Callable[[str], Iterable[Values]]) -> None:
        self._recent: dict[str, dict[str, list[str]]] = dict(carry.get("recent", {}))
        self._begun: dict[str, Any] | None = carry.get("begun")
        self._named: dict[str, str] = carry.get("named", {})
        self._document: str = carry.get("document", "")
        self._head: Line | None = None
        self._noted = -1
        self._is_below = True
        self._sign = sign
        self._found = found

    def owns(self, line: Line) -> bool:
        """Return whether `line` holds an error of this library, or goes on with one."""
        self._note(line)
        if self._goes_on(line):
            return True
        sign = self._sign.search(line.message[:LONGEST])
        if sign is None or self._is_in_document(line):
            return False
        return not is_quotation(text_of(line.message[: sign.start()]), is_bare=line.is_bare)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the refusals in `line` that were not logged before, those of an answer that it ends, or None."""
        self._note(line)
        if self._goes_on(line):
            return self._continued(line)
        rows = self._finished()
        text = texts_in(text_of(line.message[:LONGEST]))
        if self._is_begun(text, line):
            self._begin(text, line)
            return rows or None
        return rows + self._rows(text, line, self._named_above(line)) or None

    def close(self) -> list[Row]:
        """Return the refusals of an answer whose end never came."""
        return self._finished()

    def carry(self) -> Carry:
        """Return the last answers, what the record at hand names, and an answer of which more is to come."""
        known = {
            "recent": self._recent, "begun": self._begun, "named": self._named_in_head(), "document": self._document,
        }  # fmt: skip
        return {key: value for key, value in known.items() if value}

    def _is_begun(self, text: str, line: Line) -> bool:  # noqa: ARG002 - for those that know more of it
        """Return whether the text of `line` ends within an answer of several lines."""
        return _ends_within_an_answer(text.rpartition("\n")[2])

    def _is_more(self, line: Line, begun: Mapping[str, Any]) -> bool:
        """Return whether `line` goes on with what was begun."""
        code = _GOES_ON.match(line.message)
        return code is not None and f"{code[1].decode()}-" in begun["text"]

    def _is_whole(self, text: str) -> bool:
        """Return whether the last line of `text` ends the answer."""
        return len(text) > _MOST_WAITED_FOR or not _ends_within_an_answer(text.rpartition("\n")[2].lstrip())

    def _joined(self, text: str, more: str) -> str:
        return _JOINT.sub("", text) + "\n" + more.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ \t'\"`").rstrip()

    def _note(self, line: Line) -> None:
        """Remember the head of the record that `line` belongs to, and whether all this is a document."""
        if line.offset == self._noted:
            return
        self._noted = line.offset
        if not line.is_bare:
            if self._head is None or not _is_of_one(self._head, line):
                self._head, self._named, self._is_below = line, {}, False
            if self._document == _HERE:
                self._document = ""
        else:
            self._note_below(line)

    def _note_below(self, line: Line) -> None:
        if not self._is_below and self._head is not None and not self._named and _MESSAGE.match(line.message):
            self._named = _named_in(texts_in(text_of(self._head.message[:LONGEST] + b" " + line.message[:LONGEST])))
        self._is_below = True
        if line.message[:1] in _MARKS and not self._document:
            is_begin = line.offset == 0
            is_markup = _MARKUP.match(line.message) or (is_begin and _TITLE.fullmatch(line.message))
            self._document = (_WHOLE if is_begin else _HERE) if is_markup else ""

    def _is_in_document(self, line: Line) -> bool:
        """Return whether `line` stands in a document, or in one that a log holds."""
        return (line.is_bare and bool(self._document)) or (self._document == _WHOLE and not line.tag)

    def _named_above(self, line: Line) -> dict[str, str]:
        """Return what the head of the record names, for a line below it."""
        return {} if self._head is not None and self._head.offset == line.offset else self._named_in_head()

    def _named_in_head(self) -> dict[str, str]:
        if self._head is not None and not self._named:
            self._named = _named_in(texts_in(text_of(self._head.message[:LONGEST])))
        return self._named

    def _goes_on(self, line: Line) -> bool:
        begun = self._begun
        if begun is None or (not line.is_bare and begun["by"] != [text_of(line.tag), text_of(line.pid)]):
            return False
        return self._is_more(line, begun)

    def _begin(self, text: str, line: Line) -> None:
        where = event_id_of(line.raw, "" if line.time else line.offset)
        self._begun = {
            "text": text[:_MOST_WAITED_FOR], "time": line.time.isoformat() if line.time else None, "host": line.host,
            "offset": line.offset, "id": where, "by": [text_of(line.tag), text_of(line.pid)],
            "named": self._named_above(line),
        }  # fmt: skip

    def _continued(self, line: Line) -> list[Row] | None:
        begun = self._begun or {}
        begun["text"] = self._joined(begun["text"], text_of(line.message[:_MOST_WAITED_FOR]))
        return self._finished() or None if self._is_whole(begun["text"]) else None

    def _finished(self) -> list[Row]:
        """Return the refusals of the answer that was begun, as far as it has come."""
        begun, self._begun = self._begun, None
        if begun is None:
            return []
        time = datetime.fromisoformat(begun["time"]) if begun["time"] else None
        line = Line(time, begun["host"], b"", b"", b"", begun["id"].encode("ascii"), begun["offset"])
        place: Values = {"event_time": time, "origin_offset": begun["offset"]}
        place |= {"log_host": line.host} if line.host else {}
        return [
            (table, {**values, **place, "event_id": event_id_of(begun["id"], number)})
            for number, (table, values) in enumerate(self._rows(begun["text"], line, begun["named"]))
        ]

    def _rows(self, text: str, line: Line, named: Mapping[str, str]) -> list[Row]:
        rows: list[Row] = []
        for values in self._found(text):
            told = {**named, **_named_beside(text, values)}
            values |= {name: each for name, each in told.items() if values[name] is None}
            if (values["reply_code"] or 500) >= 400 and self._is_new(values, line):
                rows.append(("deliveries", values))
        return rows

    def _is_new(self, values: Values, line: Line) -> bool:
        answered = answered_by(values, line)
        whose = values["recipient"] or ""
        seen = self._recent.pop(answered, None)
        raw = event_id_of(line.raw)
        if seen is not None and values["request_id"] is None and line.time is None and raw in seen["lines"]:
            seen = None  # word for word the same line once more is said once more
        is_new = seen is None or not (not whose or whose in seen["to"] or "" in seen["to"])
        seen = seen or {"to": [], "lines": []}
        if len(seen["to"]) < _MOST_NAMED:
            self.remember(answered, whose, seen, raw if values["request_id"] is None and line.time is None else None)
        return is_new

    def remember(
        self, answered: str, whose: str = "", seen: dict[str, list[str]] | None = None, raw: str | None = None
    ) -> None:
        """Take the answer with this id, to `whose` mail, for known."""
        seen = seen or {"to": [], "lines": []}
        self._recent[answered] = {"to": [*seen["to"], whose], "lines": [*seen["lines"], *([raw] if raw else [])][-20:]}
        for forgotten in list(self._recent)[: max(0, len(self._recent) - MOST_RECENT)]:
            del self._recent[forgotten]


def _ends_within_an_answer(last: str) -> bool:
    begun = next(reversed(list(_BEGUN.finditer(last))), None)
    if begun is None:
        return False
    behind = last[begun.end() :]
    return f"{begun[1]} " not in behind and not _FULLY_SIGNED.search(behind)


def _named_beside(text: str, values: Values) -> dict[str, str]:
    """Return whom a line names besides the answer in it, which may name others."""
    first = (values["reply_text"] or "").split("\n", 1)[0]
    return _named_in(text.replace(first, " ") if first else text)


def _named_in(text: str) -> dict[str, str]:
    found = {"sender": sender_in(text), "recipient": recipient_in(text)}
    return {name: value for name, value in found.items() if value}


def answered_by(values: Values, line: Line) -> str:
    """Return what tells the answer in `values` from others: the server's id, or else its time and words."""
    words = " ".join((values["reply_text"] or "").split())[:_MOST_NAMED]
    return values["request_id"] or event_id_of(line.time or "", words)


def _is_of_one(head: Line, line: Line) -> bool:
    """Return whether `line`, which has a header of its own, goes on with the record of `head`: a trace in a syslog."""
    is_same = bool(line.tag) and (line.tag, line.pid, line.host) == (head.tag, head.pid, head.host)
    return is_same and _TRACE.match(line.message) is not None


def is_quotation(before: str, *, is_bare: bool) -> bool:
    """
    Return whether what stands behind `before` in a line is only quoted there.

    That is what stands in a subject, and, in a line that has no header of a log, in an item of a document, a cell of a
    table or an object.
    """
    before = before.rpartition("\n")[2]
    subject = next(reversed(list(_SUBJECT.finditer(before[-_MOST_NAMED:]))), None)
    if subject and subject["quote"] and subject["quote"] not in before[-_MOST_NAMED:][subject.end() :]:
        return True
    return is_bare and (
        _ITEM.match(before) is not None or _CELL.search(before[-_MOST_NAMED:]) is not None or _is_in_backticks(before)
    )


def _is_in_backticks(before: str) -> bool:
    # A backtrace of Ruby's closes what a backtick opens with an apostrophe.
    return before.count("`") % 2 == 1 and "'" not in before.rpartition("`")[2]


def reply_in(text: str) -> str:
    """Return the server's answer that `text` begins with: to its signature, or else to the end of its last line."""
    lines = text[: 2 * LONGEST_TEXT].split("\n")
    said = [lines[0]]
    for line in lines[1:]:
        if not re.match(r"\t?\s{0,20}[245]\d\d[ -]", line) or len(said) > 50:
            break
        said.append(line.strip())
    whole = "\n".join(said)
    if signed := _FULLY_SIGNED.search(whole) or _SHORTLY_SIGNED.search(whole):
        return whole[: signed.end()]
    end = _WRAPPER.search(whole)
    return (
        (whole[: end.start()] if end else whole).strip().rstrip("'\"`)}],;\\ ").removesuffix("\\n").removesuffix("\\r")
    )


def refusal(
    text: str,
    stage: str,
    *,
    sender: str | None = None,
    recipient: str | None = None,
    mechanism: str | None = None,
    user: str | None = None,
    code: int | None = None,
) -> Values:
    """
    Return the row of a refusal that a library tells with the words `text`; the host is the one that signed them.

    `code` is what the library says of it elsewhere. Where it is told nowhere, the enhanced code says whether it is for
    good.
    """
    signer = signer_of(text)
    service = service_of(signer) if signer else OTHER
    said = answer(text[: 2 * LONGEST_TEXT], None, protocol_of(mechanism))
    code = said["reply_code"] or code
    kind = str(code or said["enhanced_code"] or "")[:1]
    return {
        **said,
        "reply_code": code,
        "service": service if service != OTHER else None,
        "kind": "try",
        "stage": stage,
        "outcome": {"4": "deferred", "5": "rejected"}.get(kind, "unknown"),
        "sender": sender,
        "recipient": recipient,
        "auth_mechanism": mechanism,
        "auth_user": user,
    }


def sender_in(text: str) -> str | None:
    """Return the address that a log line names as the sender's, or None."""
    found = _SENDER.search(text)
    return found[1].lower() if found else None


def recipient_in(text: str) -> str | None:
    """Return the one address that a log line names as the recipient's, or None where it names none or several."""
    found = {match[1].lower() for match in _RECIPIENT.finditer(text)}
    return found.pop() if len(found) == 1 and not any(match["more"] for match in _RECIPIENT.finditer(text)) else None


def user_in(text: str) -> str | None:
    """Return the account that a log line names, or None."""
    found = _USER.search(text)
    return found[1].lower() if found else None
