"""The unified audit log: shapes and codes that the sample pairs do not show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.formats.unified_audit import looks_like, parse
from pipeline.model import Chunk, Parsed

RECORD: dict[str, Any] = {
    "CreationTime": "2026-12-30T08:00:01",
    "Id": "22222222-aaaa-4bbb-8ccc-000000000001",
    "Operation": "UserLoggedIn",
    "Workload": "AzureActiveDirectory",
    "ClientIP": "198.51.100.4",
    "UserId": "Scan@contoso.example",
    "ExtendedProperties": [{"Name": "UserAgent", "Value": "BAV2ROPC"}],
}


def parsed_of(body: Any) -> Parsed:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    parsed = parse(Chunk(raw, "export"), {})
    assert parsed.tables["signins"].num_rows + len(parsed.rejects) + parsed.left == parsed.lines
    return parsed


def row_of(**changes: Any) -> dict[str, Any]:
    rows: list[dict[str, Any]] = parsed_of([{**RECORD, **changes}]).tables["signins"].to_pylist()
    [row] = rows
    return row


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(RECORD),
        json.dumps([RECORD]),
        json.dumps([{"Operations": "UserLoggedIn", "AuditData": json.dumps(RECORD)}]),
        json.dumps({"value": [{"id": "q", "createdDateTime": "2026-12-30T08:00:02Z", "auditData": RECORD}]}),
        "CreationDate,UserIds,AuditData\n2026-12-30,x,\"" + json.dumps(RECORD).replace('"', '""') + '"\n',
        "\nCreationDate : 30.12.2026\nAuditData    : " + json.dumps(RECORD).replace(', "C', ',\n    "C') + "\n\n",
        '<Objs Version="1.1.0.1" xmlns="x"><Obj RefId="0"><Props><DT N="CreationDate">2026-12-30T08:00:01</DT>'
        f'<S N="AuditData">{json.dumps(RECORD)}</S></Props></Obj></Objs>',
    ],
    ids=["object", "list", "search", "graph", "csv", "printed", "clixml"],
)  # fmt: skip
def test_the_same_log_in_is_one_event_in_every_shape(body: str) -> None:
    for raw in (body.encode(), body.encode("utf-16")):
        [row] = parsed_of(raw).tables["signins"].to_pylist()

        assert looks_like(raw)
        assert row["event_id"] == row_of()["event_id"]
        assert (row["user"], row["client_ip"], row["auth_protocol"], row["service"], row["outcome"]) == (
            "scan@contoso.example", "198.51.100.4", "basic", None, "accepted",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"ErrorNumber": "0"}, "accepted"),
        ({"ErrorNumber": 50140}, "rejected"),
        ({"Operation": "UserLoginFailed"}, "rejected"),
        ({"Operation": "UserLoginFailed", "ErrorNumber": "0"}, "rejected"),
    ],
)
def test_a_log_in_with_an_error_is_no_success(changes: dict[str, Any], outcome: str) -> None:
    assert row_of(**changes)["outcome"] == outcome


@pytest.mark.parametrize("extended", [None, "x", [1, {"Name": None}, {"Name": "UserAgent", "Value": None}]])
def test_without_a_user_agent_the_protocol_is_not_known(extended: Any) -> None:
    row = row_of(ExtendedProperties=extended, UserId="Not Available", ClientIP="<null>")

    assert (row["auth_protocol"], row["user_agent"], row["user"], row["client_ip"]) == ("unknown", None, None, None)


def test_other_operations_are_left_and_a_bad_time_is_a_reject() -> None:
    parsed = parsed_of([{**RECORD, "Operation": "Set-Mailbox"}, {**RECORD, "CreationTime": "soon"}, RECORD])

    assert (parsed.left, parsed.tables["signins"].num_rows) == (1, 1)
    assert [reject.reason for reject in parsed.rejects] == ["CreationTime is 'soon'; expected a date and time"]
