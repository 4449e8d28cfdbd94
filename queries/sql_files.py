"""Read the SQL files that are no detections: what ends a finding, saved queries, views. Same shape, smaller header."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.errors import DetectionError

_COMMENT = re.compile(r"/\*---\n(.*?)---\*/\n?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SqlFile:
    """A query with its header and cases."""

    name: str
    sql: str
    header: Mapping[str, Any] = field(default_factory=dict)
    cases: tuple[Mapping[str, Any], ...] = ()


@cache
def sql_file(folder: str, name: str) -> SqlFile:
    """Return the file `name` of queries/`folder`; raise DetectionError, naming what there is, when it is not there."""
    file = files("queries") / folder / f"{name}.sql"
    if not re.fullmatch(r"\w+", name) or not file.is_file():
        raise DetectionError(f"no {name!r} in queries/{folder}; there is {', '.join(names_in(folder))}")
    header, sql, cases = take_apart(file.read_text("utf-8"))
    return SqlFile(name, sql, header, tuple(cases.get("case", [])))


def names_in(folder: str) -> list[str]:
    """Return the names of the SQL files in queries/`folder`."""
    return sorted(
        file.name.removesuffix(".sql") for file in (files("queries") / folder).iterdir() if file.name.endswith(".sql")
    )


def take_apart(text: str) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Return header, query and cases of `text`; raise ValueError when it does not begin with a header."""
    comments = list(_COMMENT.finditer(text))
    if not comments or comments[0].start() != 0:
        raise ValueError("does not begin with a `/*---` header in TOML")
    end = comments[1].start() if len(comments) > 1 else len(text)
    cases = tomllib.loads(comments[1][1]) if len(comments) > 1 else {}
    return tomllib.loads(comments[0][1]), text[comments[0].end() : end].strip(), cases
