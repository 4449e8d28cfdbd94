"""
What a bucket holds, page by page, and on behind a name that the library cannot read.

S3 allows object names with an empty part (`a//b`), a part `.` or `..`, or control characters. The library gives up the
whole page of a listing that has one, so the listing is begun anew behind such names where the storage can do that (S3
and Google; Azure cannot). What stands before such a name on the same page stays unseen; `Listing.broken` tells.

Memory does not grow with the bucket: objects are yielded as they come.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from obstore.exceptions import InvalidPathError

from pipeline.objects.access import Store
from pipeline.objects.bucket import AZURE, Bucket, is_control
from pipeline.objects.trouble import ObjectError, told

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE = 1_000
MOST_BROKEN = 100

_ESCAPED = re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|(.))", re.DOTALL)
_QUOTED = re.compile(r'\bpath: "((?:[^"\\]|\\.)*)"')
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the storage tells of it; `id` is another one once its content is another."""

    key: str
    size: int
    modified: datetime
    id: str

    @classmethod
    def of(cls, meta: ObjectMeta, key: str | None = None) -> Stored:
        """Read what the library says; a listing and an answer quote the e-tag differently."""
        key = key or meta["path"]
        modified = meta["last_modified"].astimezone(UTC)
        tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
        version = tag or f"{meta['size']} {modified.isoformat()}"
        digest = hashlib.blake2b(f"{key}\0{version}".encode("utf-8", "surrogatepass"), digest_size=8)
        return cls(key, meta["size"], modified, digest.hexdigest())


@dataclass(slots=True)
class Listing:
    """One look at a bucket: the names at which it broke, and whether anything behind them stayed unseen."""

    store: Store
    bucket: Bucket
    broken: list[str] = field(default_factory=list)
    is_cut_off: bool = False

    def objects(self) -> Iterator[Stored]:
        """Yield each object of the folder; raise SourceError when the bucket cannot be listed."""
        after: str | None = None
        while True:
            before, seen = after, after
            try:
                for each in self._pages(after):
                    seen = each.key
                    yield each
            except InvalidPathError as error:
                # Each page up to here was good, so one that begins behind what was seen may end before the name.
                after = seen if seen != before else self._behind(_name_in(str(error)), before)
                if after is None:
                    self.is_cut_off = True
                    return
                if after != seen:
                    yield from self._itself(after)
            else:
                return

    def _pages(self, after: str | None) -> Iterator[Stored]:
        with told(self.bucket, passing=InvalidPathError):
            pages = iter(self.store.list(self.bucket.folder or None, offset=after, chunk_size=PAGE))
        while True:
            with told(self.bucket, passing=InvalidPathError):
                page: Any = next(pages, None)
            if page is None:
                return
            yield from (Stored.of(meta) for meta in page)

    def _behind(self, name: str | None, after: str | None) -> str | None:
        """Return where to go on behind the broken `name`, or None where the storage or the name does not let us."""
        self.broken.append(name if name is not None else "(a name that cannot be told)")
        if name is None or self.bucket.cloud == AZURE or len(self.broken) > MOST_BROKEN:
            return None
        behind = behind_broken(name)
        return behind if behind is not None and (after is None or behind > after) else None

    def _itself(self, key: str) -> Iterator[Stored]:
        """Yield the object called `key`, should there be one: a listing that begins behind it leaves it out."""
        if not key.startswith(f"{self.bucket.folder}/" if self.bucket.folder else ""):
            return
        try:
            with told(self.bucket, key):
                meta = self.store.head(key)
        except ObjectError:
            return
        yield Stored.of(meta, key)


def behind_broken(name: str) -> str | None:
    """
    Return the first name that can be written and sorts behind all that begin as `name` does up to where it is broken.

    A name that begins with `/` is never listed as it is, so it counts as broken there.
    """
    if name.startswith("/"):
        return "0"  # the character behind the slash
    for place, character in enumerate(name):
        if is_control(character):
            return name[:place] + (" " if character < " " else "\x80")
        is_end_of_part = character == "/" or place == len(name) - 1
        part = name[: place + (character != "/")].rpartition("/")[2]
        if is_end_of_part and part in {"", ".", ".."}:
            return f"{name[:place]}0" if character == "/" else f"{name} "
    return None


def _name_in(words: str) -> str | None:
    """Return the name that the library's error is about: its last part quotes it so that no name can imitate it."""
    quoted = _QUOTED.search(words.rpartition("\nDebug source:\nInvalidPath {")[2])
    return _ESCAPED.sub(_unescaped, quoted[1]) if quoted else None


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        code = int(match[1], 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"
    return _PLAIN.get(match[2], match[2])


def sentence_of(listing: Listing) -> str:
    """Return what is to be said about a listing that broke."""
    names = len(listing.broken)
    others = f" and at {names - 1} more" if names > 1 else ""
    unseen = "all that is listed behind it" if listing.is_cut_off else "up to 1,000 objects that sort just before it"
    return (
        f"the listing breaks here{others}: a name with an empty part (//), a part . or .., or a control character "
        f"cannot be asked for; {unseen} may be unseen, so rename or delete it, or name a folder without it in 'url'"
    )
