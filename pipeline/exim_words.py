"""
What the words of an Exim line say: a mail taken in, a delivery, a refused log-in, a refusal of the relay's own.

Pure: words in, values of a row out. What belongs together across lines is put together by `pipeline.programs.exim`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.endpoints import service_of
from pipeline.lines import text_of
from pipeline.programs import Row
from pipeline.replies import LONGEST_TEXT, read_reply

QUOTED = r"\"(?:[^\"\\]|\\.){0,255}\"@"
_IN_BRACKETS = rf"<((?:{QUOTED})?[^<>]{{0,1000}})>"
_BEHIND_ADDRESS = r"(?P<rest>(?:: | : | (?:[FPRT]=|routing defer|defer \()).*|\Z)"
_PLAIN_ADDRESS = re.compile(
    rf"(?P<address>[^\s:][^\s<>]*?)(?: \([^)]{{0,1000}}\))?(?: {_IN_BRACKETS})?{_BEHIND_ADDRESS}", re.DOTALL
)
_ANY_ADDRESS = re.compile(
    rf"(?P<address>.{{1,400}}?)(?: \([^)]{{0,400}}\))?(?: {_IN_BRACKETS})?{_BEHIND_ADDRESS}", re.DOTALL
)
_FULL_ADDRESS = re.compile(rf" <({QUOTED}[^\s<>]{{0,255}})>")
_NOWHERE = ":blackhole:"
_ENVELOPE = re.compile(rf" [FP]={_IN_BRACKETS}")
_FROM = re.compile(rf" F={_IN_BRACKETS}")
_UNQUOTED = re.compile(r"\\(.)", re.DOTALL)
TOOK = re.compile(r"(?: [DQ]T=[\d.a-z]{1,20}){1,2}\Z")
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
REMOTE = re.compile(
    r"(?:SMTP|LMTP) error(?: from remote (?:mail server|mailer))? after (?P<after>.{1,400}?): "
    r"(?:host (?P<host>\S+) \[(?P<ip>[^\]]*)\]: )?(?P<reply>[2-5]\d\d(?:[ -]|$).*)",
    re.DOTALL,
)
REFUSED_LOG_IN = re.compile(
    r"(?P<name>\S+) authenticator failed H=(?P<host>[^\s\[]+)(?: \([^)]*\))? "
    r"\[(?P<ip>[0-9A-Fa-f.:]+)\](?::(?P<port>\d{1,5}))?:? (?P<reply>.*)",
    re.DOTALL,
)
OWN_LOG_IN = re.compile(
    r"(?P<name>\S+) authenticator failed for (?P<who>.{0,400}?)\[(?P<ip>[0-9A-Fa-f.:]+)\](?::\d+)?"
    r"(?: [A-Z][A-Za-z]{0,3}=\S+){0,9}: (?P<reply>.*)",
    re.DOTALL,
)
NO_LOG_IN = re.compile(
    r"SMTP protocol error in \"AUTH\b ?(?P<name>[\w-]{0,40})(?:.*\" |\" )(?P<who>H=.*?) "
    r"(?P<reply>AUTH command used when not advertised|\S+ authentication mechanism not supported)\Z",
    re.DOTALL | re.IGNORECASE,
)
_SET_ID = re.compile(r"\(set_id=(.*?)\)\s*\Z", re.DOTALL)
OWN_REFUSAL = re.compile(
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
LONGEST = 8 * LONGEST_TEXT


@dataclass(slots=True)
class Mail:
    """What is known of one mail since it was taken in."""

    sender: str | None = None
    client_ip: str | None = None
    client_name: str | None = None
    client_user: str | None = None
    message_id: str | None = None
    size_bytes: int | None = None


def arrived(sender: str, rest: str) -> Mail:
    """Return what a line `<=` says of a mail: `rest` is what stands behind its sender."""
    fields = rest.partition(_SUBJECT)[0]
    host = _FROM_HOST.search(fields)
    local = _LOCAL_USER.search(fields)
    size, message_id, log_in = _SIZE.search(fields), _MESSAGE_ID.search(fields), _LOGGED_IN.search(fields)
    name = (host["name"] or host["helo"]) if host else None
    return Mail(
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


def log_in_of(mail: Mail, rest: str) -> list[Row]:
    """Return the log-in at this relay with which a mail came in, or nothing."""
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
    for full in _FULL_ADDRESS.finditer(text[:LONGEST]):
        local, _, domain = full[1].rpartition("@")
        unquoted = _UNQUOTED.sub(r"\1", local[1:-1])
        if text[: full.start()] == f"{unquoted}@{domain}":
            return full[1], text[full.end() :]
    found = _PLAIN_ADDRESS.fullmatch(text) or _ANY_ADDRESS.fullmatch(text)
    return (found[2] or found["address"], found["rest"]) if found else None


def delivery(sign: str, text: str) -> dict[str, Any] | None:
    """Return what became of one recipient, or None for what was no delivery; `sign` is the flag in front of `text`."""
    addressed = None if sign == "*>" or text.startswith(_NOWHERE) else _addressed(text)
    if addressed is None:
        return None
    recipient, rest = addressed
    sender = _FROM.search(rest)
    row = {"recipient": recipient.strip("<>").lower(), "sender": sender[1].lower() if sender else None}
    rest = TOOK.sub("", _ENVELOPE.sub("", rest, count=2))
    if sign in {"**", "=="}:
        return row | _refused(rest, is_given_up=sign == "**")
    return row | _accepted(rest)


def _refused(rest: str, *, is_given_up: bool) -> dict[str, Any]:
    fields, _, why = rest.partition(": ")
    outcome = "rejected" if is_given_up else "deferred"
    if remote := REMOTE.search(why):
        return {**answer_of(fields, remote), "outcome": outcome}
    return {**_in_own_words(fields, why, is_given_up=is_given_up), "outcome": outcome}


def _accepted(rest: str) -> dict[str, Any]:
    confirmation = _CONFIRMATION.search(rest)
    fields = rest[: confirmation.start()] if confirmation else rest
    log_in, host = _LOGGED_IN.search(fields), _TO_HOST.search(fields)
    peer = _peer(fields)
    is_told = host is not None and not host["again"]
    return {
        **peer,
        **reply_in(confirmation[1] if confirmation else "", peer["service"]),
        "kind": "try",
        "stage": "data",
        "outcome": "accepted",
        "auth_mechanism": log_in["name"] if log_in else None,
        "auth_protocol": _protocol(log_in["name"]) if log_in else ("none" if is_told else "unknown"),
        "auth_user": _user_of(log_in),
        "reply_class": "accepted",
    }


def answer_of(fields: str, remote: re.Match[str]) -> dict[str, Any]:
    """Return endpoint, stage and reply of an answer of the next server."""
    peer = _peer(fields)
    if remote["host"]:
        host = remote["host"].lower()
        peer = {"endpoint": host, "endpoint_ip": remote["ip"], "endpoint_port": None, "service": service_of(host)}
    return {**peer, **reply_in(remote["reply"], peer["service"]), "kind": "try", "stage": _stage_of(remote["after"])}


def _in_own_words(fields: str, why: str, *, is_given_up: bool) -> dict[str, Any]:
    words = f"{fields}: {why}"
    kind = "held" if _HELD.search(words) and not is_given_up else "try"
    if is_given_up and _GIVEN_UP.search(why):
        kind = "expired"
    broke = _BROKE_AT.search(why)
    peer = _peer(fields if _TO_HOST.search(fields) or not broke else why[: broke.start()])
    stage = "unknown" if kind == "held" else _stage_of(broke["after"]) if broke else _broken_off(why)
    return {**peer, **reply_in(why, peer["service"]), "kind": kind, "stage": stage}


def _broken_off(why: str) -> str:
    return next((stage for sign, stage in _BROKEN_OFF if sign.search(why)), "unknown")


def _stage_of(after: str) -> str:
    """Return the stage of an answer that came `after` a command."""
    if after.startswith(("RCPT TO", "pipelined RCPT")):
        return "rcpt_to"
    return next((stage for words, stage in _STAGES if words in after), "unknown")


def refused_log_in(refused: re.Match[str]) -> dict[str, Any]:
    """Return the log-in that the next server refused."""
    host = refused["host"].lower()
    service = service_of(host)
    return {
        **reply_in(refused["reply"], service),
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


def of_relay(words: str, id: str | None) -> list[Row]:
    """Return a log-in or a mail that this relay itself refused, or a log-in of its own before there is a mail."""
    if not REFUSED_LOG_IN.match(words):
        words = words.partition("\n")[0]  # the headers of what was refused follow, where syslog got the rejectlog too
    if own := OWN_LOG_IN.search(words):
        user = _SET_ID.search(own["reply"])
        name = re.sub(r"[()\s]|^H=", "", own["who"])
        return [_refused_signin(own, user[1] if user else None, own["ip"], name, own["reply"])]
    if not_offered := NO_LOG_IN.search(words):
        host = _FROM_HOST.search(f" {not_offered['who']}")
        by, ip = (host["name"] or host["helo"], host["ip"]) if host else (None, None)
        return [_refused_signin(not_offered, None, ip, by, not_offered["reply"])]
    if id is None and (at_next := REFUSED_LOG_IN.fullmatch(words)):
        return [("deliveries", refused_log_in(at_next))]
    refused = OWN_REFUSAL.search(words) if words.startswith(("H=", "[", "F=", "U=", "rejected")) else None
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
        **reply_in(reason, "own_relay"),
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


def reply_in(text: str, service: str | None) -> dict[str, Any]:
    """Return the values of a reply, which `service` gave."""
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


def exim_text(raw: bytes) -> str:
    """Return the text of a line, as much of it as is looked at."""
    return text_of(raw[:LONGEST])
