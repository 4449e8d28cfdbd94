"""
The systemd journal as `journalctl -o json` writes it, one object a line; also `json-seq`, `json-sse` and `json-pretty`,
which begins and ends an entry with a brace on a line of its own.

A field that is no valid UTF-8 comes as a list of byte numbers, and one that is there several times as a list of values.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.journal import line_of
from pipeline.lines import LONGEST, Line, RawLine, lines_of, too_long
from pipeline.model import Chunk, Reject

_MARKS = (b'"__REALTIME_TIMESTAMP"', b'"MESSAGE"')
_SEPARATOR = b"\x1e"  # of `-o json-seq`
_EVENT = b"data: "  # of `-o json-sse`


def looks_like(head: bytes) -> bool:
    """Return whether `head` begins with an entry of the journal."""
    begin = head.lstrip(b"\x1e\r\n \xef\xbb\xbf").removeprefix(_EVENT)
    first = begin.split(b"\n}" if _is_brace(begin.split(b"\n", 1)[0], b"{") else b"\n", 1)[0]
    return first[:1] == b"{" and all(mark in first for mark in _MARKS)


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each entry of `chunk`; one that is half there is kept for the next read."""
    pending = memory.pop("pending", None)
    parts = [pending["text"].encode("latin-1")] if pending else []
    offset = pending["offset"] if pending else chunk.offset
    for raw in lines_of(chunk):
        if parts:
            parts.append(raw.raw)
            if _is_brace(raw.raw, b"}") or sum(map(len, parts)) > LONGEST:
                yield _record(RawLine(b"\n".join(parts), offset, raw.is_ended))
                parts = []
        elif _is_brace(raw.raw, b"{"):
            parts, offset = [raw.raw], raw.offset
        else:
            yield _record(raw)
    if parts and chunk.is_last:
        yield _record(RawLine(b"\n".join(parts), offset, is_ended=False))
    elif parts:
        memory["pending"] = {"text": b"\n".join(parts).decode("latin-1"), "offset": offset}


def _is_brace(line: bytes, brace: bytes) -> bool:
    return line.strip() == brace


def _record(raw: RawLine) -> Line | Reject | None:
    text = raw.raw.strip().removeprefix(_SEPARATOR).removeprefix(_EVENT)
    if not text:
        return None
    if long := too_long(raw):
        return long
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        return Reject(raw.raw, raw.offset, "is no JSON object" if raw.is_ended else "the file ends in mid-line")
    fields = {str(name): bytes_of(value) for name, value in entry.items() if value is not None}
    return line_of(fields, raw.offset, is_ended=raw.is_ended)


def bytes_of(value: Any) -> bytes:
    """Return a field's value as bytes; of several values, the last."""
    if isinstance(value, list):
        if value and all(isinstance(each, int) and 0 <= each < 256 for each in value):
            return bytes(value)
        return bytes_of(value[-1]) if value else b""
    return str(value).encode("utf-8", "replace")
