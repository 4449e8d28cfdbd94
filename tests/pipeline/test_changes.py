"""What is said of new settings: each name that is new, gone or other, and no value."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.changes import changes_of
from pipeline.settings import load
from tests.cli import SETTINGS, settings_in

EVERY = {"source relay": timedelta(seconds=10), "delivery": timedelta(seconds=15)}
TEAMS = '\n[channel.teams]\nkind = "webhook"\nurl = {{ env = "TEAMS" }}\n'


def changes(folder: Path, before: str, after: str) -> list[str]:
    return changes_of(load(settings_in(folder, before)), load(settings_in(folder, after)), EVERY, EVERY)


def test_jobs_that_come_go_and_change_their_interval_are_named(tmp_path: Path) -> None:
    settings = load(settings_in(tmp_path))

    said = changes_of(
        settings,
        settings,
        EVERY,
        {"source relay": timedelta(minutes=1), "source tenant": timedelta(minutes=5)},
    )

    assert said == ["source tenant is new", "delivery is gone", "source relay runs every 1 min instead of every 10 s"]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (SETTINGS, SETTINGS + "\n# a word\n", []),
        (SETTINGS, SETTINGS.replace('zone = "UTC"', 'zone = "Europe/Berlin"'), ["source relay has other settings"]),
        (SETTINGS, SETTINGS.replace("oncall@", "night@"), ["channel oncall has other settings"]),
        (SETTINGS, SETTINGS.replace("contoso.example", "fabrikam.example", 1), ["[tenant] has changed"]),
        (SETTINGS, SETTINGS.replace("/lake", "/pond"), ["[lake] has changed"]),
        (
            SETTINGS,
            SETTINGS + "\n[detection.basic_auth_refused]\nmin_refusals = 3\nevery = '5m'\n",
            ["detection basic_auth_refused has other settings"],
        ),
    ],
)
def test_what_else_is_other_is_named_and_never_shown(before: str, after: str, said: list[str], tmp_path: Path) -> None:
    assert changes(tmp_path, before, after) == said


def test_a_channel_that_comes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAMS", "https://hooks.contoso.example/c4n4ry")

    assert changes(tmp_path, SETTINGS, SETTINGS + TEAMS) == ["channel teams is new"]
    assert changes(tmp_path, SETTINGS + TEAMS, SETTINGS) == ["channel teams is gone"]
