"""What holds for each format and program, on all samples: no line is lost, and where a read ends is no matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.kinds import find
from pipeline.model import Carry, Chunk, Parsed
from pipeline.reading import read
from pipeline.recognise import FORMATS
from tests.pipeline.formats.test_samples import AS_OF, SAMPLES, format_of, parse_whole

FOLLOWED = [sample for sample in SAMPLES if not find(FORMATS, format_of(sample)).WHOLE]
WHOLE = [sample for sample in SAMPLES if sample not in FOLLOWED]
MOST_CUTS = 8


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def read_in(format: str, pieces: list[bytes]) -> tuple[list[str], list[int], int, int]:
    """Return rows, rejects, lines and left of a log that comes in pieces; between two, the carry goes through JSON."""
    rows: list[str] = []
    rejects: list[int] = []
    carry: Carry = {}
    lines = left = offset = 0
    for number, piece in enumerate([*pieces, b""], start=1):
        chunk = Chunk(piece, "log", "log", offset, AS_OF, is_last=number == len(pieces) + 1)
        parsed = read(format, chunk, carry)
        rows += [json.dumps(row, default=str, sort_keys=True) for row in rows_of(parsed)]
        rejects += [reject.offset for reject in parsed.rejects]
        carry = json.loads(json.dumps(parsed.carry))
        lines, left, offset = lines + parsed.lines, left + parsed.left, offset + len(piece)
    return sorted(rows), rejects, lines, left


def rows_of(parsed: Parsed) -> list[dict[str, Any]]:
    return [row for table in parsed.tables.values() for row in table.to_pylist()]


@pytest.mark.parametrize("sample", FOLLOWED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_log_cut_behind_any_line_yields_the_same_as_the_whole(sample: Path) -> None:
    body = sample.read_bytes()
    whole = read_in(format_of(sample), [body])
    ends = [place + 1 for place, byte in enumerate(body[:-1]) if byte == ord("\n")]
    step = max(1, len(ends) // MOST_CUTS)

    for cut in ends[::step]:
        assert read_in(format_of(sample), pieces_of(body, [cut])) == whole
    assert read_in(format_of(sample), pieces_of(body, ends)) == whole


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_line_ends_in_one_place(sample: Path) -> None:
    parsed = parse_whole(sample)

    assert parsed.left + len(parsed.rejects) <= parsed.lines
    assert rows_of(parsed) or parsed.left + len(parsed.rejects) == parsed.lines


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_event_has_a_name_of_its_own_and_a_time(sample: Path) -> None:
    parsed = parse_whole(sample)

    for rows in parsed.tables.values():
        ids = rows["event_id"].to_pylist()
        assert None not in ids
        assert len(set(ids)) == len(ids)
    assert all(
        row["event_time"]
        for table in ("deliveries", "signins")
        if table in parsed.tables
        for row in parsed.tables[table].to_pylist()
    )


@pytest.mark.parametrize("sample", WHOLE, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_export_read_again_has_the_same_events(sample: Path) -> None:
    first, again = (
        {
            row["event_id"]
            for row in rows_of(read(format_of(sample), Chunk(sample.read_bytes(), name, name, as_of=AS_OF), {}))
        }
        for name in ("one", "other")
    )

    assert first == again
