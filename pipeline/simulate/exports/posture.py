"""
Once a week: the switches of all mailboxes, of the tenant, and the authentication policies, as PowerShell exports them.

None of them says that Basic has ended: that is Microsoft's switch, and no export shows it.
"""

from __future__ import annotations

import json

from pipeline.simulate.cloud import BLOCKING
from pipeline.simulate.dice import Dice
from pipeline.simulate.moments import DAY, HOUR, date_of
from pipeline.simulate.plan import Plan
from pipeline.simulate.shelf import Shelf
from pipeline.simulate.world import Tenant, value_at

_POLICIES = (
    {"Name": BLOCKING, "AllowBasicAuthSmtp": False, "AllowBasicAuthPop": False, "AllowBasicAuthImap": False},
    {"Name": "Default allow", "AllowBasicAuthSmtp": True, "AllowBasicAuthPop": False, "AllowBasicAuthImap": False},
)
_WORDS = {True: "True", False: "False", None: ""}


def write(plan: Plan, tenant: Tenant, shelf: Shelf) -> None:
    """Write the exports of each week, and those of the morning after the end."""
    dice = Dice(plan.seed, "posture")
    moments = list(range(plan.start + 8 * HOUR, plan.end, 7 * DAY))
    for at in [*(moment + dice.randrange(3 * HOUR) for moment in moments), plan.end + 8 * HOUR]:
        folder = f"exports/{date_of(at)}"
        _put(shelf, f"{folder}/CASMailbox.csv", _mailboxes(tenant, at), at)
        _put(shelf, f"{folder}/Users.csv", _users(tenant, at), at)
        _put(shelf, f"{folder}/TransportConfig.json", _transport(tenant, at), at)
        _put(shelf, f"{folder}/AuthenticationPolicies.json", json.dumps(_POLICIES, indent=1), at)


def _put(shelf: Shelf, name: str, text: str, at: int) -> None:
    shelf.put(name, text.encode(), at, kind="export", format="mailbox_exposure")


def _mailboxes(tenant: Tenant, at: int) -> str:
    lines = ['"PrimarySmtpAddress","UserPrincipalName","SmtpClientAuthenticationDisabled","ImapEnabled"']
    for each in sorted(tenant.everyone, key=lambda each: each.address):
        if each.is_listed:
            switch = _WORDS[value_at(each.switches, at)]
            lines.append(f'"{each.address}","{each.address}","{switch}","True"')
    return "\r\n".join(lines) + "\r\n"


def _users(tenant: Tenant, at: int) -> str:
    lines = ['"UserPrincipalName","AuthenticationPolicy"']
    listed = sorted((each for each in tenant.everyone if each.is_listed), key=lambda each: each.address)
    lines += [f'"{each.address}","{value_at(each.policies, at)}"' for each in listed]
    return "\r\n".join(lines) + "\r\n"


def _transport(tenant: Tenant, at: int) -> str:
    is_off = tenant.tenant_disabled or any(start <= at < end for start, end in tenant.off_spans)
    return json.dumps(
        {"Name": "Transport Settings", "SmtpClientAuthenticationDisabled": is_off, "MaxReceiveSize": "35 MB"}
    )
