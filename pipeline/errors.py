"""
Every error of the project, as one tree.

* AuthsunsetError
  x SettingsError     a setting is missing, unknown or wrong       -> do not start
  x SourceError       one pull failed                              -> keep the cursor
  x FormatError       a whole file is not in the expected format   -> set the file aside
  x LakeError         the lake cannot be read or written           -> nothing was committed
  x DetectionError    one query failed                             -> skip that detection, say so
  x DeliveryError     one message was not accepted                 -> keep it unsent

Each message is a sentence: what was found, what was expected, where, and what to do. It never holds a secret.
Errors are caught in exactly three places: around one source run, one detection and one delivery; the command
line prints whatever comes further.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where something went wrong: a file, a line of it (from 1), a key of it."""

    path: Path | str | None = None
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        where = str(self.path or "")
        if self.line is not None:
            where += f":{self.line}"
        return f"{where} [{self.key}]".strip() if self.key else where


NOWHERE = Place()


@dataclass(eq=False)
class AuthsunsetError(Exception):
    """The root: `retry` says whether trying again may help, `place` is printed first."""

    sentence: str
    place: Place = field(default=NOWHERE, kw_only=True)
    retry: bool = field(default=False, kw_only=True)

    def __str__(self) -> str:
        where = str(self.place)
        return f"{where}: {self.sentence}" if where else self.sentence


class SettingsError(AuthsunsetError):
    """A setting is missing, unknown or wrong; nothing was started."""


class SourceError(AuthsunsetError):
    """One pull failed; its cursor stays where it was."""


class FormatError(AuthsunsetError):
    """A whole file is not in the expected format; it is set aside."""


class LakeError(AuthsunsetError):
    """The lake cannot be read or written; nothing was committed."""


class DetectionError(AuthsunsetError):
    """One query failed; that detection is skipped and the others go on."""


@dataclass(eq=False)
class DeliveryError(AuthsunsetError):
    """One message was not accepted; `after_s` is how long the receiver asked us to wait."""

    after_s: float | None = field(default=None, kw_only=True)
