"""`authsunset config`: look at the settings without starting anything."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen


@click.group()
def config() -> None:
    """Look at the settings without starting anything."""


@config.command()
@click.pass_obj
def check(screen: Screen) -> None:
    """Print every problem in the settings, without network; exit 78 when there is one."""
    from pipeline.settings import read, where
    from queries.detection import detections
    from queries.tuning import tuned

    path = where(screen.config)
    settings, problems = read(path)
    if settings:
        _, problems = tuned(detections(), settings.detections, settings.place_of_detection)
    for problem in problems:
        screen.warn(str(problem))
    if problems:
        raise SystemExit(78)
    screen.say(f"{path} is fine")
