"""
The records in a JSON export, however it packs them.

One object a line, objects one behind the other, a list, a page of Graph (`{"value": […]}`), an envelope of an Event
Hub (`{"records": […]}`), or the tables of a query API (`{"tables": [{"columns": …, "rows": …}]}`). A record that
cannot be read costs its own line only. Keys are compared without case, because feeds that pass records on change it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.lines import text_of
from pipeline.model import Chunk, Reject

MOST_DEPTH = 5
_PACKED_IN = ("value", "records", "results", "d")
_SPACE = re.compile(r"[\s,\x1e]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class JsonRecord:
    """One record: its values by key in lower case, and where the document that holds it begins."""

    values: dict[str, Any]
    offset: int

    def text(self, *names: str) -> str:
        """Return the first of the values called `names` (lower case) that says something, as text."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return str(value)
        return ""

    def inner(self, name: str) -> dict[str, Any]:
        """Return the object called `name` with its keys in lower case; some exports write it as JSON in a string."""
        value = self.values.get(name)
        if isinstance(value, str) and value.lstrip()[:1] == "{":
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                return {}
        return {str(key).lower(): each for key, each in value.items()} if isinstance(value, dict) else {}


def records_in(body: Chunk) -> Iterator[JsonRecord | Reject]:
    """Yield each record of an export, and what cannot be read as a reject."""
    text = text_of(body.body).lstrip("\ufeff")
    place = 0
    while place < len(text):
        space = _SPACE.match(text, place)
        start = space.end() if space else place
        if start >= len(text):
            return
        offset = body.offset + len(text[:start].encode("utf-8", "replace")) if start else body.offset
        try:
            found, place = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            place = _line_end(text, start)
            yield Reject(text[start:place].strip().encode("utf-8", "replace")[: 1 << 16], offset, "is no JSON record")
            continue
        yield from (JsonRecord(values, offset) for values in _unpacked(found, 0))


def looks_like_json(head: bytes) -> bool:
    """Return whether `head` begins as JSON does."""
    return text_of(head[:64]).lstrip("\ufeff \t\r\n\x1e")[:1] in {"{", "["}


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end + 1


def _unpacked(found: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > MOST_DEPTH:
        return
    if isinstance(found, list):
        for each in found:
            yield from _unpacked(each, depth + 1)
    elif isinstance(found, dict):
        values = {str(key).lower(): value for key, value in found.items()}
        packed = next((values[name] for name in _PACKED_IN if isinstance(values.get(name), (list, dict))), None)
        if isinstance(values.get("tables"), list):
            yield from _rows_of_tables(values["tables"])
        elif packed is not None and not values.keys() & {"id", "time", "operation"}:
            yield from _unpacked(packed, depth + 1)
        else:
            yield values


def _rows_of_tables(tables: list[Any]) -> Iterator[dict[str, Any]]:
    for table in tables:
        if not isinstance(table, dict):
            continue
        columns = [
            str(each.get("name", "") if isinstance(each, dict) else each).lower() for each in table.get("columns", [])
        ]
        for row in table.get("rows", []):
            if isinstance(row, list):
                yield dict(zip(columns, row, strict=False))
