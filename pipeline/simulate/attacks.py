"""
Attackers: a spray over many accounts, a guesser who wants one, and one who has a password.

Sprays and guesses never succeed. What Entra sees of them ends with Basic: a refusal before the log-in leaves no row.
"""

from __future__ import annotations

from typing import NamedTuple

from pipeline.simulate.cloud import IN, Cloud
from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import Ledger, Mail, Try
from pipeline.simulate.moments import DAY, HOUR, MINUTE
from pipeline.simulate.names import FIRST, LAST
from pipeline.simulate.plan import Plan
from pipeline.simulate.world import DOMAIN, NEVER, Tenant

_WRONG_PASSWORD, _NO_SUCH_USER, _LOCKED = 50126, 50034, 50053


class Guess(NamedTuple):
    """A failed log-in of an attacker."""

    at: int
    user: str
    ip: str
    error: int


def attack(plan: Plan, tenant: Tenant, cloud: Cloud, ledger: Ledger) -> list[Guess]:
    """Return all failed log-ins; the stolen password's mails go into `ledger`."""
    dice = Dice(plan.seed, "attacks")
    guesses: list[Guess] = []
    for _ in range(1 + dice.poisson(1.5)):
        guesses += _spray(plan, tenant, dice)
    if dice.chance(0.7):
        guesses += _brute_force(plan, tenant, dice)
    if dice.chance(0.7):
        _stolen(plan, tenant, cloud, ledger, dice)
    return sorted(guess for guess in guesses if cloud.refused_share(guess.at) < 1)


def _spray(plan: Plan, tenant: Tenant, dice: Dice) -> list[Guess]:
    ips = [f"198.51.100.{dice.randrange(200, 238)}" for _ in range(dice.randrange(1, 5))]
    moment = dice.randrange(plan.start, plan.end)
    targets = dice.sample(tenant.everyone, min(len(tenant.everyone), round(dice.wide(15, 300))))
    for target in targets:
        target.attacks.append("spray")
    known = [target.address for target in targets]
    invented = [f"{dice.choice(FIRST)}.{dice.choice(LAST)}{dice.randrange(10, 99)}@{DOMAIN}" for _ in known[::4]]
    found = []
    for user in dice.sample([*known, *invented], len(known) + len(invented)):
        error = _NO_SUCH_USER if user in invented else dice.pick([(_WRONG_PASSWORD, 9.0), (_LOCKED, 1.0)])
        found.append(Guess(moment, user, dice.choice(ips), error))
        moment += round(dice.wide(2, 400)) * 1000
    return [guess for guess in found if guess.at < plan.end]


def _brute_force(plan: Plan, tenant: Tenant, dice: Dice) -> list[Guess]:
    target = dice.choice(tenant.everyone)
    target.attacks.append("brute force")
    moment, ip = dice.randrange(plan.start, plan.end), f"2001:db8:bad::{dice.hex(3)}"
    found = []
    for count in range(round(dice.wide(40, 600))):
        error = _LOCKED if count > 10 and dice.chance(0.4) else _WRONG_PASSWORD
        found.append(Guess(moment, target.address, ip, error))
        moment += round(dice.wide(1, 120)) * 1000
    return [guess for guess in found if guess.at < plan.end]


def _stolen(plan: Plan, tenant: Tenant, cloud: Cloud, ledger: Ledger, dice: Dice) -> None:
    """Send a few mails with the password of somebody whose mailbox still lets passwords in."""
    target = dice.choice(tenant.people or tenant.senders)
    target.switches[:] = [(-NEVER, False)]
    target.attacks.append("stolen password")
    moment = dice.randrange(plan.start + 2 * DAY if plan.days > 6 else plan.start, plan.cutover)
    ip = f"198.51.100.{dice.randrange(238, 240)}"
    for _ in range(dice.randrange(3, 25)):
        message_id = f"{dice.hex(16)}@{dice.hex(6)}.example"
        answer = cloud.ask(moment, target, "basic", message_id, dice)
        if answer.kind == IN:
            ledger.of(target.address).tries.append(Try(moment, 0, "basic", is_in=True, is_logged=False))
            recipient = f"info{dice.randrange(99)}@{dice.choice(('fabrikam', 'northwind'))}.example"
            words = ("Invoice overdue", target.address, dice.randrange(2000, 9000))
            subject, account, size = words
            mail = Mail(moment, account, (recipient,), ip, "basic", account, size, subject, message_id)
            ledger.mails.append(mail)
        moment += round(dice.wide(1, 300)) * (MINUTE if dice.chance(0.9) else HOUR)
        if moment >= plan.end:
            break


def locate(ip: str) -> str:
    """Return the country that Entra guesses for an address."""
    return "NL" if ip.startswith(("198.51.100.2", "2001:db8:bad")) else "DE"
