"""
Syslog as JSON, one object a line, as a template of rsyslog or syslog-ng writes it, or a collector that took the header
apart (Filebeat, Vector, Fluentd, Graylog): each names the keys its own way. An object that only wraps a whole line is
an `envelope`.

An application's own logger names its program too, but neither host nor process beside it, and says in many fields what
it has to say (`json_lines`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.json_fields import fields_in, since_1970
from pipeline.lines import Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

_TIMES = ("timereported", "timegenerated", "@timestamp", "timestamp", "time", "isodate", "date")
_HOSTS = (
    "host", "hostname", "host_from", "fromhost", "host.hostname", "host.name", "log.syslog.hostname", "syslog.hostname",
    "labels.hostname", "labels.host", "source",
)  # fmt: skip
_TAGS = (
    "programname", "program", "app-name", "appname", "app_name", "syslogtag", "syslog_identifier", "ident", "tag",
    "application_name", "process.name", "log.syslog.appname", "syslog.appname", "syslog.program",
    "labels.syslog_identifier",
)  # fmt: skip
_PIDS = ("procid", "pid", "process", "process.pid", "process_id", "log.syslog.procid", "syslog.procid", "syslog.pid")
_MESSAGES = ("message", "msg", "log", "short_message", "line")
_LONGEST_NAME = 200


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` are such objects; the last may be cut."""
    raws = [raw for raw in head.splitlines() if raw.strip()][:200]
    read = sum(_is_ours(found) for raw in raws if (found := fields_in(raw)) is not None)
    return bool(read) and 2 * read >= len(raws)


def _is_ours(found: Mapping[str, Any]) -> bool:
    is_placed = _first(found, _HOSTS) or _first(found, _PIDS)
    return bool(is_placed and _first(found, _TAGS) and _first(found, _MESSAGES))


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:  # noqa: ARG001 - keeps nothing
    """Yield each object of `chunk`."""
    stamps = Stamps(chunk.as_of, chunk.zone)
    for raw in lines_of(chunk):
        yield _record(raw, stamps)


def _record(raw: RawLine, stamps: Stamps) -> Line | Reject | None:
    if not raw.raw.strip():
        return None
    if long := too_long(raw):
        return long
    found = fields_in(raw.raw)
    if found is None:
        why = "is no JSON object" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    stamp = _first(found, _TIMES)
    time = stamps.read(_spelt(stamp)) if stamp else None
    if stamp and time is None:
        return Reject(raw.raw, raw.offset, "names no time that we know")
    tag, _, rest = _first(found, _TAGS).partition("[")
    pid = _first(found, _PIDS) or rest.partition("]")[0]
    host = _first(found, _HOSTS).lower()[:_LONGEST_NAME] or None
    message = _first(found, _MESSAGES).encode("utf-8", "replace")
    return Line(
        time, host, tag.rstrip(":").encode("utf-8", "replace"), pid.encode("utf-8", "replace"), message.lstrip(b" "),
        raw.raw, raw.offset, raw.is_ended,
    )  # fmt: skip


def _first(found: Mapping[str, Any], names: tuple[str, ...]) -> str:
    values = (found.get(name) for name in names)
    return next((str(value) for value in values if isinstance(value, (str, int, float)) and str(value).strip(" -")), "")


def _spelt(text: str) -> bytes:
    """Return a time as Stamps reads it, where it counts from 1970."""
    if text.replace(".", "", 1).isdigit() and len(text) < 22 and (time := since_1970(float(text))):
        return time.isoformat().encode()
    return text.encode("ascii", "replace")
