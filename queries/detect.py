"""
One cycle of one detection: ask every window that new rows touch, compare with what is open, note what is new.

New rows are taken from the lake's change feed, so a cycle costs what is new. Rows that arrive late touch old windows,
and those are asked again: an outage of ours delays a finding and never swallows it. Windows overlap by half, so
events less than half a window apart always share one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.errors import DetectionError
from pipeline.lake import Lake
from pipeline.lake.tables import TIME_KEPT
from pipeline.model import TIME, Window
from queries.ask import ask, rows_of_query
from queries.detection import Detection
from queries.finding import Finding, merge
from queries.history import Ending, Noted, entries, noted_of, open_or, over_entries
from queries.sql_files import sql_file

BRIDGED = timedelta(days=1)
"""So much that nobody asked about is looked at along, because one query more costs more than the rows of a day."""
_HOW_FAR = ("feeds", "cursors")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OPEN_FINDINGS = pa.schema(
    [
        ("fingerprint", pa.string()),
        ("sender", pa.string()),
        ("thing", pa.string()),  # what it is about, where that is no sender
        ("reply_class", pa.string()),  # the refusal that it is about, where it is about one
        ("since", TIME),
        ("last_seen", TIME),
    ]
)


@dataclass(slots=True)
class Outcome:
    """What one cycle of one detection did."""

    detection: str
    windows: int = 0
    opened: int = 0
    changed: int = 0
    ended: int = 0
    noted: list[Noted] = field(default_factory=list)


def detect(lake: Lake, detection: Detection, now: datetime, *, in_one_window: bool = False) -> Outcome:
    """
    Ask `detection` about all that is new, and note what opens, changes or ends; nothing is noted twice.

    With `in_one_window` the whole span of new rows is asked at once: what do these logs say, never mind when.
    """
    try:
        return _detect(lake, detection, now, in_one_window=in_one_window)
    except duckdb.Error as error:
        raise DetectionError(f"{detection.id} failed: {error}") from error


def _detect(lake: Lake, detection: Detection, now: datetime, *, in_one_window: bool) -> Outcome:
    outcome = Outcome(detection.id)
    with lake.reading():
        newest = lake.snapshot()
        cursor = _cursor(lake, detection, newest)
        windows = _windows(lake, detection, cursor, newest, now, in_one_window=in_one_window)
        if not windows and not _may_end_by_itself(lake, detection):
            return outcome
        found = _found(lake, detection, windows)
    with lake.writing():
        before = open_or(lake, detection.id, [finding.fingerprint for finding in found])
        opened = entries(before, found, detection.window, now)
        open_now = _open_after(before, opened)
        ended = over_entries(open_now, endings(lake, detection, open_now), now)
        lake.insert("findings", opened + ended)
        _move_cursor(lake, detection, newest, now)
    outcome.windows = len(windows)
    outcome.opened = sum(row["state"] == "open" for row in opened)
    outcome.changed = len(opened) - outcome.opened
    outcome.ended = len(ended)
    outcome.noted = [noted_of(row) for row in opened + ended]
    return outcome


def _may_end_by_itself(lake: Lake, detection: Detection) -> bool:
    """Return whether something is open that ends by how far all was read, which brings no row of its own."""
    ending = sql_file("over", detection.over_when).sql
    return any(table in ending for table in _HOW_FAR) and bool(open_or(lake, detection.id))


def _windows(
    lake: Lake, detection: Detection, cursor: int | None, newest: int, now: datetime, *, in_one_window: bool
) -> list[Window]:
    """Return the windows in which something may be found that was not found before."""
    if detection.is_about_absence:  # what is missing brings no rows, so it is looked for whatever has come
        return [Window(now - detection.window, now)]
    touched = _touched(lake, detection, cursor, newest)
    if not touched:
        return []
    windows = windows_to_ask(touched, detection.window, now)
    if detection.fires_for_one:
        windows = joined(windows)
    return [Window(windows[0].start, windows[-1].end)] if in_one_window else windows


def windows_to_ask(touched: Iterable[datetime], length: timedelta, now: datetime) -> list[Window]:
    """Return the live window and each half-overlapping window that holds one of the `touched` half-windows."""
    half = length / 2
    starts = {start for touch in touched for start in (touch - half, touch)}
    windows = {Window(start, start + length) for start in starts}
    return sorted(windows | {Window(now - length, now)}, key=lambda window: window.start)


def joined(windows: Sequence[Window]) -> list[Window]:
    """Return `windows`, which are in order, with near ones joined: what fires for one event finds the same."""
    spans: list[Window] = []
    for window in windows:
        if spans and window.start <= spans[-1].end + BRIDGED:
            spans[-1] = Window(spans[-1].start, max(spans[-1].end, window.end))
        else:
            spans.append(window)
    return spans


def _touched(lake: Lake, detection: Detection, cursor: int | None, newest: int) -> list[datetime]:
    """Return the starts of the half-windows that rows newer than `cursor` fall into."""
    seconds = detection.window.total_seconds() / 2
    starts: set[datetime] = set()
    for table in set(detection.reads) & set(TIME_KEPT):
        rows = (
            f"ducklake_table_insertions('lake', 'main', '{table}', {cursor + 1}, {newest})"
            if cursor is not None
            else table
        )
        if cursor is not None and newest <= cursor:
            continue
        bucket = f"CAST(floor(epoch(CAST({TIME_KEPT[table]} AS TIMESTAMPTZ)) / {seconds}) AS BIGINT)"
        for (number,) in lake.connection.execute(f"SELECT DISTINCT {bucket} FROM {rows}").fetchall():
            if number is not None:
                starts.add(_EPOCH + timedelta(seconds=number * seconds))
    return sorted(starts)


def _found(lake: Lake, detection: Detection, windows: Sequence[Window]) -> list[Finding]:
    found: dict[str, Finding] = {}
    for window in windows:
        for finding in ask(lake.connection, detection, window):
            known = found.get(finding.fingerprint)
            found[finding.fingerprint] = merge(known, finding) if known else finding
    return list(found.values())


def _open_after(before: Sequence[Noted], rows: Sequence[dict[str, Any]]) -> list[Noted]:
    now = {noted.fingerprint: noted for noted in before} | {row["fingerprint"]: noted_of(row) for row in rows}
    return [noted for noted in now.values() if noted.is_open]


def endings(lake: Lake, detection: Detection, open_now: Sequence[Noted]) -> dict[str, Ending]:
    """Return which of `open_now` are over by what the lake holds, by fingerprint."""
    if not open_now:
        return {}
    rows = [
        {
            "fingerprint": each.fingerprint,
            "sender": each.sender,
            "thing": str(each.facts.get(detection.about[0])),
            "reply_class": detection.params.get("reply_class"),
            "since": each.first_seen,
            "last_seen": each.last_seen,
        }
        for each in open_now
    ]
    file = sql_file("over", detection.over_when)
    lake.connection.register("open_findings", pa.Table.from_pylist(rows, schema=OPEN_FINDINGS))
    try:
        found = rows_of_query(lake.connection, f"over/{file.name}", file.sql, {})
    finally:
        lake.connection.unregister("open_findings")
    return {row["fingerprint"]: Ending(row["over_at"], row["because"]) for row in found}


def _cursor(lake: Lake, detection: Detection, newest: int) -> int | None:
    """Return the snapshot that `detection` has seen; None where it must look at everything, new or forgotten."""
    state = lake.one("SELECT state FROM cursors WHERE name = ?", [f"detection {detection.id}"])
    cursor = int(json.loads(state)["snapshot"]) if state else None
    if cursor is None or cursor >= newest:
        return cursor
    oldest = lake.oldest_snapshot()
    return cursor if oldest is not None and oldest <= cursor + 1 else None


def _move_cursor(lake: Lake, detection: Detection, snapshot: int, now: datetime) -> None:
    name = f"detection {detection.id}"
    lake.connection.execute("DELETE FROM cursors WHERE name = ?", [name])
    lake.insert("cursors", [{"name": name, "state": json.dumps({"snapshot": snapshot}), "updated_at": now}])
