"""
What the application may do in the tenant, as its own token says, against what the sources need.

A permission that Exchange gives for some mailboxes only (RBAC for Applications) stands in no token, so one that is
missing here is judged by whether the request is answered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pipeline.doctor.certificate import claims_of
from pipeline.doctor.result import Group, Result, Topic
from pipeline.needs import Api, Permission

_APPS: Mapping[Api, str] = {
    Api.GRAPH: "00000003-0000-0000-c000-000000000000",
    Api.EXCHANGE_ONLINE: "00000002-0000-0ff1-ce00-000000000000",
}
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_CHANGES = re.compile(r"write|send|manage|fullcontrol|full_access|create|delete|asapp", re.IGNORECASE)


def roles_of(token: str) -> frozenset[str] | None:
    """Return the application permissions that `token` carries; None when it cannot be read."""
    claims = claims_of(token)
    if claims is None:
        return None
    roles = claims.get("roles", [])
    return frozenset(role for role in roles if isinstance(role, str) and _NAME.fullmatch(role))


def extra(roles: Iterable[str], needed: Iterable[Permission], api: Api) -> Iterable[str]:
    """Return the permissions that no source needs, those that change something first."""
    names = {permission.name for permission in needed if permission.api is api}
    return sorted(set(roles) - names, key=lambda role: (not changes(role), role))


def changes(role: str) -> bool:
    """Return whether a permission lets its owner change, send or act as somebody."""
    return _CHANGES.search(role) is not None


def too_many(roles: Iterable[str], api: Api, client: str) -> Result:
    """Return the warning about permissions that are more than is needed."""
    roles = list(roles)
    strong = [role for role in roles if changes(role)]
    worse = f"; {', '.join(strong)} can do more than read" if strong else ""
    commands = "\n".join(_revoke(role, api, client) for role in roles)
    return Topic(Group.MICROSOFT, "permissions", str(api)).warning(
        f"the application may do more than any source needs: {', '.join(roles)}{worse}",
        f"take them away, or give other programs an application of their own (Connect-MgGraph first):\n{commands}",
    )


def grant(permission: Permission, client: str) -> str:
    """Return how to give the application `permission`, ready to paste."""
    return (
        f"grant {permission.name} of {permission.api} as an application permission with admin consent: in Entra ID "
        f"under App registrations, {client}, API permissions, or:\n"
        "Connect-MgGraph -Scopes Application.Read.All,AppRoleAssignment.ReadWrite.All\n"
        f"{_lookup(permission.name, permission.api, client)}"
        "New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $app.Id -PrincipalId $app.Id "
        "-ResourceId $api.Id -AppRoleId $role.Id"
    )


def _revoke(role: str, api: Api, client: str) -> str:
    return (
        f"{_lookup(role, api, client)}Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $app.Id | "
        "Where-Object AppRoleId -eq $role.Id | ForEach-Object { Remove-MgServicePrincipalAppRoleAssignment "
        "-ServicePrincipalId $app.Id -AppRoleAssignmentId $_.Id }"
    )


def _lookup(role: str, api: Api, client: str) -> str:
    return (
        f"$app = Get-MgServicePrincipal -Filter \"appId eq '{client}'\"; "
        f"$api = Get-MgServicePrincipal -Filter \"appId eq '{_APPS[api]}'\"; "
        f"$role = $api.AppRoles | Where-Object Value -eq '{role}'; "
    )
