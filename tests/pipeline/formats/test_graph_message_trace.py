from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exports.plain_pages import table_of_page
from pipeline.formats import message_trace_csv
from pipeline.formats.graph_message_trace import looks_like, parse, parse_records
from pipeline.model import TRACES, Chunk, Parsed

AS_OF = datetime(2026, 12, 31, tzinfo=UTC)
TRACE: dict[str, Any] = {
    "id": "4451A062-48cb-e80d-e8c0-196330437ae6",
    "senderAddress": "Scan@contoso.example",
    "recipientAddress": "ops@contoso.example",
    "messageId": "<1@contoso.example>",
    "receivedDateTime": "2026-12-30T08:00:01Z",
    "subject": "s",
    "size": 10,
    "fromIP": "2001:DB8::7",
    "toIP": "",
    "status": "delivered",
}


def parsed(found: Any, encoding: str = "utf-8") -> Parsed:
    body = found if isinstance(found, bytes) else json.dumps(found).encode(encoding)
    return parse(Chunk(body, "page.json", as_of=AS_OF), {})


def rows_of(found: Any, encoding: str = "utf-8") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed(found, encoding).tables["traces"].to_pylist()
    return rows


@pytest.mark.parametrize(
    "packed",
    [[TRACE], {"value": [TRACE]}, {"d": {"results": [TRACE]}}, {"d": [TRACE]}, {"value": [TRACE], "Count": 1}, TRACE],
    ids=["list", "page", "reporting_service", "older_service", "windows_powershell", "one"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_trace_is_the_same_event_however_it_is_packed(packed: Any, encoding: str) -> None:
    [row] = rows_of(packed, encoding)

    assert row["event_id"] == rows_of([TRACE])[0]["event_id"]
    assert looks_like(json.dumps(packed).encode(encoding))


@pytest.mark.parametrize("received", ["2026-12-30T08:00:01Z", "2026-12-30T08:00:01.9876543Z", "/Date(1798617601500)/"])
@pytest.mark.parametrize(("graphs", "cmdlets"), [("delivered", "Delivered"), ("filteredAsSpam", "FilteredAsSpam")])
def test_the_same_version_from_the_cmdlet_is_the_same_event(received: str, graphs: str, cmdlets: str) -> None:
    csv = (
        "Received,SenderAddress,RecipientAddress,Status,MessageTraceId,MessageId,FromIP,ToIP,Size\n"
        f"12/30/2026 8:00:01 AM,scan@contoso.example,ops@contoso.example,{cmdlets},"
        "4451a062-48cb-e80d-e8c0-196330437ae6,<1@contoso.example>,2001:db8::7,,10\n"
    )

    [row] = rows_of({"value": [{**TRACE, "receivedDateTime": received, "status": graphs}]})
    [other] = message_trace_csv.parse(Chunk(csv.encode(), "t.csv", as_of=AS_OF), {}).tables["traces"].to_pylist()

    assert row["event_id"] == other["event_id"]


def test_another_status_is_another_version() -> None:
    rows = rows_of([{**TRACE, "status": "pending"}, TRACE])

    assert len({row["event_id"] for row in rows}) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"receivedDateTime": "soon"}, "the time is 'soon'"),
        ({"receivedDateTime": None}, "the time is ''"),
        ({"receivedDateTime": "/Date(-99999999999999)/"}, "the time is '/Date(-99999999999999)/'"),
        ({"size": "²"}, "the size is '²'"),
        ({"senderAddress": ""}, "sender is empty"),
        ({"recipientAddress": {"a": 1}, "status": None}, "recipient and status is empty"),
    ],
)
def test_a_trace_that_cannot_be_read_is_a_reject(changes: dict[str, Any], reason: str) -> None:
    found = parsed({"value": [{**TRACE, **changes}, TRACE]})

    assert found.tables["traces"].num_rows == 1
    assert found.rejects[0].reason.startswith(reason)


def test_what_is_no_trace_is_left() -> None:
    found = parsed([{"id": "1", "displayName": "x"}, TRACE])

    assert (found.tables["traces"].num_rows, found.left, found.lines) == (1, 1, 2)


def test_a_page_cut_off_anywhere_costs_its_last_record_only() -> None:
    whole = json.dumps({"value": [{**TRACE, "id": str(number)} for number in range(3)]}).encode()
    third = whole.rindex(b'{"id"')

    for end in range(third + 1, whole.rindex(b"}]")):
        found = parsed(whole[:end])
        assert found.tables["traces"].num_rows == 2
        assert (len(found.rejects), found.lines) == (1, 3)


def test_the_subject_is_in_no_row() -> None:
    assert "secret" not in str(rows_of([{**TRACE, "subject": "secret"}]))


def test_a_page_without_a_trace_is_no_foreign_file() -> None:
    context = "https://graph.microsoft.com/v1.0/$metadata#admin/exchange/tracing/messageTraces"

    assert looks_like(json.dumps({"@odata.context": context, "value": []}).encode())


def test_a_time_as_windows_powershell_decorates_it_is_read() -> None:
    decorated = {"value": "/Date(1798617601500)/", "DisplayHint": 2, "DateTime": "Mittwoch, 30. Dezember 2026"}

    [row] = rows_of([{**TRACE, "receivedDateTime": decorated}])

    assert row["received_at"].isoformat() == "2026-12-30T08:00:01.500000+00:00"


def test_no_traces_are_a_table_all_the_same() -> None:
    assert parsed({"value": []}).tables["traces"].schema == TRACES


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(TRACE)) | st.text(), inner),
    max_leaves=12,
)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(TRACE, JSON))) | JSON)
def test_no_json_raises_anything_and_each_record_is_counted(found: Any) -> None:
    result = parsed(found)

    assert result.tables["traces"].num_rows + len(result.rejects) + result.left == result.lines


@given(st.binary() | st.binary().map(lambda tail: b'{"value": [' + tail))
def test_no_bytes_raise_anything(body: bytes) -> None:
    looks_like(body)

    parsed(body)


TIMES = st.sampled_from(
    [
        "2026-12-30T08:00:01Z",
        "2026-12-30T08:00:01.5Z",
        "2026-12-30T08:00:01.1234567Z",
        " 2026-12-30T08:00:01Z",
        "2026-12-30t08:00:01z",
        "2026-02-30T08:00:01Z",
        "2026-12-30T24:00:00Z",
        "2026-12-30T23:59:60Z",
        "0026-12-30T08:00:01Z",
        "2026-12-30T08:00:01+01:00",
        "2026-12-30T08:00:01",
        "20261230T080001.50Z",
        "2026-12-30T08:00:01Z\n",
    ]
)
TEXTS = st.sampled_from(
    [
        "Scan@Contoso.example",
        "<>",
        " <> ",
        "Straße@contoso.example",
        "İ@contoso.example",
        "\ud800",
        "\x00",
        "zugestellt",
    ]
) | st.text(max_size=4)
PLAIN = st.fixed_dictionaries(
    {key: TEXTS.filter(str.strip) if key in {"senderAddress", "recipientAddress", "status"} else TEXTS for key in TRACE}
    | {"receivedDateTime": st.just("2026-12-30T08:00:01.25Z"), "size": st.integers(0, 10**10 - 1)}
)
ODD = st.fixed_dictionaries(
    dict.fromkeys(TRACE, TEXTS | st.none())
    | {"receivedDateTime": TIMES, "size": st.integers() | st.booleans() | st.floats() | st.none() | st.just("10")},
    optional={"received": TIMES, "MessageTraceId": TEXTS, "Id": TEXTS, "extra": JSON, "d": JSON, "body": JSON},
)


@given(st.lists(PLAIN, max_size=3), st.lists(ODD, max_size=2), st.sampled_from(["value", "Value", "records", "time"]))
def test_a_page_read_by_columns_holds_what_its_records_do_one_by_one(
    plain: list[Any], odd: list[Any], key: str
) -> None:
    page = {"@odata.context": "https://graph.microsoft.com/", key: [*plain, *odd], "@odata.nextLink": None}
    body = Chunk(json.dumps(page).encode(), "page.json", offset=7, as_of=AS_OF)

    assert parse(body, {}) == parse_records(body)


@given(st.lists(PLAIN, min_size=1, max_size=3))
def test_a_page_as_graph_lays_it_out_is_read_by_columns(records: list[Any]) -> None:
    assert table_of_page(Chunk(json.dumps({"value": records}).encode(), "page.json", as_of=AS_OF)) is not None


@pytest.mark.parametrize("behind", ["", "\n", " {}", "]", "x"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_what_stands_around_a_page_counts_the_same(behind: str, encoding: str) -> None:
    page = json.dumps({"value": [{**TRACE, "senderAddress": "straße@contoso.example"}]}, ensure_ascii=False) + behind
    body = Chunk(page.encode(encoding), "page.json", as_of=AS_OF)

    assert parse(body, {}) == parse_records(body)
