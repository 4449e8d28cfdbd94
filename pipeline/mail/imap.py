"""
One conversation with an IMAP server that changes nothing there: log in, look at a folder, read messages.

The folder is opened by EXAMINE and messages are read by BODY.PEEK, so not even a flag changes. A server is believed
nothing: of each answer no more bytes are taken than were asked for. The library would log and remember what passes;
here it does neither, because that is a password, a token, or people's mail. For the same reason no error repeats what a
server says once messages are read.

In XOAUTH2 a server that refuses may send its reason first and wait for an empty line.
"""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imapclient import IMAPClient, SocketTimeout  # type: ignore[import-untyped]
from imapclient.imap4 import IMAP4WithTimeout  # type: ignore[import-untyped]
from imapclient.tls import IMAP4_TLS  # type: ignore[import-untyped]

from pipeline.errors import SourceError
from pipeline.mail.folder import Folder, Mail, near, one_line

HIGHEST_UID = 2**32 - 1
MOST_HEAD = 64 << 10
MOST_ASKED = 50_000
"""So many messages are listed at once: the library takes a line of a million bytes."""
_SLACK = 1 << 20
_MOST_FOLDERS = 5_000

_ODD = (imaplib.IMAP4.error, ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
"""What imaplib and imapclient raise at an answer that is a refusal or no IMAP."""
_BUSY = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]|server unavailable|too many", re.IGNORECASE)
_LIKE_A_TOKEN = re.compile(r"[A-Za-z0-9+/=_.-]{32,}")
_NOT_CONNECTED = re.compile(r"authenticated but not connected", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Server:
    """
    Where the server is and who logs in there.

    `secret` gives the password or token, and is told whether the last one was refused. `mend` says what to do when the
    log-in is refused for good.
    """

    host: str
    port: int
    starttls: bool
    ca_file: Path | None
    timeout_s: float
    user: str
    secret: Callable[[bool], str]
    is_token: bool
    mend: str


@dataclass(eq=False)
class BrokenError(SourceError):
    """The conversation cannot go on: the connection broke, or the server answered oddly."""


class _Measured(imaplib.IMAP4):
    """Takes no more bytes than `left`, and keeps nothing of what passes."""

    left = _SLACK

    def read(self, size: int) -> bytes:
        self._take(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self._take(len(line))
        return line

    def _take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise self.abort("the answer is longer than what was asked for")

    def _log(self, line: str) -> None:
        """Remember no line: imaplib would keep the last ten, log-in included."""


class _Plain(_Measured, IMAP4WithTimeout):  # type: ignore[misc]
    """Begins without TLS, for STARTTLS."""


class _Tls(_Measured, IMAP4_TLS):  # type: ignore[misc]
    """Speaks TLS from the first byte."""


class _Client(IMAPClient):  # type: ignore[misc]
    """The library's client on a measured connection, and silent."""

    def __init__(self, server: Server, context: ssl.SSLContext) -> None:
        timeout = SocketTimeout(server.timeout_s, server.timeout_s)
        super().__init__(server.host, server.port, ssl=not server.starttls, ssl_context=context, timeout=timeout)
        self._imap.debug = 0
        self.normalise_times = False

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802 - the library's name
        where = (self.host, self.port)
        if self.ssl:
            return _Tls(*where, self.ssl_context, self._timeout.connect)  # type: ignore[call-arg]
        return _Plain(*where, self._timeout.connect)

    def allow(self, count: int) -> None:
        """Take up to `count` bytes of content in the next answer."""
        self._imap.left = count + _SLACK


class Imap:
    """
    A folder that is open for reading.

    `validity` tells whether numbers mean what they meant before; `last` is the highest number there can be now, as the
    server tells it, or None if it does not.
    """

    def __init__(self, server: Server, folder: Folder) -> None:
        self._folder = folder
        self._server = server
        self._is_broken = False
        self._client = _logged_in(server)
        try:
            self.validity, self.last, self._count = self._examined()
        except BaseException:
            _drop(self._client)
            raise

    def close(self) -> None:
        """Say goodbye, if the server still listens."""
        if not self._is_broken:
            with suppress(OSError, *_ODD):
                self._client.logout()
                return
        _drop(self._client)

    def uids(self, first: int, last: int, since: datetime | None) -> Iterator[list[int]]:
        """Yield the messages from `first` to `last`, some at a time; `since` leaves those out that came before it."""
        step = MOST_ASKED if self._count > MOST_ASKED else HIGHEST_UID
        day = ["SINCE", since.date()] if since else []
        while first <= last:
            end = min(last, first + step - 1)
            with self._asked(0):
                found = self._client.search(["UID", f"{first}:{end}", *day])
            yield sorted({uid for uid in found if first <= uid <= end})
            first = end + 1

    def heads(self, uids: Sequence[int]) -> dict[int, bytes]:
        """Return the headers of those of `uids` that are still there, up to MOST_HEAD bytes of each."""
        with self._asked(len(uids) * MOST_HEAD):
            found = self._client.fetch(uids, [f"BODY.PEEK[HEADER]<0.{MOST_HEAD}>"])
            return {uid: _content(values, b"BODY[HEADER]") for uid, values in found.items()}

    def mail(self, uid: int) -> Mail | None:
        """Return one message, or None if it is not there any more."""
        most = self._folder.most_bytes
        with self._asked(most):
            found = self._client.fetch([uid], [f"BODY.PEEK[]<0.{most}>", "INTERNALDATE"]).get(uid)
            if found is None:
                return None
            raw = _content(found, b"BODY[]")
            return Mail(raw, _moment(found.get(b"INTERNALDATE")) or self._folder.clock.now(), is_cut=len(raw) >= most)

    def highest(self) -> int:
        """Return the highest number in the folder."""
        with self._asked(0):
            return max(self._client.search(["UID", "*"]), default=0)

    def _examined(self) -> tuple[int, int | None, int]:
        try:
            with _reached(self._server):
                found = self._client.select_folder(self._folder.name, readonly=True)
            last = min(found[b"UIDNEXT"] - 1, HIGHEST_UID) if b"UIDNEXT" in found else None
            return int(found[b"UIDVALIDITY"]), last, int(found.get(b"EXISTS", 0))
        except KeyError:
            words = "the server tells no UIDVALIDITY, without which no message has a number that lasts"
        except _ODD as error:
            words = _words(error)
        if _NOT_CONNECTED.search(words):
            raise SourceError(
                f"the log-in to {self._server.host} was accepted, but it opens no mailbox {self._folder.mailbox}: "
                f"{self._server.mend}"
            )
        raise SourceError(
            f"the folder {self._folder.name!r} of {self._folder.mailbox} cannot be opened: {words}; {self._near()}"
        )

    def _near(self) -> str:
        try:
            with _reached(self._server):
                names = [str(name) for _, _, name in self._client.list_folders()[:_MOST_FOLDERS]]
        except (SourceError, *_ODD):
            names = []
        return near(self._folder.name, names)

    @contextmanager
    def _asked(self, count: int) -> Iterator[None]:
        """Ask something that brings up to `count` bytes of messages; no word of the answer gets into an error."""
        self._client.allow(count)
        try:
            yield
        except OSError as error:
            self._is_broken = True
            raise BrokenError(f"the connection to {_where(self._server)} broke: {_reason(error)}", retry=True) from None
        except _ODD as error:
            self._is_broken = True
            raise BrokenError(
                f"{_where(self._server)} gives no proper answer ({type(error).__name__})", retry=True
            ) from None


def _logged_in(server: Server) -> _Client:
    """Return a client that is logged in; a token that is refused is asked for anew, once."""
    for is_refused in (False, True):
        client = _connected(server)
        try:
            words = _log_in(client, server, server.secret(is_refused))
        except BaseException:
            _drop(client)
            raise
        if words is None:
            return client
        _drop(client)
        if not server.is_token:
            break
    words = words or "it gives no reason"
    if _BUSY.search(words):
        raise SourceError(f"{_where(server)} lets nobody in just now: {words}; it is tried again", retry=True)
    raise SourceError(f"{_where(server)} refused the log-in of {server.user}: {words}; {server.mend}")


def _connected(server: Server) -> _Client:
    context = _context(server)
    client = None
    try:
        with _reached(server):
            client = _Client(server, context)
            if server.starttls:
                client.starttls(context)
            return client
    except _ODD as error:
        words = _words(error)
    except SourceError:
        _drop(client)
        raise
    _drop(client)
    raise SourceError(f"{_where(server)} does not speak IMAP as expected: {words}; see 'host', 'port' and 'starttls'")


def _context(server: Server) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=server.ca_file)
    except OSError as error:
        raise SourceError(
            f"'ca_file' {server.ca_file} cannot be used: {_reason(error)}; it should hold an authority in PEM"
        ) from None


def _log_in(client: _Client, server: Server, secret: str) -> str | None:
    """Return None after a log-in, or the words in which the server refused it."""
    try:
        with _reached(server, secret):
            if server.is_token:
                client.sasl_login("XOAUTH2", _once(f"user={server.user}\1auth=Bearer {secret}\1\1"))
            elif client.has_capability("AUTH=PLAIN"):
                client.sasl_login("PLAIN", _once(f"\0{server.user}\0{secret}"))
            else:
                client.login(_quoted(server.user), secret)
    except UnicodeEncodeError:
        return "it takes LOGIN only, and that takes no other letters than ASCII"
    except _ODD as error:
        words = _words(error, secret)
        if isinstance(error.__context__, imaplib.IMAP4.abort):  # the library makes both the same
            raise _ended(server, words) from None
        return words
    return None


def _once(payload: str) -> Callable[[bytes], bytes]:
    waiting = [payload.encode()]
    return lambda _challenge: waiting.pop() if waiting else b""


@contextmanager
def _reached(server: Server, secret: str = "") -> Iterator[None]:
    """Explain why the server cannot be reached; nothing is read of messages here."""
    try:
        yield
    except socket.gaierror as error:
        raise SourceError(
            f"the name {server.host!r} is not known to this machine: {error.strerror}; see 'host' and the DNS",
            retry=True,
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise SourceError(
            f"{_where(server)} shows a certificate that is not trusted: {error.verify_message}; see 'host', or name "
            "the certificate authority in 'ca_file'"
        ) from None
    except ssl.SSLError as error:
        raise SourceError(
            f"{_where(server)} speaks no TLS as we do: {_reason(error)}; port 993 does from the first byte, "
            "port 143 with starttls = true"
        ) from None
    except imaplib.IMAP4.abort as error:
        raise _ended(server, _words(error, secret)) from None
    except OSError as error:
        raise SourceError(
            f"{_where(server)} gives no answer: {_reason(error)}; see that this machine may reach it", retry=True
        ) from None


def _ended(server: Server, words: str) -> SourceError:
    return SourceError(f"{_where(server)} ended the conversation: {words}; it is tried again", retry=True)


def _drop(client: _Client | None) -> None:
    if client is not None:
        with suppress(OSError):
            client.shutdown()


def _content(values: dict[bytes, Any], name: bytes) -> bytes:
    """Return the content `name` of an answer, which says where it begins if it was asked for from there."""
    found = values.get(name + b"<0>", values.get(name))
    if isinstance(found, int):  # digits alone
        return str(found).encode()
    if not isinstance(found, bytes):
        raise ValueError("no content")  # noqa: TRY004 - what the server said is wrong
    return found


def _moment(value: object) -> datetime | None:
    try:
        return value.astimezone(UTC) if isinstance(value, datetime) else None
    except (OverflowError, ValueError):
        return None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _where(server: Server) -> str:
    return f"the IMAP server {server.host}:{server.port}"


def _reason(error: BaseException) -> str:
    said = (error.reason if isinstance(error, ssl.SSLError) else None) or getattr(error, "strerror", None)
    return f"{type(error).__name__}{f' ({said})' if said else ''}"


def _words(error: BaseException, secret: str = "") -> str:
    """Return what a server said in refusing, without the secret that it may repeat, as it is or in base64."""
    text = str(error)
    return one_line(_LIKE_A_TOKEN.sub("***", text.replace(secret, "***") if secret else text))
