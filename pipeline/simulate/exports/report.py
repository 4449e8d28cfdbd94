"""
The SMTP AUTH clients report: requested for each day (`SmtpCSReport`), and now and then the summary of the admin center.

Both count what got in with a log-in, with a password or with OAuth. A requested report covers whole days in UTC and
takes hours to come; a day that was forgotten is in the next one. UTF-16 without a byte order mark, as
Microsoft sends it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from pipeline.simulate.dice import Dice
from pipeline.simulate.exports.mornings import runs
from pipeline.simulate.ledger import Mail
from pipeline.simulate.moments import DAY, HOUR, MINUTE, date_of, iso
from pipeline.simulate.plan import Plan
from pipeline.simulate.shelf import Shelf
from pipeline.simulate.world import DOMAIN, Tenant

_HEADER = "date,senderName,senderDomain,authMethod,original_client_ip,tls_version,tls_cipher,message_count,message_id"
_SUMMARY = "Sender address,Domain,Authentication protocol,TLS 1.0,TLS 1.1,TLS 1.2,TLS 1.3,Messages sent"
_METHODS = {"basic": "Basic", "oauth": "OAuth", "relay_oauth": "OAuth"}
_CIPHER = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"
_MOST_LINES = 90_000


def write(plan: Plan, tenant: Tenant, mails: list[Mail], shelf: Shelf) -> None:
    """Write the history, each day's report and some summaries."""
    counted = sorted(mail for mail in mails if mail.way in _METHODS)
    times = [mail.at for mail in counted]
    dice = Dice(plan.seed, "report")

    def between(start: int, end: int) -> list[Mail]:
        return counted[bisect_left(times, start) : bisect_left(times, end)]

    _history(plan, between(plan.first, plan.start), shelf)
    for run in runs(plan, tenant, "report", 9):
        start, end = run.since // DAY * DAY, min(run.at // DAY * DAY, plan.end)
        if start < end:
            name = f"exports/{date_of(run.at)}/SmtpCSReport_{date_of(start)}_{dice.hex(8)}.csv"
            _put(name, between(start, end), run.at, shelf)
    moment = plan.start + round(dice.uniform(0, 9) * DAY)
    while moment < plan.end:
        span = dice.choice((7, 30, 90)) * DAY
        _put_summary(between(moment - span, moment), moment, shelf)
        moment += round(dice.uniform(6, 20) * DAY)


def _history(plan: Plan, mails: list[Mail], shelf: Shelf) -> None:
    """Write the report that the administrator asked for on the first morning, cut where Microsoft would cut it."""
    at = plan.start + 11 * HOUR
    for number, start in enumerate(range(0, max(1, len(mails)), _MOST_LINES)):
        part = mails[start : start + _MOST_LINES]
        _put(f"exports/history/SmtpCSReport_{number + 1}.csv", part, at + number * 40 * MINUTE, shelf)


def _put(name: str, mails: list[Mail], at: int, shelf: Shelf) -> None:
    lines = [_HEADER]
    lines += [
        f"{iso(mail.at)},{mail.sender},{DOMAIN},{_METHODS[mail.way]},{mail.ip},TLS1_2,{_CIPHER},1,{mail.message_id}"
        for mail in mails
    ]
    content = ("\r\n".join(lines) + "\r\n").encode("utf-16-le")
    shelf.put(name, content, at, kind="export", format="smtp_auth_report")


def _put_summary(mails: list[Mail], at: int, shelf: Shelf) -> None:
    counts = Counter((mail.sender, _METHODS[mail.way]) for mail in mails)
    lines = [_SUMMARY]
    for (sender, method), count in sorted(counts.items()):
        words = "Basic Authentication" if method == "Basic" else method
        lines.append(f"{sender},{DOMAIN},{words},0,0,100,0,{count}")
    content = ("\r\n".join(lines) + "\r\n").encode("utf-8-sig")
    shelf.put(f"exports/{date_of(at)}/SMTP AUTH clients.csv", content, at, kind="export", format="smtp_auth_report")
