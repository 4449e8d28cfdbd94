"""
Read a detection from its one file: a TOML header, one query, and TOML cases, all of it valid SQL.

Both comments begin with `/*---` and end with `---*/`. The file's path is its id: `rejection/basic_auth_refused`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from pipeline.errors import DetectionError, Place
from pipeline.spans import span_of
from queries.sql_files import take_apart

NO_TOPICS = ("over", "saved", "dossier", "views")
"""Folders of queries that detect nothing."""

_NEEDED = ("title", "why", "severity", "every", "window", "reads", "about", "over_when", "remedy", "confidence")


@dataclass(frozen=True, slots=True)
class Detection:
    """
    One detection: what it says, how often and over which window it is asked, its query and its cases.

    `confidence` says how sure a finding is: high · medium · low. `complete` names the tables of which it reasons about
    what is missing: it takes from `feeds` up to when those are complete, and says nothing about what may still come.
    `uncovered` lists predicates that no case can tell, each with the reason.
    """

    id: str
    title: str
    why: str
    severity: str
    every: timedelta
    window: timedelta
    reads: tuple[str, ...]
    about: tuple[str, ...]
    over_when: str
    remedy: str
    sql: str
    confidence: str = ""
    complete: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    known_gaps: str = ""
    false_positives: str = ""
    mitre: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    cases: tuple[Mapping[str, Any], ...] = ()
    text: str = ""

    @property
    def is_about_absence(self) -> bool:
        """Return whether it looks for what is missing, which no new row tells of."""
        return bool(self.complete)

    @property
    def fires_for_one(self) -> bool:
        """Return whether one event is enough, so that it does not matter how long a window is."""
        thresholds = [value for name, value in self.params.items() if name.startswith("min_")]
        return bool(thresholds) and all(value == 1 for value in thresholds)


@cache
def detections() -> tuple[Detection, ...]:
    """Return all detections, by id."""
    found = [
        read_detection(f"{topic.name}/{file.name.removesuffix('.sql')}", file)
        for topic in files("queries").iterdir()
        if topic.is_dir() and topic.name not in NO_TOPICS
        for file in topic.iterdir()
        if file.name.endswith(".sql")
    ]
    return tuple(sorted(found, key=lambda detection: detection.id))


def detection(id: str) -> Detection:
    """Return the detection `id`, by its full id or its name alone; raise DetectionError when there is none."""
    for each in detections():
        if id in (each.id, each.id.rpartition("/")[2]):
            return each
    raise DetectionError(f"no detection {id!r}; there is {', '.join(each.id for each in detections())}")


def read_detection(id: str, file: Traversable) -> Detection:
    """Return the detection in `file`; raise DetectionError that names what is wrong in it."""
    place = Place(str(file))
    text = file.read_text("utf-8")
    try:
        header, sql, cases = take_apart(text)
    except ValueError as error:
        raise DetectionError(f"the header or the cases are wrong: {error}", place=place) from error
    missing = [key for key in _NEEDED if key not in header]
    if missing:
        raise DetectionError(f"the header lacks {', '.join(missing)}", place=place)
    every, window = (span_of(header.pop(key)) for key in ("every", "window"))
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in header.items()}
    return Detection(
        id=id, every=every, window=window, sql=sql, cases=tuple(cases.get("case", [])), text=text, **fields
    )
