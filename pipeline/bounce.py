"""
Take a bounce apart: which message is one, what it reports for each recipient, and in which words.

Reports come by the standard (RFC 3464: fields of the message, then fields of each recipient) or as text only, as older
programs write them. What the server said may stand in a field, in the text for people, or in a transcript; it is looked
for in this order. The returned message is never searched: it may quote anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message

MOST_PARTS = 200
LONGEST_TEXT = 256 << 10
OWN_MARK = "X-Authsunset-Message"

_STATUS_TYPES = {"message/delivery-status", "message/global-delivery-status"}
_RETURNED_TYPES = {
    "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/partial",
}  # fmt: skip
_DAEMONS = re.compile(
    r"mailer-?daemon|postmaster|mail ?delivery|mail administrator|<>|microsoftexchange|mdaemon|no-?reply.*mail",
    re.IGNORECASE,
)
_BOUNCE_SUBJECTS = re.compile(
    r"undeliver|returned mail|mail failed|returning to sender|failure notice|mail delivery|could not be delivered|"
    r"delivery (?:status|fail|report|notif|problem|error|has failed)|nondeliverable|non-delivery|mail system error|"
    r"message (?:status|delivery)|warning: message|delayed|unzustellbar|nicht zugestellt|non remis|rejected|delivery",
    re.IGNORECASE,
)
_RETURNED = re.compile(
    r"^\s*(?:-{2,} ?(?:original message|this is a copy|below this line is a copy|the header|unsent message|"
    r"transcript of message|message header|returned (?:mail|message)|forwarded message|copy of|included is)|"
    r"(?:original message|your message|message) (?:follows|headers?|text)|return-path: |received: from |"
    r"here is a copy|the body of your message|\[?original message)",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60}):[ \t]*(.*)")
_TYPED = re.compile(
    r"\s*(?:rfc822|smtp|dns|dns;|x-[a-z0-9-]+|unknown|utf-8|x400|822)\s*;\s*(.*)", re.IGNORECASE | re.DOTALL
)
_REPORT = re.compile(r"^(?:Reporting-MTA|Final-Recipient|Original-Recipient):", re.IGNORECASE | re.MULTILINE)
_MBOX = re.compile(rb"(?:\A|\n\r?\n)From [^\n]{3,400}\n(?=[A-Za-z-]+:)")


@dataclass(frozen=True, slots=True)
class Bounce:
    """What one bounce reports: fields of the message, fields of each recipient, and the text for people."""

    message: Message
    about: Mapping[str, str]
    recipients: tuple[Mapping[str, str], ...]
    text: str
    returned: Mapping[str, str] = field(default_factory=dict)


def messages_in(body: bytes) -> list[bytes]:
    """Return the messages of a file: one, or those of an mbox."""
    if not body.startswith(b"From "):
        return [body]
    starts = [match.end() for match in _MBOX.finditer(body)]
    ends = [*(match.start() for match in _MBOX.finditer(body)), len(body)][1:]
    return [body[start:end] for start, end in zip(starts, ends, strict=True)]


def bounce_of(raw: bytes) -> Bounce | None:
    """Return what `raw` reports as a bounce, or None where it is none, or one of our own messages."""
    message = message_from_bytes(raw.lstrip(), policy=policy.compat32)
    if message[OWN_MARK]:
        return None
    parts = _parts(message)
    status = next((part for part in parts if part.get_content_type().lower() in _STATUS_TYPES), None)
    if status is None and not _is_from_a_mail_system(message):
        return None
    text, returned = _text_of(parts), _returned_of(parts)
    about, recipients = _fields_of(_status_text(status)) if status is not None else ({}, [])
    if not recipients and (report := _REPORT.search(text)):
        about, recipients = _fields_of(text[report.start() :])  # a report whose boundaries were lost on the way
    return Bounce(message, about, tuple(recipients), text, returned)


def plain(value: str) -> str:
    """Return a field's value without the type in front of it."""
    typed = _TYPED.fullmatch(value)
    return (typed[1] if typed else value).strip()


def _parts(message: Message) -> list[Message]:
    found: list[Message] = []
    waiting = [message]
    while waiting and len(found) < MOST_PARTS:
        part = waiting.pop(0)
        found.append(part)
        if part.get_content_type().lower().startswith("multipart/") and isinstance(part.get_payload(), list):
            waiting = [each for each in part.get_payload() if isinstance(each, Message)] + waiting
    return found


def _is_from_a_mail_system(message: Message) -> bool:
    sender = f"{message.get('From', '')} {message.get('Return-Path', '')} {message.get('X-Original-From', '')}"
    if message["X-Failed-Recipients"]:
        return True
    if not _DAEMONS.search(sender):
        return False
    returns = any(part.get_content_type().lower() in _RETURNED_TYPES for part in _parts(message))
    return returns or _BOUNCE_SUBJECTS.search(_subject(message)) is not None


def _subject(message: Message) -> str:
    try:
        return str(make_header(decode_header(str(message.get("Subject", "")))))
    except (LookupError, ValueError, HeaderParseError):
        return str(message.get("Subject", ""))


def _text_of(parts: list[Message]) -> str:
    """Return the text for people: the first text parts, before what is returned."""
    texts: list[str] = []
    for part in parts:
        kind = part.get_content_type().lower()
        if kind in _RETURNED_TYPES or kind in _STATUS_TYPES:
            break
        if kind.startswith("text/") and not part.is_multipart():
            text = _decoded(part)
            texts.append(_without_tags(text) if kind == "text/html" else text)
    if not texts and parts[0].get_content_type().lower().startswith("multipart/"):
        texts = [_decoded(parts[0])]
    whole = "\n".join(texts)[:LONGEST_TEXT]
    cut = _RETURNED.search(whole)
    return whole[: cut.start()] if cut and cut.start() > 0 else whole


def _returned_of(parts: list[Message]) -> dict[str, str]:
    """Return the headers of the message that comes back, by their names in lower case."""
    for part in parts:
        kind = part.get_content_type().lower()
        if kind in {"message/rfc822", "message/global"} and isinstance(part.get_payload(), list) and part.get_payload():
            inner = part.get_payload(0)
            return {name.lower(): str(value) for name, value in inner.items()} if isinstance(inner, Message) else {}
        if kind in _RETURNED_TYPES:
            return _unfolded(_decoded(part).split("\n\n", 1)[0])
    for part in parts[:1]:
        whole = _decoded(part) if not part.is_multipart() else ""
        if cut := re.search(r"^(?:return-path|received|from): ", whole, re.IGNORECASE | re.MULTILINE):
            return _unfolded(whole[cut.start() :].split("\n\n", 1)[0])
    return {}


def _decoded(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        inner = part.get_payload()
        return "\n\n".join(str(each) for each in inner) if isinstance(inner, list) else str(inner or "")
    charset = part.get_content_charset() or "utf-8"
    try:
        text = payload.decode(charset)
    except (LookupError, UnicodeDecodeError):
        text = payload.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")[:LONGEST_TEXT]


def _without_tags(html: str) -> str:
    return re.sub(r"<(?![^\s<>]{1,320}@)[^<>]{0,2000}>", " ", re.sub(r"<(?:br|/p|/tr|/div)[^<>]{0,200}>", "\n", html))


def _status_text(status: Message) -> str:
    payload = status.get_payload()
    if isinstance(payload, list):
        return "\n\n".join(each.as_string() for each in payload if isinstance(each, Message))
    return _decoded(status)


def _fields_of(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    blocks = [found for block in re.split(r"\n[ \t]*\n", text) if (found := _unfolded(block))]
    recipients = [block for block in blocks if {"final-recipient", "action", "original-recipient"} & block.keys()]
    about: dict[str, str] = {}
    for block in blocks:
        if block not in recipients or "reporting-mta" in block:
            about |= block
    return about, recipients


def _unfolded(block: str) -> dict[str, str]:
    """Return the fields of a block by their names in lower case, folded lines joined; the first of a name counts."""
    found: dict[str, str] = {}
    name = ""
    for line in block.split("\n"):
        if line[:1] in {" ", "\t"} and name:
            found[name] = f"{found[name]} {line.strip()}"[:8_000]
        elif match := _FIELD.match(line):
            name = match[1].lower()
            if name in found:
                name = f"{name} again"
            found[name] = match[2].strip()
        else:
            name = ""
    return {key: value for key, value in found.items() if not key.endswith(" again")}


def addresses_in(text: str) -> Iterator[str]:
    """Yield the addresses that stand in `text`, in lower case, each once."""
    seen: set[str] = set()
    for match in re.finditer(
        r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*", text
    ):
        address = match[0].strip("'").lower()
        if address not in seen:
            seen.add(address)
            yield address
