"""
The catalog for somebody who may read the lake and not write into its folder: another user, a read-only mount, a backup.

SQLite opens a database in WAL mode only where it may put files beside it. So such a reader takes a copy of the catalog,
which is small, and reads the data files where they are. A writer may be at it meanwhile: a copy counts when a second
look finds the same bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import LakeError, Place

TRIES = 20

Look = Callable[[Path], Mapping[str, bytes]]
"""Return the catalog, and what stands beside it of commits that it does not hold yet, by their names."""


@contextmanager
def catalog_for(catalog: Path) -> Iterator[Path]:
    """Yield the catalog itself where we may write beside it, else a copy that goes afterwards."""
    if os.access(catalog.parent, os.W_OK) and os.access(catalog, os.W_OK):
        yield catalog
        return
    files = settled(catalog)
    with tempfile.TemporaryDirectory(prefix="authsunset-") as folder:
        copy = Path(folder) / catalog.name
        try:
            for name, content in files.items():
                copy.with_name(name).write_bytes(content)
        except OSError as error:
            sentence = f"takes no copy of the catalog: {error.strerror}; make room there, or name another one as TMPDIR"
            raise LakeError(sentence, place=Place(folder)) from error
        yield copy


def is_there(catalog: Path) -> bool:
    """Return whether there is a catalog; raise LakeError where we may not even look."""
    try:
        return catalog.exists()
    except OSError as error:
        raise _not_for_us(catalog, error) from error


def looked_at(catalog: Path) -> Mapping[str, bytes]:
    """Return the files of a catalog, one after the other, as a writer may be changing them."""
    files = (catalog, catalog.with_name(f"{catalog.name}-wal"))
    try:
        return {file.name: file.read_bytes() for file in files if file.exists()}
    except OSError as error:
        raise _not_for_us(catalog, error) from error


def settled(catalog: Path, look: Look = looked_at) -> Mapping[str, bytes]:
    """Return the files of `catalog` as they are at one moment: twice the same; raise LakeError when they never are."""
    before = look(catalog)
    for _ in range(TRIES):
        now = look(catalog)
        if now == before:
            return now
        before = now
    raise LakeError("is written to all the time, so no copy can be read; look again", place=Place(catalog), retry=True)


def _not_for_us(catalog: Path, error: OSError) -> LakeError:
    sentence = (
        f"cannot be read: {error.strerror}; look at the lake as the user of the service "
        "(`sudo -u authsunset authsunset …` with our unit), or give this user the right to read its folder"
    )
    return LakeError(sentence, place=Place(catalog))
