"""
One object at a time in a file of our own, for as long as it is read.

Each run has a folder of its own below the one that is handed in, and holds a lock on it; what a killed run has left is
recognised by its lock being free. A file gets the object's own time, because that tells the year of times without one.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from pipeline.clock import Stopped
from pipeline.errors import Place, SourceError
from pipeline.objects.access import Store
from pipeline.objects.bucket import Bucket
from pipeline.objects.listing import Stored
from pipeline.objects.trouble import ObjectError, told

PIECE_BYTES = 4 << 20
LONGEST_NAME = 150

_PREFIX = "object-"


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object in a file, and what the storage said of it when it was fetched."""

    path: Path
    stored: Stored


@contextmanager
def downloads(folder: Path) -> Iterator[Path]:
    """Yield a folder below `folder` for what is fetched, and remove it and what killed runs have left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f"{_PREFIX}{secrets.token_hex(8)}"
        lock = FileLock(_lock_of(own))
        with FileLock(folder / "objects.lock", timeout=30):  # nobody takes our new folder for one that was left
            _clean(folder)
            lock.acquire(timeout=0)
            own.mkdir(mode=0o700)
    except (OSError, Timeout) as error:
        sentence = "is where objects are kept while they are read, and cannot be written; see its owner and free space"
        raise SourceError(sentence, place=Place(folder)) from error
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        lock.release()
        _lock_of(own).unlink(missing_ok=True)


def local_name(key: str) -> str:
    """Return a name for a file that tells of `key` what reading it needs: how it is packed, and which part it is."""
    name = quote(key.rpartition("/")[2].encode("utf-8", "surrogatepass"), safe="")
    if len(name) <= LONGEST_NAME:
        return name
    return f"{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}-{name[-80:]}"


def fetch(
    store: Store, bucket: Bucket, wanted: Stored, into: Path, largest: int, is_stopping: Callable[[], bool]
) -> Fetched:
    """
    Bring the object `wanted` into the folder `into`.

    Raise ObjectError when it is larger than `largest` bytes or alone in trouble, SourceError when the storage is, and
    Stopped when asked to stop.
    """
    _weigh(bucket, wanted, largest)
    with told(bucket, wanted.key):
        answer = store.get(wanted.key)
        stored = Stored.of(answer.meta, wanted.key)
        pieces = iter(answer.stream(min_chunk_size=PIECE_BYTES))
    _weigh(bucket, stored, largest)
    path = into / local_name(wanted.key)
    written = 0
    try:
        with path.open("wb") as file:
            while True:
                with told(bucket, wanted.key):
                    piece = next(pieces, None)
                if piece is None:
                    break
                if is_stopping():
                    raise Stopped
                written += file.write(piece)
        stamp(path, stored, "")
    except OSError as error:
        sentence = f"an object cannot be kept here while it is read: {error.strerror}; make room, or set 'largest_mb'"
        raise SourceError(sentence, place=Place(into.parent), retry=True) from error
    if written != stored.size:
        sentence = f"only {written} of {stored.size} bytes came; it is fetched again at the next pull"
        raise SourceError(sentence, place=Place(bucket.origin(wanted.key)), retry=True)
    return Fetched(path, stored)


def stamp(path: Path, stored: Stored, salt: str) -> None:
    """
    Give the file the time of its object, less than a millisecond off.

    A file that has the size and time of an earlier one is not looked at; two versions of an object may share both.
    """
    seconds, odd = int(stored.modified.timestamp()), stored.modified.microsecond // 1_000
    shift = int(hashlib.blake2b(f"{stored.id}{salt}".encode(), digest_size=4).hexdigest(), 16) % 1_000_000
    ns = seconds * 1_000_000_000 + odd * 1_000_000 + shift
    os.utime(path, ns=(ns, ns))


def _weigh(bucket: Bucket, stored: Stored, largest: int) -> None:
    if stored.size > largest:
        raise ObjectError(
            f"is {stored.size >> 20} MiB, more than largest_mb = {largest >> 20}; set it higher when it is a log, or "
            "leave it out with 'pattern'",
            place=Place(bucket.origin(stored.key)),
        )


def _lock_of(folder: Path) -> Path:
    return folder.with_suffix(".lock")


_OURS = re.compile(rf"{_PREFIX}[0-9a-f]{{16}}")


def _clean(folder: Path) -> None:
    for left in folder.iterdir():
        if not _OURS.fullmatch(left.stem) or left.suffix not in {"", ".lock"}:
            continue
        own = left.with_suffix("")
        try:
            with FileLock(_lock_of(own), timeout=0):
                shutil.rmtree(own, ignore_errors=True)
        except Timeout:
            continue
        _lock_of(own).unlink(missing_ok=True)
