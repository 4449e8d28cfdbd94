"""What the settings may change of a detection, and what they are told when they get it wrong."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import Place
from queries.detection import detections
from queries.tuning import tuned

ALL = detections()
REFUSED = "rejection/basic_auth_refused"


def place(id: str, key: str) -> Place:
    return Place("authsunset.toml", 7, f"detection.{id}.{key}")


def problems_of(override: dict[str, Any], id: str = REFUSED) -> list[str]:
    return [str(problem) for problem in tuned(ALL, {id: override}, place)[1]]


def test_nothing_said_changes_nothing() -> None:
    assert tuned(ALL, {}, place) == (list(ALL), [])


@pytest.mark.parametrize("id", [REFUSED, "basic_auth_refused"])
def test_a_detection_is_tuned_by_its_id_or_its_name(id: str) -> None:
    found, problems = tuned(ALL, {id: {"min_refusals": 3, "severity": "critical", "every": "5m"}}, place)

    [refused] = [each for each in found if each.id == REFUSED]
    assert problems == []
    assert (refused.params["min_refusals"], refused.severity, refused.every.total_seconds()) == (3, "critical", 300)
    assert not refused.fires_for_one


def test_a_detection_can_be_switched_off() -> None:
    found, _ = tuned(ALL, {REFUSED: {"enabled": False}}, place)

    assert REFUSED not in {each.id for each in found}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ({"enabled": "no"}, "should be true or false"),
        ({"min_refusals": "three"}, "should be a number, such as 1"),
        ({"min_refusal": 3}, "did you mean 'min_refusals'?"),
        ({"every": "soon"}, "no span of time"),
        ({"severity": "blah"}, "should be one of critical, high"),
    ],
)
def test_a_mistake_is_named_with_place_and_mend(override: dict[str, Any], words: str) -> None:
    [problem] = problems_of(override)

    assert problem.startswith("authsunset.toml:7")
    assert words in problem


def test_an_unknown_detection_gets_a_hint() -> None:
    [problem] = problems_of({}, "rejection/basic_auth_refusd")

    assert "did you mean 'rejection/basic_auth_refused'?" in problem
