"""
Bounces out of a folder by Microsoft Graph: on from the last delta link.

What changed in a folder is what a delta query tells; a query by time of receipt would miss a bounce that is moved into
the folder later, by a rule, a person or out of quarantine. The query is not filtered by time, because then it stops
after 5,000 messages, silently: the first round lists the whole folder, and what is older is left out here. It asks for
created messages only, and may bring deletions and changed flags all the same. When a link has expired, the folder is
listed again; rows that are known are recognised.
Each message that may be a bounce costs a request of its own. Which one that is, the headers tell, where Graph has them:
it has none for some messages made in the mailbox's own organisation, and those are read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

from pipeline.clock import Stopped
from pipeline.errors import SourceError
from pipeline.graph.client import Answer, Graph, UnavailableError
from pipeline.graph.trouble import RefusedError, name_of
from pipeline.mail.folder import Folder, Mail, Reading, UnreadableError, may_be_bounce, near
from pipeline.model import Notice, Pull, Pulled

PERMISSION = "Mail.Read"
PAGE = 200
MOST_FOLDER_PAGES = 50
MOST_RESTARTS = 3
LINK_IS_FRESH = timedelta(hours=1)
WELL_KNOWN = frozenset(
    {
        "archive", "clutter", "conflicts", "conversationhistory", "deleteditems", "drafts", "inbox", "junkemail",
        "localfailures", "msgfolderroot", "outbox", "recoverableitemsdeletions", "scheduled", "searchfolders",
        "sentitems", "serverfailures", "syncissues",
    }
)  # fmt: skip
"""Names that each mailbox knows, whatever its language shows."""

_NO_MAILBOX = re.compile(
    r"MailboxNotEnabled|InvalidUser|ResourceNotFound|NonExistentMailbox|MailboxNotFound", re.IGNORECASE
)
_NAME = re.compile(r"[!-9;-~]{1,100}")


def pull_of(folder: Folder, graph: Graph) -> Pull:
    """Return what reads the bounces of `folder` through `graph`."""
    return lambda position: _Walk(folder, graph).go(position)


@dataclass(slots=True)
class _Place:
    """The link to ask next, whose messages of it are done, and since when those count that were there before."""

    of: str
    link: str | None = None
    done: tuple[str, ...] = ()
    since: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        since = self.since.isoformat() if self.since else None
        return {"of": self.of, "link": self.link, "done": list(self.done), "since": since}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> _Place:
        since = datetime.fromisoformat(values["since"]) if values["since"] else None
        return cls(values["of"], values["link"], tuple(values["done"]), since)


@dataclass(slots=True)
class _Walk:
    """One walk through what has changed in the folder."""

    folder: Folder
    graph: Graph
    place: _Place = field(default_factory=lambda: _Place(""))

    def go(self, position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        """Yield the bounces that are new since `position`."""
        of = f"graph {self.folder.mailbox} {self.folder.name}"
        is_known = position.get("of") == of
        start = self.folder.beginning(position if is_known else {})
        self.place = _Place.of_json(position) if is_known else _Place(of, since=start)
        reading = Reading.of(self.folder, self._stands, position if is_known else {})
        yield from reading.again(lambda message, received: partial(self._mail, message, received))
        is_end, restarts = False, 0
        while not is_end:
            try:
                answer = self._asked()
            except RefusedError as error:
                if not self.place.link or not _is_over(error) or restarts >= MOST_RESTARTS:
                    raise self._explained(error) from None
                restarts += 1
                self.place = _Place(of, since=start)
                sentence = (
                    f"is listed again from {start:%Y-%m-%d}, because Graph's link to what is new in it has expired"
                )
                yield Notice(self.folder.log, sentence, is_failure=False)
                continue
            is_end = yield from self._page(answer, reading)
        yield from reading.said()

    def _stands(self) -> dict[str, Any]:
        return self.place.as_json()

    def _asked(self) -> Answer:
        prefer = f"odata.maxpagesize={PAGE}"
        if self.place.link:
            return self.graph.page(self.place.link, PERMISSION, prefer=prefer)
        params = {"changeType": "created", "$select": "receivedDateTime,internetMessageHeaders"}
        path = f"{self._mailbox}/mailFolders/{quote(self._folder_id(), safe='')}/messages/delta"
        return self.graph.page(path, PERMISSION, params=params, prefer=prefer)

    def _page(self, answer: Answer, reading: Reading) -> Generator[Pulled | Notice, None, bool]:
        """Yield the bounces of a page, move the place behind it, and return whether it was the last."""
        messages, link = _messages(answer), answer.next_link or _link(answer, "@odata.deltaLink")
        if link is None or (answer.next_link and link == self.place.link):
            raise SourceError(f"Graph's list of {self.folder.log} ends nowhere; it is asked again", retry=True)
        for message in messages:
            if self.folder.clock.is_stopped():
                raise Stopped
            mark = _mark(message["id"])
            if mark not in self.place.done:
                self.place.done += (mark,)
                yield from self._message(message, reading)
        is_end = answer.next_link is None
        if messages or not is_end or self._is_due(reading):
            since = None if is_end else self.place.since
            self.place = _Place(self.place.of, link, since=since)
        yield from reading.moved(is_to_the_end=is_end)
        return is_end

    def _is_due(self, reading: Reading) -> bool:
        """Return whether to store a link although nothing came with it: it costs a commit, but links expire."""
        if reading.whole is None or self.place.since:
            return True
        return self.folder.clock.now() - datetime.fromisoformat(reading.whole) > LINK_IS_FRESH

    def _message(self, message: Mapping[str, Any], reading: Reading) -> Iterator[Pulled | Notice]:
        received = str(message["receivedDateTime"])
        is_old = self.place.since is not None and _moment(received, self.folder.clock.now()) < self.place.since
        head = _head(message.get("internetMessageHeaders"))
        if is_old or (head and not may_be_bounce(head)):
            reading.leave()
            return
        yield from reading.take(message["id"], partial(self._mail, message["id"], received), received)

    def _mail(self, id: str, received: str | None) -> Mail:
        try:
            raw = self.graph.bytes_of(f"{self._mailbox}/messages/{quote(id, safe='')}/$value", PERMISSION)
        except RefusedError as error:
            raise self._about_message(error) from None
        except UnavailableError as error:
            if error.is_throttled:
                raise
            self._see_that_it_answers()
            raise UnreadableError(f"cannot be read: {error.sentence}", retry=True) from None
        most = self.folder.most_bytes
        return Mail(raw[:most], _moment(received, self.folder.clock.now()), is_cut=len(raw) > most)

    def _about_message(self, error: RefusedError) -> SourceError:
        status = error.refusal.status if error.refusal else 0
        if status in {401, 403} or _is_no_mailbox(error):
            return self._explained(error)
        if status in {404, 410}:
            return UnreadableError("was deleted or moved before it could be read")
        return UnreadableError(f"cannot be read: {error.sentence}")

    def _see_that_it_answers(self) -> None:
        """Raise when Graph answers nothing else about this mailbox either."""
        try:
            self.graph.page(f"{self._mailbox}/mailFolders/inbox", PERMISSION, params={"$select": "id"})
        except RefusedError as error:
            raise self._explained(error) from None

    def _folder_id(self) -> str:
        """Return the id of the folder, down its path; its first part may be a name that each mailbox knows."""
        first, *rest = self.folder.name.strip("/").split("/")
        known = re.sub(r"[\s_-]", "", first).casefold()
        id = known if known in WELL_KNOWN else self._child("", first)
        for name in rest:
            id = self._child(id, name)
        return id

    def _child(self, parent: str, name: str) -> str:
        path = f"{self._mailbox}/mailFolders"
        found = self._folders(f"{path}/{quote(parent, safe='')}/childFolders" if parent else path)
        id = next((id for shown, id in found if shown.casefold() == name.casefold()), None)
        if id is None:
            advice = near(name, [shown for shown, _ in found])
            raise SourceError(
                f"the mailbox {self.folder.mailbox} has no folder {name!r} ({self.folder.name}); {advice}"
            )
        return id

    def _folders(self, path: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        answer = self.graph.page(path, PERMISSION, params={"$select": "displayName", "$top": "100"})
        for _ in range(MOST_FOLDER_PAGES):
            found += [(str(each.get("displayName", "")), each["id"]) for each in _entries(answer)]
            if not answer.next_link:
                break
            answer = self.graph.page(answer.next_link, PERMISSION)
        return found

    @property
    def _mailbox(self) -> str:
        return f"/v1.0/users/{quote(self.folder.mailbox, safe='@')}"

    def _explained(self, error: RefusedError) -> SourceError:
        """Return what is wrong with the mailbox or with what we may do there."""
        refusal, mailbox = error.refusal, self.folder.mailbox
        status = refusal.status if refusal else 0
        said = f' Microsoft said: {refusal.code} "{refusal.words}"' if refusal else ""
        if status == 403:
            return SourceError(
                f"the application may not read the mailbox {mailbox}. Either grant it the role `Application Mail.Read` "
                "with a scope that holds this mailbox (RBAC for Applications), or Mail.Read as an application "
                "permission with admin consent, for all mailboxes; `Test-ServicePrincipalAuthorization "
                f"{self.graph.settings.client} -Resource {mailbox}` tells what it has. A change takes up to two hours "
                f"to count.{said}"
            )
        if status == 404:
            return SourceError(
                f"the tenant has no mailbox {mailbox} that Graph can read, or the folder {self.folder.name!r} is gone; "
                f"see 'mailbox' and 'folder'. A mailbox on premises is read by IMAP.{said}"
            )
        return error


def _entries(answer: Answer) -> list[Mapping[str, Any]]:
    value = answer.values.get("value")
    if not isinstance(value, list):
        raise SourceError("Microsoft Graph answered with JSON that is no list; it is asked again", retry=True)
    return [each for each in value if isinstance(each, dict) and isinstance(each.get("id"), str)]


def _messages(answer: Answer) -> list[Mapping[str, Any]]:
    """Return the messages of a page; what tells no time of receipt is a deletion or a changed flag."""
    return [each for each in _entries(answer) if "@removed" not in each and each.get("receivedDateTime")]


def _link(answer: Answer, name: str) -> str | None:
    link = answer.values.get(name)
    return link if isinstance(link, str) and link else None


def _is_over(error: RefusedError) -> bool:
    """Return whether a link cannot be followed any more; that of a folder made anew is not found."""
    refusal = error.refusal
    return refusal is not None and (refusal.status in {404, 410} or name_of(refusal) == "expired_link")


def _is_no_mailbox(error: RefusedError) -> bool:
    return error.refusal is not None and _NO_MAILBOX.search(error.refusal.code) is not None


def _head(headers: Any) -> bytes:
    """Return the headers that Graph lists as they stood in the message, or nothing if it has none."""
    if not isinstance(headers, list):
        return b""
    pairs = [(str(each.get("name")), each.get("value")) for each in headers if isinstance(each, dict)]
    lines = [f"{name}: {_line(value)}" for name, value in pairs if _NAME.fullmatch(name)]
    return "\r\n".join(lines).encode("utf-8", "replace")


def _line(value: object) -> str:
    return " ".join(str(value or "").split())


def _mark(id: str) -> str:
    """Return what is remembered of a message of the page that is being read."""
    return hashlib.blake2b(id.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _moment(text: str | None, otherwise: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return otherwise
