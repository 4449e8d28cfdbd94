"""The rules of the house, over all detections at once."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from pipeline.lake.tables import TABLES, TIME_KEPT
from queries.cases import NOW, WITH_CASES, case_connection, failures_of, failures_of_file
from queries.detection import Detection, detections
from queries.sql_files import names_in, sql_file
from queries.tuning import SEVERITIES

ALL = detections()
IDS = [detection.id for detection in ALL]


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_cases_come_out(detection: Detection) -> None:
    assert failures_of(detection) == []


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_cases_fire_stay_silent_and_stand_at_the_edge_of_the_window(detection: Detection) -> None:
    firing = [case for case in detection.cases if case["finds"]]
    silent = [case for case in detection.cases if not case["finds"]]
    edges = [
        case
        for case in detection.cases
        if any(TIME_KEPT.get(table) in row for table, rows in case["given"].items() for row in rows)
    ]

    assert firing
    assert silent
    assert edges


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_header_is_whole(detection: Detection) -> None:
    assert detection.severity in SEVERITIES
    assert all(f"{{{name}}}" in detection.title for name in detection.about)
    assert detection.why.endswith(".")
    assert detection.known_gaps
    assert detection.references
    assert all(reference.startswith("https://") for reference in detection.references)
    assert timedelta(minutes=1) <= detection.every <= detection.window
    assert detection.over_when in names_in("over")


@pytest.mark.parametrize("detection", ALL, ids=IDS)
def test_query_reads_the_tables_that_it_names_and_no_clock(detection: Detection) -> None:
    used = set(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", detection.sql)) & set(TABLES)

    assert used == set(detection.reads)
    assert not re.search(r"\bnow\s*\(|current_timestamp|current_date", detection.sql, re.IGNORECASE)
    assert "ORDER BY" in detection.sql


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


def test_names_are_unique() -> None:
    names = [detection.id.rpartition("/")[2] for detection in ALL]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(("folder", "name"), [(folder, name) for folder in WITH_CASES for name in names_in(folder)])
def test_other_files_hold_their_cases(folder: str, name: str) -> None:
    file = sql_file(folder, name)

    assert file.header.get("title") or file.header["meaning"]
    assert failures_of_file(file) == []


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
