"""A row is traced back to the line that it came from, wherever rotation has put that."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.lake import Lake
from pipeline.origin import Told, trace_of
from tests.cli import ROOT, authsunset, settings_in

LOG = (ROOT / "sample_data" / "relay01" / "mail.iso.log").read_bytes()
PASSWORD = "dGhpcyBpcyBhIHNlY3JldA=="


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return settings whose lake holds a relay's log, with a line in quarantine at its end."""
    folder = tmp_path_factory.mktemp("origin")
    settings = settings_in(folder)
    (folder / "logs" / "mail.log").write_bytes(LOG)
    assert authsunset("-c", settings, "ingest", cwd=folder).code == 0
    return settings


@pytest.fixture
def lake(made: Path) -> Iterator[Lake]:
    """Yield the lake; the log stands at its old place again afterwards."""
    folder = made.parent / "logs"
    with Lake.open(made.parent / "lake", read_only=True) as opened:
        yield opened
    for path in folder.iterdir():
        path.unlink()
    (folder / "mail.log").write_bytes(LOG)


def told_of(lake: Lake, count: int = 5) -> list[Told]:
    ids = [row["event_id"] for row in lake.rows("SELECT event_id FROM deliveries ORDER BY hash(event_id) LIMIT 5")]
    told = [each for event_id in ids for each in trace_of(lake, event_id)]
    assert len(told) == count
    return told


def test_the_line_is_read_again_from_its_place(lake: Lake) -> None:
    for told in told_of(lake):
        assert told.trouble is None
        line = LOG[told.row["origin_offset"] :].split(b"\n", 1)[0].decode()
        assert told.raw == line
        assert told.row["queue_id"] in line
        assert told.read_at is not None


@pytest.mark.parametrize("name", ["mail.log.1", "mail.log.1.gz", "mail.log-20261124.gz"])
def test_a_rotated_or_packed_part_is_found(name: str, lake: Lake) -> None:
    logs = lake.folder.parent / "logs"
    part = logs / name
    part.write_bytes(gzip.compress(LOG) if name.endswith("gz") else LOG)
    (logs / "mail.log").write_bytes(b"2026-11-25T00:00:01+00:00 relay01 postfix/qmgr[9]: NEW1: removed\n" * 400)

    for told in told_of(lake):
        assert (told.trouble, told.path) == (None, str(part))
        assert told.row["queue_id"] in str(told.raw)


def test_a_file_that_is_gone_or_holds_something_else_is_told(lake: Lake) -> None:
    log = lake.folder.parent / "logs" / "mail.log"
    log.write_bytes(b"2026-11-25T00:00:01+00:00 relay01 postfix/qmgr[9]: NEW1: removed\n" * 4000)
    replaced = told_of(lake)
    log.unlink()
    gone = told_of(lake)

    assert all(told.raw is None for told in [*replaced, *gone])
    assert all("holds something else at byte" in str(told.trouble) for told in replaced)
    assert all("is gone, and no rotated part of it lies beside it" in str(told.trouble) for told in gone)


def test_what_came_from_no_file_is_told(tmp_path: Path) -> None:
    stamped = {"source": "traces", "format": "graph_message_trace", "origin_offset": 0, "event_id": "e1"}
    with Lake.open(tmp_path / "lake") as lake:
        with lake.writing():
            lake.insert("traces", [{**stamped, "origin": "graph:contoso.onmicrosoft.com/messageTraces"}])
        [told] = trace_of(lake, "e1")

    assert told.trouble == "graph:contoso.onmicrosoft.com/messageTraces is no file that could be read again"


def test_credentials_are_taken_out_of_the_line(tmp_path: Path) -> None:
    line = f"2026-11-23T18:25:05+00:00 relay01 app: scan@contoso.example AUTH PLAIN {PASSWORD}\n"
    (tmp_path / "app.log").write_text(line, "utf-8")
    row = {
        "source": "app",
        "format": "generic",
        "origin": str(tmp_path / "app.log"),
        "origin_offset": 0,
        "event_id": "e1",
        "sender": "scan@contoso.example",
        "event_time": datetime(2026, 11, 23, tzinfo=UTC),
    }
    with Lake.open(tmp_path / "lake") as lake:
        with lake.writing():
            lake.insert("deliveries", [row])
        [told] = trace_of(lake, "e1")

    assert PASSWORD not in str(told.raw)
    assert "scan@contoso.example AUTH PLAIN [redacted]" in str(told.raw)


def test_a_record_in_quarantine_is_found_by_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "mail.log").write_bytes(b"\xff\xfe torn line of a relay\nnext\n")
    row = {
        "source": "relay",
        "format": "log",
        "origin": str(tmp_path / "mail.log"),
        "origin_offset": 0,
        "event_id": "q1",
        "reason": "no time",
        "raw": b"torn line of a relay",
    }
    with Lake.open(tmp_path / "lake") as lake:
        with lake.writing():
            lake.insert("quarantine", [row])
        [told] = trace_of(lake, "q1")

    assert told.table == "quarantine"
    assert "torn line of a relay" in str(told.raw) or told.trouble


def test_the_command_prints_row_and_line(made: Path) -> None:
    with Lake.open(made.parent / "lake", read_only=True) as lake:
        event_id = lake.one("SELECT min(event_id) FROM signins")

    shown = authsunset("-c", made, "trace-row", event_id, cwd=made.parent)
    as_json = authsunset("-c", made, "trace-row", event_id, "--format", "json", cwd=made.parent)
    unknown = authsunset("-c", made, "trace-row", "no-such-event", cwd=made.parent)

    [told] = json.loads(as_json.out)
    assert (shown.code, as_json.code) == (0, 0)
    assert told["table"] == "signins"
    assert told["raw"] in shown.out
    assert told["row"]["event_id"] == event_id
    assert (unknown.code, unknown.out) == (1, "")
    assert "is called 'no-such-event'" in unknown.err
