"""
Logs and exports in a bucket: S3 and what speaks its language, Azure Blob and ADLS Gen2, Google Cloud Storage.

A positional source. New objects are found by listing; what is remembered of a bucket stands in
`pipeline/objects/bookmark.py`. Each new or changed object is fetched into a file and followed like any other, so a blob
that grows within its hour is read on where it was left, and `mail.log` and `mail.log-20261124.gz` are one log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from pipeline.clock import Stopped
from pipeline.errors import Place, SettingsError, SourceError
from pipeline.model import Chunk, Notice, Pull, Pulled
from pipeline.objects import access
from pipeline.objects.access import Access, Store, opened
from pipeline.objects.bookmark import Bookmark
from pipeline.objects.bucket import bucket_of
from pipeline.objects.choice import BATCH, Choice, chosen
from pipeline.objects.download import downloads, fetch
from pipeline.objects.listing import Listing, Stored, sentence_of
from pipeline.objects.reading import Reader, by_line
from pipeline.objects.trouble import NotThereError, ObjectError, RefusedError
from pipeline.outside import Outside
from pipeline.recognise import always, kind_of, recognise
from pipeline.span_setting import Span
from pipeline.zones import zone_of

MOST_REFUSED = 10
"""After so many refusals in a row it is not a single object that may not be read."""
MOST_FOREIGN = 20
"""So many objects of no known kind are named in one pull; the others are counted."""


EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Access):
    """
    What to read: the bucket and its folder, and how to log in there (`Access`).

    `pattern` is a glob for the object's last name, or, with a slash in it, for all of its name below the folder; `*`
    stands for slashes too. `format`, `zone` and `host` are those of files. Objects that appear with a time up to
    `overlap` before the newest one are still found. One larger than `largest_mb` MiB is not fetched.
    """

    pattern: str = "*"
    format: str = "auto"
    zone: str = "local"
    host: str | None = None
    overlap: Span = timedelta(days=1)
    largest_mb: int = 4_096


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as sentences; nothing is asked of the storage."""
    complaints = access.check(settings)
    if not settings.pattern:
        complaints.append("'pattern' is empty; leave it out to read all objects of the folder")
    if settings.largest_mb < 1:
        complaints.append("'largest_mb' should be 1 or more")
    if settings.overlap < timedelta(minutes=1):
        complaints.append("'overlap' should be at least '1m', because objects of one second appear one by one")
    for complaint in (lambda: zone_of(settings.zone), lambda: settings.format == "auto" or kind_of(settings.format)):
        try:
            complaint()
        except SettingsError as error:
            complaints.append(error.sentence)
    return complaints


def pull_of(
    settings: Settings, outside: Outside, store_of: Callable[[Access], Store] = opened, batch: int = BATCH
) -> Pull:
    """Return the source with its settings handed in: give it a position, and it yields what is new since then."""
    bucket = bucket_of(settings.url)
    recognised = by_line(recognise if settings.format == "auto" else always(settings.format))
    zone = zone_of(settings.zone)
    of = json.dumps([str(bucket), settings.account, settings.endpoint, settings.pattern, settings.format])

    def pull_objects(position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        bookmark = Bookmark.at(position, of, settings.overlap)
        with downloads(outside.folder / "objects") as folder:
            reader = Reader(bucket, bookmark, folder, recognised, zone, settings.host)
            yield from _Run(settings, outside, store_of(settings), reader, batch).pull(position)

    return pull_objects


@dataclass(slots=True)
class _Run:
    """One pull: what was handed in, and what it has come upon so far."""

    settings: Settings
    outside: Outside
    store: Store
    reader: Reader
    batch: int
    refused: int = 0
    foreign: int = 0
    failed: set[str] = field(default_factory=set)

    @property
    def bookmark(self) -> Bookmark:
        return self.reader.bookmark

    def pull(self, position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        """Yield what is new; the bucket is listed until nothing new is left."""
        stored = position
        for found in self._objects():
            if isinstance(found, Pulled):
                stored = found.position
            yield found
        if self.foreign > MOST_FOREIGN:
            more = self.foreign - MOST_FOREIGN
            yield Notice(str(self.reader.bucket), f"{more} more objects are of no known kind", is_foreign=True)
        if self.bookmark.position() != stored:
            yield self.reader.moved()

    def _objects(self) -> Iterator[Pulled | Notice]:
        is_all = False
        while not is_all:
            listing = Listing(self.store, self.reader.bucket)
            now = self.outside.clock.now()
            choice = chosen(listing.objects(), self.bookmark, now, self._is_wanted, self.batch)
            is_all = choice.is_all
            yield from self._about(listing, choice)
            for stored, mark in choice.in_turn():
                if self._is_stopping():
                    return
                yield from self._object(stored, min(mark, self.outside.clock.now()))
                yield from self._over()
        if choice.newest:  # a storage whose clock is ahead must not make all other objects old
            self.bookmark.advance(min(choice.newest, self.outside.clock.now()))
            yield from self._over()

    def _is_wanted(self, stored: Stored) -> bool:
        pattern, folder = self.settings.pattern, self.reader.bucket.folder
        below = stored.key.removeprefix(f"{folder}/") if folder else stored.key
        name = below if "/" in pattern else below.rpartition("/")[2]
        return fnmatchcase(name, pattern) and stored.key not in self.failed

    def _about(self, listing: Listing, choice: Choice) -> Iterator[Notice]:
        """Say what is wrong with a listing, and forget oddities about objects that are not there any more."""
        bucket = self.reader.bucket
        if listing.broken:
            yield Notice(bucket.origin(listing.broken[0]), sentence_of(listing), is_gap=True)
            return
        if not choice.listed and self.bookmark.mark is None:
            yield Notice(str(bucket), "holds no object that the settings name; check the folder in 'url' and 'pattern'")
        for entries in (self.bookmark.unread, self.bookmark.waiting):
            for key in entries.keys() - choice.odd - self.failed:
                del entries[key]

    def _object(self, stored: Stored, mark: datetime) -> Iterator[Pulled | Notice]:
        bucket, largest = self.reader.bucket, self.settings.largest_mb << 20
        try:
            fetched = fetch(self.store, bucket, stored, self.reader.folder, largest, self._is_stopping)
        except Stopped:
            return
        except ObjectError as error:
            yield from self._not_read(stored, error)
            self.bookmark.advance(mark)
            return
        self.refused = 0
        was_unread = stored.key in self.bookmark.unread
        try:
            for found in self.reader.read(fetched, stored, mark, self.outside.clock.now()):
                if isinstance(found, Pulled) or not found.is_foreign or self._is_news(found):
                    yield found
        finally:
            fetched.path.unlink(missing_ok=True)
        if was_unread:
            sentence = "could not be read before, and has been read now"
            yield Notice(bucket.origin(stored.key), sentence, is_failure=False, fills_gap=True)

    def _is_news(self, foreign: Notice) -> bool:
        """Return whether `foreign`, about an object that is no log, is to be said: once, and not of thousands."""
        is_new = self.bookmark.note_foreign(foreign.origin)
        self.foreign += is_new
        return is_new and self.foreign <= MOST_FOREIGN

    def _not_read(self, stored: Stored, error: ObjectError) -> Iterator[Pulled | Notice]:
        """Remember an object to try it again; it is a gap, unless it may just have been deleted."""
        bucket = self.reader.bucket
        is_first_time = stored.key not in self.bookmark.unread
        self.failed.add(stored.key)
        self.bookmark.note_unread(stored.key, error.sentence)
        if isinstance(error, NotThereError) and is_first_time:
            sentence = "is not there any more; it was just deleted, perhaps"
            yield Notice(bucket.origin(stored.key), sentence, is_failure=False)
        else:
            yield Notice(bucket.origin(stored.key), error.sentence, is_gap=True)
        if is_first_time:
            yield self.reader.moved()
        self.refused += isinstance(error, RefusedError)
        if self.refused >= MOST_REFUSED:
            sentence = f"{self.refused} objects in a row could not be read: {error.sentence}"
            raise SourceError(sentence, place=Place(str(bucket)))

    def _over(self) -> Iterator[Pulled]:
        """Tell logs that nothing of them will follow: their half-read sessions would be kept for ever."""
        for log, format in self.bookmark.over():
            now, zone = self.outside.clock.now(), self.reader.zone
            chunk = Chunk(b"", log, as_of=now, zone=zone, is_last=True, host=self.settings.host)
            yield Pulled(chunk, format, log, self.bookmark.position())

    def _is_stopping(self) -> bool:
        return self.outside.clock.wait(0)
