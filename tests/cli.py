"""Run the real command, as a person would, in a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from pipeline.cli import main
from pipeline.lake import Lake

ROOT = Path(__file__).parents[1]
SAMPLE_DATA = ROOT / "sample_data"

FRESH = multiprocessing.get_context("forkserver")
FRESH.set_forkserver_preload(["tests.preloaded"])

SETTINGS = """\
[lake]
folder = "{folder}/lake"

[tenant]
domains = ["contoso.example"]

[source.relay]
kind = "files"
paths = ["{folder}/logs/mail.log*"]
zone = "UTC"

[channel.oncall]
kind = "email"
folder = "{folder}/mail"
sender = "authsunset@contoso.example"
to = ["oncall@contoso.example"]
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def authsunset(*arguments: str | Path, cwd: Path, timeout: float = 120) -> Ran:
    """Run the command and return how it ended; a traceback is a failure wherever it shows."""
    with tempfile.TemporaryDirectory() as folder:
        running = started(*arguments, cwd=cwd, into=Path(folder))
        running.join(timeout)
        if running.is_alive():
            running.kill()
            raise TimeoutError(f"authsunset {' '.join(map(str, arguments))} took more than {timeout} s")
        out, err = (Path(folder, name).read_text("utf-8", "surrogateescape") for name in ("out", "err"))
    assert "Traceback" not in err, err
    assert running.exitcode is not None
    return Ran(running.exitcode, out, err)


def started(*arguments: str | Path, cwd: Path, into: Path) -> BaseProcess:
    """
    Start the command in a process of its own, with what it prints in the files `out` and `err` in `into`.

    The process is forked off one that has got ready what most of the time of a short command goes into, see
    `tests/preloaded.py`. Other tests start it as a shell does.
    """
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    running = FRESH.Process(target=_run, args=([*map(str, arguments)], cwd, environment, into))
    running.start()
    return running


def _run(arguments: list[str], cwd: Path, environment: Mapping[str, str], into: Path) -> None:
    from tests import preloaded

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, name in ((1, "out"), (2, "err")):
        descriptor = os.open(into / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115 - open as long as the process is
    sys.argv = ["authsunset", *arguments]
    preloaded.take_over()
    main()


def settings_in(folder: Path, text: str = SETTINGS) -> Path:
    """Write settings into `folder` and return their path."""
    (folder / "logs").mkdir(exist_ok=True)
    path = folder / "authsunset.toml"
    path.write_text(text.format(folder=folder.as_posix()), "utf-8")
    return path


def lake_of(settings: Path) -> AbstractContextManager[Lake]:
    """Return the lake of SETTINGS, to look into without a command."""
    return Lake.open(settings.parent / "lake", read_only=True)


def mails_in(folder: Path) -> list[Path]:
    """Return the mails that the channel of SETTINGS has left."""
    return sorted((folder / "mail").glob("*.eml"))
