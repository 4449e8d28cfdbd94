r"""
Exim, from its main log or its syslog.

Reads: what was taken in (`<=`: sender, device, log-in), each delivery (`=>` `->` `>>` accepted, `**` given up, `==` put
off), refused log-ins at the next server, `Completed`, and what the relay itself refused or whose log-in it refused.
Leaves: connections, queue runs, warnings, what went nowhere (`*>` with `-N`, `:blackhole:`), and errors that name no
mail.

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
- A reply of several lines goes on in a line without a time, or in a second part `[2\\2]` of a syslog line; newer
  versions write a `\n` into the one line.
- A host that puts a mail off is told by a line of its own (`H=…: SMTP error …`), and again by the `==` of the
  recipients where it was the last to be tried: one answer, so the first counts only where the second says another.
- With cutthrough delivery the next server is asked before there is a mail: `>>` stands before the `<=` of its id, and a
  refused log-in names no mail at all.
- `A=` on a delivery names the authenticator of a successful log-in at the next server: the only log of a relay that
  does. A connection that is used again (`[192.0.2.1]*`) does not name it any more.
- A local part is logged without its quotes, so it may hold anything; the address in full follows: `a b@c <"a b"@c>`.
- Syslog gets what the relay refuses twice (`syslog_duplication`), the second time with the headers of the mail.
- The subject (`T="…"`) is a stranger's and may quote anything; what stands behind it is not read.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
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
MOST_WAITING = 1_000
"""Mails of which a row waits for their next line; beyond it the oldest are told as they are."""
MOST_OF_ONE = 100

_TAGS = re.compile(rb"exim4?|exim-\w{1,20}")
_PREFIX = re.compile(rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})? )?(?:\[\d+\] )?")
_PART = re.compile(rb"\[(\d{1,2})([/\\])(\d{1,2})\] (.*)", re.DOTALL)
_MAIL = re.compile(
    r"(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6}(?:[0-9A-Za-z]{5})?-[0-9A-Za-z]{2}(?:[0-9A-Za-z]{2})?) (?P<words>.*)",
    re.DOTALL,
)
_QUOTED = r"\"(?:[^\"\\]|\\.){0,255}\"@"
_IN_BRACKETS = rf"<((?:{_QUOTED})?[^<>]{{0,1000}})>"
_FLAG = re.compile(r"(=>|->|>>|\*>|==|\*\*) (?=\S)(.*)", re.DOTALL)
_BEHIND_ADDRESS = r"(?P<rest>(?:: | : | (?:[FPRT]=|routing defer|defer \()).*|\Z)"
_PLAIN_ADDRESS = re.compile(
    rf"(?P<address>[^\s:][^\s<>]*?)(?: \([^)]{{0,1000}}\))?(?: {_IN_BRACKETS})?{_BEHIND_ADDRESS}", re.DOTALL
)
_ANY_ADDRESS = re.compile(
    rf"(?P<address>.{{1,400}}?)(?: \([^)]{{0,400}}\))?(?: {_IN_BRACKETS})?{_BEHIND_ADDRESS}", re.DOTALL
)
_FULL_ADDRESS = re.compile(rf" <({_QUOTED}[^\s<>]{{0,255}})>")
_NOWHERE = ":blackhole:"
_ARRIVAL = re.compile(rf"<= (?P<sender>(?:{_QUOTED})?[^\s:]\S*?)(?P<rest>(?: .*)?)", re.DOTALL)
_ENVELOPE = re.compile(rf" [FP]={_IN_BRACKETS}")
_FROM = re.compile(rf" F={_IN_BRACKETS}")
_UNQUOTED = re.compile(r"\\(.)", re.DOTALL)
_TOOK = re.compile(r"(?: [DQ]T=[\d.a-z]{1,20}){1,2}\Z")
_FROM_HOST = re.compile(
    r" H=(?:(?P<name>[^\s(\[]+) ?)?(?:\((?P<helo>[^)]*)\) ?)?(?:\[(?P<ip>[0-9A-Fa-f.:]+)\](?::\d+)?)?"
)
_TO_HOST = re.compile(
    r"(?:^| )H=(?P<host>[^\s\[]+)(?: DS)?(?: \([^)]*\))? "
    r"\[(?P<ip>[0-9A-Fa-f.:]+)\](?::(?P<port>\d{1,5}))?(?P<again>\*)?"
)
_LOGGED_IN = re.compile(
    r" A=(?P<name>[^\s:]+)"
    r"(?::(?P<user>\S{1,255}(?: [^\s=]{1,64}){0,3}?)(?= (?:PRDR|PRX=|S=|L|K|C=|QT=|DT=)|\s*\Z| F=<))?"
)
_WITH_SENDER = re.compile(r":[^\s:]*@[^\s:]*\Z")
_SIZE = re.compile(r" S=(\d{1,15})(?= |$)")
_MESSAGE_ID = re.compile(r" id=(\S+)")
_LOCAL_USER = re.compile(r" U=(\S+)")
_CONFIRMATION = re.compile(r" C=\"((?:[^\"\\]|\\.)*)\"")
_REMOTE = re.compile(
    r"(?:SMTP|LMTP) error(?: from remote (?:mail server|mailer))? after (?P<after>.{1,400}?): "
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
_NO_LOG_IN = re.compile(
    r"SMTP protocol error in \"AUTH\b ?(?P<name>[\w-]{0,40})(?:.*\" |\" )(?P<who>H=.*?) "
    r"(?P<reply>AUTH command used when not advertised|\S+ authentication mechanism not supported)\Z",
    re.DOTALL | re.IGNORECASE,
)
_SET_ID = re.compile(r"\(set_id=(.*?)\)\s*\Z", re.DOTALL)
_OWN_REFUSAL = re.compile(
    r"(?:^|(?<= ))(?P<soft>temporarily )?rejected "
    r"(?P<command>RCPT|MAIL|DATA|after DATA|by local_scan\(\)|by non-SMTP ACL|EHLO or HELO|AUTH|connection|from(?= <))"
    r"(?P<rest>.*)",
    re.DOTALL,
)
_TO_OWN = re.compile(
    rf" (?:{_IN_BRACKETS}|(?P<bare>[^\s<>:]+))(?P<fields>(?: [A-Z]=.{{0,400}}?)?)(?:: (?P<reason>.*)|\s*\Z)", re.DOTALL
)
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
        re.compile(r"[Cc]onnection (?:timed out|refused|reset)|host lookup|No route|Network"),
        "connect",
    ),
)
_BROKE_AT = re.compile(r"(?:timeout after|closed connection in response to) (?P<after>.{1,400})", re.DOTALL)
_HELD = re.compile(
    r"[Rr]etry time not (?:yet )?reached|defer \(-(?:5[0-9]|23)\)|delivery explicitly queued|first-pass only routing"
)
_GIVEN_UP = re.compile(r"retry timeout exceeded|failing for a long time|timed out\Z")
_BASIC = re.compile(r"plain|login|cram|digest|ntlm", re.IGNORECASE)
_OAUTH = re.compile(r"oauth|bearer", re.IGNORECASE)
_NEXT_LINE = re.compile(r"\\n(?=[2-5]\d\d[ -])")
_OPEN_REPLY = re.compile(r"(?:^|\n)([2-5]\d\d)-[^\n]*\Z")
_COMPLETED = re.compile(r"Completed(?: QT=\S{1,20})?")
_SIGNS = (b"-", b" authenticator failed ", b"rejected ", b"SMTP protocol error ")
_OWN_WORDS = 1_000
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


_OF_MAIL = tuple(field.name for field in fields(_Mail))


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is Exim's."""
    return _TAGS.fullmatch(tag) is not None


class Reader:
    """Goes through one log of Exim, and knows each mail by its id until it is completed."""

    def __init__(self, carry: Carry) -> None:
        self._mails = {key: _Mail(**known) for key, known in carry.get("mails", {}).items()}
        self._parts: dict[str, str] = dict(carry.get("parts", {}))
        self._held: dict[str, Any] | None = carry.get("held")
        self._refused: list[str] = list(carry.get("refused", []))
        self._waiting: dict[str, list[dict[str, Any]]] = {
            key: list(rows) for key, rows in carry.get("waiting", {}).items()
        }

    def owns(self, line: Line) -> bool:
        """Return whether `line` tells of a mail by its id, of a log-in or of a refusal, as Exim does."""
        if line.is_bare:
            return False
        part = _PART.fullmatch(line.message) if line.message[:1] == b"[" else None
        if part and int(part[1]) > 1:
            return self._part_of(line) in self._parts
        if not any(sign in line.message[:_OWN_WORDS] for sign in _SIGNS):
            return False
        text = _text(_PREFIX.sub(b"", part[4] if part else line.message, count=1))
        found = _MAIL.match(text)
        words = found["words"] if found else text
        if _REFUSED_LOG_IN.match(words) or (words.startswith("H=") and _OWN_REFUSAL.search(words[:_OWN_WORDS])):
            return True
        if found is None:
            return (_OWN_LOG_IN.match(words) or _NO_LOG_IN.match(words)) is not None
        return bool(_FLAG.match(words) or _ARRIVAL.match(words) or _COMPLETED.fullmatch(words))

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows that `line` completes, or None."""
        if line.is_bare:
            return self._ready(self._go_on(line)) or None
        rows = self._ready(self._finished())
        message = self._whole(line)
        if message is None:
            return rows or None
        text = _text(_PREFIX.sub(b"", message, count=1))
        found = _MAIL.fullmatch(text)
        told = self._of_mail(found["id"], found["words"], line) if found else _of_relay(text, None)
        if self._is_told_twice(text, told, line):
            return rows or None
        rows += self._ready(self._until_it_ends(told, line))
        return rows or None

    def close(self) -> list[Row]:
        """Return the row whose reply was not finished, as far as it goes, and those that wait."""
        rows = self._ready(self._finished())
        rows += [_released(each) for waiting in self._waiting.values() for each in waiting]
        self._waiting.clear()
        return rows

    def carry(self) -> Carry:
        """Return the mails that are not completed, parts of syslog lines, a reply that goes on, and rows that wait."""
        for forgotten in list(self._mails)[: max(0, len(self._mails) - MOST_OPEN)]:
            del self._mails[forgotten]
        state = {
            "mails": {key: asdict(mail) for key, mail in self._mails.items()},
            "parts": dict(list(self._parts.items())[-MOST_PARTS:]),
            "held": self._held,
            "waiting": self._waiting,
            "refused": self._refused,
        }
        return {name: value for name, value in state.items() if value}

    def _is_told_twice(self, text: str, told: list[Row], line: Line) -> bool:
        """Return whether syslog gave the same refusal just before: it gets what goes to the rejectlog once more."""
        is_own = bool(told) and told[0][1].get("service") == "own_relay" and told[0][1].get("outcome") != "accepted"
        second = line.time.isoformat()[:19] if line.time else ""
        itself = [line.host or "", line.pid.decode("latin-1"), second, text.partition("\n")[0]]
        is_again = is_own and bool(line.host) and itself == self._refused
        self._refused = itself if is_own and not is_again else []
        return is_again

    def _part_of(self, line: Line) -> str:
        return f"{line.host} {line.pid.decode('latin-1')}"

    def _whole(self, line: Line) -> bytes | None:
        """Return the message of `line`, or None while it is only a part of one."""
        part = _PART.fullmatch(line.message)
        if part is None:
            return line.message
        number, kind, total, words = part.groups()
        key = self._part_of(line)
        before = self._parts.pop(key, "").encode("latin-1") if int(number) > 1 else b""
        joined = before + (b"\n" if before and kind == b"\\" else b"") + words
        if int(number) >= int(total) or len(joined) > _LONGEST:
            return joined
        self._parts[key] = joined.decode("latin-1")
        return None

    def _of_mail(self, id: str, words: str, line: Line) -> list[Row]:
        key = f"{line.host} {id}"
        before = self._waiting.pop(key, [])
        if arrival := _ARRIVAL.fullmatch(words):
            self._mails.pop(key, None)
            self._mails[key] = mail = _arrived(arrival["sender"], arrival["rest"])
            return [_released(each | _known(mail)) for each in before] + _log_in_of(mail, arrival["rest"])
        told = self._told(key, id, words)
        if any(values.get("waits") for _, values in told) and key not in self._mails:
            self._waiting[key] = before
            return told
        return [_released(each) for each in before if not _is_said_again(each, told)] + told

    def _told(self, key: str, id: str, words: str) -> list[Row]:
        """Return what one line tells of the mail `id`; the next may complete a row that `waits`, or say it again."""
        mail = self._mails.get(key)
        known = {**_known(mail or _Mail()), "queue_id": id}
        if _COMPLETED.fullmatch(words):
            self._mails.pop(key, None)
            return [("deliveries", {**known, "kind": "done", "stage": "unknown", "outcome": "unknown"})]
        if flag := _FLAG.fullmatch(words):
            row = _delivery(flag[1], flag[2])
            waits = {"waits": True} if flag[1] == ">>" and mail is None else {}
            return [("deliveries", _over(known, row) | waits)] if row else []
        if refused := _REFUSED_LOG_IN.fullmatch(words):
            return [("deliveries", {**known, **_refused_log_in(refused)})]
        if (remote := _REMOTE.search(words)) and words.startswith("H="):
            return [("deliveries", {**known, **_answer(words, remote), "outcome": "deferred", "waits": True})]
        return _of_relay(words, id)

    def _until_it_ends(self, rows: list[Row], line: Line) -> list[Row]:
        """Return `rows`, but keep one whose reply goes on in the next line."""
        table, values = rows[-1] if rows else ("", {})
        is_open = "event_id" not in values and _OPEN_REPLY.search(values.get("reply_text") or "")
        if not is_open and "waits" not in values:
            return rows
        kept = {
            "table": table,
            "event_time": line.time.isoformat() if line.time else None,
            "log_host": line.host,
            "origin_offset": line.offset,
            "event_id": event_id_of(line.raw),
            **values,
        }
        if not is_open:
            return [*rows[:-1], (table, kept)]
        self._held = kept
        return rows[:-1]

    def _go_on(self, line: Line) -> list[Row]:
        if self._held is None:
            return []
        text = f"{self._held['reply_text']}\n{_text(line.message)}"[:_LONGEST]
        self._held |= _said(_TOOK.sub("", text), self._held["service"])
        return [] if _OPEN_REPLY.search(text) else self._finished()

    def _finished(self) -> list[Row]:
        held, self._held = self._held, None
        return [(held["table"], held) if "waits" in held else _released(held)] if held else []

    def _ready(self, rows: list[Row]) -> list[Row]:
        """Return `rows` but those that wait for the next line of their mail, and the oldest of those that do so."""
        ready: list[Row] = []
        for table, values in rows:
            if "waits" not in values:
                ready.append((table, values))
                continue
            waiting = self._waiting.setdefault(f"{values['log_host']} {values['queue_id']}", [])
            waiting.append(values)
            if len(waiting) > MOST_OF_ONE:
                ready.append(_released(waiting.pop(0)))
        while len(self._waiting) > MOST_WAITING:
            ready += [_released(each) for each in self._waiting.pop(next(iter(self._waiting)))]
        return ready


def _known(mail: _Mail) -> dict[str, Any]:
    return {name: getattr(mail, name) for name in _OF_MAIL}  # asdict would copy each value deeply, for each line


def _over(known: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with what is known of its mail, which goes before what its own line says of the sender."""
    return {**row, **{name: value for name, value in known.items() if value is not None or name not in row}}


def _is_said_again(waiting: dict[str, Any], told: list[Row]) -> bool:
    """Return whether a row of `told` gives the answer for a recipient that `waiting` gave for the host."""
    said = waiting["reply_text"] or ""
    return any(
        values.get("recipient")
        and values.get("endpoint_ip") == waiting["endpoint_ip"]
        and said.startswith(values.get("reply_text") or "\n")
        for _, values in told
    )


def _released(kept: dict[str, Any]) -> Row:
    row = {name: value for name, value in kept.items() if name not in {"table", "waits"}}
    time = row["event_time"]
    return (kept["table"], row | {"event_time": datetime.fromisoformat(time) if time else None})


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
        client_user=_user_of(log_in),
        message_id=f"<{message_id[1]}>" if message_id else None,
        size_bytes=int(size[1]) if size else None,
    )


def _user_of(log_in: re.Match[str] | None) -> str | None:
    """Return who logged in, without the sender that `+smtp_mailauth` sets behind it."""
    return _WITH_SENDER.sub("", log_in["user"]) if log_in and log_in["user"] else None


def _log_in_of(mail: _Mail, rest: str) -> list[Row]:
    log_in = _LOGGED_IN.search(rest.partition(_SUBJECT)[0])
    if log_in is None:
        return []
    return [
        _signin(
            {
                "user": mail.client_user,
                "client_ip": mail.client_ip,
                "client_name": mail.client_name,
                "auth_mechanism": log_in["name"],
                "outcome": "accepted",
            }
        )
    ]


def _signin(values: dict[str, Any]) -> Row:
    mechanism = values["auth_mechanism"]
    usual = {"client_app": "SMTP", "auth_protocol": _protocol(mechanism), "service": "own_relay"}
    return ("signins", values | usual)


def _addressed(text: str) -> tuple[str, str] | None:
    """Return the recipient, as the envelope names it, and what stands behind the addresses."""
    for full in _FULL_ADDRESS.finditer(text[:_LONGEST]):
        local, _, domain = full[1].rpartition("@")
        unquoted = _UNQUOTED.sub(r"\1", local[1:-1])
        if text[: full.start()] == f"{unquoted}@{domain}":
            return full[1], text[full.end() :]
    found = _PLAIN_ADDRESS.fullmatch(text) or _ANY_ADDRESS.fullmatch(text)
    return (found[2] or found["address"], found["rest"]) if found else None


def _delivery(sign: str, text: str) -> dict[str, Any] | None:
    addressed = None if sign == "*>" or text.startswith(_NOWHERE) else _addressed(text)
    if addressed is None:
        return None
    recipient, rest = addressed
    sender = _FROM.search(rest)
    row = {"recipient": recipient.strip("<>").lower(), "sender": sender[1].lower() if sender else None}
    rest = _TOOK.sub("", _ENVELOPE.sub("", rest, count=2))
    if sign in {"**", "=="}:
        return row | _refused(rest, is_given_up=sign == "**")
    return row | _accepted(rest)


def _refused(rest: str, *, is_given_up: bool) -> dict[str, Any]:
    fields, _, why = rest.partition(": ")
    outcome = "rejected" if is_given_up else "deferred"
    if remote := _REMOTE.search(why):
        return {**_answer(fields, remote), "outcome": outcome}
    return {**_in_own_words(fields, why, is_given_up=is_given_up), "outcome": outcome}


def _accepted(rest: str) -> dict[str, Any]:
    confirmation = _CONFIRMATION.search(rest)
    fields = rest[: confirmation.start()] if confirmation else rest
    log_in, host = _LOGGED_IN.search(fields), _TO_HOST.search(fields)
    peer = _peer(fields)
    is_told = host is not None and not host["again"]
    return {
        **peer,
        **_said(confirmation[1] if confirmation else "", peer["service"]),
        "kind": "try",
        "stage": "data",
        "outcome": "accepted",
        "auth_mechanism": log_in["name"] if log_in else None,
        "auth_protocol": _protocol(log_in["name"]) if log_in else ("none" if is_told else "unknown"),
        "auth_user": _user_of(log_in),
        "reply_class": "accepted",
    }


def _answer(fields: str, remote: re.Match[str]) -> dict[str, Any]:
    """Return endpoint, stage and reply of an answer of the next server."""
    peer = _peer(fields)
    if remote["host"]:
        host = remote["host"].lower()
        peer = {"endpoint": host, "endpoint_ip": remote["ip"], "endpoint_port": None, "service": service_of(host)}
    return {**peer, **_said(remote["reply"], peer["service"]), "kind": "try", "stage": _stage_of(remote["after"])}


def _in_own_words(fields: str, why: str, *, is_given_up: bool) -> dict[str, Any]:
    words = f"{fields}: {why}"
    kind = "held" if _HELD.search(words) and not is_given_up else "try"
    if is_given_up and _GIVEN_UP.search(why):
        kind = "expired"
    broke = _BROKE_AT.search(why)
    peer = _peer(fields if _TO_HOST.search(fields) or not broke else why[: broke.start()])
    stage = "unknown" if kind == "held" else _stage_of(broke["after"]) if broke else _broken_off(why)
    return {**peer, **_said(why, peer["service"]), "kind": kind, "stage": stage}


def _broken_off(why: str) -> str:
    return next((stage for sign, stage in _BROKEN_OFF if sign.search(why)), "unknown")


def _stage_of(after: str) -> str:
    """Return the stage of an answer that came `after` a command."""
    if after.startswith(("RCPT TO", "pipelined RCPT")):
        return "rcpt_to"
    return next((stage for words, stage in _STAGES if words in after), "unknown")


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


def _of_relay(words: str, id: str | None) -> list[Row]:
    """Return a log-in or a mail that this relay itself refused, or a log-in of its own before there is a mail."""
    if not _REFUSED_LOG_IN.match(words):
        words = words.partition("\n")[0]  # the headers of what was refused follow, where syslog got the rejectlog too
    if own := _OWN_LOG_IN.search(words):
        user = _SET_ID.search(own["reply"])
        name = re.sub(r"[()\s]|^H=", "", own["who"])
        return [_refused_signin(own, user[1] if user else None, own["ip"], name, own["reply"])]
    if not_offered := _NO_LOG_IN.search(words):
        host = _FROM_HOST.search(f" {not_offered['who']}")
        by, ip = (host["name"] or host["helo"], host["ip"]) if host else (None, None)
        return [_refused_signin(not_offered, None, ip, by, not_offered["reply"])]
    if id is None and (refused_log_in := _REFUSED_LOG_IN.fullmatch(words)):
        return [("deliveries", _refused_log_in(refused_log_in))]
    refused = _OWN_REFUSAL.search(words) if words.startswith(("H=", "[", "F=", "U=", "rejected")) else None
    return [("deliveries", _own_refusal(words[: refused.start()], refused, id))] if refused else []


def _refused_signin(log_in: re.Match[str], user: str | None, ip: str | None, name: str | None, reply: str) -> Row:
    return _signin(
        {
            "user": user,
            "client_ip": ip.lower() if ip else None,
            "client_name": name or None,
            "auth_mechanism": log_in["name"].lower() or None,
            "outcome": "rejected",
            "error_code": reply[:3] if reply[:3].isdigit() else None,
            "error_text": reply[:LONGEST_TEXT],
        }
    )


def _own_refusal(before: str, refused: re.Match[str], id: str | None) -> dict[str, Any]:
    to = _TO_OWN.match(refused["rest"])
    named = (to[1] if to[1] is not None else to["bare"]) if to else None
    reason = (to["reason"] or "") if to else refused["rest"].lstrip(": ")
    fields = f" {before}{to['fields'] if to else ''}"
    host, sender = _FROM_HOST.search(fields), _FROM_OWN.search(fields)
    found = sender["bracketed"] if sender and sender["bracketed"] is not None else sender["bare"] if sender else None
    if found is None and refused["command"] in {"MAIL", "from"}:
        found = named
    log_in = _LOGGED_IN.search(fields)
    return {
        "kind": "try",
        "queue_id": id,
        "sender": None if found is None else found.strip("<>").lower(),
        "recipient": named.lower() if named and refused["command"] == "RCPT" else None,
        "client_ip": host["ip"].lower() if host and host["ip"] else None,
        "client_name": (host["name"] or host["helo"]) if host else None,
        "client_user": _user_of(log_in),
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
    reply = read_reply(_NEXT_LINE.sub("\n", text), service)
    return {
        "reply_code": reply.code,
        "enhanced_code": reply.enhanced,
        "reply_text": reply.text or None,
        "reply_class": reply.reply_class,
        "request_id": reply.request_id,
    }


def _protocol(name: str | None) -> str:
    """Return how the authenticator called `name` logs in, as far as its name tells."""
    if name and _OAUTH.search(name):
        return "oauth2"
    return "basic" if name and _BASIC.search(name) else "unknown"


def _text(raw: bytes) -> str:
    return text_of(raw[:_LONGEST])
