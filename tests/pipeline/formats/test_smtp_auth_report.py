from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FormatError
from pipeline.following import pull
from pipeline.formats.smtp_auth_report import looks_like, parse
from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.model import USAGE, Chunk, Parsed
from pipeline.recognise import always

WRITTEN = datetime(2027, 1, 15, tzinfo=UTC)
SUMMARY = "Sender address;Domäne;Authentication protocol;TLS 1.0;TLS 1.2;Messages sent\r\n"
REPORT = (
    "date,senderName,senderDomain,authMethod,original_client_ip,tls_version,tls_cipher,message_count,message_id\r\n"
)
POSTFIX = b"Dec  1 06:30:00 relay postfix/smtp[17]: 4F1: to=<it@contoso.example>, relay=none, status=deferred (x)\n"
EXCHANGE = (
    b"#Software: Microsoft Exchange Server\r\n#Log-type: SMTP Send Protocol Log\r\n#Fields: date-time,session-id\r\n"
)
TRACE = (
    b"Received,SenderAddress,RecipientAddress,Status\r\n2026-12-01,scan@contoso.example,it@contoso.example,Failed\r\n"
)


def parsed(body: str | bytes, written: datetime = WRITTEN) -> Parsed:
    return parse(Chunk(body.encode() if isinstance(body, str) else body, "report.csv", as_of=written), {})


def rows_of(body: str | bytes, written: datetime = WRITTEN) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed(body, written).tables["usage"].to_pylist()
    return rows


def message(
    sender: str = "scan", day: str = "2026-12-01", method: str = "Basic", count: str = "1", name: str = "m1"
) -> str:
    return f"{day},{sender},contoso.example,{method},192.0.2.17,TLS1_2,AES,{count},{name}\r\n"


def summed(sender: str = "scan@contoso.example", method: str = "Basic Authentication", count: str = "5") -> str:
    return f"{sender};contoso.example;{method};0;100;{count}\r\n"


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
@pytest.mark.parametrize(
    "text", [SUMMARY + summed() + summed("nas"), REPORT + message() + message("nas")], ids=["summary", "report"]
)
def test_every_encoding_gives_identical_rows(mark: bytes, encoding: str, text: str) -> None:
    plain = rows_of(text)

    rows = rows_of(mark + text.encode(encoding))

    assert len(rows) == 2
    assert [row | {"origin_offset": 0} for row in rows] == [row | {"origin_offset": 0} for row in plain]


def test_rows_have_the_schema_of_the_table_also_when_there_are_none() -> None:
    empty = parsed(REPORT)

    assert empty.tables["usage"].schema == USAGE
    assert (empty.tables["usage"].num_rows, empty.lines, empty.left, dict(empty.carry)) == (0, 0, 0, {})


def test_a_summary_is_dated_by_the_utc_day_it_was_written() -> None:
    just_after_midnight_in_berlin = datetime(2027, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))

    row = rows_of(SUMMARY + summed(), just_after_midnight_in_berlin)[0]

    assert (row["day"], row["first_day"], row["report"]) == (date(2026, 12, 31), None, "eac_summary")


def test_a_sender_that_uses_both_protocols_has_a_row_for_each() -> None:
    rows = rows_of(SUMMARY + summed() + summed(method="OAuth", count="7"))

    assert [(row["auth_protocol"], row["messages"]) for row in rows] == [("basic", 5), ("oauth2", 7)]


@pytest.mark.parametrize(
    ("word", "protocol"),
    [
        ("Basic", "basic"),
        ("BASIC AUTHENTICATION", "basic"),
        ("BasicAuth", "basic"),
        ("Standardauthentifizierung", "basic"),
        ("OAuth", "oauth2"),
        ("OAuth2.0", "oauth2"),
        ("XOAUTH2", "oauth2"),
        ("Modern authentication", "oauth2"),
        ("Moderne Authentifizierung", "oauth2"),
        ("Basisauthentifizierung", "basic"),
        ("Authentification de base", "basic"),
        ("Authentification moderne", "oauth2"),
        ("Autenticación básica", "basic"),
        ("Autenticacion basica", "basic"),
        ("Autenticación moderna", "oauth2"),
        ("Authentification inconnue", "unknown"),
        ("Non-Basic", "unknown"),
        ("SMTP Basic", "basic"),
        ("SaslLogin", "basic"),
        ("AUTH PLAIN", "basic"),
        ("SaslXOAuth2", "oauth2"),
        ("Plainly", "unknown"),
        ("Autenticazione di base", "basic"),
        ("Basisverificatie", "basic"),
        ("NTLM", "unknown"),
    ],
)
@pytest.mark.parametrize("is_summary", [True, False])
def test_a_protocol_is_told_by_how_its_word_begins_and_the_word_is_kept(
    word: str, protocol: str, *, is_summary: bool
) -> None:
    body = SUMMARY + summed(method=word) if is_summary else REPORT + message(method=word)

    row = rows_of(body)[0]

    assert (row["auth_protocol"], row["auth_protocol_raw"]) == (protocol, word)


@pytest.mark.parametrize("sender", ["Scan@Contoso.example", "SCAN", "scan@contoso.example"])
def test_a_full_address_and_a_local_part_name_the_same_sender(sender: str) -> None:
    row = rows_of(REPORT + message(sender))[0]

    assert row["sender"] == "scan@contoso.example"


@pytest.mark.parametrize("sender", ["", "Scanner Hall 2", "a@b@contoso.example", "@contoso.example"])
def test_what_is_no_sender_is_rejected_with_a_reason(sender: str) -> None:
    found = parsed(REPORT + message(sender) + message())

    assert [row["sender"] for row in found.tables["usage"].to_pylist()] == ["scan@contoso.example"]
    assert [f"the sender is {sender!r}" in reject.reason for reject in found.rejects] == [True]


def test_messages_of_one_day_sender_protocol_client_and_version_are_one_row() -> None:
    body = REPORT + message(name="m1") + message(name="m2", count="3") + message(day="2026-12-02", name="m3")

    rows = rows_of(body)

    assert [(row["day"], row["messages"]) for row in rows] == [(date(2026, 12, 1), 4), (date(2026, 12, 2), 1)]


def test_a_record_repeated_word_for_word_counts_once() -> None:
    found = parsed(REPORT + message() + message() + message(name="m2"))

    assert found.tables["usage"]["messages"].to_pylist() == [2]
    assert (found.lines, found.left) == (3, 1)


def test_records_without_a_message_id_all_count() -> None:
    found = parsed(REPORT + message(name="") + message(name=""))

    assert found.tables["usage"]["messages"].to_pylist() == [2]
    assert (found.lines, found.left) == (2, 0)


def test_a_later_and_larger_count_of_the_same_day_is_a_new_version() -> None:
    morning = rows_of(REPORT + message())[0]
    evening = rows_of(REPORT + message() + message(name="m2"))[0]

    assert morning["event_id"] != evening["event_id"]


def test_the_same_counts_keep_their_ids_whatever_the_order_and_the_locale() -> None:
    records = [message(name="m1", day="2026-12-13"), message("nas", name="m2", day="2026-12-13")]
    german = [record.replace("2026-12-13", "13.12.2026 06:30:00") for record in reversed(records)]

    first = {row["event_id"] for row in rows_of(REPORT + "".join(records))}
    again = {row["event_id"] for row in rows_of(REPORT + "".join(german), WRITTEN + timedelta(days=1))}

    assert first == again


@pytest.mark.parametrize(("records", "gaps"), [(99_998, 0), (99_999, 1)])
def test_a_report_of_messages_that_microsoft_cut_is_a_gap(records: int, gaps: int) -> None:
    found = parsed(REPORT + "".join(message(name=str(number)) for number in range(records)))

    assert len(found.gaps) == gaps


def test_a_report_of_one_day_that_may_be_two_is_not_guessed() -> None:
    found = parsed(REPORT + message(day="05/12/2026"))

    assert "which comes first" in found.rejects[0].reason


def test_the_day_is_the_utc_day_of_the_message() -> None:
    row = rows_of(REPORT + message(day="2027-01-01T00:30:00+01:00"))[0]

    assert row["day"] == date(2026, 12, 31)


def test_a_share_that_is_no_percentage_is_rejected_with_a_reason() -> None:
    found = parsed(SUMMARY + "scan@contoso.example;contoso.example;OAuth;some;100;5\r\n")

    assert [reject.reason for reject in found.rejects] == ["the share of TLS 1.0 is 'some'; expected a percentage"]


def test_a_summary_without_a_protocol_column_keeps_its_senders_as_unknown() -> None:
    rows = rows_of("Sender address,TLS 1.2,Messages sent\nscan@contoso.example,100,5\n")

    assert [(row["auth_protocol"], row["auth_protocol_raw"]) for row in rows] == [("unknown", None)]


@pytest.mark.parametrize(
    ("header", "missing"),
    [
        ("Sender address,Domain,Authentication protocol", "it lacks Messages sent;"),
        ("date,senderName,message_count", "it lacks authMethod;"),
        ("Name,Colour", "it lacks Sender address, Messages sent;"),
    ],
)
def test_a_header_without_a_needed_column_sets_the_file_aside(header: str, missing: str) -> None:
    with pytest.raises(FormatError) as caught:
        parsed(header + "\n1,2,3\n")

    assert all(f"'{word}'" in str(caught.value) for word in header.split(","))
    assert missing in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("header", [SUMMARY, REPORT], ids=["summary", "report"])
def test_a_head_cut_anywhere_behind_its_header_is_recognised(encoding: str, header: str) -> None:
    whole = (header + "Gerät;\r\n" * 3).encode(encoding)

    recognised = [looks_like(whole[:end]) for end in range(len(header.encode(encoding)), len(whole) + 1)]

    assert all(recognised)


@pytest.mark.parametrize(
    "foreign", [b"", b"\x00", POSTFIX, EXCHANGE, TRACE, bytes(range(256)) * 64, b"\xff\xfe", b"{}\n"]
)
def test_other_files_are_not_taken_for_a_report(foreign: bytes) -> None:
    assert not looks_like(foreign)


def test_a_table_that_only_happens_to_have_senders_and_messages_is_not_taken_for_a_report() -> None:
    assert not looks_like(b"Sender,Messages,Colour\n")


@given(st.binary(), st.sampled_from(["", SUMMARY, REPORT]), st.sampled_from(["utf-8", "utf-16-le"]))
def test_no_bytes_raise_anything_but_a_format_error(tail: bytes, header: str, encoding: str) -> None:
    body = header.encode(encoding) + tail
    looks_like(body)

    try:
        found = parsed(body)
    except FormatError:
        return

    assert len(found.rejects) + found.left <= found.lines
    assert all(body[reject.offset :].startswith(reject.raw) for reject in found.rejects)


CELLS = st.text() | st.sampled_from(["2026-12-01", "scan", "contoso.example", "Basic", "1", "9999999999", "1.234"])


@given(st.lists(st.lists(CELLS, min_size=9, max_size=9)))
def test_no_values_raise_anything_and_every_message_is_counted(records: list[list[str]]) -> None:
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in values) for values in records]
    body = REPORT + "".join(line + "\r\n" for line in quoted)

    found = parsed(body.encode("utf-8", "surrogatepass"))

    is_all_rejected = len(found.rejects) + found.left == found.lines
    assert (found.tables["usage"].num_rows == 0) == is_all_rejected


@given(st.lists(st.tuples(CELLS, st.sampled_from(["5", "1.234", "many", ""]))))
def test_each_record_of_a_summary_is_a_row_a_reject_or_left(records: list[tuple[str, str]]) -> None:
    lines = [
        '"' + sender.replace('"', '""') + f'";"contoso.example";"Basic";"0";"100";"{count}"\r\n'
        for sender, count in records
    ]

    found = parsed((SUMMARY + "".join(lines)).encode("utf-8", "surrogatepass"))

    assert found.tables["usage"].num_rows + len(found.rejects) + found.left == found.lines


@pytest.mark.parametrize(
    "header",
    [
        "Sender address,Domain,Authentication protocol,TLS 1.2,Messages sent",
        "Absenderadresse,Domäne,Authentifizierungsprotokoll,TLS 1.2 (Prozent),Gesendete Nachrichten",
        "Adresse de l'expéditeur,Domaine,Protocole d'authentification,TLS 1.2 (pourcentage),Messages envoyés",
        "Dirección del remitente,Dominio,Protocolo de autenticación,TLS 1.2 (porcentaje),Mensajes enviados",
        "Adresse des Absenders,Domäne,Authentifizierungsprotokoll,TLS 1.2 (Prozentsatz),Gesendete Nachrichten",
        "Indirizzo mittente,Dominio,Protocollo di autenticazione,TLS 1.2 (percentuale),Messaggi inviati",
        "Adres van afzender,Domein,Verificatieprotocol,TLS 1.2 (%),Verzonden berichten",
    ],
)
def test_every_language_gives_the_same_rows(header: str) -> None:
    body = header + "\nscan@contoso.example,contoso.example,Basic,100 %,1 234\n"

    [row] = rows_of(body)

    assert looks_like(body.encode())
    assert (row["auth_protocol"], row["tls_version"], row["messages"]) == ("basic", "1.2", 1234)


def keep(lake: Lake, path: Path, body: str, written: datetime) -> None:
    path.write_text(body, "utf-8")
    os.utime(path, (written.timestamp(), written.timestamp()))
    run_source(
        lake, "reports", lambda position: pull([str(path)], position, always("smtp_auth_report"), UTC), lambda: WRITTEN
    )


def counted(lake: Lake) -> dict[str, int]:
    return {
        str(row["day"]): int(row["messages"])
        for row in lake.rows("SELECT day, sum(messages) AS messages FROM sender_days GROUP BY day ORDER BY day")
    }


def days(*counts: int) -> str:
    return REPORT + "".join(
        message(day=f"2027-01-{day:02}", name=f"m{day}-{number}")
        for day, count in enumerate(counts, 1)
        for number in range(count)
    )


class TestCountsOfTwoExports:
    """What the daily sums make of the same mail in two exports."""

    def test_the_same_report_in_another_file_adds_nothing(self, lake: Lake, tmp_path: Path) -> None:
        keep(lake, tmp_path / "one.csv", days(3, 4), WRITTEN)
        keep(lake, tmp_path / "copy.csv", days(3, 4), WRITTEN + timedelta(days=3))

        assert counted(lake) == {"2027-01-01": 3, "2027-01-02": 4}

    def test_reports_over_days_that_overlap_count_each_day_once(self, lake: Lake, tmp_path: Path) -> None:
        keep(lake, tmp_path / "one.csv", days(3, 4), WRITTEN)
        keep(lake, tmp_path / "two.csv", days(0, 4, 5), WRITTEN)

        assert counted(lake) == {"2027-01-01": 3, "2027-01-02": 4, "2027-01-03": 5}

    def test_a_later_report_of_a_day_that_was_not_over_adds_what_is_more(self, lake: Lake, tmp_path: Path) -> None:
        keep(lake, tmp_path / "noon.csv", days(3), WRITTEN)
        keep(lake, tmp_path / "night.csv", days(7), WRITTEN)
        keep(lake, tmp_path / "noon_again.csv", days(3) + "\r\n", WRITTEN)

        assert counted(lake) == {"2027-01-01": 7}

    def test_summaries_written_on_one_day_count_once(self, lake: Lake, tmp_path: Path) -> None:
        keep(lake, tmp_path / "morning.csv", SUMMARY + summed(count="40"), WRITTEN)
        keep(lake, tmp_path / "evening.csv", SUMMARY + summed(count="41"), WRITTEN + timedelta(hours=9))

        assert counted(lake) == {"2027-01-15": 41}
