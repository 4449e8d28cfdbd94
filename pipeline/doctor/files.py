"""Whether there are files where a source looks for them, and whether this user may read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path

from pipeline.doctor.facts import name_of_group, quoted, user_name
from pipeline.doctor.result import Group, Result, Topic
from pipeline.following import paths_of

Allowed = Callable[[Path, int], bool]
"""Whether this user may use a path in a way of os.access: R_OK to read it, X_OK to pass through it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A file or folder that this user may not read, and whom its group is."""

    path: Path
    group: str
    is_open_to_group: bool


def files(source: str, patterns: Iterable[str], allowed: Allowed = os.access) -> Iterator[Result]:
    """Yield how it stands with each of the glob `patterns` of `source`."""
    for pattern in patterns:
        yield _pattern(Topic(Group.SOURCES, "files", source), pattern, allowed)


def _pattern(topic: Topic, pattern: str, allowed: Allowed) -> Result:
    folder = _fixed(pattern)
    if shut := _shut(folder, allowed):
        return topic.broken(f"{pattern}: {user_name()} may not look into {shut}", _let_in(_closed(shut)))
    if not folder.exists():
        return topic.broken(
            f"{pattern}: there is no {folder}", "correct the pattern in paths, or make what writes there run"
        )
    found = [Path(path) for path in paths_of((pattern,))]
    if not found:
        mend = f"correct the pattern in paths; what is there:\nls -la {quoted(folder)}"
        return topic.warning(f"{pattern} names no file, so nothing is read", mend)
    unread = [path for path in found if not allowed(path, os.R_OK)]
    if unread:
        found_out = f"{pattern}: {user_name()} may not read {len(unread)} of {len(found)} files, such as {unread[0]}"
        return topic.broken(found_out, _let_in(_closed(unread[0])))
    return topic.ok(f"{pattern} names {len(found)} files, all readable")


def _fixed(pattern: str) -> Path:
    """Return the part of `pattern` that is a name and no wildcard: a folder, or the file itself."""
    path = Path(pattern)
    return next(each for each in (path, *path.parents) if not has_magic(str(each)))


def _shut(folder: Path, allowed: Allowed) -> Path | None:
    """Return the outermost folder on the way to `folder`, itself included, that shuts us out."""
    way = [each for each in reversed((folder, *folder.parents)) if _is_folder(each)]
    return next((each for each in way if not allowed(each, os.R_OK | os.X_OK if each == folder else os.X_OK)), None)


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises where nobody may look


def _closed(path: Path) -> Closed:
    status = path.stat()
    is_open = bool(status.st_mode & stat.S_IRGRP) and (path.is_file() or bool(status.st_mode & stat.S_IXGRP))
    return Closed(path, name_of_group(status.st_gid), is_open)


def _let_in(closed: Closed) -> str:
    user, path = quoted(user_name()), quoted(closed.path)
    if closed.is_open_to_group and closed.group != "root":
        return (
            f"let the user join the group {closed.group}, which may, and start the service anew:\n"
            f"sudo usermod -aG {quoted(closed.group)} {user}"
        )
    rights = "rX" if closed.path.is_dir() else "r"
    return (
        "give this user the right alone, for new files too where a folder holds them:\n"
        f"sudo setfacl -m u:{user}:{rights} {path}"
        + (f"\nsudo setfacl -d -m u:{user}:r {path}" if closed.path.is_dir() else "")
    )
