"""Whether what proves us to Microsoft will still do so in a month; read offline, shown to nobody."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pipeline.doctor.result import Group, Result, Topic
from pipeline.errors import SettingsError
from pipeline.graph.identity import Settings

SOON = timedelta(days=30)

_BEGIN = "-----BEGIN CERTIFICATE-----"
_RENEW = (
    "make a new one, upload new.crt in Entra ID under App registrations, {client}, Certificates & secrets, and put "
    "new.pem where the settings say:\n"
    "openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=authsunset -keyout new.key -out new.crt\n"
    "cat new.key new.crt > new.pem"
)


def proof(settings: Settings, now: datetime) -> Result:
    """Return how long the certificate or the token of the platform is still good; a secret does not tell."""
    try:
        if settings.certificate is not None:
            topic = Topic(Group.MICROSOFT, "certificate", settings.certificate.where)
            return certificate(topic, settings.certificate.reveal(), settings.client, now)
        if settings.federated is not None:
            topic = Topic(Group.MICROSOFT, "federated identity", settings.federated.where)
            return platform_token(topic, settings.federated.reveal(), now)
    except SettingsError as error:
        return topic.broken(error.sentence, "put it there, readable for the user of this program")
    return Topic(Group.MICROSOFT, "client secret", settings.client).skipped(
        "when a client secret ends is shown in Entra ID only; a certificate tells it here"
    )


def certificate(topic: Topic, pem: str, client: str, now: datetime) -> Result:
    """Return whether the certificate in `pem` is valid now and in a month, and has its key beside it."""
    mend = _RENEW.format(client=client)
    try:
        found = x509.load_pem_x509_certificate(pem[pem.index(_BEGIN) :].encode())
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):  # their text may quote the file
        expected = "a private key without a password and its certificate, both in PEM, one behind the other"
        return topic.broken(f"does not hold what is expected: {expected}", mend)
    if _public(key.public_key()) != _public(found.public_key()):
        return topic.broken("holds a private key and a certificate that do not belong together", mend)
    return _dated(topic, found, mend, now)


def platform_token(topic: Topic, token: str, now: datetime) -> Result:
    """Return whether the token that a platform writes is being renewed."""
    claims = claims_of(token)
    if claims is None or not isinstance(claims.get("exp"), (int, float)):
        return topic.broken(
            "holds no token with an end (JWT)", "name the file that the platform writes and renews for this workload"
        )
    until = datetime.fromtimestamp(float(claims["exp"]), UTC)
    if until <= now:
        return topic.broken(
            f"ended on {_day(until)}, so the platform does not renew it",
            "see that the platform's webhook or agent runs for this workload, and that the file is its projected one",
        )
    return topic.ok(f"is valid until {_day(until)} and renewed by the platform")


def claims_of(token: str) -> dict[str, Any] | None:
    """Return what a token says of itself, unverified: it only tells people what to look at. None if unreadable."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _dated(topic: Topic, found: x509.Certificate, mend: str, now: datetime) -> Result:
    start, end = found.not_valid_before_utc, found.not_valid_after_utc
    if now < start:
        return topic.broken(f"is not valid before {_day(start)}; this machine's clock may be wrong", mend)
    if now >= end:
        return topic.broken(f"expired on {_day(end)}", mend)
    if end - now <= SOON:
        return topic.warning(f"expires on {_day(end)}, in {(end - now).days} days", mend)
    return topic.ok(f"is valid until {_day(end)}")


def _public(key: Any) -> bytes:
    encoding, kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_bytes(encoding, kind)
    return encoded


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
