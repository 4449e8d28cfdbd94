"""
Sendmail, from its syslog.

Reads: `from=` (sender, client, size, Message-ID), `to=` deliveries with their answers, mail that is given up or done,
log-ins that Sendmail makes (`AUTH=client`) and those of its own clients (`AUTH=server`, `AUTH failure`).
Leaves: everything else (TLS, rulesets, milters, DSNs, statistics), which says nothing about a submission.

What a reader could not guess:
- A log-in that the server refuses with 5xx leaves no trace at all: Sendmail goes on without one, and only the answer to
  that is logged (530 5.7.57). The row has that answer; whether a refused log-in stood before it, nothing tells.
- A log-in that works is logged from LogLevel 10 on, without a queue id. The process that logs in delivers next, so the
  mechanism is joined to its deliveries by process id and host; without a process id it is a row of its own.
- `dsn=` is Sendmail's own view and may differ from the answer in `reply=`, which newer versions log where mail is not
  taken. Without it the words behind `stat=` are all there is, and the code is not known.
- One line may name many recipients. Of the stages only RCPT TO can be told, by `stat=User unknown` beside an answer.
- A bare `stat=Deferred` means that nothing was tried: another mail to that host was deferred just before.
- Sender, recipients and Message-ID are chosen by strangers; `relay=` ends a `from=` line and is found from its end.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.answers import ADDRESS, QUOTED, address_of, answer, host_of, ip_of, protocol_of, words_of
from pipeline.endpoints import service_of
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.programs import Row

MOST_OPEN = 20_000
"""Mails kept between reads that have not reached all their recipients; beyond it the oldest is forgotten."""

_MOST_DONE = 500
_MOST_LOGINS = 1_000
_LONGEST_ERROR = 2_000
_QUEUE_ID = re.compile(rb"([0-9A-Za-z]{8,24}): (.*)", re.DOTALL)
_ONE = rb"(?:<" + ADDRESS.replace(b"(", b"(?:", 1) + rb">|" + QUOTED + rb"|[^\s,<\"])++"
_LIST = rb"(" + _ONE + rb"(?:," + _ONE + rb")*+)"
_FIELDS = rb"(?:(?!(?:relay|dsn|reply|stat)=)\w+=[^,]*+, )*+"
_FROM = re.compile(
    rb"from=(?P<sender>"
    + _ONE
    + rb")?, size=(?P<size>\d{1,15}), class=-?\d+, (?:pri=-?\d+, )?nrcpts=(?P<count>\d{1,6})"
    rb"(?:, msgid=(?P<message_id><[^<>]*>))?(?P<more>.*)",
    re.DOTALL,
)
_DELIVERY = re.compile(
    rb"to="
    + _LIST
    + rb", (?:ctladdr="
    + _ONE
    + rb"(?: \(\d+/\d+\))?, )?delay=[\d:+]+, "
    + _FIELDS
    + rb"(?:relay=(?P<relay>[^,]*+), )?"
    + _FIELDS
    + rb"(?:dsn=(?P<dsn>[\d.]+), )?"
    + _FIELDS
    + rb"(?:reply=(?P<reply>.*?), (?=stat=))?stat=(?P<stat>.*)",
    re.DOTALL,
)
_BEGUN_DELIVERY = re.compile(rb"to=" + _LIST + rb", (?:ctladdr=|delay=)")
_PEER = re.compile(rb"(?:(?P<name>\S+) )?\[(?P<ip>[^\[\]\s]+)\](?: \(may be forged\))?")
_GIVEN_UP = re.compile(
    rb"[0-9A-Za-z]{8,24}: (?:sender notify|return to sender|postmaster notify): Cannot send message .*"
)
_BOUNCE = re.compile(rb"([0-9A-Za-z]{8,24}): (?:DSN|sender notify|return to sender): .*", re.DOTALL)
_DONE = re.compile(rb"done; delay=[\d:+]+.*")
_CLIENT_LOGIN = re.compile(rb"AUTH=client, relay=(\S+?),? (?:\[[^\]]*\], )?mech=([^,\s]+), bits=\d+")
_SERVER_LOGIN = re.compile(rb"AUTH=server, relay=(.*), authid=([^,]*), mech=([^,\s]+), bits=\d+")
_LOGIN_FAILED = re.compile(rb"AUTH failure \(([^)\s]*)\): (.*), relay=(.*)", re.DOTALL)
_LOGIN_ATTEMPTS = re.compile(rb"(.*): (possible SMTP attack: command=AUTH, count=\d+)")
_CONNECTED = re.compile(rb"STARTTLS=client, relay=([^,\s]+),")
_GRAMMAR = (_FROM, _DELIVERY, _GIVEN_UP, _SERVER_LOGIN, _LOGIN_FAILED, _LOGIN_ATTEMPTS)
_FINAL = {"accepted", "rejected"}
_OUTCOMES = {"2": "accepted", "4": "deferred", "5": "rejected"}
_STAGES = (
    (re.compile(r"AUTH failure"), "auth"),
    (re.compile(r"TLS handshake|STARTTLS"), "tls"),
    (
        re.compile(r"Connection (?:refused|timed out|reset)|[Hh]ost (?:unknown|name lookup)|No route|unreachable"),
        "connect",
    ),
)


@dataclass(slots=True)
class _Mail:
    """What is known of one queue id so far; `left` counts the recipients whose fate is open."""

    sender: str | None = None
    client_ip: str | None = None
    client_name: str | None = None
    client_user: str | None = None
    message_id: str | None = None
    size_bytes: int | None = None
    left: int = 1


@dataclass(slots=True)
class _Login:
    """What one process logged in to, or who logged in to it."""

    peer: str
    word: str


_UNKNOWN = _Mail()


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is one of Sendmail's names: sendmail, sm-mta, sm-msp-queue and the like."""
    return tag == b"sendmail" or tag.startswith(b"sm-")


class Reader:
    """Goes through one Sendmail log, and knows each mail by host and queue id."""

    def __init__(self, carry: Carry) -> None:
        self._mails = {key: _Mail(**known) for key, known in carry.get("mails", {}).items()}
        self._logins = {key: _Login(**known) for key, known in carry.get("logins", {}).items()}

    def owns(self, line: Line) -> bool:
        """Return whether `line` is Sendmail's by its grammar; only whole lines count."""
        if line.message.startswith(b"AUTH="):
            return bool(_CLIENT_LOGIN.fullmatch(line.message) or _SERVER_LOGIN.fullmatch(line.message))
        found = _QUEUE_ID.fullmatch(line.message)
        return found is not None and any(words.fullmatch(found[2]) for words in _GRAMMAR)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the deliveries or the log-in that `line` tells, why it cannot be read, or None."""
        found = _QUEUE_ID.fullmatch(line.message)
        words = found[2] if found else line.message
        if words.startswith((b"AUTH", b"STARTTLS=client")) or b": possible SMTP attack: " in words:
            return self._login(line, words)
        return self._mail(line, found[1].decode("ascii"), words) if found else None

    def close(self) -> list[Row]:
        """Return nothing: a mail that is still in the queue has told all that it has to tell."""
        return []

    def carry(self) -> Carry:
        """Return the mails that wait for a recipient, the last ones that do not, and the log-ins of processes."""
        is_open = [key for key, mail in self._mails.items() if mail.left > 0]
        done = [key for key, mail in self._mails.items() if mail.left <= 0]
        kept = {*is_open[-MOST_OPEN:], *done[-_MOST_DONE:]}
        self._mails = {key: mail for key, mail in self._mails.items() if key in kept}
        self._logins = dict(list(self._logins.items())[-_MOST_LOGINS:])
        known: dict[str, dict[str, Any]] = {"mails": self._mails, "logins": self._logins}
        return {name: {key: asdict(each) for key, each in some.items()} for name, some in known.items() if some}

    def _mail(self, line: Line, queue_id: str, words: bytes) -> list[Row] | str | None:
        key = f"{line.host} {queue_id}"
        if words.startswith(b"from="):
            self._learn(line, key, words)
            return None
        if bounce := _BOUNCE.fullmatch(words):
            self._mails[f"{line.host} {bounce[1].decode('ascii')}"] = _Mail(sender="")
        mail = self._mails.get(key, _UNKNOWN)
        rows = self._told(line, words)
        if not isinstance(rows, list):
            return rows
        if rows[0]["kind"] in {"done", "expired"}:
            self._mails.pop(key, None)
        elif mail is not _UNKNOWN and rows[0]["outcome"] in _FINAL:
            mail.left -= len(rows)
        return [("deliveries", {**_known(mail), "queue_id": queue_id, **row}) for row in rows]

    def _told(self, line: Line, words: bytes) -> list[dict[str, Any]] | str | None:
        if _BEGUN_DELIVERY.match(words):
            return self._deliveries(line, words)
        unsaid = {"stage": "unknown", "outcome": "unknown"}
        if _GIVEN_UP.fullmatch(words):
            return [{"kind": "expired", **unsaid}]
        return [{"kind": "done", **unsaid}] if _DONE.fullmatch(words) else None

    def _deliveries(self, line: Line, words: bytes) -> list[dict[str, Any]] | str:
        match = _DELIVERY.fullmatch(words)
        if match is None:
            return (
                "begins like a delivery and does not go on like one" if line.is_ended else "the file ends in mid-line"
            )
        if not line.is_ended:
            return "the file ends in mid-line"
        row = _answered(match)
        login = self._logins.get(_running(line)) if line.pid else None
        if login and login.peer == row["endpoint"]:
            row |= {"auth_mechanism": login.word, "auth_protocol": protocol_of(login.word)}
        return [{**row, "recipient": address} for address in _addresses(match[1])]

    def _learn(self, line: Line, key: str, words: bytes) -> None:
        match = _FROM.fullmatch(words)
        if match is None:
            return
        peer = _PEER.fullmatch(match["more"].rpartition(b", relay=")[2])
        ip = ip_of(peer["ip"]) if peer else None
        login = self._logins.get(_running(line)) if line.pid else None
        self._mails.pop(key, None)
        self._mails[key] = _Mail(
            sender=next(iter(_addresses(match["sender"] or b"<>"))),
            client_ip=ip,
            client_name=host_of(peer["name"]) if peer and peer["name"] else None,
            client_user=login.word if login and ip and login.peer == ip else None,
            message_id=words_of(match["message_id"]) or None,
            size_bytes=int(match["size"]),
            left=int(match["count"]),
        )

    def _login(self, line: Line, words: bytes) -> list[Row] | None:
        if match := _CONNECTED.match(words):
            # A new connection has to log in anew; without this a refused log-in would pass for the one before.
            if self._logins.get(_running(line), _Login("", "")).peer == host_of(match[1]):
                del self._logins[_running(line)]
            return None
        if match := _CLIENT_LOGIN.fullmatch(words):
            return self._own_login(line, host_of(match[1]), words_of(match[2]))
        row = _client_login(words)
        if row and row["outcome"] == "accepted" and line.pid and row["client_ip"]:
            self._remember(line, _Login(row["client_ip"], row["user"]))
        return [("signins", row)] if row else None

    def _own_login(self, line: Line, host: str, mechanism: str) -> list[Row] | None:
        if line.pid:
            self._remember(line, _Login(host, mechanism))
            return None
        service = {"service": service_of(host), "resource_name": host}
        return [("signins", {**service, "outcome": "accepted", **_mechanism(mechanism)})]

    def _remember(self, line: Line, login: _Login) -> None:
        self._logins.pop(_running(line), None)
        self._logins[_running(line)] = login


def _client_login(words: bytes) -> dict[str, Any] | None:
    """Return the log-in of a client at this relay that `words` tell, or None."""
    if match := _SERVER_LOGIN.fullmatch(words):
        peer, user, mechanism = match.groups()
        return _signin(peer, "accepted", user=address_of(user) or None, **_mechanism(words_of(mechanism)))
    if match := _LOGIN_FAILED.fullmatch(words):
        mechanism, why, peer = match.groups()
        why, _, user = why.partition(b", user=")
        known: dict[str, str | None] = {
            "user": address_of(user) or None,
            "error_text": words_of(why)[:_LONGEST_ERROR],
        }
        return _signin(peer, "rejected", **known, **_mechanism(words_of(mechanism).upper()))
    if match := _LOGIN_ATTEMPTS.fullmatch(words):
        return _signin(match[1], "unknown", error_text=words_of(match[2]), auth_protocol="unknown")
    return None


def _signin(peer: bytes, outcome: str, **known: str | None) -> dict[str, Any]:
    client = _PEER.fullmatch(peer)
    return {
        "service": "own_relay",
        "outcome": outcome,
        "client_ip": ip_of(client["ip"]) if client else None,
        "client_name": host_of(client["name"]) if client and client["name"] else None,
        **known,
    }


def _mechanism(name: str) -> dict[str, str | None]:
    return {"auth_mechanism": name or None, "auth_protocol": protocol_of(name)}


def _answered(match: re.Match[bytes]) -> dict[str, Any]:
    """Return endpoint, answer and outcome of the delivery `match`."""
    stat, reply = words_of(match["stat"]).strip(), words_of(match["reply"])
    host, ip = _endpoint(match["relay"])
    outcome = _outcome(stat, words_of(match["dsn"]))
    row = answer(reply or stat, host)
    is_sent = outcome == "accepted"
    return {
        **row,
        "kind": "held" if not reply and stat in {"Deferred", "queued"} else "try",
        "endpoint_ip": ip,
        "stage": "data" if is_sent and host else _stage(stat, has_reply=bool(reply)),
        "outcome": outcome,
        "enhanced_code": row["enhanced_code"] or (words_of(match["dsn"]) or None if not reply else None),
        "reply_class": "accepted" if is_sent and host else row["reply_class"],
    }


def _endpoint(relay: bytes | None) -> tuple[str | None, str | None]:
    if not relay:
        return None, None
    peer = _PEER.fullmatch(relay)
    if peer is None:
        return host_of(relay), None
    return host_of(peer["name"] or peer["ip"]), ip_of(peer["ip"])


def _outcome(stat: str, dsn: str) -> str:
    if stat.startswith("Sent"):
        return "accepted"
    if stat.startswith(("Deferred", "queued")):
        return "deferred"
    return _OUTCOMES.get(dsn[:1], "unknown")


def _stage(stat: str, *, has_reply: bool) -> str:
    if has_reply and stat == "User unknown":
        return "rcpt_to"
    return next((stage for words, stage in _STAGES if words.search(stat)), "unknown")


def _addresses(listed: bytes) -> list[str]:
    return [address_of(each[1:-1] if each[:1] == b"<" else each) for each in re.findall(_ONE, listed)]


def _running(line: Line) -> str:
    return f"{line.host} {line.pid.decode('ascii', 'replace')}"


def _known(mail: _Mail) -> dict[str, Any]:
    return {name: value for name, value in asdict(mail).items() if name != "left"}
