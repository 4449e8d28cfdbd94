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
CUT_OFF = -2
MOST_GONE = 100
"""Files that are not there any more are remembered up to this many, in case they come back under another name."""


@dataclass(frozen=True, slots=True)
class Known:
    """
    A file as it was when it was last looked at.

    `start` and `tail` are digests, of its first `head_bytes` and of what stands before `offset`, where to go on. `rest`
    bytes behind it wait for a line end; it is UNKNOWN while the file is not read to its end, and CUT_OFF where a packed
    file ends too early. Exports have no `head_bytes`: their identity is that of all they hold.
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
        return f"{self.identity} {as_text(self.path)}"

    def starts(self, path: str) -> bool:
        """Return whether the file at `path` is there and begins as this one did."""
        try:
            with unpacked(path) as content:
                return digest(content.read(self.head_bytes)) == self.start
        except OSError:
            return False


_FIELDS = tuple(field.name for field in fields(Known))


class KnownFiles:
    """The files known so far; `noted` is the one looked at last. Nothing here costs more for ten thousand files."""

    def __init__(self, known: Iterable[Known]) -> None:
        self.noted: Known | None = None
        self._known: dict[str, Known] = {}
        self._values: dict[str, dict[str, Any]] = {}
        self._by_path = _Index()
        self._by_identity = _Index()
        self._by_start: dict[int, _Index] = {}
        for entry in known:
            self._put(entry)

    @classmethod
    def at(cls, position: Mapping[str, Any], paths: Iterable[str]) -> KnownFiles:
        """Return what `position` remembers, without the oldest of what is not among `paths` any more."""
        return cls(_worth_keeping([Known(**entry) for entry in position.values()], frozenset(paths)))

    def position(self) -> dict[str, Any]:
        """Return all that is known, as JSON values; what has not changed since is the same object."""
        return dict(self._values)

    def note(self, entry: Known) -> None:
        """Remember `entry`; what its path held before is forgotten once another path holds it."""
        for each in self._by_path.at(entry.path):
            if each.identity != entry.identity and self._is_elsewhere(each):
                self._drop(each)
        self._put(entry)
        self.noted = entry

    def forget(self, entry: Known) -> None:
        """Forget `entry`, unless more is known of its file by now."""
        if self._known.get(entry.key) is entry:
            self._drop(entry)

    def new(self, head: bytes, path: str, stat: os.stat_result, format: str) -> Known:
        """Return a file that begins with `head` and was not read yet, under an identity of its own."""
        start = digest(head[:FINGERPRINT_BYTES])
        identity = start
        while self.has(identity):
            identity = digest(identity.encode())
        length = min(len(head), FINGERPRINT_BYTES)
        return Known(identity, start, length, digest(b""), 0, 0, stat.st_size, stat.st_mtime_ns, path, format)

    def empty(self, path: str, stat: os.stat_result) -> Known:
        """Return the file at `path`, which holds nothing."""
        start = digest(b"")
        return Known(digest(as_text(path).encode()), start, 0, start, 0, 0, 0, stat.st_mtime_ns, path, "")

    def exports_at(self, path: str) -> list[Known]:
        """Return what the export at `path` was whenever it was looked at."""
        return [each for each in self._by_path.at(path) if not each.head_bytes and each.size]

    def unchanged(self, path: str, stat: os.stat_result) -> Known | None:
        """Return what is known of the file at `path`, if it is as it was and was read to its end."""
        read = (each for each in self._by_path.at(path) if each.rest != UNKNOWN)
        return next((each for each in read if (each.size, each.mtime_ns) == (stat.st_size, stat.st_mtime_ns)), None)

    def alike(self, head: bytes) -> list[Known]:
        """Return the files that begin as `head` does, the one read furthest first."""
        begun = ((length, starts) for length, starts in self._by_start.items() if 0 < length <= len(head))
        found = [each for length, starts in begun for each in starts.at(digest(head[:length]))]
        return sorted(found, key=lambda each: (-each.offset, each.key))

    def replaced(self, seen: Known) -> Known | None:
        """Return the log that the path of `seen` held before, if it is known under no other path."""
        held = [each for each in self._by_path.at(seen.path) if each.head_bytes or not each.size]
        before = [each for each in held if each.identity != seen.identity]
        latest = max(before, key=lambda each: each.mtime_ns, default=None)
        return None if latest is None or not latest.size or self._is_elsewhere(latest) else latest

    def has(self, identity: str) -> bool:
        """Return whether a file of this identity is known, under any path."""
        return bool(self._by_identity.at(identity))

    def _is_elsewhere(self, entry: Known) -> bool:
        return any(each.path != entry.path for each in self._by_identity.at(entry.identity))

    def _put(self, entry: Known) -> None:
        if before := self._known.get(entry.key):
            self._drop(before)
        self._known[entry.key] = entry
        self._values[entry.key] = {name: getattr(entry, name) for name in _FIELDS}
        for index, name in self._indexes_of(entry):
            index.put(name, entry)

    def _drop(self, entry: Known) -> None:
        del self._known[entry.key], self._values[entry.key]
        for index, name in self._indexes_of(entry):
            index.drop(name, entry)

    def _indexes_of(self, entry: Known) -> list[tuple[_Index, str]]:
        starts = self._by_start.setdefault(entry.head_bytes, _Index())
        return [(self._by_path, entry.path), (self._by_identity, entry.identity), (starts, entry.start)]


class _Index:
    """Entries by one of their values."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Known]] = {}

    def at(self, name: str) -> list[Known]:
        return [*self._entries.get(name, {}).values()]

    def put(self, name: str, entry: Known) -> None:
        self._entries.setdefault(name, {})[entry.key] = entry

    def drop(self, name: str, entry: Known) -> None:
        del self._entries[name][entry.key]
        if not self._entries[name]:
            del self._entries[name]


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


def as_text(path: str) -> str:
    """Return `path` as text that can be stored: the name of a file may be bytes of no encoding."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


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
