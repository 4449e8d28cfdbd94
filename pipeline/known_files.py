"""
What is known of the files read so far: how each begins, how far it was read, and what stands before that place.

A file is known by the first KiB of its unpacked content, not by its name or inode; one that is shorter than that at
first sight keeps the identity that it got then. Two files may begin alike, so reading goes on only where the bytes
before the place are still the same. All of it is JSON values, because it is a source's position.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pipeline.unpack import Unpacked, unpacked

FINGERPRINT_BYTES = 1024
TAIL_BYTES = 256
UNKNOWN = -1
MOST_GONE = 100
"""Files that are not there any more are remembered up to this many, in case they come back under another name."""


@dataclass(frozen=True, slots=True)
class Known:
    """
    A file as it was when it was last looked at.

    `start` and `tail` are digests, of its first `head_bytes` and of what stands before `offset`, where to go on. `rest`
    bytes behind it wait for a line end; it is UNKNOWN while the file is not read to its end. Exports have no
    `head_bytes`: their identity is that of all they hold.
    """

    identity: str
    start: str
    head_bytes: int
    tail: str
    offset: int
    rest: int
    size: int
    mtime_ns: int
    path: str
    format: str

    @property
    def key(self) -> str:
        """The name of this entry in a position: one file may be known under several paths."""
        return f"{self.identity} {self.path}"

    def starts(self, path: str) -> bool:
        """Return whether the file at `path` is there and begins as this one did."""
        try:
            with unpacked(path) as content:
                return digest(content.read(self.head_bytes)) == self.start
        except OSError:
            return False


_FIELDS = tuple(field.name for field in fields(Known))


class KnownFiles:
    """The files known so far, by identity and path; `noted` is the one looked at last."""

    def __init__(self, known: Iterable[Known]) -> None:
        self.known = {entry.key: entry for entry in known}
        self.noted: Known | None = None

    @classmethod
    def at(cls, position: Mapping[str, Any], paths: Iterable[str]) -> KnownFiles:
        """Return what `position` remembers, without the oldest of what is not among `paths` any more."""
        return cls(_worth_keeping([Known(**entry) for entry in position.values()], frozenset(paths)))

    def position(self) -> dict[str, Any]:
        """Return all that is known, as JSON values."""
        return {key: {name: getattr(entry, name) for name in _FIELDS} for key, entry in self.known.items()}

    def note(self, entry: Known) -> None:
        """Remember `entry`; what its path held before is forgotten once another path holds it."""
        for each in list(self.known.values()):
            if each.path == entry.path and each.identity != entry.identity and self._is_elsewhere(each):
                del self.known[each.key]
        self.known[entry.key] = self.noted = entry

    def new(self, head: bytes, path: str, stat: os.stat_result, format: str) -> Known:
        """Return a file that begins with `head` and was not read yet, under an identity of its own."""
        start = digest(head[:FINGERPRINT_BYTES])
        identity = start
        while self.has(identity):
            identity = digest(identity.encode())
        length = min(len(head), FINGERPRINT_BYTES)
        return Known(identity, start, length, digest(b""), 0, 0, stat.st_size, stat.st_mtime_ns, path, format)

    def unchanged(self, path: str, stat: os.stat_result) -> Known | None:
        """Return what is known of the file at `path`, if it is as it was and was read to its end."""
        now = (path, stat.st_size, stat.st_mtime_ns)
        read = (each for each in self.known.values() if each.rest != UNKNOWN)
        return next((each for each in read if (each.path, each.size, each.mtime_ns) == now), None)

    def alike(self, head: bytes) -> list[Known]:
        """Return the files that begin as `head` does, the one read furthest first."""
        lengths = {entry.head_bytes for entry in self.known.values() if 0 < entry.head_bytes <= len(head)}
        starts = {length: digest(head[:length]) for length in lengths}
        found = [each for each in self.known.values() if starts.get(each.head_bytes) == each.start]
        return sorted(found, key=lambda each: (-each.offset, each.key))

    def replaced(self, seen: Known) -> Known | None:
        """Return the log that the path of `seen` held before, if it is known under no other path."""
        held = [each for each in self.known.values() if each.path == seen.path and each.head_bytes]
        before = [each for each in held if each.identity != seen.identity]
        latest = max(before, key=lambda each: each.mtime_ns, default=None)
        return None if latest is None or self._is_elsewhere(latest) else latest

    def has(self, identity: str) -> bool:
        """Return whether a file of this identity is known, under any path."""
        return any(each.identity == identity for each in self.known.values())

    def _is_elsewhere(self, entry: Known) -> bool:
        return any(each.identity == entry.identity and each.path != entry.path for each in self.known.values())


def left_at(content: Unpacked, alike: Iterable[Known]) -> tuple[Known | None, bytes]:
    """Go to where `content` was left, or to its start; return the file that it continues and the bytes before there."""
    for each in alike:
        tail_start = max(0, each.offset - TAIL_BYTES)
        content.seek(tail_start)
        tail = content.read(each.offset - tail_start)
        if digest(tail) == each.tail:
            return each, tail
    content.seek(0)
    return None, b""


def digest(content: bytes) -> str:
    """Return a short name for `content`: 32 hex digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _worth_keeping(known: Iterable[Known], paths: frozenset[str]) -> list[Known]:
    held, gone, kept = Counter[str](), 0, list[Known]()
    for entry in sorted(known, key=lambda each: -each.mtime_ns):
        held[entry.path] += 1
        is_gone = entry.path not in paths or held[entry.path] > 1
        gone += is_gone
        if not is_gone or gone <= MOST_GONE:
            kept.append(entry)
    return kept
