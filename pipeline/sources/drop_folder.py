"""
A folder in which people or jobs put exports: CSV, JSON, zip archives, whatever is recognised by its content.

A positional source. Files stay where they are, and are read once each. What has no API is exported by a job
(`deploy/export-job.ps1`), and a job may stop without anybody noticing, so `expect` says how old the newest export of a
format may be. The time of the newest one is part of the position: it outlives the file.

A file counts as written when it was last changed, so an old export that is copied here with its time is old. Links are
not followed, because whoever may write into the folder must not be able to have any file of this machine read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipeline.errors import SettingsError
from pipeline.following import pull
from pipeline.kinds import find
from pipeline.model import Chunk, Notice, Pull, Pulled
from pipeline.needs import Age
from pipeline.outside import Outside
from pipeline.recognise import FORMATS, HEAD_BYTES, recognise
from pipeline.rotation import oldest_first
from pipeline.span_setting import Span
from pipeline.spans import in_words
from pipeline.unpack import file_of, members_of, unpacked
from pipeline.zones import zone_of

EVERY = timedelta(minutes=1)
UNFINISHED = (".*", "~$*", "*.tmp", "*.part", "*.partial", "*.crdownload", "*.download", "*.filepart")
"""Names that browsers, office programs and copying programs give to what they are still writing."""
FAR_AHEAD = timedelta(days=1)
JOB = "deploy/export-job.ps1"

_NEWEST = "newest "


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What to read: a folder with all that lies below it, and the zone of times that name none.

    `expect` says how old the newest export of a format may be, such as { smtp_auth_report = "1d" }. What was changed
    within `settle` may still be written and is not read yet. `host` names the machine for logs that do not say it.
    """

    folder: Path
    expect: dict[str, Span] = field(default_factory=dict)
    settle: Span = timedelta(seconds=30)
    zone: str = "local"
    host: str | None = None


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as sentences; the folder is not looked at."""
    complaints = []
    for format, most in settings.expect.items():
        if not most:
            complaints.append(f"'expect': {format!r} may be nothing old; write how old, such as '1d'")
        try:
            find(FORMATS, format)  # a program is none: its lines are told apart only when they are read
        except SettingsError as error:
            complaints.append(f"'expect': {error.sentence}")
    try:
        zone_of(settings.zone)
    except SettingsError as error:
        complaints.append(error.sentence)
    return complaints


def pull_of(settings: Settings, outside: Outside) -> Pull:
    """Return the source with its settings handed in: give it a position, and it yields what is new since then."""
    zone = zone_of(settings.zone)

    def pull_dropped(position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        now = outside.clock.now()
        if not settings.folder.is_dir():
            yield _no_folder(settings.folder)
        paths = []
        for found in _files_in(settings, now):
            if isinstance(found, Notice):
                yield found
            else:
                paths.append(found)
        drop = _Drop.at(position, now)
        for each in pull(oldest_first(paths), drop.files, recognise, zone, host=settings.host):
            yield each if isinstance(each, Notice) else drop.with_newest(each)
        if drop.look_at_all():
            yield Pulled(Chunk(b"", str(settings.folder)), "", "", drop.position())
        yield from stale(settings, newest_in(drop.position()), now)

    return pull_dropped


def newest_in(position: Mapping[str, Any]) -> dict[str, datetime]:
    """Return when the newest export of each format that was read was written, from the source's own position."""
    return {
        name.removeprefix(_NEWEST): datetime.fromisoformat(when)
        for name, when in position.items()
        if name.startswith(_NEWEST)
    }


def newest_below(settings: Settings, now: datetime) -> dict[str, datetime]:
    """Return the same from the files that lie in the folder, for who has no position; files are looked into."""
    newest: dict[str, datetime] = {}
    files = [path for path in _files_in(settings, now) if isinstance(path, str)]
    for member in (member for path in files for member in members_of(path)):
        try:
            with unpacked(member) as content:
                kind = recognise(content.read(HEAD_BYTES))
            written = datetime.fromtimestamp(file_of(member).stat().st_mtime, UTC)
        except OSError:
            continue
        if kind is not None:
            newest[kind.name] = max(min(written, now), newest.get(kind.name, written))
    return newest


def ages(settings: Settings, now: datetime) -> list[Age]:
    """Return when the newest export of each expected format was written, from the files that lie in the folder."""
    return ages_of(settings, newest_below(settings, now))


def ages_of(settings: Settings, newest: Mapping[str, datetime]) -> list[Age]:
    """Return when the newest export of each expected format was written, of those in `newest`."""
    return [Age(what, settings.folder, newest.get(what), limit) for what, limit in sorted(settings.expect.items())]


def stale(settings: Settings, newest: Mapping[str, datetime], now: datetime) -> list[Notice]:
    """Return a notice about each expected export that is missing or older than it may be, with what to do."""
    found = (each for each in ages_of(settings, newest) if each.is_stale(now))
    return [Notice(str(settings.folder), _about(each, now)) for each in found]


def _about(stale: Age, now: datetime) -> str:
    mend = f"see that the scheduled `{JOB}` runs and writes into this folder, or put a fresh export here"
    limit = in_words(stale.limit)
    if stale.written_at is None:
        return f"there was no export of {stale.what} yet, which is expected every {limit}; {mend}"
    return f"the newest export of {stale.what} is {in_words(now - stale.written_at)} old and may be {limit} old; {mend}"


@dataclass(slots=True)
class _Drop:
    """What is known of the files, as following them has it, and of the newest one of each format."""

    now: datetime
    files: Mapping[str, Any]
    newest: dict[str, str]

    @classmethod
    def at(cls, position: Mapping[str, Any], now: datetime) -> _Drop:
        newest = {name: when for name, when in position.items() if name.startswith(_NEWEST)}
        return cls(now, {name: known for name, known in position.items() if name not in newest}, newest)

    def position(self) -> dict[str, Any]:
        return {**self.files, **self.newest}

    def with_newest(self, found: Pulled) -> Pulled:
        self.files = found.position
        self._look_at(found.position.get(f"{found.chunk.identity} {found.chunk.origin}"))
        return Pulled(found.chunk, found.format, found.log, self.position())

    def look_at_all(self) -> bool:
        """Look at every file, also at those that are a copy of one read before; return whether one was newer."""
        before = dict(self.newest)
        for known in self.files.values():
            self._look_at(known)
        return self.newest != before

    def _look_at(self, known: Mapping[str, Any] | None) -> None:
        if known is None or not known["format"] or known["rest"] < 0:  # one that was cut off is no export
            return
        written = min(datetime.fromtimestamp(known["mtime_ns"] / 1e9, UTC), self.now).isoformat()
        name = f"{_NEWEST}{known['format']}"
        if written > self.newest.get(name, ""):
            self.newest[name] = written


def _files_in(settings: Settings, now: datetime) -> Iterator[str | Notice]:
    """Yield each file that is finished, and a notice about each link and each folder that cannot be looked into."""
    troubles: list[OSError] = []
    for folder, folders, names in os.walk(settings.folder, onerror=troubles.append, followlinks=False):
        folders[:] = sorted(name for name in folders if not _is_unfinished(name))
        for name in sorted(names + [each for each in folders if Path(folder, each).is_symlink()]):
            path = Path(folder, name)
            if not _is_unfinished(name):
                yield from _file_at(path, settings.settle, now)
    for trouble in troubles:
        if not isinstance(trouble, FileNotFoundError):  # it was just removed, or is said elsewhere
            sentence = f"cannot be looked into: {trouble.strerror}; see that this user may"
            yield Notice(str(trouble.filename), sentence)


def _file_at(path: Path, settle: timedelta, now: datetime) -> Iterator[str | Notice]:
    try:
        found = path.lstat()
    except OSError:
        return  # it was just removed
    if stat.S_ISLNK(found.st_mode):
        yield Notice(str(path), "is a link, which is not followed; put the file itself here", is_failure=False)
    elif stat.S_ISREG(found.st_mode) and _is_settled(found.st_mtime, settle, now):
        yield str(path)


def _is_settled(changed: float, settle: timedelta, now: datetime) -> bool:
    # What a clock that is a little ahead has written settles when ours comes to it; one that is far off never would.
    age = timedelta(seconds=now.timestamp() - changed)
    return age >= settle or age < -FAR_AHEAD


def _is_unfinished(name: str) -> bool:
    return any(fnmatch(name.lower(), pattern) for pattern in UNFINISHED)


def _no_folder(folder: Path) -> Notice:
    what = "is no folder" if folder.exists() else "does not exist"
    return Notice(str(folder), f"{what}; make it, and let people and `{JOB}` write into it and this user read it")
