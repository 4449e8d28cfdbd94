"""`authsunset query`: a saved query, or any read-only SQL, on the lake."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen, format_option, print_rows


@click.command()
@click.argument("name", required=False)
@click.option(
    "--param", "-p", "params", multiple=True, metavar="K=V", help="A parameter of the saved query, such as since=-7d."
)
@click.option("--sql", help="Any SQL that only reads the lake.")
@format_option()
@click.pass_obj
def query(screen: Screen, name: str | None, params: tuple[str, ...], sql: str | None, format: str) -> None:
    """
    Run the saved query NAME; without one, list them.

    \b
    authsunset query refusals --param since=-7d
    authsunset query --sql "SELECT reply_class, count(*) FROM deliveries GROUP BY ALL" --format csv
    """
    from pipeline.cli.setting import lake_folder
    from pipeline.clock import utc_now
    from pipeline.lake import Lake
    from queries.library import parameters_of, run, saved
    from queries.sql_files import names_in

    if not name and sql is None:
        listed = [
            {"name": each, "title": saved(each).header["title"], "parameters": saved(each).header.get("params", {})}
            for each in names_in("saved")
        ]
        print_rows(listed, format, no_color=screen.no_color)
        return
    if name and sql is not None:
        raise click.UsageError("give the name of a saved query or --sql, not both")
    if params and not name:
        raise click.UsageError("--param belongs to a saved query; write values into --sql itself")
    wrong = [each for each in params if "=" not in each]
    if wrong:
        raise click.UsageError(f"--param {wrong[0]} is not K=V")
    given = dict(each.split("=", 1) for each in params)
    file = saved(name) if name else None
    parameters = parameters_of(file, given, utc_now()) if file else {}
    with Lake.open(lake_folder(screen), read_only=True) as lake:
        rows = run(lake, file.sql if file else str(sql), parameters)
    print_rows(rows.to_pylist(), format, columns=rows.column_names, no_color=screen.no_color)
