"""
Read again what is in quarantine: after an update that knows more, or with the file as it is meant to be.

A record rarely stands alone: an export has its header, a log its sessions. So the file that it came from is read anew
where it is still there; otherwise the record is read by itself, as far as it goes. What is read at last leaves the
quarantine, and events that the lake has already are not kept twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from pipeline.errors import FormatError
from pipeline.ingest import keep_rows, quarantined_of
from pipeline.lake import Lake
from pipeline.lake.maintain import removed
from pipeline.model import Chunk, Parsed, Pulled
from pipeline.reading import read
from pipeline.recognise import always
from pipeline.sources.files import pull
from pipeline.unpack import file_of

READ_AT_LAST = "read at last"


@dataclass(slots=True)
class Replayed:
    """What one replay did: records tried, taken out of quarantine, and rows that were new."""

    tried: int = 0
    read: int = 0
    rows: int = 0


def replay(lake: Lake, now: datetime, zone_of_source: Callable[[str], tzinfo]) -> Replayed:
    """Read each record in quarantine again; `zone_of_source` is for times that name no zone."""
    done = Replayed()
    groups = lake.rows("SELECT DISTINCT source, format, origin FROM quarantine ORDER BY ALL")
    for group in groups:
        records = lake.rows(
            "SELECT * FROM quarantine WHERE source = $source AND format = $format AND origin = $origin", group
        )
        done.tried += len(records)
        chunks = list(_chunks(group, records, zone_of_source(group["source"])))
        _keep(lake, done, group, records, chunks, now)
    return done


def _chunks(
    group: Mapping[str, str], records: Iterable[Mapping[str, Any]], zone: tzinfo
) -> Iterable[tuple[Pulled, Parsed]]:
    found = _from_file(group, zone) if file_of(group["origin"]).is_file() else _alone(group, records, zone)
    carry: Mapping[str, Any] = {}
    for pulled in found:
        try:
            parsed = read(group["format"], pulled.chunk, carry)
        except FormatError:
            continue
        carry = parsed.carry
        yield pulled, parsed


def _from_file(group: Mapping[str, str], zone: tzinfo) -> Iterable[Pulled]:
    found = pull([group["origin"]], {}, always(group["format"]), zone, to_the_end=True)
    return (each for each in found if isinstance(each, Pulled))


def _alone(group: Mapping[str, str], records: Iterable[Mapping[str, Any]], zone: tzinfo) -> Iterable[Pulled]:
    for record in records:
        chunk = Chunk(
            record["raw"] + b"\n",
            group["origin"],
            record["event_id"],
            record["origin_offset"],
            record["quarantined_at"],
            zone,
        )
        yield Pulled(chunk, group["format"], group["origin"], {})


def _keep(
    lake: Lake,
    done: Replayed,
    group: Mapping[str, str],
    records: list[dict[str, Any]],
    chunks: list[tuple[Pulled, Parsed]],
    now: datetime,
) -> None:
    still: set[str] = set()
    with lake.writing():
        rows = 0
        for pulled, parsed in chunks:
            for table, found in parsed.tables.items():
                rows += keep_rows(lake, table, found, group["source"], pulled, now)
            still |= set(quarantined_of(parsed, group["source"], pulled, now)["event_id"].to_pylist())
        gone = [record["event_id"] for record in records if record["event_id"] not in still] if chunks else []
        if gone:
            lake.connection.execute("DELETE FROM quarantine WHERE event_id IN (SELECT unnest(?))", [gone])
            removed(lake, "quarantine", len(gone), READ_AT_LAST, now)
        if rows:
            lake.insert("reads", [_entry(group, rows, now)])
    done.read += len(gone)
    done.rows += rows


def _entry(group: Mapping[str, str], rows: int, now: datetime) -> dict[str, Any]:
    return {
        "read_at": now,
        "source": group["source"],
        "format": group["format"],
        "origin": group["origin"],
        "log": READ_AT_LAST,
        "lines": 0,
        "left": 0,
        "rows": rows,
        "rejects": 0,
        "quarantined": 0,
    }
