"""Each sample beside its expected rows: a format's manual, and the net under every change of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.kinds import find, known
from pipeline.model import SCHEMAS, Carry, Chunk, Parsed
from pipeline.reading import read
from pipeline.recognise import FORMATS, LOG, PROGRAMS, programs, recognise

SAMPLE_DATA = Path(__file__).parents[3] / "sample_data"
NAMES = sorted({*known(FORMATS), *programs()} - {LOG})
SAMPLES = sorted(
    path
    for name in NAMES
    for path in (SAMPLE_DATA / name).glob("*")
    if path.name != "README.md" and not path.name.endswith(".expected.json")
)
AS_OF = datetime(2027, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample_is_parsed_as_expected(sample: Path) -> None:
    parsed = parse_whole(sample)

    assert all(rows.select(SCHEMAS[table].names).schema == SCHEMAS[table] for table, rows in parsed.tables.items())
    assert as_json(parsed) == json.loads(expected_of(sample).read_text("utf-8"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample_is_recognised_by_its_content_alone(sample: Path) -> None:
    kind = recognise(sample.read_bytes())

    assert kind is not None
    assert kind.name == format_of(sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_row_of_a_log_names_the_program_that_wrote_it(sample: Path) -> None:
    if format_of(sample) != LOG:
        return

    named = {name for rows in parse_whole(sample).tables.values() for name in rows["format"].to_pylist()}

    assert named <= programs()
    assert sample.parent.name in named or not named


@pytest.mark.parametrize("name", NAMES)
def test_each_format_says_what_it_reads_and_what_it_leaves_and_has_samples(name: str) -> None:
    module = find(PROGRAMS if name in programs() else FORMATS, name)

    assert "Reads:" in (module.__doc__ or "")
    assert "Leaves:" in (module.__doc__ or "")
    assert [sample for sample in SAMPLES if sample.parent.name == name]


@pytest.mark.parametrize("name", known(FORMATS))
@pytest.mark.parametrize(
    "head",
    [b"", b"\x00\x01\x02\xff" * 64, b"hello\nworld\n", b"\xff\xfe", b"#Fields:\n"],
    ids=["empty", "binary", "prose", "bom", "other"],
)
def test_no_format_takes_what_is_not_its_own(name: str, head: bytes) -> None:
    assert not find(FORMATS, name).looks_like(head)


def format_of(sample: Path) -> str:
    return LOG if sample.parent.name in programs() else sample.parent.name


def expected_of(sample: Path) -> Path:
    return sample.with_name(f"{sample.stem}.expected.json")


def parse_whole(sample: Path) -> Parsed:
    """Return all that `sample` holds, read as its recognised format; a log is closed at its end."""
    format = format_of(sample)
    first = parsed_of(format, sample.name, sample.read_bytes(), {})
    if find(FORMATS, format).WHOLE:
        return first
    return _together(first, parsed_of(format, sample.name, b"", first.carry, is_last=True))


def parsed_of(format: str, origin: str, body: bytes, carry: Carry, *, is_last: bool = False) -> Parsed:
    return read(format, Chunk(body, origin, "sample", as_of=AS_OF, zone=UTC, is_last=is_last), carry)


def _together(first: Parsed, rest: Parsed) -> Parsed:
    tables = {
        name: pa.concat_tables([part.tables[name] for part in (first, rest) if name in part.tables])
        for name in {**first.tables, **rest.tables}
    }
    return Parsed(tables, first.rejects + rest.rejects, rest.carry, first.lines + rest.lines, first.left + rest.left)


def as_json(parsed: Parsed) -> dict[str, Any]:
    return {
        "tables": {
            table: [_plain(row) for row in rows.select(SCHEMAS[table].names).to_pylist()]
            for table, rows in parsed.tables.items()
        },
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
