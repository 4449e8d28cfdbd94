"""
Read the header in front of a syslog line: RFC 3164 (no year, no zone), ISO time stamps, and RFC 5424.

rsyslog, syslog-ng, journald's `short` outputs and Postfix's own `maillog_file` all write one of these, with or without
`<PRI>`. RFC 5424 cuts the program name at its slash (`postfix-o365` for `postfix-o365/smtp`), so a format must know
its lines by their grammar and not by the daemon. A relaying syslog cuts the tag at 32 characters, brackets and all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

_ISO = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_YEAR_LESS = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"
_STAMP_AND_HOST = rb"(" + _ISO + rb"|" + _YEAR_LESS + rb") (\S+) "
_PLAIN = re.compile(rb"(?:<\d{1,3}>)?" + _STAMP_AND_HOST + rb"([^\s:\[]*)\S*(?: (.*))?", re.DOTALL)
_STRUCTURED_DATA = rb"(?:-|(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])+)"
_BYTE_ORDER_MARK = rb"(?:\xef\xbb\xbf)?"
_RFC5424 = re.compile(
    rb"<\d{1,3}>\d{1,2} "
    + _STAMP_AND_HOST
    + rb"(\S+) \S+ \S+ "
    + _STRUCTURED_DATA
    + rb"(?: ?"
    + _BYTE_ORDER_MARK
    + rb" ?(.*))?",
    re.DOTALL,
)
_MONTH_NAMES = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
_BSD_STAMP_LENGTH = len("Nov 23 18:24:22")
_MOST_SEEN = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """One syslog line taken apart; `time` is UTC."""

    time: datetime
    host: str
    tag: bytes
    message: bytes


@dataclass(slots=True)
class Headers:
    """
    Reads headers of one log; remembers the last stamps, because most lines share theirs with a neighbour.

    `as_of` is when the log was last written. A stamp without a year gets the newest year that is not later than that
    (give a day for clocks and zones), so a log of December that is read in January keeps its year.
    """

    as_of: datetime
    zone: tzinfo = UTC
    _seen: dict[bytes, datetime] = field(default_factory=dict)
    _hosts: dict[bytes, str] = field(default_factory=dict)

    def read(self, line: bytes) -> Line | None:
        """Return `line` taken apart, or None where there is no syslog header or it names an impossible time."""
        match = (_RFC5424.fullmatch(line) if line[:1] == b"<" else None) or _PLAIN.fullmatch(line)
        if match is None:
            return None
        stamp, host, tag, message = match.groups()
        time = self._seen.get(stamp) or self._time(stamp)
        if time is None:
            return None
        return Line(time, self._hosts.get(host) or self._host(host), tag, message or b"")

    def _host(self, name: bytes) -> str:
        return self._hosts.setdefault(name, name.decode("utf-8", "replace").lower())

    def _time(self, stamp: bytes) -> datetime | None:
        if len(self._seen) > _MOST_SEEN:
            self._seen.clear()
        try:
            time = self._iso(stamp) if stamp[:1].isdigit() else self._year_less(stamp)
        except (ValueError, OverflowError):  # no such day, or beyond the years that Python counts
            return None
        self._seen[stamp] = time
        return time

    def _iso(self, stamp: bytes) -> datetime:
        time = datetime.fromisoformat(stamp.decode("ascii").replace(",", "."))
        return (time if time.tzinfo else time.replace(tzinfo=self.zone)).astimezone(UTC)

    def _year_less(self, stamp: bytes) -> datetime:
        month = _MONTHS.get(stamp[:3])
        if month is None:
            raise ValueError("no such month")
        hour, minute, second = (int(part) for part in stamp[7:_BSD_STAMP_LENGTH].split(b":"))
        fraction = stamp[_BSD_STAMP_LENGTH + 1 :]
        micro = int(fraction.ljust(6, b"0")[:6]) if fraction else 0
        latest = self.as_of + timedelta(days=1)
        for year in _years_back_from(latest.year):
            try:
                local = datetime(year, month, int(stamp[4:6]), hour, minute, second, micro, tzinfo=self.zone)
            except ValueError:
                continue  # 29 February needs a leap year
            if local <= latest:
                return local.astimezone(UTC)
        raise ValueError("no such day in any year")


def _years_back_from(year: int) -> range:
    # Eight years reach over a century that is no leap year.
    return range(year, max(year - 9, 0), -1)
