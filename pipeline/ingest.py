"""
One run of one source: pull, parse, keep, and move the cursor, in one transaction for each chunk.

Rows that the lake has already are recognised by their event id, so anything may be read again. Two runs of one
source may meet; the later one finds that the cursor has moved, keeps nothing, and starts again from there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipeline.clock import Stopped
from pipeline.errors import FormatError, LakeError, SourceError
from pipeline.feeds import Feed, feeds_of, note_complete, note_feeds
from pipeline.lake import Lake
from pipeline.lake.rollup import add_to_rollups
from pipeline.lake.tables import BOOKS, VERSIONS
from pipeline.model import TIME, TIME_OF, Carry, Notice, Parsed, Pull, Pulled, event_id_of
from pipeline.reading import read
from pipeline.recognise import kind_of

TRIES = 100
COMPLETE_EVERY = timedelta(minutes=1)


@dataclass(slots=True)
class Outcome:
    """What one run of a source brought: counts, and what people should know."""

    source: str
    rows: int = 0
    rejects: int = 0
    lines: int = 0
    chunks: int = 0
    by_table: dict[str, int] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    @property
    def failures(self) -> list[Notice]:
        """The notices that a run should not be called a success with."""
        return [notice for notice in self.notices if notice.is_failure]


def run_source(
    lake: Lake,
    source: str,
    pull: Pull,
    now: Callable[[], datetime],
    *,
    tries: int = TRIES,
    errand: str = "",
) -> Outcome:
    """
    Bring all that is new in `source` into the lake; raise SourceError when another run keeps moving its cursor.

    An `errand` is done beside the usual runs, with a cursor of its own: a backfill.
    """
    outcome = Outcome(source)
    for _ in range(tries):
        begun_at = now()
        try:
            cursor = _run_once(lake, outcome, pull, now, errand)
        except _CursorMovedError:
            outcome.notices.clear()  # they come again, with those of the other run's files
            continue
        except Stopped:
            return outcome
        if not outcome.failures and not errand:
            cursor.note_complete(lake, source, begun_at, now())
        return outcome
    raise SourceError(
        f"source {source!r} is being read by another authsunset all the time; let one of them run", retry=True
    )


class _CursorMovedError(LakeError):
    """Another run of the same source has committed since this one began."""


def _run_once(lake: Lake, outcome: Outcome, pull: Pull, now: Callable[[], datetime], errand: str) -> _Cursor:
    cursor = _Cursor.of(lake, outcome.source, errand)
    for found in pull(cursor.position):
        if isinstance(found, Notice):
            outcome.notices.append(found)
            _keep_gap(lake, outcome.source, found, now())
            _fill_gap(lake, outcome.source, found)
        elif found.chunk.body or found.chunk.is_last:
            _read(lake, outcome, cursor, found, now())
        else:
            with lake.writing():
                cursor.move(lake, found, None, now())
    return cursor


def _read(lake: Lake, outcome: Outcome, cursor: _Cursor, found: Pulled, now: datetime) -> None:
    try:
        parsed = read(found.format, found.chunk, cursor.carry_of(found.log))
    except FormatError as error:
        notice = Notice(found.chunk.origin, error.sentence, is_gap=True, offset=found.chunk.offset)
        outcome.notices.append(notice)
        with lake.writing():
            _add_gap(lake, outcome.source, notice, now)
            cursor.move(lake, found, None, now)
        return
    if found.chunk.is_last:
        parsed = replace(parsed, carry={})  # nothing follows that could go on with it
    if found.chunk.body or any(rows.num_rows for rows in parsed.tables.values()):
        _keep(lake, outcome, cursor, found, parsed, now)
    elif cursor.carry_of(found.log):
        with lake.writing():
            cursor.move(lake, found, parsed.carry, now)


@dataclass(slots=True)
class _Cursor:
    """
    Position and open sessions of one source, as the lake has them.

    Each entry of the position and the sessions of each log are rows of their own, so that a commit costs what has
    changed and not all that is known. The row named after the source counts the commits: it tells who came first.
    """

    name: str
    commits: str | None
    parts: dict[str, str]
    complete_until: datetime | None = None
    knows_complete: bool = False
    said: dict[str, tuple[Any, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, lake: Lake, source: str, errand: str) -> _Cursor:
        name = f"source {source}" + (f"\n{errand}" if errand else "")
        rows = lake.rows(
            "SELECT name, state, complete_until FROM cursors "
            "WHERE name = $name OR starts_with(name, $name || chr(10) || 'at ') "
            "OR starts_with(name, $name || chr(10) || 'log ')",
            {"name": name},
        )
        parts = {row["name"]: row["state"] for row in rows}
        complete = {row["name"]: row["complete_until"] for row in rows}
        return cls(name, parts.pop(name, None), parts, complete.get(name))

    @property
    def position(self) -> dict[str, Any]:
        """The source's own position, entry by entry."""
        start = f"{self.name}\nat "
        return {
            name.removeprefix(start): json.loads(state) for name, state in self.parts.items() if name.startswith(start)
        }

    def carry_of(self, log: str) -> Carry:
        """Return the half-read sessions of `log`."""
        carry: Carry = json.loads(self.parts.get(f"{self.name}\nlog {log}", "{}"))
        return carry

    def move(self, lake: Lake, found: Pulled, carry: Carry | None, now: datetime) -> None:
        """Store the position after `found`, and `carry` unless it stays; raise when another run has moved it."""
        if lake.one("SELECT state FROM cursors WHERE name = ?", [self.name]) != self.commits:
            raise _CursorMovedError(f"the cursor of {self.name!r} was moved by another run", retry=True)
        parts = self._after(found, carry)
        commits = str(int(self.commits or 0) + 1)
        changed = {name: state for name, state in parts.items() if self.parts.get(name) != state} | {self.name: commits}
        if found.complete_until is not None:
            self.complete_until, self.knows_complete = found.complete_until, True
        known = {*self.parts, *([self.name] if self.commits else [])}
        replaced = [name for name in known if name in changed or name not in parts]
        if replaced:
            lake.connection.execute("DELETE FROM cursors WHERE name IN (SELECT unnest(?))", [replaced])
        rows = [
            {"name": name, "state": state, "updated_at": now, "complete_until": self._complete_until_of(name)}
            for name, state in changed.items()
        ]
        lake.insert("cursors", rows)
        self.commits, self.parts = commits, parts

    def note_complete(self, lake: Lake, source: str, begun_at: datetime, now: datetime) -> None:
        """Store, once a minute at most, that `source` was read without a failure to where it was at `begun_at`."""
        if self.knows_complete or (self.complete_until and begun_at - self.complete_until < COMPLETE_EVERY):
            return
        self.complete_until = begun_at
        with lake.writing():
            if lake.one("SELECT state FROM cursors WHERE name = ?", [self.name]) == self.commits:
                row = {"name": self.name, "state": self.commits or "0", "updated_at": now, "complete_until": begun_at}
                lake.connection.execute("DELETE FROM cursors WHERE name = ?", [self.name])
                lake.insert("cursors", [row])
                note_complete(lake, source, begun_at, now)

    def _complete_until_of(self, name: str) -> datetime | None:
        return self.complete_until if name == self.name else None

    def _after(self, found: Pulled, carry: Carry | None) -> dict[str, str]:
        log = f"{self.name}\nlog {found.log}"
        logs = {name: state for name, state in self.parts.items() if name.startswith(f"{self.name}\nlog ")}
        if carry is not None:
            logs = {name: state for name, state in logs.items() if name != log}
        if carry:
            logs[log] = _json(carry)
        return logs | {f"{self.name}\nat {key}": self._state_of(key, value) for key, value in found.position.items()}

    def _state_of(self, key: str, value: Any) -> str:
        # A source of ten thousand files says again what it knows of each; what is the same object is the same text.
        said, state = self.said.get(key, (None, ""))
        if said is not value:
            self.said[key] = value, (state := _json(value))
        return state


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _keep(lake: Lake, outcome: Outcome, cursor: _Cursor, found: Pulled, parsed: Parsed, now: datetime) -> None:
    with lake.writing():
        fresh = {
            table: keep_rows(lake, table, rows, outcome.source, found, now) for table, rows in parsed.tables.items()
        }
        kept = {table: int(rows.num_rows) for table, rows in fresh.items()}
        quarantined = lake.insert_new("quarantine", quarantined_of(parsed, outcome.source, found, now)).num_rows
        for notice in _gaps(found, parsed):
            _add_gap(lake, outcome.source, notice, now)
        lake.insert("reads", [_read_entry(outcome.source, found, parsed, kept, quarantined, now)])
        note_feeds(lake, outcome.source, _brought(found, parsed, now), now)
        if found.learn:
            found = replace(found, position=found.learn(fresh))
        cursor.move(lake, found, parsed.carry, now)
    outcome.notices += _gaps(found, parsed)
    outcome.chunks += 1
    outcome.lines += parsed.lines
    outcome.rejects += len(parsed.rejects)
    outcome.rows += sum(kept.values())
    for table, rows in kept.items():
        outcome.by_table[table] = outcome.by_table.get(table, 0) + rows
    if parsed.rejects:
        outcome.notices.append(Notice(found.chunk.origin, _about_rejects(parsed), is_failure=False))


def _brought(found: Pulled, parsed: Parsed, now: datetime) -> list[Feed]:
    return feeds_of(parsed.tables, found.complete_until, now, is_export=kind_of(found.format).is_whole)


def _gaps(found: Pulled, parsed: Parsed) -> list[Notice]:
    return [Notice(found.chunk.origin, gap.cause, is_gap=True, offset=gap.offset) for gap in parsed.gaps]


def keep_rows(lake: Lake, table: str, rows: pa.Table, source: str, found: Pulled, now: datetime) -> pa.Table:
    """Append those of `rows` that `table` does not have yet, and their daily sums; return them."""
    insert = lake.insert_versions if table in VERSIONS else lake.insert_new
    fresh = insert(table, stamped(rows, source, found, now), TIME_OF[table])
    add_to_rollups(lake, table, fresh)
    return fresh


def stamped(rows: pa.Table, source: str, found: Pulled, now: datetime) -> pa.Table:
    """Return `rows` with the columns that the run knows: where they came from and when."""
    for name, value, kind in (
        ("source", source, pa.string()),
        ("format", found.format, pa.string()),
        ("origin", found.chunk.origin, pa.string()),
        ("ingested_at", now, TIME),
    ):
        if name not in rows.column_names:  # a log names the program of each row itself
            rows = rows.append_column(pa.field(name, kind), pa.array([value] * rows.num_rows, kind))
    return rows


def quarantined_of(parsed: Parsed, source: str, found: Pulled, now: datetime) -> pa.Table:
    """Return the rejects of `parsed` as rows of the quarantine."""
    rows = [
        {
            "quarantined_at": now,
            "source": source,
            "format": found.format,
            "origin": found.chunk.origin,
            "origin_offset": reject.offset,
            "reason": reject.reason,
            "raw": reject.raw,
            # Not the identity of the file: one that was short at first sight has another when it is read again.
            # A page of a feed is no file at all: where a record stands in it is chance.
            "event_id": event_id_of(found.format, reject.offset if found.chunk.identity else "", reject.raw),
        }
        for reject in parsed.rejects
    ]
    return pa.Table.from_pylist(rows, schema=BOOKS["quarantine"])


def _read_entry(
    source: str, found: Pulled, parsed: Parsed, kept: Mapping[str, int], quarantined: int, now: datetime
) -> dict[str, Any]:
    chunk = found.chunk
    return {
        "read_at": now,
        "source": source,
        "format": found.format,
        "origin": chunk.origin,
        "log": found.log,
        "from_offset": chunk.offset,
        "to_offset": chunk.offset + len(chunk.body),
        "lines": parsed.lines,
        "left": parsed.left,
        "rows": sum(kept.values()),
        "rejects": len(parsed.rejects),
        "quarantined": quarantined,
        "complete_until": found.complete_until or chunk.as_of,
    }


def _keep_gap(lake: Lake, source: str, notice: Notice, now: datetime) -> None:
    if notice.is_gap and not _has_gap(lake, source, notice):
        with lake.writing():
            _add_gap(lake, source, notice, now)


def _fill_gap(lake: Lake, source: str, notice: Notice) -> None:
    if notice.fills_gap:
        with lake.writing():
            lake.connection.execute(
                "DELETE FROM gaps WHERE source = ? AND origin = ? AND from_offset = ? "
                "AND from_time IS NOT DISTINCT FROM ? AND to_time IS NOT DISTINCT FROM ?",
                [source, notice.origin, notice.offset, *_span_of(notice)],
            )


def _add_gap(lake: Lake, source: str, notice: Notice, now: datetime) -> None:
    if _has_gap(lake, source, notice):
        return
    gap = {
        "noticed_at": now,
        "source": source,
        "origin": notice.origin,
        "from_offset": notice.offset,
        "cause": notice.sentence,
        "gap_id": _gap_id(source, notice),
        "from_time": notice.window.start if notice.window else None,
        "to_time": notice.window.end if notice.window else None,
    }
    lake.insert("gaps", [gap])


def _has_gap(lake: Lake, source: str, notice: Notice) -> bool:
    return lake.one("SELECT 1 FROM gaps WHERE gap_id = ?", [_gap_id(source, notice)]) is not None


def _gap_id(source: str, notice: Notice) -> str:
    if notice.window:
        return event_id_of(source, notice.origin, *_span_of(notice))
    return event_id_of(source, notice.origin, notice.offset, notice.sentence)


def _span_of(notice: Notice) -> tuple[datetime | None, datetime | None]:
    return (notice.window.start, notice.window.end) if notice.window else (None, None)


def _about_rejects(parsed: Parsed) -> str:
    first = parsed.rejects[0]
    count = len(parsed.rejects)
    lines = "1 line" if count == 1 else f"{count} lines"
    return f"{lines} could not be read and went into quarantine; the first, at byte {first.offset}, {first.reason}"
