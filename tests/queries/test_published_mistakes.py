"""
What published detections of password log-ins over SMTP have missed, as records in their real shape, and near misses.

Each rule is put down here as far as it matters: which of the two fields it looks at and which values it knows. A record
that it misses has to be found, by way of our reader, the lake and the detection that everything else is built upon.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

import pytest

from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.model import Chunk, Pulled
from queries.detect import detect
from queries.detection import detection
from queries.history import latest
from tests.conftest import NOW

RESIDUAL = detection("residual_basic_sender")
EXCHANGE = "Office 365 Exchange Online"
Record = Mapping[str, Any]

PUBLISHED: dict[str, Callable[[Record], bool]] = {
    # CIPP's alert as it was at first: users saw it return nothing.
    "knows 'SMTP' only": lambda record: record.get("clientAppUsed") == "SMTP",
    # SigmaHQ, "Use of Legacy Authentication Protocols": the name that sign-ins have today is not in its list.
    "does not know 'Authenticated SMTP'": lambda record: (
        record.get("clientAppUsed")
        in {"Other client", "IMAP", "POP3", "MAPI", "SMTP", "Exchange ActiveSync", "Exchange Web Services"}
    ),
    # Panther, azure_legacyauth: the older listing of sign-ins has no user agent, and clients may show another.
    "looks at the user agent only": lambda record: record.get("userAgent") in {"BAV2ROPC", "CBAInPROD"},
}


def record(name: str, **said: Any) -> dict[str, Any]:
    """Return a sign-in as Graph gives it, of the sender `name`; constructed."""
    return {
        "id": f"00000000-0000-4000-8000-{crc32(name.encode()):012}",
        "createdDateTime": "2026-12-30T08:00:01.1234567Z",
        "userPrincipalName": f"{name}@contoso.example",
        "appDisplayName": EXCHANGE,
        "resourceDisplayName": EXCHANGE,
        "ipAddress": "198.51.100.4",
        "isInteractive": True,
        "conditionalAccessStatus": "notApplied",
        "status": {"errorCode": 0, "failureReason": "Other.", "additionalDetails": None},
        **said,
    }


MISSED = {
    "today": record("today", clientAppUsed="Authenticated SMTP", userAgent="BAV2ROPC"),
    "older": record("older", clientAppUsed="SMTP"),
    "agentless": record("agentless", clientAppUsed="Authenticated SMTP"),
    "other-agent": record("other-agent", clientAppUsed="Authenticated SMTP", userAgent="CBAinTAR"),
    "own-agent": record("own-agent", clientAppUsed="Authenticated SMTP", userAgent="Postfix"),
    "misspelt": record("misspelt", clientAppUsed="Authenticated SMTP", authenticationProtocol="rpoc"),
    "grouped": record("grouped", clientAppUsed="Other clients; SMTP", userAgent="BAV2ROPC"),
}
NEAR_MISSES = {
    "oauth": record(
        "oauth",
        clientAppUsed="Mobile Apps and Desktop clients",
        authenticationProtocol="oAuth2",
        userAgent="MSAL 1.0",
        appDisplayName="ERP mailer",
    ),
    "imap": record("imap", clientAppUsed="IMAP4", userAgent="BAV2ROPC"),
    "pop": record("pop", clientAppUsed="POP3", userAgent="BAV2ROPC", authenticationProtocol="ropc"),
    "activesync": record("activesync", clientAppUsed="Exchange ActiveSync", userAgent="CBAInPROD"),
    "browser": record("browser", clientAppUsed="Browser", userAgent="Mozilla/5.0 Authenticated SMTP"),
    "wrong-password": record(
        "wrong-password",
        clientAppUsed="Authenticated SMTP",
        userAgent="BAV2ROPC",
        status={"errorCode": 50126, "failureReason": "Error validating credentials due to invalid username."},
    ),
    "stopped-by-policy": record(
        "stopped-by-policy",
        clientAppUsed="Authenticated SMTP",
        userAgent="BAV2ROPC",
        conditionalAccessStatus="failure",
        status={"errorCode": 53003, "failureReason": "Access has been blocked by Conditional Access policies."},
    ),
    "elsewhere": record(
        "elsewhere", clientAppUsed="Other clients", userAgent="BAV2ROPC", resourceDisplayName="Windows Azure AD"
    ),
}

SHAPES: dict[str, Callable[[list[Record]], str]] = {
    "Graph": lambda records: json.dumps({"@odata.context": "…#auditLogs/signIns", "value": records}),
    "Event Hub": lambda records: json.dumps({"records": [enveloped(each) for each in records]}),
    "storage account": lambda records: "\n".join(json.dumps(enveloped(each)) for each in records) + "\n",
    "Log Analytics": lambda records: json.dumps([in_log_analytics(each) for each in records]),
}


def enveloped(given: Record) -> dict[str, Any]:
    """Return a sign-in as the diagnostic settings of Entra write it out."""
    return {
        "time": given["createdDateTime"],
        "resourceId": "/tenants/00000000-0000-4000-8000-000000000000/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "category": "SignInLogs",
        "resultType": str(given["status"]["errorCode"]),
        "callerIpAddress": given["ipAddress"],
        "properties": dict(given),
    }


def in_log_analytics(given: Record) -> dict[str, Any]:
    """Return a sign-in as a query of SigninLogs gives it: other capitals, the code as text, the status packed."""
    named = {
        "TimeGenerated": given["createdDateTime"],
        "Id": given["id"],
        "UserPrincipalName": given["userPrincipalName"],
        "AppDisplayName": given["appDisplayName"],
        "ResourceDisplayName": given["resourceDisplayName"],
        "IPAddress": given["ipAddress"],
        "ClientAppUsed": given["clientAppUsed"],
        "UserAgent": given.get("userAgent", ""),
        "AuthenticationProtocol": given.get("authenticationProtocol", ""),
        "ConditionalAccessStatus": given["conditionalAccessStatus"],
        "ResultType": str(given["status"]["errorCode"]),
        "Status": json.dumps(given["status"]),
        "Type": "SigninLogs",
    }
    return {key: value for key, value in named.items() if value}


def senders_found(lake: Lake, body: str) -> list[str]:
    """Read `body` into the lake as a source would, and return whom the detection finds."""
    chunk = Chunk(body.encode(), "signins.json", "signins", as_of=NOW, is_last=True)
    outcome = run_source(
        lake, "entra", lambda _position: [Pulled(chunk, "entra_signins", "signins", {"offset": 1})], lambda: NOW
    )
    assert outcome.rejects == 0

    detect(lake, RESIDUAL, NOW)
    return sorted(noted.sender.partition("@")[0] for noted in latest(lake))


@pytest.mark.parametrize("rule", PUBLISHED)
def test_each_published_rule_misses_some_of_these(rule: str) -> None:
    missed = [name for name, each in MISSED.items() if not PUBLISHED[rule](each)]

    assert missed


def test_one_of_these_is_missed_by_every_published_rule() -> None:
    assert [name for name, each in MISSED.items() if not any(sees(each) for sees in PUBLISHED.values())]


def test_a_published_rule_takes_other_protocols_and_failures_for_it() -> None:
    assert PUBLISHED["looks at the user agent only"](NEAR_MISSES["imap"])
    assert PUBLISHED["looks at the user agent only"](NEAR_MISSES["wrong-password"])


@pytest.mark.parametrize("shape", SHAPES)
def test_every_kind_is_found_and_no_near_miss_in_every_shape(lake: Lake, shape: str) -> None:
    body = SHAPES[shape]([*MISSED.values(), *NEAR_MISSES.values()])

    assert senders_found(lake, body) == sorted(MISSED)
