"""
The DragonFly Mail Agent, from its syslog.

Reads: new mail, its recipients, the host and account of each try, and how the try ended.
Leaves: greetings, TLS, local deliveries' details and bounces, which say nothing more about a submission.

What a reader could not guess:
- The id stands where other programs have their process id: `dma[29a05e]` is a mail, `dma[29a05e.55cf201f1000]` one of
  its recipients. A line tells one thing only, so all of them are joined by id.
- The id of a mail is used again at once; so a recipient takes the sender along when it is queued. What
  has failed for good may be tried once more all the same.
- A refused log-in names neither host nor account; both stand in the lines before. `SMTP login failed: Success` behind
  it says nothing new.
- After a temporary refusal (4xx) of the log-in dma goes on without one, and what is refused next (530) is another try.
- It knows LOGIN and CRAM-MD5 only. A log-in that works is not logged; it is told by the mechanisms that the server
  offers, at level debug. Without these lines the protocol is not known.
- The mail of a bounce has no sender; it is sent the same way and refused as well.
- rsyslog writes the line ends of an answer as `#015#012`.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.answers import ADDRESS, address_of, answer, host_of, ip_of, words_of
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.programs import Row

MOST_OPEN = 20_000
"""Mails, and recipients, kept between reads; beyond it the oldest are forgotten."""

_NEW = re.compile(rb"new mail from user=\S* uid=(\d+) envelope_from=<" + ADDRESS + rb">")
_QUEUED = re.compile(rb"mail to=<" + ADDRESS + rb"> queued as ([0-9A-Za-z.]{1,64})")
_TRYING = re.compile(rb"<" + ADDRESS + rb"> trying delivery")
_DELIVERED = re.compile(rb"<" + ADDRESS + rb"> delivery successful")
_SMARTHOST = re.compile(rb"using smarthost \((\S+):(\d{1,5})\)")
_HOST = re.compile(rb"trying remote delivery to (\S+) \[([^\]]*)\] pref .*")
_ACCOUNT = re.compile(rb"using SMTP authentication for user (.*)")
_OFFERED = re.compile(rb"\s*Server supports (LOGIN|CRAM-MD5) authentication")
_LOGIN_REFUSED = re.compile(
    rb"remote delivery (failed|deferred): "
    rb"(?:Authentication failed|AUTH [\w-]+ (?:failed|not available|was refused)): (.*)",
    re.DOTALL,
)
_REFUSED = re.compile(
    rb"remote delivery (?:(?:to (?P<host>\S+) \[(?P<ip>[^\]]*)\] )?|"
    rb"(?P<deferred>deferred): (?:(?P<host2>\S+) \[(?P<ip2>[^\]]*)\] )?)"
    rb"failed after (?P<command>connect|EHLO|HELO|MAIL FROM|RCPT TO|DATA|final DATA): (?P<answer>.*)",
    re.DOTALL,
)
_BROKEN_OFF = re.compile(
    rb"remote delivery (failed|deferred): (.*)|connect to \S+ \[[^\]]*\] (failed): (.*)", re.DOTALL
)
_SAYS_NOTHING_NEW = b"SMTP login failed"
_ESCAPE = re.compile(r"#01[0-5]|\^[JM]")
_STAGES = {
    b"MAIL FROM": "mail_from",
    b"RCPT TO": "rcpt_to",
    b"DATA": "data",
    b"final DATA": "data",
}
_WORDS = ((re.compile(r"TLS|SSL|[Cc]ertificate"), "tls"), (re.compile(r"DNS|connect|EHLO|ESMTP"), "connect"))


@dataclass(slots=True)
class _Mail:
    """Who handed in a mail."""

    sender: str | None
    client_name: str | None


@dataclass(slots=True)
class _Delivery:
    """What is known of one recipient, and of the try under way."""

    recipient: str | None = None
    sender: str | None = None
    client_name: str | None = None
    endpoint: str | None = None
    endpoint_ip: str | None = None
    endpoint_port: int | None = None
    auth_user: str | None = None
    offered: str = ""
    is_without_login: bool = False


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is dma's."""
    return tag == b"dma"


class Reader:
    """Goes through one dma log, and knows mails and recipients by host and id."""

    def __init__(self, carry: Carry) -> None:
        self._mails = {key: _Mail(**known) for key, known in carry.get("mails", {}).items()}
        self._deliveries = {key: _Delivery(**known) for key, known in carry.get("deliveries", {}).items()}

    def owns(self, line: Line) -> bool:
        """Return whether `line` says how a try ended, as dma says it."""
        return bool(_REFUSED.fullmatch(line.message) or _LOGIN_REFUSED.fullmatch(line.message))

    def read(self, line: Line) -> list[Row] | str | None:
        """Return how the try ended that `line` is about, why it cannot be read, or None."""
        id = line.pid.decode("ascii", "replace")
        key = f"{line.host} {id}"
        state = self._deliveries.get(key)
        ended = _ended(line.message, state or _Delivery())
        if ended is None:
            self._learn(line, key)
            return None
        if not line.is_ended:
            return "the file ends in mid-line"
        row = {"kind": "try", **ended, "queue_id": id or None}
        return [("deliveries", row)]

    def close(self) -> list[Row]:
        """Return nothing: a try that has not ended tells nothing."""
        return []

    def carry(self) -> Carry:
        """Return the mails and recipients, the youngest MOST_OPEN of each."""
        self._mails = dict(list(self._mails.items())[-MOST_OPEN:])
        self._deliveries = dict(list(self._deliveries.items())[-MOST_OPEN:])
        known: dict[str, dict[str, Any]] = {"mails": self._mails, "deliveries": self._deliveries}
        return {name: {key: asdict(each) for key, each in some.items()} for name, some in known.items() if some}

    def _learn(self, line: Line, key: str) -> None:
        words = line.message
        if match := _NEW.fullmatch(words):
            self._mails.pop(key, None)
            self._mails[key] = _Mail(address_of(match[2]), f"local uid {match[1].decode()}")
        elif match := _QUEUED.fullmatch(words):
            self._begin(f"{line.host} {match[2].decode()}", address_of(match[1]), self._mails.get(key))
        elif match := _TRYING.fullmatch(words):
            before = self._deliveries.get(key)
            if before and before.sender is not None:
                self._begin(key, address_of(match[1]), _Mail(before.sender, before.client_name))
            else:
                self._begin(key, address_of(match[1]), self._mails.get(_mail_key(line)))
        elif key in self._deliveries or b"smarthost" in words or b"remote delivery" in words:
            _learn_of_try(words, self._deliveries.setdefault(key, _Delivery()))

    def _begin(self, key: str, recipient: str, mail: _Mail | None) -> None:
        self._deliveries.pop(key, None)
        self._deliveries[key] = _Delivery(recipient, mail.sender if mail else None, mail.client_name if mail else None)


def _learn_of_try(words: bytes, known: _Delivery) -> None:
    if match := _SMARTHOST.fullmatch(words):
        known.endpoint_port = int(match[2])
    elif match := _HOST.fullmatch(words):
        known.endpoint, known.endpoint_ip = host_of(match[1]), ip_of(match[2])
        known.auth_user, known.offered, known.is_without_login = None, "", False
    elif match := _ACCOUNT.fullmatch(words):
        known.auth_user = words_of(match[1])
    elif match := _OFFERED.fullmatch(words):
        known.offered = f"{known.offered} {match[1].decode()}".strip()
    elif b"Trying without" in words:
        known.is_without_login = True


def _ended(words: bytes, known: _Delivery) -> dict[str, Any] | None:
    """Return how a try ended, or None where `words` do not say so."""
    if _DELIVERED.fullmatch(words):
        return {**_told(known, b"", "data", "accepted"), "reply_class": "accepted" if known.endpoint else "unknown"}
    if match := _LOGIN_REFUSED.fullmatch(words):
        row = _told(known, match[2], "auth", _outcome(match[1]))
        return {**row, "auth_protocol": "basic"}
    if match := _REFUSED.fullmatch(words):
        host, ip = match["host"] or match["host2"], match["ip"] or match["ip2"]
        if host:
            known.endpoint, known.endpoint_ip = host_of(host), ip_of(ip)
        outcome = "deferred" if match["deferred"] else "rejected"
        return _told(known, match["answer"], _STAGES.get(match["command"], "connect"), outcome)
    return _broken_off(words, known)


def _broken_off(words: bytes, known: _Delivery) -> dict[str, Any] | None:
    match = _BROKEN_OFF.fullmatch(words)
    if match is None or (match[2] or b"").startswith(_SAYS_NOTHING_NEW):
        return None
    if match[3]:
        return _told(known, match[4], "connect", "deferred")  # it goes on with the next host
    stage = next((stage for pattern, stage in _WORDS if pattern.search(words_of(match[2]))), "unknown")
    return _told(known, match[2], stage, _outcome(match[1]))


def _told(known: _Delivery, text: bytes, stage: str, outcome: str) -> dict[str, Any]:
    mechanism = _mechanism(known)
    protocol = "none" if known.is_without_login else "basic" if mechanism else "unknown"
    return {
        **answer(_ESCAPE.sub(" ", words_of(text)), known.endpoint, protocol),
        "auth_mechanism": mechanism,
        "sender": known.sender,
        "recipient": known.recipient,
        "client_name": known.client_name,
        "auth_user": None if known.is_without_login else known.auth_user,
        "endpoint_ip": known.endpoint_ip,
        "endpoint_port": known.endpoint_port if known.endpoint else None,
        "stage": stage,
        "outcome": outcome,
    }


def _mechanism(known: _Delivery) -> str | None:
    """Return how dma logs in where the server offers it: with CRAM-MD5 rather than LOGIN."""
    if not known.auth_user or known.is_without_login:
        return None
    return next((name for name in ("CRAM-MD5", "LOGIN") if name in known.offered.split()), None)


def _outcome(word: bytes) -> str:
    return "deferred" if word == b"deferred" else "rejected"


def _mail_key(line: Line) -> str:
    return f"{line.host} {line.pid.partition(b'.')[0].decode('ascii', 'replace')}"
