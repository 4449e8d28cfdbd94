"""Say in words what is different in new settings: names and intervals, and never a value, which may be a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import timedelta

from pipeline.settings import Part, Settings
from pipeline.spans import in_words

Rhythm = Mapping[str, timedelta]
"""How often each job runs, by its name."""

_SAID_APART = {"path", "lines", "sources", "channels", "detections"}


def changes_of(before: Settings, after: Settings, rhythm_before: Rhythm, rhythm_after: Rhythm) -> list[str]:
    """Return each change from `before` to `after` as a sentence."""
    return [
        *_jobs(rhythm_before, rhythm_after),
        *_others("channel", before.channels, after.channels),
        *(f"{name} has other settings" for name in _altered(before, after)),
        *(
            f"[{each.name}] has changed"
            for each in fields(Settings)
            if each.name not in _SAID_APART and getattr(before, each.name) != getattr(after, each.name)
        ),
    ]


def _jobs(before: Rhythm, after: Rhythm) -> Iterator[str]:
    yield from _others("", before, after)
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            yield f"{name} runs every {in_words(after[name])} instead of every {in_words(before[name])}"


def _others(group: str, before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(after.keys() - before.keys()):
        yield f"{group} {name} is new".lstrip()
    for name in sorted(before.keys() - after.keys()):
        yield f"{group} {name} is gone".lstrip()


def _altered(before: Settings, after: Settings) -> Iterator[str]:
    for group, old, new in (("source", before.sources, after.sources), ("channel", before.channels, after.channels)):
        yield from (f"{group} {name}" for name in sorted(old.keys() & new.keys()) if _is_other(old[name], new[name]))
    old_rules, new_rules = before.detections, after.detections
    for id in sorted(old_rules.keys() | new_rules.keys()):
        if _own(old_rules.get(id, {})) != _own(new_rules.get(id, {})):
            yield f"detection {id}"


def _is_other(before: Part, after: Part) -> bool:
    return (before.kind, before.settings) != (after.kind, after.settings)


def _own(override: Mapping[str, object]) -> dict[str, object]:
    """Return what `override` says beyond whether and how often the detection is asked, which its job shows."""
    return {key: value for key, value in override.items() if key not in {"enabled", "every"}}
