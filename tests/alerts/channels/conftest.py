"""A mail server on loopback that answers as it is told, for every test of a channel that sends mail."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword


@dataclass
class Relay:
    """A relay that keeps what it took; `rcpt` gives the answer for an address, `data` the one after the mail."""

    port: int = 0
    rcpt: dict[str, str] = field(default_factory=dict)
    mail_from: str = "250 OK"
    data: str = "250 OK"
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails taken, parsed."""
        return [_parsed(envelope.original_content or b"") for envelope in self.envelopes]

    def authenticate(
        self, _server: object, _session: object, _envelope: object, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"right", handled=False)

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return self.mail_from

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802
        answer = self.rcpt.get(address, "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.data.startswith("2"):
            self.envelopes.append(envelope)
        return self.data


def _parsed(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


StartRelay = Callable[..., Relay]


@pytest.fixture
def start_relay() -> Iterator[StartRelay]:
    with ExitStack() as running:

        def start(*, hostname: str = "relay.contoso.example", tls: ssl.SSLContext | None = None) -> Relay:
            relay = Relay(port=free_port())
            controller = Controller(
                relay,
                hostname="127.0.0.1",
                port=relay.port,
                server_hostname=hostname,
                authenticator=relay.authenticate,
                auth_require_tls=False,
                tls_context=tls,
            )
            controller.start()
            running.callback(controller.stop)
            return relay

        yield start


@pytest.fixture
def relay(start_relay: StartRelay) -> Relay:
    return start_relay()
