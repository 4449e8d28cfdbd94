"""
Postfix mail logs, behind any syslog header.

Reads: smtpd and pickup clients, the HELO that a header check logs, cleanup message-ids, qmgr from/expired/removed, and
the deliveries of every delivery agent, with the replies of hosts that were tried before the last one.
Leaves: everything else (connects, TLS, warnings, statistics, address probes), which says nothing about a submission.

What a reader could not guess:
- The refusal line names neither sender nor device; both are joined by queue id, from lines that may stand in an earlier
  read or a rotated file. The account that Postfix itself logs in with is never logged, and its success leaves no line.
- By default `smtp_sasl_auth_soft_bounce` turns a 550 at AUTH into `dsn=4.7.30, status=deferred`; the true codes stand
  in the quoted reply only.
- After a refusal at AUTH the destination is suspended, and other senders' mail is logged as `relay=none … (delivery
  temporarily suspended: …)` with the old reply: nothing was sent for it, so its kind is `held`. `SASL [CACHED]` is
  the same thing in other words.
- Sender, recipient, HELO and subject are chosen by strangers and may quote whole log lines, so each line is taken
  apart from the left, and a quoted local part is skipped as a whole. (Before Postfix 3.5, or with
  `info_log_address_format = internal`, the quotes are not logged, and such an address cannot be told from the line.)
- Other programs log into the same file, and Sendmail's lines begin alike. RFC 5424 and `syslog_name` hide the daemon,
  so a line is Postfix's by its tag or else by its grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.endpoints import service_of
from pipeline.lines import RawLine, lines_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of
from pipeline.replies import LONGEST_TEXT, Reply, read_reply
from pipeline.syslog import Headers, Line

WHOLE = False
MOST_OPEN = 200_000
"""Open queue ids kept between reads; beyond it the oldest is forgotten, and its later lines lack a sender."""

_QUOTED = rb"\"[^\"\\]*(?:\\.[^\"\\]*)*\""
_ADDRESS = rb"([^\">]*(?:" + _QUOTED + rb"[^\">]*)*)"
_QUEUE_ID = re.compile(rb"(?![a-z]+:|NOQUEUE:)([0-9A-Za-z]{5,24}): (.*)", re.DOTALL)
_DELIVERY = re.compile(
    rb"to=<" + _ADDRESS + rb">, (?:orig_to=<" + _ADDRESS + rb">, )?relay=(\S+), (?:conn_use=\d+, )?delay=[\d.]+, "
    rb"delays=[\d./]+, (?:\w+=[^,]*, )*?dsn=([\d.]+), status=(\w[\w-]*)(?: \((.*))?\s*",
    re.DOTALL,
)
_CLIENT = re.compile(rb"client=([^\[\s]*)\[([^\]]*)\](?::\d+)?(?:, sasl_method=([^,\s]+))?(?:, sasl_username=([^,]+))?")
_ORIGINAL_CLIENT = re.compile(rb"orig_client=([^\[\s,]*)\[([^\]]*)\]")
_BEGUN_DELIVERY = re.compile(rb"to=<" + _ADDRESS + rb">, (?:orig_to=<|relay=)")
_FROM = re.compile(rb"from=<" + _ADDRESS + rb">, (?:size=(\d{1,15}), nrcpt=|status=([\w-]+))")
_MESSAGE_ID = re.compile(rb"(?:resent-)?message-id=(.*)", re.DOTALL)
_PICKUP = re.compile(rb"uid=(\d+) from=<" + _ADDRESS + rb">")
_HEADER_CHECK_HELO = re.compile(rb"info: header .* proto=\S+ helo=<([^<>]*)>(?:: .*)?", re.DOTALL)
_RELAY = re.compile(r"(?P<host>[^\[]+)\[(?P<ip>[^\]]*)\](?::(?P<port>[0-9]{1,5}))?")
_SAID = re.compile(
    r"(?:delivery temporarily suspended: )?"
    r"(?:(?P<sasl>SASL (?P<cached>\[CACHED\] )?authentication failed; server)|host) (?P<peer>\S+) "
    r"(?:said|(?P<greeting>refused to talk to me)): "
)
_CONNECT = re.compile(r"connect to (?P<peer>[^\s\[]+\[[^\]]*\]:\d+): ")
_STAGES = {
    "EHLO": "connect",
    "HELO": "connect",
    "STARTTLS": "tls",
    "AUTH": "auth",
    "MAIL FROM": "mail_from",
    "RCPT TO": "rcpt_to",
    "DATA": "data",
    "end of DATA": "data",
}
_BROKEN_OFF = (
    (re.compile(r"^SASL authentication failed"), "auth"),
    (
        re.compile(r"^connect to |^Host or domain name not found|greeting|Connection (?:timed out|refused)|HELO|EHLO"),
        "connect",
    ),
    (re.compile(r"TLS|certificate", re.IGNORECASE), "tls"),
    (re.compile(r"MAIL FROM"), "mail_from"),
    (re.compile(r"RCPT TO"), "rcpt_to"),
    (re.compile(r"DATA|message content|message body"), "data"),
)
_OUTCOMES = {b"sent": "accepted", b"deferred": "deferred", b"SOFTBOUNCE": "deferred", b"bounced": "rejected"}
_PROBES = {b"deliverable", b"undeliverable"}
_BASIC_REFUSED = {"basic_retired", "basic_disabled"}
_NO_NAMES = {b"", b"unknown"}
_MARK = b"-- "  # journalctl sets one between boots
_NO_TAG = {b"", b"-"}
_LONGEST_RAW = 2 * LONGEST_TEXT
_ANY_YEAR = datetime(2100, 1, 1, tzinfo=UTC)
_DAEMONS = frozenset(
    b"smtp lmtp error retry local virtual pipe discard smtpd submission smtps postscreen cleanup qmgr oqmgr pickup "
    b"bounce master anvil scache tlsmgr trivial-rewrite verify postfix-script postqueue postsuper postdrop relay "
    b"dnsblog tlsproxy proxymap showq flush sendmail postlogd".split()
)
_GRAMMAR = (_DELIVERY, _FROM, _CLIENT)


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


def looks_like(head: bytes) -> bool:
    """Return whether `head` is a log, line by line behind syslog headers, and Postfix wrote into it."""
    headers = Headers(as_of=_ANY_YEAR)
    raws = [raw for raw in head.splitlines() if raw.strip()]
    lines = [line for raw in raws if (line := headers.read(raw))]
    return 2 * len(lines) >= len(raws) and any(_is_own(line) for line in lines)


def _is_own(line: Line) -> bool:
    if _has_own_tag(line.tag):
        return True
    found = _QUEUE_ID.fullmatch(line.message)
    return found is not None and any(words.match(found[2]) for words in _GRAMMAR)


def _has_own_tag(tag: bytes) -> bool:
    """Return whether `tag` names a daemon of Postfix; `postfix` alone is what RFC 5424 leaves of it."""
    name, _, daemon = tag.rpartition(b"/")
    return tag == b"postfix" or (name.startswith(b"postfix") and daemon in _DAEMONS)


def parse(body: Chunk, carry: Carry) -> Parsed:
    """Return the deliveries that `body` completes, the lines that cannot be read, and the queue ids still open."""
    headers = Headers(as_of=body.as_of, zone=body.zone)
    mails = {key: _Mail(**known) for key, known in carry.get("mails", {}).items()}
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    lines = left = 0
    for lines, raw in enumerate(lines_of(body), start=1):  # noqa: B007 - the count is the result
        found = _read(raw, headers, mails)
        if isinstance(found, Reject):
            rejects.append(found)
        elif found is None:
            left += 1
        else:
            rows.append(found)
    return Parsed({"deliveries": rows_of("deliveries", rows)}, tuple(rejects), _carry_of(mails), lines, left)


def _carry_of(mails: dict[str, _Mail]) -> Carry:
    for forgotten in list(mails)[: max(0, len(mails) - MOST_OPEN)]:
        del mails[forgotten]
    return {"mails": {key: _known(mail) for key, mail in mails.items()}} if mails else {}


def _read(raw: RawLine, headers: Headers, mails: dict[str, _Mail]) -> dict[str, Any] | Reject | None:
    """Return the row that one line makes, why it cannot be read, or None where it makes none."""
    if not raw.raw.strip() or raw.raw.startswith(_MARK):
        return None
    if long := too_long(raw):
        return long
    line = headers.read(raw.raw)
    if line is None:
        why = "has no syslog header that we know" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    found = _QUEUE_ID.fullmatch(line.message)
    if found is None:
        return None
    queue_id, words = found[1].decode("ascii"), found[2]
    row = _row_of(line, queue_id, words, mails, raw)
    if row is None or isinstance(row, Reject):
        return row
    return {
        "event_time": line.time,
        "log_host": line.host,
        "queue_id": queue_id,
        "stage": "unknown",
        "outcome": "unknown",
        "origin_offset": raw.offset,
        "event_id": event_id_of(raw.raw),
        **row,
    }


def _row_of(
    line: Line, queue_id: str, words: bytes, mails: dict[str, _Mail], raw: RawLine
) -> dict[str, Any] | Reject | None:
    """Return what `words` say of the mail `queue_id`; lines that only tell about it go into `mails`."""
    key = f"{line.host} {queue_id}"
    if words.startswith(b"to=<"):
        row = _delivery(words, mails.get(key, _UNKNOWN), raw)
        return None if isinstance(row, Reject) and _is_foreign(line.tag, words) else row
    if words.startswith((b"host ", b"SASL authentication failed", b"SASL [CACHED]")):
        return _earlier_host(words, mails.get(key, _UNKNOWN))
    if words.rstrip() == b"removed":
        return {"kind": "done", **_known(mails.pop(key, _UNKNOWN))}
    if words.startswith(b"from=<"):
        return _sender_or_expiry(words, key, mails)
    _learn(words, key, mails)
    return None


def _is_foreign(tag: bytes, words: bytes) -> bool:
    """Return whether a line that begins like a delivery is another program's, such as Sendmail's."""
    is_named = tag not in _NO_TAG and b"/" not in tag and not tag.startswith(b"postfix")
    return is_named and not _BEGUN_DELIVERY.match(words)


def _learn(words: bytes, key: str, mails: dict[str, _Mail]) -> None:
    if match := _CLIENT.match(words):
        name, ip, _, user = match.groups()
        if behind := _ORIGINAL_CLIENT.search(words, match.end()):
            name, ip = behind.groups()  # a content filter handed it in again; the device is the first client
        # Short queue ids are used again: a new client begins a new mail, which is the youngest.
        mails.pop(key, None)
        mails[key] = _Mail(client_ip=_ip(ip), client_name=_name(name), client_user=_text(user))
    elif match := _PICKUP.match(words):
        mails.pop(key, None)
        mails[key] = _Mail(client_name=f"local uid {match[1].decode()}", sender=_address(match[2]))
    elif match := _MESSAGE_ID.match(words):
        mails.setdefault(key, _Mail()).message_id = _text(match[1])
    elif match := _HEADER_CHECK_HELO.fullmatch(words):
        mail = mails.setdefault(key, _Mail())
        mail.client_name = mail.client_name or _name(match[1])


def _sender_or_expiry(words: bytes, key: str, mails: dict[str, _Mail]) -> dict[str, Any] | None:
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


def _delivery(words: bytes, mail: _Mail, raw: RawLine) -> dict[str, Any] | Reject | None:
    match = _DELIVERY.fullmatch(words)
    if match is None:
        why = "begins like a delivery and does not go on like one" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    recipient, _, relay, dsn, status, words_in_brackets = match.groups()
    if status in _PROBES:
        return None
    text = _text(words_in_brackets) or ""
    if not raw.is_ended and not text.endswith(")"):
        return Reject(raw.raw, raw.offset, "the file ends in mid-line")
    return {
        "recipient": _address(recipient),
        **_known(mail),
        **_answer(text.removesuffix(")"), relay.decode("utf-8", "replace"), dsn.decode()),
        "outcome": _OUTCOMES.get(status, "unknown"),
    }


def _earlier_host(words: bytes, mail: _Mail) -> dict[str, Any] | None:
    """Return the answer of a host that Postfix gave up on before it tried the next one; no recipient is named."""
    text = _text(words) or ""
    if not _SAID.match(text):
        return None
    return {**_known(mail), **_answer(text, "none", None), "outcome": "deferred"}


def _answer(text: str, relay: str, dsn: str | None) -> dict[str, Any]:
    """Return endpoint, stage and reply from the words in brackets that end a delivery line."""
    said = _SAID.match(text)
    if relay == "none" and (met := said or _CONNECT.match(text)):
        relay = met["peer"]
    peer = _RELAY.fullmatch(relay)
    endpoint = (peer["host"] if peer else relay).lower() if relay != "none" else None
    service = service_of(endpoint)
    words, command = _reply_and_command(text[said.end() :]) if said else (text, "")
    reply = read_reply(words, service)
    return {
        "kind": "held" if _is_held(text, said) else "try",
        "endpoint": endpoint,
        "endpoint_ip": peer["ip"] if peer and "/" not in peer["ip"] else None,  # LMTP may name a socket there
        "endpoint_port": int(peer["port"]) if peer and peer["port"] else None,
        "service": service if endpoint else None,
        "stage": _stage(said, command) if said else _stage_untold(text, reply),
        "auth_protocol": "basic" if reply.reply_class in _BASIC_REFUSED else "unknown",
        "reply_code": reply.code,
        "enhanced_code": reply.enhanced or dsn,
        "reply_text": reply.text or None,
        "reply_class": reply.reply_class,
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
    return raw.decode("utf-8", "replace")[:_LONGEST_RAW] if raw else None


def _name(raw: bytes) -> str | None:
    return None if raw in _NO_NAMES else raw.decode("utf-8", "replace")


def _ip(raw: bytes) -> str | None:
    return None if raw in _NO_NAMES else raw.decode("ascii", "replace").removeprefix("IPv6:").lower()


def _address(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").lower()
