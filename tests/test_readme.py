"""The README tells the truth: its commands exist, its screen is what the program prints, its settings are fine."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipeline.cli import COMMANDS
from pipeline.settings import read
from tests.cli import ROOT, authsunset

README = (ROOT / "README.md").read_text("utf-8")
CONSOLE = [
    line[2:].split("   #")[0].strip()
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
OURS = [shlex.split(line)[1:] for line in CONSOLE if shlex.split(line)[0].endswith("authsunset")]


def test_make_knows_the_targets_that_the_readme_names() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))

    assert {line.split()[1] for line in CONSOLE if line.startswith("make ")} <= targets


@pytest.mark.parametrize("arguments", OURS, ids=" ".join)
def test_commands_in_the_readme_exist(arguments: list[str], tmp_path: Path) -> None:
    words = [word for word in arguments if re.fullmatch(r"[a-z]+", word)]
    command = words[:2] if words[0] in {"rules", "config", "lake"} else words[:1]
    options = {word for word in arguments if word.startswith("-")}

    ran = authsunset(*command, "--help", cwd=tmp_path)

    assert ran.code == 0
    assert all(option in ran.out for option in options)


def test_the_screen_in_the_readme_is_what_scan_prints() -> None:
    [block] = [
        each for each in re.findall(r"```console\n(.*?)```", README, re.DOTALL) if "authsunset scan sample_data" in each
    ]

    ran = authsunset("scan", "sample_data/relay01/mail.iso.log", "sample_data/relay01/mail.iso.log.1.gz", cwd=ROOT)

    shown = [line.rstrip() for line in block.splitlines()[1:]]
    assert shown == [line.rstrip() for line in (ran.err + ran.out).splitlines()]


def test_each_command_is_in_the_table_of_commands() -> None:
    table = README[README.index("## Commands") :]

    assert not [command for command in COMMANDS if f"`{command}" not in table]


def test_the_settings_in_the_readme_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
    path = tmp_path / "authsunset.toml"
    path.write_text(text, "utf-8")
    monkeypatch.setenv(
        "TEAMS_WORKFLOW_URL",
        "https://prod-00.westeurope.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sig=x",
    )

    settings, problems = read(path)

    assert problems == []
    assert settings is not None


def test_links_in_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
