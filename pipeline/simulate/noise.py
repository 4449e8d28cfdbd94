"""
Lines that look like the refusal and are none.

A partner's server that asks for REQUIRETLS, Gmail's own use of the code, neighbours of the number, a database whose
version is 5.7.30, and subjects that quote the sentence. All stand in the relays' own logs.
"""

from __future__ import annotations

from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import LogBook
from pipeline.simulate.logs import postfix
from pipeline.simulate.moments import DAY
from pipeline.simulate.names import QUOTING
from pipeline.simulate.plan import Plan
from pipeline.simulate.world import Relay, Tenant

_REFUSALS = (
    ("mx.partner.example", "550 5.7.30 REQUIRETLS support required", "RCPT TO", "5.7.30"),
    (
        "gmail-smtp-in.l.google.com",
        "550 5.7.30 This message does not have DKIM authentication, see https://support.google.com - gsmtp",
        "end of DATA",
        "5.7.30",
    ),
    ("mx.fabrikam.example", "550 5.7.3 Requested action aborted; user not authenticated", "MAIL FROM", "5.7.3"),
    ("mx.northwind.example", "554 5.7.309 Rejected by policy 5.7.309", "end of DATA", "5.7.309"),
)
_DATABASE = "mysqld[812]: /usr/sbin/mysqld: ready for connections. Version: '5.7.30-log'  socket: '/run/mysqld.sock'"


def add(plan: Plan, tenant: Tenant, logs: LogBook) -> int:
    """Add near misses to the logs of the Postfix relays; return how many."""
    count = 0
    for relay in tenant.relays.values():
        if relay.kind == "postfix":
            dice = Dice(plan.seed, "near misses", relay.host)
            for _ in range(dice.poisson(tenant.rates["near_misses_a_day"] * plan.days / len(tenant.relays))):
                moment = plan.start + dice.randrange(plan.days * DAY - DAY // 100)
                logs.add(relay.host, postfix.FILE, _lines(moment, relay, tenant, dice))
                count += 1
    return count


def _lines(moment: int, relay: Relay, tenant: Tenant, dice: Dice) -> list[tuple[int, str]]:
    writer = postfix.Writer(relay, dice)
    person = dice.choice([person.address for person in tenant.people] or ["office@contoso.example"])
    if dice.chance(0.4):
        return writer.to_a_partner(moment, person, dice.choice(QUOTING), ("mx.fabrikam.example", "", "", ""))
    lines = writer.to_a_partner(moment, person, "Angebot", dice.choice(_REFUSALS))
    if dice.chance(0.25):
        lines.append((moment, f"{postfix.stamp(relay, moment)} {relay.host} {_DATABASE}"))
    return lines
