"""
What the exports of Entra and Microsoft 365 call the same thing, and how they write it.

A field has one name here and many there: camel case in Graph, Pascal case in Log Analytics, words in the portal. Values
come as text, numbers, or objects that an export has turned into text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from pipeline.exports.json_records import JsonRecord
from pipeline.exports.tables import fold

# The German words stand to reason; no download in German was at hand.
_HEADERS = {
    "created": ("createdDateTime", "CreatedDateTime [UTC]", "Date (UTC)", "Date", "Datum (UTC)"),
    "logged": ("TimeGenerated", "TimeGenerated [UTC]", "time", "Timestamp", "Timestamp [UTC]"),
    "id": ("id", "Request ID", "Anforderungs-ID"),
    "user": ("userPrincipalName", "Username", "AccountUpn", "Benutzername"),
    "typed": ("signInIdentifier", "Sign-in identifier"),
    "service_principal": ("servicePrincipalName",),
    "ip": ("ipAddress", "IP-Adresse"),
    "caller_ip": ("callerIpAddress",),
    "client_app": ("clientAppUsed", "Client app", "Client-App"),
    "user_agent": ("userAgent", "Benutzer-Agent"),
    "protocol": ("authenticationProtocol", "Authentifizierungsprotokoll"),
    "status": ("Status",),
    "signature": ("resultSignature",),
    "code": ("Sign-in error code", "ErrorCode", "Anmeldefehlercode"),
    "result": ("resultType",),
    "reason": ("Failure reason", "Fehlerursache"),
    "description": ("resultDescription",),
    "app": ("appDisplayName", "Application", "Anwendung"),
    "resource": ("resourceDisplayName",),
    "resource_short": ("Resource", "Ressource"),
    "resource_id": ("ResourceIdentity", "resourceId"),
    "interactive": ("isInteractive",),
    "events": ("signInEventTypes", "LogonType"),
    "conditional_access": ("conditionalAccessStatus", "Conditional Access", "Bedingter Zugriff"),
    "category": ("category",),
    "table": ("Type", "$table"),
    "operation": ("operationName",),
}
NAMES = {fold(header): name for name, headers in _HEADERS.items() for header in headers}
"""Our name for a field by its folded name in an export."""
_PASSWORD_AGENTS = ("bav2ropc", "cbain")
_CODE_IN_TEXT = re.compile(r"\berrorcode\W{1,4}(\d{1,9})\b", re.IGNORECASE)
_PORT = re.compile(r"\A(?:\[([0-9A-Fa-f:.]{2,45})\](?::\d{1,5})?|([0-9.]{7,15}):\d{1,5})\Z")


@lru_cache(maxsize=4096)
def name_of(key: str) -> str | None:
    """Return our name for the field `key`, or None for one that is not kept."""
    return NAMES.get(fold(key)) if len(key) <= 64 else None


def plain(value: Any) -> str:
    """Return a value of JSON as text; an object has none but the `value` that PowerShell gives to some dates."""
    if isinstance(value, dict):
        return next(
            (each.strip() for key, each in value.items() if key.lower() == "value" and isinstance(each, str)), ""
        )
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return ", ".join(each for each in value if isinstance(each, str))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else ""


def status_of(value: Any) -> dict[str, str]:
    """Return what a status says that is an object, JSON in a text, or an object as PowerShell prints it."""
    status = JsonRecord({"status": value}, 0).inner("status")
    if not status:
        printed = _CODE_IN_TEXT.search(value) if isinstance(value, str) else None
        return {"status_code": printed[1]} if printed else {}
    names = {"status_code": "errorcode", "status_reason": "failurereason", "details": "additionaldetails"}
    return {name: text for name, key in names.items() if (text := plain(status.get(key)))}


def address_of(text: str) -> str:
    """Return an address without its port; what is none (`<null>`, an id in its place) is not known."""
    ported = _PORT.match(text)
    bare = (ported[1] or ported[2]) if ported else text
    try:
        return str(ip_address(bare)) if "%" not in bare else ""
    except ValueError:
        return ""


def is_password_agent(user_agent: str) -> bool:
    """Return whether a user agent is one that stands for a password: over SMTP, IMAP, POP and ActiveSync alike."""
    return user_agent.lower().startswith(_PASSWORD_AGENTS)
