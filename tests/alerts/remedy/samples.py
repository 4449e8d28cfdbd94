"""Facts about made-up senders, each with only what the test is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from queries.facts import Device, SenderFacts

BASE = SenderFacts(
    sender="someone@contoso.example",
    reply_class="basic_retired",
    first_seen=datetime(2026, 12, 31, 23, 5, tzinfo=UTC),
    last_seen=datetime(2027, 1, 1, 6, 40, tzinfo=UTC),
)


def facts(**known: Any) -> SenderFacts:
    """Return facts that hold nothing but the least, and what is `known`."""
    return replace(BASE, **known)


def full_facts(**known: Any) -> SenderFacts:
    """Return facts of which every field is filled."""
    given: dict[str, Any] = {
        "sender": "scanner@contoso.example",
        "refusals": 4,
        "mails": 3,
        "rescuable": 2,
        "lost": 1,
        "recipients": 5,
        "external_share": 0.4,
        "mails_per_day": 12.0,
        "largest_bytes": 3_100_000,
        "devices": (Device("192.0.2.7", "mfp-1.contoso.example"), Device("192.0.2.8", None)),
        "relays": ("relay01", "relay02"),
        "formats": ("exim", "postfix"),
        "endpoints": ("smtp.office365.com",),
        "stages": ("auth",),
        "reply_text": "550 5.7.30 Basic authentication is not supported for Client Submission.",
    }
    return replace(BASE, **(given | known))
