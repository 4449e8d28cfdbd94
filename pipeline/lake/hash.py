"""
A hash of the evidence that does not depend on order, layout, or where and when a row was read.

Two lakes with equal hashes hold the same evidence; reading anything again leaves it as it is. A value goes in with the
name of its column and NULL goes in as nothing, so that a column or a table that a newer version adds changes no hash
before something is in it.
"""

from __future__ import annotations

import hashlib

from pipeline.lake import Lake
from pipeline.lake.tables import TABLES
from pipeline.model import SCHEMAS

EMPTY = "0" * 32
"""The hash of a table without rows."""

_NOT_EVIDENCE = {"ingested_at", "quarantined_at", "origin", "origin_offset", "source", "seen_at"}


def hash_of(lake: Lake) -> dict[str, str]:
    """Return the hash of each table of evidence, and of all together under 'evidence', as 32 hex digits."""
    with lake.reading():
        by_table = {table: hash_of_table(lake, table) for table in (*SCHEMAS, "quarantine")}
    filled = "\n".join(f"{name} {value}" for name, value in by_table.items() if value != EMPTY)
    together = hashlib.blake2b(filled.encode(), digest_size=16)
    return by_table | {"evidence": together.hexdigest()}


def hash_of_table(lake: Lake, table: str) -> str:
    """Return the hash of the rows of one table, as 32 hex digits."""
    # Each value goes in with its length, so that no value can look like two, or like none.
    columns = ", ".join(
        f"coalesce('{name}=' || length({text}) || ':' || {text}, '')"
        for name in TABLES[table].names
        if name not in _NOT_EVIDENCE
        for text in [f'CAST("{name}" AS VARCHAR)']
    )
    [sums] = lake.rows(
        f"SELECT count(*) AS rows, CAST(sum(CAST(md5_number_lower(row_text) AS HUGEINT)) AS VARCHAR) AS lower, "
        f"CAST(sum(CAST(md5_number_upper(row_text) AS HUGEINT)) AS VARCHAR) AS upper "
        f"FROM (SELECT concat({columns}) AS row_text FROM {table})"
    )
    if not sums["rows"]:
        return EMPTY
    return hashlib.blake2b(repr(tuple(sums.values())).encode(), digest_size=16).hexdigest()
