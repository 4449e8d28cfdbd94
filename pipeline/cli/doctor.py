"""`authsunset doctor`: what is broken, and how to mend it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from pipeline.cli.output import Screen, format_option, print_rows, printable

if TYPE_CHECKING:
    import ssl

    import httpx

    from pipeline.doctor.checks import World
    from pipeline.doctor.result import Result
    from pipeline.graph.client import Graph
    from pipeline.graph.identity import Settings as Microsoft


@click.command()
@format_option()
@click.option(
    "--within", default=20.0, show_default=True, type=click.FloatRange(1, 600), help="Seconds that each check may take."
)
@click.pass_obj
def doctor(screen: Screen, format: str, within: float) -> None:
    """
    Look at everything that must be in place, and say how to mend what is not; exit 1 when something is broken.

    Run it as the user of the service. Nothing is changed, no message is sent, and no secret is shown.
    """
    from pipeline.cli import BAD_SETTINGS
    from pipeline.doctor.checks import checks_of, settings_file
    from pipeline.doctor.result import State
    from pipeline.doctor.run import run
    from pipeline.settings import read, where
    from queries.detection import detections
    from queries.tuning import tuned

    path = where(screen.config)
    settings, problems = read(path)
    if settings:
        _, problems = tuned(detections(), settings.detections, settings.place_of_detection)
    results = settings_file(settings, path, problems)
    if settings is None:
        settings, _ = read(path, with_parts=False)  # the lake can be looked at all the same
    if settings:
        with _world(settings.microsoft, settings.lake.folder, within) as world:
            results += run(checks_of(settings, world), within)
    _print(results, format, screen)
    if problems:
        raise SystemExit(BAD_SETTINGS)
    if any(result.state is State.BROKEN for result in results):
        raise SystemExit(1)


@contextmanager
def _world(microsoft: Microsoft | None, folder: Path, within: float) -> Iterator[World]:
    """Yield what the checks look at; the count of requests is that of the service, where we may write it."""
    import httpx

    from pipeline.clock import utc_now
    from pipeline.doctor.checks import World

    with httpx.Client(verify=_trust(microsoft)) as http, TemporaryDirectory() as temporary:
        graph = None if microsoft is None else _graph(microsoft, http, folder, Path(temporary), within)
        yield World(utc_now, http, graph)


def _trust(microsoft: Microsoft | None) -> ssl.SSLContext:
    from pipeline.doctor.meet import trust
    from pipeline.errors import SettingsError

    try:
        return trust(microsoft.ca_file if microsoft else None, is_web=False)
    except SettingsError:
        return trust(None, is_web=False)


def _graph(microsoft: Microsoft, http: httpx.Client, folder: Path, temporary: Path, within: float) -> Graph:
    from pipeline.clock import system_clock
    from pipeline.doctor.microsoft import TIMEOUT_S, patient
    from pipeline.graph.client import graph_of
    from pipeline.graph.quota import FILE

    settings = replace(microsoft, timeout_s=min(microsoft.timeout_s, TIMEOUT_S))
    counted_in = folder if os.access(folder / FILE, os.W_OK) else temporary
    return graph_of(settings, http, counted_in, patient(system_clock(), within / 2))(False)


def _print(results: Sequence[Result], format: str, screen: Screen) -> None:
    rows = [asdict(result) for result in results]
    columns = ("group", "check", "about", "state", "found")
    if format == "table":
        print_rows(rows, format, columns=columns, no_color=screen.no_color)
        _print_mends(results)
    else:
        print_rows(rows, format, columns=(*columns, "mend"))
    counted = Counter(result.state for result in results)
    screen.say(", ".join(f"{count} {state}" for state, count in counted.items()))


def _print_mends(results: Sequence[Result]) -> None:
    """Print each mend below the table, where no border stands in the way of who copies a command."""
    mended = [result for result in results if result.mend]
    for number, result in enumerate(mended, start=1):
        what = " · ".join(filter(None, (result.group, result.check, result.about)))
        click.echo(printable(f"{number}. {result.state}: {what}: {result.found}"))
        for line in result.mend.splitlines():
            click.echo(f"   {printable(line)}")
        click.echo()
