"""`authsunset lake`: how the lake is, and what keeps it so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

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


@lake.command()
@click.pass_obj
def maintain(screen: Screen) -> None:
    """
    Merge small files, forget what the settings no longer keep, and bring an older lake up to date.

    The service does it by itself every [lake] maintain_every.
    """
    from pipeline.cli.setting import tell_maintained
    from pipeline.service import Service
    from pipeline.settings import load

    service = Service(load(screen.config, with_parts=False))
    with service.lake() as opened:
        tell_maintained(screen, service.maintain(opened))


@lake.command()
@format_option()
@click.pass_obj
def audit(screen: Screen, format: str) -> None:
    """Print whether all that was read adds up; exit 1 when something does not."""
    from pipeline.cli.setting import lake_folder
    from pipeline.lake import Lake
    from pipeline.lake.audit import audit as audited

    with Lake.open(lake_folder(screen), read_only=True) as opened:
        checks = audited(opened)
    print_rows(
        [
            {"holds": check.holds, "what": check.what, "expected": check.expected, "found": check.found}
            for check in checks
        ],
        format,
        no_color=screen.no_color,
    )
    wrong = sum(not check.holds for check in checks)
    if wrong:
        screen.warn(
            f"{wrong} of {len(checks)} equations do not hold; keep the lake as it is and its backup, and report it"
        )
        raise SystemExit(1)
    screen.say(f"all {len(checks)} equations hold")


@lake.command()
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def purge(screen: Screen, address: str, yes: bool) -> None:
    """
    Remove all rows about ADDRESS, every mention of it, and the bytes of both from the disk.

    A log that still holds it brings it back when it is read again. Backups are not touched.
    """
    from pipeline.lake.purge import purge as purged
    from pipeline.service import Service
    from pipeline.settings import load

    if not yes:
        click.confirm(f"Remove all that the lake holds about {address}? It cannot be undone", abort=True, err=True)
    service = Service(load(screen.config, with_parts=False))
    with service.lake() as opened:
        touched = purged(opened, address, service.now())
    counted = ", ".join(f"{rows} in {table}" for table, rows in touched.items()) or "nothing"
    screen.say(f"removed or blanked: {counted}")


@lake.command("export")
@click.option(
    "--to", "into", type=click.Path(file_okay=False, path_type=Path), required=True, help="The folder to write into."
)
@click.option("--format", "format", type=click.Choice(("parquet", "csv")), default="parquet", show_default=True)
@click.option(
    "--table", "tables", multiple=True, help="Only this table or view, such as ecs.email; may be given again."
)
@click.option("--since", help="Only rows from this time on: 30d, 2026-12-01, 2026-12-01T06:00Z.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier export has left there.")
@click.pass_obj
def export_(
    screen: Screen, into: Path, format: str, tables: tuple[str, ...], since: str | None, overwrite: bool
) -> None:
    """
    Write plain files that any tool reads, one folder a table, all of one moment.

    \b
    authsunset lake export --to /srv/export
    authsunset lake export --to /srv/export --format csv --table deliveries --table ecs.email --since 30d
    """
    from pipeline.cli.setting import lake_folder, span_asked
    from pipeline.clock import utc_now
    from pipeline.lake import Lake
    from pipeline.lake.export import export
    from queries.published import show_layers

    begin = span_asked(since, None, utc_now()).start if since else None
    with Lake.open(lake_folder(screen), read_only=True) as opened:
        show_layers(opened)
        done = export(opened, into, format=format, tables=tables, since=begin, overwrite=overwrite)
    print_rows([asdict(each) for each in done], "table", no_color=screen.no_color)
    screen.say(f"{sum(each.rows for each in done)} rows in {into}")
