"""
Print rows for people and programs, and words for people.

What comes from a log can hold escape sequences for the terminal and formulas for a spreadsheet, so a table shows
control characters as pictures and CSV puts a quote before what a spreadsheet would run. JSON keeps values as they are.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

FORMATS = ("table", "json", "ndjson", "csv", "md")

Command = TypeVar("Command", bound=Callable[..., Any])

_CONTROLS = (
    {code: 0x2400 + code for code in range(32)}
    | {0x7F: 0x2421}
    | dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�")
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def format_option(default: str = "table") -> Callable[[Command], Command]:
    """Return the `--format` option of a command."""
    return click.option(
        "--format", "format", type=click.Choice(FORMATS), default=default, show_default=True, help="How to print."
    )


@dataclass(slots=True)
class Screen:
    """What the options before the command say, and how to talk to people."""

    config: Path | None = None
    quiet: bool = False
    verbose: int = 0
    no_color: bool = False
    failures: int = field(default=0)

    def say(self, sentence: str) -> None:
        """Tell people something on stderr."""
        if not self.quiet:
            click.echo(printable(sentence), err=True)

    def warn(self, sentence: str) -> None:
        """Tell people of a failure on stderr, quiet or not, and remember it for the exit code."""
        self.failures += 1
        click.echo(f"authsunset: {printable(sentence)}", err=True)


def printable(text: str) -> str:
    """Return `text` with control characters and text-direction tricks made visible."""
    return text.translate(_CONTROLS)


def print_rows(
    rows: Iterable[Mapping[str, Any]],
    format: str,
    *,
    columns: Sequence[str] = (),
    no_color: bool = False,
    title: str = "",
) -> None:
    """Print `rows` to stdout as `format`; `columns` are those that a table shows, in order."""
    match format:
        case "ndjson":
            for row in rows:
                click.echo(as_json(row))
        case "json":
            click.echo(as_json(list(rows), indent=2))
        case "csv":
            click.echo(_csv(list(rows), columns), nl=False)
        case "md":
            click.echo(_markdown(list(rows), columns), nl=False)
        case _:
            _print_table(list(rows), columns, no_color=no_color, title=title)


def as_json(value: object, indent: int | None = None) -> str:
    """Return `value` as JSON; times are ISO 8601, bytes are text with escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent, default=_json_value)


def cell(value: object) -> str:
    """Return `value` as one short piece of text for a table."""
    match value:
        case None:
            return ""
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%SZ")
        case date():
            return value.isoformat()
        case list() | tuple():
            return ", ".join(cell(each) for each in value)
        case dict():
            return as_json(value)
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case _:
            return str(value)


def _json_value(value: object) -> object:
    match value:
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case set() | frozenset():
            return sorted(value)
        case _:
            return str(value)


def _columns(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    return list(columns) or list(rows[0] if rows else [])


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    names = _columns(rows, columns)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_harmless(cell(row.get(name))) for name in names] for row in rows)
    return out.getvalue()


def _harmless(text: str) -> str:
    """Return `text` so that no spreadsheet takes it, or any line of it, for a formula."""
    return "\n".join(
        f"'{line}" if line.lstrip(" \u00a0").startswith(_FORMULA_STARTS) else line for line in text.split("\n")
    )


def _markdown(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    names = _columns(rows, columns)
    lines = [" | ".join(names), " | ".join("---" for _ in names)]
    lines += [" | ".join(_markdown_cell(row.get(name)) for name in names) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _markdown_cell(value: object) -> str:
    text = printable(cell(value))
    return "".join(f"\\{char}" if char in "\\`*_{}[]()<>#|~" else char for char in text)


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, no_color: bool, title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = _columns(rows, columns)
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for name in names:
        is_number = any(isinstance(row.get(name), (int, float)) for row in rows)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell(row.get(name)))) for name in names))
    is_terminal = sys.stdout.isatty()
    Console(no_color=no_color, width=None if is_terminal else 500, highlight=False).print(table)
