"""
Which objects of a bucket are to be read, and in which order.

They come by time, but the live part of a log behind its rotated ones: whoever copies a folder may well copy the live
part first. As the mark only moves up to the oldest object that is left, one that waits like this is not forgotten.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate

from pipeline.objects.bookmark import Bookmark
from pipeline.objects.listing import Stored
from pipeline.rotation import is_rotated, log_of

BATCH = 20_000
"""So many objects are ordered at once; the bucket is listed anew for the next ones."""


@dataclass(slots=True)
class Choice:
    """
    What one listing brought: the oldest of the objects to be read, and the time of the newest of all.

    `listed` counts the objects that are wanted at all, and `is_all` tells whether more are to be read than these.
    """

    new: list[Stored] = field(default_factory=list)
    newest: datetime | None = None
    listed: int = 0
    is_all: bool = True
    odd: set[str] = field(default_factory=set)

    def in_turn(self) -> Iterator[tuple[Stored, datetime]]:
        """Yield each object with the time up to which all are read once it is."""
        ordered = in_order(self.new)
        times = [each.modified for each in ordered]
        left = [*accumulate(reversed(times), min)][::-1]
        yield from zip(ordered, [*left[1:], *(max(times) for _ in ordered[:1])], strict=True)


def chosen(
    objects: Iterable[Stored],
    bookmark: Bookmark,
    now: datetime,
    is_wanted: Callable[[Stored], bool],
    batch: int = BATCH,
) -> Choice:
    """Return which of `objects` are to be read; no more than `batch` of them are ever kept."""
    choice = Choice()
    odd = {*bookmark.unread, *bookmark.waiting}
    count = 0

    def new() -> Iterator[Stored]:
        nonlocal count
        for each in filter(is_wanted, objects):
            choice.listed += 1
            choice.newest = max(choice.newest or each.modified, each.modified)
            if each.key in odd:
                choice.odd.add(each.key)
            # An empty one is a folder's placeholder, or will be another object once something is written to it.
            if each.size and bookmark.is_new(each, now):
                count += 1
                yield each

    choice.new = heapq.nsmallest(batch, new(), key=lambda each: (each.modified, each.key))
    choice.is_all = count <= batch
    return choice


def in_order(objects: Iterable[Stored]) -> list[Stored]:
    """Return `objects` by time, the live part of each log behind its rotated ones."""
    objects = list(objects)
    latest: dict[str, datetime] = {}
    for each in objects:
        if is_rotated(each.key):
            log = log_of(each.key)
            latest[log] = max(latest.get(log, each.modified), each.modified)

    def place(each: Stored) -> tuple[datetime, bool, datetime, str]:
        is_live = not is_rotated(each.key)
        behind = latest.get(log_of(each.key), each.modified) if is_live else each.modified
        return max(each.modified, behind), is_live, each.modified, each.key

    return sorted(objects, key=place)
