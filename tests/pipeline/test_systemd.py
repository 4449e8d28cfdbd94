"""What systemd hears, on a real datagram socket, and that a watchdog hears nothing from what hangs."""

from __future__ import annotations

import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.systemd import Systemd, Watchdog

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no systemd on Windows")


@dataclass
class Manager:
    """The other end of the socket."""

    address: str
    receiver: socket.socket

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.receiver.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Return a folder for a socket, whose path may not be longer than some hundred characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, short_path: Path) -> Iterator[Manager]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("only Linux has abstract sockets")
    address = str(short_path / "notify") if request.param == "path" else f"@authsunset-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        receiver.setblocking(False)
        yield Manager(address, receiver)


@dataclass
class Ticks:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_thing_is_said_in_one_datagram(manager: Manager) -> None:
    systemd = Systemd(manager.address)

    systemd.ready("12 jobs, all well")
    systemd.reloading(12.5)
    systemd.status("in trouble:\nSTOPPING=1")
    systemd.stopping("ending")
    systemd.alive()

    assert manager.heard() == [
        "READY=1\nSTATUS=12 jobs, all well",
        "RELOADING=1\nMONOTONIC_USEC=12500000\nSTATUS=reading the settings anew",
        "STATUS=in trouble: STOPPING=1",
        "STOPPING=1\nSTATUS=ending",
        "WATCHDOG=1",
    ]


def test_without_systemd_nothing_is_said(tmp_path: Path) -> None:
    assert not Systemd.of({}, 42).alive()
    assert not Systemd(str(tmp_path / "nobody")).alive()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_a_watchdog_is_asked_for_by_the_environment(environment: dict[str, str], seconds: float) -> None:
    assert Systemd.of(environment | {"NOTIFY_SOCKET": "/run/systemd/notify"}, 42).watchdog_s == seconds


def test_the_watchdog_hears_us_at_half_of_its_time(manager: Manager) -> None:
    ticks = Ticks()
    watchdog = Watchdog(Systemd(manager.address, watchdog_s=30.0), ticks)

    for _ in range(60):
        ticks.now += 1
        watchdog.beat()
        watchdog.look()

    assert manager.heard() == ["WATCHDOG=1"] * 4


def test_the_watchdog_hears_nothing_once_the_heartbeat_is_gone(manager: Manager) -> None:
    ticks = Ticks()
    watchdog = Watchdog(Systemd(manager.address, watchdog_s=30.0), ticks)

    ticks.now += 15
    watchdog.look()
    assert manager.heard() == ["WATCHDOG=1"]
    for _ in range(60):
        ticks.now += 1
        watchdog.look()

    assert manager.heard() == []


def test_what_systemd_did_not_take_is_said_again_at_the_next_look(manager: Manager) -> None:
    ticks = Ticks()
    watchdog = Watchdog(Systemd("", watchdog_s=30.0), ticks)
    ticks.now += 15
    watchdog.look()

    watchdog.systemd = Systemd(manager.address, watchdog_s=30.0)
    watchdog.look()

    assert manager.heard() == ["WATCHDOG=1"]


def test_without_a_watchdog_there_is_no_heartbeat() -> None:
    assert Watchdog(Systemd("/run/notify"), Ticks()).every_s == 0
