"""The saved queries for analysts, and their typed parameters."""

from __future__ import annotations

from queries.parameters import parameters_in
from queries.sql_files import SqlFile, names_in, sql_file


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
