from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FormatError
from pipeline.exports.tables import MOST_FOUND
from pipeline.formats.historical_search import looks_like, parse
from pipeline.model import TRACES, Chunk, Parsed

AS_OF = datetime(2026, 12, 31, tzinfo=UTC)
SUMMARY = (
    "origin_timestamp_utc,sender_address,recipient_status,message_subject,total_bytes,message_id,network_message_id,"
    "original_client_ip\r\n"
)
EXTENDED = (
    "date_time_utc,client_ip,source,event_id,message_id,network_message_id,recipient_address,recipient_status,"
    "total_bytes,related_recipient_address,message_subject,sender_address,original_client_ip\r\n"
)


def parsed(body: str | bytes, encoding: str = "utf-16-le") -> Parsed:
    return parse(Chunk(body.encode(encoding) if isinstance(body, str) else body, "search.csv", as_of=AS_OF), {})


def rows_of(body: str | bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed(body).tables["traces"].to_pylist()
    return rows


def message(statuses: str, subject: str = "s", number: int = 1) -> str:
    quoted = '"' + statuses.replace('"', '""') + '"'
    return f'2026-12-30T08:00:00Z,scan@contoso.example,{quoted},"{subject}",10,<{number}@x>,n{number},192.0.2.7\r\n'


def event(
    name: str, to: str = "ops@contoso.example", second: int = 0, related: str = "", *, client: str = "", ids: str = "n1"
) -> str:
    return (
        f'2026-12-30T08:00:{second:02}.5Z,203.0.113.9,SMTP,{name},,{ids},"{to}",,10,"{related}",s,'
        f"scan@contoso.example,{client}\r\n"
    )


def statuses_of(*events: str) -> dict[str, str]:
    return {row["recipient"]: row["status"] for row in rows_of(EXTENDED + "".join(events))}


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("Receive, Send", "delivered"),
        ("Receive, Deliver", "delivered"),
        ("receive,FAIL", "failed"),
        ("Receive, Send, Fail", "failed"),
        ("Receive", "pending"),
        ("Receive, Defer", "pending"),
        ("Receive, Expand", "expanded"),
        ("Receive, Quarantine", "quarantined"),
        ("Receive, Invented", "invented"),
        ("", "unknown"),
    ],
)
def test_the_last_word_of_a_recipient_decides(words: str, status: str) -> None:
    rows = rows_of(SUMMARY + message(f"ops@contoso.example##{words}"))

    assert [(row["recipient"], row["status"]) for row in rows] == [("ops@contoso.example", status)]


def test_the_recipients_of_one_message_are_rows_with_ids_of_their_own() -> None:
    rows = rows_of(SUMMARY + message("A@x.example##Receive, Send;b@x.example##Receive, Fail; c@x.example##Receive;"))

    assert [(row["recipient"], row["status"]) for row in rows] == [
        ("a@x.example", "delivered"),
        ("b@x.example", "failed"),
        ("c@x.example", "pending"),
    ]
    assert len({row["event_id"] for row in rows}) == 3


@pytest.mark.parametrize(
    "subject", ["a##Receive, Fail;b@x.example##Receive", "x\r\n2026-12-30T08:00:00Z,forged", '""', "#TYPE", "=1+1"]
)
def test_a_subject_chosen_by_a_stranger_neither_hides_nor_forges_a_row(subject: str) -> None:
    found = parsed(SUMMARY + message("a@x.example##Receive, Send", subject) + message("b@x.example##Receive", number=2))

    assert found.tables["traces"]["recipient"].to_pylist() == ["a@x.example", "b@x.example"]
    assert (found.lines, found.rejects, found.left) == (2, (), 0)


@pytest.mark.parametrize("statuses", ["nobody##Receive", "a@x.example##Receive;Receive", "a b@x.example##Receive"])
def test_what_is_no_recipient_makes_the_record_a_reject(statuses: str) -> None:
    found = parsed(SUMMARY + message(statuses))

    assert found.tables["traces"].num_rows == 0
    assert "expected address##status" in found.rejects[0].reason


def test_a_sender_that_the_summary_does_not_name_is_not_the_null_sender() -> None:
    body = (
        SUMMARY
        + "2026-12-30T08:00:00Z,,a@x.example##Receive,,,,,\r\n2026-12-30T08:00:00Z,<>,a@x.example##Send,,,,,\r\n"
    )

    assert [row["sender"] for row in rows_of(body)] == [None, ""]


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (("RECEIVE",), "pending"),
        (("RECEIVE", "DEFER"), "pending"),
        (("RECEIVE", "DEFER", "DELIVER"), "delivered"),
        (("RECEIVE", "SEND"), "delivered"),
        (("RECEIVE", "SEND", "FAIL"), "failed"),
        (("RECEIVE", "FAIL", "RECEIVE"), "failed"),
        (("RECEIVE", "FAIL", "RESUBMIT", "DELIVER"), "delivered"),
        (("RECEIVE", "DELIVER", "AGENTINFO"), "delivered"),
        (("RECEIVE", "HADISCARD"), "pending"),
        (("HARECEIVE",), "unknown"),
        (("HARECEIVE", "RECEIVE"), "pending"),
    ],
)
@pytest.mark.parametrize("is_backwards", [False, True])
def test_the_last_event_that_says_something_decides_wherever_it_stands(
    events: tuple[str, ...], status: str, *, is_backwards: bool
) -> None:
    lines = [event(name, second=second) for second, name in enumerate(events)]

    assert statuses_of(*(reversed(lines) if is_backwards else lines)) == {"ops@contoso.example": status}


def test_a_group_is_expanded_and_its_members_are_on_their_way_until_they_have_it() -> None:
    found = statuses_of(
        event("RECEIVE", "all@x.example", 0),
        event("EXPAND", "a@x.example;b@x.example", 1, related="all@x.example"),
        event("DELIVER", "a@x.example", 2),
    )

    assert found == {"all@x.example": "expanded", "a@x.example": "delivered", "b@x.example": "pending"}


def test_the_first_event_tells_time_and_client_of_the_message() -> None:
    [row] = rows_of(EXTENDED + event("DELIVER", second=5) + event("RECEIVE", second=1, client="198.51.100.4"))

    assert (row["received_at"].second, row["from_ip"]) == (1, "198.51.100.4")


def test_a_server_of_microsoft_is_never_taken_for_the_client() -> None:
    [row] = rows_of(EXTENDED + event("RECEIVE"))

    assert row["from_ip"] is None


def test_messages_without_any_id_are_not_put_together() -> None:
    rows = rows_of(EXTENDED + event("RECEIVE", ids="", second=1) + event("FAIL", ids="", second=2))

    assert [row["status"] for row in rows] == ["pending", "failed"]


@pytest.mark.parametrize("header", [SUMMARY, EXTENDED])
def test_rows_have_the_schema_of_the_table_also_when_there_are_none(header: str) -> None:
    found = parsed(header)

    assert found.tables["traces"].schema == TRACES
    assert (found.tables["traces"].num_rows, found.lines, found.gaps) == (0, 0, ())


@pytest.mark.parametrize(
    ("header", "missing"),
    [("origin_timestamp_utc,recipient_status", "sender_address"), ("date_time_utc,event_id", "network_message_id")],
)
def test_a_header_without_a_needed_column_sets_the_file_aside(header: str, missing: str) -> None:
    with pytest.raises(FormatError, match=missing):
        parsed(header + "\n1,2\n")


def test_two_halves_in_one_file_are_no_export_that_was_cut() -> None:
    half = message("a@x.example##Receive") * (MOST_FOUND // 2)

    found = parsed(SUMMARY + half + SUMMARY + half, "utf-8")

    assert (found.lines, found.left, found.gaps) == (MOST_FOUND + 1, 1, ())


@pytest.mark.parametrize("header", [SUMMARY, EXTENDED])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_head_cut_anywhere_behind_its_header_is_recognised(header: str, encoding: str) -> None:
    whole = (header + "Gerät,\r\n" * 3).encode(encoding)

    assert all(looks_like(whole[:end]) for end in range(len(header.encode(encoding)), len(whole) + 1))


@given(st.binary(), st.sampled_from(["", SUMMARY, EXTENDED]), st.sampled_from(["utf-8", "utf-16-le"]))
def test_no_bytes_raise_anything_but_a_format_error(tail: bytes, header: str, encoding: str) -> None:
    body = header.encode(encoding) + tail
    looks_like(body)

    try:
        found = parsed(body)
    except FormatError:
        return

    assert len(found.rejects) + found.left <= found.lines
    assert all(body[reject.offset :].startswith(reject.raw) for reject in found.rejects)


CELLS = st.text() | st.sampled_from(
    ["2026-12-30", "a@x.example##Receive, Send;b@x.example##Fail", "scan@x", "7", "FAIL"]
)


@given(st.lists(st.lists(CELLS, min_size=8, max_size=8)))
def test_each_record_of_a_summary_has_rows_or_is_a_reject_or_left(records: list[list[str]]) -> None:
    quoted = [",".join('"' + value.replace('"', '""') + '"' for value in values) for values in records]
    body = SUMMARY + "".join(line + "\r\n" for line in quoted)

    found = parsed(body.encode("utf-8", "surrogatepass"))

    with_rows = len(set(found.tables["traces"]["origin_offset"].to_pylist()))
    assert with_rows + len(found.rejects) + found.left == found.lines
