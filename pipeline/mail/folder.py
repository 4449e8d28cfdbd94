"""
What reading a mailbox by IMAP and by Graph have in common: which messages are bounces, and what becomes of the others.

A mailbox holds people's mail. What is no bounce is counted and forgotten: it is never stored, shown or logged, not even
its subject, and where its headers tell already, the rest of it is not even fetched.
A message that cannot be read while others can is tried again in the next pulls, and then a gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from email import policy
from email.parser import BytesHeaderParser
from typing import Any

from pipeline.bounce import bounce_of
from pipeline.clock import Clock
from pipeline.errors import SourceError
from pipeline.model import Chunk, Notice, Pulled

FORMAT = "dsn"
MOST_TRIES = 5
MOST_UNREAD = 20
"""If more messages than this cannot be read, it is not the messages."""
OVERLAP = timedelta(days=1)
LONGEST_WORDS = 200

_REPORT = "multipart/report"
_CONTENT_FIELDS = re.compile(rb"^content-[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n?", re.IGNORECASE | re.MULTILINE)
_CONVINCING = (
    b"Content-Type: multipart/mixed; boundary=part\r\n",
    b"\r\n\r\n--part\r\nContent-Type: message/rfc822\r\n\r\nSubject: returned\r\n\r\n--part--\r\n",
)
_MBOX_LINE = re.compile(rb"\s{0,100}From [^\n]{0,1000}\n")
_UNSAFE = re.compile(r"[^\w.=-]")
_MULTIPART = re.compile(rb"multipart/", re.IGNORECASE)
_MOST_MULTIPARTS = 50
"""The parser tries the boundaries of all levels at each line, which nobody must be able to make it do for hours."""
_BROKEN = (RecursionError, ValueError, LookupError, TypeError, AttributeError)
"""What Python's parser of mails raises at mails that nobody meant to be read."""


@dataclass(eq=False)
class UnreadableError(SourceError):
    """One message cannot be read while others can; with `retry` it is worth trying later."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as it came, and when; of one longer than is read, `is_cut` says that this is only its beginning."""

    raw: bytes
    received: datetime
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of a mailbox: how far back the first look goes, and how much of each message is read."""

    mailbox: str
    name: str
    since: timedelta
    most_bytes: int
    clock: Clock

    @property
    def log(self) -> str:
        """The folder as a whole, for people."""
        return f"mailbox:{self.mailbox}/{self.name}"

    def origin(self, message: str) -> str:
        """Return where the row of `message` comes from."""
        return f"mailbox:{self.mailbox}/{_UNSAFE.sub('_', message)}"

    def beginning(self, position: Mapping[str, Any]) -> datetime:
        """Return since when messages count that the folder holds already: all that came after the last look do."""
        moments = [self.clock.now().astimezone(UTC) - self.since]
        if position.get("whole"):
            moments.append(datetime.fromisoformat(position["whole"]) - OVERLAP)
        elif position.get("since"):
            moments.append(datetime.fromisoformat(position["since"]))
        return min(moments)


@dataclass(slots=True)
class Reading:
    """
    One pull of a folder: what it takes and leaves.

    `place` tells where the reading stands; what both ways remember besides is added: which messages are to be tried
    again, how many were left since the beginning, and when the folder was last read to its end.
    """

    folder: Folder
    place: Callable[[], Mapping[str, Any]]
    unread: dict[str, dict[str, Any]] = field(default_factory=dict)
    left: int = 0
    whole: str | None = None
    left_now: int = 0
    stored: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Folder, place: Callable[[], Mapping[str, Any]], position: Mapping[str, Any]) -> Reading:
        """Return a pull that goes on from `position`."""
        unread = {name: dict(tried) for name, tried in position.get("unread", {}).items()}
        return cls(folder, place, unread, position.get("left", 0), position.get("whole"), stored=dict(position))

    def leave(self) -> None:
        """Count a message that is no bounce."""
        self.left += 1
        self.left_now += 1

    def take(self, message: str, fetch: Callable[[], Mail], received: str | None = None) -> Iterator[Pulled | Notice]:
        """Read one message; yield it if it is a bounce, or what is to be said about it."""
        try:
            mail = fetch()
        except UnreadableError as error:
            yield self._not_read(message, error, received)
            return
        self.unread.pop(message, None)
        raw = mail.raw[begin.end() :] if (begin := _MBOX_LINE.match(mail.raw)) else mail.raw
        is_bounce = _is_bounce(raw)
        if is_bounce is None:
            yield self._gap(message, "is no mail that can be taken apart, so whether it is a bounce is not known")
        elif is_bounce:
            yield self._chunk(message, raw, mail.received)
        elif mail.is_cut and _is_report(mail.raw):
            yield self._gap(
                message, "is longer than is read of a message, and its report stands behind that; see 'most_mib'"
            )
        else:
            self.leave()

    def again(self, fetch_of: Callable[[str, str | None], Callable[[], Mail]]) -> Iterator[Pulled | Notice]:
        """Try those messages once more that could not be read before."""
        for message, tried in list(self.unread.items()):
            yield from self.take(message, fetch_of(message, tried["received"]), tried["received"])

    def moved(self, *, is_to_the_end: bool = False) -> Iterator[Pulled]:
        """Yield an empty chunk if the place is another one than was last stored."""
        now = self.folder.clock.now().astimezone(UTC)
        is_old = self.whole is None or now - datetime.fromisoformat(self.whole) > OVERLAP
        if is_to_the_end and (is_old or self._position() != self.stored):
            self.whole = now.isoformat()
        if self._position() != self.stored:
            yield self._pulled(Chunk(b"", self.folder.log, as_of=now))

    def said(self) -> Iterator[Notice]:
        """Yield how many messages were left."""
        if self.left_now:
            messages = (
                "1 message is no bounce and was"
                if self.left_now == 1
                else f"{self.left_now} messages are no bounces and were"
            )
            yield Notice(self.folder.log, f"{messages} left alone", is_failure=False)

    def _chunk(self, message: str, raw: bytes, received: datetime) -> Pulled:
        as_of = min(received, self.folder.clock.now()).astimezone(UTC)
        return self._pulled(Chunk(raw, self.folder.origin(message), as_of=as_of))

    def _pulled(self, chunk: Chunk) -> Pulled:
        self.stored = self._position()
        return Pulled(chunk, FORMAT, self.folder.log, self.stored)

    def _position(self) -> dict[str, Any]:
        unread = {name: dict(tried) for name, tried in self.unread.items()}
        return {**self.place(), "unread": unread, "left": self.left, "whole": self.whole}

    def _not_read(self, message: str, error: UnreadableError, received: str | None) -> Notice:
        tries = self.unread.pop(message, {}).get("tries", 0) + 1
        if not error.retry or tries >= MOST_TRIES:
            return self._gap(message, error.sentence)
        if len(self.unread) >= MOST_UNREAD:
            raise error
        self.unread[message] = {"tries": tries, "received": received}
        return Notice(self.folder.origin(message), f"{error.sentence}; it is tried again in the next pull")

    def _gap(self, message: str, sentence: str) -> Notice:
        return Notice(self.folder.origin(message), sentence, is_gap=True)


def may_be_bounce(head: bytes) -> bool:
    """
    Return whether a message with the headers `head` can be a bounce.

    The one who knows is `bounce_of`, so it is shown these headers above a body that would convince it.
    """
    try:
        first, last = _CONVINCING
        return _is_report(head) or bounce_of(first + _CONTENT_FIELDS.sub(b"", head).strip() + last) is not None
    except _BROKEN:
        return True


def _is_bounce(raw: bytes) -> bool | None:
    """Return whether `raw` is a bounce, or None if nobody can tell."""
    if len(_MULTIPART.findall(raw)) > _MOST_MULTIPARTS:
        return None
    try:
        return bounce_of(raw) is not None
    except _BROKEN:
        return None


def _is_report(head: bytes) -> bool:
    return BytesHeaderParser(policy=policy.compat32).parsebytes(head).get_content_type().lower() == _REPORT


def near(name: str, names: Sequence[str]) -> str:
    """Return what to say to somebody who named a folder `name` where there are `names`."""
    found = get_close_matches(name.casefold(), [each.casefold() for each in names], n=3, cutoff=0.5)
    shown = [next(each for each in names if each.casefold() == match) for match in dict.fromkeys(found)]
    shown += [each for each in names if name.casefold() in each.casefold() and each not in shown][:3]
    if not shown:
        return "see 'folder'"
    return f"did you mean {' or '.join(repr(one_line(each)) for each in shown[:3])}? See 'folder'"


def one_line(text: str) -> str:
    """Return `text` of a server as it may be shown: one line, not too long, nothing that a terminal would obey."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= LONGEST_WORDS else line[:LONGEST_WORDS] + "…"
