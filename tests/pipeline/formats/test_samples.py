"""Each sample beside its expected rows: a format's manual, and the net under every change of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.kinds import find, known
from pipeline.model import SCHEMAS, Chunk, Parsed
from pipeline.recognise import recognise

SAMPLE_DATA = Path(__file__).parents[3] / "sample_data"
FORMATS = known("pipeline.formats")
SAMPLES = sorted(path for name in FORMATS for path in (SAMPLE_DATA / name).glob("*") if path.suffix in {".log", ".csv"})
AS_OF = datetime(2027, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample_is_parsed_as_expected(sample: Path) -> None:
    format = find("pipeline.formats", sample.parent.name)

    parsed = parse_whole(format, sample)

    assert all(rows.schema == SCHEMAS[table] for table, rows in parsed.tables.items())
    assert as_json(parsed) == json.loads(sample.with_suffix(".expected.json").read_text("utf-8"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample_is_recognised_by_its_content_alone(sample: Path) -> None:
    kind = recognise(sample.read_bytes())

    assert kind is not None
    assert kind.name == sample.parent.name


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_says_what_it_reads_and_what_it_leaves_and_has_samples(name: str) -> None:
    format = find("pipeline.formats", name)

    assert "Reads:" in (format.__doc__ or "")
    assert "Leaves:" in (format.__doc__ or "")
    assert [sample for sample in SAMPLES if sample.parent.name == name]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "head",
    [b"", b"\x00\x01\x02\xff" * 64, b"hello\nworld\n", b"\xff\xfe", b"#Fields:\n"],
    ids=["empty", "binary", "prose", "bom", "other"],
)
def test_no_format_takes_what_is_not_its_own(name: str, head: bytes) -> None:
    assert not find("pipeline.formats", name).looks_like(head)


def parse_whole(format: ModuleType, sample: Path) -> Parsed:
    body = Chunk(body=sample.read_bytes(), origin=sample.name, identity="sample", as_of=AS_OF, zone=UTC)
    first: Parsed = format.parse(body, {})
    if format.WHOLE:
        return first
    rest: Parsed = format.parse(
        Chunk(body=b"", origin=sample.name, identity="sample", as_of=AS_OF, is_last=True), first.carry
    )
    tables = {
        table: rows if not rest.tables[table].num_rows else _together(rows, rest.tables[table])
        for table, rows in first.tables.items()
    }
    return Parsed(tables, first.rejects + rest.rejects, rest.carry, first.lines + rest.lines, first.left + rest.left)


def _together(rows: Any, more: Any) -> Any:
    import pyarrow as pa

    return pa.concat_tables([rows, more])


def as_json(parsed: Parsed) -> dict[str, Any]:
    return {
        "tables": {table: [_plain(row) for row in rows.to_pylist()] for table, rows in parsed.tables.items()},
        "rejects": [{"offset": reject.offset, "reason": reject.reason} for reject in parsed.rejects],
        "lines": parsed.lines,
        "left": parsed.left,
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, (datetime, date)) else value
        for name, value in row.items()
        if value is not None
    }
