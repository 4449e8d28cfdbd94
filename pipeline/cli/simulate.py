"""`authsunset simulate`: a tenant with known truth, written as the logs and exports that are read elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline.cli.output import Screen, print_rows


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same files.")
@click.option("--days", type=click.IntRange(2, 366), default=60, show_default=True, help="Days around the cutover.")
@click.option("--senders", type=click.IntRange(1, 20_000), default=400, show_default=True, help="How many senders.")
@click.option(
    "--history", type=click.IntRange(0, 90), default=90, show_default=True, help="Days before, of which exports tell."
)
@click.option(
    "--cutover",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"]),
    default="2026-12-29T22:00:00Z",
    show_default=True,
    help="When Basic ends (UTC).",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="The folder, new or empty."
)
@click.pass_obj
def simulate(screen: Screen, seed: int, days: int, senders: int, history: int, cutover: datetime, out: Path) -> None:
    """Write a tenant whose truth is known: logs, exports, and truth.jsonl to measure against."""
    from pipeline.simulate.moments import moment_of
    from pipeline.simulate.plan import Plan
    from pipeline.simulate.tenant import simulate as live

    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} is not empty; name a new folder with --out")
    plan = Plan(seed, days, senders, history, moment_of(cutover.replace(tzinfo=UTC)))
    story = live(plan, out)
    world = story.world
    rows = [{"state": state, "senders": count} for state, count in world["states"].items()]
    print_rows(rows, "table", no_color=screen.no_color, title=f"the truth of {senders} senders, relays included")
    for name, value in (world["rates"] | story.counts).items():
        click.echo(f"{name.replace('_', ' ')}: {value}")
    for name in ("share_behind_a_shared_address", "share_without_a_log", "share_unsure"):
        click.echo(f"{name.replace('_', ' ')}: {world[name]:.1%}")
    click.echo(f"In {out}: manifest.jsonl lists the files by the time they come, truth.jsonl is what is so.")
