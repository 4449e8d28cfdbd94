"""`authsunset quarantine`: records that could not be read, and reading them again."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen, format_option, print_rows

SHOWN_BYTES = 120


@click.group()
def quarantine() -> None:
    """See what could not be read, and read it again."""


@quarantine.command("list")
@click.option("--source", help="Only of this source.")
@click.option("--limit", default=100, show_default=True, help="At most so many, the newest first.")
@format_option()
@click.pass_obj
def list_(screen: Screen, source: str | None, limit: int, format: str) -> None:
    """Print the records that could not be read, with the reason and where each one stands."""
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake
    from pipeline.lines import text_of

    with Lake.open(lake_folder(screen), read_only=True) as opened:
        rows = opened.rows(
            "SELECT quarantined_at, source, format, origin, origin_offset, reason, raw FROM quarantine "
            "WHERE $source IS NULL OR source = $source "
            "ORDER BY quarantined_at DESC, origin, origin_offset LIMIT $limit",
            {"source": source, "limit": limit},
        )
        total = opened.one("SELECT count(*) FROM quarantine WHERE ? IS NULL OR source = ?", [source, source])
    cut = SHOWN_BYTES if format == "table" else None
    print_rows([row | {"raw": text_of(row["raw"])[:cut]} for row in rows], format, no_color=screen.no_color)
    screen.say(f"{len(rows)} of {total} shown" if total > len(rows) else f"{total} in quarantine")


@quarantine.command()
@click.pass_obj
def replay(screen: Screen) -> None:
    """
    Read the records in quarantine again, from their file where it is still there.

    Do it after an update that reads more, or when a file has been put right.
    """
    from pipeline.cli.setting import service_of

    service = service_of(screen)
    with service.lake() as opened:
        done = service.replay(opened)
    screen.say(f"{done.tried} records tried, {done.read} read at last, {done.rows} new rows")
