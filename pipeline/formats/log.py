"""
A log that mail programs write line by line, whichever they are and however the lines come.

Reads: each line by the program that wrote it (pipeline/programs), behind any header (pipeline/carriers): a mail relay's
syslog holds Postfix, Dovecot, msmtp and a Python script side by side, and each keeps its own half-read sessions.
Leaves: lines of programs that send no mail, and lines that say nothing about a submission or a log-in.

A header that names a program decides whose line it is. Where it names none that we know (RFC 5424 and `syslog_name`
hide it, a program's own log has none), each program is asked in turn whether it knows the line by its grammar, the one
that knew the line before first. A row that names no time gets that of its line, or the one that Exchange Online wrote
into its reply (also where a line has only the time of the record above it, and that is the older one), or that of the
last write to the file. `message repeated 3 times: [ … ]` is one row more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pyarrow as pa

from pipeline.kinds import find, known
from pipeline.lines import Line
from pipeline.model import SCHEMAS, Carry, Chunk, Parsed, Reject, event_id_of, rows_of
from pipeline.programs import Reader, Row

WHOLE = False
CARRIERS = "pipeline.carriers"
PROGRAMS = "pipeline.programs"
PLAIN = "plain"
ENVELOPE = "envelope"

_LAST_RESORT = ("generic",)
_HEAD_BYTES = 1 << 18
_REPEATED_BEGINS = b"message repeated "
_REPEATED = re.compile(rb"message repeated \d{1,9} times: \[ ?(.*)\]\s*", re.DOTALL)
_RECORD = timedelta(minutes=1)
_ANSWERED_AT = re.compile(r"\[[A-Za-z0-9.-]+ (\d{4}-\d\d-\d\dT[\d:.]{8,15})Z [0-9A-Fa-f]{16}\]")


def looks_like(head: bytes) -> bool:
    """Return whether `head` is a log, line by line, and a program that we know wrote into it."""
    return any(_has_own_line(name, head) for name in _carriers() if _carrier(name).looks_like(head))


def _has_own_line(carrier: str, head: bytes) -> bool:
    chunk = Chunk(head, "head", as_of=datetime(2100, 1, 1, tzinfo=UTC), is_last=True)
    desk = _Desk({}, None)
    return any(isinstance(each, Line) and desk.owner_of(each) for each in _records(carrier, chunk, {}))


def _records(carrier: str, chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    for each in find(CARRIERS, carrier).records(chunk, memory):
        yield _unrepeated(each) if isinstance(each, Line) and each.message.startswith(_REPEATED_BEGINS) else each


def _unrepeated(line: Line) -> Line:
    """Return `line` with the message that a syslog says was repeated, instead of what it says about it."""
    found = _REPEATED.fullmatch(line.message)
    return line._replace(message=found[1]) if found else line


def parse(body: Chunk, carry: Carry, only: str | None = None) -> Parsed:
    """Return the rows that `body` completes, by program, or of the program `only`."""
    memory = dict(carry.get("carrier", {}))
    name = memory["name"] = _carrier_of(body, memory)
    desk = _Desk(carry.get("formats", {}), only)
    rejects: list[Reject] = []
    rows: list[_Found] = []
    lines = left = 0
    for each in _records(name, body, memory):
        lines += 1
        found = desk.read(each) if isinstance(each, Line) else each
        if isinstance(found, Reject):
            rejects.append(found)
        elif found is None:
            left += 1
        else:
            rows += _completed(found, each if isinstance(each, Line) else None, body)
    if body.is_last:
        rows += [found for closed in desk.close() for found in _completed(closed, None, body)]
    return Parsed(_tables(rows), tuple(rejects), _carry(memory, desk.carry()), lines, left)


_Found = tuple[str, str, dict[str, Any]]
"""Program, table and values of one row."""


class _Desk:
    """Gives each line to the program that wrote it."""

    def __init__(self, carries: Mapping[str, Carry], only: str | None) -> None:
        self._readers = _readers(carries, only)
        self._only = only
        self._by_tag: dict[bytes, str | None] = {}
        self._latest = ""

    def read(self, line: Line) -> tuple[str, list[Row]] | Reject | None:
        """Return the program of `line` and its rows, the line as a reject, or None where it says nothing."""
        program = self.owner_of(line)
        found = self._readers[program].read(line) if program else None
        if isinstance(found, str):
            return Reject(line.raw, line.offset, found)
        return (program, found) if program and found else None

    def owner_of(self, line: Line) -> str | None:
        """Return the program that wrote `line`, or None."""
        if line.tag not in self._by_tag:
            self._by_tag[line.tag] = next((name for name in _programs() if _program(name).owns_tag(line.tag)), None)
        named = self._by_tag[line.tag]
        if named and not self._only:
            return named
        if self._only:
            return self._only if named in {None, self._only} else None
        return self._by_grammar(line)

    def _by_grammar(self, line: Line) -> str | None:
        if self._latest and self._readers[self._latest].owns(line):
            return self._latest
        owner = next((name for name, reader in self._readers.items() if reader.owns(line)), None)
        if owner and owner not in _LAST_RESORT:
            self._latest = owner
        return owner

    def close(self) -> Iterator[tuple[str, list[Row]]]:
        """Yield what each program has half read, as far as it goes."""
        yield from ((name, reader.close()) for name, reader in self._readers.items())

    def carry(self) -> dict[str, Carry]:
        """Return the half-read sessions of each program that has any."""
        return {name: state for name, reader in self._readers.items() if (state := reader.carry())}


def _completed(found: tuple[str, list[Row]], line: Line | None, body: Chunk) -> Iterator[_Found]:
    program, rows = found
    for number, (table, values) in enumerate(rows):
        usual = _usual(line, number, body) if line else {}
        row = {**usual, **values}
        answered = _answered_at(row.get("reply_text"))
        if row.get("event_time") is None:
            row["event_time"] = answered or body.as_of
        elif (
            answered and line and line.is_bare and "event_time" not in values and answered > row["event_time"] + _RECORD
        ):
            row["event_time"] = answered  # the record above was written before the answer came, so it is another's
        yield program, table, row


def _usual(line: Line, number: int, body: Chunk) -> dict[str, Any]:
    # A line without a time may come again word for word, so only its place makes it itself.
    itself = (line.raw,) if line.time else (body.identity, line.offset, line.raw)
    return {
        "event_time": line.time,
        "log_host": line.host or body.host,
        "origin_offset": line.offset,
        "event_id": event_id_of(*itself, number) if number else event_id_of(*itself),
    }


def _answered_at(reply: str | None) -> datetime | None:
    match = _ANSWERED_AT.search(reply or "")
    try:
        return datetime.fromisoformat(match[1]).replace(tzinfo=UTC) if match else None
    except ValueError:
        return None


def _tables(rows: list[_Found]) -> dict[str, pa.Table]:
    found = {"deliveries", *(table for _, table, _ in rows)}
    return {table: _with_programs(table, rows) for table in SCHEMAS if table in found}


def _with_programs(table: str, rows: list[_Found]) -> pa.Table:
    mine = [(program, values) for program, name, values in rows if name == table]
    programs = pa.array([program for program, _ in mine], pa.string())
    return rows_of(table, [values for _, values in mine]).append_column("format", programs)


def _carry(memory: dict[str, Any], formats: dict[str, Carry]) -> Carry:
    return {"carrier": memory, **({"formats": formats} if formats else {})}


def _carrier_of(body: Chunk, memory: Mapping[str, Any]) -> str:
    """Return the carrier that the lines of `body` have; one that is in the middle of a record goes on."""
    before = memory.get("name")
    if before and memory.get("pending"):
        return str(before)
    fits = next((name for name in _carriers() if _carrier(name).looks_like(body.body[:_HEAD_BYTES])), PLAIN)
    return str(before) if before and fits == PLAIN else fits


@cache
def _carriers() -> tuple[str, ...]:
    # What is wrapped looks like something else; what nothing else fits is plain text.
    return (ENVELOPE, *(name for name in known(CARRIERS) if name not in {ENVELOPE, PLAIN}), PLAIN)


@cache
def _programs() -> tuple[str, ...]:
    names = known(PROGRAMS)
    return (*(name for name in names if name not in _LAST_RESORT), *(name for name in names if name in _LAST_RESORT))


def _carrier(name: str) -> Any:
    return find(CARRIERS, name)


def _program(name: str) -> Any:
    return find(PROGRAMS, name)


def _readers(carries: Mapping[str, Carry], only: str | None) -> dict[str, Reader]:
    return {name: _program(name).Reader(carries.get(name, {})) for name in _programs() if only in {None, name}}
