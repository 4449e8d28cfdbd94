"""
Whatever the bytes, no format raises but as designed, and each record read ends in exactly one place.

Bounded here; AUTHSUNSET_FUZZ=n mutates each sample n times (200 takes about ten minutes on two cores).
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import FormatError
from pipeline.kinds import find
from pipeline.model import SCHEMAS, Carry, Chunk, Parsed
from pipeline.reading import read
from pipeline.recognise import FORMATS, recognise
from tests.hostile import HOSTILE
from tests.pipeline.formats.test_samples import AS_OF, SAMPLES, format_of

ROUNDS = int(os.environ.get("AUTHSUNSET_FUZZ", "6"))
WORDS = [word.encode("utf-8", "surrogatepass") for word in HOSTILE] + [
    b"\x00", b"\xff\xfe", b"\r", b"\n\n", b'"', b"'", b"\\", b"{", b"}", b"[" * 300, b"<" * 300, b"(" * 300, b";", b",",
    b"550 5.7.30 Basic authentication is not supported for Client Submission.", b"9" * 400, b" " * 5_000,
]  # fmt: skip


def flipped(body: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 12)):
        body[chance.randrange(len(body))] = chance.randrange(256)


def cut_out(body: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(body))
    del body[start : start + chance.randint(1, 200)]


def inserted(body: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(body))
    body[place:place] = chance.choice(WORDS)


def repeated(body: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(body))
    body[start:start] = body[start : start + chance.randint(1, 400)] * chance.randint(1, 4)


def shuffled(body: bytearray, chance: random.Random) -> None:
    lines = bytes(body).splitlines(keepends=True)
    chance.shuffle(lines)
    body[:] = b"".join(lines)


def ended(body: bytearray, chance: random.Random) -> None:
    del body[chance.randrange(len(body)) :]


MUTATIONS: list[Callable[[bytearray, random.Random], None]] = [flipped, cut_out, inserted, repeated, shuffled, ended]


def mutated(body: bytes, seed: int) -> bytes:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
    changed = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        if changed:
            chance.choice(MUTATIONS)(changed, chance)
    return bytes(changed)


def parsed_in_pieces(format: str, body: bytes, seed: int) -> list[Parsed]:
    """Return what `body` holds, cut behind lines as the file source does where the format is followed."""
    if find(FORMATS, format).WHOLE:
        pieces = [body]
    else:
        lines = body.splitlines(keepends=True)
        cut = random.Random(seed).randint(0, len(lines))  # noqa: S311
        pieces = [b"".join(lines[:cut]), b"".join(lines[cut:])]
    parsed: list[Parsed] = []
    carry: Carry = {}
    offset = 0
    for number, piece in enumerate(pieces, start=1):
        chunk = Chunk(piece, "fuzz", "fuzz", offset, AS_OF, is_last=number == len(pieces))
        each = read(format, chunk, carry)
        carry = json.loads(json.dumps(each.carry))
        offset += len(piece)
        parsed.append(each)
    return parsed


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_bytes_make_a_format_raise_and_each_record_ends_in_one_place(sample: Path) -> None:
    for seed in range(ROUNDS):
        body = mutated(sample.read_bytes(), seed)
        recognise(body[: 1 << 18])
        try:
            found = parsed_in_pieces(format_of(sample), body, seed)
        except FormatError:
            continue
        for parsed in found:
            rows = sum(table.num_rows for table in parsed.tables.values())
            assert 0 <= parsed.left + len(parsed.rejects) <= parsed.lines, f"seed {seed}"
            assert rows or parsed.left + len(parsed.rejects) == parsed.lines or parsed.carry, f"seed {seed}"
            for name, table in parsed.tables.items():
                assert table.select(SCHEMAS[name].names).schema == SCHEMAS[name]
                assert None not in table["event_id"].to_pylist(), f"seed {seed}"
