"""
Connect to a server, agree on encryption, and leave again: no log-in, no message, no request.

Trust is that of the program itself: the list that comes with our HTTP client for what is posted, this machine's store
for mail, or the one authority in `ca_file`.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography import x509

from pipeline.errors import SettingsError
from pipeline.needs import Endpoint, Way

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Met:
    """What a server agreed to: the protocol of TLS, if any, and until when its certificate is valid."""

    protocol: str = ""
    valid_until: datetime | None = None
    offers_starttls: bool = False


Meet = Callable[[Endpoint], Met]
"""Meet a server; raise OSError (ssl.SSLError among them) or SMTPException when that cannot be."""

Issuer = Callable[[Endpoint], str]
"""Return who issued the certificate of a server that is not trusted, or nothing."""


def meet(endpoint: Endpoint, timeout_s: float = TIMEOUT_S) -> Met:
    """Return how `endpoint` answered."""
    if endpoint.way in {Way.SMTP, Way.STARTTLS}:
        return _meet_smtp(endpoint, trust(endpoint.ca_file, is_web=endpoint.is_web), timeout_s)
    with socket.create_connection((endpoint.host, endpoint.port), timeout_s) as plain:
        if endpoint.way is Way.PLAIN:
            return Met()
        with trust(endpoint.ca_file, is_web=endpoint.is_web).wrap_socket(
            plain, server_hostname=endpoint.host
        ) as secured:
            return _met(secured)


def issuer(endpoint: Endpoint, timeout_s: float = TIMEOUT_S) -> str:
    """Return who issued the certificate of `endpoint`, whom we do not trust and to whom nothing is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, smtplib.SMTPException, ValueError):
        if endpoint.way is Way.STARTTLS:
            with smtplib.SMTP(endpoint.host, endpoint.port, socket.gethostname(), timeout_s) as smtp:
                smtp.starttls(context=context)
                return _issuer_in(smtp.sock)
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=endpoint.host) as secured,
        ):
            return _issuer_in(secured)
    return ""


def _meet_smtp(endpoint: Endpoint, context: ssl.SSLContext, timeout_s: float) -> Met:
    with smtplib.SMTP(endpoint.host, endpoint.port, socket.gethostname(), timeout_s) as smtp:
        smtp.ehlo_or_helo_if_needed()
        if endpoint.way is Way.SMTP:
            return Met(offers_starttls=smtp.has_extn("starttls"))
        smtp.starttls(context=context)
        return _met(smtp.sock, offers_starttls=True)


def trust(ca_file: Path | None, *, is_web: bool) -> ssl.SSLContext:
    """Return what the program trusts: `ca_file` alone, or else its own list or the machine's."""
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False) if is_web else ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        no_pem = isinstance(error, ssl.SSLError) or not error.strerror
        reason = "it holds no certificate in PEM" if no_pem else error.strerror
        raise SettingsError(f"ca_file {ca_file} cannot be read: {reason}; correct it") from None


def _met(secured: socket.socket | None, *, offers_starttls: bool = False) -> Met:
    if not isinstance(secured, ssl.SSLSocket):
        return Met(offers_starttls=offers_starttls)
    certificate = secured.getpeercert() or {}
    until = str(certificate.get("notAfter", ""))
    valid_until = datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if until else None
    return Met(secured.version() or "", valid_until, offers_starttls)


def _issuer_in(secured: socket.socket | None) -> str:
    certificate = secured.getpeercert(binary_form=True) if isinstance(secured, ssl.SSLSocket) else None
    return x509.load_der_x509_certificate(certificate).issuer.rfc4514_string() if certificate else ""
