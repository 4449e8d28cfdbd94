"""
Put the stages on APScheduler: one job a source, a detection and the delivery, and stop when asked to.

UTC, so that a change of clocks skips or doubles nothing. A late job runs late instead of not at all, several missed
runs become one, and a job never runs beside itself.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from pipeline.service import Service

Say = Callable[[str], None]

# Its own words would say everything twice.
logging.getLogger("apscheduler").setLevel(logging.CRITICAL)

JOB_DEFAULTS: dict[str, Any] = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}


def scheduler_of(service: Service, say: Say) -> BackgroundScheduler:
    """Return a scheduler with the jobs of `service`; `say` hears what they did and what failed."""
    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults=JOB_DEFAULTS, executors={"default": ThreadPoolExecutor(4)}
    )
    start = datetime.now(UTC)
    for name, part in service.settings.sources.items():
        _add(scheduler, f"source {name}", part.every, start, partial(_ingest, service, name, set(), say))
    for each in service.detections():
        _add(
            scheduler,
            f"detection {each.id}",
            each.every,
            start + timedelta(seconds=1),
            partial(_detect, service, each.id, say),
        )
    _add(
        scheduler,
        "delivery",
        service.settings.alerts.every,
        start + timedelta(seconds=2),
        partial(_alert, service, say),
    )
    _add(
        scheduler,
        "maintenance",
        service.settings.lake.maintain_every,
        start + timedelta(minutes=1),
        partial(_maintain, service, say),
    )
    scheduler.add_listener(
        lambda event: say(_words(event)), EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
    )
    return scheduler


def run_until_stopped(service: Service, say: Say, stop: threading.Event) -> None:
    """Run the service until `stop` is set or the process is asked to end; jobs that have begun are finished."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    scheduler = scheduler_of(service, say)
    scheduler.start()
    counted = {
        "sources": service.settings.sources,
        "detections": service.detections(),
        "channels": service.settings.channels,
    }
    say("running: " + ", ".join(f"{len(each)} {name}" for name, each in counted.items()))
    try:
        stop.wait()
    finally:
        say("stopping")
        scheduler.shutdown(wait=True)


def _add(scheduler: BackgroundScheduler, name: str, every: timedelta, first: datetime, job: Callable[[], None]) -> None:
    scheduler.add_job(job, "interval", seconds=max(1.0, every.total_seconds()), id=name, name=name, next_run_time=first)


def _ingest(service: Service, name: str, said: set[str], say: Say) -> None:
    """Read one source; what fails in the same way as the last time is not said again."""
    with service.lake() as lake:
        outcomes, failures = service.ingest(lake, (name,))
    for outcome in outcomes:
        if outcome.rows or outcome.rejects:
            say(f"source {name}: {outcome.rows} new rows, {outcome.rejects} rejects")
    for failure in failures:
        if failure not in said:
            say(failure)
    said.clear()
    said.update(failures)


def _detect(service: Service, id: str, say: Say) -> None:
    with service.lake() as lake:
        outcomes, failures = service.detect(lake, (id,))
    for outcome in outcomes:
        if outcome.noted:
            say(f"detection {id}: {outcome.opened} opened, {outcome.changed} changed, {outcome.ended} over")
    for failure in failures:
        say(failure)


def _alert(service: Service, say: Say) -> None:
    with service.lake() as lake:
        outcome, failures = service.alert(lake)
    if outcome.intended or outcome.delivered:
        say(
            f"delivery: {outcome.intended} new, {outcome.delivered} delivered, "
            f"{outcome.failed} to try again, {outcome.dead} given up"
        )
    for failure in failures:
        say(failure)


def _maintain(service: Service, say: Say) -> None:
    with service.lake() as lake:
        for sentence in service.maintain(lake).sentences:
            say(f"maintenance: {sentence}")


def _words(event: JobExecutionEvent) -> str:
    if event.code == EVENT_JOB_ERROR:
        return f"job {event.job_id} failed: {event.exception}"
    if event.code == EVENT_JOB_MAX_INSTANCES:
        return f"job {event.job_id} is still running; this turn is left out"
    return f"job {event.job_id} is late; it is run now"
