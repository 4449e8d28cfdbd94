"""The rules of the house, over all detections at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from pipeline.cli.rules import remedies
from pipeline.replies import known_replies
from queries.cases import NOW, WITH_CASES, Bench, case_connection, failures_of, failures_of_file
from queries.coverage import coverage, coverage_of_file
from queries.detection import Detection, detections
from queries.lint import lint, lint_other
from queries.sql_files import names_in, sql_file, take_apart

ALL = detections()
IDS = [detection.id for detection in ALL]
OTHERS = [(folder, name) for folder in WITH_CASES for name in names_in(folder)]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench.open() as opened:
        yield opened


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_cases_come_out(detection: Detection, bench: Bench) -> None:
    assert failures_of(detection, bench) == []


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_rules_of_the_house_are_kept(detection: Detection) -> None:
    problems = lint(f"queries/{detection.id}.sql", detection.text, remedies())

    assert not problems, "\n".join(map(str, problems))


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_each_predicate_is_told_by_a_case(detection: Detection, bench: Bench) -> None:
    covered = coverage(detection, bench)

    assert covered.mutants
    assert not covered.uncovered, "\n".join(f"line {each.line}: {each}" for each in covered.uncovered)
    assert not covered.idle_excuses


@pytest.mark.parametrize("name", names_in("over"))
def test_each_predicate_of_an_ending_is_told_by_a_case(name: str, bench: Bench) -> None:
    covered = coverage_of_file(sql_file("over", name), bench)

    assert not covered.uncovered, "\n".join(f"line {each.line}: {each}" for each in covered.uncovered)
    assert not covered.idle_excuses


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_a_healthy_lake_gives_no_rows(detection: Detection) -> None:
    healthy = {
        "given": {
            "deliveries": [
                {
                    "times": 50,
                    "sender": "fine@contoso.example",
                    "outcome": "accepted",
                    "reply_class": "accepted",
                    "auth_protocol": "oauth2",
                }
            ]
        }
    }

    with case_connection(healthy) as connection:
        parameters = {"window_start": NOW - timedelta(days=360), "window_end": NOW, **detection.params}
        assert connection.execute(detection.sql, parameters).fetchall() == []


SQL = sorted(path for path in Path(str(files("queries"))).rglob("*.sql"))


@pytest.mark.parametrize("path", SQL, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_file_names_a_reply_that_the_table_of_sentences_does_not(path: Path) -> None:
    known = {reply.reply_class for reply in known_replies()} | {"accepted", "unknown"}
    sql = take_apart(path.read_text("utf-8"))[1]

    named = {
        name
        for each in re.findall(r"reply_class (?:=|<>|(?:NOT )?IN) ?(\([^)]*\)|'\w+')", sql)
        for name in re.findall(r"'(\w+)'", each)
    }

    assert named <= known


def test_names_are_unique() -> None:
    names = [detection.id.rpartition("/")[2] for detection in ALL]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(("folder", "name"), OTHERS)
def test_other_files_hold_their_cases(folder: str, name: str, bench: Bench) -> None:
    file = sql_file(folder, name)

    assert file.header.get("title") or file.header["meaning"]
    assert failures_of_file(file, bench) == []


@pytest.mark.parametrize(("folder", "name"), OTHERS)
def test_other_files_are_laid_out_alike_and_ask_no_clock(folder: str, name: str) -> None:
    path = f"queries/{folder}/{name}.sql"
    problems = lint_other(path, (files("queries") / folder / f"{name}.sql").read_text("utf-8"))

    assert not problems, "\n".join(map(str, problems))


@pytest.mark.parametrize("name", names_in("over"))
def test_each_ending_has_a_case_that_ends_and_one_that_goes_on(name: str) -> None:
    cases = sql_file("over", name).cases

    assert {bool(case["finds"]) for case in cases} == {True, False}


def test_a_failing_case_is_said_with_what_was_found_instead() -> None:
    detection = next(each for each in ALL if each.id == "rejection/basic_auth_refused")
    wrong = {
        "name": "wrong on purpose",
        "given": {"deliveries": [{"sender": "a@contoso.example", "reply_class": "basic_retired"}]},
        "finds": [],
    }
    broken = Detection(**{name: getattr(detection, name) for name in Detection.__slots__} | {"cases": (wrong,)})

    failures = failures_of(broken)

    assert [failure.case for failure in failures] == ["wrong on purpose"]
    assert "a@contoso.example" in failures[0].sentence
