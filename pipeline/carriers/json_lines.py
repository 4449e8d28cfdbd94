"""
Logs of applications as JSON, one object a line: bunyan, pino, winston, Serilog, logstash, ECS, Monolog, zap, log4j 2,
loguru, structlog, Python's JSON loggers.

The message of such a line is all its texts and numbers as `name: value`, one below the other, an error's own among
them, because each library hides the answer of a server under another name. Lines between the objects are what the
program wrote past its logger, such as a trace: they are bare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from pipeline.json_fields import since_1970
from pipeline.lines import Line, RawLine, lines_of, text_of, too_long
from pipeline.model import Chunk, Reject
from pipeline.spelling import time_of
from pipeline.stamps import Stamps

_TIMES = (
    "time", "timestamp", "@timestamp", "@t", "ts", "date", "datetime", "asctime", "Timestamp", "timeMillis", "instant",
    "eventTime", "logged_at", "created",
)  # fmt: skip
_LEVELS = ("level", "levelname", "severity", "@l", "Level", "log.level", "levelno", "level_name", "lvl", "logLevel")
_TEXTS = (
    "msg", "message", "@m", "@mt", "Message", "MessageTemplate", "RenderedMessage", "event", "textPayload", "text",
    "short_message",
)  # fmt: skip
_LOGGERS = (
    "logger", "logger_name", "loggerName", "Logger", "channel", "component", "caller", "SourceContext", "exc_info",
    "@x", "@i", "@mt", "log.logger", "module", "service.name",
)  # fmt: skip
_HOSTS = ("hostname", "host", "host.name", "MachineName", "machine", "HOSTNAME")
_SYSLOG = {
    "programname", "syslogtag", "syslog_identifier", "appname", "app-name", "app_name", "program", "stream",
    "_application_name", "application_name",
}  # fmt: skip
_WORDS = {
    "trace", "debug", "verbose", "information", "info", "notice", "warn", "warning", "error", "err", "severe",
    "critical", "crit", "fatal", "alert", "emerg", "emergency", "panic", "fine", "dpanic", "silly", "http", "default",
}  # fmt: skip
_MOST_DEPTH = 6
_MOST_VALUES = 200
_LONGEST_VALUE = 16_384
_MOST_LOOKED_AT = 100
_SPACE = re.compile(r"[\s:]+")


def looks_like(head: bytes) -> bool:
    """Return whether most lines in `head` are the records of a logger: a message with a time, a level or a logger."""
    raws = [raw for raw in head.splitlines() if raw.strip()][:_MOST_LOOKED_AT]
    found = sum(_is_record(_object(raw)) for raw in raws)
    return bool(found) and 2 * found >= len(raws)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each line of `chunk`."""
    last = memory.get("last")
    stamps = Stamps(chunk.as_of, chunk.zone, datetime.fromisoformat(last) if last else None)
    yield from (_record(raw, stamps) for raw in lines_of(chunk))
    if stamps.last:
        memory["last"] = stamps.last.isoformat()


def line_of(raw: RawLine, stamps: Stamps) -> Line | None:
    """Return the record of a logger that `raw` is, or None."""
    found = _object(raw.raw)
    return _line(found, raw, stamps) if found is not None and _is_record(found) else None


def texts_in(message: str) -> str:
    """Return the texts and numbers in `message` where it is an object as JSON, or else `message` as it is."""
    found = _object(message.encode("utf-8", "replace")) if message[:1] == "{" else None
    return message if found is None else "\n".join(_strings(found))


def value_in(text: str, name: str) -> str | None:
    """Return the value called `name` in the message of such a line, with all its lines, or None."""
    found = re.search(rf"^{re.escape(name)}: (.*(?:\n\t.*)*)", text, re.MULTILINE)
    return found[1].replace("\n\t", "\n") if found else None


def _is_record(found: Mapping[str, Any] | None) -> bool:
    if not found or any(key.lower() in _SYSLOG for key in found):
        return False  # a syslog's, whose keys name the program
    has_level = any(_is_level(found.get(name)) for name in _LEVELS) or isinstance(found.get("record"), dict)
    log = found.get("log")
    has_level = has_level or (isinstance(log, dict) and _is_level(log.get("level")))
    has_time = any(name in found for name in _TIMES)
    if not any(isinstance(found.get(name), str) for name in _TEXTS):
        return has_level and has_time  # an error alone, whose own message says it all
    return has_level or (has_time and any(name in found for name in _LOGGERS))


def _is_level(value: object) -> bool:
    if isinstance(value, dict):
        value = value.get("name")
    return value.strip().lower() in _WORDS if isinstance(value, str) else isinstance(value, int)


def _record(raw: RawLine, stamps: Stamps) -> Line | Reject | None:
    if not raw.raw.strip():
        return None
    if long := too_long(raw):
        return long
    found = _object(raw.raw)
    if found is not None:
        return _line(found, raw, stamps)
    if raw.raw.startswith(b'{"'):
        return Reject(raw.raw, raw.offset, "is no JSON object" if raw.is_ended else "the file ends in mid-line")
    return Line(stamps.last, None, b"", b"", raw.raw, raw.raw, raw.offset, raw.is_ended, is_bare=True)


def _line(found: Mapping[str, Any], raw: RawLine, stamps: Stamps) -> Line:
    host = next((value for name in _HOSTS if isinstance(value := found.get(name), str) and value.strip()), None)
    message = "\n".join(_strings(found)).encode("utf-8", "replace")
    time = _time(found, stamps)
    stamps.last = time or stamps.last
    return Line(
        time, host.strip().lower() if host else None, b"", b"", message, raw.raw, raw.offset, raw.is_ended
    )  # fmt: skip


def _object(raw: bytes) -> dict[str, Any] | None:
    if raw.lstrip()[:1] != b"{":
        return None
    try:
        found = json.loads(text_of(raw))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _time(found: Mapping[str, Any], stamps: Stamps) -> datetime | None:
    record = found.get("record")
    values = [found.get(name) for name in _TIMES] + [record.get("time") if isinstance(record, dict) else None]
    return next((time for value in values if (time := _time_of(value, stamps))), None)


def _time_of(value: object, stamps: Stamps) -> datetime | None:
    if isinstance(value, str):
        return time_of(value.strip()[:60].replace(" UTC", "Z"), stamps)
    if isinstance(value, dict):
        inner = next((value[name] for name in ("epochSecond", "timestamp", "date") if name in value), None)
        return _time_of(inner, stamps) if not isinstance(inner, dict) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return since_1970(value)
    return None


def _strings(value: Any, name: str = "", depth: int = 0) -> list[str]:
    if depth > _MOST_DEPTH:
        return []
    if isinstance(value, dict):
        found = [
            each for key, inner in value.items() for each in _strings(inner, _SPACE.sub(" ", str(key))[:80], depth + 1)
        ]
        return found[:_MOST_VALUES]
    if isinstance(value, list):
        return [each for inner in value[:_MOST_VALUES] for each in _strings(inner, name, depth + 1)][:_MOST_VALUES]
    if isinstance(value, str):
        return [f"{name}: {value[:_LONGEST_VALUE]}".replace("\r\n", "\n").replace("\n", "\n\t")]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [f"{name}: {value}"]
    return []
