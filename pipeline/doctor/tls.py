"""What it means when a server and we do not come to terms about encryption, or will not for much longer."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta

from pipeline.needs import Endpoint, Way

SOON = timedelta(days=14)

_NOT_YET_VALID, _EXPIRED, _OTHER_NAME = 9, 10, 62
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OLD_PROTOCOL = ("PROTOCOL", "VERSION_TOO_LOW", "NO_CIPHERS", "NO_SHARED_CIPHER", "HANDSHAKE_FAILURE")


def no_terms(endpoint: Endpoint, error: ssl.SSLError, issuer: str) -> tuple[str, str]:
    """Return why there is no encryption with `endpoint`, and what to do; `issuer` signed its certificate, if known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _not_verified(endpoint, error, issuer)
    reason = (error.reason or "").upper()
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason:
        return (
            f"{endpoint} does not speak TLS where it should",
            f"compare host and port with what the server offers:\n{_openssl(endpoint)}",
        )
    if any(word in reason for word in _OLD_PROTOCOL):
        return (
            f"{endpoint} and this machine share no protocol or cipher of TLS ({reason}); TLS 1.2 is the oldest here",
            f"let the server offer TLS 1.2 or 1.3; what it offers now:\n{_openssl(endpoint)}",
        )
    return (
        f"{endpoint} broke off while encryption was agreed on ({reason or type(error).__name__})",
        f"something between may not let TLS through; look at it with:\n{_openssl(endpoint)}",
    )


def ends_soon(endpoint: Endpoint, valid_until: datetime | None, now: datetime) -> tuple[str, str] | None:
    """Return the warning about a certificate that will expire soon, if it does."""
    if valid_until is None or valid_until - now > SOON:
        return None
    found = f"the certificate of {endpoint} is valid until {valid_until:%Y-%m-%d} only"
    return found, f"have its owner renew it; seen from here:\n{_openssl(endpoint)}"


def _not_verified(endpoint: Endpoint, error: ssl.SSLCertVerificationError, issuer: str) -> tuple[str, str]:
    if error.verify_code == _EXPIRED:
        return (
            f"the certificate of {endpoint} has expired",
            f"have its owner renew it; if it is not expired elsewhere, set this machine's clock:\n{_openssl(endpoint)}",
        )
    if error.verify_code == _NOT_YET_VALID:
        return (
            f"the certificate of {endpoint} is not valid yet",
            "set this machine's clock; with systemd:\ntimedatectl set-ntp true",
        )
    if error.verify_code == _OTHER_NAME or "mismatch" in error.verify_message.lower():
        return (
            f"the certificate of {endpoint} is for another name",
            f"use the name that stands in it, or have the owner add this one:\n{_openssl(endpoint)}",
        )
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return _unknown_authority(endpoint, issuer)
    return (
        f"the certificate of {endpoint} is not accepted: {error.verify_message}",
        f"look at it with:\n{_openssl(endpoint)}",
    )


def _unknown_authority(endpoint: Endpoint, issuer: str) -> tuple[str, str]:
    by = f" by {issuer}" if issuer else ""
    trusts = (
        f"{endpoint.ca_file} does not hold that authority"
        if endpoint.ca_file
        else "that authority is not among those which are trusted here"
    )
    return (
        f"the certificate of {endpoint} was issued{by}, and {trusts}",
        "if that is your own authority, or a proxy that opens TLS on the way, put its certificate in PEM into a file "
        "and name it as ca_file, or have the proxy leave this host alone; the authority stands last in:\n"
        f"{_openssl(endpoint, ' -showcerts')}",
    )


def _openssl(endpoint: Endpoint, options: str = "") -> str:
    starttls = {Way.STARTTLS: " -starttls smtp", Way.IMAP_STARTTLS: " -starttls imap"}.get(endpoint.way, "")
    return f"openssl s_client -connect {endpoint} -servername {endpoint.host}{starttls}{options} </dev/null"
