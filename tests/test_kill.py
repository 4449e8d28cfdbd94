"""kill -9 at random moments of a run: afterwards one more run makes everything as if nothing had happened."""

from __future__ import annotations

import email
import email.policy
import os
import random
import socket
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from pipeline.lake import Lake
from pipeline.lake.hash import hash_of
from queries.detection import detections
from tests.cli import SAMPLE_DATA, SETTINGS, authsunset, mails_in, settings_in, started

KILLS = int(os.environ.get("AUTHSUNSET_KILLS", "10"))
SEED = int(os.environ.get("AUTHSUNSET_SEED", "7"))


ASKED = "rejection/basic_auth_refused"
ONE_DETECTION = SETTINGS + "".join(
    f'\n[detection."{each.id}"]\nenabled = false\n' for each in detections() if each.id != ASKED
)
LOG = (SAMPLE_DATA / "relay02" / "mail.iso.log").read_bytes().splitlines(keepends=True)[:110]


@dataclass(frozen=True)
class Left:
    """What a run leaves: evidence, mails, and which messages it says it has sent more than once."""

    hash: str
    subjects: list[str]
    twice: list[dict[str, object]]


@dataclass(frozen=True)
class Undisturbed:
    """How long a run takes that nobody disturbs, and what it leaves."""

    seconds: float
    left: Left


def prepared(folder: Path, settings: str = ONE_DETECTION) -> Path:
    folder.mkdir()
    path = settings_in(folder, settings)
    for part, name in enumerate(("mail.log.2", "mail.log.1", "mail.log")):
        (folder / "logs" / name).write_bytes(b"".join(LOG[part * 40 : part * 40 + 40]))
    return path


def start(settings: Path) -> BaseProcess:
    return started("-q", "-c", settings, "run", "--once", cwd=settings.parent, into=settings.parent)


def left_in(folder: Path) -> Left:
    mails = (email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in mails_in(folder))
    sent = "SELECT notification_id FROM notifications WHERE state = 'delivered' GROUP BY ALL HAVING count(*) > 1"
    with Lake.open(folder / "lake", read_only=True) as lake:
        return Left(hash_of(lake)["evidence"], sorted(str(mail["Subject"]) for mail in mails), lake.rows(sent))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    settings = prepared(tmp_path_factory.mktemp("undisturbed") / "run")
    authsunset("--version", cwd=settings.parent)  # what commands are forked off is ready from here on
    begun = time.monotonic()
    running = start(settings)
    running.join(120)
    assert running.exitcode == 0
    return Undisturbed(time.monotonic() - begun, left_in(settings.parent))


def test_a_run_that_nobody_disturbs_has_something_to_do_in_each_stage(undisturbed: Undisturbed) -> None:
    assert len(undisturbed.left.subjects) >= 3
    assert undisturbed.left.twice == []


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_run_after_kill_9_completes_what_was_begun(kill: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    settings = prepared(tmp_path / "run")
    moment = random.Random(SEED * 1_000 + kill).uniform(0.05, 1.0) * undisturbed.seconds  # noqa: S311 - repeatable on purpose

    running = start(settings)
    time.sleep(moment)
    running.kill()
    running.join()
    assert authsunset("-c", settings, "run", "--once", cwd=tmp_path).code == 0

    assert left_in(settings.parent) == undisturbed.left


class Inbox:
    """A mail server that remembers the ids of what it took."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        mail = email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
        self.ids.append(str(mail["Message-ID"]))
        return "250 OK"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_mail_server_gets_each_message_and_a_repeat_only_with_the_same_id(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    inbox = Inbox()
    port = free_port()
    server = Controller(inbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        relay = ONE_DETECTION.replace(
            'folder = "{folder}/mail"', f'host = "127.0.0.1"\nport = {port}\nstarttls = false'
        )
        settings = prepared(tmp_path / "run", relay)
        for part in (0.6, 0.8, 0.9):
            running = start(settings)
            time.sleep(part * undisturbed.seconds)
            running.kill()
            running.join()
        assert authsunset("-c", settings, "run", "--once", cwd=tmp_path).code == 0
    finally:
        server.stop()

    assert len(set(inbox.ids)) == len(undisturbed.left.subjects)
    assert len(inbox.ids) - len(set(inbox.ids)) <= 3, "at most the one in flight at each kill"
