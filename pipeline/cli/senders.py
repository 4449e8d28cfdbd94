"""`authsunset senders`: the state of every sender, or all we know of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import Screen, cell, format_option, print_rows, printable

if TYPE_CHECKING:
    from pipeline.lake import Lake


@click.command()
@click.argument("sender", required=False)
@format_option()
@click.pass_obj
def senders(screen: Screen, sender: str | None, format: str) -> None:
    """Print the state of every sender, or all that is known of SENDER, with its way out."""
    from pipeline.lake import Lake
    from pipeline.settings import load
    from queries.library import saved

    settings = load(screen.config, with_parts=False)
    with Lake.open(settings.lake.folder, read_only=True) as lake:
        if not sender:
            rows = lake.rows(saved("senders").sql)
            print_rows(
                rows,
                format,
                columns=("sender", "state", "open_findings", "last_problem", "accepted", "devices", "last_day"),
                no_color=screen.no_color,
            )
            return
        known = _known(lake, sender.lower(), settings.tenant.domains)
    if not known:
        screen.warn(f"nothing is known of {sender}; `authsunset senders` lists those that are")
        raise SystemExit(1)
    if format == "table":
        _print(known)
    else:
        print_rows(known, format, no_color=screen.no_color)


def _known(lake: Lake, sender: str, domains: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row for each problem of `sender`, or one for a sender without any."""
    from alerts.remedy import advise
    from alerts.render import title_of
    from queries.history import latest
    from queries.library import saved
    from queries.senders import facts_of

    found = [noted for noted in latest(lake) if noted.sender == sender]
    facts = facts_of(lake, found, domains)
    rows = []
    for noted in found:
        advice, hint = advise(facts[noted.fingerprint])
        rows.append(
            {
                "problem": title_of(noted),
                **asdict(noted),
                "facts": asdict(facts[noted.fingerprint]),
                "way_out": advice.title,
                "hint": hint,
            }
        )
    return rows or [row for row in lake.rows(saved("senders").sql) if row["sender"] == sender]


def _print(known: Sequence[dict[str, Any]]) -> None:
    from alerts.markdown import as_text

    for row in known:
        hint = row.pop("hint", "")
        facts = row.pop("facts", {})
        for name, value in {**row, **facts}.items():
            if value not in (None, "", (), [], {}):
                click.echo(f"{name:15} {printable(cell(value))}")
        click.echo(f"\n{as_text(hint)}" if hint else "")
