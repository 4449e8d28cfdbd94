"""A small Microsoft, certificates, and servers on loopback, for what `authsunset doctor` looks at."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pipeline.clock import Clock
from pipeline.graph.client import Graph
from pipeline.graph.identity import Settings
from pipeline.graph.login import token_of
from pipeline.graph.quota import Quota
from pipeline.secret import Secret

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
CLIENT = "11111111-2222-3333-4444-555555555555"
CANARY = "hunter2-canary"

Answer = Callable[[httpx.Request], httpx.Response]


def token_with(*roles: str, **claims: object) -> str:
    """Return an unsigned token that carries `roles`."""
    body = base64.urlsafe_b64encode(json.dumps({"roles": roles, **claims}).encode()).rstrip(b"=").decode()
    return f"e30.{body}.{CANARY}"


@dataclass
class Microsoft:
    """What answers for Microsoft: roles by resource, answers by path, the time there."""

    graph_roles: tuple[str, ...] = ()
    exchange_roles: tuple[str, ...] = ()
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    refused_login: dict[str, str] | None = None
    ahead: timedelta = timedelta(0)
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self._answer(request)
        answer.headers["Date"] = format_datetime(NOW + self.ahead, usegmt=True)
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.endswith("openid-configuration"):
            base = f"https://{request.url.host}/tenant"
            return httpx.Response(
                200,
                json={"issuer": base, "token_endpoint": f"{base}/token", "authorization_endpoint": f"{base}/authorize"},
            )
        if path.endswith("/token"):
            if self.refused_login:
                return httpx.Response(400, json=self.refused_login)
            is_graph = b"graph.microsoft.com" in request.content
            token = token_with(*(self.graph_roles if is_graph else self.exchange_roles))
            return httpx.Response(200, json={"access_token": token, "token_type": "Bearer", "expires_in": 3600})
        self.asked.append(path)
        return self.answers.get(path, httpx.Response(200, json={"value": []}))


def refusal(status: int, code: str, message: str) -> httpx.Response:
    """Return a refusal as Graph words it."""
    return httpx.Response(status, json={"error": {"code": code, "message": message}})


@contextmanager
def graph_of(microsoft: Answer, folder: Path, *, is_patient: bool = True, **changes: Any) -> Iterator[Graph]:
    """Yield a client of `microsoft` that logs in with a secret; its waits are over at once, or are not waited for."""
    (folder / "secret").write_text(CANARY)
    secret = {} if "certificate" in changes else {"secret": Secret.from_setting({"file": str(folder / "secret")})}
    settings = Settings(tenant="contoso.onmicrosoft.com", client=CLIENT, **{**secret, **changes})
    clock = Clock(lambda: NOW, lambda: 0.0, lambda _: not is_patient)
    with httpx.Client(transport=httpx.MockTransport(microsoft)) as http:
        quota = Quota(folder / "quota.sqlite", settings.tenant, clock)
        yield Graph(settings, http, token_of(settings, http), quota, clock)


@dataclass(frozen=True)
class Pair:
    """A private key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return (key + self.certificate.public_bytes(Encoding.PEM)).decode()

    def file(self, folder: Path, name: str = "pair.pem") -> Path:
        (folder / name).write_text(self.pem)
        return folder / name


def made(
    name: str = "localhost",
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=365),
    issuer: Pair | None = None,
) -> Pair:
    """Return a certificate for `name`, signed by `issuer` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    return Pair(key, built.sign(issuer.key if issuer else key, hashes.SHA256()))


@pytest.fixture(scope="session")
def authority() -> Pair:
    return made(
        "Contoso Inspecting Proxy", datetime.now(UTC) - timedelta(days=9), datetime.now(UTC) + timedelta(days=9)
    )


@contextmanager
def serving(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield the port of a server on loopback that speaks to who connects, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # the server is closed at the end
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(5)
                        speak(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def tls_of(
    pair_file: Path, *, newest: ssl.TLSVersion | None = None, greeting: bytes = b""
) -> Callable[[socket.socket], None]:
    """Return how a server speaks TLS with the key and certificate in `pair_file`, up to `newest`, and greets then."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair_file)
    if newest is not None:
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")

    def speak(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(greeting)
            secured.recv(1)

    return speak
