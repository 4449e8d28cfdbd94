"""
Who can still log in with a password: exports of the switches for SMTP AUTH and Basic authentication.

Reads: `Get-CASMailbox` (SmtpClientAuthenticationDisabled), `Get-User` (AuthenticationPolicy), `Get-TransportConfig`,
`Get-AuthenticationPolicy` (AllowBasicAuthSmtp) and `Get-OrganizationConfig` (DefaultAuthenticationPolicy), as
`Export-Csv`, `ConvertTo-Json`, `Export-Clixml`, `Format-List` or `Format-Table` write them. Leaves: all other
properties, objects that have none of these, and headers that return.

What a reader could not guess:
- The switch of a mailbox has three states. Empty is neither true nor false: it inherits the tenant's, and stays NULL
  here. NULL is also what an export does not say: `Get-User` knows no switch and `Get-CASMailbox` no policy.
- SmtpClientAuthenticationDisabled switches the whole protocol off, OAuth too; only the policy is about Basic.
- No export names its cmdlet. A switch beside an address, a user or the like is a mailbox's; beside other settings of
  transport, in 'Transport Settings', or all alone in its file it is the tenant's.
- `Get-TransportConfig` knows no name of its tenant; the row is called after its Name, Identity or Guid, or 'tenant'.
- An export says what was so when it was written; the same state on another day is another row.
Counting: lines = rows + rejects + left.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from pipeline.errors import FormatError, Place
from pipeline.exports.powershell import Saved, objects_in, properties_in
from pipeline.exports.tables import fold, shown
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of

WHOLE = True

_PROPERTIES = {
    "disabled": ("SmtpClientAuthenticationDisabled",),
    "allowed": ("AllowBasicAuthSmtp",),
    "policy": ("AuthenticationPolicy",),
    "default_policy": ("DefaultAuthenticationPolicy",),
    "address": ("PrimarySmtpAddress",),
    "user": ("UserPrincipalName",),
    "email": ("WindowsEmailAddress",),
    "display_name": ("DisplayName",),
    "identity": ("Identity",),
    "name": ("Name",),
    "guid": ("Guid", "ExchangeGuid", "ExternalDirectoryObjectId"),
    "type": ("RecipientTypeDetails",),
    "of_mailbox": ("ServerLegacyDN", "SamAccountName", "LegacyExchangeDN", "ImapEnabled", "PopEnabled", "MapiEnabled"),
    "of_tenant": (
        *("MaxReceiveSize", "MaxSendSize", "MaxRecipientEnvelopeLimit", "ExternalPostmasterAddress"),
        *("SafetyNetHoldTime", "AllowLegacyTLSClients", "JournalingReportNdrTo"),
    ),
}
_NAMES = {fold(name): ours for ours, names in _PROPERTIES.items() for name in names}
_SWITCHES = {"disabled", "allowed", "policy", "default_policy"}
_OF_MAILBOX = {"address", "user", "email", "type", "of_mailbox", "display_name"}
_TRUE = {"true", "wahr", "vrai", "verdadero", "vero", "1", "$true"}
_FALSE = {"false", "falsch", "faux", "falso", "0", "$false"}
_INHERITS = {"", "null", "$null"}
_TENANT = "transport settings"
_ADVICE = (
    f"it lacks {', '.join(names[0] for ours, names in _PROPERTIES.items() if ours in _SWITCHES)}; export the objects "
    "of Get-CASMailbox, Get-User, Get-TransportConfig, Get-AuthenticationPolicy or Get-OrganizationConfig with it"
)


def looks_like(head: bytes) -> bool:
    """Return whether the objects in `head` have one of the switches; a policy must be somebody's."""
    names = properties_in(head, _NAMES)
    if {"disabled", "allowed", "default_policy"} & names:
        return True
    return "policy" in names and bool({"user", "address", "email", "identity", "name"} & names)


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one `exposure` row for each mailbox, policy and tenant; raise FormatError where no object has a switch."""
    found = list(objects_in(body, _NAMES))
    objects = [each for each in found if isinstance(each, Saved) and each.names & _SWITCHES]
    rejects = [each for each in found if isinstance(each, Reject)]
    if not objects and not rejects and not properties_in(body.body, _NAMES) & _SWITCHES:
        raise FormatError(f"the export has no property that could be switched; {_ADVICE}", place=Place(body.origin))
    rows: list[dict[str, Any]] = []
    for each in objects:
        row = _row(each, body, is_alone=len(objects) == 1)
        if isinstance(row, str):
            rejects.append(Reject(each.raw, each.offset, row))
        else:
            rows.append(row)
    left = len(found) - len(rows) - len(rejects)
    return Parsed({"exposure": rows_of("exposure", rows)}, tuple(rejects), lines=len(found), left=left)


def _row(saved: Saved, body: Chunk, *, is_alone: bool) -> dict[str, Any] | str:
    """Return the row of one object, or why there is none."""
    odd = next((name for name in ("disabled", "allowed") if not _is_switch(saved[name])), None)
    if odd:
        return f"{_PROPERTIES[odd][0]} is {shown(saved[odd])}; expected True, False or nothing"
    scope = _scope(saved, is_alone=is_alone)
    name = _name(saved, scope)
    if not name:
        return f"the {scope} has no name; expected PrimarySmtpAddress, UserPrincipalName, Identity or Name beside it"
    values = {
        "scope": scope,
        "name": name,
        "user": saved["user"].lower() or None,
        "mailbox_type": saved["type"] or None,
        "smtp_auth_disabled": _switch(saved["disabled"]),
        "basic_smtp_allowed": _switch(saved["allowed"]),
        "policy": saved["default_policy" if scope == "tenant" else "policy"] or None,
    }
    told = ", ".join(sorted(saved.names & _SWITCHES))
    event_id = event_id_of("exposure", body.as_of.astimezone(UTC).date(), told, *values.values())
    return {**values, "seen_at": body.as_of, "origin_offset": saved.offset, "event_id": event_id}


def _scope(saved: Saved, *, is_alone: bool) -> str:
    if "allowed" in saved.names:
        return "policy"
    if "default_policy" in saved.names:
        return "tenant"
    if saved.names & _OF_MAILBOX or "policy" in saved.names:
        return "mailbox"
    called = (saved["name"] or saved["identity"]).lower()
    is_tenant = "of_tenant" in saved.names or called.endswith(_TENANT) or (is_alone and not called)
    return "tenant" if is_tenant else "mailbox"


def _name(saved: Saved, scope: str) -> str:
    if scope == "mailbox":
        given = (saved[name] for name in ("address", "email", "user", "identity", "name", "display_name", "guid"))
        return next(filter(None, given), "").lower()
    return saved["name"] or saved["identity"] or saved["guid"] or ("tenant" if scope == "tenant" else "")


def _is_switch(word: str) -> bool:
    return word.lower() in _TRUE | _FALSE | _INHERITS


def _switch(word: str) -> bool | None:
    return None if word.lower() in _INHERITS else word.lower() in _TRUE
