"""
A real IMAP server on loopback for tests: pymap, behind TLS, with the log-ins and the moods that a test wants.

pymap checks no tokens by itself, so the log-in is ours; so are refusals, hang-ups and what it remembers of commands.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from argparse import Namespace
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from proxyprotocol.reader import ProxyProtocolReader
from proxyprotocol.sock import SocketInfo
from pymap.backend.dict import Config, Identity, Login
from pymap.backend.dict.filter import FilterSet
from pymap.backend.dict.mailbox import MailboxData, MailboxSet
from pymap.context import connection_exit
from pymap.exceptions import InvalidAuth, NotSupportedError
from pymap.imap import IMAPConnection, IMAPServer
from pymap.imap.state import ConnectionState
from pymap.parsing.command import Command
from pymap.parsing.command.select import FetchCommand
from pymap.parsing.message import AppendMessage
from pymap.parsing.response import ResponseOk
from pymap.parsing.specials.flag import Flag
from pymap.user import UserMetadata
from pysasl import SASLAuth
from pysasl.creds.external import ExternalCredentials
from pysasl.creds.plain import PlainCredentials
from pysasl.creds.server import ServerCredentials
from pysasl.mechanism import ServerChallenge
from pysasl.mechanism.oauth import OAuth2Mechanism
from pysasl.mechanism.plain import PlainMechanism

T = TypeVar("T")

MAILBOX = "bounces@contoso.example"
PASSWORD = "canary-pässword"
TOKEN = "canary-token-" + "eyJ0" * 20


@dataclass
class Moods:
    """How the server is to behave, and what it has seen."""

    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    passwords: set[str] = field(default_factory=lambda: {PASSWORD})
    mechanisms: tuple[str, ...] = ("XOAUTH2", "PLAIN")
    hangs_up_at: set[int] = field(default_factory=set)
    refuses: set[int] = field(default_factory=set)
    deletes_at_fetch: set[int] = field(default_factory=set)
    opens_nothing: bool = False
    marks_as_read: bool = False  # a command would do it, were the folder open for writing
    commands: list[str] = field(default_factory=list)
    answers_to_refusals: list[bytes] = field(default_factory=list)

    @property
    def verbs(self) -> set[str]:
        """The commands that were given, without what they were about."""
        return {command.split(" ")[0] for command in self.commands}


class _XOAuth2(OAuth2Mechanism):
    """Sends its reason before it refuses, as Google and Microsoft document it."""

    def __init__(self, moods: Moods) -> None:
        super().__init__()
        self.moods = moods

    def server_attempt(self, responses: Any) -> tuple[ExternalCredentials, None]:
        creds, _ = super().server_attempt(responses)
        _, _, token = responses[0].response.decode().partition("auth=Bearer ")
        if token.rstrip("\1") not in self.moods.tokens and len(responses) == 1:
            raise ServerChallenge(json.dumps({"status": "400", "schemes": "Bearer", "scope": "x"}).encode())
        self.moods.answers_to_refusals += [each.response for each in responses[1:]]
        return creds, None


class _Config(Config):
    def __init__(self, moods: Moods, tls: ssl.SSLContext | None, ssl_context: ssl.SSLContext) -> None:
        args = Namespace(passlib_cfg=None, proxy_protocol=None)
        super().__init__(
            args, demo_data=False, demo_user=MAILBOX, demo_password="", host="127.0.0.1", port=0,
            tls_enabled=tls is None, ssl_context=ssl_context,
        )  # fmt: skip
        self.moods = moods

    @property
    def tls_auth(self) -> SASLAuth:
        known = {"XOAUTH2": _XOAuth2(self.moods), "PLAIN": PlainMechanism()}
        return SASLAuth([known[name] for name in self.moods.mechanisms if name in known])


class _Login(Login):
    def __init__(self, config: _Config) -> None:
        super().__init__(config)
        self.moods = config.moods

    async def authenticate(self, credentials: ServerCredentials) -> Any:
        if isinstance(credentials, ExternalCredentials):
            is_right = credentials._token in self.moods.tokens
        else:
            is_right = getattr(credentials, "_secret", None) in self.moods.passwords
        if not is_right:
            raise InvalidAuth
        self.users_dict.setdefault(credentials.authzid, UserMetadata(self.config, credentials.authzid))
        return Identity(credentials.authzid, self, None, frozenset())


class _State(ConnectionState):
    config: Any

    async def do_login(self, cmd: Any) -> Any:
        if "LOGIN" not in self.config.moods.mechanisms:
            raise NotSupportedError("LOGIN is disabled.")
        creds = PlainCredentials(cmd.userid.decode(), cmd.password.decode())
        return await self.do_authenticate(cmd, creds), None

    async def do_command(self, cmd: Command) -> Any:
        moods: Moods = self.config.moods
        what = f" {cmd.mailbox}" if hasattr(cmd, "mailbox") else ""
        moods.commands.append(cmd.command.decode().replace(" ", "-") + what)
        if isinstance(cmd, FetchCommand):
            moods.marks_as_read |= any(attribute.set_seen for attribute in cmd.attributes)
            uids = set(cmd.sequence_set.flatten(1 << 20))
            self._follow_moods(moods, uids)
            if len(uids) == 1 and uids <= moods.deletes_at_fetch:  # pymap would give it all the same
                return ResponseOk(cmd.tag, b"FETCH completed.")
        if moods.opens_nothing and b"EXAMINE" in cmd.command:
            raise NotSupportedError("User is authenticated but not connected.")
        return await super().do_command(cmd)

    def _follow_moods(self, moods: Moods, uids: set[int]) -> None:
        if uids & moods.hangs_up_at:
            raise ConnectionError
        if uids & moods.refuses:
            raise NotSupportedError("canary-words-of-the-server")


class _Server(IMAPServer):
    def __init__(self, login: Login, config: _Config) -> None:
        super().__init__(login, config)
        self.own_login, self.own_config = login, config

    async def __call__(self, reader: Any, writer: Any, sock_info: SocketInfo) -> None:
        conn = IMAPConnection(self.commands, self.own_config, reader, writer, sock_info)
        async with AsyncExitStack() as stack:
            connection_exit.set(stack)
            stack.enter_context(closing(conn))
            await conn.run(_State(self.own_login, self.own_config))


@dataclass
class Post:
    """The server as tests see it; each call happens in the server's own thread."""

    port: int
    moods: Moods
    ca_file: Path
    loop: asyncio.AbstractEventLoop
    mailboxes: MailboxSet

    def put(self, raw: bytes, *, at: datetime | None = None, folder: str = "INBOX", flags: tuple[str, ...] = ()) -> int:
        """Put a message into the folder and return its number."""

        async def put() -> int:
            box = await self.mailboxes.get_mailbox(folder)
            given = frozenset(Flag(flag.encode()) for flag in flags)
            message = await box.append(AppendMessage(raw, at or datetime.now(UTC), given))
            return int(message.uid)

        return self._run(put)

    def flags(self, folder: str = "INBOX") -> dict[int, tuple[list[str], bool]]:
        """Return the flags of each message, and whether it counts as recent."""

        async def flags() -> dict[int, tuple[list[str], bool]]:
            box = await self.mailboxes.get_mailbox(folder)
            return {each.uid: (sorted(map(str, each.permanent_flags)), each.recent) for each in box._messages.values()}

        return self._run(flags)

    def delete(self, *uids: int) -> None:
        """Delete messages of the inbox."""

        async def delete() -> None:
            await (await self.mailboxes.get_mailbox("INBOX")).delete(uids)

        self._run(delete)

    def make_folder(self, name: str) -> None:
        """Make a folder."""

        async def make() -> None:
            await self.mailboxes.add_mailbox(name)

        self._run(make)

    def make_anew(self) -> None:
        """Give the inbox another UIDVALIDITY and other numbers, with the same messages in it."""

        async def make() -> None:
            old = self.mailboxes._inbox
            new = MailboxData(self.mailboxes._content_cache, self.mailboxes._thread_cache)
            for uid in list(old._messages):
                await old.copy(uid, new)
            new._uid_validity = old.uid_validity + 1
            self.mailboxes._inbox = new

        self._run(make)

    def _run(self, what: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(what(), self.loop).result(10)


@contextmanager
def post_office(folder: Path, *, starttls: bool = False) -> Iterator[Post]:
    """Run a server that knows one mailbox."""
    ca_file, context = certified(folder)
    moods, ready, opened = Moods(), threading.Event(), []

    async def serve() -> None:
        tls = None if starttls else context
        config = _Config(moods, tls, context)
        config.apply_context()
        login = _Login(config)
        answer = ProxyProtocolReader(config.proxy_protocol).get_callback(_Server(login, config))
        server = await asyncio.start_server(answer, host="127.0.0.1", port=0, ssl=tls)
        mailboxes = MailboxSet()
        config.set_cache[MAILBOX] = (mailboxes, FilterSet())
        stop = asyncio.Event()
        opened.append((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), mailboxes, stop))
        ready.set()
        async with server:
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    [(port, loop, mailboxes, stop)] = opened
    try:
        yield Post(port, moods, ca_file, loop, mailboxes)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def certified(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate authority, and the TLS of a server on loopback that it vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, both = folder / "authority.pem", folder / "server.pem"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    authority.write_bytes(pem)
    both.write_bytes(private + pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(both)
    return authority, context
