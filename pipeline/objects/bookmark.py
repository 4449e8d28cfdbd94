"""
What of a bucket was read: a high-water mark of times, and the objects near it.

Objects may appear late with an older time, because a storage may count an upload from its start. So those within
`overlap` before the mark are remembered one by one, in segments that go when the mark has left them behind; how many
objects lie in the bucket does not matter. All of it is JSON values, because it is a source's position.

Besides, and never more than so many: how far the objects read last were read (they may grow), which could not be read
or wait for their last line to end, which are no logs, and which logs may have half-read sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pipeline.objects.listing import Stored

SEGMENT = 256
MOST_FOLLOWED = 1_000
"""So many files are known as far as going on with them goes; an older one that grows is read again from its start."""
MOST_LOGS = 2_000
LOG_IS_OVER = timedelta(days=8)
"""A log of which nothing was read for longer gets no more; logs that rotate once a week are read on."""
MOST_ODD = 1_000

_FILE, _LOG, _READ = "file ", "log ", "read "


@dataclass(slots=True)
class Bookmark:
    """
    `of` names what is read and how; a position that is about something else counts for nothing.

    `unread` has the reason by key, `waiting` when to read the last line all the same.
    """

    of: str
    overlap: timedelta
    mark: datetime | None = None
    unread: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    _foreign: dict[str, int] = field(default_factory=dict)
    _ids: set[str] = field(default_factory=set)
    # Under the names that they have in a position, because that is told at each object. What was read last stands last.
    _segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    _files: dict[str, dict[str, Any]] = field(default_factory=dict)
    _logs: dict[str, list[str]] = field(default_factory=dict)
    _names_of_log: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def at(cls, position: Mapping[str, Any], of: str, overlap: timedelta) -> Bookmark:
        """Return the bookmark that `position` holds, a new one when it is about another bucket, pattern or format."""
        found = cls(of, overlap)
        if position.get("of") != of:
            return found
        found.mark = datetime.fromisoformat(position["mark"]) if position["mark"] else None
        found.unread, found.waiting = dict(position["unread"]), dict(position["waiting"])
        found._foreign = dict(position["foreign"])
        found._segments = _entries(position, _READ, lambda name, _: int(name.removeprefix(_READ)))
        found._ids = {id for segment in found._segments.values() for id in segment["ids"]}
        found._files = _entries(position, _FILE, lambda _, known: int(known["mtime_ns"]))
        found._logs = _entries(position, _LOG, lambda _, known: str(known[1]))
        for name in found._files:
            found._names_of_log.setdefault(name.removeprefix(_FILE).rpartition("\n")[0], []).append(name)
        return found

    def position(self) -> dict[str, Any]:
        """Return all of it as JSON values; what has not changed since is the same object."""
        own = {
            "of": self.of,
            "mark": self.mark.isoformat() if self.mark else None,
            "unread": dict(self.unread),
            "waiting": dict(self.waiting),
            "foreign": dict(self._foreign),
        }
        return {**own, **self._segments, **self._files, **self._logs}

    def is_new(self, stored: Stored, now: datetime) -> bool:
        """Return whether `stored` is to be read: new or changed, not readable until now, or waited for long enough."""
        if stored.key in self.unread:
            return True
        if waits := self.waiting.get(stored.key):
            return waits[0] != stored.id or now >= datetime.fromisoformat(waits[1])
        if self.mark is not None and stored.modified <= self.mark - self.overlap:
            return False
        return stored.id not in self._ids

    def note_read(self, key: str, ids: Iterable[str], logs: Mapping[str, str], moment: datetime) -> None:
        """Remember that what `key` held at `moment` was read, under `ids`, and the logs in it with their formats."""
        name, last = next(reversed(self._segments.items()), (f"{_READ}0", None))
        if last is None or len(last["ids"]) >= SEGMENT:
            name, last = f"{_READ}{int(name.removeprefix(_READ)) + 1}", {"newest": "", "ids": []}
        new = [id for id in dict.fromkeys(ids) if id not in self._ids]
        time = moment.isoformat()
        # Never changed in place: whoever stores a position takes what is the same object for unchanged.
        self._segments[name] = {"newest": max(last["newest"], time), "ids": [*last["ids"], *new]}
        self._ids.update(new)
        for log, format in logs.items():
            self._logs[_LOG + log] = [format, max(time, self._logs.pop(_LOG + log, ["", ""])[1])]
        self.unread.pop(key, None)

    def advance(self, mark: datetime) -> None:
        """Move the mark to `mark`, never back, and forget the objects that it leaves behind."""
        self.mark = mark if self.mark is None else max(self.mark, mark)
        horizon = (self.mark - self.overlap).isoformat()
        while self._segments and (first := next(iter(self._segments))) and self._segments[first]["newest"] <= horizon:
            self._ids.difference_update(self._segments.pop(first)["ids"])

    def over(self) -> Iterator[tuple[str, str]]:
        """Forget logs of which nothing will come; yield each with its format."""
        horizon = (self.mark - LOG_IS_OVER).isoformat() if self.mark else ""
        while self._logs:
            name, (format, newest) = next(iter(self._logs.items()))
            if len(self._logs) <= MOST_LOGS and newest > horizon:
                return
            del self._logs[name]
            yield name.removeprefix(_LOG), format

    def note_unread(self, key: str, why: str) -> None:
        """Remember that the object `key` could not be read."""
        self.unread[key] = why
        _shorten(self.unread)

    def note_waiting(self, stored: Stored, until: datetime) -> None:
        """Remember that the last line of `stored` is read without its end from `until` on."""
        self.waiting[stored.key] = [stored.id, until.isoformat()]
        _shorten(self.waiting)

    def note_foreign(self, key: str) -> bool:
        """Remember that the object `key` is no log of ours; return whether that is new."""
        is_new = self._foreign.pop(key, None) is None
        self._foreign[key] = 1
        _shorten(self._foreign)
        return is_new

    def files_of(self, log: str) -> dict[str, Any]:
        """Return what is known of the files that are parts of `log`, as following them left it."""
        return {name.removeprefix(f"{_FILE}{log}\n"): self._files[name] for name in self._names_of_log.get(log, ())}

    def note_files(self, log: str, files: Mapping[str, Any]) -> None:
        """Replace what is known of the parts of `log`."""
        before = {name: self._files.pop(name) for name in self._names_of_log.pop(log, ())}
        after = {f"{_FILE}{log}\n{name}": known for name, known in files.items()}
        self._files |= {name: before[name] if before.get(name) == known else known for name, known in after.items()}
        self._names_of_log[log] = list(after)
        while len(self._files) > MOST_FOLLOWED:
            for name in self._names_of_log.pop(next(iter(self._names_of_log))):
                del self._files[name]


def _entries(position: Mapping[str, Any], start: str, order: Callable[[str, Any], Any]) -> dict[str, Any]:
    entries = [(name, value) for name, value in position.items() if name.startswith(start)]
    return dict(sorted(entries, key=lambda each: order(*each)))


def _shorten(entries: dict[str, Any]) -> None:
    for key in [*entries][: max(0, len(entries) - MOST_ODD)]:
        del entries[key]
