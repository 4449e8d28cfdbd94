"""
Syslog as JSON, one object a line, as a template of rsyslog or syslog-ng writes it: each site names the keys its own
way. An object that only wraps a whole line is an `envelope`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.lines import Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

_TIMES = ("timereported", "timegenerated", "@timestamp", "timestamp", "time", "isodate", "date")
_HOSTS = ("host", "hostname", "host_from", "fromhost", "source")
_TAGS = ("programname", "program", "app-name", "appname", "app_name", "syslogtag", "syslog_identifier", "ident", "tag")
_PIDS = ("procid", "pid", "process")
_MESSAGES = ("message", "msg", "log")
_LONGEST_NAME = 200


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` are such objects; the last may be cut."""
    raws = [raw for raw in head.splitlines() if raw.strip()][:200]
    read = sum(_is_ours(found) for raw in raws if (found := _object(raw)) is not None)
    return bool(read) and 2 * read >= len(raws)


def _is_ours(found: Mapping[str, Any]) -> bool:
    return all(_first(found, names) for names in (_TIMES, _HOSTS, _TAGS, _MESSAGES))


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
    found = _object(raw.raw)
    if found is None:
        why = "is no JSON object" if raw.is_ended else "the file ends in mid-line"
        return Reject(raw.raw, raw.offset, why)
    time = stamps.read(_stamp(_first(found, _TIMES)))
    if time is None:
        return Reject(raw.raw, raw.offset, "names no time that we know")
    tag, _, rest = _first(found, _TAGS).partition("[")
    pid = _first(found, _PIDS) or rest.partition("]")[0]
    host = _first(found, _HOSTS).lower()[:_LONGEST_NAME] or None
    message = _first(found, _MESSAGES).encode("utf-8", "replace")
    return Line(
        time, host, tag.rstrip(":").encode("utf-8", "replace"), pid.encode("utf-8", "replace"), message.lstrip(b" "),
        raw.raw, raw.offset, raw.is_ended,
    )  # fmt: skip


def _object(raw: bytes) -> dict[str, Any] | None:
    if raw[:1] != b"{":
        return None
    try:
        found = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return {str(key).lower(): value for key, value in found.items()} if isinstance(found, dict) else None


def _first(found: Mapping[str, Any], names: tuple[str, ...]) -> str:
    values = (found.get(name) for name in names)
    return next((str(value) for value in values if isinstance(value, (str, int)) and str(value).strip(" -")), "")


def _stamp(text: str) -> bytes:
    if text.replace(".", "", 1).isdigit() and len(text) < 20:  # seconds since 1970
        return datetime.fromtimestamp(float(text), UTC).isoformat().encode()
    return text.encode("ascii", "replace")
