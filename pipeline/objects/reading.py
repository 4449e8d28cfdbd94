"""
Read an object that was fetched into a file: followed like any other file, and everything said by the object's name.

A last line without its end waits, as in a file: the object may be a copy of a log that is still written. After `STILL`
it is read all the same, and read again, whole, should the object grow after that; one that has grown before gets
`STILL_GROWING`. Sign-ins that Azure writes as JSON lines, appending to a blob for an hour, are read line by line,
though exports of them are read whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline.following import pull
from pipeline.model import Chunk, Notice, Pulled
from pipeline.objects.bookmark import Bookmark
from pipeline.objects.bucket import Bucket
from pipeline.objects.download import Fetched, local_name, stamp
from pipeline.objects.listing import Stored
from pipeline.recognise import Kind, Recognise, kind_of
from pipeline.rotation import log_of
from pipeline.unpack import IN_ARCHIVE

STILL = timedelta(minutes=10)
STILL_GROWING = timedelta(days=2)

_BY_LINE = frozenset({"entra_signins", "unified_audit"})


def by_line(recognised: Recognise) -> Recognise:
    """Return `recognised`, but records that stand one a line are followed like a log."""

    def recognised_by_line(head: bytes) -> Kind | None:
        kind = recognised(head)
        return replace(kind, is_whole=False) if kind and kind.name in _BY_LINE and _is_json_lines(head) else kind

    return recognised_by_line


def _is_json_lines(head: bytes) -> bool:
    first, line_end, rest = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    try:
        return bool(line_end) and isinstance(json.loads(first), dict) and rest.lstrip()[:1] in {b"{", b""}
    except (ValueError, RecursionError):
        return False


@dataclass(frozen=True, slots=True)
class Reader:
    """What all objects of one pull are read with."""

    bucket: Bucket
    bookmark: Bookmark
    folder: Path
    recognised: Recognise
    zone: tzinfo
    host: str | None

    def read(self, fetched: Fetched, listed: Stored, mark: datetime, now: datetime) -> Iterator[Pulled | Notice]:
        """Yield what is new in the object; what comes last brings a position behind all of it, with its `mark`."""
        reading = _Reading(self, fetched, self.bookmark.files_of(log_of(listed.key)))
        last: Pulled | None = None
        for found in reading.found(now):
            if isinstance(found, Notice):
                yield found
            else:  # the last one waits for the position
                if last:
                    yield last
                last = found
        time = min(fetched.stored.modified, now)
        self.bookmark.note_read(listed.key, [listed.id, fetched.stored.id], reading.logs, time)
        self.bookmark.advance(mark)
        yield replace(last, position=self.bookmark.position()) if last else self.moved()

    def moved(self) -> Pulled:
        """Return that the position has moved though nothing came."""
        return Pulled(Chunk(b"", str(self.bucket)), "", "", self.bookmark.position())


@dataclass(slots=True)
class _Reading:
    """One object: what is known of the files of its log, by names below the folder, and the logs found in it."""

    reader: Reader
    fetched: Fetched
    files: dict[str, Any]
    logs: dict[str, str] = field(default_factory=dict)

    def found(self, now: datetime) -> Iterator[Pulled | Notice]:
        bookmark, stored = self.reader.bookmark, self.fetched.stored
        has_grown = any(each["offset"] and each["size"] != stored.size for each in self._own_files())
        bookmark.waiting.pop(stored.key, None)
        for found in self._followed(to_the_end=False):
            if isinstance(found, Pulled):
                self._note(found.position)
            if isinstance(found, Notice) or found.chunk.body:
                yield self._shown(found)
        if not any(each["rest"] > 0 for each in self._own_files()):
            return
        until = stored.modified + (STILL_GROWING if has_grown else STILL)
        if now < until:
            bookmark.note_waiting(stored, until)
            return
        # The position stays before that line, so that it is read again when it turns out to be longer.
        stamp(self.fetched.path, stored, "to the end")
        for found in self._followed(to_the_end=True):
            if isinstance(found, Pulled) and found.chunk.body:
                yield self._shown(found)

    def _followed(self, *, to_the_end: bool) -> Iterator[Pulled | Notice]:
        known = {name: {**each, "path": str(self.reader.folder / each["path"])} for name, each in self.files.items()}
        path, reader = str(self.fetched.path), self.reader
        return pull([path], known, reader.recognised, reader.zone, to_the_end=to_the_end, host=reader.host)

    def _note(self, position: Mapping[str, Any]) -> None:
        self.files = {}
        for known in position.values():
            path = self._below(known["path"])
            self.files[f"{known['identity']} {path}"] = {**known, "path": path}
        self.reader.bookmark.note_files(log_of(self.fetched.stored.key), self.files)

    def _shown(self, found: Pulled | Notice) -> Pulled | Notice:
        """Return `found` as it is said of an object."""
        if isinstance(found, Notice):
            return replace(found, origin=self._origin_of(found.origin), sentence=self._in_words(found.sentence))
        bucket = self.reader.bucket
        log = bucket.origin(log_of(self._key_of(found.chunk.origin)))
        if not kind_of(found.format).is_whole:
            self.logs[log] = found.format
        chunk = replace(found.chunk, origin=self._origin_of(found.chunk.origin))
        return Pulled(chunk, found.format, log, self.reader.bookmark.position())

    def _in_words(self, sentence: str) -> str:
        """Return `sentence` with the names of objects where it has those of files."""
        paths = {str(self.reader.folder / each["path"]) for each in self.files.values()} | {str(self.fetched.path)}
        for path in sorted(paths, key=len, reverse=True):
            sentence = sentence.replace(path, self._origin_of(path))
        return sentence

    def _own_files(self) -> list[Mapping[str, Any]]:
        name = self.fetched.path.name
        return [each for each in self.files.values() if each["path"].partition(IN_ARCHIVE)[0] == name]

    def _below(self, path: str) -> str:
        return path.removeprefix(f"{self.reader.folder}/")

    def _origin_of(self, path: str) -> str:
        return self.reader.bucket.origin(self._key_of(path))

    def _key_of(self, path: str) -> str:
        """Return the key of the object in the file at `path`, with the member of an archive that it names."""
        name, mark, member = self._below(path).partition(IN_ARCHIVE)
        own = self.fetched.stored.key
        if name == local_name(own):
            return f"{own}{mark}{member}"
        folder, slash, _ = own.rpartition("/")
        return f"{folder}{slash}{unquote(name, errors='surrogateescape')}{mark}{member}"
