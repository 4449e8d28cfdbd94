"""The unit for systemd says what the service needs, and systemd has nothing against it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.run import LAST_MOMENT_S
from pipeline.scheduler import GRACE_S
from tests.cli import ROOT, SAMPLE_DATA, mails_in, settings_in
from tests.sandboxed import CANNOT

UNIT = ROOT / "deploy" / "authsunset.service"
SAYS = dict(line.split("=", 1) for line in UNIT.read_text("utf-8").splitlines() if "=" in line and line[0].isalpha())
ANALYZE = shutil.which("systemd-analyze")


def test_it_is_told_of_readiness_reload_and_life() -> None:
    assert SAYS["Type"] == "notify"
    assert SAYS["ExecReload"].endswith("-HUP $MAINPID")
    assert int(SAYS["WatchdogSec"]) >= 30
    assert SAYS["Restart"] == "on-failure"
    assert SAYS["RestartPreventExitStatus"] == "78"


def test_systemd_waits_longer_than_the_service_takes_to_stop() -> None:
    assert GRACE_S + LAST_MOMENT_S < 10 < int(SAYS["TimeoutStopSec"])


@pytest.mark.system
@pytest.mark.skipif(not ANALYZE, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_in_it_and_little_that_it_could_harm(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace(SAYS["ExecStart"], "/bin/true"), "utf-8")

    assert ANALYZE
    verified = subprocess.run([ANALYZE, "verify", unit], capture_output=True, text=True, check=False)
    secured = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--threshold=20", unit], capture_output=True, text=True, check=False
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert secured.returncode == 0, secured.stdout


@pytest.mark.system
@pytest.mark.skipif(not ANALYZE or sys.platform != "linux", reason="needs systemd-analyze")
def test_the_service_does_its_work_with_the_system_calls_that_it_leaves(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    shutil.copy(SAMPLE_DATA / "postfix" / "refused_at_mail_from.log", tmp_path / "logs" / "mail.log")

    for arguments in (("run", "--once"), ("lake", "maintain")):
        ran = subprocess.run(
            [sys.executable, "-m", "tests.sandboxed", "-c", settings, *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode == CANNOT:
            pytest.skip(f"needs more of this machine: {ran.stderr.strip()}")
        assert ran.returncode == 0, ran.stderr

    assert len(mails_in(tmp_path)) == 1


@pytest.mark.system
@pytest.mark.skipif(not ANALYZE or sys.platform != "linux", reason="needs systemd-analyze")
def test_what_it_does_not_leave_is_refused() -> None:
    refused = """
import mmap, os, socket
from tests.sandboxed import UNIT, restrict

restrict(UNIT.read_text())
for act in (
    lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    lambda: os.chroot("/"),
):
    try:
        act()
    except OSError:
        print("refused")
"""

    ran = subprocess.run([sys.executable, "-c", refused], cwd=ROOT, capture_output=True, text=True, check=False)

    if ran.returncode == CANNOT:
        pytest.skip(f"needs more of this machine: {ran.stderr.strip()}")
    assert ran.stdout.split() == ["refused"] * 3, ran.stderr
