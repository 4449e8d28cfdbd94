"""
OpenSMTPD, from its syslog, in the three grammars that it has had.

Reads: clients and their mails, what the relays answered, refusals before any mail (`AUTH rejected`), and the log-ins of
its own clients. `<session> mta delivery …` is written since 6.4, `<session> mta event=delivery …` by 5.9 to 6.3,
`relay: Ok for <envelope>: session=…` and `smtp-in:`/`smtp-out:` before.
Leaves: connects, TLS, routes, local deliveries, bounces and broken connections.

What a reader could not guess:
- A refused log-in names the session only. Its host is joined by session; whose mail it was is told nowhere, so such a
  row has no sender. It is deferred, for OpenSMTPD keeps the mail and closes the route to that host for every sender.
- Mails behind a closed route are logged with session 0 and `Network error on destination MXs`: nothing was sent for
  them, so their kind is `held`, and the answer that closed the route is not known from the line.
- Where it cannot log in at all (`AUTH not advertised`), it says so in its own words; nothing was sent to the server.
- A log-in that works leaves no line, and at which stage a mail was refused is not logged.
- An envelope id begins with the 8 digits of its message, which join it to the client that handed it in.
- Of an answer in several lines the code is kept once, and the lines are glued together without a space.
- The tag `smtpd` is Postfix's too where a syslog cuts its name, so a line is OpenSMTPD's by its grammar.
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
"""Sessions, and messages, kept between reads; beyond it the oldest are forgotten."""

_SESSION = re.compile(rb"([0-9a-f]{16}) (smtp|mta) (?:event=)?(.*)", re.DOTALL)
_OLD_DELIVERY = re.compile(
    rb"relay: (?P<result>\w+) for (?P<evpid>[0-9a-f]{16}): session=(?P<session>[0-9a-f]{16}), from=<(?P<sender>"
    + ADDRESS
    + rb")>, to=<(?P<recipient>"
    + ADDRESS
    + rb")>, rcpt=<"
    + ADDRESS
    + rb">, source=[^,]*, "
    rb"relay=(?P<relay>[^,]*), delay=[^,]*, stat=(?P<stat>.*)",
    re.DOTALL,
)
_DELIVERY = re.compile(
    rb"delivery evpid=(?P<evpid>[0-9a-f]{16}) from=<(?P<sender>"
    + ADDRESS
    + rb")> to=<(?P<recipient>"
    + ADDRESS
    + rb")> rcpt=<"
    + ADDRESS
    + rb"> source=\"?[^\" ]*\"? relay=\"(?P<relay>[^\"]*)\" delay=\S+ "
    rb"result=\"(?P<result>\w+)\" stat=\"(?P<stat>.*)\"\s*",
    re.DOTALL,
)
_OLD_LINE = re.compile(rb"(?:smtp-in|smtp-out|relay): ")
_OLD_CLIENT = re.compile(rb"smtp-in: New session ([0-9a-f]{16}) from host (\S+) \[([^\]]*)\]")
_OLD_LOGIN = re.compile(
    rb"smtp-in: (Accepted authentication|Authentication failed) for user (.*) on session ([0-9a-f]{16})"
)
_OLD_MESSAGE = re.compile(
    rb"smtp-in: Accepted message ([0-9a-f]{8}) on session ([0-9a-f]{16}): from=<"
    + ADDRESS
    + rb">,(?: to=<"
    + ADDRESS
    + rb">,)? size=(\d{1,15}), (?:ndest|nrcpts)=(\d{1,6}),.*",
    re.DOTALL,
)
_OLD_CONNECTING = re.compile(
    rb"smtp-out: Connecting to \S+?://(\S+):(\d{1,5}) \(([^)]*)\) on session ([0-9a-f]{16})\.*"
)
_OLD_ERROR = re.compile(
    rb"smtp-out: Error on session ([0-9a-f]{16})(?: after \d{1,9} messages? sent)?: (.*)", re.DOTALL
)
_CLIENT = re.compile(rb"connected address=(\S+) host=(\S+)")
_LOGIN = re.compile(rb"authentication user=(.*?) (?:address=\S+ host=\S+ )?result=(\w+)")
_MESSAGE = re.compile(
    rb"message (?:address=\S+ host=\S+ )?msgid=([0-9a-f]{8}) (?:from=<"
    + ADDRESS
    + rb"> to=<"
    + ADDRESS
    + rb"> )?size=(\d{1,15}) (?:ndest|nrcpt)=(\d{1,6}) .*",
    re.DOTALL,
)
_CONNECTING = re.compile(rb"connecting address=\S+?://(\S+):(\d{1,5}) host=(\S+)")
_ERROR = re.compile(rb"error reason=(.*)", re.DOTALL)
_REJECTED = re.compile(rb"(AUTH|BANNER|EHLO|HELO|LHLO|STARTTLS) rejected: (.*)", re.DOTALL)
_NOT_ASKED = re.compile(
    rb"no supported AUTH method|AUTH not advertised|Refuse to AUTH over insecure channel|"
    rb"TLS required but not supported by remote host"
)
_RELAY = re.compile(rb"(\S+) \(([^)]*)\)")
_NO_SESSION = b"0" * 16
_STAGES = {b"AUTH": "auth", b"STARTTLS": "tls"}
_OUTCOMES = {b"Ok": "accepted", b"PermFail": "rejected", b"Loop": "rejected", b"TempFail": "deferred"}
_LOGINS = {b"ok": "accepted", b"Accepted authentication": "accepted", b"tempfail": "unknown"}
_NO_NAMES = {"<unknown>", "unknown", ""}


@dataclass(slots=True)
class _Session:
    """Who is at the other end: a client of ours, or the host that we send to."""

    ip: str | None
    name: str | None
    port: int | None = None
    user: str | None = None


@dataclass(slots=True)
class _Mail:
    """The client that handed in a message; `left` counts the envelopes whose fate is open."""

    client_ip: str | None = None
    client_name: str | None = None
    client_user: str | None = None
    size_bytes: int | None = None
    left: int = 1


_UNKNOWN = _Mail()


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` can be no other program's; `smtpd` can."""
    return tag == b"opensmtpd"


class Reader:
    """Goes through one OpenSMTPD log, and knows sessions by their id and mails by that of their message."""

    def __init__(self, carry: Carry) -> None:
        self._sessions = {key: _Session(**known) for key, known in carry.get("sessions", {}).items()}
        self._mails = {key: _Mail(**known) for key, known in carry.get("mails", {}).items()}

    def owns(self, line: Line) -> bool:
        """Return whether `line` begins as all lines of OpenSMTPD that concern mail do."""
        return bool(_SESSION.match(line.message) or _OLD_LINE.match(line.message))

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the delivery, the refusal or the log-in that `line` tells, why it cannot be read, or None."""
        found = _SESSION.fullmatch(line.message)
        if found is None:
            return self._old(line, line.message)
        session, side, words = found.groups()
        if side == b"smtp":
            return self._client(line, session, words)
        if words.startswith(b"delivery "):
            return self._delivery(line, session, _DELIVERY.fullmatch(words))
        if match := _CONNECTING.fullmatch(words):
            self._open(line, session, _Session(*_peer(match[1], match[3]), port=int(match[2])))
        elif words.startswith(b"disconnected"):
            self._sessions.pop(_key(line, session), None)
        elif match := _ERROR.fullmatch(words):
            return self._refusal(line, session, match[1])
        return None

    def close(self) -> list[Row]:
        """Return nothing: each row is made of one line."""
        return []

    def carry(self) -> Carry:
        """Return the open sessions and mails, the youngest MOST_OPEN of each."""
        self._sessions = dict(list(self._sessions.items())[-MOST_OPEN:])
        self._mails = dict(list(self._mails.items())[-MOST_OPEN:])
        known: dict[str, dict[str, Any]] = {"sessions": self._sessions, "mails": self._mails}
        return {name: {key: asdict(each) for key, each in some.items()} for name, some in known.items() if some}

    def _old(self, line: Line, words: bytes) -> list[Row] | str | None:
        if match := _OLD_ERROR.fullmatch(words):
            return self._refusal(line, match[1], match[2])
        if words.startswith(b"relay: "):
            match = _OLD_DELIVERY.fullmatch(words)
            return self._delivery(line, match["session"], match) if match else None
        if match := _OLD_CONNECTING.fullmatch(words):
            self._open(line, match[4], _Session(*_peer(match[1], match[3]), port=int(match[2])))
        elif match := _OLD_CLIENT.fullmatch(words):
            self._open(line, match[1], _Session(*_peer(match[3], match[2])))
        elif match := _OLD_LOGIN.fullmatch(words):
            return self._login(line, match[3], match[2], match[1])
        elif match := _OLD_MESSAGE.fullmatch(words):
            self._message(line, match[2], match[1], match[5], match[6])
        return None

    def _client(self, line: Line, session: bytes, words: bytes) -> list[Row] | None:
        if match := _CLIENT.fullmatch(words):
            self._open(line, session, _Session(*_peer(match[1], match[2])))
        elif match := _LOGIN.fullmatch(words):
            return self._login(line, session, match[1], match[2])
        elif match := _MESSAGE.fullmatch(words):
            self._message(line, session, match[1], match[4], match[5])
        elif words.startswith((b"disconnected", b"closed")):
            self._sessions.pop(_key(line, session), None)
        return None

    def _open(self, line: Line, session: bytes, peer: _Session) -> None:
        self._sessions.pop(_key(line, session), None)
        self._sessions[_key(line, session)] = peer

    def _message(self, line: Line, session: bytes, message: bytes, size: bytes, count: bytes) -> None:
        client = self._sessions.get(_key(line, session), _Session(None, None))
        before = self._mails.pop(_key(line, message), None)  # older versions write a line for each recipient
        left = int(count) + (before.left if before else 0)
        self._mails[_key(line, message)] = _Mail(client.ip, client.name, client.user, int(size), left)

    def _login(self, line: Line, session: bytes, user: bytes, result: bytes) -> list[Row]:
        client = self._sessions.get(_key(line, session), _Session(None, None))
        outcome = _LOGINS.get(result, "rejected")
        if outcome == "accepted":
            client.user = address_of(user)
        row = {
            "user": address_of(user) or None,
            "client_ip": client.ip,
            "client_name": client.name,
            "auth_protocol": "basic",  # it knows PLAIN and LOGIN alone
            "service": "own_relay",
            "outcome": outcome,
        }
        return [("signins", row)]

    def _refusal(self, line: Line, session: bytes, reason: bytes) -> list[Row] | str | None:
        """Return the answer that ended `session` before any mail."""
        match = _REJECTED.fullmatch(reason)
        if match is None and _NOT_ASKED.fullmatch(reason) is None:
            return None
        if not line.is_ended:
            return "the file ends in mid-line"
        peer = self._sessions.pop(_key(line, session), _Session(None, None))
        command, said = match.groups() if match else (b"STARTTLS" if reason.startswith(b"TLS") else b"AUTH", reason)
        stage = _STAGES.get(command, "connect")
        is_told = match is not None and stage == "auth"  # it knows PLAIN and LOGIN alone
        row = {
            "kind": "try",
            **answer(words_of(said), peer.name or peer.ip, "basic" if is_told else "unknown"),
            "endpoint_ip": peer.ip,
            "endpoint_port": peer.port,
            "stage": stage,
            "outcome": "deferred",
            "session_id": session.decode("ascii"),
        }
        return [("deliveries", row)]

    def _delivery(self, line: Line, session: bytes, match: re.Match[bytes] | None) -> list[Row] | str:
        if match is None or not line.is_ended:
            return (
                "begins like a delivery and does not go on like one" if line.is_ended else "the file ends in mid-line"
            )
        message = _key(line, match["evpid"][:8])
        mail = self._mails.get(message, _UNKNOWN)
        peer = self._sessions.get(_key(line, session))
        row = {**_known(mail), **_answered(match, peer, is_held=session == _NO_SESSION)}
        if row["outcome"] in {"accepted", "rejected"} and mail is not _UNKNOWN:
            mail.left -= 1
            if mail.left <= 0:
                del self._mails[message]
        return [("deliveries", {**row, "session_id": session.decode("ascii") if session != _NO_SESSION else None})]


def _answered(match: re.Match[bytes], peer: _Session | None, *, is_held: bool) -> dict[str, Any]:
    relay = _RELAY.fullmatch(match["relay"])
    ip, name = _peer(relay[1], relay[2]) if relay else (None, host_of(match["relay"]))
    outcome = _OUTCOMES.get(match["result"], "unknown")
    return {
        **answer(words_of(match["stat"]), name or ip),
        "kind": "held" if is_held and outcome == "deferred" else "try",
        "sender": address_of(match["sender"]),
        "recipient": address_of(match["recipient"]),
        "endpoint_ip": ip,
        "endpoint_port": peer.port if peer else None,
        "stage": "data" if outcome == "accepted" else "unknown",
        "outcome": outcome,
        "queue_id": match["evpid"].decode("ascii"),
    }


def _peer(address: bytes, name: bytes) -> tuple[str | None, str | None]:
    """Return IP and name; a socket on this host is no IP, and a host without a name is called by its IP."""
    ip = ip_of(address.strip(b"[]"))
    known = host_of(name)
    return None if ip == "local" else ip, None if known in _NO_NAMES or known == ip else known


def _key(line: Line, name: bytes) -> str:
    return f"{line.host} {name.decode('ascii')}"


def _known(mail: _Mail) -> dict[str, Any]:
    return {name: value for name, value in asdict(mail).items() if name != "left"}
