"""
The rules of the house for a detection, each broken one as a sentence with its line.

What can be seen without running anything is seen here; `queries.cases` runs the cases, and `queries.coverage` says
which predicates no case can tell. `lint` never raises: a file that cannot even be read is a problem like any other.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import pyarrow as pa

from pipeline.errors import DetectionError
from pipeline.lake.tables import TABLES, TIME_KEPT
from pipeline.spans import span_of
from queries.cases import NOW, with_usual_values
from queries.layout import layout_problems
from queries.lint_query import Fault, query_faults, shared_faults
from queries.parsed import ParsedQuery, parsed_file, views
from queries.sql_files import names_in, take_apart
from queries.tuning import SEVERITIES

CONFIDENCES = ("high", "medium", "low")
BECAUSE = " because "
"""Stands between a predicate of `uncovered` and the reason why no case can tell it."""
FEWEST_CASES = 4

_TEXTS = (
    "title",
    "why",
    "severity",
    "confidence",
    "every",
    "window",
    "over_when",
    "remedy",
    "known_gaps",
    "false_positives",
)
_LISTS = ("reads", "about", "references")
_MAY = ("complete", "mitre", "uncovered")
_KEYS = (*_TEXTS, *_LISTS, *_MAY, "params")
_CASE_KEYS = frozenset({"name", "given", "finds"})
_MITRE = re.compile(r"T\d{4}(\.\d{3})?")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_CASE = re.compile(r"^\[\[case\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One rule that a file breaks: where, which, and what to do."""

    path: str
    line: int
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.sentence} [{self.rule}]"


def lint(path: str, text: str, hints: Collection[str]) -> list[Problem]:
    """Return the rules of the house that the detection `text` breaks; `hints` are the remedies that there are."""
    try:
        header, _, cases = take_apart(text)
        query = parsed_file(text)
    except (ValueError, DetectionError) as error:
        return [Problem(path, _line_told(error), "readable", f"header, query and cases should be readable: {error}")]
    faults = [
        *_header_faults(header, text, hints),
        *_cases_faults(header, cases, text),
        *query_faults(query, header),
        *_layout_faults(query),
    ]
    return sorted({Problem(path, *fault) for fault in faults})


def lint_other(path: str, text: str) -> list[Problem]:
    """Return the rules that a query breaks which is no detection: its layout, no clock, an order, no odd dialect."""
    try:
        query = parsed_file(text)
    except (ValueError, DetectionError) as error:
        return [Problem(path, _line_told(error), "readable", f"header, query and cases should be readable: {error}")]
    return sorted({Problem(path, *fault) for fault in [*shared_faults(query), *_layout_faults(query)]})


def _layout_faults(query: ParsedQuery) -> Iterator[Fault]:
    for line, sentence in layout_problems(query.sql):
        yield query.begins_at + line, "layout", sentence


def _line_told(error: Exception) -> int:
    told = re.search(r"\(at line (\d+)", str(error)) if isinstance(error, tomllib.TOMLDecodeError) else None
    return int(told[1]) + 1 if told else 1


def _header_faults(header: Mapping[str, Any], text: str, hints: Collection[str]) -> Iterator[Fault]:
    found = [*_shape(header)]
    if not found:
        found = [*_words(header), *_tables(header), *_times(header), *_endings(header, hints), *_links(header)]
    found += _unknown(header)
    for key, sentence in found:
        yield _line_of_key(text, key), "header", sentence


def _shape(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in (*_TEXTS, *_LISTS):
        if not header.get(key):
            yield key, f"the header lacks {key!r}"
    for key, value in header.items():
        if key in _TEXTS and not isinstance(value, str):
            yield key, f"{key!r} should be a text"
        elif key in (*_LISTS, *_MAY) and not _is_list_of_texts(value):
            yield key, f"{key!r} should be a list of texts"
        elif key == "params" and not _is_flat(value):
            yield key, "[params] should hold a number, a text, true or false, or a list of those for each name"


def _unknown(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in header.keys() - set(_KEYS):
        near = get_close_matches(key, _KEYS, n=1)
        yield key, f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _words(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    named = set(_PLACEHOLDER.findall(header["title"]))
    for name in set(header["about"]) - named:
        yield "title", f"the title should name what it is about: {{{name}}}"
    if not header["why"].endswith("."):
        yield "why", "'why' should be a sentence that ends with a full stop"
    for key, known in (("severity", SEVERITIES), ("confidence", CONFIDENCES)):
        if header[key] not in known:
            yield key, f"{key!r} should be one of {', '.join(known)}"
    for entry in header.get("uncovered", ()):
        if BECAUSE not in entry:
            yield "uncovered", f"{entry!r} should be a predicate, the word 'because', and the reason"


def _tables(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("reads", "complete"):
        for name in header.get(key, ()):
            if name not in TABLES:
                yield key, f"{key!r} names {name!r}, which is no table of the lake"


def _times(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    spans: dict[str, timedelta] = {}
    for key in ("every", "window"):
        try:
            spans[key] = span_of(header[key])
        except ValueError as error:
            yield key, f"{key!r}: {error}"
    if len(spans) == 2 and not timedelta(minutes=1) <= spans["every"] <= spans["window"]:
        yield "every", "'every' should be a minute at least, and the window at least as long"


def _endings(header: Mapping[str, Any], hints: Collection[str]) -> Iterator[tuple[str, str]]:
    if header["over_when"] not in names_in("over"):
        yield "over_when", f"'over_when' should be one of queries/over: {', '.join(names_in('over'))}"
    if header["remedy"] not in hints:
        yield "remedy", f"'remedy' should be a hint that there is: {', '.join(sorted(hints))}"


def _links(header: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for reference in header["references"]:
        if not reference.startswith("https://"):
            yield "references", f"{reference!r} should begin with https://"
    for technique in header.get("mitre", ()):
        if not _MITRE.fullmatch(technique):
            yield "mitre", f"{technique!r} should be the id of a technique, such as T1110 or T1110.003"


def _cases_faults(header: Mapping[str, Any], cases: Mapping[str, Any], text: str) -> Iterator[Fault]:
    listed = cases.get("case", [])
    for number, case in enumerate(listed):
        for sentence in _case_shape(case):
            yield _line_of_case(text, number), "cases", sentence
            return
    line = _line_of_case(text, 0)
    for sentence in _kinds_missing(header, listed):
        yield line, "cases", sentence
    names = [case["name"] for case in listed]
    for name in {name for name in names if names.count(name) > 1}:
        yield line, "cases", f"two cases are called {name!r}"


def _case_shape(case: Mapping[str, Any]) -> Iterator[str]:
    name = case.get("name", "a case without a name")
    if case.keys() != _CASE_KEYS or not isinstance(case["given"], dict) or not isinstance(case["finds"], list):
        yield f"{name!r} should have a name, tables of rows in 'given', and the list 'finds'"
        return
    for table, rows in case["given"].items():
        if table not in TABLES:
            yield f"{name!r} gives rows of {table!r}, which is no table of the lake" + _of_view(table)
        elif not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            yield f"{name!r} should give {table!r} as a list of rows"


def _of_view(table: str) -> str:
    return "; give the rows that the view is made of" if table in views() else ""


def _kinds_missing(header: Mapping[str, Any], cases: list[Mapping[str, Any]]) -> Iterator[str]:
    if len(cases) < FEWEST_CASES:
        yield f"there are {len(cases)} cases; {FEWEST_CASES} at least: it fires, it stays silent, a near miss, the edge"
    if not any(case["finds"] for case in cases):
        yield "no case fires"
    if not any(not case["finds"] and any(case["given"].values()) for case in cases):
        yield "no case is a near miss: it is given rows and stays silent"
    window = _window_of(header)
    if window and set(header.get("reads", ())) & set(TIME_KEPT) and not any(_is_edge(case, window) for case in cases):
        yield "no case stands at the edge: one of its rows should be from before the window, or from its end on"


def _window_of(header: Mapping[str, Any]) -> timedelta | None:
    try:
        return span_of(str(header.get("window")))
    except ValueError:
        return None


def _is_edge(case: Mapping[str, Any], window: timedelta) -> bool:
    """Return whether a row of `case` is outside the window, which begins so long before the test's now."""
    return any(
        _is_outside(moment, window)
        for table, rows in case["given"].items()
        if table in TIME_KEPT
        for moment in _moments(table, rows)
    )


def _moments(table: str, rows: list[Mapping[str, Any]]) -> list[datetime | date]:
    try:
        found: list[datetime | date] = with_usual_values(table, rows)[TIME_KEPT[table]].to_pylist()
    except (DetectionError, ValueError, TypeError, pa.ArrowException):
        return []  # the case cannot be run, which `rules test` says better
    return found


def _is_outside(moment: datetime | date, window: timedelta) -> bool:
    if isinstance(moment, datetime):
        return not NOW - window <= moment < NOW
    return not (NOW - window).date() <= moment <= NOW.date()


def _line_of_key(text: str, key: str) -> int:
    found = re.search(rf"^(\[{re.escape(key)}\]|{re.escape(key)}\s*=)", text, re.MULTILINE)
    return 1 + text.count("\n", 0, found.start()) if found else 1


def _line_of_case(text: str, number: int) -> int:
    places = [each.start() for each in _CASE.finditer(text)]
    return 1 + text.count("\n", 0, places[number] if number < len(places) else len(text.rstrip()))


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_flat(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str | int | float | list) for each in value.values())
