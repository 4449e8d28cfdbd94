"""
Exchange Online, as a client meets it.

A password is refused at AUTH for the first reason that holds: SMTP AUTH is off (for the mailbox, or for the tenant
where the mailbox inherits), an authentication policy blocks Basic, or Basic has ended. Such a refusal leaves no
sign-in and no trace. Throttling and other passing trouble come at any time and are no refusals.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.simulate.dice import Dice
from pipeline.simulate.moments import iso_ms
from pipeline.simulate.names import DATACENTRES
from pipeline.simulate.plan import Plan
from pipeline.simulate.world import Sender, Tenant, value_at

IN, REFUSED, LATER = "in", "refused", "later"
BLOCKING = "Block Basic SMTP"

_ENDED = "550 5.7.30 Basic authentication is not supported for Client Submission."
_POLICY = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled."
_OFF = (
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the {}."
    " Visit https://aka.ms/smtp_auth_disabled for more information."
)
_LATER = (
    ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded; concurrent connections limit;", "data", 6),
    ("421 4.4.2 Message submission rate for this client has exceeded the configured limit", "mail_from", 3),
    ("451 4.7.0 Temporary server error. Please try again later. PRX5", "mail_from", 2),
)
_WITH_LOG_IN = ("basic", "oauth", "relay_oauth")


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try ended: `in`, `refused` at AUTH, or `later`; and in which words."""

    kind: str
    text: str
    stage: str = "auth"


class Cloud:
    """What Exchange Online answers at any time; the same question may be answered otherwise the next time."""

    def __init__(self, plan: Plan, tenant: Tenant) -> None:
        self._plan = plan
        self._tenant = tenant
        self._troubles = _troubles(plan, tenant)

    def ask(self, moment: int, account: Sender, way: str, message_id: str, dice: Dice) -> Answer:
        """Return the answer to one try of `account` to hand in a mail by `way`."""
        host = dice.choice(DATACENTRES)
        if way in _WITH_LOG_IN and (reason := self._why_not(moment, account, way, dice)):
            return Answer(REFUSED, f"{reason} [{host} {iso_ms(moment)} 08DE{dice.hex(12).upper()}]")
        if dice.chance(self._trouble_at(moment)):
            text, stage, _ = dice.choices(_LATER, [weight for _, _, weight in _LATER])[0]
            return Answer(LATER, f"{text} [Hostname={host}]", stage)
        return Answer(IN, f"250 2.0.0 OK <{message_id}> [Hostname={host}]", "data")

    def _why_not(self, moment: int, account: Sender, way: str, dice: Dice) -> str:
        switch = value_at(account.switches, moment)
        if switch:
            return _OFF.format("Mailbox")
        if switch is None and self._is_tenant_off(moment):
            return _OFF.format("Tenant")
        if way != "basic":
            return ""
        if value_at(account.policies, moment) == BLOCKING:
            return _POLICY
        return _ENDED if dice.chance(self.refused_share(moment)) else ""

    def _is_tenant_off(self, moment: int) -> bool:
        tenant = self._tenant
        return tenant.tenant_disabled or any(start <= moment < end for start, end in tenant.off_spans)

    def refused_share(self, moment: int) -> float:
        """Return the share of tries with a password that are refused at `moment`, because Basic has ended."""
        since = moment - self._plan.cutover
        if since < 0 or moment >= self._tenant.reopened:
            return 0.0
        if self._tenant.mode == "at_once" or since >= self._tenant.phase:
            return 1.0
        return 0.04 + 0.9 * since / self._tenant.phase

    def _trouble_at(self, moment: int) -> float:
        share = next((share for start, end, share in self._troubles if start <= moment < end), 0.0)
        return max(share, self._tenant.rates["temporary"])


def _troubles(plan: Plan, tenant: Tenant) -> list[tuple[int, int, float]]:
    """Return the hours in which much is put off: (start, end, share)."""
    dice = Dice(plan.seed, "troubles")
    found = []
    for _ in range(dice.poisson(tenant.rates["troubles"])):
        start = dice.randrange(plan.first, plan.end)
        found.append((start, start + round(dice.wide(0.3, 5) * 3_600_000), dice.uniform(0.05, 0.7)))
    return found


def allows_basic(sender: Sender, tenant: Tenant, moment: int) -> bool:
    """Return whether all switches that an export can show let `sender` log in with a password at `moment`."""
    switch = value_at(sender.switches, moment)
    is_off = tenant.tenant_disabled if switch is None else switch
    return not is_off and value_at(sender.policies, moment) != BLOCKING
