"""`authsunset trace-row`: where a row of the lake came from, down to the line of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.output import Screen, cell, format_option, print_rows, printable

if TYPE_CHECKING:
    from pipeline.origin import Told


@click.command("trace-row")
@click.argument("event_id")
@format_option()
@click.pass_obj
def trace_row(screen: Screen, event_id: str, format: str) -> None:
    """
    Print the row that is called EVENT_ID, where it was read, and the line itself, from the file once more.

    Every row of evidence and of the quarantine has its event_id. Credentials are taken out of the line.
    """
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake
    from pipeline.origin import trace_of

    with Lake.open(lake_folder(screen), read_only=True) as lake:
        told = trace_of(lake, event_id)
    if not told:
        screen.warn(
            f"no row of evidence or of the quarantine is called {event_id!r}; the column event_id has the names"
        )
        raise SystemExit(1)
    if format == "table":
        for each in told:
            _print(each)
    else:
        print_rows([_as_row(each) for each in told], format, no_color=screen.no_color)
    for each in told:
        if each.trouble:
            screen.say(f"the line cannot be shown: {each.trouble}")


def _as_row(told: Told) -> dict[str, object]:
    return {
        "table": told.table,
        "source": told.row["source"],
        "format": told.row["format"],
        "origin": told.row["origin"],
        "origin_offset": told.row["origin_offset"],
        "read_at": told.read_at,
        "raw": told.raw,
        "raw_from": told.path,
        "trouble": told.trouble,
        "row": told.row,
    }


def _print(told: Told) -> None:
    stamped = _as_row(told) | {"row": None, "raw": None, "trouble": None}
    for name, value in {**stamped, **{k: v for k, v in told.row.items() if k not in stamped}}.items():
        if value not in (None, ""):
            click.echo(f"{name:15} {printable(cell(value))}")
    if told.raw is not None:
        click.echo("\n" + "\n".join(map(printable, told.raw.splitlines())))
