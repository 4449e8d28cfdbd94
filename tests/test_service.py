"""
The service as a process: what it plans, what it does with a log that grows, and what it makes of signals.

Each real process here does as much as it can in one life, because starting one is what takes time.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from pipeline.clock import Clock, system_clock
from pipeline.errors import LakeError
from pipeline.ingest import Outcome, run_source
from pipeline.lake import Lake
from pipeline.model import Chunk, Notice, Pulled
from pipeline.scheduler import LONGEST_SPREAD, Running, run_once
from pipeline.service import Service
from pipeline.settings import load
from pipeline.signals import Signals
from pipeline.stopping import until_stopped
from pipeline.systemd import Systemd
from pipeline.timetable import Planned
from pipeline.work import Ran, trouble_of
from queries.detection import detections
from tests.cli import SAMPLE_DATA, SETTINGS, mails_in, settings_in, started
from tests.conftest import NOW
from tests.fixtures.make_lake import LOGS_END

REFUSED = SAMPLE_DATA / "postfix" / "refused_at_mail_from.log"
QUICK = (
    SETTINGS.replace('zone = "UTC"', 'zone = "UTC"\nevery = "1s"')
    + """
[alerts]
every = "1s"

[detection."rejection/basic_auth_refused"]
every = "1s"

[detection."health/job_failing"]
every = "1s"
min_minutes_of_times = 0

"""
    + "".join(
        f'[detection."{id}"]\nenabled = false\n'
        for id in sorted({each.id for each in detections()} - {"rejection/basic_auth_refused", "health/job_failing"})
    )
)
A_WHILE_S = 90.0
"""How long a test waits for what takes a second or two, on a machine that has other things to do."""


def until(condition: Callable[[], object], seconds: float = A_WHILE_S) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


@dataclass
class Process:
    """A service that runs, and what it has said."""

    running: BaseProcess
    folder: Path

    def said(self) -> str:
        err = self.folder / "err"
        return err.read_text("utf-8") if err.exists() else ""

    def says(self, words: str) -> bool:
        return until(lambda: words in self.said())

    def signal(self, number: int) -> None:
        assert self.running.pid
        os.kill(self.running.pid, number)

    def ends_with(self, code: int, seconds: float = 10.0) -> None:
        self.running.join(seconds)
        assert not self.running.is_alive(), f"it still runs after {seconds} s: {self.said()}"
        assert self.running.exitcode == code, self.said()
        assert "Traceback" not in self.said()


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[Process]:
    into = folder / "printed"
    into.mkdir()
    running = started("-c", folder / "authsunset.toml", "run", *arguments, cwd=folder, into=into)
    found = Process(running, into)
    try:
        yield found
    finally:
        if running.is_alive():
            running.kill()
            running.join()


@contextmanager
def silent_relay(folder: Path) -> Iterator[socket.socket]:
    """Give the service a refused sender, and a relay that takes connections and never says a word."""
    shutil.copy(REFUSED, folder / "logs" / "mail.log")
    with socket.create_server(("127.0.0.1", 0)) as relay:
        relay.settimeout(A_WHILE_S)
        where = f'host = "127.0.0.1"\nport = {relay.getsockname()[1]}\nstarttls = false'
        settings_in(folder, QUICK.replace('folder = "{folder}/mail"', where))
        yield relay


@dataclass
class Said:
    """What a service in this process says."""

    said: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    def running(self, settings: Path, systemd: Systemd | None = None) -> Running:
        service = Service(load(settings))
        return Running(service, system_clock(service.stop), self.said.append, self.warned.append, systemd or Systemd())


def planned(settings: Path) -> dict[str, Planned]:
    return planned_by(Said().running(settings))


def test_each_source_detection_and_the_delivery_is_a_job_that_is_never_skipped(tmp_path: Path) -> None:
    running = Said().running(settings_in(tmp_path))
    running.start()
    jobs = {job.id: job for job in running.timetable.get_jobs()}
    running.timetable.shutdown()

    assert set(jobs) == {
        "source relay",
        "delivery",
        "maintenance",
        "reload",
        "states",
        *(f"detection {each.id}" for each in running.service.detections()),
    }
    for job in jobs.values():
        assert (job.coalesce, job.max_instances, job.misfire_grace_time) == (True, 1, None)
    assert running.timetable.timezone == UTC
    assert jobs["source relay"].trigger.interval == timedelta(seconds=10)


def test_jobs_begin_spread_over_a_few_seconds_and_always_at_the_same_one(tmp_path: Path) -> None:
    first, again = (
        {name: job.first(NOW) - NOW for name, job in planned(settings_in(tmp_path)).items()} for _ in range(2)
    )

    assert first == again
    assert first.pop("maintenance") < timedelta(seconds=90)
    assert max(first.values()) < timedelta(seconds=5)
    assert len(set(first.values())) == len(first)


def test_a_source_in_a_network_begins_within_a_tenth_of_its_interval_and_half_a_minute(tmp_path: Path) -> None:
    running = Said().running(settings_in(tmp_path))
    [part] = running.service.settings.sources.values()

    parts = [replace(part, kind="graph_message_trace", every=timedelta(minutes=minutes)) for minutes in (1, 5, 60)]
    spreads = [running._source(running.service, each).spread for each in parts]

    assert spreads == [timedelta(seconds=6), LONGEST_SPREAD, LONGEST_SPREAD]


def test_delivery_waits_for_no_source_and_no_detection(tmp_path: Path) -> None:
    pools = {name.partition(" ")[0]: job.pool for name, job in planned(settings_in(tmp_path)).items()}

    assert pools == {
        "source": "sources",
        "detection": "detections",
        "delivery": "delivery",
        "maintenance": "maintenance",
        "reload": "detections",
        "states": "detections",
    }


@pytest.mark.parametrize("text", ["", "\n\n"], ids=["empty", "blank"])
def test_settings_that_are_just_being_written_are_not_taken_over(text: str, tmp_path: Path) -> None:
    heard = Said()
    settings = settings_in(tmp_path)
    running = heard.running(settings)
    before = running.service

    settings.write_text(text)
    running.reload()

    assert running.service is before
    assert f"{settings}: is empty" in heard.warned[0]


def test_settings_that_were_not_taken_over_are_told_on_the_channels_until_they_are(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    good, now = settings.read_text("utf-8"), NOW
    service = Service(load(settings), now=lambda: now)
    clock = replace(system_clock(), now=lambda: now)
    running = Running(service, clock, lambda _: None, lambda _: None, Systemd())

    settings.write_text(good.replace("zone =", "zome =").replace("[tenant]", "[tenent]"))
    running.reload()
    for _ in range(7):
        now += timedelta(minutes=1)
        planned_by(running)["reload"].run()
    told = told_of_itself(running)
    settings.write_text(good)
    running.reload()
    now += timedelta(minutes=1)
    planned_by(running)["reload"].run()
    over = told_of_itself(running)

    assert "authsunset's reload keeps failing" in told
    assert (
        f"the old ones count: {settings}:4 [tenent]: unknown table [tenent]; did you mean 'tenant'?; and 1 more" in told
    )
    assert "Over: authsunset's reload keeps failing" in over
    assert running.books.open() == []


def planned_by(running: Running) -> dict[str, Planned]:
    return {job.name: job for job in running.planned(running.service)}


def told_of_itself(running: Running) -> str:
    """Ask what there is to say about the service itself, and return the mails that were written about it."""
    for job in ("detection health/job_failing", "delivery"):
        planned_by(running)[job].run()
    folder = running.service.settings.path.parent
    mails = [message_from_bytes(mail.read_bytes(), policy=policy.default) for mail in mails_in(folder)]
    for mail in mails_in(folder):
        mail.unlink()
    texts = (f"{mail['Subject']} {body.get_content()}" for mail in mails if (body := mail.get_body(("plain",))))
    return " ".join(" ".join(texts).split())


def test_a_failure_is_said_once_and_again_when_it_is_another_one(tmp_path: Path) -> None:
    heard = Said()
    running = heard.running(settings_in(tmp_path))
    errors = ["no disk", "no disk", "no lock", ""]

    def work() -> Ran:
        if error := errors.pop(0):
            raise LakeError(error)
        return Ran({"source relay": ""})

    for _ in range(4):
        running._run("source relay", work)

    assert [re.sub(r"\d+ s\b", "… s", sentence) for sentence in heard.said] == [
        "source relay: no disk",
        "source relay: no lock",
        "source relay has failed 3 times in … s: no lock",
        "source relay is all right again after … s",
    ]


def test_an_error_that_nobody_foresaw_is_told_by_its_place_and_not_by_its_words(tmp_path: Path) -> None:
    heard = Said()
    running = heard.running(settings_in(tmp_path))

    with pytest.raises(ValueError, match="hunter2") as raised:
        int("hunter2")
    running._broke("source relay", raised.value)

    [said] = heard.said
    assert said.startswith(f"source relay: ValueError at {__file__}:")
    assert "hunter2" not in said
    assert [entry.job for entry in running.books.open()] == ["source relay"]


def test_what_no_channel_takes_is_said_even_where_nothing_else_is(tmp_path: Path) -> None:
    broken = SETTINGS.replace('folder = "{folder}/mail"', 'host = "127.0.0.1"\nport = 1\nstarttls = false')
    heard = Said()
    running = heard.running(settings_in(tmp_path, broken))
    shutil.copy(REFUSED, tmp_path / "logs" / "mail.log")
    jobs = {job.name: job for job in running.planned(running.service)}

    for name in ("source relay", "detection rejection/basic_auth_refused", "delivery"):
        jobs[name].run()

    assert "Connection refused" in heard.warned[0]
    assert heard.warned[-1] == "channel oncall was not told of sender ticket@fabrikam.example"
    assert [entry.job for entry in running.books.open()] == ["channel oncall"]
    assert "in trouble: channel oncall since" in running._state()


def test_an_outbox_with_nothing_due_proves_nothing_about_a_channel(tmp_path: Path) -> None:
    running = Said().running(settings_in(tmp_path))
    running.books.note({"channel oncall": "refused"})

    jobs = {job.name: job for job in running.planned(running.service)}
    jobs["delivery"].run()

    assert [entry.job for entry in running.books.open()] == ["channel oncall"]


@pytest.mark.parametrize(
    ("notice", "trouble"),
    [
        (Notice("/var/log/mail.log", "cannot be read: no"), "/var/log/mail.log cannot be read: no"),
        (Notice("/var/log/mail.log", "was truncated", is_gap=True), ""),
        (Notice("/var/log/wtmp", "is of no kind", is_foreign=True), ""),
        (Notice("/var/log/mail.log", "is empty", is_failure=False), ""),
    ],
)
def test_a_source_is_in_trouble_by_what_it_will_not_read_the_next_time_either(notice: Notice, trouble: str) -> None:
    assert trouble_of(Outcome("relay", notices=[notice])) == trouble


def test_a_source_ends_between_two_chunks_and_goes_on_there(lake: Lake) -> None:
    stop = threading.Event()
    line = b"Nov 25 12:00:0%d relay postfix/qmgr[1]: A%d: from=<a@contoso.example>, size=1, nrcpt=1 (queue active)\n"

    def pull(position: Any) -> Iterator[Pulled]:
        for number in range(position.get("done", 0), 5):
            if number == 2:
                stop.set()
            yield Pulled(
                Chunk(line % (number, number), "mail.log", "f", number), "postfix", "mail.log", {"done": number + 1}
            )

    first = run_source(lake, "relay", until_stopped(pull, stop), lambda: NOW)
    stop.clear()
    second = run_source(lake, "relay", until_stopped(pull, threading.Event()), lambda: NOW)

    assert (first.chunks, second.chunks) == (3, 2)


def test_a_cycle_that_is_asked_to_stop_ends_early_and_judges_nobody(tmp_path: Path) -> None:
    service = Service(load(settings_in(tmp_path)))
    service.stop.set()

    cycle = run_once(service, system_clock(), Signals())

    assert cycle is not None
    assert (cycle.ingested, cycle.detected, cycle.failures) == ([], [], [])
    with service.lake() as lake:
        assert lake.rows("SELECT * FROM jobs") == []


def clock_at(moment: datetime) -> Clock:
    return replace(system_clock(), now=lambda: moment)


def test_cron_counts_failures_from_one_cycle_to_the_next(tmp_path: Path) -> None:
    service = Service(load(settings_in(tmp_path, QUICK)))

    for minutes in (0, 5, 10, 15):
        if minutes == 15:
            shutil.copy(REFUSED, tmp_path / "logs" / "mail.log")
        run_once(service, clock_at(NOW + timedelta(minutes=minutes)), Signals())

    with service.lake() as lake:
        rows = lake.rows("SELECT state, times FROM jobs ORDER BY noted_at")
    assert rows == [
        {"state": "failed", "times": 1},
        {"state": "failed", "times": 2},
        {"state": "failed", "times": 3},
        {"state": "recovered", "times": 3},
    ]


def test_the_watchdog_hears_the_service_until_its_scheduler_hangs(tmp_path: Path) -> None:
    release = threading.Event()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"{folder}/notify")
        receiver.settimeout(0.05)
        running = Said().running(
            settings_in(tmp_path, "[lake]\nfolder = '{folder}/lake'\n"), Systemd(f"{folder}/notify", 1.0)
        )
        running.start()

        assert heard_within(A_WHILE_S, running, receiver)
        running.timetable._executors["heartbeat"]._pool.submit(release.wait)
        time.sleep(0.6)  # what was heard before is too old by then
        heard_within(0.1, running, receiver)
        still = heard_within(1.2, running, receiver)
        release.set()
        running.timetable.shutdown()

    assert not still, "it turns, and no job of it runs"


def heard_within(seconds: float, running: Running, receiver: socket.socket) -> bool:
    """Turn the timetable as the main loop does, and return whether the watchdog was told that it lives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        running.turn()
        try:
            if receiver.recv(1000) == b"WATCHDOG=1":
                return True
        except TimeoutError:
            continue
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGHUP")
def test_the_life_of_a_service_under_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(
        tmp_path,
        QUICK
        + """
[source.nowhere]
kind = "files"
paths = ["{folder}/nowhere/*"]
every = "1s"
""",
    )
    log = tmp_path / "logs" / "mail.log"
    shutil.copy(SAMPLE_DATA / "postfix" / "accepted_by_exchange_online.log", log)
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"{folder}/notify")
        told: list[str] = []
        threading.Thread(target=listen, args=(receiver, told), daemon=True).start()
        monkeypatch.setenv("NOTIFY_SOCKET", f"{folder}/notify")
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        with process(tmp_path) as service:
            assert until(lambda: told)
            assert told[0].startswith("READY=1\nSTATUS=")

            # It follows a log that grows, and says what it finds; also that a part of itself fails.
            with log.open("ab") as growing:
                growing.write(REFUSED.read_bytes())
            assert until(lambda: len(mails_in(tmp_path)) >= 2), service.said()
            subjects = "".join(mail.read_text() for mail in mails_in(tmp_path)).replace("=\n", "")
            assert "ticket@fabrikam.example is refused" in subjects
            assert "authsunset's source nowhere keeps failing" in subjects

            # Settings that are wrong change nothing.
            good = settings.read_text()
            settings.write_text(good.replace("zone =", "zome ="))
            service.signal(signal.SIGHUP)
            assert service.says(f"{settings}:10 [source.relay]: unknown key 'zome'")
            assert service.says("the settings were not taken over")

            # Those that are right are taken over: what failed is gone, and that is said.
            settings.write_text(good.partition("[source.nowhere]")[0].replace('every = "1s"', 'every = "2s"', 1))
            service.signal(signal.SIGHUP)
            assert service.says(
                "settings taken over: source nowhere is gone; source relay runs every 2 s instead of every 1 s"
            )
            assert until(lambda: len(mails_in(tmp_path)) >= 3), service.said()
            assert "it is no longer in the settings" in "".join(mail.read_text() for mail in mails_in(tmp_path))

            service.signal(signal.SIGTERM)
            service.ends_with(0)
            assert until(lambda: any(each.startswith("STOPPING") for each in told))

    words = [each.partition("\n")[0] for each in told if each.startswith(("READY", "RELOADING", "STOPPING"))]
    assert words == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert "WATCHDOG=1" in told
    assert any("in trouble: source nowhere since" in each for each in told)


def listen(receiver: socket.socket, told: list[str]) -> None:
    while not told or not told[-1].startswith("STOPPING"):
        told.append(receiver.recv(4096).decode())


def test_a_job_that_does_not_end_in_time_is_left_and_named(tmp_path: Path) -> None:
    settings_in(tmp_path)

    with silent_relay(tmp_path) as relay, process(tmp_path) as service:
        connection, _ = relay.accept()
        service.signal(signal.SIGTERM)
        service.ends_with(0)
        connection.close()

    assert "stopping, once these have ended: delivery" in service.said()
    assert "delivery was cut off: what it had not finished is done again at the next start" in service.said()


def test_asked_a_second_time_it_is_gone_at_once(tmp_path: Path) -> None:
    settings_in(tmp_path)

    with silent_relay(tmp_path) as relay, process(tmp_path) as service:
        connection, _ = relay.accept()
        service.signal(signal.SIGINT)
        assert service.says("stopping, once these have ended:")
        service.signal(signal.SIGINT)
        service.ends_with(130, 3)
        connection.close()


def test_a_cycle_for_cron_ends_when_asked_and_the_next_one_goes_on(tmp_path: Path) -> None:
    settings_in(tmp_path)

    with silent_relay(tmp_path) as relay, process(tmp_path, "--once") as service:
        connection, _ = relay.accept()
        service.signal(signal.SIGTERM)
        connection.close()
        service.ends_with(143)
    assert "stopped before the cycle was through" in service.said()

    settings_in(tmp_path, QUICK)
    clock = clock_at(datetime.now(UTC) + timedelta(hours=1))
    run_once(Service(load(tmp_path / "authsunset.toml"), now=clock.now), clock, Signals())
    assert len(mails_in(tmp_path)) == 1


def test_states_that_cannot_be_told_stop_neither_alerts_nor_maintenance(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    shutil.copy(SAMPLE_DATA / "relay01" / "mail.iso.log", tmp_path / "logs" / "mail.log")
    service = Service(load(settings), now=lambda: LOGS_END)

    with service.lake() as lake:
        with lake.writing():
            lake.connection.execute("CREATE OR REPLACE VIEW senders AS SELECT 1 AS nothing")
        done = service.cycle(lake)

    assert [failure.partition(":")[0] for failure in done.failures] == ["states"]
    assert done.alerted.delivered > 0
