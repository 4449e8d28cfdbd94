"""
Look after a lake that is written all day: flush, merge, forget what is old, and take files away that nobody needs.

Each step is one transaction under the writer lock, so whatever interrupts it leaves a whole lake, and a writer never
finds its files gone. Snapshots are only forgotten behind what every detection has seen, because detections take new
rows from the change feed, and not before `keep_snapshots` is over, because a reader may still be at one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipeline.lake import Lake
from pipeline.lake.tables import TIME_KEPT
from pipeline.model import SCHEMAS

OLD_ENOUGH_TO_MERGE = timedelta(days=2)
"""Daily sums of days that may still grow are left as they are."""

_CURSOR = "maintenance"
_MEASURES: Mapping[str, Mapping[str, str]] = {
    "sender_days": {
        "events": "CAST(sum(events) AS BIGINT)",
        "messages": "CAST(sum(messages) AS BIGINT)",
        "hours": "CAST(bit_or(hours) AS BIGINT)",
        "first_at": "min(first_at)",
        "last_at": "max(last_at)",
    },
    "sender_domains": {"events": "CAST(sum(events) AS BIGINT)"},
}
"""How the partial sums of each rollup are put together."""
_FINDING_IS_OVER = (
    "fingerprint NOT IN (SELECT fingerprint FROM findings GROUP BY ALL HAVING max_by(state, noted_at) <> 'over')"
)
_MESSAGE_IS_DONE = (
    "notification_id IN (SELECT notification_id FROM notifications GROUP BY ALL "
    "HAVING max_by(state, noted_at) IN ('delivered', 'dead'))"
)
_JOB_IS_WELL = (
    "job NOT IN (SELECT job FROM jobs GROUP BY ALL HAVING max_by(state, noted_at) IN ('failed', 'overrunning'))"
)
_STATE_IS_PAST = "(sender, noted_at) NOT IN (SELECT (sender, max(noted_at)) FROM sender_states GROUP BY sender)"
_ONLY = {
    "findings": _FINDING_IS_OVER,
    "notifications": _MESSAGE_IS_DONE,
    "jobs": _JOB_IS_WELL,
    "sender_states": _STATE_IS_PAST,
}
"""What is still open or unsent stays, however old it is."""


@dataclass(slots=True)
class Maintained:
    """What one round of maintenance did."""

    flushed: int = 0
    merged: int = 0
    rewritten: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    sums_merged: int = 0
    snapshots: int = 0
    files_deleted: int = 0

    @property
    def sentences(self) -> list[str]:
        """What was done, for people; nothing is said of what there was not."""
        said = [
            f"{rows} rows of {table} are older than they are kept, and were removed"
            for table, rows in self.removed.items()
        ]
        counts = {
            "{} rows written from the catalog into files": self.flushed,
            "{} small files merged": self.merged,
            "{} files rewritten without removed rows": self.rewritten,
            "{} rows saved by adding up daily sums": self.sums_merged,
            "{} old snapshots forgotten": self.snapshots,
            "{} files deleted that nothing needs any more": self.files_deleted,
        }
        return said + [sentence.format(count) for sentence, count in counts.items() if count]


def maintain(lake: Lake, now: datetime, keep: Mapping[str, timedelta], keep_snapshots: timedelta) -> Maintained:
    """Bring `lake` into shape; rows of each table in `keep` that are older than it says are removed."""
    done = Maintained()
    _note(lake, now)
    done.removed = {table: rows for table, span in keep.items() if (rows := _forget(lake, table, now - span, now))}
    done.sums_merged = sum(_merge_sums(lake, rollup, now) for rollup in _MEASURES)
    done.flushed = _called(lake, "ducklake_flush_inlined_data('lake')", "rows_flushed")
    # Each of the two looks at all tables, however little there is for it to do.
    if _most(lake, "delete_file_count"):
        call = "ducklake_rewrite_data_files('lake', delete_threshold => 0.1)"
        done.rewritten = _called(lake, call, "files_processed")
    if _most(lake, "file_count") > 1:
        done.merged = _called(lake, "ducklake_merge_adjacent_files('lake')", "files_processed")
    done.snapshots = expire(lake, now - keep_snapshots)
    older = f"older_than => TIMESTAMPTZ '{(now - keep_snapshots).isoformat()}'"
    done.files_deleted = _called(lake, f"ducklake_cleanup_old_files('lake', {older})")
    done.files_deleted += _called(lake, f"ducklake_delete_orphaned_files('lake', {older})")
    return done


def maintained_at(lake: Lake) -> datetime | None:
    """Return when `lake` was maintained last."""
    found: datetime | None = lake.one("SELECT updated_at FROM cursors WHERE name = ?", [_CURSOR])
    return found


def _note(lake: Lake, now: datetime) -> None:
    with lake.writing():
        lake.connection.execute("DELETE FROM cursors WHERE name = ?", [_CURSOR])
        lake.insert("cursors", [{"name": _CURSOR, "state": "{}", "updated_at": now}])


def expire(lake: Lake, before: datetime, *, seen_only: bool = True) -> int:
    """
    Forget the snapshots of before `before`; return how many.

    Without `seen_only` those too that a detection has not seen, which then looks at everything once.
    """
    with lake.writing():
        seen = [int(json.loads(row["state"])["snapshot"]) for row in _detection_cursors(lake)] if seen_only else []
        last = min([lake.snapshot(), *seen])
        rows = lake.rows(
            "SELECT snapshot_id FROM ducklake_snapshots('lake') WHERE snapshot_id < ? AND snapshot_time < ?",
            [last, before],
        )
        ids = [int(row["snapshot_id"]) for row in rows]
        if ids:
            lake.connection.execute(f"CALL ducklake_expire_snapshots('lake', versions => {ids})")
    return len(ids)


def _detection_cursors(lake: Lake) -> list[dict[str, str]]:
    return lake.rows("SELECT name, state FROM cursors WHERE starts_with(name, 'detection ')")


def _called(lake: Lake, call: str, counted: str | None = None) -> int:
    with lake.writing():
        rows = lake.rows(f"CALL {call}")
    return sum(int(row[counted]) for row in rows) if counted else len(rows)


def _most(lake: Lake, counted: str) -> int:
    return int(lake.one(f"SELECT max({counted}) FROM ducklake_table_info('lake')") or 0)


def _forget(lake: Lake, table: str, before: datetime, now: datetime) -> int:
    # The clock of a device may be years ahead, and some lines tell no time: such rows are as old as we know them.
    age = f"least({TIME_KEPT[table]}, ingested_at)" if table in SCHEMAS else TIME_KEPT[table]
    where = f"{age} < ?" + (f" AND {_ONLY[table]}" if table in _ONLY else "")
    with lake.writing():
        rows = int(lake.one(f"SELECT count(*) FROM {table} WHERE {where}", [before]))
        if rows:
            lake.connection.execute(f"DELETE FROM {table} WHERE {where}", [before])
            removed(lake, table, rows, "older than the settings keep it", now)
    return rows


def removed(lake: Lake, table: str, rows: int, cause: str, now: datetime) -> None:
    """Note, inside `writing()`, that rows of `table` were taken out."""
    lake.insert("removals", [{"removed_at": now, "table": table, "rows": rows, "cause": cause}])


def _merge_sums(lake: Lake, rollup: str, now: datetime) -> int:
    """Add up the partial sums of past days; return how many rows that saved."""
    day = (now - OLD_ENOUGH_TO_MERGE).date()
    measures = _MEASURES[rollup]
    sums = ", ".join(f"{sum} AS {name}" for name, sum in measures.items())
    merged = f"SELECT * EXCLUDE ({', '.join(measures)}), {sums} FROM {rollup} WHERE day < ? GROUP BY ALL"
    rows = int(lake.one(f"SELECT count(*) FROM {rollup} WHERE day < ?", [day]))
    if rows < 2 * int(lake.one(f"SELECT count(*) FROM ({merged})", [day])) or not rows:
        return 0
    with lake.writing():
        before = lake.snapshot()
        added_up = lake.arrow(merged, [day])
        lake.connection.execute(f"DELETE FROM {rollup} WHERE day < ?", [day])
        lake.insert(rollup, added_up)
    _skip(lake, before, now)
    return rows - int(added_up.num_rows)


def _skip(lake: Lake, before: int, now: datetime) -> None:
    """Move detections that had seen everything past our own rearrangement, which brought nothing new."""
    with lake.writing():
        after = json.dumps({"snapshot": lake.snapshot()})
        lake.connection.execute(
            "UPDATE cursors SET state = ?, updated_at = ? WHERE starts_with(name, 'detection ') AND state = ?",
            [after, now, json.dumps({"snapshot": before})],
        )
