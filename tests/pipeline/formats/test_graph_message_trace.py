from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats import message_trace_csv
from pipeline.formats.graph_message_trace import looks_like, parse
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
