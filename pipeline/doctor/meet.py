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
from typing import TypeVar

import httpx
from cryptography import x509

from pipeline.errors import SettingsError
from pipeline.needs import Endpoint, Way

TIMEOUT_S = 5.0

_LONGEST_LINE, _MOST_LINES = 8192, 20

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Met:
    """What a server agreed to: the protocol of TLS, if any, and until when its certificate is valid."""

    protocol: str = ""
    valid_until: datetime | None = None
    offers_starttls: bool = False


Meet = Callable[[Endpoint], Met]
"""Meet a server; raise OSError (ssl.SSLError among them), SMTPException or NoStarttlsError when that cannot be."""

Issuer = Callable[[Endpoint], str]
"""Return who issued the certificate of a server that is not trusted, or nothing."""


class NoStarttlsError(Exception):
    """The server answers, and offers no STARTTLS."""


def meet(endpoint: Endpoint, timeout_s: float = TIMEOUT_S) -> Met:
    """Return how `endpoint` answered."""
    if endpoint.way is Way.SMTP:
        with smtplib.SMTP(endpoint.host, endpoint.port, socket.gethostname(), timeout_s) as smtp:
            smtp.ehlo_or_helo_if_needed()
            return Met(offers_starttls=smtp.has_extn("starttls"))
    return _meet(endpoint, trust(endpoint.ca_file, is_web=endpoint.is_web), timeout_s, _met)


def issuer(endpoint: Endpoint, timeout_s: float = TIMEOUT_S) -> str:
    """Return who issued the certificate of `endpoint`, whom we do not trust and to whom nothing is said."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with suppress(OSError, smtplib.SMTPException, NoStarttlsError, ValueError):
        return _meet(endpoint, context, timeout_s, _issuer_in)
    return ""


def _meet(endpoint: Endpoint, context: ssl.SSLContext, timeout_s: float, look: Callable[[socket.socket], T]) -> T:
    """Return what `look` sees in the connection, once it is as it shall be."""
    if endpoint.way is Way.STARTTLS:
        with smtplib.SMTP(endpoint.host, endpoint.port, socket.gethostname(), timeout_s) as smtp:
            return look(_secured_smtp(smtp, context))
    with socket.create_connection((endpoint.host, endpoint.port), timeout_s) as plain:
        if endpoint.way is Way.PLAIN:
            return look(plain)
        if endpoint.way is Way.IMAP_STARTTLS:
            _begin_imap(plain)
        with context.wrap_socket(plain, server_hostname=endpoint.host) as secured:
            return look(secured)


def _secured_smtp(smtp: smtplib.SMTP, context: ssl.SSLContext) -> socket.socket:
    smtp.ehlo_or_helo_if_needed()
    if not smtp.has_extn("starttls"):
        raise NoStarttlsError
    smtp.starttls(context=context)
    assert smtp.sock is not None  # noqa: S101 - it has just answered
    return smtp.sock


def _begin_imap(plain: socket.socket) -> None:
    """Have an IMAP server begin TLS; imaplib hides why that failed."""
    with plain.makefile("rwb") as lines:
        lines.readline(_LONGEST_LINE)
        lines.write(b"a STARTTLS\r\n")
        lines.flush()
        answers = (lines.readline(_LONGEST_LINE) for _ in range(_MOST_LINES))
        answer = next((line for line in answers if line[:2] != b"* "), b"")
    if not answer.upper().startswith(b"A OK"):
        raise NoStarttlsError


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


def _met(connection: socket.socket) -> Met:
    if not isinstance(connection, ssl.SSLSocket):
        return Met()
    certificate = connection.getpeercert() or {}
    until = str(certificate.get("notAfter", ""))
    valid_until = datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if until else None
    return Met(connection.version() or "", valid_until)


def _issuer_in(connection: socket.socket) -> str:
    certificate = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    return x509.load_der_x509_certificate(certificate).issuer.rfc4514_string() if certificate else ""
