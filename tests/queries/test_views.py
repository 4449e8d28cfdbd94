"""The views `ecs.*` and `ocsf.*`: names and values are those of the schemas that they are named for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.lake import CATALOG, INLINED_ROWS, Lake
from queries.cases import case_connection, with_usual_values
from queries.published import LAYERS, publish, view_file
from queries.sandbox import Sandbox
from tests.cli import ROOT, authsunset, settings_in

VIEWS = [(layer, name) for layer, names in LAYERS.items() for name in names]
IDS = [f"{layer}.{name}" for layer, name in VIEWS]

# Fields of ECS 9 that are used here; what is our own stands below `authsunset.`.
ECS = {
    *("@timestamp", "message", "ecs.version"),
    *("event.id", "event.ingested", "event.kind", "event.category", "event.type", "event.action", "event.outcome"),
    *("event.reason", "event.code", "event.module", "event.dataset", "event.provider", "event.severity"),
    *("event.start", "event.end", "event.original"),
    *("email.from.address", "email.sender.address", "email.to.address", "email.message_id", "email.local_id"),
    *("source.ip", "source.domain", "destination.address", "destination.domain", "destination.ip"),
    *("destination.port", "user.name", "user.email", "user_agent.original", "service.name", "network.protocol"),
    *("host.name", "log.file.path", "related.ip", "related.user", "related.hosts"),
    *("rule.id", "rule.name", "rule.category", "rule.ruleset"),
}
ECS_LISTS = {
    *("event.category", "event.type", "email.from.address", "email.to.address"),
    *("related.ip", "related.user", "related.hosts"),
}
ECS_VALUES: Mapping[str, set[Any]] = {
    "event.kind": {"alert", "event"},
    "event.outcome": {"success", "failure", "unknown"},
    "event.category": {("email",), ("authentication",)},
    "event.type": {("info",), ("start",)},
}

# What OCSF 1.8 requires of each class and of the objects in it, and the values that its enumerations have.
OCSF_BASE = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
OCSF_REQUIRED = {
    "email_activity": {*OCSF_BASE, "direction_id", "email"},
    "authentication": {*OCSF_BASE, "user"},
    "detection_finding": {*OCSF_BASE, "finding_info"},
}
OCSF_UIDS = {"email_activity": (4, 4009), "authentication": (3, 3002), "detection_finding": (2, 2004)}
OCSF_VALUES: Mapping[str, Mapping[str, set[int]]] = {
    "email_activity": {
        "activity_id": {0, 1, 2, 3, 4, 99},
        "direction_id": {0, 1, 2, 3, 99},
        "status_id": {0, 1, 2, 99},
    },
    "authentication": {
        "activity_id": {0, 1, 2, 3, 4, 5, 99},
        "auth_protocol_id": {*range(13), 99},
        "logon_type_id": {0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 99},
        "status_id": {0, 1, 2, 99},
    },
    "detection_finding": {"activity_id": {0, 1, 2, 3, 99}, "status_id": {0, 1, 2, 3, 4, 5, 6, 99}},
}
OCSF_CAPTIONS: Mapping[str, Mapping[object, str]] = {
    "auth_protocol": {0: "Unknown", 6: "OAUTH 2.0", 11: "Basic Authentication"},
    "severity": {0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"},
    "direction": {0: "Unknown", 1: "Inbound", 2: "Outbound", 3: "Internal"},
}


def rows_of(layer: str, name: str, case: Mapping[str, Any]) -> list[dict[str, Any]]:
    with case_connection(case) as connection:
        found: list[dict[str, Any]] = connection.execute(view_file(layer, name).sql).to_arrow_table().to_pylist()
    return found


def is_told(wanted: Any, found: Any) -> bool:
    """Return whether `found` says what is `wanted`, as far as that says anything."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(is_told(value, found.get(key)) for key, value in wanted.items())
    return bool(wanted == found)


@pytest.mark.parametrize(("layer", "name"), VIEWS, ids=IDS)
def test_cases_of_a_view_come_out(layer: str, name: str) -> None:
    file = view_file(layer, name)

    assert file.header["title"]
    assert file.cases
    for case in file.cases:
        found = rows_of(layer, name, case)
        assert len(found) == len(case["finds"]), case["name"]
        for wanted, row in zip(case["finds"], found, strict=True):
            assert is_told(wanted, row), (case["name"], wanted, row)


@pytest.mark.parametrize("name", LAYERS["ecs"])
def test_ecs_views_use_fields_and_values_of_ecs(name: str) -> None:
    for case in view_file("ecs", name).cases:
        for row in rows_of("ecs", name, case):
            assert {field for field in row if not field.startswith("authsunset.")} <= ECS
            assert all(isinstance(row[field], list | None) for field in ECS_LISTS & row.keys())
            assert all(row[field] for field in ("@timestamp", "event.id", "event.kind", "event.category"))
            for field, values in ECS_VALUES.items():
                value = row.get(field)
                assert value is None or (tuple(value) if isinstance(value, list) else value) in values


@pytest.mark.parametrize("name", LAYERS["ocsf"])
def test_ocsf_views_have_what_is_required_and_values_of_its_enumerations(name: str) -> None:
    for case in view_file("ocsf", name).cases:
        for row in rows_of("ocsf", name, case):
            assert all(row[attribute] is not None for attribute in OCSF_REQUIRED[name])
            assert (row["category_uid"], row["class_uid"]) == OCSF_UIDS[name]
            assert row["type_uid"] == row["class_uid"] * 100 + row["activity_id"]
            assert row["severity_id"] in {0, 1, 2, 3, 4, 5, 6, 99}
            assert all(row[attribute] in values for attribute, values in OCSF_VALUES[name].items())
            for attribute, captions in OCSF_CAPTIONS.items():
                if (number := row.get(f"{attribute}_id")) in captions:
                    assert row[attribute] == captions[number]
            assert re.fullmatch(r"\d+\.\d+\.\d+", row["metadata"]["version"])
            assert row["metadata"]["product"]["name"]
            assert isinstance(row["time"], int)
            assert row["time"] == int(row["time_dt"].timestamp() * 1000)


def test_ocsf_objects_have_what_is_required_of_them() -> None:
    [first, *_] = rows_of("ocsf", "email_activity", view_file("ocsf", "email_activity").cases[0])
    users = rows_of("ocsf", "authentication", view_file("ocsf", "authentication").cases[0])
    findings = rows_of("ocsf", "detection_finding", view_file("ocsf", "detection_finding").cases[0])

    assert first["email"]["from"] == "scan@contoso.example"
    assert first["email"]["to"] == ["ops@contoso.example"]
    assert all(row["user"]["name"] for row in users)
    assert all(row["service"]["name"] for row in users), "a service or an endpoint has to be named"
    assert len({row["finding_info"]["uid"] for row in findings}) == 1
    assert {row["finding_info"]["analytic"]["type_id"] for row in findings} == {1}


def filled(folder: Path) -> Path:
    """Return `folder` with a lake in it that has a delivery."""
    with Lake.open(folder) as lake, lake.writing():
        lake.insert("deliveries", with_usual_values("deliveries", [{"sender": "scan@contoso.example"}]))
    return folder


@pytest.mark.parametrize("is_kept", [False, True], ids=["from_memory", "from_the_lake"])
def test_a_locked_down_query_has_the_views_whether_the_lake_does_or_not(is_kept: bool, tmp_path: Path) -> None:
    folder = filled(tmp_path / "lake")
    if is_kept:
        with Lake.open(folder) as lake:
            publish(lake)

    with Lake.open(folder, read_only=True) as lake:
        found = Sandbox.of(lake).run('SELECT "email.from.address" AS a FROM ecs.email').rows.to_pylist()

    assert found == [{"a": ["scan@contoso.example"]}]


def test_views_are_written_once_and_again_when_they_changed(tmp_path: Path) -> None:
    with Lake.open(filled(tmp_path / "lake")) as lake:
        first, again = publish(lake), publish(lake)
        with lake.writing():
            lake.connection.execute("CREATE OR REPLACE VIEW ecs.email AS SELECT 1 AS old")
            lake.connection.execute("UPDATE meta SET value = 'an older program' WHERE key = 'views'")
        after_an_upgrade = publish(lake)

        assert (first, again, after_an_upgrade) == (True, False, True)
        assert lake.one("SELECT count(*) FROM ecs.email") == 1
        assert lake.one("SELECT value FROM meta WHERE key = 'schema_version'") is not None


OWN_DUCKDB = """
import json, sys, duckdb
from pipeline.lake.extensions import load
connection = duckdb.connect()
for extension in ("ducklake", "sqlite_scanner"):  # `INSTALL ducklake; INSTALL sqlite` has the same from the network
    load(connection, extension)
connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
connection.execute(f"ATTACH 'ducklake:sqlite:{sys.argv[1]}' AS lake (READ_ONLY)")
counts = []
while not counts or counts[-1] < int(sys.argv[2]):
    [(rows, kinds)] = connection.execute(
        "SELECT count(*), count(DISTINCT message_id) FROM lake.deliveries"
    ).fetchall()
    counts.append(rows)
    [(in_ecs,)] = connection.execute("SELECT count(*) FROM lake.ecs.email").fetchall()
    print(json.dumps([rows, kinds, in_ecs]), flush=True)
"""
COMMITS, ROWS = 6, 7


@pytest.mark.parametrize("rows", [ROWS, INLINED_ROWS + 1], ids=["inlined", "in_files"])
def test_a_duckdb_of_its_own_reads_whole_commits_while_we_write(rows: int, tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        publish(lake)
        catalog = tmp_path / "lake" / CATALOG
        reader = subprocess.Popen(
            [sys.executable, "-c", OWN_DUCKDB, catalog.as_posix(), str(COMMITS * rows)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert reader.stdout is not None
        first = json.loads(reader.stdout.readline())
        for number in range(COMMITS):
            with lake.writing():
                given = [{"times": rows, "message_id": f"<{number}@contoso.example>"}]
                lake.insert("deliveries", with_usual_values("deliveries", given))
        seen = [first, *map(json.loads, reader.stdout)]
        reader.stdout.close()

    assert reader.wait(30) == 0
    assert first == [0, 0, 0]
    assert all(deliveries == kinds * rows for deliveries, kinds, _ in seen), "never half a commit"
    assert [each[0] for each in seen] == sorted(each[0] for each in seen)
    assert seen[-1] == [COMMITS * rows, COMMITS, COMMITS * rows]


def test_shell_answers_what_is_piped_into_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    filled(tmp_path / "lake")
    questions = ".tables\n.format csv\nSELECT sender,\n  kind FROM deliveries;\nFROM read_csv('/etc/passwd');\n.bogus\n"

    ran = subprocess.run(
        [sys.executable, "-m", "pipeline", "-c", str(settings), "shell"],
        input=questions + ".schema ecs.alert\n.duckdb\n.quit\nSELECT 'never asked'",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 1, "one of them was refused"
    assert "ecs.authentication" in ran.stdout
    assert "sender,kind\nscan@contoso.example,try\n" in ran.stdout
    assert "rule.name,VARCHAR" in ran.stdout
    assert "ATTACH 'ducklake:sqlite:" in ran.stdout
    assert "never asked" not in ran.stdout
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == ["authsunset", "authsunset"]


def test_query_names_a_view_that_was_meant(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    filled(tmp_path / "lake")

    ran = authsunset("-c", settings, "query", "--sql", "SELECT * FROM ecs.emails", cwd=tmp_path)

    assert (ran.code, ran.out) == (1, "")
    assert "did you mean ecs.email?" in ran.err
