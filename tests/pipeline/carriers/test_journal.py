"""The systemd journal in each of its forms: the same entries, wherever a read ends."""

from __future__ import annotations

import json
import lzma
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.kinds import find
from pipeline.lines import Line
from pipeline.model import Chunk, Reject

CAPTURE = Path(__file__).parents[2] / "fixtures" / "captures" / "postfix-journal"
AS_OF = datetime(2026, 12, 1, tzinfo=UTC)
ENTRY = {
    "__CURSOR": "s=1;i=1",
    "__REALTIME_TIMESTAMP": "1795458242220030",
    "_HOSTNAME": "Relay04",
    "SYSLOG_IDENTIFIER": "postfix/smtp",
    "SYSLOG_PID": "7",
}


def read(form: str, body: bytes, cuts: tuple[int, ...] = ()) -> list[Line]:
    memory: dict[str, Any] = {}
    found: list[Line] = []
    starts = [0, *cuts, len(body)]
    pieces = [body[start:end] for start, end in pairwise(starts)]
    for number, piece in enumerate([*pieces, b""]):
        chunk = Chunk(
            piece, "journal", offset=sum(map(len, pieces[:number])), as_of=AS_OF, is_last=number == len(pieces)
        )
        for each in find("pipeline.carriers", f"journal_{form}").records(chunk, memory):
            assert not isinstance(each, Reject), each
            if each:
                found.append(each)
        memory = json.loads(json.dumps(memory))
    return found


def entries(form: str) -> bytes:
    return lzma.decompress((CAPTURE / f"journal.{form}.xz").read_bytes())


def export(message: bytes) -> bytes:
    fields = b"".join(f"{name}={value}\n".encode() for name, value in ENTRY.items())
    return fields + b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n_UID=0\n\n"


@pytest.mark.parametrize("form", ["json", "export", "verbose"])
def test_each_form_tells_the_same_lines(form: str) -> None:
    body = entries(form)

    told = {(line.host, line.tag, line.message) for line in read(form, body)}

    other = {(line.host, line.tag, line.message) for line in read("json", entries("json"))}
    assert len(told) > 500
    assert len(told ^ other) <= 2  # journald began a moment earlier in one of them


@pytest.mark.parametrize("message", [b"two\nlines", b"no utf-8: \xff", b"MESSAGE=forged\n\n__CURSOR=x"])
def test_a_binary_value_is_read_whole_wherever_a_read_ends(message: bytes) -> None:
    body = export(b"first") + export(message) + export(b"last")

    for cut in range(1, len(body)):
        assert [line.message for line in read("export", body, (cut,))] == [b"first", message, b"last"]


@pytest.mark.parametrize("form", ["json-pretty", "json-sse", "json-seq"])
def test_other_forms_of_json_tell_the_same_lines_wherever_a_read_ends(form: str) -> None:
    entries = [{**ENTRY, "MESSAGE": said} for said in ("first", "}", "last")]
    texts = {
        "json-pretty": [json.dumps(entry, indent=8).encode() + b"\n" for entry in entries],
        "json-sse": [b"data: " + json.dumps(entry).encode() + b"\n\n" for entry in entries],
        "json-seq": [b"\x1e" + json.dumps(entry).encode() + b"\n" for entry in entries],
    }[form]
    body = b"".join(texts)

    assert find("pipeline.carriers", "journal_json").looks_like(body)
    for cut in (place + 1 for place, byte in enumerate(body) if byte == 0x0A):
        assert [line.message for line in read("json", body, (cut,))] == [b"first", b"}", b"last"]


def test_a_message_of_byte_numbers_is_read() -> None:
    body = json.dumps({**ENTRY, "MESSAGE": list(b"caf\xe9"), "LIST": ["a", "b"]}).encode() + b"\n"

    [line] = read("json", body)

    assert (line.message, line.host, line.tag, line.pid) == (b"caf\xe9", "relay04", b"postfix/smtp", b"7")
    assert line.time == datetime(2026, 11, 23, 18, 24, 2, 220030, tzinfo=UTC)


def test_an_entry_keeps_its_name_when_its_fields_come_in_another_order() -> None:
    one = json.dumps({**ENTRY, "MESSAGE": "x", "_UID": "0"}).encode()
    other = json.dumps({"MESSAGE": "x", **ENTRY}).encode()

    assert [line.raw for line in read("json", one)] == [line.raw for line in read("json", other)]
