"""A password in base64, put into the input of every format, is nowhere in lake, quarantine, output or messages."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from alerts.dispatch import plan
from pipeline.errors import FormatError
from pipeline.following import pull
from pipeline.ingest import run_source
from pipeline.kinds import find
from pipeline.lake import CATALOG, Lake
from pipeline.lake.tables import TABLES
from pipeline.model import Carry, Chunk
from pipeline.reading import read
from pipeline.recognise import FORMATS, always
from queries.detect import detect
from queries.detection import detections
from queries.published import publish
from tests.conftest import NOW
from tests.pipeline.formats.test_samples import AS_OF, SAMPLES, format_of

PASSWORD = "Canary-7c1d9e-Passwort!"
PAYLOADS = {
    "LOGIN": base64.b64encode(PASSWORD.encode()),
    "PLAIN": base64.b64encode(f"\0canary@contoso.example\0{PASSWORD}".encode()),
    "XOAUTH2": base64.b64encode(f"user=canary@contoso.example\1auth=Bearer {PASSWORD}\1\1".encode()),
}
SECRETS = [PASSWORD.encode(), *PAYLOADS.values()]
SPOKEN = [
    b"AUTH LOGIN " + PAYLOADS["LOGIN"],
    b"AUTH PLAIN " + PAYLOADS["PLAIN"],
    b"AUTH XOAUTH2 " + PAYLOADS["XOAUTH2"],
    b" ~> AUTH PLAIN " + PAYLOADS["PLAIN"],
    b" ~> " + PAYLOADS["LOGIN"],
    b" -> " + PAYLOADS["LOGIN"],
    b"C: " + PAYLOADS["LOGIN"],
    b"> " + PAYLOADS["LOGIN"],
    b"CLIENT -> SERVER: " + PAYLOADS["LOGIN"],
    b"send: '" + PAYLOADS["LOGIN"] + b"\\r\\n'",
    b"send: 'AUTH PLAIN " + PAYLOADS["PLAIN"] + b"\\r\\n'",
    PAYLOADS["LOGIN"],
    b"Authorization: Bearer " + PAYLOADS["XOAUTH2"],
    b"password=" + PASSWORD.encode(),
    b"S: 334 UGFzc3dvcmQ6 C: " + PAYLOADS["LOGIN"],
    b'smtp.login("canary@contoso.example", "' + PASSWORD.encode() + b'")',
]
WHERE = ["as_a_line", "behind_the_header", "at_the_end_of_each_line"]


def spoilt(body: bytes, where: str) -> bytes:
    """Return the text of a sample with credentials in it, in every second line."""
    lines = body.splitlines(keepends=True)
    found = []
    for number, line in enumerate(lines):
        said = SPOKEN[number % len(SPOKEN)]
        end = line[len(line.rstrip(b"\r\n")) :] or b"\n"
        if where == "as_a_line":
            found += [line.rstrip(b"\r\n") + end, said + end]
        elif where == "behind_the_header":
            head, colon, _ = line.rstrip(b"\r\n").partition(b": ")
            head = head if colon else b""
            found += [line.rstrip(b"\r\n") + end, head + colon + said + end]
        else:
            found.append(line.rstrip(b"\r\n") + b" " + said + end)
    return b"".join(found)


def as_text(sample: Path) -> bytes:
    raw = sample.read_bytes()
    return raw.decode("utf-16").encode() if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else raw.replace(b"\x00", b"")


def in_pieces(body: bytes) -> list[bytes]:
    """Cut a log as one that grows is cut, so that what is half read passes through `carry` as well."""
    lines = body.splitlines(keepends=True)
    size = max(7, len(lines) // 4 | 1)
    return [b"".join(lines[start : start + size]) for start in range(0, len(lines), size)]


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_read_holds_no_credential(sample: Path, where: str) -> None:
    body = spoilt(as_text(sample), where)
    format = format_of(sample)
    pieces = [body] if find(FORMATS, format).WHOLE else in_pieces(body)
    carry: Carry = {}
    offset = 0

    for number, piece in enumerate(pieces, start=1):
        chunk = Chunk(piece, "spoilt", "spoilt", offset, AS_OF, is_last=number == len(pieces))
        with contextlib.suppress(FormatError):
            parsed = read(format, chunk, carry)
            rows = [table.to_pylist() for table in parsed.tables.values()]
            carry, offset = parsed.carry, offset + len(piece)
            for secret in SECRETS:
                assert secret.decode() not in f"{rows} {parsed.rejects} {parsed.carry}", (number, piece)


def test_a_password_in_the_input_of_every_format_is_nowhere_in_the_lake_and_in_no_message(
    tmp_path: Path, lake: Lake
) -> None:
    one_of_each = {sample.parent.name: sample for sample in SAMPLES}.values()
    for number, sample in enumerate(one_of_each):
        path = tmp_path / f"{sample.parent.name}-{sample.stem}{sample.suffix}"
        path.write_bytes(spoilt(as_text(sample), WHERE[number % len(WHERE)]))
        run_source(
            lake,
            path.stem,
            lambda position, path=path, sample=sample: pull(  # type: ignore[misc]
                [str(path)], position, always(format_of(sample)), UTC, to_the_end=True
            ),
            lambda: NOW,
        )
    publish(lake)
    for each in detections():
        detect(lake, each, NOW, in_one_window=True)
    plan(lake, ["oncall"], NOW, timedelta(days=1))

    assert lake.one("SELECT count(*) FROM quarantine") > 0
    assert lake.one("SELECT count(*) FROM notifications") > 0
    for table in TABLES:
        for row in lake.arrow(f"SELECT * FROM {table}").to_pylist():
            held = str(row).encode()
            assert not [secret for secret in SECRETS if secret in held], (table, row)
    catalog = b"".join(
        (lake.folder / name).read_bytes() for name in (CATALOG, f"{CATALOG}-wal") if (lake.folder / name).exists()
    )
    assert not [secret for secret in SECRETS if secret in catalog]
