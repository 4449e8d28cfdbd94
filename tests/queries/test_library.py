"""Saved queries: each proves itself, and takes parameters that have types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipeline.errors import DetectionError
from pipeline.lake import Lake
from pipeline.lake.tables import TIME_KEPT
from queries.cases import case_connection, failures_of_file, with_usual_values
from queries.library import listed, saved
from queries.parameters import TYPES, parameters_in, parameters_of
from queries.sandbox import Sandbox
from queries.sql_files import SqlFile, names_in
from tests.cli import authsunset, settings_in

NOW = datetime(2026, 12, 31, 12, tzinfo=UTC)
ALL = names_in("saved")


@pytest.mark.parametrize("name", ALL)
def test_a_saved_query_has_a_title_and_cases_that_come_out(name: str) -> None:
    file = saved(name)

    assert re.match(r"[A-Z].*[^.]$", file.header["title"])
    assert file.cases
    assert failures_of_file(file) == []
    assert "ORDER BY" in file.sql
    assert not re.search(r"\bnow\s*\(|current_timestamp|current_date", file.sql, re.IGNORECASE)


@pytest.mark.parametrize("name", ALL)
def test_a_saved_query_costs_no_more_than_its_rows(name: str) -> None:
    """No join compares each row with each other one, and a bound in time reaches the table it is for."""
    file = saved(name)
    parameters = parameters_of(file, {}, NOW)
    old_and_new = {
        table: [*rows, *({**row, TIME_KEPT[table]: "-60d"} for row in rows)]
        for table, rows in file.cases[0]["given"].items()
    }
    with case_connection({"given": old_and_new}) as connection:
        [(_, plan)] = connection.execute(f"EXPLAIN (FORMAT json) {file.sql}", parameters).fetchall()

    assert not re.search(r"CROSS_PRODUCT|NESTED_LOOP_JOIN|BLOCKWISE_NL_JOIN", plan)
    if "since" in parameters:
        assert re.search(r"(event_time|received_at|noted_at|day)\s*>=", plan)


WITH_ALL_TYPES = SqlFile(
    "all_types",
    "SELECT 1",
    {
        "params": {
            "days": 7,
            "share": 0.5,
            "only_open": False,
            "since": "-30d",
            "sender": "%",
            "domains": ["contoso.example"],
            "gap": {"type": "duration", "default": "15m", "help": "How long."},
            "outcome": {"type": "choice", "choices": ["any", "accepted"], "default": "any"},
        }
    },
)


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("days=9", 9),
        ("share=0.25", 0.25),
        ("share=1", 1.0),
        ("only_open=yes", True),
        ("only_open=FALSE", False),
        ("since=-7d", NOW - timedelta(days=7)),
        ("since=2026-12-01", datetime(2026, 12, 1, tzinfo=UTC)),
        ("since=2026-12-01T06:00+01:00", datetime(2026, 12, 1, 5, tzinfo=UTC)),
        ("sender=-30d", "-30d"),
        ("domains=a.example, b.example,", ["a.example", "b.example"]),
        ("domains=", []),
        ("gap=6h", timedelta(hours=6)),
        ("outcome=accepted", "accepted"),
    ],
)
def test_a_parameter_is_read_by_its_type(given: str, value: Any) -> None:
    name, text = given.split("=", 1)

    parameters = parameters_of(WITH_ALL_TYPES, {name: text}, NOW)

    assert parameters[name] == value
    assert type(parameters[name]) is type(value)
    assert len(parameters) == 8


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("days=many", "parameter days is of type integer, such as 7; 'many' cannot be read so"),
        ("days=99999999999999999999", "parameter days is of type integer"),
        ("share=nan", "parameter share is of type number, such as 0.5"),
        ("only_open=perhaps", "parameter only_open is of type boolean, such as true or false"),
        ("since=yesterday", "parameter since is of type moment, such as -30d, 2026-12-31 or 2026-12-31T18:00"),
        ("since=-999999999d", "parameter since is of type moment"),
        ("gap=soon", "parameter gap is of type duration, such as 15m, 6h or 30d"),
        ("outcome=lost", "parameter outcome is one of these, such as any or accepted; 'lost' cannot be read so"),
        ("day=7", "has no parameter day; there is days (integer), share (number), only_open (boolean)"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_type_and_an_example(given: str, sentence: str) -> None:
    name, text = given.split("=", 1)

    with pytest.raises(DetectionError) as wrong:
        parameters_of(WITH_ALL_TYPES, {name: text}, NOW)

    assert str(wrong.value).startswith("query all_types")
    assert sentence in str(wrong.value)


@pytest.mark.parametrize(
    "said", [{"type": "colour", "default": "red"}, {"default": 1, "helpp": "x"}], ids=["unknown_type", "unknown_key"]
)
def test_a_header_that_is_wrong_is_told(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"parameter x: (no type 'colour'|unknown key helpp)"):
        parameters_in(SqlFile("wrong", "SELECT 1", {"params": {"x": said}}))


@pytest.mark.parametrize("name", ALL)
def test_each_default_can_be_given_as_it_is_shown(name: str) -> None:
    file = saved(name)
    shown = {each.name: each.shown_default for each in parameters_in(file)}

    assert parameters_of(file, shown, NOW) == parameters_of(file, {}, NOW)
    assert all(each.type in {*TYPES, "choice"} for each in parameters_in(file))
    assert {each["name"] for each in listed()} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_saved_query_runs_locked_down_on_a_lake(name: str, sandbox: Sandbox) -> None:
    found = sandbox.run(saved(name).sql, parameters_of(saved(name), {}, NOW))

    assert found.left_out is None


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("library") / "lake"
    with Lake.open(folder) as made, made.writing():
        made.insert("deliveries", with_usual_values("deliveries", [{"sender": "scan@contoso.example"}]))
    with Lake.open(folder, read_only=True) as lake:
        yield Sandbox.of(lake)


def test_the_command_tells_parameters_and_names_the_wrong_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    told = authsunset("-c", settings, "query", "refusals", "--help", cwd=tmp_path)
    general = authsunset("query", "--help", cwd=tmp_path)
    wrong = authsunset("-c", settings, "query", "refusals", "-p", "since=soon", cwd=tmp_path)

    assert "a pattern of SQL's LIKE" in told.out
    assert "authsunset query refusals -p since=-30d" in told.out
    assert "--max-rows" in general.out
    assert (wrong.code, "parameter since is of type moment" in wrong.err) == (1, True)


def test_duckdb_takes_every_type() -> None:
    parameters = parameters_of(WITH_ALL_TYPES, {}, NOW)
    names = ", ".join(f"typeof(${name})" for name in parameters)

    with duckdb.connect() as connection:
        [types] = connection.execute(f"SELECT {names}", parameters).fetchall()

    assert types[3:] == ("TIMESTAMP WITH TIME ZONE", "VARCHAR", "VARCHAR[]", "INTERVAL", "VARCHAR")
