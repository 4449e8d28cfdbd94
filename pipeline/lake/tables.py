"""
The tables of the lake: evidence as the formats yield it, stamped with where it came from, and our own books.

One grain each; counts are never added across tables. `SCHEMA_VERSION` is stored in `meta`; `migrate` brings a lake of
an older version up to it, and one of a newer version is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.model import SCHEMAS, TIME, TIME_OF

SCHEMA_VERSION = 4

STAMP = pa.schema(
    [
        ("source", pa.string()),  # name of the source in the settings
        ("format", pa.string()),  # file name in pipeline/formats
        ("origin", pa.string()),  # path or URL it was read from
        ("ingested_at", TIME),
    ]
)
"""Columns that the run adds to each row of evidence."""

BOOKS: dict[str, pa.Schema] = {
    # One line or record that could not be read, kept as it was.
    "quarantine": pa.schema(
        [
            ("quarantined_at", TIME),
            ("source", pa.string()),
            ("format", pa.string()),
            ("origin", pa.string()),
            ("origin_offset", pa.int64()),
            ("reason", pa.string()),
            ("raw", pa.binary()),
            ("event_id", pa.string()),
        ]
    ),
    # One read of one piece of one file: what it held and where it ended. lines = rows' lines + rejects + left.
    "reads": pa.schema(
        [
            ("read_at", TIME),
            ("source", pa.string()),
            ("format", pa.string()),
            ("origin", pa.string()),
            ("log", pa.string()),
            ("from_offset", pa.int64()),
            ("to_offset", pa.int64()),
            ("lines", pa.int64()),
            ("left", pa.int64()),
            ("rows", pa.int64()),
            ("rejects", pa.int64()),
            ("quarantined", pa.int64()),  # those of the rejects that were not in quarantine yet
            ("complete_until", TIME),  # nothing older than this is still to come from that log
        ]
    ),
    # What is missing and why.
    "gaps": pa.schema(
        [
            ("noticed_at", TIME),
            ("source", pa.string()),
            ("origin", pa.string()),
            ("from_offset", pa.int64()),
            ("cause", pa.string()),
            ("gap_id", pa.string()),
            ("from_time", TIME),  # of a feed that is asked for spans of time: what is missing, [from_time, to_time)
            ("to_time", TIME),
        ]
    ),
    # Rows that were taken out again, and why, so that what was read still adds up.
    "removals": pa.schema(
        [
            ("removed_at", TIME),
            ("table", pa.string()),
            ("rows", pa.int64()),
            ("cause", pa.string()),  # older than the settings keep it · a purge · read at last
        ]
    ),
    # Where to go on, as JSON: `source X` counts its commits, below it are its position (`at …`) and half-read
    # sessions (`log …`); `detection X` is the last snapshot that it has seen.
    "cursors": pa.schema(
        [
            ("name", pa.string()),
            ("state", pa.string()),
            ("updated_at", TIME),
            ("complete_until", TIME),  # of a source: nothing older is still to come, gaps apart
        ]
    ),
    # What each source brings into each table of evidence, and up to when: what "no data" is judged by.
    "feeds": pa.schema(
        [
            ("source", pa.string()),
            ("table", pa.string()),
            ("newest_at", TIME),  # the newest row that it brought
            ("complete_until", TIME),  # nothing older is still to come, gaps apart
            ("is_export", pa.bool_()),  # it comes in exports, so it is complete up to its newest row and no further
            ("noted_at", TIME),
        ]
    ),
    # Partial sums, appended with the rows they count and summed when read.
    "sender_days": pa.schema(
        [
            ("day", pa.date32()),
            ("evidence", pa.string()),  # the table counted
            ("sender", pa.string()),
            ("auth_protocol", pa.string()),
            ("client_ip", pa.string()),
            ("client_name", pa.string()),
            ("service", pa.string()),
            ("kind", pa.string()),  # of a delivery; for `usage` the report that counts
            ("outcome", pa.string()),
            ("reply_class", pa.string()),
            ("events", pa.int64()),
            ("messages", pa.int64()),
            ("hours", pa.int64()),  # a bit for each hour of the day (UTC) in which there was one, the lowest for 00
            ("first_at", TIME),  # the first and the last of them; NULL where only the day is known
            ("last_at", TIME),
        ]
    ),
    # Partial sums too: whom a sender writes to, by the domain of the recipient.
    "sender_domains": pa.schema(
        [
            ("day", pa.date32()),
            ("evidence", pa.string()),
            ("sender", pa.string()),
            ("recipient_domain", pa.string()),
            ("events", pa.int64()),
        ]
    ),
    # The state of each sender. A row is written when it changes; the view `senders` tells what it is now.
    "sender_states": pa.schema(
        [
            ("noted_at", TIME),
            ("sender", pa.string()),
            ("state", pa.string()),
            ("since", TIME),
            ("because", pa.string()),
            ("confidence", pa.string()),
        ]
    ),
    # What was found. A row is written when a finding opens, changes or ends.
    "findings": pa.schema(
        [
            ("noted_at", TIME),
            ("fingerprint", pa.string()),  # detection and what it is about
            ("episode", TIME),  # first_seen when it opened: one problem from open to over
            ("state", pa.string()),  # open · changed · over
            ("detection", pa.string()),
            ("severity", pa.string()),
            ("sender", pa.string()),
            ("first_seen", TIME),
            ("last_seen", TIME),
            ("is_late", pa.bool_()),  # its rows arrived after their window had been asked
            ("facts", pa.string()),  # the detection's row, as JSON
            ("over_at", TIME),
            ("because", pa.string()),  # why it is over
        ]
    ),
    # What was said to whom: the intent is written before the send, each try after it.
    "notifications": pa.schema(
        [
            ("noted_at", TIME),
            ("notification_id", pa.string()),  # the same on each retry
            ("state", pa.string()),  # intended · delivered · failed · dead
            ("channel", pa.string()),
            ("thread", pa.string()),  # what it is about: one group
            ("reason", pa.string()),
            ("fingerprints", pa.string()),  # JSON list of the findings it speaks of
            ("attempt", pa.int64()),
            ("next_attempt_at", TIME),
            ("message", pa.string()),  # the message as JSON, on the intent only
            ("error", pa.string()),
        ]
    ),
    # What became of our own jobs. A row is written when one fails, goes on for too long, was missed, or gets through
    # again, and while it goes on ever more rarely.
    "jobs": pa.schema(
        [
            ("job", pa.string()),  # source X · detection X · channel X · delivery · maintenance
            ("state", pa.string()),  # failed · overrunning · missed · recovered
            ("since", TIME),  # the first failure in a row, the start of the run, the first turn that was missed
            ("noted_at", TIME),  # each row of a job is later than the one before it
            ("times", pa.int64()),  # failures in a row, or turns left out
            ("error", pa.string()),  # the last one, as a sentence
        ]
    ),
    "meta": pa.schema([("key", pa.string()), ("value", pa.string())]),
}

TABLES: dict[str, pa.Schema] = {
    **{name: pa.unify_schemas([schema, STAMP]) for name, schema in SCHEMAS.items()},
    **BOOKS,
}


@dataclass(frozen=True, slots=True)
class Versions:
    """Of a table whose rows are versions: the columns that make the thing, and those that say what it was like."""

    thing: tuple[str, ...]
    said: tuple[str, ...]


VERSIONS: Mapping[str, Versions] = {
    "traces": Versions(("trace_id", "recipient"), ("message_id", "sender", "status", "from_ip", "to_ip", "size_bytes")),
}
LATEST_FIRST = "seen_at DESC, ingested_at DESC, event_id"
"""Which of several versions is the latest; the first column of a thing may be NULL, and then there is just one."""

VIEWS: Mapping[str, str] = {
    # Up to when a table of evidence is complete: as far as the source of it that is furthest behind.
    "completeness": """
        SELECT "table" AS evidence, min(complete_until) AS complete_until, max(newest_at) AS newest_at
        FROM feeds GROUP BY "table" """,
    # What is known last of each message and recipient; a listing without ids cannot tell versions of one apart.
    "traces_latest": f"""
        SELECT * FROM traces
        QUALIFY row_number() OVER (PARTITION BY coalesce(trace_id, event_id), recipient ORDER BY {LATEST_FIRST}) = 1""",
}
"""Views that the lake brings along, by name."""

TIME_KEPT: Mapping[str, str] = {
    **TIME_OF,
    "quarantine": "quarantined_at",
    "reads": "read_at",
    "gaps": "noticed_at",
    "sender_days": "day",
    "sender_domains": "day",
    "sender_states": "noted_at",
    "findings": "noted_at",
    "notifications": "noted_at",
    "jobs": "noted_at",
}
"""The tables of which old rows may go, and the column that tells their age."""

_SQL_TYPES = {
    TIME: "TIMESTAMPTZ",
    pa.date32(): "DATE",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
    pa.string(): "VARCHAR",
}


def ddl_of(table: str) -> str:
    """Return the CREATE TABLE statement of `table`."""
    columns = ", ".join(f'"{field.name}" {sql_type_of(field)}' for field in TABLES[table])
    return f"CREATE TABLE IF NOT EXISTS {table} ({columns})"


def ddl_of_view(view: str) -> str:
    """Return the CREATE VIEW statement of `view`."""
    return f"CREATE OR REPLACE VIEW {view} AS {VIEWS[view]}"


def sql_type_of(field: pa.Field) -> str:
    """Return the SQL type of one column."""
    return _SQL_TYPES[field.type]
