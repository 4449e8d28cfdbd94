"""
Log files and exports on this machine, plain or packed, through rotation.

A positional source: how files are followed stands in `pipeline/following.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SettingsError
from pipeline.following import paths_of, pull
from pipeline.model import Notice, Pull, Pulled
from pipeline.needs import Needs
from pipeline.outside import Outside
from pipeline.recognise import always, kind_of, recognise
from pipeline.zones import zone_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What to read: glob patterns, the format ('auto' recognises it by content), the zone of times that name none.

    `host` names the machine whose logs these are, for logs that do not say it.
    """

    paths: tuple[str, ...]
    format: str = "auto"
    zone: str = "local"
    host: str | None = None


def check(settings: Settings) -> list[str]:
    """Return what is wrong with `settings`, as sentences; no file is looked at."""
    advice = "'paths' is empty; name the files, such as paths = [\"/var/log/mail.log*\"]"
    complaints = [] if settings.paths else [advice]
    for complaint in (lambda: zone_of(settings.zone), lambda: settings.format == "auto" or kind_of(settings.format)):
        try:
            complaint()
        except SettingsError as error:
            complaints.append(error.sentence)
    return complaints


def needs(settings: Settings) -> Needs:
    """Return what this source reads."""
    return Needs(files=settings.paths)


def pull_of(settings: Settings, _outside: Outside | None = None) -> Pull:
    """Return the source with its settings handed in: give it a position, and it yields what is new since then."""
    recognised = recognise if settings.format == "auto" else always(settings.format)
    zone = zone_of(settings.zone)

    def pull_named(position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        paths = paths_of(settings.paths)
        if not paths:
            yield Notice(", ".join(settings.paths), "names no file, so nothing is read; check the pattern")
        yield from pull(paths, position, recognised, zone, host=settings.host)

    return pull_named
