"""What holds for each program that joins lines, however its log is cut into reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.kinds import find
from pipeline.lines import Line
from pipeline.model import Carry, event_id_of
from pipeline.recognise import PROGRAMS
from tests.pipeline.programs.reading_logs import SAMPLE_DATA, Rows, read, rows_of

NAMES = ("dma", "msmtp", "nullmailer", "opensmtpd", "sendmail", "ssmtp")
SAMPLES = sorted(path for name in NAMES for path in (SAMPLE_DATA / name).glob("*.log"))
OTHERS = (
    b"Dear colleagues, the relay said 550 5.7.30 Basic authentication is not supported for Client Submission.",
    b"sender,recipient,reply",
    b"> msmtp: server message: 550 5.7.30 Basic authentication is not supported",
    b"A1B2C3D4E5: to=<ops@contoso.example>, relay=none, delay=1, delays=1/0/0/0, dsn=4.7.30, status=deferred (x)",
    b"4T1abc2DEFz9xYz: from=<scan@contoso.example>, size=842, nrcpt=1 (queue active)",
    b"sendmail: warning: /etc/mail is writable",
    b'{"host": "smtp.office365.com", "tls": "on"}',
)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_log_cut_behind_any_line_gives_the_same_rows_and_counts_each_line_once(sample: Path) -> None:
    whole = read(sample.read_bytes())

    rows: Rows = []
    carry: Carry = {}
    offset = 0
    lines = sample.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        parsed = read(line, carry, offset, is_last=number == len(lines))
        carry = json.loads(json.dumps(parsed.carry))
        offset += len(line)
        made = rows_of(parsed) + rows_of(parsed, "signins")
        rows += made
        assert number == len(lines) or parsed.lines == len(parsed.rejects) + parsed.left + bool(made)

    assert _sorted(rows) == _sorted(rows_of(whole) + rows_of(whole, "signins"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_line_is_lost_wherever_the_file_ends(sample: Path) -> None:
    body = sample.read_bytes()

    for end in range(0, len(body), max(1, len(body) // 40)):
        parsed = read(body[:end])

        made = {row["origin_offset"] for table in parsed.tables.values() for row in table.to_pylist()}
        assert parsed.lines >= len(parsed.rejects) + parsed.left
        assert len(made) <= parsed.lines


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_two_rows_are_one_event(sample: Path) -> None:
    parsed = read(sample.read_bytes())

    names = [row["event_id"] for row in rows_of(parsed) + rows_of(parsed, "signins")]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", OTHERS)
def test_what_others_write_is_not_taken(name: str, words: bytes) -> None:
    reader = find(PROGRAMS, name).Reader({})

    assert not reader.owns(Line(None, None, b"", b"", words, words, 0, is_bare=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "piece",
    [b'"', b"<", b'\\"', b"a,", b"<a>,", b" recipients=", b", relay=", b" smtpmsg='", b"to=", b"(", b" ", b'<">'],
)
def test_a_hostile_line_is_soon_gone_over(name: str, piece: bytes) -> None:
    many = piece * (200_000 // len(piece))
    reader = find(PROGRAMS, name).Reader({})
    for begin in (
        b"host=h tls=on auth=on from=",
        b"5BU801ab000701: to=<",
        b"5BU801ab000701: from=<",
        b"5BU801ab000701: to=<a>, delay=1, reply=",
        b"0123456789abcdef mta delivery evpid=0123456789abcdef from=<",
        b"From: <a> to: <",
        b"mail to=<",
        b"remote delivery ",
        b"RCPT TO:<",
        b"AUTH=server, relay=",
        b"Authorization failed (",
    ):
        line = Line(None, "h", b"", b"1.2", begin + many, begin + many, 0)

        reader.owns(line)
        reader.read(line)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dma", b"new mail from user=app uid=1 envelope_from=<app@contoso.example>"),
        ("dma", b"<ops@contoso.example> trying delivery"),
        ("msmtp", b"msmtp: authentication failed (method PLAIN)"),
        ("nullmailer", b"Starting delivery: host: smtp.office365.com protocol: smtp file: 1"),
        ("opensmtpd", b"0123456789abcdef smtp connected address=192.0.2.9 host=mfp.contoso.example"),
        ("opensmtpd", b"0123456789abcdef smtp message msgid=01234567 size=1 nrcpt=1 proto=ESMTP"),
        ("sendmail", b"5BU801ab000701: from=<scan@contoso.example>, size=1, class=0, nrcpts=1, relay=[192.0.2.9]"),
    ],
)
def test_the_carry_stays_bounded(name: str, message: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    module = find(PROGRAMS, name)
    monkeypatch.setattr(module, "MOST_OPEN", 5)
    reader = module.Reader({})
    for number in range(50):
        reader.read(Line(None, f"h{number}", b"", b"1.2", message, message, 0))

    kept = reader.carry()

    assert [len(each) for each in kept.values()] == [5]
    assert any("h49" in key for each in kept.values() for key in each)
    assert json.loads(json.dumps(kept)) == kept


def _sorted(rows: Rows) -> Rows:
    # Where a try is closed at the end of its log, the line at hand differs, and with it the name that a row has.
    return sorted(rows, key=lambda row: event_id_of(*(f"{name}={row[name]}" for name in sorted(row))))
