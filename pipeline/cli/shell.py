"""
`authsunset shell`: a prompt for SQL that only reads the lake, locked down as `query --sql` is.

A statement may run over several lines and ends with a semicolon at the end of a line, or with the input. Each one sees
what the lake holds by then.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pipeline.cli.output import FORMATS, Screen, format_option, print_rows
from pipeline.cli.query import leave, limit_options, limits_of

if TYPE_CHECKING:
    from queries.sandbox import Sandbox

PROMPT = "lake> "

HELP = """\
.tables          the tables and views
.schema NAME     the columns of one
.queries         the saved queries; `authsunset query NAME` runs one
.format FORMAT   how to print: table, json, ndjson, csv, md
.duckdb          how to read the lake in a DuckDB of your own
.quit            leave, as Ctrl-D does
Anything else is SQL: one SELECT, up to a semicolon at the end of a line."""

OWN_DUCKDB = """\
duckdb -cmd "INSTALL ducklake; INSTALL sqlite; ATTACH 'ducklake:sqlite:{catalog}' AS lake (READ_ONLY); USE lake"
with -ui behind it for DuckDB's own page; docs/analysts.md lists the versions it was tried with."""


@click.command()
@limit_options
@format_option()
@click.pass_obj
def shell(screen: Screen, timeout: float, max_rows: int, format: str) -> None:
    """
    Ask the lake in SQL at a prompt that can read it and nothing else; .help tells more.

    \b
    authsunset shell
    authsunset shell --format csv < questions.sql
    """
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import CATALOG, Lake
    from queries.sandbox import Sandbox

    folder = lake_folder(screen).absolute()
    is_typed = sys.stdin.isatty()
    with Lake.open(folder, read_only=True) as lake:
        sandbox = Sandbox.of(lake, limits_of(timeout, max_rows), leave)
        session = Session(screen, sandbox, (folder / CATALOG).as_posix(), format)
        if is_typed:
            screen.say(f"{folder}: .help tells what there is, .quit leaves")
            screen.say(OWN_DUCKDB.format(catalog=session.catalog))
        for statement in statements_in(typed_lines() if is_typed else sys.stdin):
            if statement == ".quit":
                break
            session.answer(statement)
    if screen.failures and not is_typed:
        raise SystemExit(1)


def typed_lines() -> Iterator[str]:
    """Yield the lines that somebody types, with the line editor of the system where there is one."""
    with suppress(ImportError):
        import readline  # noqa: F401 - once it is there, `input` edits lines and remembers them
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            click.echo(err=True)
            return
        except KeyboardInterrupt:
            click.echo("\n.quit leaves", err=True)


def statements_in(lines: Iterable[str]) -> Iterator[str]:
    """Yield each dot command and each statement of `lines`; what the end of the input cuts off is one too."""
    begun: list[str] = []
    for line in lines:
        text = line.strip()
        if not begun and text.startswith("."):
            yield text
        elif text:
            begun.append(line.rstrip("\n"))
            if text.endswith(";"):
                yield "\n".join(begun)
                begun = []
    if begun:
        yield "\n".join(begun)


@dataclass(slots=True)
class Session:
    """A shell between two statements."""

    screen: Screen
    sandbox: Sandbox
    catalog: str
    format: str

    def answer(self, statement: str) -> None:
        """Print what `statement` asks for, or why it cannot be answered."""
        from pipeline.errors import DetectionError

        try:
            if statement.startswith("."):
                self._command(*statement.split(maxsplit=1))
            else:
                self._ask(statement)
        except DetectionError as error:
            self.screen.warn(str(error))

    def _ask(self, sql: str) -> None:
        found = self.sandbox.run(sql)
        print_rows(found.rows.to_pylist(), self.format, columns=found.rows.column_names, no_color=self.screen.no_color)
        if found.left_out:
            self.screen.say(found.left_out)

    def _command(self, command: str, argument: str = "") -> None:
        from queries.library import listed

        match command, argument.strip().rstrip(";"):
            case ".help", _:
                click.echo(HELP)
            case ".duckdb", _:
                click.echo(OWN_DUCKDB.format(catalog=self.catalog))
            case ".tables", _:
                names = sorted(self.sandbox.tables, key=lambda each: (each[0] != "main", *each))
                rows = [{"name": name if schema == "main" else f"{schema}.{name}"} for schema, name in names]
                print_rows(rows, self.format, columns=("name",), no_color=self.screen.no_color)
            case ".queries", _:
                print_rows(listed(), self.format, no_color=self.screen.no_color)
            case ".schema", name if name:
                self._ask(f"SELECT column_name, column_type FROM (DESCRIBE {name})")
            case ".format", name if name in FORMATS:
                self.format = name
            case _:
                self.screen.warn(f"{command} {argument}".rstrip() + " is no command; .help tells what there is")
