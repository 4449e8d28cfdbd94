"""
Dovecot, which checks the passwords of one's own relay and mailboxes.

Reads: log-ins (`submission-login: Login: user=<…>`, since 2.4 `Logged in:`; IMAP, POP and ManageSieve alike, the
protocol is kept) and refused ones (`auth failed`, `unknown user`, `password mismatch`), as `signins`. Leaves: sessions,
connections without a log-in, and indexing.

A refused log-in may be told twice: by the process that met the client, and by the one that looked the password up.
Each is a row; the second kind is marked by the client app `auth`. The name of a user is chosen by a stranger and may
quote a whole line, so what Dovecot itself says is read in front of it and behind it. Its own log file sets a level
behind the part that speaks.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.answers import protocol_of
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import Row

_PART = re.compile(rb"(?:imap|pop3|submission|managesieve)-login|auth(?:-worker)?(?:\([a-z]+\))?")
_LOGIN = re.compile(
    r"(?:[\w.-]{1,60}: )?(?P<app>[a-z0-9]{1,20})-login: (?:(?:Info|Debug|Warning|Error): )?"
    r"(?P<what>Login(?=: )|Logged in|Login aborted|Disconnected(?: by \w+)?|Aborted login|"
    r"Maximum number of connections)(?P<rest>.*)",
    re.DOTALL,
)
_FIELD = re.compile(r"\b(method|rip)=(?:<([^>]*)>|([^,\s]+))")
_FAILED = re.compile(
    r"auth failed|(?<!no )auth(?:entication)? attempts|tried to use disallowed|auth process|no valid|unsupported auth",
    re.IGNORECASE,
)
_WORKER = re.compile(
    r"(?:[\w.-]{1,60}: )?auth(?:-worker)?(?:\([^)]*\))?: (?:(?:Error|Info|Debug|Warning): )?"
    r"(?:conn \S+(?: \([^)]*\))?: )?(?:auth-worker<\d+>: )?"
    r"(?P<db>[a-z0-9_-]{2,20})\((?P<user>[^,()]*)(?:,(?P<ip>[0-9A-Fa-f.:]+))?[^)]*\): "
    r"(?P<why>.*)",
    re.DOTALL,
)
_REFUSED = re.compile(
    r"unknown user|user not found|password mismatch|authenticat\w+ failed|pam_authenticate\(\) failed|"
    r"invalid credentials|user not known|account disabled|Authentication failure|no such user|failed",
    re.IGNORECASE,
)
_MADE = {"Login", "Logged in"}
_MECHANISMS = {"plain", "login", "cram-md5", "digest-md5", "ntlm", "apop", "xoauth2", "oauthbearer"}
_PASSWORDS = {"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM", "APOP", "SCRAM-SHA-1", "SCRAM-SHA-256"}
_LONGEST = 8_192


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is Dovecot's."""
    return tag == b"dovecot" or tag.startswith(b"dovecot/")


class Reader:
    """Goes through one log; each line stands alone."""

    def __init__(self, carry: Carry) -> None:
        """Nothing is carried."""

    def owns(self, line: Line) -> bool:
        """Return whether `line` is a log-in as Dovecot's own log file tells it, with a part of it for a program."""
        if _PART.fullmatch(line.tag):
            return True
        text = _whole(line)
        is_login = "-login: " in text[:120] and "rip=" in text
        return is_login or ("auth" in text[:60] and _WORKER.match(text[:500]) is not None)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the log-in that `line` tells, or None."""
        text = _whole(line)
        row = _login(text) or _worker(text)
        return [("signins", row)] if row else None

    def close(self) -> list[Row]:
        """Return nothing: no line goes on in another."""
        return []

    def carry(self) -> Carry:
        """Return nothing."""
        return {}


def _whole(line: Line) -> str:
    """Return the words of `line`, before which its own log file sets the part of Dovecot that says them."""
    text = text_of(line.message[:_LONGEST])
    return f"{text_of(line.tag)}: {text}" if _PART.fullmatch(line.tag) else text


def _login(text: str) -> dict[str, Any] | None:
    match = _LOGIN.match(text)
    if match is None:
        return None
    said, _, behind = match["rest"].partition("user=<")
    is_made = match["what"] in _MADE
    if not is_made and not _FAILED.search(said):
        return None
    fields = {name: bracketed or bare for name, bracketed, bare in _FIELD.findall(behind or said)}
    mechanism = fields.get("method") or None
    return _row(
        user=behind.partition(">")[0],
        ip=fields.get("rip"),
        app=match["app"],
        mechanism=mechanism,
        outcome="accepted" if is_made else "rejected",
        why=None if is_made else match["rest"].strip(" :")[:500],
    )


def _worker(text: str) -> dict[str, Any] | None:
    match = _WORKER.match(text)
    if match is None or not _REFUSED.search(match["why"]):
        return None
    by = match["db"]  # a database of passwords, or the mechanism that found the answer wrong itself
    mechanism = by.upper() if by in _MECHANISMS else None
    return _row(
        user=match["user"], ip=match["ip"], app="auth", mechanism=mechanism, outcome="rejected", why=match["why"][:500]
    )


def _row(
    *, user: str | None, ip: str | None, app: str, mechanism: str | None, outcome: str, why: str | None
) -> dict[str, Any]:
    is_password = (mechanism or "").upper() in _PASSWORDS
    return {
        "user": user.lower() if user else None,
        "client_ip": ip.lower() if ip else None,
        "client_app": app,
        "auth_mechanism": mechanism,
        "auth_protocol": "basic" if is_password else protocol_of(mechanism),
        "service": "own_relay",
        "outcome": outcome,
        "error_text": why,
    }
