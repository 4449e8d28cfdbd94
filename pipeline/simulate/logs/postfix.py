"""
Postfix's lines in a relay's syslog.

Times are local with their offset (rsyslog's own format) or, where the relay writes the old format, UTC without a year.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pipeline.simulate.cloud import REFUSED
from pipeline.simulate.dice import Dice
from pipeline.simulate.ledger import Attempt
from pipeline.simulate.moments import iso_local, syslog
from pipeline.simulate.world import Relay

FILE = "mail.log"
MX = "contoso-example.mail.protection.outlook.com"

_IPS = ("198.51.100.2", "198.51.100.3", "198.51.100.4", "2001:db8:25::26")
_LONG = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"


def stamp(relay: Relay, moment: int) -> str:
    """Return the time as the relay's syslog writes it."""
    return syslog(moment) if relay.stamps == "syslog" else iso_local(moment, relay.site.zone)


class Writer:
    """Writes the lines of one relay; `lines` are (moment, text)."""

    def __init__(self, relay: Relay, dice: Dice) -> None:
        self._relay = relay
        self._dice = Dice(dice.hex(16))
        self._zone: ZoneInfo = relay.site.zone
        self._pids = {name: self._dice.randrange(900, 30_000) for name in ("smtpd", "cleanup", "qmgr", "smtp", "error")}
        self.lines: list[tuple[int, str]] = []

    def queue_id(self) -> str:
        """Return a queue id: long ones are in order of time, short ones look random."""
        if not self._relay.long_ids:
            return self._dice.hex(11).upper()
        return "4" + "".join(self._dice.choices(_LONG, k=9)) + "z" + "".join(self._dice.choices(_LONG, k=4))

    def _say(self, moment: int, daemon: str, text: str) -> None:
        key = daemon.rsplit("/", maxsplit=1)[-1]
        pid = self._pids.setdefault(key, self._dice.randrange(900, 30_000))
        if self._dice.chance(0.02):
            self._pids[key] = self._dice.randrange(900, 30_000)
        head = f"{stamp(self._relay, moment)} {self._relay.host} {self._relay.tag}/{daemon}[{pid}]: "
        self.lines.append((moment, head + text))

    def begin(self, moment: int, attempt: Attempt, id: str, *, is_new: bool) -> None:
        """Write how a mail comes in, or comes out of the deferred queue."""
        wanted = attempt.wanted
        if is_new:
            client = f"unknown[{attempt.device_ip}]"
            daemon, login = "smtpd", ""
            if self._relay.knows_devices:
                daemon, login = "submission/smtpd", f", sasl_method=LOGIN, sasl_username={attempt.device.lower()}"
            self._say(moment, daemon, f"{id}: client={client}{login}")
            if self._relay.logs_subjects:
                self._say(moment, "cleanup", f"{id}: {self._subject(attempt, client)}")
            self._say(moment, "cleanup", f"{id}: message-id=<{wanted.message_id}>")
        count = len(wanted.recipients)
        self._say(moment, "qmgr", f"{id}: from=<{attempt.sender}>, size={wanted.size}, nrcpt={count} (queue active)")

    @staticmethod
    def _subject(attempt: Attempt, client: str) -> str:
        return (
            f"info: header Subject: {attempt.wanted.subject} from {client}; from=<{attempt.sender}> "
            f"to=<{attempt.wanted.recipients[0]}> proto=ESMTP helo=<{attempt.helo}>"
        )

    def _server(self, way: str) -> tuple[str, str, int]:
        ip = self._dice.choice(_IPS)
        return (MX, ip, 25) if way == "connector" else (self._relay.endpoint, ip, 587)

    def sent(self, moment: int, attempt: Attempt, id: str) -> None:
        """Write that a mail was taken."""
        host, ip, port = self._server(attempt.way)
        for recipient in attempt.wanted.recipients:
            told = f"dsn=2.0.0, status=sent ({attempt.answer.text})"
            self._say(moment + 900, "smtp", self._line(id, recipient, f"{host}[{ip}]:{port}", attempt, told))
        self._say(moment + 901, "qmgr", f"{id}: removed")

    def _line(self, id: str, recipient: str, server: str, attempt: Attempt, told: str) -> str:
        age = (attempt.at - attempt.wanted.at) / 1000 + self._dice.uniform(0.1, 3)
        delay = f"{age:.2g}" if age < 10 else f"{age:.0f}"
        parts = f"{delay}/0.01/{self._dice.uniform(0.02, 0.9):.2f}/0"
        return f"{id}: to=<{recipient}>, relay={server}, delay={delay}, delays={parts}, {told}"

    def put_off(self, moment: int, attempt: Attempt, id: str, *, is_echo: bool, is_lost: bool) -> None:
        """Write that a mail was refused or put off, or that it is held back because another one was (`is_echo`)."""
        text = attempt.answer.text
        host, ip, port = self._server(attempt.way)
        code = text.split(" ", 2)[1]
        dsn = f"4{code[1:]}" if not is_lost else code
        status = "bounced" if is_lost else "deferred"
        if attempt.answer.kind == REFUSED:
            reason = text if is_echo else f"SASL authentication failed; server {host}[{ip}] said: {text}"
        else:
            command = {"data": "end of DATA", "mail_from": "MAIL FROM"}[attempt.answer.stage]
            reason = f"host {host}[{ip}] said: {text} (in reply to {command} command)"
        if is_echo:
            reason = f"delivery temporarily suspended: SASL authentication failed; server {host}[{ip}] said: {text}"
        server, daemon = ("none", "error") if is_echo else (f"{host}[{ip}]:{port}", "smtp")
        for recipient in attempt.wanted.recipients:
            self._say(
                moment + 5, daemon, self._line(id, recipient, server, attempt, f"dsn={dsn}, status={status} ({reason})")
            )

    def end(self, moment: int, attempt: Attempt, id: str, *, is_expired: bool) -> None:
        """Write that a mail was given up."""
        if is_expired:
            self._say(moment + 6, "qmgr", f"{id}: from=<{attempt.sender}>, status=expired, returned to sender")
        bounce = self.queue_id()
        self._say(moment + 7, "bounce", f"{id}: sender non-delivery notification: {bounce}")
        self._say(moment + 8, "qmgr", f"{id}: removed")

    def to_a_partner(
        self, moment: int, sender: str, subject: str, told: tuple[str, str, str, str]
    ) -> list[tuple[int, str]]:
        """Return the lines of a mail to another organisation's server, which refuses it where `told` has words."""
        host, words, command, code = told
        id, recipient = self.queue_id(), f"office@{host.removeprefix('mx.')}"
        client = "unknown[192.0.2.251]"
        self._say(moment, "smtpd", f"{id}: client={client}")
        quoted = f"from=<{sender}> to=<{recipient}> proto=ESMTP helo=<pc>"
        self._say(moment, "cleanup", f"{id}: info: header Subject: {subject} from {client}; {quoted}")
        self._say(moment, "cleanup", f"{id}: message-id=<{self._dice.hex(12)}@contoso.example>")
        self._say(moment, "qmgr", f"{id}: from=<{sender}>, size=2048, nrcpt=1 (queue active)")
        fate = "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued)"
        if words:
            fate = (
                f"dsn={code}, status=bounced (host {host}[203.0.113.241] said: {words} (in reply to {command} command))"
            )
        line = f"{id}: to=<{recipient}>, relay={host}[203.0.113.241]:25, delay=0.4, delays=0.1/0/0.1/0.2, {fate}"
        self._say(moment + 400, "smtp", line)
        self._say(moment + 401, "qmgr", f"{id}: removed")
        return self.lines
