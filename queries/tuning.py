"""Give detections the parameters that the settings name, and say what is wrong with those."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from pipeline.errors import Place, SettingsError
from pipeline.spans import span_of
from queries.detection import Detection

SEVERITIES = ("critical", "high", "medium", "low", "info")
_OWN_KEYS = ("enabled", "every", "severity")

PlaceOf = Callable[[str, str], Place]
"""Where a key of a detection stands in the settings."""


def tuned(
    detections: Sequence[Detection], overrides: Mapping[str, Mapping[str, Any]], place_of: PlaceOf
) -> tuple[list[Detection], list[SettingsError]]:
    """Return the detections that are switched on as `overrides` want them, and every problem of `overrides`."""
    by_name = {name: each for each in detections for name in (each.id, each.id.rpartition("/")[2])}
    problems = [
        SettingsError(f"no detection {id!r}{_hint(id, list(by_name))}", place=place_of(id, ""))
        for id in overrides
        if id not in by_name
    ]
    wanted = {by_name[id].id: (id, override) for id, override in overrides.items() if id in by_name}
    on = []
    for each in detections:
        id, override = wanted.get(each.id, (each.id, {}))
        found = [SettingsError(words, place=place_of(id, key)) for key, words in _complaints(each, override)]
        problems += found
        if not found and override.get("enabled", True):
            on.append(_tuned(each, override))
    return on, problems


def _complaints(detection: Detection, override: Mapping[str, Any]) -> list[tuple[str, str]]:
    known = (*_OWN_KEYS, *detection.params)
    return [
        (key, words)
        for key, value in override.items()
        if (words := _complaint(detection, key, value) if key in known else f"unknown key {key!r}{_hint(key, known)}")
    ]


def _complaint(detection: Detection, key: str, value: Any) -> str:
    match key:
        case "enabled":
            return "" if isinstance(value, bool) else "'enabled' should be true or false, without quotes"
        case "severity":
            return "" if value in SEVERITIES else f"'severity' should be one of {', '.join(SEVERITIES)}"
        case "every":
            return _span_complaint(value)
    usual = detection.params[key]
    if type(value) is type(usual):
        return ""
    return f"{key!r} should be a {'number' if isinstance(usual, int | float) else 'text'}, such as {usual!r}"


def _span_complaint(value: Any) -> str:
    try:
        span_of(str(value))
    except ValueError as error:
        return f"'every': {error}"
    return ""


def _tuned(detection: Detection, override: Mapping[str, Any]) -> Detection:
    params = {key: value for key, value in override.items() if key in detection.params}
    return replace(
        detection,
        params={**detection.params, **params},
        every=span_of(str(override["every"])) if "every" in override else detection.every,
        severity=str(override.get("severity", detection.severity)),
    )


def _hint(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there is {', '.join(known)}"
