"""
Entra's sign-in log, as a storage account holds it: one record a line, one file a day.

A log-in with a password shows as "Authenticated SMTP" and BAV2ROPC, but only now and then: Exchange Online remembers
it for hours. OAuth shows as any modern app. What is refused because Basic has ended does not show at all.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.simulate.attacks import Guess, locate
from pipeline.simulate.dice import Dice
from pipeline.simulate.exports.mornings import runs
from pipeline.simulate.ledger import Mail
from pipeline.simulate.moments import DAY, HOUR, date_of, iso_ms
from pipeline.simulate.plan import Plan
from pipeline.simulate.shelf import Shelf
from pipeline.simulate.world import Tenant

_EXCHANGE = "Office 365 Exchange Online"
_REASONS = {
    50126: "Error validating credentials due to invalid username or password.",
    50034: "The user account does not exist in the directory.",
    50053: "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.",
}

Record = dict[str, Any]


def write(plan: Plan, tenant: Tenant, mails: list[Mail], guesses: list[Guess], shelf: Shelf) -> int:
    """Write one file for each day, the next morning or later; return how many records there are."""
    dice = Dice(plan.seed, "sign-ins")
    days: dict[int, list[tuple[int, str]]] = {day: [] for day in range(plan.start // DAY, plan.end // DAY)}
    found = [(at, _of_mail(mail, at, dice)) for at, mail in _remembered(plan, mails, dice)]
    found += [(guess.at, _of_guess(guess, dice)) for guess in guesses]
    for at, record in sorted(found, key=lambda each: each[0]):
        days[at // DAY].append((at, json.dumps(record)))
    for run in runs(plan, tenant, "sign-ins", 2):
        for day in range(run.since // DAY, min(run.at // DAY, plan.end // DAY)):
            _put(day, [text for _, text in days[day]], run.at, shelf)
    return len(found)


def _put(day: int, lines: list[str], at: int, shelf: Shelf) -> None:
    if lines:
        name = f"exports/{date_of(at)}/signins-{date_of(day * DAY)}-{at // HOUR % 24:02}.json"
        content = "".join(f"{line}\n" for line in lines).encode()
        shelf.put(name, content, at, kind="export", format="entra_signins")


def _remembered(plan: Plan, mails: list[Mail], dice: Dice) -> list[tuple[int, Mail]]:
    """Return those mails whose log-in was not remembered from one before, with the time of the log-in."""
    until: dict[tuple[str, str, bool], int] = {}
    found = []
    for mail in sorted(mails):
        is_password = mail.way == "basic"
        if mail.at < plan.start or not (is_password or mail.way in {"oauth", "relay_oauth"}):
            continue
        key = (mail.account, mail.ip, is_password)
        if mail.at >= until.get(key, 0):
            found.append((max(plan.start, mail.at - 600), mail))
            until[key] = mail.at + round((dice.wide(2, 30) if is_password else dice.wide(1, 12)) * HOUR)
    return found


def _record(at: int, user: str, ip: str, error: int, dice: Dice) -> Record:
    number = dice.hex(32)
    reason = _REASONS.get(error, "Other.")
    return {
        "time": iso_ms(at + dice.randrange(500, 90_000)),
        "resourceId": "/tenants/11111111-0000-4000-8000-000000000000/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "category": "SignInLogs",
        "resultType": str(error),
        "callerIpAddress": ip,
        "properties": {
            "id": f"{number[:8]}-{number[8:12]}-4{number[13:16]}-8{number[17:20]}-{number[20:]}",
            "createdDateTime": iso_ms(at),
            "userPrincipalName": user,
            "appDisplayName": _EXCHANGE,
            "resourceDisplayName": _EXCHANGE,
            "ipAddress": ip,
            "clientAppUsed": "Authenticated SMTP",
            "userAgent": "BAV2ROPC",
            "authenticationProtocol": "ropc",
            "isInteractive": True,
            "conditionalAccessStatus": "notApplied",
            "location": {"countryOrRegion": locate(ip)},
            "status": {"errorCode": error, "failureReason": reason, "additionalDetails": None},
        },
    }


def _of_mail(mail: Mail, at: int, dice: Dice) -> Record:
    record = _record(at, mail.account, mail.ip, 0, dice)
    if mail.way != "basic":
        record["category"] = "NonInteractiveUserSignInLogs"
        record["properties"] |= {
            "appDisplayName": "Mail connector",
            "clientAppUsed": "Mobile Apps and Desktop clients",
            "userAgent": "",
            "authenticationProtocol": "oAuth2",
            "isInteractive": False,
        }
    return record


def _of_guess(guess: Guess, dice: Dice) -> Record:
    return _record(guess.at, guess.user, guess.ip, guess.error, dice)
