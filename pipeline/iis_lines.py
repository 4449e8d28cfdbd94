"""
One line of a log of IIS' SMTP service, in any of its three text formats, as who said what to whom.

- W3C extended: the columns that `#Fields` names, and any of them may be missing; times are UTC. A date that only the
  header names goes on over midnight.
- NCSA: `address - user [30/Dec/2026:09:00:01 +0100] "VERB target?words SMTP" status bytes`.
- Microsoft IIS: fifteen values between commas, with date and time of the machine in its own locale. A date that can be
  read in both ways is read as m/d/y.

Spaces are written as `+`, other signs as `%xx`. A plus sign of an address is written as it is, so that within angle
brackets it is no space.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import unquote

from pipeline.stamps import Stamps

COMMAND, RESPONSE = "outboundconnectioncommand", "outboundconnectionresponse"

_DIRECTIVE = re.compile(r"#(Fields|Date):[ \t]*(.*)", re.IGNORECASE | re.DOTALL)
_WORDS = ("cs-method", "cs-uri-stem", "cs-uri-query")
_NCSA = re.compile(
    r"(?P<ip>[0-9A-Fa-f.:]{2,60}) \S{1,255} (?P<user>\S{1,255}) \[(?P<time>[^\]]{1,40})\] \"(?P<said>.*)\" "
    r"(?P<status>\d{1,10}|-) (?:\d{1,15}|-)\s*",
    re.DOTALL,
)
_REQUEST = re.compile(r"(?P<verb>\S+)(?: (?P<target>[^?]*)(?:\?(?P<words>.*))?)?", re.DOTALL)
_IIS_VALUES = 15
_IIS = re.compile(r"[0-9A-Fa-f.:]{2,60}, [^,]{1,255}, [^,]{6,10}, [^,]{7,11}, SMTPSVC\d*, ", re.IGNORECASE)
_SHORT_YEAR = re.compile(r"(\d{1,2}[./-]\d{1,2}[./-])(\d\d)")
_PLUS_OR_PATH = re.compile(r"<[^<>]*>|\+")
_BARE_PATH = re.compile(r"((?:FROM|TO):\+*)([^\s<>@]{1,320}@[^\s<>@+]{1,255})", re.IGNORECASE)
_A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Told:
    """
    What one line says: `user` is the name that a client gave itself, or the side that speaks in an outbound connection.

    `time` is None where the log names none. `port` is the server's, ours or the other's.
    """

    user: str
    ip: str
    port: str
    words: str
    status: str
    time: datetime | None
    site: str = ""
    host: str | None = None
    connection: str = ""

    @property
    def is_outbound(self) -> bool:
        """Return whether it is about a connection that this server made."""
        return self.user.lower() in {COMMAND, RESPONSE}


@dataclass(slots=True)
class Reading:
    """Where the reading of one log stands: the columns of its last header, and the times so far."""

    stamps: Stamps
    local: Stamps
    fields: list[str] | None = None
    started: datetime | None = None  # what the last #Date says
    clock: str = ""

    def heading(self, line: str) -> None:
        """Take in a line that begins with #."""
        directive = _DIRECTIVE.fullmatch(line)
        if directive is None:
            return
        if directive[1].lower() == "fields":
            self.fields = directive[2].lower().split()
        else:
            self.started, self.clock = self.stamps.read(directive[2].strip().encode()), ""

    def told(self, line: str) -> Told:
        """Return what `line` says; raise ValueError with a sentence that quotes nothing of it."""
        if ncsa := _NCSA.fullmatch(line):
            return self._ncsa(ncsa)
        return self._iis(line) if _IIS.match(line) else self._w3c(line)

    def _w3c(self, line: str) -> Told:
        if self.fields is None:
            raise ValueError("No #Fields line came before this line, so its columns are not known.")
        values = line.split()
        if len(values) != len(self.fields):
            raise ValueError(f"The line has {len(values)} fields, and the #Fields line names {len(self.fields)}.")
        row = {name: "" if value == "-" else value for name, value in zip(self.fields, values, strict=True)}
        return Told(
            user=row.get("cs-username", ""),
            ip=row.get("c-ip", "").lower(),
            port=row.get("s-port", ""),
            words=plain(" ".join(row[name] for name in _WORDS if row.get(name))),
            status=row.get("sc-status", ""),
            time=self._w3c_time(row.get("date", ""), row.get("time", "")),
            site=row.get("s-sitename", ""),
            host=row.get("s-computername", "").lower() or None,
            connection=row.get("c-port", ""),
        )

    def _w3c_time(self, date: str, clock: str) -> datetime | None:
        if not clock:
            return self.started
        if not date and self.started:
            if clock < self.clock:
                self.started += _A_DAY
            date, self.clock = self.started.date().isoformat(), clock
        return _known(self.stamps.read(f"{date} {clock}".strip().encode()))

    def _ncsa(self, match: re.Match[str]) -> Told:
        said = re.sub(r" SMTP(?:/[\d.]{1,5})?$", "", match["said"])
        request = _REQUEST.fullmatch(said)
        parts = (request["verb"], request["target"] or "-", request["words"] or "-") if request else (said,)
        return Told(
            user=match["user"],
            ip=match["ip"].lower(),
            port="",
            words=plain(" ".join(part for part in parts if part != "-")),
            status=match["status"],
            time=_known(self.stamps.read(match["time"].encode())),
        )

    def _iis(self, line: str) -> Told:
        values = [value.strip() for value in line.split(",", _IIS_VALUES - 1)]
        if len(values) < _IIS_VALUES:
            raise ValueError(f"The line has {len(values)} values between commas, and this format has {_IIS_VALUES}.")
        date = _SHORT_YEAR.sub(r"\g<1>20\2", values[2]) if _SHORT_YEAR.fullmatch(values[2]) else values[2]
        words = [value.removesuffix(",").strip() for value in values[12:]]
        return Told(
            user=values[1],
            ip=values[0].lower(),
            port="",
            words=plain(" ".join(word for word in words if word not in {"-", ""})),
            status=values[10],
            time=self._local_time(date.replace("-", "/") if date[2:3] == "-" else date, values[3]),
            site=values[4],
            host=values[5].lower() or None,
        )

    def _local_time(self, date: str, clock: str) -> datetime:
        stamp = f"{date} {clock}".encode()
        time = self.local.read(stamp)
        if time is None and self.local.is_day_first is None:
            time = Stamps(self.local.as_of, self.local.zone, self.local.last, is_day_first=False).read(stamp)
        return _known(time)


def plain(words: str) -> str:
    """Return `words` with their spaces and signs."""
    bracketed = _BARE_PATH.sub(r"\1<\2>", words)
    spaced = _PLUS_OR_PATH.sub(lambda found: " " if found[0] == "+" else found[0], bracketed)
    return " ".join(unquote(spaced, errors="replace").split())


def _known(time: datetime | None) -> datetime:
    if time is None:
        raise ValueError("The line names no time that there is.")
    return time
