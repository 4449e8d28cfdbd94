"""
Who we are to Microsoft: an application of the tenant, with a certificate, a secret, or another platform's identity.

MSAL, Microsoft's own library, does the work: signing, caching, and the tenant's own address. A certificate is what
Microsoft recommends; a federated identity (Kubernetes, a cloud's workload identity) needs no secret of ours at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msal
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from pipeline.errors import Place, SettingsError, SourceError
from pipeline.graph.trouble import Refusal, RefusedError, sentence_of
from pipeline.secret import Secret

GRAPH = "https://graph.microsoft.com"
EXCHANGE_ONLINE = "https://outlook.office365.com"

Token = Callable[[str, bool], str]
"""Give a resource such as https://graph.microsoft.com, and whether the last token was refused; get a bearer token."""

_TENANT = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z.-]*[0-9A-Za-z])?")
_CLIENT = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    [microsoft]: tenant (its id or a domain of it), client (the application's id), and one way to prove who we are.

    `certificate` holds private key and certificate in PEM; `secret` is a client secret; `federated` is a token that the
    platform writes and renews, such as { file = "/var/run/secrets/azure/tokens/azure-identity-token" }. `authority` and
    `graph` are other addresses for a national cloud or a proxy, whose `ca_file` may be one's own.
    """

    tenant: str
    client: str
    certificate: Secret | None = None
    secret: Secret | None = None
    federated: Secret | None = None
    authority: str = "https://login.microsoftonline.com"
    graph: str = GRAPH
    ca_file: Path | None = None
    timeout_s: float = 60.0


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as sentences; nothing is asked."""
    complaints = []
    if not _TENANT.fullmatch(settings.tenant):
        complaints.append("'tenant' should be the tenant's id or a domain of it, such as contoso.onmicrosoft.com")
    if not _CLIENT.fullmatch(settings.client):
        complaints.append("'client' should be the application (client) id of the app registration, a GUID")
    ways = [way for way in (settings.certificate, settings.secret, settings.federated) if way is not None]
    if len(ways) != 1:
        complaints.append("give exactly one of 'certificate', 'secret' and 'federated', to prove who we are")
    complaints += [
        f"'{name}' should begin with https://, because a token travels there"
        for name in ("authority", "graph")
        if not _is_safe(getattr(settings, name))
    ]
    return complaints


def token_of(settings: Settings, http: httpx.Client) -> Token:
    """Return what gets bearer tokens for `settings` through `http`; it keeps them until they expire or are refused."""
    applications: list[msal.ConfidentialClientApplication] = []

    def token(resource: str, is_refused: bool) -> str:
        if is_refused or not applications:  # MSAL has no way to drop one token, and a renewed secret is seen like this
            applications[:] = [_application(settings, http)]
        return _asked(applications[0], resource)

    return token


def _application(settings: Settings, http: httpx.Client) -> msal.ConfidentialClientApplication:
    try:
        return msal.ConfidentialClientApplication(
            settings.client,
            authority=f"{settings.authority.rstrip('/')}/{settings.tenant}",
            client_credential=_credential(settings),
            http_client=_Http(http, settings.timeout_s),
            instance_discovery=False,
        )
    except httpx.HTTPError as error:
        raise _no_answer(settings, error) from None
    except ValueError as error:
        raise _cannot(settings, error) from None


def _credential(settings: Settings) -> Any:
    if settings.certificate is not None:
        pem = settings.certificate.reveal()
        if "PRIVATE KEY-----" not in pem or "BEGIN CERTIFICATE-----" not in pem:
            raise SettingsError(
                f"{settings.certificate.where} should hold a private key and its certificate in PEM, one behind the "
                "other; make it from a PFX with `openssl pkcs12 -in app.pfx -nodes -out app.pem`",
                place=Place(key="microsoft"),
            )
        return {"private_key": pem, "public_certificate": pem, "thumbprint": _thumbprint(pem)}
    if settings.secret is not None:
        return settings.secret.reveal()
    assert settings.federated is not None  # noqa: S101 - `check` has seen to it
    return {"client_assertion": settings.federated.reveal}


def _thumbprint(pem: str) -> str:
    certificate = x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERTIFICATE-----") :].encode())
    return certificate.fingerprint(SHA1()).hex()  # noqa: S303 - what Entra ID knows a certificate by


def _asked(application: msal.ConfidentialClientApplication, resource: str) -> str:
    try:
        answer = application.acquire_token_for_client([f"{resource}/.default"])
    except httpx.HTTPError as error:
        raise SourceError(
            f"the log-in at Microsoft got no answer: {type(error).__name__}; see that this machine reaches it",
            retry=True,
        ) from None
    except ValueError as error:
        raise SourceError(f"the log-in at Microsoft failed: {error}; see [microsoft] in the settings") from None
    if token := answer.get("access_token"):
        return str(token)
    refusal = Refusal(400, str(answer.get("error", "")), _one_line(answer.get("error_description")))
    raise RefusedError(f"log-in: {sentence_of(refusal, 'the application')}", refusal=refusal)


def _one_line(text: object) -> str:
    return " ".join(str(text or "").split())[:300]


def _no_answer(settings: Settings, error: httpx.HTTPError) -> SourceError:
    where = settings.authority
    return SourceError(
        f"{where} gives no answer: {type(error).__name__}; see that this machine resolves and reaches it", retry=True
    )


def _cannot(settings: Settings, error: ValueError) -> SourceError:
    words = _one_line(error)
    return SourceError(
        f"the log-in for tenant {settings.tenant!r} cannot be prepared: {words}; see [microsoft] in the settings"
    )


def _is_safe(address: str) -> bool:
    return re.match(r"https://[^/\s]|http://(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/|$)", address) is not None


class _Http:
    """What MSAL speaks through: our own client instead of one that it would make."""

    def __init__(self, client: httpx.Client, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        return self._client.get(url, params=params, headers=headers, timeout=self._timeout_s)

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> httpx.Response:
        return self._client.post(url, params=params, data=data, headers=headers, timeout=self._timeout_s)

    def close(self) -> None:
        """Leave the client open: it is not ours."""
