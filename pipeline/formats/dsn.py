"""
Bounces: what a mail system tells the sender about a mail that it could not deliver (RFC 3464, and what was before it).

Reads: a message in a file (`.eml`, Maildir), or many in an mbox: one row for each recipient that failed, was delayed
or was delivered, with the server's words wherever they stand; and, in Sendmail's transcript, the refused log-in that
its log hides. Leaves: all other mail, our own messages, what is returned with a bounce, and reports without a
recipient.

What a reader could not guess:
- Only a report counts: a multipart/report, or a mail of a mail system that shows as one by more than its name. A
  newsletter, a reply, a postmaster's own words, a ticket or a forwarded bounce that quotes the error is no evidence,
  and neither is the subject of the mail that comes back.
- Where the fields give no answer, one recipient's words in the text are not those of another.
- The status field is often wrong or general (nullmailer writes 5.7.3 for 5.7.30, Exim and OpenSMTPD 5.0.0): what the
  server said goes before it. A mail that was put off until it was given up has a status of 4.x and has failed: it is
  `expired`. Where Exchange and Amazon give up they say 4.4.7 for it, and 4.4.0 before; the answer that they got stands
  behind it.
- The sender is the envelope's, as far as it is told: X-Postfix-Sender, or Return-Path of the returned mail, or to whom
  the bounce goes, or From of the returned mail.
- The time is that of the last try, or else when the bounce was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parseaddr, parsedate_to_datetime
from functools import lru_cache
from typing import Any

from pipeline.answers import answer, host_of
from pipeline.bounce import RECIPIENT_LINE, Bounce, addresses_in, bounce_of, messages_in, plain
from pipeline.lines import KEPT_OF_LONG
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of

WHOLE = True
MOST_RECIPIENTS = 2_000

_HEADERS = re.compile(
    rb"(?:\A|\n)(?:From|To|Subject|Date|Message-Id|Return-Path|Received|X-Failed-Recipients):", re.IGNORECASE
)
_FIELD_LINE = re.compile(rb"(?:From [^\n]+\n)?[A-Za-z][\w-]{1,60}:")
_CODE = r"(?<![\d.:/-])[245]\d\d(?![\d.])"
_MARKED = r"[245]\d\d(?![\d.])"
_ENHANCED = r"[245]\.\d{1,3}\.\d{1,3}"
_SAID = (
    re.compile(rf"<<<\s*(?P<reply>{_CODE}(?:[ -]|$).*)", re.MULTILINE),
    re.compile(rf"(?P<reply>{_CODE}[ -]+['\"(]{{0,2}}#?{_ENHANCED}.*)"),
    re.compile(
        r"(?:said|responded(?: with)?|returned|reason|response(?: was| is)?|replied|error(?: was|[ _]code ?)?|"
        r"answer(?:ed)?|failed with|\])"
        rf"\s?[:=]?\s*[\"'(]?(?P<reply>{_MARKED}(?:[ :,-]|$).*)",
        re.IGNORECASE | re.MULTILINE,
    ),
    re.compile(rf"^\W{{0,20}}(?P<reply>{_CODE}(?:[ :,-]|$).*)", re.MULTILINE),
    re.compile(rf"(?P<reply>\(?#{_ENHANCED}\)?.*)"),
    re.compile(rf"(?P<reply>(?<![\d.]){_ENHANCED}(?![\d.]) .*)"),
)
_MOST_SECTIONS = 5
_WORDS = re.compile(r"[^\W\d_]{3}[^\n]*")
_EXPIRED = re.compile(r"\W{0,3}[45]\d\d[ -]+#?[45]\.4\.7\b")
_IN_VAIN = re.compile(r"\W{0,3}[45]\d\d[ -]+#?[45]\.4\.[07]\b")
_CAUSE = re.compile(
    r"(?:(?:returned|responded with:?|said:)\s{1,3}['\"<]?|<)(?P<reply>[45]\d\d[ -]+#?[45]\.\d{1,3}\.\d{1,3}\b)"
)
_PEER = re.compile(
    r"(?:\bhost|\bserver|Remote Server at|while talking to) (?P<host>[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,9})"
    r"(?=\.?:| ?\[| \()"
)
_STATUS_ALONE = _SAID[4:]
_PAIR = re.compile(rf"(?P<code>{_CODE})[ -]+['\"(]{{0,2}}#?(?P<enhanced>{_ENHANCED})(?![\d.])")
_BARE_CODE = re.compile(rf"(?:^|said: |with: |:|\]: |['\" (])(?P<code>{_MARKED})(?=[ :,-]|$)")
_BARE_STATUS = re.compile(rf"(?<![\d.])#?(?P<enhanced>{_ENHANCED})(?![\d.])")
_HAS_CODE = re.compile(rf"{_CODE}|(?<![\d.]){_ENHANCED}(?![\d.])")
_AUTH_REFUSED = re.compile(r">>> AUTH[^\n]*\n(?P<reply>(?:\s*<<< [45]\d\d[ -][^\n]*\n?){1,20})")
_STAGES = (
    (re.compile(r"in reply to (?:the )?RCPT TO|after (?:pipelined )?RCPT TO|>>> RCPT", re.IGNORECASE), "rcpt_to"),
    (re.compile(r"pipelined", re.IGNORECASE), "unknown"),
    (re.compile(r"in reply to (?:the )?MAIL FROM|after MAIL FROM|>>> MAIL", re.IGNORECASE), "mail_from"),
    (
        re.compile(
            r"in reply to (?:the )?(?:end of )?DATA|after (?:end of data|DATA|final DATA)|>>> DATA", re.IGNORECASE
        ),
        "data",
    ),
    (
        re.compile(
            r"SASL authentication failed|Authentication failed|in reply to AUTH|after AUTH|sent: AUTH", re.IGNORECASE
        ),
        "auth",
    ),
)
_ENDED = re.compile(r"\s*\(in reply to [^)]{1,60}\)?\s*\Z|\)\s*\Z")
_DELAYED = re.compile(
    r"delayed|warning|will (?:keep|continue|retry)|not yet been delivered|still trying", re.IGNORECASE
)
_GIVEN_UP = re.compile(
    r"retry timeout|time ?out exceeded|too long|expired|not (?:been )?(?:possible|delivered) (?:with)?in|giving up|"
    r"could not be delivered for",
    re.IGNORECASE,
)
_OUTCOMES = {
    "failed": ("try", "rejected"), "failure": ("try", "rejected"), "delayed": ("held", "deferred"),
    "delivered": ("try", "accepted"), "relayed": ("try", "accepted"), "expanded": ("try", "accepted"),
}  # fmt: skip
_STATUS = re.compile(_ENHANCED)
_GENERAL = re.compile(r"[245]\.0\.0")


def looks_like(head: bytes) -> bool:
    """Return whether `head` begins as a mail does: bounces are told from other mail when it is read."""
    start = head[: 16 << 10].replace(b"\r\n", b"\n").removeprefix(b"\xef\xbb\xbf").lstrip()
    return _FIELD_LINE.match(start) is not None and len(_HEADERS.findall(start.split(b"\n\n", 1)[0])) >= 3


def parse(body: Chunk, carry: Carry) -> Parsed:  # noqa: ARG001 - a whole file leaves nothing open
    """Return one row for each recipient of each bounce."""
    raws = messages_in(body.body)
    rows: list[dict[str, Any]] = []
    left = 0
    rejects: list[Reject] = []
    for raw in raws:
        try:
            bounce = bounce_of(raw)
        except RecursionError:  # of the parser, which goes down into each part
            rejects.append(Reject(raw[:KEPT_OF_LONG], body.offset, "has parts within parts, deeper than any mail has"))
            continue
        if bounce and len(bounce.recipients) > MOST_RECIPIENTS:
            why = f"reports more than {MOST_RECIPIENTS} recipients; the rest is not read"
            rejects.append(Reject(raw[:KEPT_OF_LONG], body.offset, why))
        found = list(_rows(bounce, body)) if bounce else []
        rows += found
        left += not found
    return Parsed({"deliveries": rows_of("deliveries", rows)}, tuple(rejects), lines=len(raws), left=left)


def _rows(bounce: Bounce, body: Chunk) -> Iterator[dict[str, Any]]:
    common = _common(bounce, body)
    whose = list(_reported(bounce))[:MOST_RECIPIENTS]
    if whose and (refused := _AUTH_REFUSED.search(bounce.text)):
        yield _hidden_log_in(bounce, refused, common)
    for number, fields in enumerate(whose):
        row = _row(bounce, fields, common)
        if not row["recipient"] and not bounce.text.strip() and not bounce.about:
            continue
        itself = (
            str(bounce.message.get("Message-ID", "")),
            row["log_host"],
            row["queue_id"],
            row["recipient"],
            row["reply_text"],
            number,
        )
        yield {**row, "event_id": event_id_of("bounce", *itself)}


def _reported(bounce: Bounce) -> Iterator[Mapping[str, str]]:
    """Yield the fields of each recipient; of a bounce without a report, the recipients that its text names."""
    if bounce.recipients:
        yield from bounce.recipients
        return
    failed = list(addresses_in(str(bounce.message.get("X-Failed-Recipients", ""))))
    named = failed or [match[1].lower() for match in RECIPIENT_LINE.finditer(bounce.text)]
    own = {
        parseaddr(str(bounce.message.get("To", "")))[1].lower(),
        parseaddr(str(bounce.message.get("From", "")))[1].lower(),
    }
    others = [each for each in named or addresses_in(bounce.text) if each not in own]
    subject = str(bounce.message.get("Subject", ""))
    action = "delayed" if _DELAYED.search(subject) else "failed"
    for each in dict.fromkeys(others or [""]):
        yield {"final-recipient": each, "action": action}


def _common(bounce: Bounce, body: Chunk) -> dict[str, Any]:
    about, returned = bounce.about, bounce.returned
    sender = (
        plain(about.get("x-postfix-sender", ""))
        or _return_path(returned)
        or parseaddr(str(bounce.message.get("To", "")))[1]
    )
    return {
        "sender": _word(sender or parseaddr(returned.get("from", ""))[1]).strip("<>").lower() or None,
        "log_host": host_of(plain(about.get("reporting-mta", "")).encode()) or None,
        "queue_id": _word(about.get("x-postfix-queue-id", "")) or None,
        "message_id": _word(returned.get("message-id", "")) or None,
        "queued_at": _time(about.get("arrival-date", "")),
        "origin_offset": body.offset,
        "written_at": _time(str(bounce.message.get("Date", ""))) or body.as_of,
    }


def _word(value: str) -> str:
    """Return the first word of a field that holds one: what follows it is not part of it."""
    return (value.split() or [""])[0]


def _return_path(returned: Mapping[str, str]) -> str:
    return returned.get("return-path", "").strip("<> ")


def _row(bounce: Bounce, fields: Mapping[str, str], common: Mapping[str, Any]) -> dict[str, Any]:
    recipient = plain(fields.get("final-recipient") or fields.get("original-recipient") or "").strip("<>").lower()
    status = _STATUS.search(fields.get("status", ""))
    near = _near(bounce.text, recipient)
    text = _reply_of(bounce, fields, near)
    endpoint = host_of(plain(fields.get("remote-mta", "")).split(" ")[0].encode()) or _peer_of(
        f"{plain(fields.get('diagnostic-code', ''))}\n{near}"
    )
    said = answer(_ENDED.sub("", text), endpoint)
    kind, outcome = _OUTCOMES.get(fields.get("action", "failed").lower().split(" ")[0], ("try", "unknown"))
    codes = _codes(text, said, status[0] if status else None)
    if outcome == "rejected" and _is_given_up(status[0] if status else "", codes, text, bounce):
        kind = "expired"
    words = f"{text} {near}"
    known = {name: value for name, value in common.items() if name != "written_at"}
    return {
        **known,
        **said,
        "event_time": _time(fields.get("last-attempt-date", "")) or common["written_at"],
        "kind": kind,
        "outcome": outcome,
        "recipient": recipient or None,
        "stage": next((stage for sign, stage in _STAGES if sign.search(words)), "unknown"),
        **codes,
        "expires_at": _time(fields.get("will-retry-until", "")),
    }


def _reply_of(bounce: Bounce, fields: Mapping[str, str], near: str) -> str:
    """Return the server's words: of the recipient's own field, or else of the text for people."""
    field = plain(fields.get("diagnostic-code", ""))
    if field and _HAS_CODE.search(field):
        return _cause_of(field, near)
    for text in (near, bounce.text):
        if found := _answer_in(text):
            return _cause_of(_paragraph(text, _start_of(found)), near)
        if text is near and len(bounce.recipients) != 1 and (words := _WORDS.search(near)):
            return _paragraph(near, words.start())  # an answer elsewhere is that for another
    return field


@lru_cache(maxsize=4)  # the text of a bounce is asked once for each of its recipients
def _answer_in(text: str) -> re.Match[str] | None:
    return next((found for pattern in _SAID if (found := pattern.search(text))), None)


@lru_cache(maxsize=4)
def _lower(text: str) -> str:
    return text.lower()


def _start_of(found: re.Match[str]) -> int:
    """Return where the words begin that a code belongs to: with the code, or where it stands behind them, the line."""
    start = found.start("reply")
    if found.re not in _STATUS_ALONE:
        return start
    words = _WORDS.search(found.string, found.string.rfind("\n", 0, start) + 1)
    return min(start, words.start()) if words else start


def _cause_of(said: str, near: str) -> str:
    """Return what the last server answered, where `said` is only that the sending one waited for it in vain."""
    if not _IN_VAIN.match(said):
        return said
    causes = [text[found.start("reply") :] for text in (said[3:], near) for found in _CAUSE.finditer(text)]
    told = [cause for cause in causes if not _IN_VAIN.match(cause)] or [
        cause for cause in causes if not _EXPIRED.match(cause)
    ]
    return _paragraph(told[0], 0) if told else said


def _codes(text: str, said: Mapping[str, Any], status: str | None) -> dict[str, Any]:
    """Return code and status of an answer: what the server said goes before the field, unless it is general."""
    pair, code, bare = _PAIR.search(text), _BARE_CODE.search(text), _BARE_STATUS.search(text)
    spoken = pair["enhanced"] if pair else said["enhanced_code"] or (bare["enhanced"] if bare else None)
    if spoken and status and _GENERAL.fullmatch(spoken):
        spoken = status
    number = int(pair["code"]) if pair else said["reply_code"] or (int(code["code"]) if code else None)
    return {"reply_code": number, "enhanced_code": spoken or status}


def _peer_of(words: str) -> str | None:
    """Return the host that a recipient's own words name as the one that answered."""
    found = _PEER.search(words)
    return found["host"].lower() if found else None


def _near(text: str, recipient: str) -> str:
    """Return what stands behind the recipient's address, each time up to the next one."""
    sections: list[str] = []
    lower = _lower(text)
    place = lower.find(recipient) if recipient else -1
    while place >= 0 and len(sections) < _MOST_SECTIONS:
        start = place + len(recipient)
        behind = text[start : start + 2_000]
        end = RECIPIENT_LINE.search(behind, 1)
        sections.append(behind[: end.start()] if end else behind)
        place = lower.find(recipient, start)
    return "\n".join(sections)


def _paragraph(text: str, start: int) -> str:
    """Return the words from `start` to the end of the paragraph, in which a mail breaks them into lines."""
    end = re.compile(r"\n\s*\n|\n\s*(?:>>>|<<<|---)|\n[ \t]*<?[^\s<>]{1,64}@[^\s<>]+>?[: ]").search(text, start)
    return " ".join(text[start : end.start() if end else start + 2_000].split())


def _is_given_up(status: str, codes: Mapping[str, Any], text: str, bounce: Bounce) -> bool:
    code, enhanced = codes["reply_code"], codes["enhanced_code"] or ""
    if status.startswith("4"):
        return True
    if (code or 0) >= 500 or (enhanced.startswith("5") and not _GENERAL.fullmatch(enhanced)):
        return False
    return bool(_GIVEN_UP.search(text) or _GIVEN_UP.search(bounce.text[:2_000])) or (code or 500) < 500


def _hidden_log_in(bounce: Bounce, refused: re.Match[str], common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the refused log-in of a transcript: the program went on without one and was refused again."""
    talked = re.search(r"while talking to ([A-Za-z0-9.-]+?)\.?:", bounce.text)
    known = {name: value for name, value in common.items() if name != "written_at"}
    reply = "\n".join(line.strip().removeprefix("<<< ") for line in refused["reply"].strip().split("\n"))
    said = answer(reply, talked[1].lower() if talked else None)
    return {
        **known,
        **said,
        "event_time": common["written_at"],
        "kind": "try",
        "stage": "auth",
        "outcome": "unknown",
        "event_id": event_id_of(
            "bounce log-in", str(bounce.message.get("Message-ID", "")), common["queue_id"], said["reply_text"]
        ),
    }


def _time(text: str) -> datetime | None:
    try:
        time = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
