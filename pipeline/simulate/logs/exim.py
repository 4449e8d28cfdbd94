"""
Exim's main log: an arrival, the log-ins that were refused, and what became of the mail.

After a refused log-in Exim goes on without one and is told that it has not logged in; times are UTC.
"""

from __future__ import annotations

from pipeline.simulate.cloud import IN, LATER, REFUSED, Answer
from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import Attempt
from pipeline.simulate.moments import iso_ms, spaced
from pipeline.simulate.names import DATACENTRES
from pipeline.simulate.world import Relay

FILE = "mainlog"

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TLS = (
    'X=TLS1.3:ECDHE_SECP256R1__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes DN="C=US,O=Example,CN=outlook.office365.com"'
)
_IPS = ("198.51.100.2", "198.51.100.3", "198.51.100.4")


def message_id(moment: int, dice: Dice) -> str:
    """Return an id as Exim 4.96 makes it: the second in base 62, then the number of what takes the mail in."""
    return f"{_base62(moment // 1000, 6)}-{_base62(dice.randrange(1, 999_999), 6)}-{_base62(dice.randrange(3843), 2)}"


def _base62(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, rest = divmod(number, 62)
        text = _BASE62[rest] + text
    return text


def lines(
    relay: Relay, attempt: Attempt, answers: list[Answer], id: str, dice: Dice, *, is_new: bool
) -> list[tuple[int, str]]:
    """Return the lines of one try: one answer for each mechanism that was tried."""
    found = [f"<= {_taken_in(attempt)}"] if is_new else []
    is_log_in = attempt.way != "connector"
    host = relay.endpoint if is_log_in else "contoso-example.mail.protection.outlook.com"
    server = f"H={host} [{dice.choice(_IPS)}]"
    names = relay.mechanisms if attempt.way == "basic" else ("xoauth2",)
    found += [
        f"{name} authenticator failed {server} {answer.text}"
        for name, answer in zip(names, answers, strict=False)
        if answer.kind == REFUSED
    ]
    name = names[len(answers) - 1] if is_log_in else ""
    found += [_fate(recipient, attempt, server, name, dice) for recipient in attempt.wanted.recipients]
    if attempt.answer.kind != LATER:
        found.append("Completed")
    return [(attempt.at + order, f"{spaced(attempt.at + order)} {id} {text}") for order, text in enumerate(found)]


def _taken_in(attempt: Attempt) -> str:
    wanted = attempt.wanted
    return f"{attempt.sender} H=({attempt.helo}) [{attempt.device_ip}] P=esmtp S={wanted.size} id={wanted.message_id}"


def _fate(recipient: str, attempt: Attempt, server: str, authenticator: str, dice: Dice) -> str:
    answer = attempt.answer
    route = "R=smarthost T=remote_smtp_smarthost"
    if answer.kind == IN:
        log_in = f" A={authenticator}" if authenticator else ""
        return f'=> {recipient} {route} {server} {_TLS}{log_in} C="{answer.text}"'
    if answer.kind == LATER:
        told = f"SMTP error from remote mail server after end of data: {answer.text}"
        return f"== {recipient} {route} defer (-46) {server}: {told}"
    words = f"530 5.7.57 Client not authenticated to send mail. [{dice.choice(DATACENTRES)} {iso_ms(attempt.at)} "
    told = f"SMTP error from remote mail server after pipelined end of data: {words}08DE{dice.hex(12).upper()}]"
    return f"** {recipient} {route} {server} {_TLS}: {told}"
