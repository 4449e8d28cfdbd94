"""
Lines that a collector has wrapped: what a container or a log shipper puts around each line of another log.

As text, Kubernetes' `TIME stdout F …`, Docker Compose's `name-1  | …`, the name of the file that `grep` sets before
what it found, Kiwi's columns, Fluentd's tag, a syslog whose message is a line of another (Docker's driver for it),
and a time in front of a line that has its own; as one JSON object a line, Docker's `{"log": …, "stream": …}`, and the
events of Filebeat, Fluent Bit, Loki, Splunk, CloudWatch or Graylog, each of which names the wrapped line its own way.
One may stand in another. The line inside is read by the carrier that fits it, as if nobody had wrapped it; where it
tells no time or host, the envelope's count.

What a reader could not guess:
- The envelope's time is when the line was collected, which may be long after it was written, so the line's own goes
  before it; but no line inside is newer, which gives a time without a year its year.
- A mail program in a container often has no syslog: its lines begin with `name[pid]: `.
- Objects of an application's own logger are no envelopes: they say it in many fields (`json_lines`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any, NamedTuple

from pipeline.carriers import exim_mainlog, msmtp_log, syslog
from pipeline.json_fields import Fields, fields_in, since_1970
from pipeline.kinds import find, known
from pipeline.lines import Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

_CARRIERS = "pipeline.carriers"
_NOT_INSIDE = {"envelope", "journal_export", "journal_json", "journal_verbose", "plain"}  # not one record a line
_ISO = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_ANY_ISO = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
_BSD = rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
_STAMPED = rb"(?:<\d{1,3}>|" + _BSD + rb"|" + _ISO + rb" )"
_HEADED = rb"(?:" + _STAMPED + rb"|[\w./-]{1,48}\[\d{1,10}\]: )"
_COLOUR = rb"(?:\x1b\[[\d;]{0,9}m)?"
_TEXT = tuple(
    re.compile(form, re.DOTALL)
    for form in (
        rb"(?P<time>" + _ISO + rb") std(?:out|err) [FP] (?P<said>.*)",
        _COLOUR + rb"(?P<host>[A-Za-z0-9][\w.-]{0,62}) {0,30}\|" + _COLOUR + rb" (?P<said>.*)",
        rb"\[pod/[^\]\s]{1,300}\] (?:(?P<time>" + _ISO + rb") )?(?P<said>.*)",
        rb"(?P<time>" + _ANY_ISO + rb")\t(?P<level>[A-Z]\w{1,10}\.[A-Z]\w{1,10})\t(?P<host>\S{1,255})\t(?P<said>.*)",
        rb"(?P<time>" + _ANY_ISO + rb")[\t ][\w.-]{1,100}(?:\t|: )(?P<said>\{\".*)",
        rb"@cee: ?(?P<said>\{\".*)",
        rb"(?P<time>" + _ISO + rb") (?P<said>" + _HEADED + rb".*)",
        rb"(?P<time>" + _ISO + rb") (?:\{[^{}]{0,500}\}|[^\s\[\]:]{1,200}) (?P<said>" + _STAMPED + rb".*)",
        rb"(?:<\d{1,3}>)?(?:" + _BSD + rb"|" + _ISO + rb" )(?P<host>[\w.-]{1,100}) (?:docker|podman)?[\w./-]{1,100}"
        rb"\[\d{1,10}\]: (?P<said>" + _HEADED + rb".*)",
        rb"(?:[\w./~+-]{1,200}[:-])?(?:\d{1,9}[:-])?(?P<said>" + _BSD + rb".*|" + _ISO + rb" .*)",
    )
)
_LINES = (
    "raw", "event.original", "full_message", "log", "message", "msg", "short_message", "line", "event", "event.line",
    "body", "textpayload",
)  # fmt: skip
_TIMES = ("@timestamp", "time", "timestamp", "date", "ts")
_HOSTS = ("host", "hostname", "host.name", "host.hostname", "source_host")
_NAMED = re.compile(rb"(?P<tag>[A-Za-z][\w./@-]{0,47})\[(?P<pid>\d{1,10})\]: (?P<said>.*)", re.DOTALL)
_MOST_LOOKED_AT = 200
_MOST_LAYERS = 3


class Envelope(NamedTuple):
    """One line taken out of what was around it; `stamp` is the envelope's time as it is written."""

    said: bytes
    stamp: bytes = b""
    host: str | None = None


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` are wrapped, as far as they tell of a mail program or a container."""
    raws = [raw for raw in head.splitlines() if raw.strip()][:_MOST_LOOKED_AT]
    return bool(raws) and 2 * sum(opened(raw) is not None for raw in raws) >= len(raws)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`, taken out of its envelope."""
    raws = [*lines_of(chunk)]
    last = memory.get("last")
    outer = Stamps(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None)
    opens = [Envelope(b"") if too_long(raw) else opened(raw.raw) or Envelope(raw.raw) for raw in raws]
    times = [outer.read(each.stamp) if each.stamp else None for each in opens]
    # A line that only names its program keeps its place among those that the carrier inside reads.
    inside = [b"" if _NAMED.fullmatch(each.said) else each.said for each in opens]
    body = b"".join(line + b"\n" for line in inside)
    carrier = _carrier_inside(body, memory)
    newest = max((time for time in times if time), default=None)
    within = replace(chunk, body=body, offset=0, as_of=newest + timedelta(minutes=1) if newest else chunk.as_of)
    found = carrier.records(within, memory.setdefault("inside", {}))
    for raw, each, time, line in zip(raws, opens, times, found, strict=True):
        yield _told(raw, each, time, line)
    if outer.last:
        memory["last"] = outer.last.isoformat()


def opened(raw: bytes) -> Envelope | None:
    """Return the line that is wrapped in `raw`, however often, or None where nobody wrapped one."""
    found = _opened(raw)
    for _ in range(_MOST_LAYERS):
        inner = _opened(found.said) if found else None
        if found is None or inner is None:
            break
        found = Envelope(inner.said, inner.stamp or found.stamp, inner.host or found.host)
    return found


def _opened(raw: bytes) -> Envelope | None:
    if raw[:1] == b"{":
        return _opened_object(raw)
    match = next((match for form in _TEXT if (match := form.fullmatch(raw))), None)
    if match is None or match["said"] == raw:
        return None
    parts = match.groupdict()
    return Envelope(match["said"], parts.get("time") or b"", _name_of(parts.get("host")))


def _name_of(host: bytes | None) -> str | None:
    return host.decode("ascii", "replace").lower() if host else None


def _opened_object(raw: bytes) -> Envelope | None:
    fields = fields_in(raw)
    if fields is None:
        return None
    is_of_a_container = "log" in fields and "stream" in fields
    said = (_one_line(value) for name in _LINES if isinstance(value := fields.get(name), str) and value.strip())
    line = next((line for line in said if is_of_a_container or _is_of_a_mail_log(line)), None)
    return Envelope(line, _stamp(fields), _host(fields)) if line is not None else None


def _one_line(text: str) -> bytes:
    return text.strip("\r\n").replace("\n", " ").encode("utf-8", "replace")


def _is_of_a_mail_log(line: bytes) -> bool:
    """Return whether `line` has a header of its own, where an application's message has none."""
    return (
        _NAMED.fullmatch(line) is not None
        or syslog.looks_like(line)
        or exim_mainlog.looks_like(line)
        or msmtp_log.looks_like(line)
    )


def _stamp(fields: Fields) -> bytes:
    for name in _TIMES:
        value = fields.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()[:60].encode("ascii", "replace")
        if isinstance(value, (int, float)) and not isinstance(value, bool) and (time := since_1970(value)):
            return time.isoformat().encode()
    return b""


def _host(fields: Fields) -> str | None:
    values = (fields.get(name) for name in _HOSTS)
    return next((host.strip().lower()[:255] for host in values if isinstance(host, str) and host.strip()), None)


def _carrier_inside(body: bytes, memory: dict[str, Any]) -> ModuleType:
    """Return the carrier of the lines inside; one that was told by an earlier read stays."""
    names = [name for name in known(_CARRIERS) if name not in _NOT_INSIDE]
    name = next((name for name in names if find(_CARRIERS, name).looks_like(body)), None)
    memory["carrier"] = name or memory.get("carrier") or "plain"
    return find(_CARRIERS, memory["carrier"])


def _told(raw: RawLine, outer: Envelope, time: datetime | None, line: Line | Reject | None) -> Line | Reject | None:
    if long := too_long(raw):
        return long
    if named := _NAMED.fullmatch(outer.said):
        return Line(time, outer.host, named["tag"], named["pid"], named["said"], raw.raw, raw.offset, raw.is_ended)
    if line is None:
        return None
    if isinstance(line, Reject):
        return Reject(raw.raw, raw.offset, line.reason)
    own = None if line.is_bare and time else line.time
    return line._replace(
        time=own or time, host=line.host or outer.host, raw=raw.raw, offset=raw.offset, is_ended=raw.is_ended
    )
