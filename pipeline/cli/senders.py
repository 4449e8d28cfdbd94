"""`authsunset senders`: the state of every sender, or all we know of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import Screen, cell, format_option, print_rows, printable

if TYPE_CHECKING:
    from pipeline.lake import Lake

COLUMNS = ("sender", "state", "since", "because", "mails_in_30_days", "devices", "inside", "outside", "last_accepted")


@click.command()
@click.argument("sender", required=False)
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only those in this state; may be given again.")
@click.option("--all", "everybody", is_flag=True, help="Those too of whom nothing tells how their mail gets in.")
@format_option()
@click.pass_obj
def senders(screen: Screen, sender: str | None, states: tuple[str, ...], everybody: bool, format: str) -> None:
    """
    Print the state of every sender, or all that is known of SENDER, with its way out.

    \b
    refused         a log shows the refusal, and no mail got in since
    partly_refused  some tries are refused, others get in
    went_silent     its mail used to come regularly and has stopped
    regressed       it had gone over, and logs in with a password again
    does_still      it gets in with a password
    migrated        its mail gets in by another way now
    verified        so for 14 days and at least two mails, none refused
    can_still       a password is allowed, and none was used for 90 days
    unknown         nothing tells how its mail gets in (shown with --all)
    """
    from pipeline.lake import Lake
    from pipeline.settings import load
    from queries.states import STATES
    from queries.states import senders as listed

    if wrong := [state for state in states if state not in STATES]:
        raise click.UsageError(f"--state: there is no {wrong[0]!r}; there is {', '.join(STATES)}")
    settings = load(screen.config, with_parts=False)
    with Lake.open(settings.lake.folder, read_only=True) as lake:
        if not sender:
            rows = listed(lake, states or [state for state in STATES if everybody or state != "unknown"])
            print_rows(rows, format, columns=COLUMNS if format == "table" else (), no_color=screen.no_color)
            return
        state = next(iter(listed(lake, sender=sender.lower())), None)
        problems = _problems(lake, sender.lower(), settings.tenant.domains)
    if not state and not problems:
        screen.warn(f"nothing is known of {sender}; `authsunset senders --all` lists those that are")
        raise SystemExit(1)
    if format == "table":
        _print(state or {}, problems)
    else:
        print_rows([{**(state or {"sender": sender}), "problems": problems}], format, no_color=screen.no_color)


def _problems(lake: Lake, sender: str, domains: Sequence[str]) -> list[dict[str, Any]]:
    """Return what was found about `sender`, each with its hint."""
    from alerts.render import hint_of, title_of
    from queries.history import latest
    from queries.senders import facts_of

    found = [noted for noted in latest(lake) if noted.sender == sender]
    facts = facts_of(lake, found, domains)
    problems = []
    for noted in found:
        hint, advice = hint_of(noted, facts[noted.fingerprint])
        problems.append(
            {
                "problem": title_of(noted),
                **asdict(noted),
                "facts": {**noted.facts, **asdict(facts[noted.fingerprint])},
                "way_out": advice.title if advice else "",
                "hint": hint,
            }
        )
    return problems


def _print(state: Mapping[str, Any], problems: Sequence[dict[str, Any]]) -> None:
    from alerts.markdown import as_text

    _print_values(state)
    for row in problems:
        hint = row.pop("hint", "")
        facts = row.pop("facts", {})
        click.echo("")
        _print_values({**row, **facts})
        click.echo(f"\n{as_text(hint)}" if hint else "")


def _print_values(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value not in (None, "", (), [], {}):
            click.echo(f"{name:15} {printable(cell(value))}")
