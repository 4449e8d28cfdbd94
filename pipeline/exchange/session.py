"""
One SMTP session of an Exchange protocol log: records in, rows out.

Exchange logs both sides of a talk in one file. Commands may be pipelined, so each session keeps a queue of commands
that wait for their answers; DATA and AUTH are answered more than once (354, 334) and stay at its head until the last
answer. Records are put in the order of their numbers, which have gaps (a broken line) and repeats in real logs, so a
record that is ahead of its turn waits for at most a few others. Rows carry `event_time` as ISO text, because a refusal
may have to wait in the carry, which is JSON; one that belongs to another table than `deliveries` names it as `table`.

A front end of Exchange passes sessions on to the servers behind it. XPROXY and XPROXYFROM tell these which device it
speaks for; XPROXYTO asks it to pass a session on to the outside, and what is answered from then on is another's answer.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pipeline.answers import protocol_of, signer_of
from pipeline.endpoints import OTHER, is_microsoft, service_of
from pipeline.exchange.reason import reason_of
from pipeline.exchange.record import UNREAD, Record
from pipeline.model import event_id_of
from pipeline.replies import Reply, read_reply

SEND, RECEIVE = "send", "receive"
MOST_WAITING = 4

Row = dict[str, Any]

_CODE = re.compile(r"([2-5]\d\d)(?:[ -]|$)")
_BANNER = re.compile(r"220[ -](?=[\w.-]*[A-Za-z])([A-Za-z0-9._-]{1,255})(?:\s|$)")
_PATH = re.compile(r"(?:FROM|TO):\s*(?:<((?:\"(?:[^\"\\]|\\.)*\"|[^\">])*)>|(\S+))", re.IGNORECASE)
_SIZE = re.compile(r"\sSIZE=(\d{1,18})(?!\S)", re.IGNORECASE)
_SENDING = re.compile(r"sending message with RecordId \d+ and InternetMessageId (\S.*)", re.IGNORECASE)
_QUEUED = re.compile(r"250 2\.[06]\.0 (?:OK )?(<[^<>\s]+>)", re.IGNORECASE)
_USER_NAME = re.compile(r"User Name: (\S.*)", re.IGNORECASE)
_FAILED = re.compile(r"(?:Unable to initialize i|I)nbound .{1,40} because of (\w{1,60})$", re.IGNORECASE)
_PROXIED = re.compile(r"(IP|PORT|DOMAIN|AUTHSRC)=(\S+)", re.IGNORECASE)
_TARGET = re.compile(r"\bXPROXYTOTARGET(IPADDRESS|HOSTNAME) (\S{1,255})", re.IGNORECASE)
_BEGUN = re.compile(r"\d{3}-")
_LONGEST_REPLY = 16_000
_ENDPOINT = re.compile(r"(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})")

_STAGES = {
    "EHLO": "connect",
    "HELO": "connect",
    "STARTTLS": "tls",
    "X-ANONYMOUSTLS": "tls",
    "AUTH": "auth",
    "X-EXPS": "auth",
    "MAIL": "mail_from",
    "RCPT": "rcpt_to",
    "DATA": "data",
    "BDAT": "data",
    "CHUNK": "data",
    "XPROXYTO": "unknown",
}
_LOG_IN = ("AUTH", "X-EXPS")
_BASIC_REFUSED = {"basic_retired", "basic_disabled"}
_NO_LOG_IN = range(500, 505)  # a command that is unknown or out of order; nobody was asked for a password
# Which commands an answer can belong to. After a gap in the log it tells how many commands before have lost theirs.
_ONLY_FOR = {"334": _LOG_IN, "235": _LOG_IN, "354": ("DATA",), "221": ("QUIT",)}
_RATHER_FOR = {"250 2.1.0 ": ("MAIL",), "250 2.1.5 ": ("RCPT",), "535 5.7.": _LOG_IN}


@dataclass(frozen=True, slots=True)
class Command:
    """One command that waits for its answer; `recipient` is its place among those of the mail."""

    verb: str
    recipient: int = -1


@dataclass(slots=True)
class Mail:
    """One mail transaction, from MAIL FROM on; `number` is that record's."""

    number: int
    sender: str | None = None
    size_bytes: int | None = None
    message_id: str | None = None
    recipients: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    has_data: bool = False
    is_over: bool = False

    def open(self) -> list[int | None]:
        """Return the places of the recipients whose fate is open; None stands for a mail whose recipients we missed."""
        if not self.recipients:
            return [None]
        return [place for place in range(len(self.recipients)) if place not in self.refused]

    def recipient_at(self, place: int | None) -> str | None:
        """Return the recipient at `place`; an answer that comes in disorder may belong to no recipient of this mail."""
        is_one = place is not None and 0 <= place < len(self.recipients)
        return (self.recipients[place] or None) if place is not None and is_one else None


@dataclass(slots=True)
class Session:
    """What is known of one session so far."""

    id: str
    log: str  # send · receive · '' while no record has told
    is_whole: bool = False  # its beginning was seen, so a log-in cannot have been missed
    is_ended: bool = False
    expected: int | None = None
    early: list[Record] = field(default_factory=list)
    last: Record | None = None
    connector: str = ""
    local: str = ""
    remote: str = ""
    banner: str | None = None
    client_name: str | None = None
    mechanism: str | None = None
    log_in: str | None = None  # accepted · refused · None while unanswered
    user: str | None = None
    why: str | None = None  # the log-in failed
    device: str | None = None  # for which a front end speaks
    remote_port: str | None = None  # to which a front end is asked to go on
    passed_to: str | None = None  # the server that answers behind it
    message_id: str | None = None  # of the mail that comes next
    begun: Record | None = None  # a reply whose last line is still to come
    unanswered: list[Command] = field(default_factory=list)
    held: list[Row] = field(default_factory=list)  # refusals at AUTH, until the session shows whose mail it was
    mail: Mail | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the session as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Session:
        """Return the session that `to_json` stored."""
        return cls(
            **{
                **stored,
                "early": [Record(**record) for record in stored["early"]],
                "last": Record(**stored["last"]) if stored["last"] else None,
                "begun": Record(**stored["begun"]) if stored.get("begun") else None,
                "unanswered": [Command(**command) for command in stored["unanswered"]],
                "held": [dict(row) for row in stored["held"]],
                "mail": Mail(**_copied(stored["mail"])) if stored["mail"] else None,
            }
        )

    def take(self, record: Record) -> list[Row]:
        """Return the rows that `record` completes, itself or by letting those go on that waited for it."""
        self.early.append(record)
        rows: list[Row] = []
        while due := self._next_due(is_last=record.event == "-"):
            rows += self._apply(due)
        return rows

    def close(self) -> list[Row]:
        """Return the rows of a session that ends here, or of which no more is awaited."""
        rows: list[Row] = []
        while due := self._next_due(is_last=True):
            rows += self._apply(due)
        return rows if self.is_ended or self.last is None else rows + self._end(self.last)

    def _next_due(self, *, is_last: bool) -> Record | None:
        if not self.early:
            return None
        first = min(self.early, key=lambda record: (record.event == "-", record.number))
        is_due = self.expected is None or first.number <= self.expected
        if not (is_due or is_last or len(self.early) > MOST_WAITING):
            return None
        self.early.remove(first)
        self.expected = max(self.expected or 0, first.number + 1)
        return first

    def _apply(self, record: Record) -> list[Row]:
        if self.last and _is_repeat(record, self.last):
            return []
        self.last = record
        self.connector = record.connector or self.connector
        self.local = record.local or self.local
        self.remote = record.remote or self.remote
        if record.event == "+":
            self.is_whole = True
        elif record.event == "-":
            return self._end(record)
        elif record.event == "*":
            self._learn(record)
        elif record.event == self._command_event(record):
            return self._rest_of_reply() + self._command(record)
        else:
            return self._line_of_reply(record)
        return []

    def _line_of_reply(self, record: Record) -> list[Row]:
        """Take in a reply, or a line of one, which some versions of Exchange write line by line."""
        rows: list[Row] = []
        if self.begun and self.begun.data[:3] == record.data[:3]:
            record = replace(self.begun, data=f"{self.begun.data}\n{record.data}"[:_LONGEST_REPLY])
        else:
            rows = self._rest_of_reply()
        self.begun = record if _BEGUN.match(record.data.rpartition("\n")[2]) else None
        return rows if self.begun else rows + self._reply(record)

    def _rest_of_reply(self) -> list[Row]:
        begun, self.begun = self.begun, None
        return self._reply(begun) if begun else []

    def _command_event(self, record: Record) -> str:
        if not self.log:
            is_reply = _CODE.match(record.data) is not None
            self.log = SEND if is_reply == (record.event == "<") else RECEIVE
        return ">" if self.log == SEND else "<"

    def _learn(self, record: Record) -> None:
        if sending := _SENDING.match(record.context):
            self.message_id = sending[1].strip()[:998]
        elif self.log == RECEIVE and (name := _USER_NAME.match(record.context)):
            self.user = name[1].strip().lower() if name[1].strip() != "NULL" else None
        elif self.log == RECEIVE and (failed := _FAILED.match(record.context)):
            self.why = failed[1]
        elif self.log == RECEIVE and record.context.lower() == "authenticated":
            self.user = record.data.lower() or self.user

    def _command(self, record: Record) -> list[Row]:
        verb, _, argument = record.data.partition(" ")
        verb, rows = verb.upper(), list[Row]()
        if verb == UNREAD and self._is_in_exchange():
            return []
        if verb in {"EHLO", "HELO"}:
            self.client_name = argument.strip()[:255] or None
        elif verb in _LOG_IN:
            self.mechanism, self.log_in, self.user, self.why = argument.upper() or UNREAD, None, None, None
        elif verb.startswith("XPROXY"):
            self._pass_on(verb, dict(_PROXIED.findall(argument)))
        elif verb == "MAIL":
            rows = self._begin_mail(record, argument)
        elif verb == "RCPT":
            self._this_mail(record).recipients.append(_address(argument) or "")
        elif verb in {"DATA", "BDAT"}:
            self._this_mail(record).has_data = True
            verb = "CHUNK" if verb == "BDAT" and not argument.upper().endswith("LAST") else verb
        elif verb == "QUIT":
            rows = self._release(None)
        self.unanswered.append(Command(verb, len(self.mail.recipients) - 1 if self.mail else -1))
        return rows

    def _pass_on(self, verb: str, parts: dict[str, str]) -> None:
        """Learn for whom a front end speaks, or to which port it is to go on."""
        parts = {name.upper(): value for name, value in parts.items()}
        if verb == "XPROXYTO":
            self.remote_port = parts.get("PORT") or self.remote_port
        elif self.log == RECEIVE and "IP" in parts:
            self.device = parts["IP"].strip("[]").lower().removeprefix("ipv6:")
            self.client_name, self.user = parts.get("DOMAIN"), None
            self.mechanism = None if parts.get("AUTHSRC", "").lower() == "anonymous" else UNREAD

    def _is_in_exchange(self) -> bool:
        return any(command.verb in {*_LOG_IN, "DATA"} for command in self.unanswered)

    def _begin_mail(self, record: Record, argument: str) -> list[Row]:
        rows = self._settle(record, self._stage_reached(), "unknown")
        size = _SIZE.search(argument)
        self.mail = Mail(record.number, _address(argument), int(size[1]) if size else None, self.message_id)
        self.message_id = None
        return rows + self._release(self.mail)

    def _this_mail(self, record: Record) -> Mail:
        if self.mail is None:
            self.mail = Mail(record.number, message_id=self.message_id)
        return self.mail

    def _reply(self, record: Record) -> list[Row]:
        code = _CODE.match(record.data)
        if code is None:
            return []
        is_known, command = self._answered(code[1], record.data)
        if not is_known or code[1].startswith("3"):
            return []
        if command and command.verb == "XPROXYTO" and not code[1].startswith("2"):
            return [self._passed_back(record)]
        reply = read_reply(record.data, self._service())
        if command is None:
            return self._unasked(record, reply)
        return (
            self._accepted(command, record, reply) if code[1].startswith("2") else self._refused(command, record, reply)
        )

    def _answered(self, code: str, text: str) -> tuple[bool, Command | None]:
        """Return whether the answer has an owner at all, and the command it answers, which leaves the queue."""
        owners = _ONLY_FOR.get(code) or next(
            (verbs for start, verbs in _RATHER_FOR.items() if text.startswith(start)), ()
        )
        place = next((place for place, command in enumerate(self.unanswered) if command.verb in owners), None)
        if place is None and code in _ONLY_FOR:
            return False, None
        del self.unanswered[: place or 0]
        if code.startswith("3"):
            return True, None
        return True, self.unanswered.pop(0) if self.unanswered else None

    def _unasked(self, record: Record, reply: Reply) -> list[Row]:
        """Read an answer that no command waits for: the banner, or a server that hangs up."""
        is_first = self.banner is None and self.client_name is None
        if reply.code == 220:
            if is_first and (banner := _BANNER.match(record.data)):
                self.banner, self.is_whole = banner[1].lower(), True
            return []
        if (reply.code or 0) < 400:
            return []
        if self.mail and not self.mail.is_over:
            return self._settle(record, self._stage_reached(), _outcome(reply), reply)
        if not is_first:
            return []
        stage = "connect" if self.is_whole else "unknown"  # the log begins in mid-session, behind the command
        return [self._row(record, stage, _outcome(reply), reply)]

    def _accepted(self, command: Command, record: Record, reply: Reply) -> list[Row]:
        if command.verb in _LOG_IN:
            self.log_in = "accepted"
            return self._signin(record, "accepted", None) if command.verb == "AUTH" else []
        if command.verb == "XPROXYTO":
            self._go_on_to(dict(_TARGET.findall(record.data)))
        elif command.verb in {"DATA", "BDAT"}:
            return self._settle(record, "data", "accepted", reply)
        elif command.verb == "RSET":
            return self._settle(record, self._stage_reached(), "unknown")
        return []

    def _refused(self, command: Command, record: Record, reply: Reply) -> list[Row]:
        stage, code = _STAGES.get(command.verb), reply.code or 0
        if stage is None or (stage == "connect" and 500 <= code <= 504):
            return []  # a server without EHLO is greeted again with HELO
        if stage == "auth":
            self.log_in = "refused"
            self.held.append(self._row(record, stage, _outcome(reply), reply))
            is_log_in = command.verb == "AUTH" and code not in _NO_LOG_IN
            return self._signin(record, "rejected", reply) if is_log_in else []
        if stage in {"connect", "tls"}:
            return [self._row(record, stage, _outcome(reply), reply)]
        if command.verb == "RCPT" and code != 421:
            return self._refuse_one(command.recipient, record, reply)
        return self._settle(record, stage, _outcome(reply), reply)

    def _go_on_to(self, target: dict[str, str]) -> None:
        """From here on another server answers, to which a front end passes the session on; nobody tells its log-in."""
        target = {name.upper(): value for name, value in target.items()}
        if not target:
            return
        self.banner = target.get("HOSTNAME", "").rstrip(".").lower() or None
        ip = target.get("IPADDRESS", "").strip("[]")
        self.passed_to = f"[{ip}]:{self.remote_port}" if ip and self.remote_port else ip or None
        self.mechanism, self.log_in = UNREAD, None

    def _passed_back(self, record: Record) -> Row:
        """Return the answer of the server that a front end was to pass the session on to."""
        reason = reason_of(record.data)
        service = service_of(reason.endpoint) if reason.endpoint else None
        reply = read_reply(reason.text, service)
        self.mechanism = UNREAD
        row = self._row(record, "unknown", _outcome(read_reply(record.data, OTHER)), reply)
        return row | {
            "endpoint": reason.endpoint,
            "endpoint_ip": reason.ip,
            "endpoint_port": reason.port,
            "service": service,
            "auth_protocol": "basic" if reply.reply_class in _BASIC_REFUSED else "unknown",
        }

    def _signin(self, record: Record, outcome: str, reply: Reply | None) -> list[Row]:
        """Return the log-in of a device at one's own server; what other servers answer is no log-in of a device."""
        if self.log != RECEIVE:
            return []
        peers = self._peers()
        return [
            {
                "table": "signins",
                "event_time": record.time,
                "user": self.user,
                "client_ip": peers["client_ip"],
                "client_name": peers["client_name"],
                "client_app": "SMTP",
                "auth_protocol": protocol_of(self.mechanism),
                "auth_mechanism": self.mechanism if self.mechanism != UNREAD else None,
                "service": "own_relay",
                "outcome": outcome,
                "error_code": str(reply.code) if reply and reply.code else None,
                "error_text": self.why or (reply.text if reply else None),
                "log_host": peers["log_host"],
                "origin_offset": record.offset,
                "event_id": self._event_id(record, "signin"),
            }
        ]

    def _refuse_one(self, place: int, record: Record, reply: Reply) -> list[Row]:
        if self.mail is None or self.mail.is_over:
            return []  # 503 for a recipient that was pipelined behind a refused sender: said already
        self.mail.refused.append(place)
        row = self._row(record, "rcpt_to", _outcome(reply), reply)
        return [self._mail_row(row, record, self.mail, place)]

    def _settle(self, record: Record, stage: str, outcome: str, reply: Reply | None = None) -> list[Row]:
        """Return one row for each recipient whose fate was open; what comes later of this mail says nothing new."""
        mail = self.mail
        if mail is None or mail.is_over:
            return []
        mail.is_over = True
        if mail.message_id is None and outcome == "accepted" and (queued := _QUEUED.match(record.data)):
            mail.message_id = queued[1]
        row = self._row(record, stage, outcome, reply)
        return [self._mail_row(row, record, mail, place) for place in mail.open()]

    def _stage_reached(self) -> str:
        if self.mail and self.mail.has_data:
            return "data"
        return _STAGES.get(self.unanswered[0].verb, "unknown") if self.unanswered else "unknown"

    def _release(self, mail: Mail | None) -> list[Row]:
        """Return the refusals at AUTH that were held, with what `mail` tells of the sender."""
        sender, message_id = (mail.sender, mail.message_id) if mail else (None, self.message_id)
        rows = [row | {"sender": sender, "message_id": message_id} for row in self.held]
        self.held = []
        return rows

    def _end(self, record: Record) -> list[Row]:
        rows = [*self._rest_of_reply(), *self._release(None)]
        if any(command.verb in _LOG_IN for command in self.unanswered):
            rows.append(self._row(record, "auth", "rejected" if self.why else "unknown", None))
            rows += self._signin(record, "rejected", None) if self.why else []
        rows += self._settle(record, self._stage_reached(), "unknown")
        self.unanswered, self.is_ended = [], True
        return rows

    def _service(self) -> str | None:
        """Return whose server answers, or None when the log does not tell; one's own is never Microsoft's."""
        if self.log == RECEIVE:
            return OTHER
        return service_of(self.banner) if self.banner else None

    def _protocol(self, outcome: str) -> str:
        if self.mechanism is None:
            return "none" if self.is_whole else "unknown"
        if self.log_in == "refused" and outcome == "accepted":
            return "none"  # the log-in failed, and the mail was taken without one
        return protocol_of(self.mechanism)

    def _row(self, record: Record, stage: str, outcome: str, reply: Reply | None) -> Row:
        """Return a row about the session, before any mail."""
        protocol = self._protocol(outcome)
        is_logged_in = protocol != "none"
        return {
            "event_time": record.time,
            "kind": "try",
            "client_user": self.user if is_logged_in else None,
            "auth_protocol": protocol,
            "auth_mechanism": self.mechanism if is_logged_in and self.mechanism != UNREAD else None,
            "stage": stage,
            "outcome": outcome,
            "session_id": self.id,
            "origin_offset": record.offset,
            "event_id": self._event_id(record, stage),
            **self._peers(),
            **_said(reply),
            **self._told_by(reply, protocol),
        }

    def _told_by(self, reply: Reply | None, protocol: str) -> Row:
        """Return what a reply tells where the commands before it do not: whose it is, and that it is about Basic."""
        if reply is None or self.log == RECEIVE:
            return {}
        signed = service_of(signer_of(reply.text)) if self.banner is None else OTHER
        is_basic = protocol == "unknown" and reply.reply_class in _BASIC_REFUSED
        return {
            **({"service": signed} if is_microsoft(signed) else {}),
            **({"auth_protocol": "basic"} if is_basic else {}),
        }

    def _mail_row(self, row: Row, record: Record, mail: Mail, place: int | None) -> Row:
        recipient = mail.recipient_at(place)
        return row | {
            "sender": mail.sender,
            "recipient": recipient,
            "message_id": mail.message_id,
            "size_bytes": mail.size_bytes,
            "event_id": self._event_id(record, row["stage"], mail.number, place, recipient),
        }

    def _event_id(self, record: Record, *parts: object) -> str:
        return event_id_of(self.log, self.connector, self.id, record.number, record.time, *parts)

    def _peers(self) -> Row:
        is_own = self.log == RECEIVE
        ip, port = _ip_and_port(self.local if is_own else self.passed_to or self.remote)
        host, backslash, _ = self.connector.partition("\\")
        return {
            "log_host": host.lower() if is_own and backslash else None,
            "client_ip": (self.device or _ip_and_port(self.remote)[0]) if is_own else None,
            "client_name": self.client_name if is_own else None,
            "endpoint": self.banner,
            "endpoint_ip": ip,
            "endpoint_port": port,
            "service": self._service(),
        }


def _copied(mail: dict[str, Any]) -> dict[str, Any]:
    return {**mail, "recipients": list(mail["recipients"]), "refused": list(mail["refused"])}


def _is_repeat(record: Record, last: Record) -> bool:
    return (record.number, record.event, record.data, record.context) == (
        last.number,
        last.event,
        last.data,
        last.context,
    )


def _said(reply: Reply | None) -> Row:
    if reply is None:
        return {}
    return {
        "reply_code": reply.code,
        "enhanced_code": reply.enhanced,
        "reply_text": reply.text,
        "reply_class": reply.reply_class,
        "request_id": reply.request_id,
    }


def _outcome(reply: Reply) -> str:
    return "deferred" if (reply.code or 0) < 500 else "rejected"


def _address(argument: str) -> str | None:
    path = _PATH.search(argument)
    if path is None:
        return None
    return (path[1] if path[1] is not None else path[2]).lower()


def _ip_and_port(endpoint: str) -> tuple[str | None, int | None]:
    found = _ENDPOINT.fullmatch(endpoint.strip())
    if found is None:
        return endpoint.strip().lower() or None, None
    return (found[1] or found[2]).lower(), int(found[3])
