"""
Who we are to Microsoft: an application of the tenant, with a certificate, a secret, or another platform's identity.

A certificate is what Microsoft recommends; a federated identity (Kubernetes, a cloud's workload identity) needs no
secret of ours at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.secret import Secret

GRAPH = "https://graph.microsoft.com"
EXCHANGE_ONLINE = "https://outlook.office365.com"

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
    if not settings.authority.startswith("https://"):
        complaints.append("'authority' should begin with https://, because a secret travels there")
    if not _is_safe(settings.graph):
        complaints.append("'graph' should begin with https://, because a token travels there")
    if settings.ca_file is not None and not settings.ca_file.is_file():
        complaints.append(f"'ca_file' {settings.ca_file} is not a file; it should hold a certificate authority in PEM")
    return complaints


def _is_safe(address: str) -> bool:
    return re.match(r"https://[^/\s]|http://(?:127\.0\.0\.1|localhost)(?::\d+)?(?:/|$)", address) is not None
