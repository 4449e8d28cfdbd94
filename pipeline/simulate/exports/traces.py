"""
`Get-MessageTraceV2 | Export-Csv`, each morning, and once for the history: every mail that got in, whoever sent it.

Most rows are there after some minutes, a few only the next day, and a row's status changes until the mail has settled.
So a morning's export begins a day before the one before it. Mail by Azure Communication Services is seen only where it
comes in again, at recipients of one's own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from pipeline.simulate.dice import Dice
from pipeline.simulate.exports.mornings import runs
from pipeline.simulate.ledger import Mail
from pipeline.simulate.moments import DAY, HOUR, MINUTE, clock_text, date_of, spaced
from pipeline.simulate.plan import Plan
from pipeline.simulate.shelf import Shelf
from pipeline.simulate.world import DOMAIN, Tenant

_COLUMNS = (
    *("Received", "SenderAddress", "RecipientAddress", "Subject", "Status"),
    *("ToIP", "FromIP", "Size", "MessageId", "MessageTraceId"),
)
_OVERLAP = 26 * HOUR
_FATES = (("Failed", 5.0), ("FilteredAsSpam", 3.0), ("Quarantined", 1.0), ("Expanded", 2.0))


class _Row(NamedTuple):
    """One recipient of one mail: seen from `visible` on, with its last status from `settled` on."""

    at: int
    visible: int
    settled: int
    head: str
    tail: str
    early: str
    status: str


def write(plan: Plan, tenant: Tenant, mails: list[Mail], shelf: Shelf) -> int:
    """Write the history and each morning's export; return how many rows stand in all files together."""
    rows = sorted(_rows(plan, tenant, mails))
    return _history(plan, tenant, rows, shelf) + _mornings(plan, tenant, rows, shelf)


def _rows(plan: Plan, tenant: Tenant, mails: list[Mail]) -> Iterator[_Row]:
    dice = Dice(plan.seed, "traces")
    mark = ";" if tenant.locale == "de-DE" else ","
    for mail in (*mails, *_from_outside(plan, tenant)):
        number = dice.hex(24)
        trace_id = f"{number[:8]}-{number[8:12]}-{number[12:16]}-08de-{number[12:24]}"
        for recipient in mail.recipients:
            if mail.way != "acs" or recipient.endswith(f"@{DOMAIN}"):
                yield _row(mail, recipient, trace_id, mark, tenant, dice)


def _row(mail: Mail, recipient: str, trace_id: str, mark: str, tenant: Tenant, dice: Dice) -> _Row:
    late = dice.wide(30, 1430) * MINUTE if dice.chance(tenant.rates["late_traces"]) else dice.uniform(2, 12) * MINUTE
    settled = mail.at + round(dice.wide(0.2, 300) * MINUTE)
    status = dice.pick(_FATES) if dice.chance(tenant.rates["failed_traces"]) else "Delivered"
    subject = mail.subject.replace('"', '""')
    head = mark.join(f'"{value}"' for value in (mail.sender, recipient, subject))
    values = ("", mail.ip, mail.size, f"<{mail.message_id}>", trace_id)
    tail = mark.join(f'"{value}"' for value in values)
    early = dice.choice(("GettingStatus", "GettingStatus", "Pending"))
    return _Row(mail.at, mail.at + round(late), settled, head, tail, early, status)


def _from_outside(plan: Plan, tenant: Tenant) -> Iterator[Mail]:
    """Yield mail that comes in from partners, and bounces; none of it is from a sender of one's own."""
    dice = Dice(plan.seed, "outside")
    people = tenant.people or tenant.senders
    for number in range((plan.end - plan.first) // DAY * max(1, len(people) // 12)):
        moment = dice.randrange(plan.first, plan.end)
        sender = (
            "<>" if dice.chance(0.05) else f"info{dice.randrange(40)}@{dice.choice(('fabrikam', 'adatum'))}.example"
        )
        recipient = dice.choice(people).address
        message_id = f"{dice.hex(12)}@fabrikam.example"
        ip, subject = f"203.0.113.{dice.randrange(220, 250)}", f"Newsletter {number}"
        yield Mail(
            moment, sender, (recipient,), ip, "outside", sender, dice.randrange(900, 90_000), subject, message_id
        )


def _history(plan: Plan, tenant: Tenant, rows: list[_Row], shelf: Shelf) -> int:
    """Write what the administrator fetched on the first morning, in spans of ten days."""
    count = 0
    at = plan.start + 7 * HOUR
    for number, start in enumerate(range(plan.first, plan.start, 10 * DAY)):
        end = min(start + 10 * DAY, plan.start)
        moment = at + number * 4 * MINUTE
        name = f"exports/history/MessageTrace_{date_of(start)}_{date_of(end - 1)}.csv"
        count += _put(name, _seen(rows, start, end, moment), moment, tenant, shelf)
    return count


def _mornings(plan: Plan, tenant: Tenant, rows: list[_Row], shelf: Shelf) -> int:
    count = 0
    for run in runs(plan, tenant, "traces", 5.5):
        clock = clock_text(run.at).replace(":", "")
        name = f"exports/{date_of(run.at)}/MessageTrace_{clock}.csv"
        count += _put(name, _seen(rows, run.since - _OVERLAP, run.at, run.at), run.at, tenant, shelf)
    return count


def _seen(rows: list[_Row], start: int, end: int, at: int) -> list[_Row]:
    first, last = bisect_left(rows, (start,)), bisect_left(rows, (end,))
    return [row for row in rows[first:last] if row.visible <= at]


def _put(name: str, rows: list[_Row], at: int, tenant: Tenant, shelf: Shelf) -> int:
    mark = ";" if tenant.locale == "de-DE" else ","
    lines = [mark.join(f'"{column}"' for column in _COLUMNS)]
    for row in reversed(rows):
        status = row.status if row.settled <= at else row.early
        lines.append(f'"{_received(row.at, tenant.locale)}"{mark}{row.head}{mark}"{status}"{mark}{row.tail}')
    text = "\r\n".join(lines) + "\r\n"
    encoding = "utf-8-sig" if tenant.locale == "de-DE" else "utf-8"
    shelf.put(name, text.encode(encoding), at, kind="export", format="message_trace_csv")
    return len(rows)


def _received(moment: int, locale: str) -> str:
    """Return a time as PowerShell writes it on a machine of that locale; it is UTC everywhere."""
    if locale == "iso":
        return spaced(moment)
    day: date = date_of(moment)
    clock = clock_text(moment)
    if locale == "de-DE":
        return f"{day.day:02}.{day.month:02}.{day.year} {clock}"
    hour = int(clock[:2])
    return f"{day.month}/{day.day}/{day.year} {hour % 12 or 12}{clock[2:]} {'AM' if hour < 12 else 'PM'}"
