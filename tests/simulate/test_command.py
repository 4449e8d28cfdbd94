from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.simulate.moments import moment_of
from pipeline.simulate.plan import Plan
from pipeline.simulate.tenant import live, simulate
from tests.cli import authsunset


def test_the_command_prints_the_truth_by_state_and_the_rates(tmp_path: Path) -> None:
    ran = authsunset("simulate", "--days", "6", "--senders", "5", "--history", "4", "--out", "t", cwd=tmp_path)

    assert (ran.code, ran.err) == (0, "")
    assert "missing exports: 0." in ran.out
    assert "share behind a shared address: " in ran.out
    world = json.loads((tmp_path / "t" / "world.json").read_text("utf-8"))
    assert world["cutover"] == "2026-12-29T22:00:00Z"
    assert (world["start"], world["end"]) == ("2026-12-26T00:00:00Z", "2027-01-01T00:00:00Z")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine").write_text("x", "utf-8")

    ran = authsunset("simulate", "--out", "t", cwd=tmp_path)

    assert ran.code == 2
    assert "not empty" in ran.err
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "plan",
    [
        Plan(1, days=2, senders=1, history=0),
        Plan(2, days=3, senders=2, history=1),
        Plan(3, days=40, senders=3, history=90, cutover=moment_of(datetime(2027, 3, 28, 1, tzinfo=UTC))),
    ],
    ids=["two days", "three days", "over the change of clocks"],
)
def test_a_tenant_of_any_size_can_be_written(plan: Plan, tmp_path: Path) -> None:
    story = simulate(plan, tmp_path)

    assert story.counts["files"] > 3
    assert sum(each["category"] not in {"person", "relay_account"} for each in story.truth) == plan.senders


def test_one_more_sender_changes_nothing_for_the_others() -> None:
    few, more = Plan(4, days=10, senders=6, history=5), Plan(4, days=10, senders=7, history=5)

    before = {each["sender"]: each["rhythm"] for each in live(few).truth if each["category"] != "person"}
    after = {each["sender"]: each["rhythm"] for each in live(more).truth}

    assert before.items() <= after.items()
