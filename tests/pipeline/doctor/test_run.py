"""All checks side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from pipeline.doctor.result import Group, Result, State, Topic
from pipeline.doctor.run import Check, run
from pipeline.errors import SourceError

TOPIC = Topic(Group.LAKE, "disk", "lake")


def test_results_stand_in_the_order_of_their_groups_and_checks() -> None:
    first = Topic(Group.SETTINGS, "settings", "x")

    found = run([Check(TOPIC, lambda: [TOPIC.ok("room")]), Check(first, lambda: [first.ok("a"), first.ok("b")])], 5)

    assert [(result.check, result.found) for result in found] == [
        ("settings", "a"),
        ("settings", "b"),
        ("disk", "room"),
    ]


def test_nothing_to_look_at_is_nothing_found() -> None:
    assert run([], 5) == []


def test_a_check_that_fails_is_told_and_keeps_what_it_found() -> None:
    def fails() -> Iterator[Result]:
        yield TOPIC.ok("this far")
        raise SourceError("the tape is torn; mend it")

    found = run([Check(TOPIC, fails), Check(TOPIC, lambda: [TOPIC.ok("room")])], 5)

    assert [(result.state, result.found) for result in found] == [
        (State.OK, "this far"),
        (State.BROKEN, "the tape is torn; mend it"),
        (State.OK, "room"),
    ]


def test_an_error_of_others_is_told_without_its_text() -> None:
    def fails() -> Iterator[Result]:
        raise ValueError("https://hook.example/?sig=hunter2")
        yield

    [found] = run([Check(TOPIC, fails)], 5)

    assert found.state is State.BROKEN
    assert "ValueError" in found.found
    assert "hunter2" not in found.found + found.mend


def test_a_check_that_hangs_does_not_keep_the_others_waiting() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Result]:
        yield TOPIC.ok("this far")
        never.wait(30)

    found = run([Check(TOPIC, hangs), Check(TOPIC, lambda: [TOPIC.ok("room")])], 0.2)
    never.set()

    assert [result.found.split(",")[0] for result in found] == ["this far", "gave no answer within 0.2 s", "room"]
    assert found[1].state is State.BROKEN
