"""`authsunset ingest`, `detect` and `alert`: one stage of the pipeline at a time."""

from __future__ import annotations

from contextlib import closing

import click

from pipeline.cli.output import Screen


@click.command()
@click.option("--source", "sources", multiple=True, help="Only this source; may be given again.")
@click.option("--since", help="Read a span of the past again, from this time on: 30d, 2026-12-01, 2026-12-01T06:00Z.")
@click.option("--until", help="End of that span; now, when it is left out.")
@click.pass_obj
def ingest(screen: Screen, sources: tuple[str, ...], since: str | None, until: str | None) -> None:
    """
    Read what is new in the sources into the lake.

    With --since it is a backfill: the span is read once more from those sources that can be asked for one, beside the
    service and behind it in the quota. It may be broken off and run again; what is there already is not added twice.
    """
    from pipeline.cli.setting import service_of, span_asked, tell
    from pipeline.service import Cycle

    with closing(service_of(screen)) as service, service.lake() as lake:
        if since or until:
            outcomes, failures = service.backfill(lake, sources, span_asked(since, until, service.now()))
        else:
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
