"""`authsunset ingest`, `detect` and `alert`: one stage of the pipeline at a time."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen


@click.command()
@click.option("--source", "sources", multiple=True, help="Only this source; may be given again.")
@click.pass_obj
def ingest(screen: Screen, sources: tuple[str, ...]) -> None:
    """Read what is new in the sources into the lake."""
    from pipeline.cli.setting import service_of, tell
    from pipeline.service import Cycle

    service = service_of(screen)
    with service.lake() as lake:
        outcomes, failures = service.ingest(lake, sources)
    tell(screen, Cycle(ingested=outcomes, failures=failures))
    if screen.failures:
        raise SystemExit(1)


@click.command()
@click.option("--rule", "rules", multiple=True, help="Only this detection; may be given again.")
@click.pass_obj
def detect(screen: Screen, rules: tuple[str, ...]) -> None:
    """Ask the detections about what is new in the lake."""
    from pipeline.cli.setting import service_of, tell
    from pipeline.service import Cycle

    service = service_of(screen)
    with service.lake() as lake:
        outcomes, failures = service.detect(lake, rules)
    tell(screen, Cycle(detected=outcomes, failures=failures))
    if screen.failures:
        raise SystemExit(1)


@click.command()
@click.pass_obj
def alert(screen: Screen) -> None:
    """Say what is due on each channel, and try again what was not taken."""
    from pipeline.cli.setting import service_of, tell
    from pipeline.service import Cycle

    service = service_of(screen)
    with service.lake() as lake:
        outcome, failures = service.alert(lake)
    tell(screen, Cycle(alerted=outcome, failures=failures))
    if screen.failures:
        raise SystemExit(1)
