"""`authsunset run`: the service, or one cycle of it."""

from __future__ import annotations

import os
import sys
import threading
import time

import click

from pipeline.cli.output import Screen

LAST_MOMENT_S = 1.0
"""How long threads that have nothing left to do may take to be gone."""


@click.command()
@click.option("--once", is_flag=True, help="One cycle and out, for cron; exit 1 when anything in it failed.")
@click.pass_obj
def run(screen: Screen, once: bool) -> None:
    """
    Read the sources, ask the detections, send the alerts: once, or on schedule until it is stopped.

    Asked to stop (SIGTERM, Ctrl-C), it is gone within 10 s, asked again at once; SIGHUP reads the settings anew.
    """
    from pipeline.cli.setting import service_of
    from pipeline.clock import system_clock
    from pipeline.signals import Signals

    signals = Signals()
    signals.listen()
    service = service_of(screen)
    clock = system_clock(service.stop)
    if once:
        from pipeline.cli.setting import tell
        from pipeline.scheduler import run_once

        cycle = run_once(service, clock, signals)
        if cycle:
            tell(screen, cycle)
        if signals.stop:
            screen.say("stopped before the cycle was through; the next one goes on from there")
        _leave(128 + signals.stop if signals.stop else 1 if screen.failures else 0)
        return
    import faulthandler

    from pipeline.scheduler import Running, run_until_stopped
    from pipeline.systemd import systemd_of_us

    faulthandler.enable()  # a watchdog ends us with SIGABRT, and wants to know where we hung
    running = Running(service, clock, screen.say, screen.warn, systemd_of_us())
    cut_off = run_until_stopped(running, signals)
    _leave(0, 0.0 if cut_off else LAST_MOMENT_S)


def _leave(code: int, within_s: float = LAST_MOMENT_S) -> None:
    """Exit with `code`, also when something still runs; whatever is cut off leaves a whole lake."""
    deadline = time.monotonic() + within_s
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        raise SystemExit(code)
