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
LONGEST_REPORT = 4 << 20
LONGEST_SUBJECT = 2_000
OWN_MARK = "X-Authsunset-Message"

_STATUS_HEADER = re.compile(rb"^(Content-Type:\s*)message/((?:global-)?delivery-status)", re.IGNORECASE | re.MULTILINE)
_STATUS_TYPES = {"text/x-delivery-status", "text/x-global-delivery-status"}
"""What we call the types of a report: the parser would take its fields apart before it is decoded."""
_RETURNED_TYPES = {
    "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/partial",
}  # fmt: skip
_DAEMONS = re.compile(
    r"mailer[- ]?daemon|postmaster|mail ?delivery|mail administrator|microsoftexchange|mdaemon", re.IGNORECASE
)
_NOBODY = re.compile(r"\s*(?:<>|<?\s*mailer-?daemon\b[^<>]{0,250}>?)\s*", re.IGNORECASE)
_OF_LISTS = ("List-Id", "List-Unsubscribe", "List-Post")
_ANSWERS = re.compile(r"\s*(?:re|aw|antw|sv|fwd?|wg|tr|rv|vs|i|r)(?:\[\d\])?\s*:", re.IGNORECASE)
_BOUNCE_SUBJECTS = re.compile(
    r"undeliver|returned mail|mail failed|returning to sender|failure notice|mail delivery|could not be delivered|"
    r"delivery (?:status|fail|report|notif|problem|error|has failed)|nondeliverable|non-delivery|mail system error|"
    r"message (?:status|delivery)|warning: message|delayed|unzustellbar|nicht zugestellt|non remis|rejected|delivery",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"(?:could|can|was|were|has|have) ?not (?:be|been)? ?(?:delivered|sent)|undeliver|"
    r"deliver(?:y|ed)? (?:\w+ ){0,4}fail|"
    r"fail(?:ed|ure)? (?:\w+ ){0,4}deliver|permanent (?:fatal )?error|unable to deliver|did not reach|not reach|"
    r"nicht zugestellt|unzustellbar|n'a pas pu|no se pudo|non (?:\u00e8|e') stato",
    re.IGNORECASE,
)
RECIPIENT_LINE = re.compile(
    r"(?:^|\n)[ \t]*(?:To: |Recipient: |User: )?<?([^\s<>:;,\"]{1,64}@[^\s<>:;,\"]{1,253})>?(?: |:|\n|\.\.\.|$)"
)
"""A line that begins with the address of a recipient."""
_RETURNED = re.compile(
    r"^[ \t>|]{0,20}(?:-{2,80} ?(?:original message|this is a copy|below this line is a copy|the header|unsent message|"
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
    raw = _STATUS_HEADER.sub(rb"\1text/x-\2", raw.lstrip())
    message = message_from_bytes(raw, policy=policy.compat32)
    if message[OWN_MARK]:
        return None
    parts = _parts(message)
    status = next((part for part in parts if part.get_content_type().lower() in _STATUS_TYPES), None)
    is_report = status is not None and message.get_content_type().lower() == "multipart/report"
    if not is_report and not _is_from_a_mail_system(message, parts):
        return None
    text, returned = _text_of(parts), _returned_of(parts)
    about, recipients = _fields_of(_decoded(status, LONGEST_REPORT)) if status is not None else ({}, [])
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


def _is_from_a_mail_system(message: Message, parts: list[Message]) -> bool:
    """
    Return whether a mail without a report says all the same that it is a bounce.

    People sign as postmaster and quote bounces, newsletters come from daemons, and From is anybody's to write. So a
    mail system shows in more than its name: in a return path of nobody, in what it returns, or in how it names who
    failed.
    """
    subject = _subject(message)
    if any(message[name] for name in _OF_LISTS) or _ANSWERS.match(subject):
        return False
    if message["X-Failed-Recipients"]:
        return True
    is_from_nobody = _NOBODY.fullmatch(str(message.get("Return-Path", ""))) is not None
    sender = f"{message.get('From', '')} {message.get('X-Original-From', '')}"
    is_daemon = (_DAEMONS.search(sender) or _NOBODY.fullmatch(sender)) is not None
    if not is_from_nobody and not is_daemon:
        return False
    if any(part.get_content_type().lower() in _RETURNED_TYPES for part in parts):
        return True
    whole = _whole_text(parts)
    if _BOUNCE_SUBJECTS.search(subject) is None:
        return is_from_nobody and is_daemon and _FAILED.search(whole) is not None
    if is_daemon and (is_from_nobody or _RETURNED.search(whole)):
        return True
    return _FAILED.search(whole) is not None and (_RETURNED.search(whole) or RECIPIENT_LINE.search(whole)) is not None


def _subject(message: Message) -> str:
    text = str(message.get("Subject", ""))[:LONGEST_SUBJECT]  # what decodes it takes the square of its length
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError, HeaderParseError):
        return text


def _text_of(parts: list[Message]) -> str:
    """Return the text for people: the first text parts, before what is returned."""
    whole = _whole_text(parts)
    cut = _RETURNED.search(whole)
    return whole[: cut.start()] if cut and cut.start() > 0 else whole


def _whole_text(parts: list[Message]) -> str:
    texts: list[str] = []
    for part in parts:
        kind = part.get_content_type().lower()
        if kind in _RETURNED_TYPES or kind in _STATUS_TYPES:
            break
        if kind.startswith("text/") and not part.is_multipart():
            text = _decoded(part)
            texts.append(_without_tags(text) if kind == "text/html" else text)
    if not texts and parts[0].get_content_type().lower().startswith("multipart/") and not parts[0].is_multipart():
        texts = [_decoded(parts[0])]
    return "\n".join(texts)[:LONGEST_TEXT]


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


def _decoded(part: Message, longest: int = LONGEST_TEXT) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        inner = part.get_payload()
        return "" if isinstance(inner, list) else str(inner or "")[:longest]
    charset = part.get_content_charset() or "utf-8"
    try:
        text = payload.decode(charset)
    except (LookupError, UnicodeDecodeError):
        text = payload.decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")[:longest]


def _without_tags(html: str) -> str:
    return re.sub(r"<(?![^\s<>]{1,320}@)[^<>]{0,2000}>", " ", re.sub(r"<(?:br|/p|/tr|/div)[^<>]{0,200}>", "\n", html))


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
