"""
One line of an Exchange protocol log as a record, without anything secret.

AUTH payloads are cut off here, before anything is stored: a record keeps commands that are known, replies without
challenges, and the few notes that tell something. A line that cannot be read is redacted too, because it is shown to
people; of such a line rather too much goes than too little.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.exchange.directives import time_of, values_of

UNREAD = "?"
"""Stands for client data that is no known command, an AUTH payload for instance."""

_REPLY = re.compile(r"[2-5]\d\d(?=[ -]|$)", re.ASCII)
_COMMAND = re.compile(
    r"(?:EHLO|HELO|STARTTLS|X-ANONYMOUSTLS|AUTH|X-EXPS|XPROXY(?:FROM|TO)?|MAIL|RCPT|DATA|BDAT|RSET|QUIT|NOOP|VRFY|EXPN"
    r"|HELP)(?= |$)",
    re.IGNORECASE,
)
_WITH_ARGUMENT = {"EHLO", "HELO", "MAIL", "RCPT", "BDAT"}
_LOG_IN = {"AUTH", "X-EXPS"}
_PROXY = re.compile(r" (?P<name>IP|PORT|DOMAIN|AUTHSRC)=(?P<value>[^\s=]{1,255})(?= |$)", re.IGNORECASE)
_MECHANISMS = "LOGIN|PLAIN|XOAUTH2|OAUTHBEARER|NTLM|GSSAPI|CRAM-MD5|DIGEST-MD5|EXTERNAL|EXCHANGEAUTH"
_MECHANISM = re.compile(rf"\S+ +({_MECHANISMS})(?= |$)", re.IGNORECASE)
_TOLD = re.compile(
    r"sending message with RecordId|User Name: |authenticated$|"
    r"(?:Unable to initialize i|I)nbound .{1,40} because of \w{1,60}$",
    re.IGNORECASE,
)

_REDACTED = b"[redacted]"
_AUTH = rb"\b(?:AUTH|X-EXPS)(?:[ \t]+(?:%b)(?![\w+/=-]))" % _MECHANISMS.encode()
_PAYLOAD = re.compile(rb"(" + _AUTH + rb"?+)[ \t]+[^\s,].*", re.IGNORECASE | re.DOTALL)
_REPEATED_PAYLOAD = re.compile(rb"(" + _AUTH + rb")[ \t]+\S.*", re.IGNORECASE | re.DOTALL)
_CHALLENGE = re.compile(rb"(\b(?:334|235)) (?!\d\.)\S.*", re.DOTALL)
_ECHO = re.compile(rb"(unrecognized command) \S.*", re.IGNORECASE | re.DOTALL)
_SPOKEN = re.compile(rb"(,[<>],\"?)")
_BASE64 = re.compile(rb"(?<![^\s,\"'])(?!(?:[0-9]+|[0-9A-F]{16})(?:[\s,\"']|$))[\w+/-]{4,}={0,3}(?![^\s,\"'])")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the log, with nothing secret in it; `time` is ISO text in UTC."""

    time: str
    number: int
    event: str
    data: str
    context: str
    connector: str
    local: str
    remote: str
    offset: int


def read_record(text: str, fields: list[str] | None, offset: int) -> tuple[str, Record]:
    """Return session and record that `text` holds; raise ValueError with a sentence that quotes nothing of it."""
    if not fields:
        raise ValueError("No #Fields line came before this line, so its columns are not known.")
    values = values_of(text)
    if len(values) != len(fields):
        raise ValueError(f"The line has {len(values)} fields, and the #Fields line names {len(fields)}.")
    given = dict(zip(fields, values, strict=True))
    number, event = given["sequence-number"], given["event"]
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise ValueError("The sequence-number is not a number.")
    if event not in {"+", "-", "<", ">", "*"}:
        raise ValueError("The event is none of + - < > *.")
    if not given["session-id"]:
        raise ValueError("The session-id is empty.")
    context = given.get("context", "")
    return given["session-id"], Record(
        time=time_of(given["date-time"]).isoformat(),
        number=int(number),
        event=event,
        data=_data(event, given["data"], context),
        context=context if _TOLD.match(context) else "",
        connector=given.get("connector-id", ""),
        local=given.get("local-endpoint", ""),
        remote=given.get("remote-endpoint", ""),
        offset=offset,
    )


def _data(event: str, data: str, context: str) -> str:
    """Return what may be kept of `data`: commands, replies, and who was authenticated."""
    if event == "*":
        return data if context.lower() == "authenticated" else ""
    return kept_of(data)


def kept_of(data: str) -> str:
    """Return what may be kept of something said, by either side: known commands and replies; never a payload."""
    if _REPLY.match(data):
        return text_of(_unspoilt(data.encode()))
    command = _COMMAND.match(data)
    if command is None:
        return UNREAD
    if mechanism := _MECHANISM.match(data):
        return f"{command[0]} {mechanism[1]}"
    if command[0].upper().startswith("XPROXY"):
        return command[0] + "".join(part[0] for part in _PROXY.finditer(data))
    return data if command[0].upper() in _WITH_ARGUMENT else command[0]


def _unspoilt(reply: bytes) -> bytes:
    """Return a reply without challenges and without what it repeats of a payload."""
    for spoilt in (_CHALLENGE, _ECHO, _REPEATED_PAYLOAD):
        reply = spoilt.sub(rb"\1 " + _REDACTED, reply)
    return reply


def redacted(raw: bytes) -> bytes:
    """
    Return a line without anything that can be an AUTH payload.

    Behind the mark of who speaks, only known commands and replies stay; elsewhere every word goes that can be base64,
    except numbers and session ids.
    """
    kept = _PAYLOAD.sub(rb"\1 " + _REDACTED, raw)
    if raw.startswith(b"#"):
        return kept
    before, *spoken = _SPOKEN.split(kept)
    marks, said = spoken[::2], spoken[1::2]
    return _BASE64.sub(_REDACTED, before) + b"".join(
        mark + _speech(words) for mark, words in zip(marks, said, strict=True)
    )


def _speech(words: bytes) -> bytes:
    text = text_of(words)
    if _REPLY.match(text):
        return _unspoilt(words)
    command = _COMMAND.match(text.partition(",")[0])
    if command and command[0].upper() in {*_WITH_ARGUMENT, *_LOG_IN}:
        return words
    return command[0].encode() + b" " + _REDACTED if command else _REDACTED


def text_of(raw: bytes) -> str:
    """Return a line as text: without a byte order mark, with a sign in place of each invalid byte."""
    return raw.decode("utf-8", "replace").removeprefix("\ufeff")
