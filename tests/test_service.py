"""The service on its scheduler: what is set, what it does with a log that grows, and how it stops."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, timedelta
from functools import partial
from pathlib import Path

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent

from pipeline.scheduler import scheduler_of
from pipeline.service import Service
from pipeline.settings import load
from tests.cli import ROOT, SAMPLE_DATA, SETTINGS, mails_in, settings_in

REFUSED = SAMPLE_DATA / "postfix" / "refused_at_mail_from.log"
QUICK = SETTINGS.replace('zone = "UTC"', 'zone = "UTC"\nevery = "1s"') + '\n[alerts]\nevery = "1s"\n'


def until(condition: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return False


def test_each_source_detection_and_the_delivery_is_a_job_that_is_never_skipped(tmp_path: Path) -> None:
    service = Service(load(settings_in(tmp_path)))

    scheduler = scheduler_of(service, lambda _sentence: None)
    scheduler.start(paused=True)
    jobs = {job.id: job for job in scheduler.get_jobs()}
    scheduler.shutdown(wait=False)

    assert set(jobs) == {
        "source relay",
        "delivery",
        "maintenance",
        *(f"detection {each.id}" for each in service.detections()),
    }
    for job in jobs.values():
        assert (job.coalesce, job.max_instances, job.misfire_grace_time) == (True, 1, None)
    assert scheduler.timezone == UTC
    assert jobs["source relay"].trigger.interval == timedelta(seconds=10)


def test_a_failing_job_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    scheduler = scheduler_of(Service(load(settings_in(tmp_path))), said.append)

    for callback, mask in scheduler._listeners:
        if mask & EVENT_JOB_ERROR:
            callback(JobExecutionEvent(EVENT_JOB_ERROR, "source relay", "default", None, exception=OSError("no disk")))

    assert said == ["job source relay failed: no disk"]


def test_the_service_follows_a_growing_log_and_stops_when_asked(tmp_path: Path) -> None:
    settings = settings_in(
        tmp_path, QUICK.replace("[alerts]", '[detection."residual/residual_basic_sender"]\nenabled = false\n\n[alerts]')
    )
    log = tmp_path / "logs" / "mail.log"
    shutil.copy(SAMPLE_DATA / "postfix" / "accepted_by_exchange_online.log", log)
    running = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "-c", str(settings), "run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert until((tmp_path / "lake" / "catalog.sqlite").exists, 30)
        with log.open("ab") as growing:
            growing.write(REFUSED.read_bytes())
        # A detection is asked once a minute, and again when the service starts.
        assert until(partial(mails_in, tmp_path), 90)
    finally:
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=20)

    assert running.returncode == 0
    assert "Traceback" not in said
    assert "ticket@fabrikam.example is refused" in mails_in(tmp_path)[0].read_text().replace("=\n", "")
