"""
Post the whole message as JSON to any address, signed as the Standard Webhooks specification says.

Signing is the published library's: it has no dependencies of its own, is typed, and receivers check with the same
code. Two of its ways need care: it decodes a secret that is not base64 without complaint, so `check` reads it
strictly, and it takes the digits of a time for UTC whatever its zone.
Several secrets make several signatures in one header, so a receiver can change its secret without losing a message:
put the new one beside the old one, change the receiver, take the old one out.
Values are not escaped beyond JSON; programs get what the log held.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks import Webhook

from alerts.http import address_complaints, endpoints_of, post
from alerts.message import Message
from pipeline.clock import Now, utc_now
from pipeline.errors import SettingsError
from pipeline.needs import Needs
from pipeline.secret import Secret

USES = "http"

_PREFIX = "whsec_"
_EXPECTED = "it should be whsec_ and the base64 of 24 to 64 random bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where to post, and the secrets to sign with, the newest first; without any, nothing is signed."""

    url: Secret
    secrets: tuple[Secret, ...] = ()
    timeout_s: float = 10.0


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as far as can be told without a network."""
    complaints = ["timeout_s should be more than 0"] if settings.timeout_s <= 0 else []
    try:
        complaints += address_complaints(settings.url.reveal())
    except SettingsError as error:
        complaints.append(str(error))
    return complaints + [complaint for secret in settings.secrets if (complaint := _complaint_about(secret))]


def needs(settings: Settings) -> Needs:
    """Return the host that is posted to; raise SettingsError when its address is not there."""
    return Needs(endpoints=endpoints_of(settings.url.reveal()))


def payload(message: Message) -> dict[str, Any]:
    """Return what is posted: `type`, `timestamp` and `data`, as Standard Webhooks lays them out."""
    return {
        "type": "authsunset.message",
        "timestamp": message.noticed_at.astimezone(UTC).isoformat(),
        "data": message.to_json(),
    }


def signed(message_id: str, body: bytes, secrets: tuple[Secret, ...], at: datetime) -> Mapping[str, str]:
    """Return the headers that name `message_id` and the time of this try, and prove `body` with each secret."""
    moment = at.astimezone(UTC)
    headers = {"webhook-id": message_id, "webhook-timestamp": str(int(moment.timestamp()))}
    if secrets:
        text = body.decode()
        headers["webhook-signature"] = " ".join(
            Webhook(_key_of(secret)).sign(message_id, moment, text) for secret in secrets
        )
    return headers


def send(message: Message, settings: Settings, client: httpx.Client, *, now: Now = utc_now) -> None:
    """Post `message`; raise DeliveryError unless the receiver answers with a 2xx."""
    # A lone surrogate, which a broken log can hold, is not UTF-8 and would stop the message for good.
    body = json.dumps(payload(message), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    headers = signed(message.id, body, settings.secrets, now())
    post(
        client,
        settings.url.reveal(),
        body,
        channel="webhook",
        timeout_s=settings.timeout_s,
        headers=headers,
        now=now,
    )


def _complaint_about(secret: Secret) -> str | None:
    try:
        _key_of(secret)
    except SettingsError as error:
        return str(error)
    return None


def _key_of(secret: Secret) -> bytes:
    text = secret.reveal()
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):  # not chained: the text is the secret
        raise SettingsError(f"the secret in {secret.where} is not base64: {_EXPECTED}") from None
    if not text.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise SettingsError(f"the secret in {secret.where} does not fit Standard Webhooks: {_EXPECTED}")
    return key
