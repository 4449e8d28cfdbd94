"""
Remove a person: every row about an address, every mention of it, and the bytes of both on the disk.

Rows about what the person sent or logged in with go; of rows about somebody else that only mention the address, the
mention goes. Then files are rewritten, all snapshots before that are forgotten and the catalog is compacted, so a
reader that looks at an older snapshot loses it. A log that still holds the address brings it back when it is read
again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta

import pyarrow as pa

from pipeline.errors import LakeError, Place
from pipeline.lake import CATALOG, Lake
from pipeline.lake.maintain import expire, removed
from pipeline.lake.tables import TABLES

PURGED = "[purged]"
CAUSE = "a purge"

_ABOUT: Mapping[str, tuple[str, ...]] = {
    "deliveries": ("sender", "auth_user", "client_user"),
    "traces": ("sender",),
    "signins": ("user",),
    "usage": ("sender",),
    "exposure": ("name", "user"),
    "sender_days": ("sender",),
    "findings": ("sender",),
}
"""Columns that say whom a row is about."""

_KEPT_WHOLE = ("meta", "removals")
_FAR_AHEAD = timedelta(days=366)


def purge(lake: Lake, address: str, now: datetime) -> dict[str, int]:
    """Remove what `lake` holds about `address`; return the rows removed or blanked, by table."""
    address = address.strip().lower()
    if "@" not in address:
        raise LakeError(f"{address!r} is no mail address; name the one to remove", place=Place(lake.folder))
    touched = {}
    with lake.writing():
        for table in TABLES:
            if table not in _KEPT_WHOLE and (rows := _purge_table(lake, table, address, now)):
                touched[table] = rows
    _off_the_disk(lake, now)
    return touched


def _purge_table(lake: Lake, table: str, address: str, now: datetime) -> int:
    about = " OR ".join(f'lower("{column}") = $address' for column in _ABOUT.get(table, ()))
    rows = 0
    if about:
        rows = int(lake.one(f"SELECT count(*) FROM {table} WHERE {about}", {"address": address}))
        lake.connection.execute(f"DELETE FROM {table} WHERE {about}", {"address": address})
    mentions = [(field.name, field.type) for field in TABLES[table] if field.type in {pa.string(), pa.binary()}]
    mentioning = 0
    for column, kind in mentions:
        mentioning += _blank(lake, table, column, address, is_text=kind == pa.string())
    if rows:
        removed(lake, table, rows, CAUSE, now)
    return rows + mentioning


def _blank(lake: Lake, table: str, column: str, address: str, *, is_text: bool) -> int:
    """Take mentions of `address` out of one column; a record in quarantine that mentions it goes as a whole."""
    where = f"regexp_matches(CAST(\"{column}\" AS VARCHAR), $pattern, 'i')"
    new = f"regexp_replace(\"{column}\", $pattern, '\\1{PURGED}\\2', 'gi')" if is_text else f"CAST('{PURGED}' AS BLOB)"
    parameters = {"pattern": _mention_of(address)}
    count = int(lake.one(f"SELECT count(*) FROM {table} WHERE {where}", parameters))
    if count:
        lake.connection.execute(f'UPDATE {table} SET "{column}" = {new} WHERE {where}', parameters)
    return count


def _mention_of(address: str) -> str:
    """Return a pattern (RE2) for `address` and no longer address that holds it."""
    letters = "".join(f"\\x{{{ord(sign):x}}}" for sign in address)
    return rf"(^|[^A-Za-z0-9._%+-]){letters}($|[^A-Za-z0-9.-]|\.$|\.[^A-Za-z0-9])"


def _off_the_disk(lake: Lake, now: datetime) -> None:
    for call in (
        "ducklake_flush_inlined_data('lake')",
        "ducklake_rewrite_data_files('lake', delete_threshold => 0.0)",
    ):
        with lake.writing():
            lake.connection.execute(f"CALL {call}")
    expire(lake, now + _FAR_AHEAD, seen_only=False)
    with lake.writing():
        lake.connection.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
        lake.connection.execute("CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)")
    compact_catalog(lake)


def compact_catalog(lake: Lake) -> None:
    """Rewrite the catalog without the pages that deleted rows have left in it."""
    try:
        with closing(sqlite3.connect(lake.folder / CATALOG, timeout=30)) as catalog:
            catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            catalog.execute("VACUUM")
            catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        raise LakeError(
            f"the rows are gone, but the catalog could not be compacted: {error}; "
            "end what reads the lake and purge again",
            place=Place(lake.folder),
            retry=True,
        ) from error
