"""`authsunset run`: the service, or one cycle of it."""

from __future__ import annotations

import click

from pipeline.cli.output import Screen


@click.command()
@click.option("--once", is_flag=True, help="One cycle and out, for cron; exit 1 when anything in it failed.")
@click.pass_obj
def run(screen: Screen, once: bool) -> None:
    """Read the sources, ask the detections, send the alerts: once, or on schedule until it is stopped."""
    from pipeline.cli.setting import service_of, tell

    service = service_of(screen)
    if not once:
        from pipeline.scheduler import run_until_stopped

        run_until_stopped(service, screen.say, service.stop)
        return
    with service.lake() as lake:
        tell(screen, service.cycle(lake))
    if screen.failures:
        raise SystemExit(1)
