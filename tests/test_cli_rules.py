"""`authsunset rules`, as a person uses it on a draft of their own."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.lake import Lake
from queries.detect import detect
from queries.detection import detection
from tests.cli import SETTINGS, authsunset
from tests.conftest import NOW, keep

DRAFT = detection("basic_auth_refused").text
SCAN = {"sender": "scan@contoso.example", "kind": "try", "outcome": "rejected", "reply_class": "basic_retired"}


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    path = tmp_path / "drafts" / "often_refused.sql"
    path.parent.mkdir()
    path.write_text(DRAFT.replace("min_refusals = 1", "min_refusals = 2"))
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "authsunset.toml"
    path.write_text(SETTINGS.format(folder=tmp_path.as_posix()))
    with Lake.open(tmp_path / "lake") as lake:
        keep(lake, "deliveries", SCAN | {"event_time": "-26h"}, SCAN | {"sender": "nas@contoso.example"})
        detect(lake, detection("basic_auth_refused"), NOW)
    return path


def test_lint_says_what_is_wrong_with_a_draft_and_where(draft: Path, tmp_path: Path) -> None:
    draft.write_text(DRAFT.replace('severity    = "high"', 'severity    = "hihg"'))

    told = authsunset("rules", "lint", draft, cwd=tmp_path)
    rows = authsunset("rules", "lint", draft, "--format", "json", cwd=tmp_path)
    fine = authsunset("rules", "lint", "basic_auth_refused", cwd=tmp_path)

    assert (told.code, rows.code, fine.code) == (1, 1, 0)
    assert f"{draft}:4: 'severity' should be one of critical, high" in told.out
    assert [(each["line"], each["rule"]) for each in json.loads(rows.out)] == [(4, "header")]


def test_test_runs_the_cases_of_a_draft_and_tells_what_they_do_not_cover(draft: Path, tmp_path: Path) -> None:
    failing = authsunset("rules", "test", draft, cwd=tmp_path)
    draft.write_text(DRAFT.replace("AND kind = 'try'", "AND kind = 'try'\n    AND stage IS DISTINCT FROM 'tls'"))
    uncovered = authsunset("rules", "test", draft, "--coverage", cwd=tmp_path)

    assert failing.code == 1
    assert "should find" in failing.err
    assert uncovered.code == 1
    assert "stage IS DISTINCT FROM 'tls': no case comes out differently when it is always so" in uncovered.err


def test_backtest_tells_what_would_have_opened_and_what_another_version_would(
    settings: Path, draft: Path, tmp_path: Path
) -> None:
    span = ["--since", (NOW - timedelta(days=3)).isoformat(), "--until", NOW.isoformat()]

    ran = authsunset("-c", settings, "rules", "backtest", "basic_auth_refused", *span, "--format", "json", cwd=tmp_path)
    differs = authsunset(
        "-c", settings, "rules", "backtest", "basic_auth_refused", *span, "--diff", draft, cwd=tmp_path
    )

    told = json.loads(ran.out)
    assert [row["sender"] for row in told["opened"]] == ["scan@contoso.example", "nas@contoso.example"]
    assert [(day["day"], day["opened"]) for day in told["days"] if day["opened"]] == [
        ("2026-12-30", 1),
        ("2026-12-31", 1),
    ]
    assert "opens 2 findings and the other 0; 2 are in one of them only" in differs.err


def test_list_tells_how_it_went_when_each_was_asked_last(settings: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    listed = authsunset("-c", settings, "rules", "list", "--format", "json", cwd=tmp_path)
    without = authsunset("rules", "list", "--format", "json", cwd=elsewhere)

    states = {row["id"]: row["state"] for row in json.loads(listed.out)}
    assert states["rejection/basic_auth_refused"] == "nodata"  # nothing has been read yet
    assert states["health/job_failing"] == "ok"
    assert {row["state"] for row in json.loads(without.out)} == {""}


def test_a_draft_that_is_not_there_is_said(tmp_path: Path) -> None:
    for command in ("lint", "test", "show"):
        ran = authsunset("rules", command, "nothing.sql", cwd=tmp_path)

        assert (ran.code, "nothing.sql: cannot be read" in ran.err) == (1, True)
