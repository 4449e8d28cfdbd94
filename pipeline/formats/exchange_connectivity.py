"""
Connectivity logs of Exchange Server: connections to Microsoft's servers that came to nothing.

Reads: failed connects, and the answers that ended a connection, where a server of Microsoft's was meant or an answer is
one that we look for. The addresses that a session resolved give a failed connect its host name.
Leaves: connections that worked, names that were resolved, other servers, deliveries into one's own mailboxes, and the
summary of a connection whose failure was told before.

What a reader could not guess:
- A connection carries many mails, so neither sender nor recipient is known.
- Destination is a domain, a smart host or a mailbox database, and not always the host that was tried.
- The queue tries again, so what failed is put off, also where the answer was a 5xx.
- The words of an answer are no evidence of the command that it answers, so its stage is unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pipeline.answers import answer
from pipeline.endpoints import OTHER, service_of
from pipeline.exchange.directives import directive_of, names_of, time_of, values_of
from pipeline.exchange.reason import Reason, reason_of
from pipeline.lines import RawLine, lines_of, text_of, too_long
from pipeline.model import Carry, Chunk, Parsed, Reject, event_id_of, rows_of

WHOLE = False
MOST_OPEN = 5_000
"""Sessions whose addresses are remembered between reads; beyond it the oldest is forgotten."""

_FIELDS = ["date-time", "session", "source", "destination", "direction", "description"]
_LOG_TYPE = re.compile(r"Transport Connectivity Log", re.IGNORECASE)
_RESOLVED = re.compile(
    r"(?:^|[\s,;])([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,20})\[([0-9A-Fa-f.:, ]{2,4000})(?:\]|\.\.\.$)"
)
_MOST_RESOLVED = 50
_FAILED = re.compile(
    r"Failed connection to \[?(?P<ip>\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40}?)\]?"
    r"(?::(?P<port>\d{1,5}))?(?=[\s\[(]|\.?$)",
    re.IGNORECASE,
)
_TARGET = re.compile(r"\[TargetHost:([^|\]\s:]{1,255})(?::(\d{1,5}))?[|\]]", re.IGNORECASE)
_MARKED = re.compile(r"\[Target(?:Host|IPAddress):", re.IGNORECASE)
_ENDED = re.compile(
    r"Messages: \d{1,10} Bytes: \d{1,20} (?:DiscardIDs: \d{1,20} )?\((?:[A-Za-z ]{1,40}: ?)?(?P<why>.*)\)\.?", re.DOTALL
)
_REPLY = re.compile(r"(?<![\d.])[45]\d\d[ -](?:[45]\.\d{1,3}\.\d{1,3}\b|[A-Za-z])")
_STAGES = (
    (re.compile(r"authenticat|log-?on fail", re.IGNORECASE), "auth"),
    (re.compile(r"\bTLS\b|STARTTLS|certificate", re.IGNORECASE), "tls"),
    (
        re.compile(
            r"Failed connection|unable to connect|Socket|timed ?out|refused|\bDNS\b|\breported (?:by|for)\b",
            re.IGNORECASE,
        ),
        "connect",
    ),
)
_TROUBLE = re.compile(
    r"fail|error|unable|refused|timed ?out|unreachable|invalid|expired|\breported (?:by|for)\b", re.IGNORECASE
)


@dataclass(slots=True)
class _Log:
    """Where the reading of one log stands; `hosts` are the addresses that each session resolved."""

    fields: list[str]
    hosts: dict[str, dict[str, str]]
    host: str | None


def looks_like(head: bytes) -> bool:
    """Return whether `head` is a connectivity log, by its header."""
    for raw in head.splitlines():
        name, value = directive_of(text_of(raw).removeprefix("\ufeff")) or ("", "")
        if name == "log-type":
            return _LOG_TYPE.fullmatch(value) is not None
        if name == "fields":
            return set(_FIELDS) <= set(names_of(value))
    return False


def parse(body: Chunk, carry: Carry) -> Parsed:
    """Return one row for each failure, and the addresses that open sessions have resolved."""
    hosts = {key: dict(each) for key, each in carry.get("hosts", {}).items()}
    log = _Log(carry.get("fields") or _FIELDS, hosts, body.host)
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    lines = left = 0
    for lines, raw in enumerate(lines_of(body), start=1):  # noqa: B007 - the count is the result
        found = _read(raw, log)
        if isinstance(found, Reject):
            rejects.append(found)
        elif found:
            rows.append(found)
        else:
            left += 1
    state = {"fields": log.fields, "hosts": dict(list(log.hosts.items())[-MOST_OPEN:])}
    return Parsed({"deliveries": rows_of("deliveries", rows)}, tuple(rejects), state, lines, left)


def _read(raw: RawLine, log: _Log) -> dict[str, Any] | Reject | None:
    if long := too_long(raw):
        return long
    text = text_of(raw.raw).removeprefix("\ufeff").strip("\x00\r")
    if not text.strip():
        return None
    if directive := directive_of(text):
        return _heading(names_of(directive[1]), raw, log) if directive[0] == "fields" else None
    try:
        return _told(_record(text, log.fields), raw, log)
    except ValueError as wrong:
        reason = str(wrong) if raw.is_ended else "The file ends in the middle of this line."
        return Reject(raw.raw, raw.offset, reason)


def _heading(names: list[str], raw: RawLine, log: _Log) -> Reject | None:
    if not set(_FIELDS) <= set(names):
        return Reject(raw.raw, raw.offset, f"The #Fields line lacks one of {', '.join(_FIELDS)}.")
    log.fields = names
    return None


def _record(text: str, fields: list[str]) -> dict[str, str]:
    values = values_of(text)
    if len(values) > len(fields) and fields[-1] == "description":
        # Some versions write commas into the description without quoting it.
        values = [*values[: len(fields) - 1], ",".join(values[len(fields) - 1 :])]
    if len(values) != len(fields):
        raise ValueError(f"The line has {len(values)} fields, and the #Fields line names {len(fields)}.")
    return dict(zip(fields, values, strict=True))


def _told(record: dict[str, str], raw: RawLine, log: _Log) -> dict[str, Any] | None:
    time = time_of(record["date-time"])
    if record["source"].upper() != "SMTP":
        return None
    said, session = record["description"][:16_000], record["session"]
    known = log.hosts.get(session, {})
    if record["direction"] == "-":
        log.hosts.pop(session, None)
    elif resolved := _RESOLVED.findall(said):
        found = [(ip.strip().lower(), host.lower()) for host, ips in resolved for ip in ips.split(",")]
        log.hosts[session] = known | dict(found[:_MOST_RESOLVED])
    failure = _connect(said, known) or _answer(said, record["destination"])
    if failure is None:
        return None
    reason, stage = failure
    row = answer(reason.text, reason.endpoint)
    if row["service"] in {None, OTHER} and row["reply_class"] == "unknown":
        return None
    return {
        **row,
        "event_time": time,
        "log_host": log.host,
        "kind": "try",
        "stage": stage,
        "outcome": "deferred",
        "endpoint_ip": reason.ip,
        "endpoint_port": reason.port,
        "session_id": session or None,
        "origin_offset": raw.offset,
        "event_id": event_id_of("connectivity", raw.raw),
    }


def _connect(said: str, known: dict[str, str]) -> tuple[Reason, str] | None:
    """Return the failed connect that `said` tells: the host is named in it, or was resolved before."""
    failed = _FAILED.search(said)
    if failed is None:
        return None
    target, marked = _TARGET.search(said), _MARKED.search(said)
    ip = failed["ip"].lower()
    port = failed["port"] or (target[2] if target else None)
    words = said[: marked.start()] if marked else said
    host = target[1].lower() if target else known.get(ip)
    return Reason(words.strip(), host, ip, int(port) if port else None), "connect"


def _answer(said: str, destination: str) -> tuple[Reason, str] | None:
    """Return the answer, or the trouble in Exchange's own words, that ended a connection."""
    ended = _ENDED.fullmatch(said)
    why = ended["why"] if ended else said
    has_reply = _REPLY.search(why) is not None
    if not has_reply and (ended or not _TROUBLE.search(why)):
        return None  # what made a connection end without an answer was told when it happened
    reason = reason_of(why)
    meant = destination.strip("[]").rstrip(".").lower()
    endpoint = reason.endpoint or (meant if service_of(meant) != OTHER else None)
    own_words = why.replace(reason.text, "") if has_reply else why
    stage = next((stage for words, stage in _STAGES if words.search(own_words)), "unknown")
    return Reason(reason.text, endpoint, reason.ip, reason.port), stage
