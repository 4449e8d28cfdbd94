"""
Remove a person: every row about an address, every mention of it, and the bytes of both on the disk.

Rows about what the person sent or logged in with go; of rows about somebody else that only mention the address, the
mention goes. Then files are rewritten, all snapshots before that are forgotten and the catalog is compacted, so a
reader that looks at an older snapshot loses it. A log that still holds the address brings it back when it is read
again.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
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
    "sender_domains": ("sender",),
    "sender_states": ("sender",),
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
    columns = [field for field in TABLES[table] if field.type in {pa.string(), pa.binary()}]
    pattern = _mention_of(address)
    of_others = f" AND ({about}) IS NOT TRUE" if about else ""
    # One look at the table for all columns: a lake of few rows takes longer to be asked than to be read.
    counts = [f"count(*) FILTER (WHERE {_mentions(column)}{of_others})" for column in columns]
    counts.append(f"count(*) FILTER (WHERE {about})" if about else "0")
    both = {"pattern": pattern} | ({"address": address} if about else {})
    [found] = lake.connection.execute(f"SELECT {', '.join(counts)} FROM {table}", both).fetchall()
    *mentioning, rows = map(int, found)
    if rows:
        lake.connection.execute(f"DELETE FROM {table} WHERE {about}", {"address": address})
        removed(lake, table, rows, CAUSE, now)
    _blank(lake, table, [column for column, count in zip(columns, mentioning, strict=True) if count], pattern)
    return rows + sum(mentioning)


def _blank(lake: Lake, table: str, columns: Sequence[pa.Field], pattern: str) -> None:
    """Take mentions out of `columns`; a record in quarantine that mentions the address goes as a whole."""
    if columns:
        new = ", ".join(f'"{column.name}" = {_without_mentions(column)}' for column in columns)
        where = " OR ".join(map(_mentions, columns))
        lake.connection.execute(f"UPDATE {table} SET {new} WHERE {where}", {"pattern": pattern})


def _mentions(column: pa.Field) -> str:
    shown = f"replace(CAST(\"{column.name}\" AS VARCHAR), '\\x5C', '\\')"
    return f"regexp_matches({_text(column) or shown}, $pattern, 'i')"


def _without_mentions(column: pa.Field) -> str:
    text = _text(column)
    if not text:
        return f"CASE WHEN {_mentions(column)} THEN CAST('{PURGED}' AS BLOB) ELSE \"{column.name}\" END"
    # Twice: of two mentions with one sign between them, the first takes that sign.
    without = f"'\\1\\3{PURGED}\\2\\4'"
    return f"regexp_replace(regexp_replace({text}, $pattern, {without}, 'gi'), $pattern, {without}, 'gi')"


def _text(column: pa.Field) -> str:
    return f'"{column.name}"' if column.type == pa.string() else ""


_ESCAPED = r"\\[nrt]|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|[%=][0-9A-Fa-f]{2}"
"""A sign as JSON, bytes that are shown as text, an address of the web or a mail writes it."""
_AT = r"(?:@|%40|=40|\+40|&#64;|\\u0040)"


def _mention_of(address: str) -> str:
    """Return a pattern (RE2) for `address`, also in a return path (`b+anna=…`), and no longer one that holds it."""
    local, _, domain = address.rpartition("@")
    local, domain = _letters(local), _letters(domain)
    return (
        rf"(^|[^A-Za-z0-9._%+-]|{_ESCAPED}){local}{_AT}{domain}($|[^A-Za-z0-9.-]|\.$|\.[^A-Za-z0-9])"
        rf"|([+=-]){local}={domain}(@)"
    )


def _letters(part: str) -> str:
    """Return a pattern for `part` of an address as text, JSON, Markdown, or bytes shown as text write it."""
    signs = []
    for sign in part:
        written = rf"\x{{{ord(sign):x}}}"
        shown = re.escape("".join(f"\\x{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass")))
        is_plain = sign.isascii() and sign.isalnum()
        signs.append(written if is_plain else rf"(?:\\{{0,2}}{written}|\\u{ord(sign):04x}|{shown})")
    return "".join(signs)


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
