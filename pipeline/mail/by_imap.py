"""
Bounces out of a folder by IMAP: on from the last message, by its number.

Numbers (UIDs) only grow, as long as the folder's UIDVALIDITY stays. When that changes, numbers mean other messages, and
the folder is read again from `since`; rows that are known are recognised. The first look takes what came since then;
later ones take whatever is new in the folder, also an old bounce that somebody moved there.
Some servers answer one damaged message by hanging up, so a message is held to be the cause when a new connection works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from pipeline.clock import Stopped
from pipeline.errors import SourceError
from pipeline.mail.folder import Folder, Mail, Reading, UnreadableError, may_be_bounce
from pipeline.mail.imap import MOST_HEAD, BrokenError, Imap, Server
from pipeline.model import Notice, Pull, Pulled

PAGE = 100


def pull_of(folder: Folder, server: Server) -> Pull:
    """Return what reads the bounces of `folder` at `server`."""

    def pull(position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        walk = _Walk(folder, server, Imap(server, folder))
        try:
            yield from walk.go(position)
        finally:
            walk.imap.close()

    return pull


@dataclass(slots=True)
class _Place:
    """The last message seen; up to `floor`, what was there at the first look, only those count that came `since`."""

    of: str
    validity: int
    uid: int = 0
    floor: int = 0
    since: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        since = self.since.isoformat() if self.since else None
        return {"of": self.of, "validity": self.validity, "uid": self.uid, "floor": self.floor, "since": since}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> _Place:
        since = datetime.fromisoformat(values["since"]) if values["since"] else None
        return cls(values["of"], values["validity"], values["uid"], values["floor"], since)


@dataclass(slots=True)
class _Walk:
    """One walk through the folder."""

    folder: Folder
    server: Server
    imap: Imap
    place: _Place = field(default_factory=lambda: _Place("", 0))

    def go(self, position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        """Yield the bounces that are new since `position`."""
        yield from self._begun(position)
        reading = Reading.of(self.folder, self.place.as_json, position)
        if position.get("of") != self.place.of or position.get("validity") != self.place.validity:
            reading.unread.clear()
        yield from reading.again(lambda message, _: partial(self._mail, int(message)))
        for uids in self._pages():
            yield from self._page(uids, reading)
        yield from reading.moved(is_to_the_end=True)
        yield from reading.said()

    def _begun(self, position: Mapping[str, Any]) -> Iterator[Notice]:
        """Find the place to go on at, and say so if it is the beginning again."""
        of = f"imap {self.server.host} {self.server.user} {self.folder.name}"
        is_known = position.get("of") == of
        if is_known and position["validity"] == self.imap.validity and position["uid"] <= self._last(position["uid"]):
            self.place = _Place.of_json(position)
            return
        since = self.folder.beginning(position if is_known else {})
        self.place = _Place(of, self.imap.validity, 0, self._last(0), since)
        if is_known:
            sentence = "was made anew at the server, so its messages have other numbers now"
            yield Notice(self.folder.log, f"{sentence}; it is read again from {since:%Y-%m-%d}", is_failure=False)

    def _last(self, at_least: int) -> int:
        """Return the highest number there can be; `at_least` that, if the server does not tell."""
        return self.imap.last if self.imap.last is not None else max(at_least, self.imap.highest())

    def _pages(self) -> Iterator[list[int]]:
        """Yield the messages to look at, a page at a time, and move the place behind those that are left out."""
        place, last = self.place, self._last(self.place.uid)
        for end, since in ((place.floor, place.since), (last, None)):
            for found in self._uids(end, since):
                for start in range(0, len(found), PAGE):
                    yield found[start : start + PAGE]
            place.uid = max(place.uid, end)

    def _uids(self, end: int, since: datetime | None) -> Iterator[list[int]]:
        return self.imap.uids(self.place.uid + 1, end, since)

    def _page(self, uids: list[int], reading: Reading) -> Iterator[Pulled | Notice]:
        heads = self._heads(uids)
        for uid in uids:
            if self.folder.clock.is_stopped():
                raise Stopped
            self.place.uid = uid
            head = heads.get(uid) if heads is not None else None
            if heads is not None and (head is None or not _may_be_bounce(head)):
                reading.leave()
                continue
            yield from reading.take(str(uid), partial(self._mail, uid))
        yield from reading.moved()

    def _heads(self, uids: list[int]) -> dict[int, bytes] | None:
        """Return the headers of `uids`, or None if they cannot be had together: one of them may be damaged."""
        try:
            return self.imap.heads(uids)
        except BrokenError:
            self._again()
            return None

    def _mail(self, uid: int) -> Mail:
        try:
            mail = self.imap.mail(uid)
        except BrokenError as error:
            self._again()
            raise UnreadableError(f"cannot be read: {error.sentence}", retry=True) from None
        if mail is None:
            raise UnreadableError("was deleted or moved before it could be read")
        return mail

    def _again(self) -> None:
        """Begin a new conversation with the same folder; raise when the server is what does not work."""
        self.imap.close()
        self.imap = Imap(self.server, self.folder)
        if self.imap.validity != self.place.validity:
            raise SourceError(f"{self.folder.log} was made anew while it was read; it is read again", retry=True)


def _may_be_bounce(head: bytes) -> bool:
    return len(head) >= MOST_HEAD or may_be_bounce(head)
