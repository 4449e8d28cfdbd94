"""
Show where a row came from: its file and place in it, and the very line, read again.

The file may have been rotated or packed since, so its parts are looked at too; what is shown has to name the row (its
queue id, message, sender …), because another log may stand in the old place by now. Credentials are taken out of what
is shown. Of an export or a mail the line is shown that names the row best.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.following import parts_of
from pipeline.lake import Lake
from pipeline.lines import line_end_of, text_of
from pipeline.model import SCHEMAS
from pipeline.recognise import HEAD_BYTES, kind_of
from pipeline.redact import redacted
from pipeline.unpack import Unpacked, file_of, unpacked

MOST_BYTES = 64 << 10
MOST_SHOWN = 4 << 10
_NAMES = (
    *("request_id", "queue_id", "session_id", "trace_id", "message_id"),
    *("sender", "recipient", "user", "name", "client_ip", "from_ip"),
)
"""Columns that stand in a record as they are."""
_NO_FILE = re.compile(r"[a-z][a-z0-9+.-]+:(?![\\/](?![\\/]))", re.IGNORECASE)
"""How an origin begins that is none: `graph:`, `s3://`, `imaps://`. A drive, `C:\\`, has one letter."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """One row of the lake, the run that read it, and its record: `raw` from `path`, or the `trouble` with it."""

    table: str
    row: Row
    read_at: Any = None
    raw: str | None = None
    path: str | None = None
    trouble: str | None = None


def trace_of(lake: Lake, event_id: str) -> list[Told]:
    """Return what is known of each row that is called `event_id`: mostly one, or none."""
    with lake.reading():
        return [
            _told(lake, table, row)
            for table in (*SCHEMAS, "quarantine")
            for row in lake.rows(f"SELECT * FROM {table} WHERE event_id = ?", [event_id])
        ]


def _told(lake: Lake, table: str, row: Row) -> Told:
    read_at = lake.one(
        "SELECT min(read_at) FROM reads WHERE source = $source AND origin = $origin "
        "AND $offset >= coalesce(from_offset, 0) AND ($offset < to_offset OR to_offset IS NULL)",
        {"source": row["source"], "origin": row["origin"], "offset": row["origin_offset"] or 0},
    )
    raw, path, trouble = _record_of(row)
    return Told(table, row, read_at, raw, path, trouble)


def _record_of(row: Row) -> tuple[str | None, str | None, str | None]:
    """Return the record of `row`, where it was found, and what is the matter where it was not."""
    origin = str(row["origin"] or "")
    if not origin or (_NO_FILE.match(origin) and not file_of(origin).exists()):
        return None, None, f"{origin or 'what it came from'} is no file that could be read again"
    paths = [path for path in dict.fromkeys([origin, *_parts(origin)]) if file_of(path).is_file()]
    if not paths:
        return None, None, f"{origin} is gone, and no rotated part of it lies beside it"
    troubles = []
    for path in paths:
        try:
            with unpacked(path) as content:
                if raw := _record_in(content, row):
                    return redacted(text_of(raw)).rstrip("\r\n")[:MOST_SHOWN], path, None
        except OSError as error:
            troubles.append(f"{path} cannot be read ({error.strerror or error})")
    looked = f"{origin}, or a rotated part of it, holds something else at byte {row['origin_offset']} now"
    return None, None, "; ".join(troubles) or looked


def _parts(origin: str) -> list[str]:
    return parts_of(origin) if Path(file_of(origin)).parent.is_dir() else []


def _record_in(content: Unpacked, row: Row) -> bytes | None:
    """Return the record at the place of `row`, or None where it does not name the row."""
    offset = row["origin_offset"] or 0
    line_end = line_end_of(content.read(HEAD_BYTES))
    content.seek(max(0, offset - 1))
    before = content.read(1) if offset else line_end
    line = content.read(MOST_BYTES).split(line_end, 1)[0]
    if before == line_end and _names_of(row, line):
        return line
    return _nearby(content, row, offset, line_end) if kind_of(row["format"]).is_whole else None


def _nearby(content: Unpacked, row: Row, offset: int, line_end: bytes) -> bytes | None:
    """Return the line that names `row` best, and nearest to `offset`: an export counts records in its own way."""
    start = max(0, offset - MOST_BYTES)
    content.seek(start)
    best: tuple[int, int, bytes] | None = None
    for line in content.read(2 * MOST_BYTES).split(line_end):
        rank = (_names_of(row, line), -abs(start - offset), line)
        best = max(best, rank) if best and rank[0] else best or (rank if rank[0] else None)
        start += len(line) + len(line_end)
    return best[2] if best else None


def _names_of(row: Row, record: bytes) -> int:
    """Return how much of what names `row` stands in `record`; none says that it is another record."""
    if not record.strip():
        return 0
    if row.get("raw") is not None:  # the quarantine holds its record, without credentials
        words = [word for word in re.findall(rb"\w+", row["raw"]) if word != b"redacted"]
        found = sum(word in record for word in words)
        return found + 1 if found >= 0.8 * len(words) else 0
    text = text_of(record).lower()
    said = [str(row[name]).lower() for name in _NAMES if row.get(name)]
    return sum(each in text for each in said) if said else 1
