"""
What each source brings into each table of evidence, and up to when it is complete: what "no data" is judged by.

A log that is followed, or a service that is asked, is complete up to when it was last read to its end. An export is
not: somebody has to put the next one there, so it is complete up to the newest row of the last one. A report that
counts days is complete to the end of its newest day. Bounces and queue listings come as files too, but tell of
deliveries one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.lake import Lake
from pipeline.model import TIME_OF

NOTED_EVERY = timedelta(minutes=1)
"""A log that is followed moves on with each line; so often it is noted at most."""
_ONE_BY_ONE = frozenset({"deliveries"})


@dataclass(frozen=True, slots=True)
class Feed:
    """What one read brought into one table."""

    table: str
    newest_at: datetime
    complete_until: datetime | None
    is_export: bool


def feeds_of(
    tables: Mapping[str, pa.Table], complete_until: datetime | None, now: datetime, *, is_export: bool
) -> list[Feed]:
    """Return what `tables` bring; a service knows itself until when it is complete, and says it in `complete_until`."""
    found = []
    for table, rows in tables.items():
        if rows.num_rows and (newest := _newest(rows[TIME_OF[table]])):
            newest = min(newest, now)  # the clock of a device may be years ahead
            is_by_newest = is_export and complete_until is None and table not in _ONE_BY_ONE
            found.append(Feed(table, newest, newest if is_by_newest else complete_until, is_by_newest))
    return found


def note_feeds(lake: Lake, source: str, brought: Iterable[Feed], now: datetime) -> None:
    """Note, inside `writing()`, what a read has brought, where that is later than what was known."""
    known = {row["table"]: row for row in lake.rows("SELECT * FROM feeds WHERE source = ?", [source])}
    changed = []
    for feed in brought:
        before = known.get(feed.table)
        row = _merged(before, feed)
        if before is None or _is_news(before, row):
            changed.append({**row, "source": source, "table": feed.table, "noted_at": now})
    _replace(lake, source, changed)


def note_complete(lake: Lake, source: str, begun_at: datetime, now: datetime) -> None:
    """Note, inside `writing()`, that all that was there at `begun_at` was read: logs are complete until then."""
    rows = lake.rows("SELECT * FROM feeds WHERE source = ? AND NOT is_export", [source])
    _replace(lake, source, [{**row, "complete_until": begun_at, "noted_at": now} for row in rows])


def forget_feeds(lake: Lake, sources: Iterable[str]) -> None:
    """Forget what sources brought that are not among `sources`: what nobody reads any more is not waited for."""
    gone = {row["source"] for row in lake.rows("SELECT DISTINCT source FROM feeds")} - {*sources}
    if gone:
        with lake.writing():
            lake.connection.execute("DELETE FROM feeds WHERE source IN (SELECT unnest(?))", [sorted(gone)])


def _merged(known: Mapping[str, object] | None, feed: Feed) -> dict[str, object]:
    if known is None:
        return {"newest_at": feed.newest_at, "complete_until": feed.complete_until, "is_export": feed.is_export}
    return {
        "newest_at": _later(known["newest_at"], feed.newest_at),
        "complete_until": _later(known["complete_until"], feed.complete_until),
        "is_export": feed.is_export,
    }


def _is_news(before: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if (before["complete_until"], before["is_export"]) != (row["complete_until"], row["is_export"]):
        return True
    return bool(row["newest_at"] - before["newest_at"] >= NOTED_EVERY)


def _later(one: object, other: object) -> object:
    moments = [moment for moment in (one, other) if isinstance(moment, datetime)]
    return max(moments) if moments else None


def _replace(lake: Lake, source: str, rows: list[dict[str, object]]) -> None:
    if rows:
        tables = [row["table"] for row in rows]
        lake.connection.execute(
            'DELETE FROM feeds WHERE source = ? AND "table" IN (SELECT unnest(?))', [source, tables]
        )
        lake.insert("feeds", rows)


def _newest(times: pa.ChunkedArray) -> datetime | None:
    newest = pc.max(times).as_py()
    match newest:
        case None | datetime():
            return newest
        case date():
            return datetime.combine(newest, time(), UTC) + timedelta(days=1)
    raise TypeError(f"{newest!r} is no time")
