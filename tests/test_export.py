"""`lake export`: plain files that any tool reads, whole or not there."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.cli.output import _harmless
from pipeline.errors import LakeError
from pipeline.lake import Lake
from pipeline.lake.export import export
from pipeline.lake.tables import TABLES
from queries.cases import with_usual_values
from queries.published import publish
from tests.cli import authsunset, settings_in
from tests.hostile import HOSTILE

FORMULAS = [
    "=1+1",
    "  +cmd",
    "@SUM(A1)",
    "-2",
    "ok\n=HYPERLINK()",
    "＝1",
    "\t=1",
    "harmless",
    "a=b",
    "ends in -",
    "\u00a0@x",
    "first\n\nthird",
    'quoted "=x"',
    *(text for text in HOSTILE.values() if not re.search("[\ud800-\udfff]", text)),
]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """Yield a lake with deliveries that begin like formulas, in a few commits, and its layers."""
    with Lake.open(tmp_path / "lake") as opened:
        rows = [{"sender": "scan@contoso.example", "reply_text": text} for text in FORMULAS]
        with opened.writing():
            opened.insert("deliveries", with_usual_values("deliveries", rows))
        with opened.writing():
            opened.insert(
                "deliveries", with_usual_values("deliveries", [{"event_time": "-40d", "sender": "old@contoso.example"}])
            )
            opened.insert("sender_days", with_usual_values("sender_days", [{"day": "-40d"}, {"day": "-1d"}]))
        publish(opened)
        yield opened


def test_each_table_is_a_folder_of_parquet_with_its_schema_and_all_rows(lake: Lake, tmp_path: Path) -> None:
    done = {each.table: each.rows for each in export(lake, tmp_path / "out")}

    assert {path.name for path in (tmp_path / "out").iterdir()} == set(TABLES) == set(done)
    for table, schema in TABLES.items():
        read = pq.read_table(tmp_path / "out" / table / f"{table}.parquet")
        assert read.num_rows == done[table] == lake.one(f"SELECT count(*) FROM {table}")
        assert read.column_names == schema.names
    file = pq.ParquetFile(tmp_path / "out" / "deliveries" / "deliveries.parquet")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert done["deliveries"] == len(FORMULAS) + 1


def test_csv_guards_formulas_as_all_csv_that_we_print(lake: Lake, tmp_path: Path) -> None:
    export(lake, tmp_path / "out", format="csv", tables=["deliveries"])

    with (tmp_path / "out" / "deliveries" / "deliveries.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    texts = {row["reply_text"] for row in rows if row["sender"] == "scan@contoso.example"}
    assert texts == {_harmless(text) for text in FORMULAS}
    assert {row["event_time"] for row in rows} == {"2026-12-31T22:55:00.000000Z", "2026-11-21T23:00:00.000000Z"}


def test_views_are_written_when_they_are_named(lake: Lake, tmp_path: Path) -> None:
    done = export(lake, tmp_path / "out", tables=["ecs.email", "ocsf.email_activity", "traces_latest"])

    assert [each.rows for each in done] == [len(FORMULAS) + 1, len(FORMULAS) + 1, 0]
    assert "email.from.address" in pq.read_schema(tmp_path / "out" / "ecs.email" / "ecs.email.parquet").names


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_since_leaves_out_what_is_older_by_moment_and_by_day(format: str, lake: Lake, tmp_path: Path) -> None:
    since = datetime(2026, 12, 1, tzinfo=UTC)

    done = {each.table: each.rows for each in export(lake, tmp_path / "out", format=format, since=since)}

    assert (done["deliveries"], done["sender_days"], done["meta"]) == (len(FORMULAS), 1, 2)


def test_nothing_is_written_over_unless_asked(lake: Lake, tmp_path: Path) -> None:
    export(lake, tmp_path / "out", tables=["traces"])

    with pytest.raises(LakeError, match=r"holds an export of traces already; .*--overwrite"):
        export(lake, tmp_path / "out", tables=["traces", "signins"])

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["traces"]
    export(lake, tmp_path / "out", format="csv", tables=["traces", "signins"], overwrite=True)
    assert {path.name for path in (tmp_path / "out").rglob("*.*")} == {"traces.csv", "signins.csv"}


def test_what_fails_leaves_nothing_behind(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match=r"no table or view '\.\./meta' to export; there is deliveries"):
        export(lake, tmp_path / "out", tables=["deliveries", "../meta"])

    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_prints_the_rows_of_each_table(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with Lake.open(tmp_path / "lake") as lake, lake.writing():
        lake.insert("signins", with_usual_values("signins", [{"times": 3}]))

    ran = authsunset(
        *("-c", settings, "lake", "export", "--to", tmp_path / "out", "--format", "csv"),
        *("--table", "signins", "--table", "ecs.authentication"),
        cwd=tmp_path,
    )

    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()[3:5]] == [["signins", "3"], ["ecs.authentication", "3"]]
    assert ran.err.startswith("6 rows in ")
