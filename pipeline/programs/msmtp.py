"""
msmtp, which hands one mail at a time to a server, from its log, syslog or what it prints to stderr.

Reads: its one line for each mail (host, user, sender, recipients, answer, exit code), and on stderr the error with the
server's words behind it. PHP, cron and the like send through it and log nothing of the answer themselves.
Leaves: its other messages, which say nothing about a submission.

What a reader could not guess:
- Of several refused recipients only the first one's answer is kept, so each recipient's row carries it.
- The mechanism of a log-in is named only where it fails; one that succeeds may be Basic or OAuth.
- `'` and control characters in the answer and the error are logged as `?`, but sender and recipients stand as they are:
  a quoted local part may hold anything. So the line is taken apart from its end.
- Messages are translated: in the error of a failed log-in only the mechanism in brackets is the same everywhere.
- A syslog cuts a line with some hundred recipients before the answer; such a row says what was left, and no more.
- msmtp keeps no queue, so a mail that is not accepted is lost unless the caller tries again; a temporary answer (4xx,
  or EX_TEMPFAIL) counts as deferred all the same.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pipeline.answers import QUOTED, address_of, answer, host_of, protocol_of, words_of
from pipeline.lines import Line
from pipeline.model import Carry, event_id_of
from pipeline.programs import Row

MOST_OPEN = 1_000
"""Failures on stderr whose last line is still to come; beyond it the oldest is forgotten."""

_MOST_LINES = 20
_NOT_A_LINE = "begins like a line of msmtp and does not go on like one"
_LONGEST_ERROR = 2_000
_INFO = re.compile(
    rb"(?:[\w.-]{1,32}: log info was: )?host=(\S+) tls=(?:on|off) auth=(on|off)(?: user=(.*?))? from=(.*)", re.DOTALL
)
_END = re.compile(
    rb"(?: mailsize=(?P<size>\d{1,15}))?(?: smtpstatus=(?P<code>\d{3}) smtpmsg='(?P<answer>[^']*)')?"
    rb"(?: errormsg='(?P<error>[^']*)')? exitcode=(?P<exit>\w+)\s*\Z"
)
_CUT_END = re.compile(
    rb"(?: mailsize=(?P<size>\d{1,15})(?= ))?(?: smtpstatus=(?P<code>\d{3}) smtpmsg='(?P<answer>[^']*)"
    rb"(?:' errormsg='(?P<error>[^']*))?)?"
)
_UNBROKEN = rb"((?:[^\s\"]|" + QUOTED + rb")*+)"
_ENVELOPE = re.compile(_UNBROKEN + rb" recipients=(.*)", re.DOTALL)
_CUT_ENVELOPE = re.compile(_UNBROKEN + rb" recipients=" + _UNBROKEN + rb"( .*)?", re.DOTALL)
_RECIPIENTS = re.compile(rb"(?:[^\"]|" + QUOTED + rb")*+", re.DOTALL)
_RECIPIENT = re.compile(rb"(?:[^\",]|" + QUOTED + rb")++", re.DOTALL)
_STDERR = re.compile(rb"(?:msmtp|sendmail): (.*)", re.DOTALL)
_SAID = re.compile(r"[^:]{1,60}: (?=[2-5]\d\d[ -])")
_NOT_SENT = "could not send mail"
_TEMPORARY = ("cannot connect", "network ")
_ASIDE = ("cannot log to", "log info was", "warning")
_NEXT_LINE = re.compile(r"\\n(?=\d{3}[ -])")
_MECHANISM = re.compile(
    r"(?:\([^()]*?\b|authentication method )"
    r"(PLAIN|LOGIN|CRAM-MD5|DIGEST-MD5|NTLM|GSSAPI|EXTERNAL|SCRAM-[A-Z0-9-]+|XOAUTH2|OAUTHBEARER)\)?\Z"
)
_STAGES = (
    (re.compile(r"^authentication |support(?:s)? authentication|authentication method"), "auth"),
    (re.compile(r"^envelope from address "), "mail_from"),
    (re.compile(r"^recipient address "), "rcpt_to"),
    (re.compile(r"mail data|accept the mail"), "data"),
    (re.compile(r"TLS|certificate"), "tls"),
    (re.compile(r"cannot connect|cannot locate|greeting|EHLO|HELO|proxy|^network "), "connect"),
)
_REFUSED_SENDER = re.compile(r"envelope from address (\S*) not accepted")
_REFUSED_RECIPIENT = re.compile(r"recipient address (\S+) not accepted")
_OUTCOMES = {"2": "accepted", "4": "deferred", "5": "rejected"}


@dataclass(slots=True)
class _Failure:
    """What stderr has told of one mail so far, and the line that began to tell it."""

    error: str
    log_host: str | None
    event_time: str | None
    origin_offset: int
    line_id: str
    answers: list[str] = field(default_factory=list)


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is msmtp's."""
    return tag == b"msmtp"


class Reader:
    """Goes through one log; only stderr spreads a mail over several lines."""

    def __init__(self, carry: Carry) -> None:
        self._failures = {key: _Failure(**known) for key, known in carry.get("failures", {}).items()}

    def owns(self, line: Line) -> bool:
        """Return whether `line` is msmtp's one line for a mail, or what it prints to stderr."""
        if _INFO.match(line.message):
            return True
        said = _STDERR.fullmatch(line.message)
        if said is None:
            return False
        return line.message.startswith(b"msmtp: ") or _tells(words_of(said[1]))

    def read(self, line: Line) -> list[Row] | str | None:
        """Return a row for each recipient of the mail that `line` tells, why it cannot be read, or None."""
        if info := _INFO.match(line.message):
            return _mail(info, is_ended=line.is_ended)
        if line.message.startswith(b"host="):
            return _NOT_A_LINE if line.is_ended else "the file ends in mid-line"
        said = _STDERR.fullmatch(line.message)
        return self._stderr(line, words_of(said[1] if said else line.message).strip())

    def close(self) -> list[Row]:
        """Return the failures of which the last line never came."""
        rows = [
            (name, {**row, **_place(each)}) for each in self._failures.values() for name, row in _failure_rows(each)
        ]
        self._failures.clear()
        return rows

    def carry(self) -> Carry:
        """Return the failures that are half told, the youngest MOST_OPEN of them."""
        for forgotten in list(self._failures)[: max(0, len(self._failures) - MOST_OPEN)]:
            del self._failures[forgotten]
        return {"failures": {key: asdict(each) for key, each in self._failures.items()}} if self._failures else {}

    def _stderr(self, line: Line, words: str) -> list[Row] | None:
        key = f"{line.host} {line.pid.decode('ascii', 'replace')}"
        if words.startswith(_ASIDE):
            return None
        if said := _SAID.match(words):
            failure = self._failures.setdefault(key, _begun("", line))
            if len(failure.answers) < _MOST_LINES:
                failure.answers.append(words[said.end() :])
            return None
        before = self._failures.pop(key, None)
        if not words.startswith(_NOT_SENT):
            self._failures[key] = _begun(words, line)
        return _failure_rows(before) if before else None


def _tells(words: str) -> bool:
    """Return whether msmtp says `words` under the name sendmail, which other programs have too."""
    said = _SAID.match(words)
    if said:
        return said.group() == "server message: "
    return words.startswith(f"{_NOT_SENT} (account ") or bool(_MECHANISM.search(words))


def _mail(info: re.Match[bytes], *, is_ended: bool) -> list[Row] | str:
    host, auth, user, rest = info.groups()
    end = _END.search(rest)
    if end is None and not is_ended:
        return "the file ends in mid-line"
    envelope = _whole_envelope(rest[: end.start()]) if end else _cut_envelope(rest)
    if envelope is None:
        return _NOT_A_LINE
    sender, recipients, more = envelope
    told = _told(end, more)
    row = {
        "sender": address_of(sender),
        "auth_user": words_of(user).strip("'") or None,
        **_answered(told, host_of(host), is_auth_off=auth == b"off"),
    }
    return [("deliveries", {**row, "recipient": address_of(each)}) for each in recipients] or [("deliveries", row)]


def _told(end: re.Match[bytes] | None, more: bytes) -> dict[str, bytes | None]:
    found = end or _CUT_END.match(more)
    return {"exit": None, **(found.groupdict() if found else {})}


def _whole_envelope(envelope: bytes) -> tuple[bytes, list[bytes], bytes] | None:
    if found := _ENVELOPE.fullmatch(envelope):
        return found[1], _each(found[2]), b""
    sender, mark, recipients = envelope.partition(b" recipients=")  # an address with a space that is not quoted
    return (sender, _each(recipients), b"") if mark else None


def _cut_envelope(envelope: bytes) -> tuple[bytes, list[bytes], bytes] | None:
    found = _CUT_ENVELOPE.fullmatch(envelope)
    if found is None:
        return None
    recipients = _each(found[2])
    # Where nothing follows, the cut may have gone through the last address.
    return found[1], recipients if found[3] else recipients[:-1], found[3] or b""


def _each(recipients: bytes) -> list[bytes]:
    return _RECIPIENT.findall(recipients) if _RECIPIENTS.fullmatch(recipients) else recipients.split(b",")


def _answered(told: dict[str, bytes | None], host: str | None, *, is_auth_off: bool) -> dict[str, Any]:
    """Return what is known of the try: who answered what, at which stage, and what came of it."""
    error = words_of(told["error"])
    mechanism = _MECHANISM.search(error)
    protocol = "none" if is_auth_off else protocol_of(mechanism[1] if mechanism else None)
    code = words_of(told["code"])
    row = answer(_NEXT_LINE.sub("\n", words_of(told["answer"])) or error, host, protocol)
    outcome = _outcome(code, words_of(told["exit"]), is_sent=told["size"] is not None)
    return {
        **row,
        "reply_code": row["reply_code"] or (int(code) if code else None),
        "kind": "try",
        "auth_mechanism": mechanism[1] if mechanism else None,
        "stage": "data" if outcome == "accepted" else _stage(error),
        "outcome": outcome,
        "size_bytes": int(told["size"]) if told["size"] else None,
    }


def _outcome(code: str, exit_code: str, *, is_sent: bool) -> str:
    if is_sent or exit_code == "EX_OK":
        return "accepted"
    if code[:1] in {"4", "5"}:
        return _OUTCOMES[code[0]]
    if not exit_code:
        return "unknown"
    return "deferred" if exit_code == "EX_TEMPFAIL" else "rejected"


def _stage(error: str) -> str:
    if _MECHANISM.search(error):
        return "auth"
    return next((stage for words, stage in _STAGES if words.search(error)), "unknown")


def _begun(error: str, line: Line) -> _Failure:
    return _Failure(
        error=error[:_LONGEST_ERROR],
        log_host=line.host,
        event_time=line.time.isoformat() if line.time else None,
        origin_offset=line.offset,
        line_id=event_id_of(line.offset, line.raw),
    )


def _failure_rows(failure: _Failure) -> list[Row]:
    if not failure.answers and _stage(failure.error) == "unknown":
        return []
    said = "\n".join(failure.answers).encode()
    sender, recipient = _REFUSED_SENDER.search(failure.error), _REFUSED_RECIPIENT.search(failure.error)
    exit_code = b"EX_TEMPFAIL" if failure.error.startswith(_TEMPORARY) else b"EX_UNAVAILABLE"
    told = {"size": None, "code": said[:3], "answer": said, "error": failure.error.encode(), "exit": exit_code}
    row = {
        **_answered(told, None, is_auth_off=False),
        "sender": sender[1].lower() if sender else None,
        "recipient": recipient[1].lower() if recipient else None,
    }
    return [("deliveries", row)]


def _place(failure: _Failure) -> dict[str, Any]:
    return {
        "event_time": datetime.fromisoformat(failure.event_time) if failure.event_time else None,
        "log_host": failure.log_host,
        "origin_offset": failure.origin_offset,
        "event_id": event_id_of(failure.line_id, *failure.answers),
    }
