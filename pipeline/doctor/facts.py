"""What the checks say about this machine's user and paths, and how a path stands in a command."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
from pathlib import Path


def user_name() -> str:
    """Return who runs this program."""
    if sys.platform != "win32":
        return name_of_user(os.geteuid())
    return getpass.getuser()


def name_of_user(uid: int) -> str:
    """Return the name of the user with this number, or the number."""
    if sys.platform != "win32":
        import pwd  # noqa: PLC0415 - it is not on every system

        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return str(uid)
    return str(uid)


def name_of_group(gid: int) -> str:
    """Return the name of the group with this number, or the number."""
    if sys.platform != "win32":
        import grp  # noqa: PLC0415 - it is not on every system

        try:
            return grp.getgrgid(gid).gr_name
        except KeyError:
            return str(gid)
    return str(gid)


def existing(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that exists."""
    return next((each for each in (path, *path.parents) if os.path.exists(each)), path)  # noqa: PTH110 - Path.exists raises where nobody may look


def quoted(path: Path | str) -> str:
    """Return `path` as it stands in a command of a shell."""
    return shlex.quote(str(path))
