"""`authsunset quarantine`: records that could not be read, why, and reading them again."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen, format_option, print_rows

SHOWN_BYTES = 120


@click.group()
def quarantine() -> None:
    """See what could not be read, and read it again."""


@quarantine.command("list")
@click.option("--source", help="Only of this source.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="At most so many, the newest first."
)
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
    more = f"{len(rows)} of {total} shown; `authsunset quarantine reasons` adds them up"
    screen.say(more if total > len(rows) else f"{total} in quarantine")


@quarantine.command()
@click.option("--source", help="Only of this source.")
@format_option()
@click.pass_obj
def reasons(screen: Screen, source: str | None, format: str) -> None:
    """Print why records could not be read: how many for each reason, and the first of them."""
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake
    from pipeline.lines import text_of

    with Lake.open(lake_folder(screen), read_only=True) as opened:
        rows = opened.rows(_REASONS, {"source": source})
    cut = SHOWN_BYTES if format == "table" else None
    print_rows([row | {"first": text_of(row["first"])[:cut]} for row in rows], format, no_color=screen.no_color)
    if not rows:
        screen.say("nothing is in quarantine")
        return
    screen.say(
        f"{sum(row['records'] for row in rows)} in quarantine. Where a file is damaged, put it right; where a program "
        "writes what we do not know, update authsunset or report the line; then `authsunset quarantine replay` reads "
        "them again. What is no log at all leaves with a path that does not name it"
    )


_REASONS = """
    SELECT count(*) AS records, source, format, arg_min(reason, (origin, origin_offset)) AS reason,
      count(DISTINCT origin) AS files, min(origin) AS first_file,
      arg_min(origin_offset, (origin, origin_offset)) AS at_byte, arg_min(raw, (origin, origin_offset)) AS first
    FROM quarantine
    WHERE $source IS NULL OR source = $source
    GROUP BY source, format, regexp_replace(reason, '[0-9]+', '0', 'g')
    ORDER BY records DESC, source, format, reason
"""
"""Reasons that differ by a number alone, such as that of a line, are one."""


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
