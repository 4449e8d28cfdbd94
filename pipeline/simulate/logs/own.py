"""
Programs that submit directly and keep a log of their own: msmtp, and applications in Python, PHP and Node.js.

Only msmtp writes a line for mail that got in; the others log what failed. What was refused may stand in one line, or in
several with a traceback, whose last line alone tells the answer.
"""

from __future__ import annotations

from pipeline.simulate.cloud import IN, LATER
from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import Attempt
from pipeline.simulate.moments import iso_ms, php, spaced, syslog

FILES = {"msmtp": "msmtp.log", "smtplib": "report.log", "phpmailer": "php_mail.log", "nodemailer": "node.log"}
"""The name of each program's log; a host may keep several."""

Lines = list[tuple[int, str]]

_HOSTS = {
    "hve": "smtp.hve.mx.microsoft",
    "acs": "smtp.azurecomm.net",
    "connector": "contoso-example.mail.protection.outlook.com",
}


def lines(program: str, attempt: Attempt, dice: Dice) -> Lines:
    """Return what `program` writes about `attempt`."""
    if attempt.way == "graph":
        return []
    write = {"msmtp": _msmtp, "smtplib": _smtplib, "phpmailer": _phpmailer, "nodemailer": _nodemailer}[program]
    return [(attempt.at, write(attempt, dice))] if program == "msmtp" or attempt.answer.kind != IN else []


def endpoint_of(way: str) -> str:
    """Return the server that a client talks to."""
    return _HOSTS.get(way, "smtp.office365.com")


def _msmtp(attempt: Attempt, dice: Dice) -> str:
    answer, wanted = attempt.answer, attempt.wanted
    has_log_in = attempt.way != "connector"
    user = f" user={attempt.account}" if has_log_in else ""
    head = (
        f"{syslog(attempt.at)} host={endpoint_of(attempt.way)} tls=on auth={'on' if has_log_in else 'off'}{user} "
        f"from={attempt.account} recipients={','.join(wanted.recipients)}"
    )
    said = f"smtpstatus={answer.text[:3]} smtpmsg='{answer.text}'"
    if answer.kind == IN:
        return f"{head} mailsize={wanted.size} {said} exitcode=EX_OK"
    if answer.kind == LATER:
        return f"{head} {said} errormsg='the server did not accept the mail' exitcode=EX_TEMPFAIL"
    mechanism = dice.choice(("LOGIN", "PLAIN")) if attempt.way == "basic" else "XOAUTH2"
    return f"{head} {said} errormsg='authentication failed (method {mechanism})' exitcode=EX_NOPERM"


def _from(attempt: Attempt) -> str:
    return f"mail from {attempt.sender} failed" if attempt.sender else "mail failed"


def _smtplib(attempt: Attempt, dice: Dice) -> str:
    code, rest = attempt.answer.text.split(" ", 1)
    stamp = f"{spaced(attempt.at)},{attempt.at % 1000:03}"
    name = "SMTPDataError" if attempt.answer.kind == LATER else "SMTPAuthenticationError"
    if dice.chance(0.6):
        return f"{stamp} ERROR    mailer.reports: {_from(attempt)}: ({code}, b'{rest}')"
    return (
        f"{stamp} ERROR    mailer.reports: {_from(attempt)}\n"
        "Traceback (most recent call last):\n"
        '  File "/srv/report/send.py", line 27, in send\n'
        "    server.login(user, password)\n"
        '  File "/usr/lib/python3.11/smtplib.py", line 750, in login\n'
        "    raise last_exception\n"
        f"smtplib.{name}: ({code}, b'{rest}')"
    )


def _phpmailer(attempt: Attempt, dice: Dice) -> str:  # noqa: ARG001 - as the others
    sender = f"mail from={attempt.sender}: " if attempt.sender else ""
    command = "DATA END command" if attempt.answer.kind == LATER else "Password command"
    return f"[{php(attempt.at)}] {sender}SMTP ERROR: {command} failed: {attempt.answer.text}"


def _nodemailer(attempt: Attempt, dice: Dice) -> str:
    sender = f" from={attempt.sender}" if attempt.sender else ""
    words = "Message failed" if attempt.answer.kind == LATER else "Invalid login"
    first = f"[{iso_ms(attempt.at)}] [error] sendMail failed{sender}: {words}: {attempt.answer.text}"
    if dice.chance(0.7):
        return first
    return (
        f"{first}\n    at SMTPConnection._formatError (/srv/app/node_modules/nodemailer/lib/smtp.js:798:19)\n"
        "    at SMTPConnection._actionAUTHComplete (/srv/app/node_modules/nodemailer/lib/smtp.js:1577:34)"
    )
