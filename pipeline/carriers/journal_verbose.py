"""
The systemd journal as `journalctl -o verbose` writes it: a line with time and cursor, its fields indented below it.

The entry ends where the next begins, so the last one of a read is kept until then. A value of several lines goes on
with more indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.journal import line_of
from pipeline.lines import LONGEST, Line, lines_of
from pipeline.model import Chunk, Reject
from pipeline.stamps import Stamps

_HEAD = re.compile(
    rb"[A-Z][a-z]{2} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) (\S+) \[(s=[0-9a-f]+;i=[0-9a-f]+;[^\]]*)\]\s*"
)
_FIELD = re.compile(rb"    ([A-Z0-9_]+)=(.*)", re.DOTALL)


def looks_like(head: bytes) -> bool:
    """Return whether `head` begins with an entry of the journal."""
    return _HEAD.match(head.lstrip()) is not None


def records(chunk: Chunk, memory: dict[str, Any]) -> Iterator[Line | Reject | None]:
    """Yield each entry of `chunk`; the last one is kept, because its fields may go on."""
    pending = memory.pop("pending", None)
    entry = {name: value.encode("latin-1") for name, value in pending["fields"].items()} if pending else {}
    offset, latest = (pending["offset"], pending["latest"]) if pending else (chunk.offset, "")
    stamps = Stamps(chunk.as_of, chunk.zone)
    for raw in lines_of(chunk):
        if head := _HEAD.fullmatch(raw.raw):
            if entry:
                yield line_of(entry, offset)
            entry, offset, latest = _begun(head, stamps), raw.offset, ""
        elif field := _FIELD.fullmatch(raw.raw):
            latest = field[1].decode("ascii")
            entry[latest] = field[2]
        elif latest and raw.raw.startswith(b"     ") and len(entry[latest]) < LONGEST:
            entry[latest] += b"\n" + raw.raw.strip()
        elif raw.raw.strip() and not raw.raw.startswith(b"-- "):
            yield Reject(raw.raw, raw.offset, "is no line of a journal entry")
    if chunk.is_last and entry:
        yield line_of(entry, offset)
    elif entry:
        fields = {name: value.decode("latin-1") for name, value in entry.items()}
        memory["pending"] = {"fields": fields, "offset": offset, "latest": latest}


def _begun(head: re.Match[bytes], stamps: Stamps) -> dict[str, bytes]:
    zone = b"Z" if head[2] in {b"UTC", b"GMT"} else head[2] if head[2][:1] in {b"+", b"-"} else b""
    time = stamps.read(head[1] + zone)
    fields = {"__CURSOR": head[3]}
    if time:
        fields["__REALTIME_TIMESTAMP"] = b"%d" % round(time.timestamp() * 1_000_000)
    return fields
