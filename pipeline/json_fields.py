"""
One object of a JSON log as flat fields: `{"host": {"name": …}}` is `host.name`, as some collectors write it already.

Keys are in lower case and without the underscores that GELF and the journal set before them; what a search engine or an
export packs into one inner object counts as if it stood outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.lines import text_of

_PACKED_IN = ("_source.", "result.")
_MOST_DEPTH = 4
_MOST_FIELDS = 400
_UNITS = ((1e9, 1e17), (1e6, 1e14), (1e3, 1e11), (1.0, 0.0))
_LATEST = 1e19

Fields = dict[str, Any]


def fields_in(raw: bytes) -> Fields | None:
    """Return the fields of the object that `raw` is, or None."""
    if raw[:1] != b"{":
        return None
    try:
        found = json.loads(text_of(raw))
    except (ValueError, RecursionError):
        return None
    return _flat(found) if isinstance(found, dict) else None


def since_1970(value: float) -> datetime | None:
    """Return the time that is so many seconds since 1970, or milli-, micro- or nanoseconds where it is that large."""
    if not 0 < value < _LATEST:
        return None
    unit = next(unit for unit, least in _UNITS if value >= least)
    return datetime.fromtimestamp(value / unit, UTC)


def _flat(found: Mapping[str, Any]) -> Fields:
    fields: Fields = {}
    for path, value in _leaves(found, "", 0):
        name = next((path.removeprefix(each) for each in _PACKED_IN if path.startswith(each)), path)
        if len(fields) < _MOST_FIELDS:
            fields.setdefault(name.lstrip("_"), value)
    return fields


def _leaves(found: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in found.items():
        path = f"{before}{str(key).lower()}"
        if isinstance(value, dict) and depth < _MOST_DEPTH:
            yield from _leaves(value, f"{path}.", depth + 1)
        else:
            yield path, value
