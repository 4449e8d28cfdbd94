"""Whether the disk under a folder has room: bytes, and names for files."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pipeline.doctor.facts import existing, quoted
from pipeline.doctor.result import Group, Result, Topic

FEW_BYTES, TOO_FEW_BYTES = 2 << 30, 256 << 20
"""A large batch and the merging of files take some hundred MiB for a while."""
FEW_FILES, TOO_FEW_FILES = 10_000, 100


@dataclass(frozen=True, slots=True)
class Space:
    """What is left; `files` is None on a file system that does not count them."""

    free: int
    files: int | None = None
    is_read_only: bool = False


def space_of(folder: Path) -> Space:
    """Return what is left for an ordinary user on the disk that holds `folder`, or will."""
    folder = existing(folder)
    if sys.platform == "win32":
        return Space(shutil.disk_usage(folder).free)
    stat = os.statvfs(folder)
    files = stat.f_favail if stat.f_files else None
    return Space(stat.f_bavail * stat.f_frsize, files, bool(stat.f_flag & os.ST_RDONLY))


def disk(folder: Path, space: Space) -> Result:
    """Return whether there is room to write below `folder`."""
    topic = Topic(Group.LAKE, "disk", str(folder))
    if space.is_read_only:
        return topic.broken(
            "the file system is mounted read-only",
            f"see why (a fault of the disk does that too), then mount it for writing:\n"
            f"dmesg | tail\nmount -o remount,rw $(findmnt -n -o TARGET --target {quoted(existing(folder))})",
        )
    if space.files is not None and space.files < FEW_FILES:
        found = f"the file system has names for {space.files} more files only (inodes), however much room there is"
        mend = (
            "find the folder with very many small files, and remove what is not needed:\n"
            f"df -i {quoted(existing(folder))}\n"
            f"du --inodes -x -d 3 $(findmnt -n -o TARGET --target {quoted(existing(folder))}) | sort -n | tail"
        )
        return topic.broken(found, mend) if space.files < TOO_FEW_FILES else topic.warning(found, mend)
    room = f"{space.free / (1 << 30):.1f} GiB are free"
    mend = (
        "make room, or name a larger disk as folder in [lake]; old rows go by keep in [lake]:\n"
        f"df -h {quoted(existing(folder))}\nauthsunset lake status\nauthsunset lake maintain"
    )
    if space.free < TOO_FEW_BYTES:
        return topic.broken(f"only {room}: a commit may fail at any time", mend)
    if space.free < FEW_BYTES:
        return topic.warning(f"only {room}", mend)
    return topic.ok(room)
