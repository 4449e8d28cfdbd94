"""
Tell which files are parts of one log, and which part is older.

logrotate, newsyslog, `postfix logrotate`, copies by hand: `mail.log`, `mail.log.1`, `mail.log.2.gz`,
`mail.log-20261123`, `mail.log-2026-11-23`, `postfix.log.20261123-182422.gz`. Exchange names its files by the hour
(`SEND2026112316-1.LOG`), and a session may run from one into the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

_COMPRESSED = re.compile(r"\.(?:gz|bz2|xz|zst)$", re.IGNORECASE)
_NUMBERED = re.compile(r"\.(?P<number>\d{1,4})$")
_DATED = re.compile(r"[.-](?P<date>\d{4}-?\d\d-?\d\d(?:[-T_.]?\d{2,6})?)$")
_EXCHANGE = re.compile(r"^(?P<name>[A-Z]+?)(?P<date>\d{8}(?:\d{2})?)-(?P<number>\d+)\.LOG$", re.IGNORECASE)

_LIVE = (1, "", 0)


def log_of(path: str) -> str:
    """Return the name that all parts of the log of `path` share: its path without what rotation appended."""
    pure = PurePath(path)
    name = _COMPRESSED.sub("", pure.name)
    if match := _EXCHANGE.match(name):
        return str(pure.with_name(f"{match['name']}.LOG"))
    return str(pure.with_name(_DATED.sub("", _NUMBERED.sub("", name)) or name))


def is_rotated(path: str) -> bool:
    """Return whether `path` is a part that rotation has put aside, to which nothing will be appended."""
    name = _COMPRESSED.sub("", PurePath(path).name)
    return name != PurePath(path).name or bool(_NUMBERED.search(name) or _DATED.search(name))


def oldest_first(paths: Iterable[str]) -> list[str]:
    """Return `paths` with the parts of each log together, the oldest part first."""
    return sorted(paths, key=lambda path: (log_of(path), _age(path), path))


def _age(path: str) -> tuple[int, str, int]:
    name = _COMPRESSED.sub("", PurePath(path).name)
    if match := _EXCHANGE.match(name):
        return (0, match["date"], int(match["number"]))
    if match := _NUMBERED.search(name):
        return (0, "", -int(match["number"]))
    if match := _DATED.search(name):
        return (0, match["date"], 0)
    return _LIVE
