"""Whether the lake opens, and whether another program keeps it locked. It is only read, and none is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.doctor.facts import quoted
from pipeline.doctor.result import Group, Result, Topic
from pipeline.errors import LakeError
from pipeline.lake import CATALOG, Lake

LOCK = "writer.lock"
PATIENCE_S = 3.0
"""A commit holds the lock for much less; who holds it longer has something large to write, or hangs."""

_LOCKS = Path("/proc/locks")


def openable(folder: Path) -> Result:
    """Return whether the lake in `folder` can be read by this program."""
    topic = Topic(Group.LAKE, "catalog", str(folder))
    if not (folder / CATALOG).exists():
        return topic.skipped("there is no lake yet; `authsunset run --once` makes it")
    try:
        with Lake.open(folder, read_only=True) as lake:
            snapshot = lake.snapshot()
    except LakeError as error:
        return topic.broken(
            error.sentence,
            "where a mend stands in the sentence, do that; else put the backup of the folder in its place",
        )
    return topic.ok(f"the lake opens; its newest snapshot is {snapshot}")


def unlocked(folder: Path, patience_s: float = PATIENCE_S, locks: Callable[[], str] | None = None) -> Result:
    """Return whether the writer lock of the lake becomes free within `patience_s`."""
    topic = Topic(Group.LAKE, "writer lock", str(folder))
    path = folder / LOCK
    if not path.exists():  # it is made by who writes first, and must be his
        return topic.ok("nobody has written yet")
    try:
        with FileLock(path, timeout=patience_s):
            return topic.ok("no other program is writing")
    except Timeout:
        return topic.warning(*_held(path, holder_of((locks or _locks)(), path.stat().st_ino), patience_s))
    except OSError as error:
        mend = f"let the user of this program open it:\nls -l {quoted(path)}"
        return topic.broken(f"the lock cannot be taken: {error.strerror}", mend)


def holder_of(locks: str, inode: int) -> int | None:
    """Return the number of the process that holds a lock on `inode`, as /proc/locks lists them."""
    for line in locks.splitlines():
        words = line.split()
        if len(words) > 5 and words[1] != "->" and words[5].rpartition(":")[2] == str(inode) and words[4].isdigit():
            return int(words[4])
    return None


def _held(path: Path, pid: int | None, patience_s: float) -> tuple[str, str]:
    by = f"process {pid}" if pid else "another program"
    look = f"ps -o pid,etime,args -p {pid}" if pid else f"fuser -v {quoted(path)}"
    return (
        f"{by} has been writing for more than {patience_s:g} s, and others wait for it meanwhile",
        f"if it is a backfill or maintenance, let it end; if it hangs, end it; nothing is lost by that:\n{look}",
    )


def _locks() -> str:
    try:
        return _LOCKS.read_text("utf-8", "replace")
    except OSError:
        return ""
