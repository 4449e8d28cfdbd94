"""
Syslog as text, one line a record: RFC 3164 (no year, no zone), ISO time stamps, RFC 5424, and what others make of them:
a year before the month, behind the day or behind the time, a weekday, journald's zone, seconds since 1970 or since the
machine started (which tells no time), the facility before or behind the host, syslog-ng's chain of hosts, Solaris'
message number, or no host at all.

rsyslog, syslog-ng, journald's `short` outputs and Postfix's own `maillog_file` all write one of these, with or without
`<PRI>`. RFC 5424 cuts the program name at its slash (`postfix-o365` for `postfix-o365/smtp`), so a format must know
its lines by their grammar and not by the daemon. A relaying syslog cuts the tag at 32 characters, brackets and all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from pipeline.lines import Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

_ISO = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_YEAR_LESS = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"
_CLOCK = rb"\d\d:\d\d:\d\d(?:\.\d+)?"
_ZONE = rb"(?:[A-Z][A-Za-z0-9+-]{1,5}|[+-]\d\d(?::?\d\d)?)"
_RARE = b"|".join(
    (
        rb"[A-Z][a-z]{2} [ \d]\d \d{4},? " + _CLOCK,
        rb"(?:[A-Z][a-z]{2} )?[A-Z][a-z]{2} [ \d]\d " + _CLOCK + rb" (?:[A-Z]{3,4} )?\d{4}",
        rb"\d{4} [A-Z][a-z]{2} [ \d]\d " + _CLOCK,
        rb"\d{4}/\d\d/\d\d " + _CLOCK,
        rb"\d{10}\.\d{1,9}",
        rb"[A-Z][a-z]{2} " + _ISO + rb" " + _ZONE,
        rb"\d{4}-\d\d-\d\d " + _CLOCK + rb" [+-]\d\d:?\d\d",
        rb"\[ {0,9}\d{1,9}\.\d{1,9}(?: <[ \d.]{1,20}>)?\]",
    )
)
_USUAL = _ISO + rb"(?! [+-]\d)|" + _YEAR_LESS + rb"(?! (?:[A-Z]{3,4} )?\d{4} )"
_BEFORE_HOST = rb"(?:<[a-z0-9]{1,8}\.[a-z0-9]{1,8}> )?"  # FreeBSD's facility and level
_STAMP_AND_HOST = rb"(" + _USUAL + rb"|" + _RARE + rb"):? {1,2}" + _BEFORE_HOST + rb"(\S+) "
_PLAIN = re.compile(rb"(?:<\d{1,3}>)?" + _STAMP_AND_HOST + rb"([^\s:\[]*)(?:\[([^\s\]]*)\])?\S*(?: (.*))?", re.DOTALL)
_STRUCTURED_DATA = rb"(?:-|(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])+)"
_BYTE_ORDER_MARK = rb"(?:\xef\xbb\xbf)?"
_RFC5424 = re.compile(
    rb"(?:\d{1,5} )?(?:<\d{1,3}>)?\d{1,2} "
    + _STAMP_AND_HOST
    + rb"(\S+) (\S+) \S+ "
    + _STRUCTURED_DATA
    + rb"(?: ?"
    + _BYTE_ORDER_MARK
    + rb" ?(.*))?",
    re.DOTALL,
)
_NAMED = re.compile(rb"([^\s:\[]+)\[([^\s\]]*)\]\S*(?: (.*))?", re.DOTALL)
_FACILITIES = b"kern user mail daemon auth syslog lpr news uucp cron authpriv ftp".split() + [
    b"local%d" % number for number in range(8)
]
_PRIORITIES = b"emerg alert crit err error warn warning notice info debug".split()
_SELECTORS = {*_FACILITIES} | {facility + b"." + priority for facility in _FACILITIES for priority in _PRIORITIES}
_MESSAGE_NUMBER = re.compile(rb"\[ID \d{1,10} \w{1,10}\.\w{1,10}\] ")
_HOST = re.compile(r"-|(?=[^a-z]*[a-z]|[\d.]+\Z|[\da-f:]*:)[a-z0-9_][a-z0-9_.:-]*[a-z0-9]|[a-z]")
_TAG = re.compile(rb"-?\Z|[\w(/.]")
_LEVELS = {"trace", "debug", "info", "notice", "warn", "warning", "error", "err", "critical", "fatal", "alert"}
_MARK = re.compile(rb"--(?: .*)?\Z", re.DOTALL)  # journalctl sets one between boots, grep between what it found
_ANY_YEAR = datetime(2100, 1, 1, tzinfo=UTC)


class Header(NamedTuple):
    """What a header says, and what stands behind it; `time` is UTC, None where it counts from the machine's start."""

    time: datetime | None
    host: str | None
    tag: bytes
    pid: bytes
    message: bytes


@dataclass(slots=True)
class Headers:
    """Reads the headers of one log; `as_of`, `zone` and `last` are those of Stamps."""

    as_of: datetime
    zone: tzinfo = UTC
    last: datetime | None = None
    stamps: Stamps = field(init=False)
    _hosts: dict[bytes, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stamps = Stamps(self.as_of, self.zone, self.last)

    def read(self, line: bytes) -> Header | None:
        """Return `line` taken apart, or None where there is no syslog header or it names an impossible time."""
        match = _PLAIN.fullmatch(line) or _RFC5424.fullmatch(line)
        if match is None:
            return None
        stamp, host, tag, pid, message = match.groups()
        if host.endswith(b"]:") and (named := _NAMED.fullmatch(line[match.start(2) :])):
            host, (tag, pid, message) = b"", named.groups()  # it is the program's name: there is no host
        elif host in _SELECTORS and b"." in host:
            host = b""
        elif tag in _SELECTORS and pid is None and (named := _NAMED.fullmatch(message or b"")):
            tag, pid, message = named.groups()
        time = self.stamps.read(stamp) if stamp[:1] != b"[" else None
        if time is None and stamp[:1] != b"[":
            return None
        if message and message.startswith(b"[ID ") and (number := _MESSAGE_NUMBER.match(message)):
            message = message[number.end() :]
        return Header(time, self._hosts.get(host) or self._host(host) or None, tag, pid or b"", message or b"")

    def _host(self, name: bytes) -> str:
        # syslog-ng writes each host that passed the line on behind the first, and the source before it.
        first = name.split(b"/", 1)[0].rpartition(b"@")[2]
        text = first.decode("utf-8", "replace").lower().strip("[]")
        return self._hosts.setdefault(name, "" if text == "-" else text)


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` have a syslog header."""
    headers = Headers(as_of=_ANY_YEAR)
    raws = [raw for raw in head.splitlines() if raw.strip()]
    read = sum(
        header is not None and _is_host(header.host) and _TAG.match(header.tag) is not None
        for header in map(headers.read, raws)
    )
    return bool(raws) and 2 * read >= len(raws)


def _is_host(name: str | None) -> bool:
    """Return whether `name` can be a host's, where the log of an application has its level, a thread or a number."""
    return name is None or (_HOST.fullmatch(name) is not None and name not in _LEVELS)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`."""
    last = memory.get("last")
    headers = Headers(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None)
    for raw in lines_of(chunk):
        yield _record(raw, headers)
    if headers.stamps.last and chunk.zone is not UTC:
        memory["last"] = headers.stamps.last.isoformat()


def _record(raw: RawLine, headers: Headers) -> Line | Reject | None:
    if not raw.raw.strip() or (raw.raw[:2] == b"--" and _MARK.match(raw.raw)):
        return None
    if long := too_long(raw):
        return long
    header = headers.read(raw.raw)
    if header is None:
        why = "has no syslog header that we know" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    return Line(*header, raw.raw, raw.offset, raw.is_ended)
