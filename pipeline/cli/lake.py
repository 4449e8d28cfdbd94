"""`authsunset lake`: how the lake is."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen, format_option, print_rows


@click.group()
def lake() -> None:
    """Look after the lake."""


@lake.command()
@format_option()
@click.pass_obj
def status(screen: Screen, format: str) -> None:
    """Print how much each table holds, and what waits to be sent."""
    from alerts.outbox import waiting
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake
    from pipeline.lake.status import status_of

    with Lake.open(lake_folder(screen), read_only=True) as opened:
        rows = status_of(opened)
        unsent = waiting(opened)
    print_rows(rows, format, no_color=screen.no_color)
    for each in unsent:
        screen.say(
            f"{each['channel']}: {each['thread']} is {each['state']}"
            + (f", next try {each['next_attempt_at']:%Y-%m-%d %H:%M:%SZ}" if each["next_attempt_at"] else "")
        )


@lake.command("hash")
@format_option()
@click.option("--table", "by_table", is_flag=True, help="The hash of each table too.")
@click.pass_obj
def hash_(screen: Screen, format: str, by_table: bool) -> None:
    """
    Print a hash over all evidence that does not depend on order, layout, or when and where a row was read.

    Reading anything again leaves it as it is.
    """
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake
    from pipeline.lake.hash import hash_of

    with Lake.open(lake_folder(screen), read_only=True) as opened:
        hashes = hash_of(opened)
    if format == "table" and not by_table:
        click.echo(hashes["evidence"])
        return
    print_rows([{"table": table, "hash": value} for table, value in hashes.items()], format, no_color=screen.no_color)
