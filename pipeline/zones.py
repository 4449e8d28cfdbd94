"""Turn the name of a time zone into one; 'local' is this machine's."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tzlocal import get_localzone

from pipeline.errors import NOWHERE, Place, SettingsError


def zone_of(name: str, place: Place = NOWHERE) -> tzinfo:
    """Return the zone called `name`; raise SettingsError when there is none."""
    if name.upper() in {"UTC", "Z"}:
        return UTC
    try:
        return get_localzone() if name.lower() == "local" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        what = "this machine does not tell its time zone" if name.lower() == "local" else f"no time zone {name!r}"
        sentence = f"{what}; write one like 'Europe/Berlin', 'UTC' or 'local'"
        raise SettingsError(sentence, place=place) from error
