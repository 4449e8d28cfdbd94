"""
Postfix, from its mail log.

Reads: log-ins at this relay and mails that it refused itself; smtpd and pickup clients, the HELO that a header check
logs, cleanup message-ids, qmgr from/expired/removed, and the deliveries of every delivery agent, with the replies of
hosts that were tried before the last one. Leaves: everything else (connects, TLS, warnings, statistics, address
probes), which says nothing about a submission.

What a reader could not guess:
- The refusal line names neither sender nor device; both are joined by queue id, from lines that may stand in an
  earlier read or a rotated file. The account that Postfix itself logs in with is never logged, and its success leaves
  no line.
- By default `smtp_sasl_auth_soft_bounce` turns a 550 at AUTH into `dsn=4.7.30, status=deferred`; the true codes stand
  in the quoted reply only.
- After a refusal at AUTH the destination is suspended, and other senders' mail is logged as `relay=none … (delivery
  temporarily suspended: …)` with the old reply: nothing was sent for it, so its kind is `held`. `SASL [CACHED]` is the
  same thing in other words, except without soft bounces: then the mail is not held but gone, as after a try.
- Only what a server said is evidence, and Postfix's own words about a log-in: what an `error:` entry of a table, a
  policy or the command behind a `pipe` says is chosen by whoever wrote it.
- A log-in that breaks off is told as `performing the EHLO handshake`, so the stage of that is unknown.
- Before Postfix 2.3 a delivery names neither `delays` nor `dsn`.
- Sender, recipient, HELO and subject are chosen by strangers and may quote whole log lines, so each line is taken
  apart from the left, and a quoted local part is skipped as a whole. (Before Postfix 3.5, or with
  `info_log_address_format = internal`, the quotes are not logged, and such an address cannot be told from the line.)
- Other programs log into the same file, and Sendmail's lines begin alike. RFC 5424 and `syslog_name` hide the daemon,
  so a line is Postfix's by its tag or else by its grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.answers import protocol_of
from pipeline.endpoints import service_of
from pipeline.lines import Line, text_of
from pipeline.model import Carry
from pipeline.programs import Row
from pipeline.replies import LONGEST_TEXT, Reply, read_reply

MOST_OPEN = 200_000
"""Open queue ids kept between reads; beyond it the oldest is forgotten, and its later lines lack a sender."""

_QUOTED = rb"\"[^\"\\]*(?:\\.[^\"\\]*)*\""
_ADDRESS = rb"([^\">]*(?:" + _QUOTED + rb"[^\">]*)*)"
_QUEUE_ID = re.compile(rb"(?![a-z]+:|NOQUEUE:)([0-9A-Za-z]{5,24}): (.*)", re.DOTALL)
_DELIVERY = re.compile(
    rb"to=<" + _ADDRESS + rb">, (?:orig_to=<" + _ADDRESS + rb">, )?relay=(\S+), (?:conn_use=\d+, )?delay=[\d.]+, "
    rb"(?:delays=[\d./]+, )?(?:(?!dsn=|status=)\w+=[^,]*, ){0,9}(?:dsn=([\d.]+), )?status=(\w[\w-]*)(?: \((.*))?\s*",
    re.DOTALL,
)
_CLIENT = re.compile(rb"client=([^\[\s]*)\[([^\]]*)\](?::\d+)?(?:, sasl_method=([^,\s]+))?(?:, sasl_username=([^,]+))?")
_ORIGINAL_CLIENT = re.compile(rb"orig_client=([^\[\s,]*)\[([^\]]*)\]")
_BEGUN_DELIVERY = re.compile(rb"to=<" + _ADDRESS + rb">, (?:orig_to=<|relay=)")
_FROM = re.compile(rb"from=<" + _ADDRESS + rb">, (?:size=(\d{1,15}), nrcpt=|status=([\w-]+))")
_MESSAGE_ID = re.compile(rb"(?:resent-)?message-id=(?:<>\s*\Z)?(.*)", re.DOTALL)  # <> where the mail has none
_PICKUP = re.compile(rb"uid=(\d+) from=<" + _ADDRESS + rb">")
_HEADER_CHECK_HELO = re.compile(rb"info: header .* proto=\S+ helo=<([^<>]*)>(?:: .*)?", re.DOTALL)
_RELAY = re.compile(r"(?P<host>[^\[]+)\[(?P<ip>[^\]]*)\](?::(?P<port>[0-9]{1,5}))?")
_SAID = re.compile(
    r"(?:delivery temporarily suspended: )?"
    r"(?:(?P<sasl>(?:SASL )?(?P<cached>\[CACHED\] )?[Aa]uthentication failed[;:] server)|host) (?P<peer>\S+) "
    r"(?:said|(?P<greeting>refused to talk to me)): "
)
_OWN_WORDS = re.compile(
    r"(?:delivery temporarily suspended: )?(?:SASL )?[Aa]uthentication failed[;:] "
    r"(?:cannot (?:SASL )?authenticate to|authentication protocol loop with) server (?P<peer>[^\s\[]+\[[^\]]*\])"
)
_COMMAND_OUTPUT = re.compile(r"(?:\A|[.:] )Command output: ")
_BEHIND_REPLY = re.compile(rb"; (?:from=<|to=<|proto=|helo=<)")
_SASL_FAILED = re.compile(
    rb"warning: ([^\[\s]*)\[([^\]]*)\](?::\d+)?: SASL (\S+) authentication failed: ?(.*?)(?:, sasl_username=(.*))?\s*",
    re.DOTALL,
)
_OWN_REFUSAL = re.compile(
    rb"(?:([0-9A-Za-z]{5,24}|NOQUEUE): )?(?:milter-)?reject: ([A-Z][A-Z -]{2,20}?)(?: command)? "
    rb"from ([^\[\s]*)\[([^\]]*)\](?::\d+)?(?:: |; )(.*)",
    re.DOTALL,
)
_OWN_ENVELOPE = re.compile(
    rb"(?:^|; )from=<"
    + _ADDRESS
    + rb">(?: to=<"
    + _ADDRESS
    + rb">)? proto=\S+(?: helo=<([^>]*)>)?(?: sasl_username=<([^>]*)>)?"
)
_UNBRACKETED = re.compile(rb"\b(to|from|orig_to)=([^<,\s=]+@?[^<,\s=]*),")
_EARLIER_HOST = re.compile(rb"(?:host |SASL (?:\[CACHED\] )?authentication failed; server )\S+\[")
_REMOVED = re.compile(rb"removed\s*\Z")
_PEER = re.compile(
    r"(?:delivery temporarily suspended: )?"
    r"(?:connect to|lost connection with|conversation with|TLS is required, but(?: was not offered by)? host|"
    r"Cannot start TLS with) (?P<peer>[^\s\[]+\[[^\]]*\](?::\d+)?)"
)
_STAGES = {
    "EHLO": "connect",
    "HELO": "connect",
    "LHLO": "connect",
    "STARTTLS": "tls",
    "AUTH": "auth",
    "MAIL FROM": "mail_from",
    "RCPT TO": "rcpt_to",
    "DATA": "data",
    "end of DATA": "data",
}
_OWN_STAGES = {
    "CONNECT": "connect", "HELO": "connect", "EHLO": "connect", "STARTTLS": "tls", "AUTH": "auth", "MAIL": "mail_from",
    "RCPT": "rcpt_to", "DATA": "data", "END-OF-MESSAGE": "data", "BDAT": "data",
}  # fmt: skip
_BROKEN_OFF = (
    (re.compile(r"^(?:SASL a|A)uthentication failed"), "auth"),
    (re.compile(r"(?:HE|EH|LH)LO handshake"), "unknown"),
    (
        re.compile(
            r"^connect to |^Host or domain name not found|^unable to look up host|greeting|"
            r"Connection (?:timed out|refused)"
        ),
        "connect",
    ),
    (re.compile(r"TLS|certificate", re.IGNORECASE), "tls"),
    (re.compile(r"MAIL FROM"), "mail_from"),
    (re.compile(r"RCPT TO"), "rcpt_to"),
    (re.compile(r"DATA|end of data|message content|message body"), "data"),
)
_OUTCOMES = {b"sent": "accepted", b"deferred": "deferred", b"SOFTBOUNCE": "deferred", b"bounced": "rejected"}
_PROBES = {b"deliverable", b"undeliverable"}
_PASSWORD_MECHANISMS = {"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "NTLM"}
_BASIC_REFUSED = {"basic_retired", "basic_disabled"}
_NO_NAMES = {b"", b"unknown", b"(unavailable)"}
_LONGEST_RAW = 2 * LONGEST_TEXT
_DAEMONS = frozenset(
    b"smtp lmtp error retry local virtual pipe discard smtpd submission smtps postscreen cleanup qmgr oqmgr pickup "
    b"bounce master anvil scache tlsmgr trivial-rewrite verify postfix-script postqueue postsuper postdrop relay "
    b"dnsblog tlsproxy proxymap showq flush sendmail postlogd".split()
)
_DELIVERY_AGENTS = {(b"/", agent) for agent in (b"smtp", b"lmtp", b"error", b"retry", b"local", b"virtual", b"pipe")}
_GRAMMAR = (
    _UNBRACKETED,
    _BEGUN_DELIVERY,
    _FROM,
    _CLIENT,
    _MESSAGE_ID,
    _PICKUP,
    _HEADER_CHECK_HELO,
    _EARLIER_HOST,
    _REMOVED,
)


@dataclass(slots=True)
class _Mail:
    """What is known of one queue id so far."""

    sender: str | None = None
    client_ip: str | None = None
    client_name: str | None = None
    client_user: str | None = None
    message_id: str | None = None
    size_bytes: int | None = None


_UNKNOWN = _Mail()


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` names a daemon of Postfix; `postfix` alone is what RFC 5424 leaves of it."""
    name, _, daemon = tag.rpartition(b"/")
    return tag == b"postfix" or (name.startswith(b"postfix") and daemon in _DAEMONS)


class Reader:
    """Goes through one Postfix log, and knows each mail by host and queue id until it leaves the queue."""

    def __init__(self, carry: Carry) -> None:
        self._mails = _Mails({key: _Mail(**known) for key, known in carry.get("mails", {}).items()})

    def owns(self, line: Line) -> bool:
        """Return whether `line` begins with a queue id and goes on as Postfix does."""
        found = _QUEUE_ID.fullmatch(line.message)
        if found is None:
            return bool(_SASL_FAILED.fullmatch(line.message) or _is_own_refusal(line.message))
        if found[2].startswith(b"to=<") and line.tag.rpartition(b"/")[1:] in _DELIVERY_AGENTS:
            return True
        return any(words.match(found[2]) for words in _GRAMMAR) or _is_own_refusal(line.message)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the delivery or the log-in that `line` tells, why it cannot be read, or None."""
        found = _QUEUE_ID.fullmatch(line.message)
        own = _own_log_in(line.message, found[2] if found else None) or _own_refusal(line.message)
        if found is None or (own and own[0] == "deliveries"):
            return [own] if own else None
        queue_id = found[1].decode("ascii")
        row = _row_of(line, queue_id, found[2], self._mails)
        if isinstance(row, str):
            return row
        rows = [("deliveries", {"queue_id": queue_id, "stage": "unknown", "outcome": "unknown", **row})] if row else []
        return [own, *rows] if own else rows or None

    def close(self) -> list[Row]:
        """Return nothing: a mail that is still in the queue has told all that it has to tell."""
        return []

    def carry(self) -> Carry:
        """Return the mails that have not left the queue, the youngest MOST_OPEN of them."""
        for forgotten in list(self._mails)[: max(0, len(self._mails) - MOST_OPEN)]:
            self._mails.forget(forgotten)
        return {"mails": {key: _known(mail) for key, mail in self._mails.items()}} if self._mails else {}


class _Mails(dict[str, _Mail]):
    """
    The mails in the queue by host and queue id.

    A content filter takes a mail out and hands it in again under another queue id, as a client on this very host. Both
    carry one message id, so the second is known to come from the device that handed in the first.
    """

    def __init__(self, mails: Mapping[str, _Mail]) -> None:
        super().__init__(mails)
        self._first: dict[tuple[str, str], str] = {}
        for key, mail in mails.items():
            if mail.message_id:
                self._first.setdefault((key.partition(" ")[0], mail.message_id), key)

    def name(self, key: str, message_id: str | None) -> None:
        """Note the message id of a mail, and where it came from if it only came back from a filter."""
        mail = self.setdefault(key, _Mail())
        mail.message_id = message_id
        if message_id is None:
            return
        first = self.get(self._first.setdefault((key.partition(" ")[0], message_id), key))
        if first and first is not mail and _is_this_host(mail.client_ip) and not _is_this_host(first.client_ip):
            mail.client_ip, mail.client_name, mail.client_user = first.client_ip, first.client_name, first.client_user

    def forget(self, key: str) -> _Mail:
        """Take a mail out and return it, or an unknown one."""
        mail = self.pop(key, _UNKNOWN)
        name = (key.partition(" ")[0], mail.message_id or "")
        if self._first.get(name) == key:
            del self._first[name]
        return mail


def _is_this_host(client_ip: str | None) -> bool:
    return client_ip is not None and (client_ip.startswith("127.") or client_ip == "::1")


def _row_of(line: Line, queue_id: str, words: bytes, mails: _Mails) -> dict[str, Any] | str | None:
    """Return what `words` say of the mail `queue_id`; lines that only tell about it go into `mails`."""
    key = f"{line.host} {queue_id}"
    if not words.startswith((b"to=<", b"from=<")) and _UNBRACKETED.match(words):
        words = _UNBRACKETED.sub(rb"\1=<\2>,", words)  # what a filter on the way has taken the brackets from
    if words.startswith(b"to=<"):
        return _delivery(words, mails.get(key, _UNKNOWN), is_ended=line.is_ended)
    if words.startswith((b"host ", b"SASL authentication failed", b"SASL [CACHED]", b"Authentication failed: ")):
        return _earlier_host(words, mails.get(key, _UNKNOWN))
    if words.rstrip() == b"removed":
        return {"kind": "done", **_known(mails.forget(key))}
    if words.startswith(b"from=<"):
        return _sender_or_expiry(words, key, mails)
    _learn(words, key, mails)
    return None


def _own_log_in(message: bytes, words: bytes | None) -> Row | None:
    """Return a log-in at this relay, made or refused, or None; `words` are those behind a queue id."""
    if message.startswith(b"warning: ") and (failed := _SASL_FAILED.fullmatch(message)):
        name, ip, mechanism, why, user = failed.groups()
        return _log_in(name, ip, mechanism, user, outcome="rejected", why=_text(why))
    words = message.removeprefix(b"NOQUEUE: ") if words is None else words
    client = _CLIENT.match(words) if words.startswith(b"client=") and b"sasl_" in words else None
    if client is None:
        return None
    name, ip, sasl, user = client.groups()
    return _log_in(name, ip, sasl, user, outcome="accepted") if user else None


def _log_in(
    name: bytes, ip: bytes, mechanism: bytes | None, user: bytes | None, *, outcome: str, why: str | None = None
) -> Row:
    said = mechanism.decode("ascii", "replace") if mechanism else None
    values = {
        "user": _address(user) if user and user not in _NO_NAMES else None,
        "client_ip": _ip(ip),
        "client_name": _name(name),
        "client_app": "SMTP",
        "auth_mechanism": said,
        "auth_protocol": "basic" if (said or "").upper() in _PASSWORD_MECHANISMS else protocol_of(said),
        "service": "own_relay",
        "outcome": outcome,
        "error_text": why,
    }
    return ("signins", values)


def _is_own_refusal(message: bytes) -> bool:
    return b"reject: " in message[:60] and _OWN_REFUSAL.fullmatch(message) is not None


def _own_refusal(message: bytes) -> Row | None:
    """Return a mail that this relay itself refused to take, or None."""
    refused = _OWN_REFUSAL.fullmatch(message) if b"reject: " in message[:60] else None
    if refused is None:
        return None
    queue_id, command, name, ip, rest = refused.groups()
    envelope = _OWN_ENVELOPE.search(rest)
    said = (_text(rest[: envelope.start()] if envelope else _BEHIND_REPLY.split(rest, maxsplit=1)[0])) or ""
    reply = read_reply(said, "own_relay")
    sender, recipient, helo, user = envelope.groups() if envelope else (None,) * 4
    values = {
        "kind": "try",
        "queue_id": queue_id.decode("ascii") if queue_id and queue_id != b"NOQUEUE" else None,
        "sender": _address(sender) if sender is not None else None,
        "recipient": _address(recipient) if recipient is not None else None,
        "client_ip": _ip(ip),
        "client_name": _name(name) or (_name(helo) if helo else None),
        "client_user": _text(user),
        "service": "own_relay",
        "stage": _OWN_STAGES.get(command.decode("ascii"), "unknown"),
        "outcome": "deferred" if reply.code and reply.code < 500 else "rejected",
        "reply_code": reply.code,
        "enhanced_code": reply.enhanced,
        "reply_text": reply.text or None,
        "reply_class": "unknown",  # our own words, in which strangers' addresses may quote anybody's
    }
    return ("deliveries", values)


def _learn(words: bytes, key: str, mails: _Mails) -> None:
    if match := _CLIENT.match(words):
        name, ip, _, user = match.groups()
        if behind := _ORIGINAL_CLIENT.search(words, match.end()):
            name, ip = behind.groups()  # a content filter handed it in again; the device is the first client
        # Short queue ids are used again: a new client begins a new mail, which is the youngest.
        mails.forget(key)
        mails[key] = _Mail(client_ip=_ip(ip), client_name=_name(name), client_user=_text(user))
    elif match := _PICKUP.match(words):
        mails.forget(key)
        mails[key] = _Mail(client_name=f"local uid {match[1].decode()}", sender=_address(match[2]))
    elif match := _MESSAGE_ID.match(words):
        mails.name(key, _text(match[1]))
    elif match := _HEADER_CHECK_HELO.fullmatch(words):
        mail = mails.setdefault(key, _Mail())
        mail.client_name = mail.client_name or _name(match[1])


def _sender_or_expiry(words: bytes, key: str, mails: _Mails) -> dict[str, Any] | None:
    match = _FROM.match(words)
    if match is None:
        return None
    mail = mails.setdefault(key, _Mail())
    mail.sender = _address(match[1])
    if match[2]:
        mail.size_bytes = int(match[2])
    if match[3] and match[3].endswith(b"expired"):
        return {"kind": "expired", **_known(mail)}
    return None


def _delivery(words: bytes, mail: _Mail, *, is_ended: bool) -> dict[str, Any] | str | None:
    match = _DELIVERY.fullmatch(words)
    if match is None:
        return "begins like a delivery and does not go on like one" if is_ended else "the file ends in mid-line"
    recipient, _, relay, dsn, status, words_in_brackets = match.groups()
    if status in _PROBES:
        return None
    text = _text(words_in_brackets) or ""
    if not is_ended and not text.endswith(")"):
        return "the file ends in mid-line"
    answer = answer_of(text.removesuffix(")"), relay.decode("utf-8", "replace"), dsn.decode() if dsn else None)
    outcome = _OUTCOMES.get(status, "unknown")
    kind = "try" if outcome == "rejected" else answer["kind"]
    return {"recipient": _address(recipient), **_known(mail), **answer, "kind": kind, "outcome": outcome}


def _earlier_host(words: bytes, mail: _Mail) -> dict[str, Any] | None:
    """Return the answer of a host that Postfix gave up on before it tried the next one; no recipient is named."""
    text = _text(words) or ""
    if not (_SAID.match(text) or _OWN_WORDS.match(text)):
        return None
    return {**_known(mail), **answer_of(text, "none", None), "outcome": "deferred"}


@lru_cache(maxsize=4_096)  # an answer is logged once for each recipient, and echoed
def answer_of(text: str, relay: str, dsn: str | None) -> Mapping[str, Any]:
    """Return endpoint, stage and reply from the words in brackets that end a delivery line."""
    said = _SAID.match(text)
    own = _OWN_WORDS.match(text)
    if relay == "none" and (met := said or own or _PEER.match(text)):
        relay = met["peer"]
    peer = _RELAY.fullmatch(relay)
    endpoint = (peer["host"] if peer else relay).lower() if relay != "none" else None
    service = service_of(endpoint)
    words, command = _reply_and_command(text[said.end() :]) if said else (text, "")
    reply = read_reply(words if said else _COMMAND_OUTPUT.split(words, maxsplit=1)[0], service)
    is_told = said or own or reply.reply_class == "accepted"
    reply_class = reply.reply_class if is_told else "unknown"
    return {
        "kind": "held" if _is_held(text, said) else "try",
        "endpoint": endpoint,
        "endpoint_ip": peer["ip"] if peer and "/" not in peer["ip"] else None,  # LMTP may name a socket there
        "endpoint_port": int(peer["port"]) if peer and peer["port"] else None,
        "service": service if endpoint else None,
        "stage": _stage(said, command) if said else _stage_untold(text, reply),
        "auth_protocol": "basic" if reply_class in _BASIC_REFUSED else "unknown",
        "reply_code": reply.code,
        "enhanced_code": reply.enhanced or dsn,
        "reply_text": words.strip()[:LONGEST_TEXT] or None,
        "reply_class": reply_class,
        "request_id": reply.request_id,
    }


def _reply_and_command(words: str) -> tuple[str, str]:
    """Return what the server said and the command it answered; at a log-in Postfix names none."""
    reply, _, command = words.rpartition(" (in reply to ")
    return (reply, command.removesuffix(")").removesuffix(" command")) if reply else (words, "")


def _is_held(text: str, said: re.Match[str] | None) -> bool:
    return text.startswith("delivery temporarily suspended") or bool(said and said["cached"])


def _stage(said: re.Match[str], command: str) -> str:
    if said["sasl"]:
        return "auth"
    return "connect" if said["greeting"] else _STAGES.get(command, "unknown")


def _stage_untold(text: str, reply: Reply) -> str:
    """Return the stage of an acceptance, or of a failure that Postfix tells in its own words."""
    if reply.reply_class == "accepted":
        return "data"
    failure = text.removeprefix("delivery temporarily suspended: ").rpartition(" while ")[2]  # in front stands a host
    return next((stage for words, stage in _BROKEN_OFF if words.search(failure)), "unknown")


def _known(mail: _Mail) -> dict[str, Any]:
    return {
        "sender": mail.sender,
        "client_ip": mail.client_ip,
        "client_name": mail.client_name,
        "client_user": mail.client_user,
        "message_id": mail.message_id,
        "size_bytes": mail.size_bytes,
    }


def _text(raw: bytes | None) -> str | None:
    return text_of(raw)[:_LONGEST_RAW] if raw else None


def _name(raw: bytes) -> str | None:
    return None if raw in _NO_NAMES else text_of(raw)


def _ip(raw: bytes) -> str | None:
    return None if raw in _NO_NAMES else raw.decode("ascii", "replace").removeprefix("IPv6:").lower()


def _address(raw: bytes) -> str:
    return text_of(raw).lower()
