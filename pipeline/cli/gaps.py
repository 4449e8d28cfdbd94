"""`authsunset gaps`: what is missing, and why."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen, format_option, print_rows


@click.command()
@click.option("--source", help="Only of this source.")
@click.option("--exit-code", is_flag=True, help="Exit 1 when something is missing.")
@format_option()
@click.pass_obj
def gaps(screen: Screen, source: str | None, exit_code: bool, format: str) -> None:
    """
    Print what could not be read, the newest first, each with its cause.

    Of a file, from_offset is where something is missing; of a feed, it is the span from from_time to to_time, which is
    asked for again and goes from this list once it was read.
    """
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake

    with Lake.open(lake_folder(screen), read_only=True) as opened:
        rows = opened.rows(
            "SELECT noticed_at, source, origin, from_offset, from_time, to_time, cause FROM gaps "
            "WHERE $source IS NULL OR source = $source ORDER BY noticed_at DESC, origin, from_offset, from_time",
            {"source": source},
        )
    if rows or format != "table":
        print_rows(rows, format, no_color=screen.no_color)
    if not rows:
        screen.say("nothing is known to be missing")
    if rows and exit_code:
        raise SystemExit(1)
