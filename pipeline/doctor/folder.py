"""Whether this user may write where it must, and whether it is the user whom the folder belongs to."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.doctor.facts import existing, name_of_user, quoted, user_name
from pipeline.doctor.result import Group, Result, Topic

TryToWrite = Callable[[Path], None]
"""Write into a folder and leave nothing there; raise OSError when that cannot be."""


def try_to_write(folder: Path) -> None:
    """Write a byte below `folder`; below the nearest one that exists, only ask whether it would be allowed."""
    if folder.is_dir():
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
    elif not os.access(existing(folder), os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def writable(group: Group, about: str, folder: Path, write: TryToWrite = try_to_write) -> Result:
    """Return whether `folder` can be written to, or made."""
    topic = Topic(group, "folder", about)
    if folder.exists() and not folder.is_dir():
        return topic.broken(f"{folder} is a file, where a folder is expected", "name another folder in the settings")
    try:
        write(folder)
    except OSError as error:
        return topic.broken(*_not_written(folder, error))
    made = "" if folder.is_dir() else "; it is made when it is first needed"
    return topic.ok(f"{user_name()} may write to {folder}{made}")


def owner(folder: Path, users: tuple[int, int] | None, again: str) -> Iterator[Result]:
    """Yield a warning when we, the first of `users`, look at the lake of the second one, who may see less."""
    if users and users[0] != users[1]:
        ours, its = map(name_of_user, users)
        yield Topic(Group.LAKE, "user", str(folder)).warning(
            f"all this was looked at as {ours}, and the lake belongs to {its}",
            f"look again as the user of the service:\nsudo -u {quoted(its)} {again}",
        )


def owners(folder: Path) -> tuple[int, int] | None:
    """Return who we are and whom `folder` belongs to, where there are such numbers."""
    if sys.platform == "win32" or not folder.is_dir():
        return None
    return os.geteuid(), folder.stat().st_uid


def _not_written(folder: Path, error: OSError) -> tuple[str, str]:
    user, where = user_name(), existing(folder)
    if error.errno == errno.EROFS:
        return f"{where} is on a file system that is mounted read-only", "name a folder on another one, or remount it"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{where} takes nothing more: {error.strerror}", f"make room:\ndf -h {quoted(where)}"
    if folder.is_dir():
        mend = f"give it to that user:\nsudo chown -R {quoted(user)} {quoted(folder)}"
    else:
        mend = f"make it for that user:\nsudo install -d -o {quoted(user)} {quoted(folder)}"
    return f"{user} may not write to {where}: {error.strerror or type(error).__name__}", mend
