from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipeline.errors import SettingsError, SourceError
from pipeline.graph.identity import GRAPH, Settings, check
from pipeline.graph.login import token_of
from pipeline.secret import Secret

CLIENT = "11111111-2222-4333-8444-555555555555"
TENANT = "contoso.example"
CANARY = "canary-9f3b"


class Entra:
    """Answers as the log-in does; `refusal` is an error it gives instead of tokens."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.asked: list[dict[str, list[str]]] = []
        self.http = httpx.Client(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        authority = f"https://login.microsoftonline.com/{TENANT}"
        if request.url.path.endswith("openid-configuration"):
            return httpx.Response(
                200,
                json={
                    "issuer": "https://login.microsoftonline.com/11111111-0000-4000-8000-000000000000/v2.0",
                    "authorization_endpoint": f"{authority}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{authority}/oauth2/v2.0/token",
                },
            )
        self.asked.append(parse_qs(request.content.decode()))
        if self.refusal:
            return httpx.Response(401, json={"error": "invalid_client", "error_description": self.refusal})
        token = {"token_type": "Bearer", "expires_in": 3599, "access_token": f"token-{len(self.asked)}"}
        return httpx.Response(200, json=token)


def secret_in(tmp_path: Path, text: str) -> Secret:
    path = tmp_path / "secret"
    path.write_text(text)
    return Secret.from_setting({"file": str(path)})


@pytest.fixture(scope="module")
def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authsunset")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return (private + certificate.public_bytes(serialization.Encoding.PEM)).decode()


def test_a_secret_buys_a_token_once_until_it_is_refused(tmp_path: Path) -> None:
    entra = Entra()
    token = token_of(Settings(tenant=TENANT, client=CLIENT, secret=secret_in(tmp_path, CANARY)), entra.http)

    assert [token(GRAPH, False), token(GRAPH, False), token(GRAPH, True)] == ["token-1", "token-1", "token-2"]
    assert entra.asked[0]["client_secret"] == [CANARY]
    assert entra.asked[0]["scope"] == [f"{GRAPH}/.default"]


def test_a_renewed_secret_is_seen_without_a_restart(tmp_path: Path) -> None:
    entra = Entra()
    token = token_of(Settings(tenant=TENANT, client=CLIENT, secret=secret_in(tmp_path, "old")), entra.http)
    token(GRAPH, False)
    (tmp_path / "secret").write_text("new")

    token(GRAPH, True)

    assert [each["client_secret"] for each in entra.asked] == [["old"], ["new"]]


def test_a_certificate_signs_and_is_not_sent(tmp_path: Path, pem: str) -> None:
    entra = Entra()

    token_of(Settings(tenant=TENANT, client=CLIENT, certificate=secret_in(tmp_path, pem)), entra.http)(GRAPH, False)

    [asked] = entra.asked
    assert asked["client_assertion"][0].count(".") == 2
    assert "PRIVATE" not in json.dumps(asked)


def test_a_federated_token_is_read_anew_each_time(tmp_path: Path) -> None:
    entra = Entra()
    settings = Settings(tenant=TENANT, client=CLIENT, federated=secret_in(tmp_path, "platform-1"))
    token = token_of(settings, entra.http)
    token(GRAPH, False)
    (tmp_path / "secret").write_text("platform-2")

    token(GRAPH, True)

    assert [each["client_assertion"] for each in entra.asked] == [["platform-1"], ["platform-2"]]


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("AADSTS7000215: Invalid client secret provided.", "is wrong or has expired; renew it in Entra ID"),
        ("AADSTS700016: Application was not found in the directory.", "compare tenant and client in [microsoft]"),
    ],
)
def test_a_refused_log_in_says_what_to_do_and_no_secret(tmp_path: Path, words: str, mend: str) -> None:
    settings = Settings(tenant=TENANT, client=CLIENT, secret=secret_in(tmp_path, CANARY))

    with pytest.raises(SourceError) as refused:
        token_of(settings, Entra(words).http)(GRAPH, False)

    assert mend in str(refused.value)
    assert CANARY not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("kind", ["no_answer", "no_pem"])
def test_what_cannot_be_asked_is_an_error_with_its_mend(tmp_path: Path, kind: str) -> None:
    def fails(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    http = httpx.Client(transport=httpx.MockTransport(fails))
    way = {"no_answer": "secret", "no_pem": "certificate"}[kind]
    settings = Settings(tenant=TENANT, client=CLIENT, **{way: secret_in(tmp_path, CANARY)})  # type: ignore[arg-type]

    with pytest.raises((SourceError, SettingsError)) as failed:
        token_of(settings, http)(GRAPH, False)

    assert "see that this machine" in str(failed.value) or "openssl pkcs12" in str(failed.value)
    assert CANARY not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tenant": "a b"}, "'tenant' should be"),
        ({"client": "authsunset"}, "'client' should be"),
        ({}, "exactly one of"),
        ({"graph": "http://graph.microsoft.com"}, "'graph' should begin with https://"),
        ({"ca_file": Path("/none.pem")}, "'ca_file' /none.pem is not a file"),
    ],
)
def test_settings_are_checked_offline(change: dict[str, Any], complaint: str) -> None:
    settings = Settings(**{"tenant": TENANT, "client": CLIENT, **change})

    assert complaint in "\n".join(check(settings))
