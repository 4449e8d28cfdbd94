"""
The SmtpSend protocol log of an Exchange server, one file a day.

A refused log-in comes before the server has said whose mail it has, so such a session names no sender.
"""

from __future__ import annotations

from pipeline.simulate.cloud import IN, REFUSED
from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import Attempt
from pipeline.simulate.moments import DAY, date_of, iso_ms
from pipeline.simulate.names import DATACENTRES

FIELDS = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
PREFIX = "SEND"

_STEP = 41


def header(moment: int) -> str:
    """Return the header of a file that was begun at `moment`."""
    return (
        "#Software: Microsoft Exchange Server\r\n#Version: 15.2.1748.10\r\n#Log-type: SMTP Send Protocol Log\r\n"
        f"#Date: {iso_ms(moment)}\r\n#Fields: {FIELDS}"
    )


def file_of(moment: int) -> str:
    """Return the file that a session of `moment` is written to."""
    return f"{PREFIX}{date_of(moment):%Y%m%d}-1.LOG"


def session(attempt: Attempt, dice: Dice) -> tuple[str, list[tuple[int, str]]]:
    """Return the file and the lines of one session."""
    id = f"08DE{dice.hex(12).upper()}"
    is_log_in = attempt.way != "connector"
    port = 587 if is_log_in else 25
    remote = f"198.51.100.{dice.randrange(2, 5)}:{port}"
    there = f"192.0.2.10:{dice.randrange(20_000, 60_000)}"
    dialogue = [("*", "SendRoutingHeaders", "Set Session Permissions"), ("*", "", "attempting to connect")]
    dialogue += _talk(attempt, dice, is_log_in=is_log_in)
    begins = min(attempt.at, attempt.at // DAY * DAY + DAY - _STEP * (len(dialogue) + 1))
    lines = []
    for number, (event, data, context) in enumerate(dialogue):
        moment = begins + number * _STEP
        local = there if number > 1 else ""
        quoted = f'"{data}"' if "," in data else data
        name = "To M365" if is_log_in else "Outbound to Office 365"
        text = f"{iso_ms(moment)},{name},{id},{number},{local},{remote},{event},{quoted},{context}"
        lines.append((moment, text))
    return file_of(begins), lines


def _talk(attempt: Attempt, dice: Dice, *, is_log_in: bool) -> list[tuple[str, str, str]]:
    host = dice.choice(DATACENTRES) if is_log_in else "FR2DEU01FT012.mail.protection.outlook.com"
    offers = "SIZE 157286400 PIPELINING DSN ENHANCEDSTATUSCODES"
    found = [
        ("+", "", ""),
        ("<", f"220 {host} Microsoft ESMTP MAIL Service ready [08DE{dice.hex(12).upper()}]", ""),
        (">", "EHLO ex01.contoso.example", ""),
        ("<", f"250  {host} Hello [203.0.113.7] {offers} STARTTLS 8BITMIME CHUNKING SMTPUTF8", ""),
    ]
    if is_log_in:
        found += [
            (">", "STARTTLS", ""),
            ("<", "220 2.0.0 SMTP server ready", ""),
            (">", "EHLO ex01.contoso.example", ""),
            ("<", f"250  {host} Hello [203.0.113.7] {offers} AUTH LOGIN XOAUTH2 8BITMIME CHUNKING SMTPUTF8", ""),
            (">", "AUTH LOGIN", ""),
            *[("<", "334 <authentication response>", "")] * 2,
        ]
    if attempt.answer.kind == REFUSED:
        found.append(("<", attempt.answer.text, ""))
    else:
        found += [("<", "235 2.7.0 Authentication successful", "")] * is_log_in
        found += _mail(attempt, dice)
    return [*found, (">", "QUIT", ""), ("<", "221 2.0.0 Service closing transmission channel", ""), ("-", "", "Local")]


def _mail(attempt: Attempt, dice: Dice) -> list[tuple[str, str, str]]:
    wanted, answer = attempt.wanted, attempt.answer
    number = dice.randrange(10**6, 10**7)
    found = [("*", "", f"sending message with RecordId {number} and InternetMessageId <{wanted.message_id}>")]
    found.append((">", f"MAIL FROM:<{attempt.sender}> SIZE={wanted.size}", ""))
    if answer.kind != IN and answer.stage == "mail_from":
        return [*found, ("<", answer.text, "")]
    found.append(("<", "250 2.1.0 Sender OK", ""))
    for recipient in wanted.recipients:
        found += [(">", f"RCPT TO:<{recipient}>", ""), ("<", "250 2.1.5 Recipient OK", "")]
    return [*found, (">", f"BDAT {wanted.size} LAST", ""), ("<", answer.text, "")]
