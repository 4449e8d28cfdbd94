"""
The systemd journal as `journalctl -o export` writes it: fields line by line, an empty line behind each entry.

A value with line ends in it stands as the name alone, a length in eight bytes, little-endian, and that many bytes; so
an entry may be cut anywhere by the end of a read, and its beginning is kept for the next one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.journal import line_of
from pipeline.lines import KEPT_OF_LONG, LONGEST, Line
from pipeline.model import Chunk, Reject

_NAME = re.compile(rb"[A-Z0-9_]{1,64}\Z")
_FIRST = re.compile(rb"\s*__CURSOR=[^\n]*\n__REALTIME_TIMESTAMP=\d+")


class _Unfinished(Exception):  # noqa: N818 - no error: the rest is still to come
    """The bytes end before the entry does."""


def looks_like(head: bytes) -> bool:
    """Return whether `head` begins with an entry of the journal."""
    return _FIRST.match(head) is not None


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each entry of `chunk`; the beginning of one that is not whole is kept."""
    body = memory.pop("pending", "").encode("latin-1") + chunk.body
    offset = chunk.offset - (len(body) - len(chunk.body))
    place = 0
    while place < len(body):
        try:
            entry, end = _entry(body, place, is_last=chunk.is_last)
        except _Unfinished:
            if len(body) - place > LONGEST or chunk.is_last:
                yield Reject(body[place : place + KEPT_OF_LONG], offset + place, "the journal entry does not end")
            else:
                memory["pending"] = body[place:].decode("latin-1")
            return
        if entry:
            yield line_of(entry, offset + place)
        place = end


def _entry(body: bytes, place: int, *, is_last: bool) -> tuple[dict[str, bytes], int]:
    fields: dict[str, bytes] = {}
    while True:
        end = body.find(b"\n", place)
        if end < 0:
            if is_last and (fields or place < len(body)):
                return fields, len(body)
            raise _Unfinished
        line = body[place:end]
        place = end + 1
        if not line.strip():
            return fields, place
        name, equals, value = line.partition(b"=")
        if not equals and _NAME.match(line):
            value, place = _binary(body, place)
        fields[name.decode("ascii", "replace")] = value


def _binary(body: bytes, place: int) -> tuple[bytes, int]:
    size = int.from_bytes(body[place : place + 8], "little")
    end = place + 8 + size
    if len(body) < end + 1:
        raise _Unfinished
    return body[place + 8 : end], end + 1
