"""
Log in at Microsoft as the application that the settings name, through MSAL.

MSAL is Microsoft's own library: it signs, keeps tokens until they expire, and knows the tenant's own address. It talks
through the client that is handed in, so a proxy or an authority of one's own count for it too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import msal
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1

from pipeline.errors import Place, SettingsError, SourceError
from pipeline.graph.identity import Settings
from pipeline.graph.trouble import Refusal, RefusedError, sentence_of

Token = Callable[[str, bool], str]
"""Give a resource such as https://graph.microsoft.com, and whether the last token was refused; get a bearer token."""


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
