"""Saved queries with typed parameters, and any SQL that only reads, for analysts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.lake import Lake
from queries.parameters import parameters_in, parameters_of
from queries.sandbox import Found, Limits, Sandbox
from queries.sql_files import SqlFile, names_in, sql_file

__all__ = ["listed", "parameters_listed", "parameters_of", "run", "saved"]


def saved(name: str) -> SqlFile:
    """Return the saved query `name`; raise DetectionError, naming what there is, when there is none."""
    return sql_file("saved", name)


def listed() -> list[dict[str, str]]:
    """Return one row for each saved query: its name, what it tells, and its parameters with their defaults."""
    return [
        {
            "name": name,
            "title": file.header["title"],
            "parameters": " ".join(f"{each.name}={each.shown_default}" for each in parameters_in(file)),
        }
        for name in names_in("saved")
        for file in [saved(name)]
    ]


def parameters_listed(file: SqlFile) -> list[dict[str, str]]:
    """Return one row for each parameter of `file`."""
    return [
        {
            "parameter": each.name,
            "type": each.type,
            "default": each.shown_default,
            "such_as": each.example,
            "help": each.help,
        }
        for each in parameters_in(file)
    ]


def run(lake: Lake, sql: str, parameters: Mapping[str, Any] | None = None, limits: Limits | None = None) -> Found:
    """Return the rows of `sql`, which can read `lake` and nothing else; its connection serves nothing else after."""
    return Sandbox.of(lake, limits).run(sql, parameters)
