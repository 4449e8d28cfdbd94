"""Run the real command, as a person would, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLE_DATA = ROOT / "sample_data"

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
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def settings_in(folder: Path, text: str = SETTINGS) -> Path:
    """Write settings into `folder` and return their path."""
    (folder / "logs").mkdir(exist_ok=True)
    path = folder / "authsunset.toml"
    path.write_text(text.format(folder=folder.as_posix()), "utf-8")
    return path


def mails_in(folder: Path) -> list[Path]:
    """Return the mails that the channel of SETTINGS has left."""
    return sorted((folder / "mail").glob("*.eml"))
