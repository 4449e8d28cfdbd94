"""Time zones by name."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import Place, SettingsError
from pipeline.zones import zone_of

ROOT = Path(__file__).parents[2]
SUMMER = datetime(2026, 7, 1, 12, 0)  # noqa: DTZ001 - the zone is what is asked for


@pytest.mark.parametrize(
    ("name", "hours"),
    [("Europe/Berlin", 2), ("America/New_York", -4), ("Asia/Kolkata", 5.5), ("UTC", 0), ("utc", 0), ("Z", 0)],
)
def test_a_zone_has_its_offset(name: str, hours: float) -> None:
    assert zone_of(name).utcoffset(SUMMER) == timedelta(hours=hours)


def test_utc_is_the_plain_one() -> None:
    assert zone_of("UTC") is UTC


def ask_a_machine_in(zone: str) -> str:
    # A process of its own, because the zone is looked up once and kept.
    code = "from pipeline.zones import zone_of; print(zone_of('local'))"
    environment = {**os.environ, "TZ": zone}
    asked = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout + asked.stderr


def test_local_is_the_zone_of_this_machine() -> None:
    assert ask_a_machine_in("Asia/Kolkata").strip() == "Asia/Kolkata"


def test_a_machine_whose_zone_is_broken_says_so() -> None:
    said = ask_a_machine_in("Nowhere/Nothing")

    assert "SettingsError: this machine does not tell its time zone; write one like 'Europe/Berlin'" in said


@pytest.mark.parametrize(
    "name", ["", " ", "Berlin", "Europe/", "../../etc/passwd", "/etc/passwd", "a\0b", "\ud800", "x" * 5_000, "+01:00"]
)
def test_a_name_that_is_no_zone_is_refused_with_an_example_and_its_place(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        zone_of(name, Place("authsunset.toml", 7))

    assert str(caught.value).startswith("authsunset.toml:7: no time zone ")
    assert "Europe/Berlin" in str(caught.value)
