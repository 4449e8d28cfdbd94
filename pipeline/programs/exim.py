r"""
Exim, from its main log or its syslog.

Reads: what was taken in (`<=`: sender, device, log-in), each delivery (`=>` `->` `>>` `*>` accepted, `**` given up,
`==` put off), refused log-ins at the next server, `Completed`, and what the relay itself refused or whose log-in it
refused. Leaves: connections, queue runs, warnings, and errors that name no mail.

What a reader could not guess:
- By default (`hosts_try_auth`) a refused log-in does not fail the mail: `… authenticator failed … 550 5.7.30` stands
  on a line of its own for each mechanism tried, with the id of the mail and neither sender nor recipient; then Exim
  goes on without a log-in, and the final `**` says 530 5.7.57. Each stays what it is: the first is the refusal, with
  the sender that its id has, and its outcome is unknown; the last tells what became of the mail.
- With `hosts_require_auth` the mail is put off by `defer (-42)`, in Exim's own words, and later `retry timeout
  exceeded`.
- `retry time not reached` was not tried: it is `held`. `all hosts … failing for a long time` is given up: `expired`.
- With PIPELINING or CHUNKING all refusals but those of a recipient read `after pipelined end of data`, so the stage is
  unknown.
- A reply of several lines goes on in a line without a time, or in a second part `[2\\2]` of a syslog line.
- `A=` on a delivery names the authenticator of a successful log-in at the next server: the only log of a relay that
  does.
- The subject (`T="…"`) is a stranger's and may quote anything; what stands behind it is not read.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pipeline.endpoints import service_of
from pipeline.lines import Line, text_of
from pipeline.model import Carry, event_id_of
from pipeline.programs import Row
from pipeline.replies import LONGEST_TEXT, read_reply

MOST_OPEN = 100_000
"""Mails kept between reads; beyond it the oldest is forgotten, and its later lines lack a sender."""
MOST_PARTS = 1_000

_TAGS = re.compile(rb"exim4?|exim-\w{1,20}")
_PREFIX = re.compile(rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})? )?(?:\[\d+\] )?")
_PART = re.compile(rb"\[(\d{1,2})([/\\])(\d{1,2})\] (.*)", re.DOTALL)
_MAIL = re.compile(
    r"(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6}(?:[0-9A-Za-z]{5})?-[0-9A-Za-z]{2}(?:[0-9A-Za-z]{2})?) (?P<words>.*)",
    re.DOTALL,
)
_ADDRESS = r"(?:\"(?:[^\"\\]|\\.)*\"@)?[^\s:]\S*?"
_FLAG = re.compile(
    rf"(?P<flag>=>|->|>>|\*>|==|\*\*) (?P<address>{_ADDRESS})(?: \((?P<alias>[^)]*)\))?"
    r"(?: <(?P<original>[^>]*)>)?(?P<rest>(?:: | ).*|)",
    re.DOTALL,
)
_ARRIVAL = re.compile(rf"<= (?P<sender>{_ADDRESS})(?P<rest>(?: .*)?)", re.DOTALL)
_FROM_HOST = re.compile(
    r" H=(?:(?P<name>[^\s(\[]+) ?)?(?:\((?P<helo>[^)]*)\) ?)?(?:\[(?P<ip>[0-9A-Fa-f.:]+)\](?::\d+)?)?"
)
_TO_HOST = re.compile(r"(?:^| )H=(?P<host>[^\s\[]+)(?: \([^)]*\))? \[(?P<ip>[0-9A-Fa-f.:]+)\](?::(?P<port>\d{1,5}))?")
_LOGGED_IN = re.compile(r" A=(?P<name>[^\s:]+)(?::(?P<user>\S+))?")
_SIZE = re.compile(r" S=(\d{1,15})(?= |$)")
_MESSAGE_ID = re.compile(r" id=(\S+)")
_LOCAL_USER = re.compile(r" U=(\S+)")
_CONFIRMATION = re.compile(r" C=\"((?:[^\"\\]|\\.)*)\"")
_REMOTE = re.compile(
    r"SMTP error from remote (?:mail server|mailer) after (?P<after>.{1,400}?): "
    r"(?:host (?P<host>\S+) \[(?P<ip>[^\]]*)\]: )?(?P<reply>[2-5]\d\d(?:[ -]|$).*)",
    re.DOTALL,
)
_REFUSED_LOG_IN = re.compile(
    r"(?P<name>\S+) authenticator failed H=(?P<host>[^\s\[]+)(?: \([^)]*\))? "
    r"\[(?P<ip>[0-9A-Fa-f.:]+)\](?::(?P<port>\d{1,5}))?:? (?P<reply>.*)",
    re.DOTALL,
)
_OWN_LOG_IN = re.compile(
    r"(?P<name>\S+) authenticator failed for (?P<who>.{0,400}?)\[(?P<ip>[0-9A-Fa-f.:]+)\](?::\d+)?"
    r"(?: [A-Z][A-Za-z]{0,3}=\S+){0,9}: (?P<reply>.*)",
    re.DOTALL,
)
_SET_ID = re.compile(r"\(set_id=(.*?)\)\s*\Z", re.DOTALL)
_OWN_REFUSAL = re.compile(
    r"(?:^|(?<= ))(?P<soft>temporarily )?rejected "
    r"(?P<command>RCPT|MAIL|DATA|after DATA|by local_scan\(\)|EHLO or HELO|AUTH|connection)(?P<rest>.*)",
    re.DOTALL,
)
_TO_OWN = re.compile(r" <?(?P<to>[^\s<>:]+)>?: (?P<reason>.*)", re.DOTALL)
_FROM_OWN = re.compile(r" F=(?:<(?P<bracketed>[^>]*)>|(?P<bare>\S+))")
_SUBJECT = ' T="'
_STAGES = (
    ("pipelined", "unknown"), ("RCPT TO", "rcpt_to"), ("MAIL FROM", "mail_from"), ("end of data", "data"),
    ("DATA", "data"), ("initial connection", "connect"), ("EHLO", "connect"), ("HELO", "connect"), ("STARTTLS", "tls"),
    ("AUTH", "auth"),
)  # fmt: skip
_OWN_STAGES = {
    "RCPT": "rcpt_to",
    "MAIL": "mail_from",
    "EHLO or HELO": "connect",
    "connection": "connect",
    "AUTH": "auth",
}
_BROKEN_OFF = (
    (re.compile(r"authentication required but|authenticat"), "auth"),
    (re.compile(r"TLS|certificate"), "tls"),
    (
        re.compile(r"[Cc]onnection (?:timed out|refused|reset)|retry time not reached|host lookup|No route|Network"),
        "connect",
    ),
)
_HELD = re.compile(r"retry time not reached|defer \(-5[0-9]\)")
_GIVEN_UP = re.compile(r"retry timeout exceeded|failing for a long time|timed out\Z")
_BASIC = re.compile(r"plain|login|cram|digest|ntlm", re.IGNORECASE)
_OAUTH = re.compile(r"oauth|bearer", re.IGNORECASE)
_OPEN_REPLY = re.compile(r"(?:^|\n)([2-5]\d\d)-[^\n]*\Z")
_LONGEST = 8 * LONGEST_TEXT


@dataclass(slots=True)
class _Mail:
    """What is known of one mail since it was taken in."""

    sender: str | None = None
    client_ip: str | None = None
    client_name: str | None = None
    client_user: str | None = None
    message_id: str | None = None
    size_bytes: int | None = None


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is Exim's."""
    return _TAGS.fullmatch(tag) is not None


class Reader:
    """Goes through one log of Exim, and knows each mail by its id until it is completed."""

    def __init__(self, carry: Carry) -> None:
        self._mails = {key: _Mail(**known) for key, known in carry.get("mails", {}).items()}
        self._parts: dict[str, str] = dict(carry.get("parts", {}))
        self._held: dict[str, Any] | None = carry.get("held")

    def owns(self, line: Line) -> bool:
        """Return whether `line` tells of a mail by its id, as Exim does."""
        if line.is_bare or b"-" not in line.message[:60]:
            return False
        text = _text(_PREFIX.sub(b"", line.message, count=1))
        found = _MAIL.match(text)
        return found is not None and bool(
            _FLAG.match(found["words"]) or _ARRIVAL.match(found["words"]) or found["words"] == "Completed"
        )

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows that `line` completes, or None."""
        if line.is_bare:
            return self._go_on(line)
        rows = self.close()
        message = self._whole(line)
        if message is None:
            return rows or None
        text = _text(_PREFIX.sub(b"", message, count=1))
        found = _MAIL.fullmatch(text)
        told = self._of_mail(found["id"], found["words"], line) if found else _of_relay(text, None)
        rows += self._until_it_ends(told, line)
        return rows or None

    def close(self) -> list[Row]:
        """Return the row whose reply was not finished, as far as it goes."""
        held, self._held = self._held, None
        return [_released(held)] if held else []

    def carry(self) -> Carry:
        """Return the mails that are not completed, parts of syslog lines, and a reply that goes on."""
        for forgotten in list(self._mails)[: max(0, len(self._mails) - MOST_OPEN)]:
            del self._mails[forgotten]
        state = {
            "mails": {key: asdict(mail) for key, mail in self._mails.items()},
            "parts": dict(list(self._parts.items())[-MOST_PARTS:]),
            "held": self._held,
        }
        return {name: value for name, value in state.items() if value}

    def _whole(self, line: Line) -> bytes | None:
        """Return the message of `line`, or None while it is only a part of one."""
        part = _PART.fullmatch(line.message)
        if part is None:
            return line.message
        number, kind, total, words = part.groups()
        key = f"{line.host} {line.pid.decode('latin-1')}"
        before = self._parts.pop(key, "").encode("latin-1") if int(number) > 1 else b""
        joined = before + (b"\n" if before and kind == b"\\" else b"") + words
        if int(number) >= int(total) or len(joined) > _LONGEST:
            return joined
        self._parts[key] = joined.decode("latin-1")
        return None

    def _of_mail(self, id: str, words: str, line: Line) -> Row | list[Row] | None:
        key = f"{line.host} {id}"
        if arrival := _ARRIVAL.fullmatch(words):
            self._mails.pop(key, None)
            self._mails[key] = mail = _arrived(arrival["sender"], arrival["rest"])
            return _log_in_of(mail, arrival["rest"])
        mail = self._mails.get(key, _Mail())
        known = {**asdict(mail), "queue_id": id}
        if words.startswith("Completed"):
            self._mails.pop(key, None)
            return ("deliveries", {**known, "kind": "done", "stage": "unknown", "outcome": "unknown"})
        if flag := _FLAG.fullmatch(words):
            return ("deliveries", {**known, **_delivery(flag)})
        if refused := _REFUSED_LOG_IN.fullmatch(words):
            return ("deliveries", {**known, **_refused_log_in(refused)})
        if (remote := _REMOTE.search(words)) and words.startswith("H="):
            return ("deliveries", {**known, **_answer(words, remote), "outcome": "deferred"})
        return _of_relay(words, id)

    def _until_it_ends(self, told: Row | list[Row] | None, line: Line) -> list[Row]:
        """Return what was told, but keep a row whose reply goes on in the next line."""
        rows = told if isinstance(told, list) else [told] if told else []
        if rows and _OPEN_REPLY.search(rows[-1][1].get("reply_text") or ""):
            table, values = rows.pop()
            self._held = {
                "table": table,
                "event_time": line.time.isoformat() if line.time else None,
                "log_host": line.host,
                "origin_offset": line.offset,
                "event_id": event_id_of(line.raw),
                **values,
            }
        return rows

    def _go_on(self, line: Line) -> list[Row] | None:
        if self._held is None:
            return None
        text = f"{self._held['reply_text']}\n{_text(line.message)}"[:_LONGEST]
        self._held |= _said(text, self._held["service"])
        return None if _OPEN_REPLY.search(text) else self.close()


def _released(held: dict[str, Any]) -> Row:
    time = held.pop("event_time")
    return (held.pop("table"), held | {"event_time": datetime.fromisoformat(time) if time else None})


def _arrived(sender: str, rest: str) -> _Mail:
    fields = rest.partition(_SUBJECT)[0]
    host = _FROM_HOST.search(fields)
    local = _LOCAL_USER.search(fields)
    size, message_id, log_in = _SIZE.search(fields), _MESSAGE_ID.search(fields), _LOGGED_IN.search(fields)
    name = (host["name"] or host["helo"]) if host else None
    return _Mail(
        sender="" if sender == "<>" else sender.strip("<>").lower(),
        client_ip=host["ip"].lower() if host and host["ip"] else None,
        client_name=name or (f"local user {local[1]}" if local and not host else None),
        client_user=log_in["user"] if log_in else None,
        message_id=f"<{message_id[1]}>" if message_id else None,
        size_bytes=int(size[1]) if size else None,
    )


def _log_in_of(mail: _Mail, rest: str) -> Row | None:
    log_in = _LOGGED_IN.search(rest.partition(_SUBJECT)[0])
    if log_in is None:
        return None
    return (
        "signins",
        {
            "user": log_in["user"],
            "client_ip": mail.client_ip,
            "client_name": mail.client_name,
            "client_app": "SMTP",
            "auth_mechanism": log_in["name"],
            "auth_protocol": _protocol(log_in["name"]),
            "service": "own_relay",
            "outcome": "accepted",
        },
    )


def _delivery(flag: re.Match[str]) -> dict[str, Any]:
    original = flag["original"] or flag["address"]
    row = {"recipient": original.strip("<>").lower(), "outcome": "accepted"}
    rest = flag["rest"]
    if flag["flag"] in {"**", "=="}:
        fields, _, why = rest.partition(": ")
        remote = _REMOTE.search(why)
        given_up = flag["flag"] == "**"
        outcome = "rejected" if given_up else "deferred"
        if remote:
            return {**row, **_answer(fields, remote), "outcome": outcome}
        return {**row, **_in_own_words(fields, why, is_given_up=given_up), "outcome": outcome}
    log_in = _LOGGED_IN.search(rest)
    confirmation = _CONFIRMATION.search(rest)
    peer = _peer(rest)
    text = confirmation[1] if confirmation else ""
    return {
        **row,
        **peer,
        **_said(text, peer["service"]),
        "kind": "try",
        "stage": "data",
        "auth_mechanism": log_in["name"] if log_in else None,
        "auth_protocol": _protocol(log_in["name"]) if log_in else ("none" if peer["endpoint"] else "unknown"),
        "auth_user": log_in["user"] if log_in else None,
        "reply_class": "accepted",
    }


def _answer(fields: str, remote: re.Match[str]) -> dict[str, Any]:
    """Return endpoint, stage and reply of an answer of the next server."""
    peer = _peer(fields)
    if remote["host"]:
        host = remote["host"].lower()
        peer = {"endpoint": host, "endpoint_ip": remote["ip"], "endpoint_port": None, "service": service_of(host)}
    stage = next((stage for words, stage in _STAGES if words in remote["after"]), "unknown")
    if remote["after"].startswith(("RCPT TO", "pipelined RCPT")):
        stage = "rcpt_to"
    return {**peer, **_said(remote["reply"], peer["service"]), "kind": "try", "stage": stage}


def _in_own_words(fields: str, why: str, *, is_given_up: bool) -> dict[str, Any]:
    words = f"{fields}: {why}"
    kind = "held" if _HELD.search(words) and not is_given_up else "try"
    if is_given_up and _GIVEN_UP.search(why):
        kind = "expired"
    peer = _peer(fields)
    stage = next((stage for sign, stage in _BROKEN_OFF if sign.search(why)), "unknown")
    return {**peer, **_said(why, peer["service"]), "kind": kind, "stage": stage}


def _refused_log_in(refused: re.Match[str]) -> dict[str, Any]:
    host = refused["host"].lower()
    service = service_of(host)
    return {
        **_said(refused["reply"], service),
        "kind": "try",
        "stage": "auth",
        "outcome": "unknown",
        "endpoint": host,
        "endpoint_ip": refused["ip"].lower(),
        "endpoint_port": int(refused["port"]) if refused["port"] else None,
        "service": service,
        "auth_mechanism": refused["name"],
        "auth_protocol": _protocol(refused["name"]),
    }


def _of_relay(words: str, id: str | None) -> Row | None:
    """Return a log-in or a mail that this relay itself refused."""
    if own := _OWN_LOG_IN.search(words):
        user = _SET_ID.search(own["reply"])
        name = re.sub(r"[()\s]|^H=", "", own["who"])
        return (
            "signins",
            {
                "user": user[1] if user else None,
                "client_ip": own["ip"].lower(),
                "client_name": name or None,
                "client_app": "SMTP",
                "auth_mechanism": own["name"],
                "auth_protocol": _protocol(own["name"]),
                "service": "own_relay",
                "outcome": "rejected",
                "error_code": own["reply"][:3] if own["reply"][:3].isdigit() else None,
                "error_text": own["reply"][:LONGEST_TEXT],
            },
        )
    refused = _OWN_REFUSAL.search(words) if words.startswith(("H=", "[", "F=", "U=", "rejected")) else None
    return ("deliveries", _own_refusal(words[: refused.start()], refused, id)) if refused else None


def _own_refusal(before: str, refused: re.Match[str], id: str | None) -> dict[str, Any]:
    fields = f" {before}"
    host, sender = _FROM_HOST.search(fields), _FROM_OWN.search(fields)
    to = _TO_OWN.match(refused["rest"])
    is_recipient = refused["command"] == "RCPT" and to is not None
    reason = to["reason"] if to else refused["rest"].lstrip(": ")
    found = sender["bracketed"] if sender and sender["bracketed"] is not None else sender["bare"] if sender else None
    if found is None and refused["command"] == "MAIL" and to:
        found = to["to"]
    log_in = _LOGGED_IN.search(fields)
    return {
        "kind": "try",
        "queue_id": id,
        "sender": None if found is None else found.strip("<>").lower(),
        "recipient": to["to"].lower() if to and is_recipient else None,
        "client_ip": host["ip"].lower() if host and host["ip"] else None,
        "client_name": (host["name"] or host["helo"]) if host else None,
        "client_user": log_in["user"] if log_in else None,
        "service": "own_relay",
        "stage": _OWN_STAGES.get(refused["command"], "data"),
        "outcome": "deferred" if refused["soft"] else "rejected",
        **_said(reason, "own_relay"),
        "reply_class": "unknown",  # our own words, in which strangers' addresses may quote anybody's
        "request_id": None,
    }


def _peer(fields: str) -> dict[str, Any]:
    host = _TO_HOST.search(fields)
    name = host["host"].lower() if host else None
    return {
        "endpoint": name,
        "endpoint_ip": host["ip"].lower() if host else None,
        "endpoint_port": int(host["port"]) if host and host["port"] else None,
        "service": service_of(name) if name else None,
    }


def _said(text: str, service: str | None) -> dict[str, Any]:
    reply = read_reply(text, service)
    return {
        "reply_code": reply.code,
        "enhanced_code": reply.enhanced,
        "reply_text": reply.text or None,
        "reply_class": reply.reply_class,
        "request_id": reply.request_id,
    }


def _protocol(name: str) -> str:
    """Return how the authenticator called `name` logs in, as far as its name tells."""
    if _OAUTH.search(name):
        return "oauth2"
    return "basic" if _BASIC.search(name) else "unknown"


def _text(raw: bytes) -> str:
    return text_of(raw[:_LONGEST])
