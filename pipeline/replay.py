"""
Read again what is in quarantine: after an update that knows more, or with the file as it is meant to be.

A record rarely stands alone: an export has its header, a log its sessions. So the file that holds it is read anew, be
it the one that it came from, put right or not, or the part that rotation has made of that; otherwise the record is
read by itself, as far as it goes. What is read at last leaves the quarantine, and nothing else does: a file that holds
other records now says nothing about those of before. Events that the lake has already are not kept twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from pipeline.errors import FormatError
from pipeline.following import MOST_WHOLE_BYTES, parts_of, pull
from pipeline.ingest import keep_rows, quarantined_of
from pipeline.lake import Lake
from pipeline.lake.maintain import removed
from pipeline.lines import line_end_of
from pipeline.model import Chunk, Parsed, Pulled
from pipeline.reading import read
from pipeline.recognise import HEAD_BYTES, always, kind_of
from pipeline.unpack import Unpacked, unpacked

READ_AT_LAST = "read at last"
_WORD = re.compile(rb"\w+")
_ENOUGH = 0.8
"""So many of a record's words stand in its place where it was put right by hand; all of them where it was not."""

Record = Mapping[str, Any]
"""A row of the quarantine."""


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
        desk = _Desk(lake, group["source"], group["format"], group["origin"], zone_of_source(group["source"]), now)
        waiting = desk.records()
        done.tried += len(waiting)
        for path in dict.fromkeys([desk.origin, *parts_of(desk.origin)]):
            if held := _held_by(path, desk.format, waiting):
                desk.read_file(path, held, done)
                waiting = [record for record in waiting if record["event_id"] not in held]
        for record in waiting:
            desk.read_alone(record, done)
    return done


def _held_by(path: str, format: str, records: Iterable[Record]) -> set[str]:
    """Return the ids of those `records` that the file at `path` holds in their places."""
    try:
        with unpacked(path) as content:
            is_held = _in_whole(content) if kind_of(format).is_whole else _in_place(content)
            by_place = sorted(records, key=lambda record: int(record["origin_offset"]))
            return {record["event_id"] for record in by_place if is_held(record)}
    except OSError:
        return set()


def _in_whole(content: Unpacked) -> Callable[[Record], bool]:
    body = content.read(MOST_WHOLE_BYTES)
    words = {*_WORD.findall(body)}
    return lambda record: _is_about(record["raw"], body, words)


def _in_place(content: Unpacked) -> Callable[[Record], bool]:
    line_end = line_end_of(content.read(HEAD_BYTES))

    def is_held(record: Record) -> bool:
        offset, raw = record["origin_offset"], record["raw"]
        content.seek(max(0, offset - 1))
        before = content.read(1) if offset else line_end
        line = content.read(2 * len(raw) + 1024).split(line_end, 1)[0] if before == line_end else b""
        return bool(line) and _is_about(raw, line, {*_WORD.findall(line)})

    return is_held


def _is_about(raw: bytes, text: bytes, words: set[bytes]) -> bool:
    """Return whether `text`, which has `words`, can be the record `raw`, as it was or put right."""
    own = {*_WORD.findall(raw)} - {b"redacted"}
    return len(own & words) >= _ENOUGH * len(own) if own else raw in text


@dataclass(frozen=True, slots=True)
class _Desk:
    """The records of one file, and how they are read again."""

    lake: Lake
    source: str
    format: str
    origin: str
    zone: tzinfo
    now: datetime

    def records(self) -> list[dict[str, Any]]:
        return self.lake.rows(
            "SELECT * FROM quarantine WHERE source = ? AND format = ? AND origin = ?",
            [self.source, self.format, self.origin],
        )

    def read_file(self, path: str, held: set[str], done: Replayed) -> None:
        """Keep what `path` brings; those of the records `held` in it that are no rejects any more are read."""
        still: set[str] = set()
        for pulled, parsed in self._parsed_of(path):
            done.rows += self._keep(pulled, parsed)
            still |= set(quarantined_of(parsed, self.source, pulled, self.now)["event_id"].to_pylist())
            if pulled.chunk.is_last or kind_of(self.format).is_whole:  # without its end, nobody knows
                done.read += self._take_out(sorted(held - still))

    def read_alone(self, record: Record, done: Replayed) -> None:
        """Keep the rows that `record` makes by itself; where it makes none, it stays."""
        raw, offset, as_of = record["raw"] + b"\n", record["origin_offset"], record["quarantined_at"]
        chunk = Chunk(raw, self.origin, record["event_id"], offset, as_of, self.zone)
        try:
            parsed = read(self.format, chunk, {})
        except FormatError:
            return
        if not parsed.rejects and any(table.num_rows for table in parsed.tables.values()):
            done.rows += self._keep(Pulled(chunk, self.format, self.origin, {}), parsed)
            done.read += self._take_out([record["event_id"]])

    def _parsed_of(self, path: str) -> Iterator[tuple[Pulled, Parsed]]:
        carry: Mapping[str, Any] = {}
        for pulled in pull([path], {}, always(self.format), self.zone, to_the_end=True):
            if isinstance(pulled, Pulled):
                try:
                    parsed = read(self.format, pulled.chunk, carry)
                except FormatError:
                    return
                carry = parsed.carry
                yield pulled, parsed

    def _keep(self, pulled: Pulled, parsed: Parsed) -> int:
        with self.lake.writing():
            rows = sum(
                int(keep_rows(self.lake, table, found, self.source, pulled, self.now).num_rows)
                for table, found in parsed.tables.items()
            )
            if rows:
                self.lake.insert("reads", [self._entry(rows)])
        return rows

    def _take_out(self, ids: list[str]) -> int:
        if ids:
            with self.lake.writing():
                self.lake.connection.execute("DELETE FROM quarantine WHERE event_id IN (SELECT unnest(?))", [ids])
                removed(self.lake, "quarantine", len(ids), READ_AT_LAST, self.now)
        return len(ids)

    def _entry(self, rows: int) -> dict[str, Any]:
        return {
            "read_at": self.now,
            "source": self.source,
            "format": self.format,
            "origin": self.origin,
            "log": READ_AT_LAST,
            "lines": 0,
            "left": 0,
            "rows": rows,
            "rejects": 0,
            "quarantined": 0,
        }
