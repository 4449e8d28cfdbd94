"""
What the lines of several programs have in common: addresses in angle brackets, and the columns that an answer fills.

Addresses are chosen by strangers: a quoted local part may hold brackets, commas and whole log lines, so it is skipped
as a whole. Each pattern here goes over a line once and never back.
"""

from __future__ import annotations

import re
from typing import Any

from pipeline.endpoints import service_of
from pipeline.lines import text_of
from pipeline.replies import LONGEST_TEXT, read_reply

QUOTED = rb"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\""
"""A quoted local part, as bytes of a regular expression."""
ADDRESS = rb"([^\">]*+(?:" + QUOTED + rb"[^\">]*+)*+)"
"""What stands between < and >, as one group."""

_SIGNED_BY = re.compile(r"\[([A-Za-z0-9.-]+)(?: \d{4}-\d\d-\d\dT[\d:.]+Z [0-9A-Fa-f]{16})?\]")
_LONGEST_ADDRESS = 1_000
_LONGEST_RAW = 2 * LONGEST_TEXT
_BASIC_REFUSED = {"basic_retired", "basic_disabled"}
_PROTOCOLS = {"LOGIN": "basic", "PLAIN": "basic", "XOAUTH2": "oauth2", "OAUTHBEARER": "oauth2"}


def address_of(raw: bytes) -> str:
    """Return `raw` as an address in lower case; '' is the null sender."""
    return text_of(raw)[:_LONGEST_ADDRESS].lower()


def words_of(raw: bytes | None) -> str:
    """Return the words of `raw`, at most twice as many signs as a reply keeps; '' where there are none."""
    return text_of(raw)[:_LONGEST_RAW] if raw else ""


def ip_of(raw: bytes) -> str:
    """Return the IP address `raw` in lower case, without the mark that mail programs set before version 6."""
    return raw.decode("ascii", "replace").removeprefix("IPv6:").lower()


def host_of(raw: bytes) -> str:
    """Return the host name `raw` in lower case, without the dot that may end it and the brackets around a bare IP."""
    return text_of(raw).strip("[]").rstrip(".").lower()


def protocol_of(mechanism: str | None) -> str:
    """Return basic or oauth2 for the name of a SASL mechanism, or unknown."""
    return _PROTOCOLS.get((mechanism or "").upper(), "unknown")


def signer_of(text: str) -> str | None:
    """Return the host whose name ends the reply `text`, as Exchange Online signs its replies, or None."""
    signed = _SIGNED_BY.findall(text)
    return signed[-1].lower() if signed else None


def answer(text: str, endpoint: str | None, protocol: str = "unknown") -> dict[str, Any]:
    """
    Return the columns that the answer `text` of `endpoint` fills; `protocol` is how the client logged in.

    A refusal that names Basic authentication tells the protocol where the program does not.
    """
    service = service_of(endpoint) if endpoint else None
    reply = read_reply(text, service)
    return {
        "endpoint": endpoint,
        "service": service,
        "auth_protocol": "basic" if reply.reply_class in _BASIC_REFUSED and protocol == "unknown" else protocol,
        "reply_code": reply.code,
        "enhanced_code": reply.enhanced,
        "reply_text": reply.text or None,
        "reply_class": reply.reply_class,
        "request_id": reply.request_id,
    }
