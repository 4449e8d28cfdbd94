"""`authsunset gaps`: what is missing, and why."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

from pipeline.cli.output import Screen, format_option, print_rows

if TYPE_CHECKING:
    from pipeline.lake import Lake


@click.command()
@click.option("--source", help="Only of this source.")
@click.option("--exit-code", is_flag=True, help="Exit 1 when something is missing.")
@format_option()
@click.pass_obj
def gaps(screen: Screen, source: str | None, exit_code: bool, format: str) -> None:
    """
    Print what could not be read, the newest first, each with its cause.

    Of a file, from_offset is where something is missing; of a feed, it is the span from from_time to to_time, which is
    asked for again and goes from this list once it was read. What a source would have brought that does not get through
    is no gap, but is said on stderr.
    """
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake

    with Lake.open(lake_folder(screen), read_only=True) as opened:
        rows = opened.rows(
            "SELECT noticed_at, source, origin, from_offset, from_time, to_time, cause FROM gaps "
            "WHERE $source IS NULL OR source = $source ORDER BY noticed_at DESC, origin, from_offset, from_time",
            {"source": source},
        )
        if source and not rows:
            _see_that_it_is_one(screen, opened, source)
        behind = _behind(opened, source)
    if rows or format != "table":
        print_rows(rows, format, no_color=screen.no_color)
    for sentence in behind:
        screen.say(sentence)
    if not rows:
        screen.say("nothing else is known to be missing" if behind else "nothing is known to be missing")
    if rows and exit_code:
        raise SystemExit(1)


_NEWEST = """
SELECT job, max_by(state, noted_at) AS state, max_by(since, noted_at) AS since, max_by(error, noted_at) AS error
FROM jobs
WHERE starts_with(job, 'source ') AND state <> 'missed' AND ($job IS NULL OR job = $job)
GROUP BY job
HAVING max_by(state, noted_at) = 'failed'
ORDER BY since, job
"""


def _behind(lake: Lake, source: str | None) -> list[str]:
    """Return what is to be said of each source that does not get through: what came since then is not here."""
    failing = lake.rows(_NEWEST, {"job": source and f"source {source}"})
    return [
        f"{row['job']} has not got through since {row['since']:%Y-%m-%d %H:%M} UTC, and what came since is not here: "
        f"{row['error']}"
        for row in failing
    ]


def _see_that_it_is_one(screen: Screen, lake: Lake, source: str) -> None:
    """Raise UsageError when neither the settings nor the lake know `source`: nothing of it would ever be missing."""
    from pipeline.settings import load

    # The lake knows those that were taken out of the settings, and a source that never ran is in the settings alone.
    noted = [str(row["source"]) for row in lake.rows("SELECT source FROM reads UNION SELECT source FROM gaps")]
    if source in noted:
        return
    known = sorted({*noted, *load(screen.config).sources})
    if source not in known:
        near = get_close_matches(source, known, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"there is no source {source!r}; there is {', '.join(known) or 'none'}{hint}")
