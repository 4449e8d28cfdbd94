"""`authsunset query`: a saved query, or any SQL that only reads, on the lake."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli.output import Screen, format_option, print_rows

if TYPE_CHECKING:
    from queries.sandbox import Limits
    from queries.sql_files import SqlFile

Command = TypeVar("Command", bound=Callable[..., Any])


def limit_options(command: Command) -> Command:
    """Give `command` the options that say how much one query may take."""
    timeout = click.option(
        "--timeout", type=click.FloatRange(min=0.1), default=30.0, show_default=True, help="Seconds a query may take."
    )
    most = click.option(
        "--max-rows", type=click.IntRange(min=1), default=100_000, show_default=True, help="Rows it may print."
    )
    return timeout(most(command))


def limits_of(timeout: float, max_rows: int) -> Limits:
    """Return the limits that the options of `limit_options` name."""
    from queries.sandbox import Limits

    return Limits(seconds=timeout, rows=max_rows)


def leave() -> None:
    """End this process: a query hears no interrupt, and it holds nothing that could be left half done."""
    sys.stderr.write("authsunset: the query was refused or failed: it took too long and could not be interrupted\n")
    sys.stderr.flush()
    os._exit(1)


@click.command(add_help_option=False)
@click.argument("name", required=False)
@click.option(
    "--param", "-p", "params", multiple=True, metavar="K=V", help="A parameter of the saved query, such as since=-7d."
)
@click.option("--sql", help="Any one SELECT over the lake.")
@limit_options
@format_option()
@click.option("-h", "--help", "wants_help", is_flag=True, help="This, or the parameters of NAME.")
@click.pass_context
def query(
    context: click.Context,
    name: str | None,
    params: tuple[str, ...],
    sql: str | None,
    timeout: float,
    max_rows: int,
    format: str,
    wants_help: bool,
) -> None:
    """
    Run the saved query NAME; without one, list them.

    \b
    authsunset query refusals --param since=-7d
    authsunset query refusals --help                 its parameters
    authsunset query --sql "SELECT reply_class, count(*) FROM deliveries GROUP BY ALL" --format csv
    authsunset query --sql 'SELECT "user.name" FROM ecs.authentication'

    \b
    --sql takes one SELECT, which reads the lake's tables and views and nothing else: no file, no network, no setting.
    """
    screen: Screen = context.obj
    from queries.library import listed, saved

    file = saved(name) if name else None
    if wants_help:
        _print_help(context, file, format)
        return
    given = _given(name, params, sql)
    if file is None and sql is None:
        print_rows(listed(), format, no_color=screen.no_color)
        return
    _print_found(screen, file, given, sql, limits_of(timeout, max_rows), format)


def _print_found(
    screen: Screen, file: SqlFile | None, given: Mapping[str, str], sql: str | None, limits: Limits, format: str
) -> None:
    from pipeline.cli.setting import lake_folder
    from pipeline.clock import utc_now
    from pipeline.lake import Lake
    from queries.parameters import parameters_of
    from queries.sandbox import Sandbox

    parameters = parameters_of(file, given, utc_now()) if file else {}
    with Lake.open(lake_folder(screen), read_only=True) as lake:
        found = Sandbox.of(lake, limits, leave).run(file.sql if file else str(sql), parameters)
    print_rows(found.rows.to_pylist(), format, columns=found.rows.column_names, no_color=screen.no_color)
    if found.left_out:
        screen.say(found.left_out)


def _print_help(context: click.Context, file: SqlFile | None, format: str) -> None:
    from queries.library import parameters_listed

    if file is None:
        click.echo(context.get_help())
        return
    parameters = parameters_listed(file)
    if format == "table":
        click.echo(file.header["title"])
    if parameters or format != "table":
        print_rows(parameters, format, no_color=context.obj.no_color)
    if format == "table":
        usage = "".join(f" -p {each['parameter']}={each['default']}" for each in parameters)
        click.echo(f"authsunset query {file.name}{usage}")


def _given(name: str | None, params: tuple[str, ...], sql: str | None) -> dict[str, str]:
    """Return the parameters as written; raise UsageError for what does not go together."""
    if name and sql is not None:
        raise click.UsageError("give the name of a saved query or --sql, not both")
    if params and not name:
        raise click.UsageError("--param belongs to a saved query; write values into --sql itself")
    wrong = [each for each in params if "=" not in each]
    if wrong:
        raise click.UsageError(f"--param {wrong[0]} is not K=V")
    return dict(each.split("=", 1) for each in params)
