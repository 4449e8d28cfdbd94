"""kill -9 at random moments of a run: afterwards one more run makes everything as if nothing had happened."""

from __future__ import annotations

import email
import email.policy
import json
import os
import random
import shutil
import socket
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.cli import SAMPLE_DATA, SETTINGS, authsunset, mails_in, settings_in, started

KILLS = int(os.environ.get("AUTHSUNSET_KILLS", "10"))
SEED = int(os.environ.get("AUTHSUNSET_SEED", "7"))


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nobody disturbs."""

    seconds: float
    hash: str
    subjects: list[str]


def prepared(folder: Path, settings: str = SETTINGS) -> Path:
    folder.mkdir()
    path = settings_in(folder, settings)
    shutil.copy(SAMPLE_DATA / "relay02" / "mail.iso.log", folder / "logs" / "mail.log")
    return path


def start(settings: Path) -> BaseProcess:
    return started("-q", "-c", settings, "run", "--once", cwd=settings.parent, into=settings.parent)


def subjects(folder: Path) -> list[str]:
    read = (email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in mails_in(folder))
    return sorted(str(mail["Subject"]) for mail in read)


def hash_of(settings: Path) -> str:
    return authsunset("-c", settings, "lake", "hash", cwd=settings.parent).out


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    settings = prepared(tmp_path_factory.mktemp("undisturbed") / "run")
    begun = time.monotonic()
    running = start(settings)
    running.join(120)
    assert running.exitcode == 0
    seconds = time.monotonic() - begun
    return Undisturbed(seconds, hash_of(settings), subjects(settings.parent))


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_run_after_kill_9_completes_what_was_begun(kill: int, undisturbed: Undisturbed, tmp_path: Path) -> None:
    settings = prepared(tmp_path / "run")
    moment = random.Random(SEED * 1_000 + kill).uniform(0.05, 1.0) * undisturbed.seconds  # noqa: S311 - repeatable on purpose

    running = start(settings)
    time.sleep(moment)
    running.kill()
    running.join()
    assert authsunset("-c", settings, "run", "--once", cwd=tmp_path).code == 0

    assert hash_of(settings) == undisturbed.hash
    assert subjects(settings.parent) == undisturbed.subjects
    assert _sent_more_than_once(settings) == []


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
        relay = SETTINGS.replace('folder = "{folder}/mail"', f'host = "127.0.0.1"\nport = {port}\nstarttls = false')
        settings = prepared(tmp_path / "run", relay)
        for part in (0.6, 0.8, 0.9):
            running = start(settings)
            time.sleep(part * undisturbed.seconds)
            running.kill()
            running.join()
        assert authsunset("-c", settings, "run", "--once", cwd=tmp_path).code == 0
    finally:
        server.stop()

    assert len(set(inbox.ids)) == len(undisturbed.subjects)
    assert len(inbox.ids) - len(set(inbox.ids)) <= 3, "at most the one in flight at each kill"


def _sent_more_than_once(settings: Path) -> list[object]:
    sql = "SELECT notification_id FROM notifications WHERE state = 'delivered' GROUP BY ALL HAVING count(*) > 1"
    found: list[object] = json.loads(
        authsunset("-c", settings, "query", "--sql", sql, "--format", "json", cwd=settings.parent).out
    )
    return found
