"""
Read the ways out and the decision table from their files.

They are data, so that a change of Microsoft's is a change of one row; nothing here knows what a row means.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

When = Mapping[str, tuple[str, ...]]
"""Which values each named field of a case may have; fields that are not named do not matter."""


@dataclass(frozen=True, slots=True)
class Against:
    """One reason not to take a way; `hard` means that the way is impossible, not merely worse."""

    when: When
    because: str
    hard: bool


@dataclass(frozen=True, slots=True)
class Way:
    """One way out, as of `reviewed_on`; `row` is all that ways.toml says about it."""

    id: str
    title: str
    needs_smtp_auth: bool
    endpoint: str
    reviewed_on: date
    against: tuple[Against, ...]
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the decision table."""

    name: str
    way: str
    when: When
    because: str


@dataclass(frozen=True, slots=True)
class Also:
    """What a reply adds to the reasons; `smtp_auth` None means whatever the chosen way needs."""

    when: When
    because: str
    smtp_auth: bool | None


@cache
def ways() -> Mapping[str, Way]:
    """Return the ways out by id, in the order of ways.toml."""
    return {row["id"]: _way(row) for row in read_table("ways.toml")["way"]}


@cache
def plan() -> Mapping[str, Any]:
    """Return what is known about the end of Basic authentication: days as Microsoft words them, and the evidence."""
    found: Mapping[str, Any] = read_table("ways.toml")["plan"]
    return found


@cache
def rules() -> tuple[Rule, ...]:
    """Return the decision table, in the order in which it is asked."""
    return tuple(Rule(row["name"], row["way"], _when(row), row["because"]) for row in read_table("rules.toml")["rule"])


@cache
def additions() -> tuple[Also, ...]:
    """Return what the replies add to the reasons."""
    return tuple(Also(_when(row), row["because"], row.get("smtp_auth")) for row in read_table("rules.toml")["also"])


def _way(row: Mapping[str, Any]) -> Way:
    return Way(
        id=row["id"],
        title=row["title"],
        needs_smtp_auth=row["needs_smtp_auth"],
        endpoint=row["endpoint"],
        reviewed_on=row["reviewed_on"],
        against=tuple(Against(_when(one), one["because"], one.get("hard", False)) for one in row["against"]),
        row=row,
    )


def _when(row: Mapping[str, Any]) -> When:
    asked = row.get("when", {})
    return {field: (values,) if isinstance(values, str) else tuple(values) for field, values in asked.items()}


def read_table(name: str) -> dict[str, Any]:
    """Return one file of the knowledge base."""
    return tomllib.loads((files("alerts.remedy") / name).read_text("utf-8"))
