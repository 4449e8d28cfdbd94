"""Exports of Microsoft's services: what the sample pairs cannot show."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.following import pull
from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.model import Chunk
from pipeline.reading import read
from pipeline.recognise import always, recognise
from tests.conftest import NOW

AS_OF = datetime(2026, 12, 31, tzinfo=UTC)
SIGN_IN: dict[str, Any] = {
    "id": "11111111-aaaa-4bbb-8ccc-000000000001",
    "createdDateTime": "2026-12-30T08:00:01.1234567Z",
    "userPrincipalName": "scan@contoso.example",
    "ipAddress": "198.51.100.4",
    "clientAppUsed": "Authenticated SMTP",
    "userAgent": "BAV2ROPC",
    "status": {"errorCode": 0},
}


def rows(format: str, body: str | bytes, as_of: datetime = AS_OF) -> list[dict[str, Any]]:
    raw = body.encode() if isinstance(body, str) else body
    kind = recognise(raw)
    assert kind is not None
    assert kind.name == format
    parsed = read(format, Chunk(raw, "export", "export", as_of=as_of), {})
    return [row for table in parsed.tables.values() for row in table.to_pylist()]


def log_analytics(**changes: Any) -> dict[str, Any]:
    return {
        "TimeGenerated": SIGN_IN["createdDateTime"],
        "Id": SIGN_IN["id"],
        "UserPrincipalName": SIGN_IN["userPrincipalName"],
        "IPAddress": SIGN_IN["ipAddress"],
        "ClientAppUsed": SIGN_IN["clientAppUsed"],
        "UserAgent": SIGN_IN["userAgent"],
        "ResultType": "0",
        "Status": json.dumps(SIGN_IN["status"]),
        "Category": "SignInLogs",
        **changes,
    }


SHAPES = {
    "graph_page": json.dumps({"value": [SIGN_IN]}, indent=1),
    "two_pages": json.dumps({"value": []}) + "\n" + json.dumps({"value": [SIGN_IN]}),
    "array": json.dumps([SIGN_IN]),
    "lines": json.dumps(SIGN_IN) + "\n",
    "log_analytics": json.dumps([log_analytics()]),
    "event_hub": json.dumps({"records": [{"time": "x", "category": "SignInLogs", "properties": SIGN_IN}]}),
    "properties_as_text": json.dumps({"time": "x", "category": "SignInLogs", "properties": json.dumps(SIGN_IN)}),
    "with_a_mark": "\ufeff" + json.dumps([SIGN_IN]),
}


class TestSignIns:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_same_sign_in_is_the_same_event_in_every_shape(self, shape: str) -> None:
        [row] = rows("entra_signins", SHAPES[shape])

        assert (row["user"], row["auth_protocol"], row["service"], row["outcome"]) == (
            "scan@contoso.example", "basic", "exchange_online", "accepted",
        )  # fmt: skip
        assert row["event_id"] == rows("entra_signins", SHAPES["array"])[0]["event_id"]

    @pytest.mark.parametrize(
        ("changes", "protocol", "service"),
        [
            ({"clientAppUsed": "SMTP", "userAgent": ""}, "basic", "exchange_online"),
            ({"clientAppUsed": "IMAP4"}, "basic", None),
            ({"clientAppUsed": "Other clients", "userAgent": "CBAinPROD"}, "basic", None),
            ({"clientAppUsed": "Browser", "userAgent": "x", "authenticationProtocol": "rpoc"}, "basic", None),
            ({"clientAppUsed": "Browser", "userAgent": "x", "authenticationProtocol": "oAuth2"}, "oauth2", None),
            (
                {"clientAppUsed": "Authenticated SMTP", "userAgent": "", "authenticationProtocol": "oAuth2"},
                "oauth2",
                "exchange_online",
            ),
            (
                {"clientAppUsed": "New App", "userAgent": "", "authenticationProtocol": "unknownFutureValue"},
                "unknown",
                None,
            ),
            ({"clientAppUsed": "", "userAgent": ""}, "unknown", None),
        ],
    )
    def test_what_is_not_known_is_a_row_all_the_same(
        self, changes: dict[str, Any], protocol: str, service: str | None
    ) -> None:
        [row] = rows("entra_signins", json.dumps([{**SIGN_IN, **changes}]))

        assert (row["auth_protocol"], row["service"]) == (protocol, service)

    @pytest.mark.parametrize(
        ("code", "outcome"), [(0, "accepted"), ("0", "accepted"), (50126, "rejected"), (50140, "rejected")]
    )
    def test_only_code_0_is_a_success(self, code: Any, outcome: str) -> None:
        [row] = rows("entra_signins", json.dumps([{**SIGN_IN, "status": {"errorCode": code}}]))

        assert row["outcome"] == outcome


def historical(records: int) -> bytes:
    lines = ["origin_timestamp_utc,sender_address,recipient_status,message_id,network_message_id,total_bytes"]
    lines += [
        f"2026-12-30T08:00:00Z,scan@contoso.example,ops@contoso.example##Receive,<{number}@x>,{number},1"
        for number in range(records)
    ]
    return "\r\n".join(lines).encode("utf-16-le")


@pytest.mark.parametrize(("records", "gaps"), [(99_998, 0), (99_999, 1)])
def test_an_export_that_microsoft_cut_is_a_gap(records: int, gaps: int) -> None:
    parsed = read("historical_search", Chunk(historical(records), "search.csv", as_of=AS_OF), {})

    assert len(parsed.gaps) == gaps
    assert parsed.lines == records
    assert all("search a shorter time" in gap.cause for gap in parsed.gaps)


def test_the_gap_of_an_export_is_in_the_lake_once(tmp_path: Any, lake: Lake) -> None:
    path = tmp_path / "search.csv"
    path.write_bytes(historical(100_000).replace(b"\r\x00\n\x00", b"\n\x00"))

    for _ in range(2):
        run_source(
            lake, "exports", lambda position: pull([str(path)], position, always("historical_search"), UTC), lambda: NOW
        )

    assert lake.one("SELECT count(*) FROM gaps") == 1
    assert lake.one("SELECT count(*) FROM traces") == 100_000


def test_the_same_version_of_a_trace_is_one_event_in_csv_and_in_json() -> None:
    csv = (
        "Received,SenderAddress,RecipientAddress,Status,MessageTraceId,MessageId,FromIP,ToIP,Size\n"
        "2026-12-30T08:00:01Z,scan@contoso.example,ops@contoso.example,Delivered,ABC,<1@x>,198.51.100.4,,10\n"
    )
    page = {
        "value": [
            {
                "id": "abc", "senderAddress": "Scan@contoso.example", "recipientAddress": "ops@contoso.example",
                "messageId": "<1@x>", "receivedDateTime": "2026-12-30T08:00:01Z", "size": 10, "fromIP": "198.51.100.4",
                "toIP": "", "status": "delivered",
            }
        ]
    }  # fmt: skip

    [one], [other] = rows("message_trace_csv", csv), rows("graph_message_trace", json.dumps(page))

    assert one["event_id"] == other["event_id"]


class TestExposure:
    @pytest.mark.parametrize(
        ("word", "state"), [("True", True), ("Falsch", False), ("", None), ("Vrai", True), ("$null", None)]
    )
    def test_the_switch_of_a_mailbox_has_three_states(self, word: str, state: bool | None) -> None:
        csv = f'"PrimarySmtpAddress","SmtpClientAuthenticationDisabled"\r\n"Scan@contoso.example","{word}"\r\n'

        [row] = rows("mailbox_exposure", csv)

        assert (row["scope"], row["name"], row["smtp_auth_disabled"]) == ("mailbox", "scan@contoso.example", state)

    def test_null_in_json_inherits(self) -> None:
        found = rows(
            "mailbox_exposure",
            json.dumps([{"PrimarySmtpAddress": "a@x.example", "SmtpClientAuthenticationDisabled": None}]),
        )

        assert [row["smtp_auth_disabled"] for row in found] == [None]

    def test_the_same_state_on_another_day_is_another_row(self) -> None:
        body = json.dumps(
            {"Name": "Transport Settings", "SmtpClientAuthenticationDisabled": True, "MaxReceiveSize": "1"}
        )
        days = [AS_OF, AS_OF + timedelta(hours=1), AS_OF + timedelta(days=1)]

        ids = [rows("mailbox_exposure", body, day)[0]["event_id"] for day in days]

        assert ids[0] == ids[1] != ids[2]
