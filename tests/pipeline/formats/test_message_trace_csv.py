from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FormatError
from pipeline.formats.message_trace_csv import looks_like, parse
from pipeline.model import TRACES, Chunk, Parsed

WRITTEN = datetime(2027, 1, 15, tzinfo=UTC)
HEADER = '"Subject","Received","SenderAddress","RecipientAddress","Status","FromIP","Size","MessageTraceId"\r\n'
ROWS = (
    '"Gerät 7","2026-12-01 06:30:00","scan@contoso.example","it@contoso.example","Delivered","192.0.2.17","10","A1"\r\n'
    '"Übersicht","2026-12-01 06:31:00","erp@contoso.example","it@contoso.example","Failed","192.0.2.18","11","A2"\r\n'
)
POSTFIX = b"Dec  1 06:30:00 relay postfix/smtp[17]: 4F1: to=<it@contoso.example>, relay=none, status=deferred (x)\n"
EXCHANGE = (
    b"#Software: Microsoft Exchange Server\r\n#Log-type: SMTP Send Protocol Log\r\n#Fields: date-time,session-id\r\n"
)
SUMMARY = (
    b"Sender address,Domain,Authentication protocol,Messages sent\r\nscan@contoso.example,contoso.example,OAuth,1\r\n"
)


def parsed(body: str | bytes, written: datetime = WRITTEN, origin: str = "trace.csv") -> Parsed:
    return parse(Chunk(body.encode() if isinstance(body, str) else body, origin, as_of=written), {})


def rows_of(body: str | bytes, written: datetime = WRITTEN, origin: str = "trace.csv") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed(body, written, origin).tables["traces"].to_pylist()
    return rows


def record(subject: str = "s", received: str = "2026-12-01 06:30:00", status: str = "Delivered") -> str:
    subject = subject.replace('"', '""')
    return f'"{subject}","{received}","scan@contoso.example","it@contoso.example","{status}","192.0.2.17","10","A1"\r\n'


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"", "cp1252"),
        (b"\xff\xfe", "utf-16-le"),
        (b"", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("before", ["", "#TYPE System.Management.Automation.PSCustomObject\r\n"])
def test_every_encoding_and_delimiter_gives_identical_rows(
    mark: bytes, encoding: str, delimiter: str, before: str
) -> None:
    plain = rows_of(HEADER + ROWS)
    text = before + (HEADER + ROWS).replace('","', f'"{delimiter}"')

    rows = rows_of(mark + text.encode(encoding))

    assert [row | {"origin_offset": 0} for row in rows] == [row | {"origin_offset": 0} for row in plain]


def test_rows_have_the_schema_of_the_table_also_when_there_are_none() -> None:
    empty = parsed(HEADER)

    assert empty.tables["traces"].schema == TRACES
    assert (empty.tables["traces"].num_rows, empty.lines, empty.left, dict(empty.carry)) == (0, 0, 0, {})


def test_the_same_version_keeps_its_id_in_another_file_of_another_day() -> None:
    other = "#TYPE System.Object\r\n" + HEADER + record(subject="other words")

    first = rows_of(HEADER + record())[0]
    again = rows_of(other, datetime(2027, 2, 1, tzinfo=UTC), "copy.csv")[0]

    assert first["event_id"] == again["event_id"]
    assert (first["seen_at"], again["seen_at"]) == (WRITTEN, datetime(2027, 2, 1, tzinfo=UTC))


def test_the_same_version_keeps_its_id_whatever_the_locale_of_the_export() -> None:
    german = rows_of(HEADER + record(received="01.12.2026 06:30:00"))
    american = rows_of(HEADER + record(received="12/1/2026 6:30:00 AM"))

    assert german == american


def test_another_status_is_another_version() -> None:
    pending, delivered = rows_of(HEADER + record(status="Pending") + record(status="Delivered"))

    assert pending["event_id"] != delivered["event_id"]


def test_one_date_decides_how_all_dates_of_the_file_are_read() -> None:
    alone = rows_of(HEADER + record(received="05/12/2026 08:00:00"))
    together = rows_of(HEADER + record(received="05/12/2026 08:00:00") + record(received="13/12/2026 08:00:00"))

    assert alone == []
    assert together[0]["received_at"] == datetime(2026, 12, 5, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "subject",
    [
        "# cut here",
        "#TYPE System.Object",
        "sep=;",
        'he said "no", twice',
        '","2026-12-01 06:30:00","forged@contoso.example","it@contoso.example","Failed","192.0.2.1","1","F"',
        "\r\n" * 200,
        "a\r\nb\nc\rd\u2028e\x00f",
        "=HYPERLINK(1)",
        "\x1b]0;title\x07",
        "🖨" * 255,
        HEADER.strip(),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_subject_chosen_by_a_stranger_neither_hides_nor_forges_a_record(subject: str, encoding: str) -> None:
    body = HEADER + record(subject) + record(status="Failed")

    found = parsed(body.encode(encoding))

    rows = found.tables["traces"].to_pylist()
    assert [(row["sender"], row["status"]) for row in rows] == [
        ("scan@contoso.example", "delivered"),
        ("scan@contoso.example", "failed"),
    ]
    assert (found.rejects, found.left) == ((), 0)


def test_the_subject_is_in_no_row() -> None:
    rows = rows_of(HEADER + record("a secret plan"))

    assert "a secret plan" not in str(rows)


def test_a_header_without_a_needed_column_sets_the_file_aside_and_says_what_is_there() -> None:
    with pytest.raises(FormatError) as caught:
        parsed("Received,SenderAddress\n2026-12-01,scan@contoso.example\n")

    assert str(caught.value).startswith(
        "trace.csv: the header names 'Received', 'SenderAddress'; it lacks RecipientAddress, Status;"
    )


def test_an_empty_file_is_not_a_trace() -> None:
    with pytest.raises(FormatError, match="the header names nothing"):
        parsed(b"")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("before", ["", "#TYPE System.Object\r\n"])
def test_a_head_cut_anywhere_behind_its_header_is_recognised(encoding: str, before: str) -> None:
    whole = (before + HEADER + ROWS).encode(encoding)
    start = len((before + HEADER).encode(encoding))

    recognised = [looks_like(whole[:end]) for end in range(start, len(whole) + 1)]

    assert all(recognised)


@pytest.mark.parametrize(
    "foreign", [b"", b"\x00", POSTFIX, EXCHANGE, SUMMARY, bytes(range(256)) * 64, b"\xff\xfe", b"{}\n"]
)
def test_other_files_are_not_taken_for_a_trace(foreign: bytes) -> None:
    assert not looks_like(foreign)


def test_a_log_that_quotes_the_header_in_a_later_line_is_not_taken_for_a_trace() -> None:
    assert not looks_like(POSTFIX + HEADER.encode() + ROWS.encode())


@given(st.binary() | st.binary().map(lambda tail: HEADER.encode() + tail), st.sampled_from(["utf-8", "utf-16-le"]))
def test_no_bytes_raise_anything_but_a_format_error(body: bytes, encoding: str) -> None:
    body = body if encoding == "utf-8" else HEADER.encode(encoding) + body
    looks_like(body)

    try:
        found = parsed(body)
    except FormatError:
        return

    assert found.tables["traces"].num_rows + len(found.rejects) + found.left == found.lines
    assert all(body[reject.offset :].startswith(reject.raw) for reject in found.rejects)


@given(st.lists(st.lists(st.text(), min_size=8, max_size=8)))
def test_no_values_raise_anything_and_all_records_are_counted(records: list[list[str]]) -> None:
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in values) for values in records]
    body = HEADER + "".join(line + "\r\n" for line in quoted)

    found = parsed(body.encode("utf-8", "surrogatepass"))

    assert found.tables["traces"].num_rows + len(found.rejects) + found.left == found.lines


CENTER = "Date (UTC),Sender,Recipient,Subject,Status\n"


def seen(
    header: str = CENTER, status: str = "Delivered", times: int = 1, zone: tzinfo = UTC, time: str = "2026-12-30 08:00"
) -> list[dict[str, Any]]:
    body = header + f"{time},Scan@contoso.example,it@contoso.example,s,{status}\n" * times
    found = parse(Chunk(body.encode(), "trace.csv", as_of=WRITTEN, zone=zone), {})
    rows: list[dict[str, Any]] = found.tables["traces"].to_pylist()
    return rows


@pytest.mark.parametrize(
    ("header", "hour"),
    [
        ("Received,SenderAddress,RecipientAddress,Subject,Status\n", 8),
        ("Date (UTC),Sender,Recipient,Subject,Status\n", 8),
        ("Date (UTC+01:00),Sender,Recipient,Subject,Status\n", 7),
        ("Date (UTC-08:00),Sender address,Recipient address,Subject,Status\n", 16),
        ("Datum,Absender,Empfänger,Betreff,Status\n", 6),
        ("Datum (UTC),Absenderadresse,Empfängeradresse,Betreff,Status\n", 8),
        ("Date,Expéditeur,Destinataire,Objet,État\n", 6),
        ("Date (UTC+02:00),Adresse de l’expéditeur,Adresse du destinataire,Objet,Statut\n", 6),
        ("Fecha (UTC),Remitente,Destinatario,Asunto,Estado\n", 8),
    ],
)
def test_the_admin_center_is_read_in_every_language_and_zone(header: str, hour: int) -> None:
    [row] = seen(header, zone=timezone(timedelta(hours=2)))

    assert looks_like(header.encode())
    assert (row["sender"], row["recipient"], row["received_at"].hour) == (
        "scan@contoso.example", "it@contoso.example", hour,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Delivered", "delivered"),
        ("Zugestellt", "delivered"),
        ("Remis", "delivered"),
        ("Filtered as spam", "filteredasspam"),
        ("FilteredAsSpam", "filteredasspam"),
        ("Getting status", "gettingstatus"),
        ("Fehlgeschlagen", "failed"),
        ("Échec", "failed"),
        ("Something New", "something new"),
    ],
)
def test_a_status_has_one_word_in_every_language(word: str, status: str) -> None:
    assert [row["status"] for row in seen(status=word)] == [status]


def test_messages_without_an_id_in_the_same_moment_all_count_and_keep_their_ids() -> None:
    two, three = seen(times=2), seen(times=3)

    assert len({row["event_id"] for row in three}) == 3
    assert [row["event_id"] for row in three[:2]] == [row["event_id"] for row in two]


def test_the_same_export_appended_to_itself_has_its_messages_once() -> None:
    body = (CENTER + "2026-12-30 08:00,a@contoso.example,b@contoso.example,s,Delivered\n" * 2) * 2

    assert len({row["event_id"] for row in rows_of(body)}) == 2


def test_the_fraction_of_a_second_makes_no_other_version() -> None:
    rows = seen(time="2026-12-30 08:00:01") + seen(time="2026-12-30 08:00:01.234")

    assert rows[0]["event_id"] == rows[1]["event_id"]
    assert rows[1]["received_at"].microsecond == 234_000


def test_an_export_of_many_records_is_one_table() -> None:
    found = parsed(CENTER + "2026-12-30 08:00,a@contoso.example,b@contoso.example,s,Delivered\n" * 20_000)

    assert found.tables["traces"].num_rows == found.lines == 20_000
    assert found.tables["traces"]["event_id"].num_chunks == 1
