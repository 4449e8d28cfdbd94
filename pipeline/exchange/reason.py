r"""
What Exchange Server writes down as the reason that a mail was put off or failed: which answer it quotes, and whose.

One reason may be wrapped in another: `[{LED=…};{MSG=…};{FQDN=…};{IP=…};{LRT=…}]` with its parts in any order, the
transport's own `451 4.4.0 Primary target IP address responded with: "550 …"`, or `[Message=550 …]`. The innermost
answer is the server's; the words around it are Exchange's own.

Where several values stand in one column, Exchange parts them by semicolons and sets one that holds a semicolon or an
apostrophe between apostrophes, with each of its own doubled. Line breaks are written as \r and \n.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.answers import signer_of
from pipeline.endpoints import is_microsoft, service_of

_MOST_WRAPPED = 4
_LONGEST = 16_000
_PART = re.compile(r"\{(LED|FQDN|IP)=")
_PART_END = re.compile(r"\}(?=;|\]|$)")
_RESPONDED = re.compile(r"(?:responded with|failed on Frontend with):? {0,2}[\"'](.*)", re.DOTALL | re.IGNORECASE)
_BEHIND = re.compile(r"[\"']?\.? (?:Attempted failover to|Either there are no|The last endpoint attempted)")
_MESSAGE = re.compile(r"\[Message=(?=[45]\d\d[ -])", re.IGNORECASE)
_EXPIRED = re.compile(r"QUEUE\.Expired;\s*(?=[45]\d\d[ -])", re.IGNORECASE)
_LAST_NAME = re.compile(r"\[LastAttemptedServerName=([^\]\s]{1,255})\]", re.IGNORECASE)
_LAST_ADDRESS = re.compile(
    r"(?:\[LastAttemptedIP=|last endpoint attempted was )\[?"
    r"([0-9A-Fa-f.:]{2,45}?)\]?(?::(\d{1,5}))?(?=[\]\s'\"}]|\.?$)",
    re.IGNORECASE,
)
_STATUS = re.compile(r"\s*(?:[2-5]\d\d(?=[ -])|[245]\.\d{1,3}\.\d{1,3}\b|\[\{|$)")
_LISTED = re.compile(r"\](?:;|$)(?=\[\{|$)")
_VALUE = re.compile(r"'((?:[^']|'')*+)'(?=;|$)|([^;]*)", re.DOTALL)
_BREAK = re.compile(r"(?:\\r)?\\n(?=\d{3}[ -])|\\r\\n")


@dataclass(frozen=True, slots=True)
class Reason:
    """The innermost answer, and the host that gave it as far as that is told."""

    text: str
    endpoint: str | None
    ip: str | None
    port: int | None


def reason_of(text: str) -> Reason:
    """Return the answer that `text` quotes, and whose it is."""
    text = text[:_LONGEST]
    parts = _parts(text)
    answer = _innermost(parts.get("LED", text))
    named, address = _LAST_NAME.search(text), _LAST_ADDRESS.search(text)
    host = (parts.get("FQDN") or (named[1] if named else "")).strip().strip("[]").rstrip(".").lower()
    signer = _signer(answer, host)
    ip = address[1] if address else "" if signer else parts.get("IP", "").strip()
    port = int(address[2]) if address and address[2] else None
    return Reason(answer, signer or host or None, ip.lower() or None, port)


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for begun in _PART.finditer(text):
        end = _PART_END.search(text, begun.end())
        if end is None:
            break
        parts.setdefault(begun[1], text[begun.end() : end.start()])
    return parts


def _signer(answer: str, host: str) -> str | None:
    """Return who signed an answer that one's own front end passed on; only Exchange Online signs its answers."""
    signer = signer_of(answer)
    is_signed = signer is not None and is_microsoft(service_of(signer))
    return signer if is_signed and not is_microsoft(service_of(host)) else None


def _innermost(text: str) -> str:
    for _ in range(_MOST_WRAPPED):
        inner = _inner(text)
        if inner is None:
            break
        text = inner
    return text.strip().strip("\"'").strip()


def _inner(text: str) -> str | None:
    if responded := _RESPONDED.search(text):
        behind = _BEHIND.search(responded[1])
        return responded[1][: behind.start()] if behind else responded[1]
    if expired := _EXPIRED.search(text):
        return text[expired.end() :]
    message = _MESSAGE.search(text)
    return _up_to_bracket(text[message.end() :]) if message else None


def _up_to_bracket(text: str) -> str:
    """Return `text` up to the bracket that closes one opened before it; an answer may be signed in brackets itself."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if depth < 0:
            return text[:place]
    return text


def values_in(text: str) -> list[str]:
    """Return the values that stand in one column, as they were before they were packed."""
    values: list[str] = []
    place = 0
    while (value := _VALUE.match(text, place)) is not None:
        values.append(value[2] if value[1] is None else value[1].replace("''", "'"))
        place = value.end() + 1
        if place > len(text):
            break
    return values


def statuses_of(text: str, recipients: int) -> list[str]:
    """
    Return the status of each recipient; all of `text` for each where the list cannot be parted.

    Exchange 2010 and programs that copy such rows leave the apostrophes out, though a status holds semicolons.
    """
    text = _BREAK.sub("\n", text)
    packed = values_in(text)
    if recipients == 1:
        return packed if len(packed) == 1 else [text]
    for parts in (packed, _packed_list(text), text.split(";")):
        if len(parts) == recipients and all(_STATUS.match(part) for part in parts):
            return parts
    return [text] * recipients


def _packed_list(text: str) -> list[str]:
    if not text.startswith("[{"):
        return []
    return [part + "]" for part in _LISTED.split(text) if part]
