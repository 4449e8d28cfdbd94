"""Entra sign-ins: shapes, codes and hostile files that the sample pairs do not show."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.entra_signins import looks_like, parse
from pipeline.model import Chunk, Parsed

AS_OF = datetime(2027, 1, 15, tzinfo=UTC)
GRAPH: dict[str, Any] = {
    "id": "11111111-AAAA-4bbb-8ccc-000000000001",
    "createdDateTime": "2026-12-30T08:00:01.1234567Z",
    "userPrincipalName": "Scan@contoso.example",
    "appDisplayName": "Office 365 Exchange Online",
    "ipAddress": "198.51.100.4",
    "clientAppUsed": "Authenticated SMTP",
    "userAgent": "BAV2ROPC",
    "resourceDisplayName": "Office 365 Exchange Online",
    "status": {"errorCode": 0, "failureReason": "Other."},
}
LINE = json.dumps(GRAPH)


def parsed_of(body: str | bytes | list[Any] | dict[str, Any]) -> Parsed:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    parsed = parse(Chunk(raw, "export", as_of=AS_OF), {})
    rows = parsed.tables["signins"].num_rows
    assert rows + len(parsed.rejects) + parsed.left == parsed.lines
    return parsed


def rows_of(body: str | bytes | list[Any] | dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed_of(body).tables["signins"].to_pylist()
    return rows


def row_of(**changes: Any) -> dict[str, Any]:
    [row] = rows_of([{**GRAPH, **changes}])
    return row


SAME = {
    "printed by PowerShell": json.dumps({key[0].upper() + key[1:]: value for key, value in GRAPH.items()}, indent=4),
    "the answer of a batch": json.dumps({"responses": [{"id": "1", "status": 200, "body": {"value": [GRAPH]}}]}),
    "a message of an Event Hub": json.dumps([{"Body": json.dumps({"records": [{"properties": GRAPH, **GRAPH}]})}]),
    "with a time as PowerShell 5 writes it": json.dumps({**GRAPH, "createdDateTime": "/Date(1798617601123)/"}),
    "with a time as PowerShell 5 decorates it": json.dumps(
        {**GRAPH, "createdDateTime": {"value": "/Date(1798617601123)/", "DisplayHint": 2, "DateTime": "Mittwoch"}}
    ),
    "with a status that PowerShell cut": json.dumps([{**GRAPH, "status": "@{ErrorCode=0; FailureReason=Other.}"}]),
    "with time before T": json.dumps({**GRAPH, "createdDateTime": "2026-12-30 08:00:01.123456789"}),
    "with another zone": json.dumps({**GRAPH, "createdDateTime": "2026-12-30T10:00:01.1234567+02:00"}),
    "with empty properties": json.dumps({"time": "x", "category": "SignInLogs", **GRAPH, "properties": ""}),
    "columns and rows": json.dumps(
        {"Tables": [{"Columns": [{"ColumnName": key} for key in GRAPH], "Rows": [list(GRAPH.values())]}]}
    ),
    "hunting": json.dumps(
        {
            "schema": [],
            "results": [
                {
                    "Timestamp": GRAPH["createdDateTime"],
                    "RequestId": GRAPH["id"],
                    "AccountUpn": GRAPH["userPrincipalName"],
                    "Application": GRAPH["appDisplayName"],
                    "IPAddress": GRAPH["ipAddress"],
                    "ClientAppUsed": GRAPH["clientAppUsed"],
                    "UserAgent": GRAPH["userAgent"],
                    "ResourceDisplayName": GRAPH["resourceDisplayName"],
                    "ErrorCode": 0,
                }
            ],
        }
    ),
    "portal": '"Date (UTC)","Request ID","User","Username","Application","Resource","IP address","Status",'
    '"Sign-in error code","Failure reason","Client app"\r\n"2026-12-30T08:00:01Z",'
    '"11111111-aaaa-4bbb-8ccc-000000000001","Scanner","scan@contoso.example","Office 365 Exchange Online",'
    '"Office 365 Exchange Online","198.51.100.4",'
    '"Success","","Other.","Authenticated SMTP"\r\n',
}


class TestShapes:
    @pytest.mark.parametrize("shape", SAME)
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
    def test_the_same_sign_in_is_one_event_in_every_shape_and_encoding(self, shape: str, encoding: str) -> None:
        raw = SAME[shape].encode(encoding)

        [row] = rows_of(raw)

        assert looks_like(raw)
        assert row["event_id"] == row_of()["event_id"]
        assert (row["user"], row["client_ip"], row["auth_protocol"], row["service"], row["outcome"]) == (
            "scan@contoso.example", "198.51.100.4", "basic", "exchange_online", "accepted",
        )  # fmt: skip
        assert row["event_time"].replace(microsecond=0) == datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)

    def test_a_sign_in_that_goes_on_after_an_interruption_is_listed_twice(self) -> None:
        interrupted, completed = row_of(status={"errorCode": 50074}), row_of()

        assert interrupted["event_id"] != completed["event_id"]
        assert interrupted["request_id"] == completed["request_id"]

    def test_without_an_id_all_values_make_the_event(self) -> None:
        ids = {row_of(id=None, ipAddress=address)["event_id"] for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")}

        assert len(ids) == 2

    def test_the_id_of_the_first_request_is_not_the_id(self) -> None:
        assert row_of(id="", originalRequestId="11111111-aaaa-4bbb-8ccc-000000000009")["request_id"] is None

    def test_service_principals_without_client_app_are_recognised_in_a_page(self) -> None:
        page = json.dumps({"value": [{"id": "1", "signInEventTypes": ["servicePrincipal"], "createdDateTime": "x"}]})

        assert looks_like(page.encode())

    @pytest.mark.parametrize("size", [*range(0, 400, 7), 5_000])
    def test_a_head_may_be_cut_anywhere(self, size: int) -> None:
        head = ("\n".join([LINE] * 20)).encode()[:size]

        assert looks_like(head) == (b'"clientAppUsed":' in head)


class TestNeighbours:
    @pytest.mark.parametrize(
        "head",
        [
            '{"time": "2026-12-30T08:00:01Z", "category": "AuditLogs", "operationName": "Add user"}',
            '{"log": "postfix/smtp: subject \\"clientAppUsed\\": SignInLogs Sign-in activity", "time": "x"}',
            '{"message": "SignInLogs", "subject": "Sign-in activity"}',
            '{"value": [{"senderAddress": "a@x.example", "recipientAddress": "b@x.example", "receivedDateTime": "x"}]}',
            "Date,User,Status,Sender address\n",
            "Sender address,Authentication Protocol,Messages\n",
        ],
    )
    def test_other_files_are_left_to_others(self, head: str) -> None:
        assert not looks_like(head.encode())

    def test_other_records_of_a_feed_are_left(self) -> None:
        other = {"time": "2026-12-30T08:00:01Z", "category": "MicrosoftGraphActivityLogs", "properties": GRAPH}

        parsed = parsed_of([other, GRAPH, {"id": "x"}])

        assert (parsed.tables["signins"].num_rows, parsed.left, parsed.rejects) == (1, 2, ())

    def test_other_rows_of_a_joined_table_are_left(self) -> None:
        head = "TimeGenerated,Category,UserPrincipalName,IPAddress,AppDisplayName,ResultType\n"
        body = (
            f"{head}2026-12-30T08:00:01Z,AuditLogs,a@x.example,,x,0\n2026-12-30T08:00:01Z,SignInLogs,b@x.example,,x,0\n"
        )

        assert [row["user"] for row in rows_of(body)] == ["b@x.example"]


class TestFields:
    @pytest.mark.parametrize(
        ("client_app", "resource", "service"),
        [
            ("Authenticated SMTP", "Office 365 Exchange Online", "exchange_online"),
            ("Other clients; SMTP", "Office 365 Exchange Online", "exchange_online"),
            ("Authentifiziertes SMTP", "Office 365 Exchange Online", "exchange_online"),
            ("Authenticated SMTP", None, "exchange_online"),
            ("Authenticated SMTP", "Another Service", None),
            ("IMAP4", "Office 365 Exchange Online", None),
            ("Other clients; POP", "Office 365 Exchange Online", None),
            ("Other clients", "Office 365 Exchange Online", None),
        ],
    )
    def test_only_smtp_to_exchange_online_is_a_submission(self, client_app: str, resource: Any, service: Any) -> None:
        row = row_of(clientAppUsed=client_app, resourceDisplayName=resource)

        assert (row["service"], row["auth_protocol"]) == (service, "basic")

    @pytest.mark.parametrize(
        ("values", "outcome", "code"),
        [
            ({"status": {"errorCode": 0}, "resultType": "x"}, "accepted", "0"),
            ({"status": {"errorCode": 0.0}}, "accepted", "0"),
            ({"status": {}, "resultType": 50126}, "rejected", "50126"),
            ({"status": None, "resultType": "50140"}, "rejected", "50140"),
            ({"status": "Interrupted"}, "rejected", None),
            ({"status": {}, "resultSignature": "SUCCESS"}, "accepted", None),
            ({"status": {"errorCode": -1}}, "unknown", None),
            ({"status": {"errorCode": True}}, "unknown", None),
            ({"status": [0]}, "unknown", None),
        ],
    )
    def test_only_code_0_is_a_success_and_no_code_is_not_known(
        self, values: dict[str, Any], outcome: str, code: str | None
    ) -> None:
        row = row_of(**values)

        assert (row["outcome"], row["error_code"]) == (outcome, code)

    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("198.51.100.4:587", "198.51.100.4"), ("[2001:DB8::1]:587", "2001:db8::1"),
            ("2001:db8:0::1", "2001:db8::1"),
            ("<null>", None), ("11111111-aaaa", None), ("fe80::1%eth0", None), ("", None),
        ],
    )  # fmt: skip
    def test_an_address_is_an_address_or_not_known(self, text: str, address: str | None) -> None:
        assert row_of(ipAddress=text)["client_ip"] == address

    @pytest.mark.parametrize(
        ("values", "is_interactive"),
        [
            ({"isInteractive": True}, True),
            ({"isInteractive": "false"}, False),
            ({"signInEventTypes": ["nonInteractiveUser"]}, False),
            ({"signInEventTypes": ["interactiveUser"]}, True),
            ({"signInEventTypes": ["servicePrincipal"]}, None),
            ({"category": "NonInteractiveUserSignInLogs"}, False),
            ({}, None),
        ],
    )
    def test_interactive_is_what_the_log_says(self, values: dict[str, Any], is_interactive: bool | None) -> None:
        assert row_of(**values)["is_interactive"] == is_interactive

    def test_a_name_to_show_is_not_taken_for_an_account(self) -> None:
        assert row_of(userPrincipalName="", userDisplayName="Scanner", identity="Scanner")["user"] is None

    def test_half_characters_do_not_stop_the_file(self) -> None:
        body = json.dumps({**GRAPH, "userAgent": "a\ud800b", "id": "\udfff"})

        assert [row["user_agent"] for row in rows_of(body)] == ["a\ufffdb"]


class TestBrokenFiles:
    def test_a_time_that_is_none_is_a_reject_with_the_sentence(self) -> None:
        parsed = parsed_of([{**GRAPH, "createdDateTime": "soon"}])

        assert [reject.reason for reject in parsed.rejects] == [
            "the time is 'soon'; expected a date and time (read as m/d/y unless the year comes first)"
        ]

    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_broken_record_costs_itself_only(self, number: int, indent: int | None) -> None:
        records = [{**GRAPH, "id": str(each), "correlationId": "good", "x": [{"a": 1}, {"a": 2}]} for each in range(3)]
        records[number]["correlationId"] = "BROKEN"
        body = json.dumps({"@odata.context": "x", "value": records, "@odata.nextLink": "y"}, indent=indent)

        parsed = parsed_of(body.replace('"BROKEN"', "BROKEN"))

        ids = parsed.tables["signins"]["request_id"].to_pylist()
        assert ids == [str(each) for each in range(3) if each != number]
        assert len(parsed.rejects) == 1
        assert parsed.left == 0

    def test_every_cut_of_a_page_keeps_what_is_whole(self) -> None:
        body = json.dumps({"value": [GRAPH, {**GRAPH, "id": "2"}]})
        first_end = body.index("}, {") + 1

        for end in range(first_end, len(body) - 1, 13):
            assert parsed_of(body[:end]).tables["signins"]["request_id"].to_pylist()[:1] == [GRAPH["id"]]

    def test_offsets_count_bytes_behind_other_letters_and_marks(self) -> None:
        body = "\ufeff" + json.dumps({**GRAPH, "appDisplayName": "Müller"}, ensure_ascii=False) + "\nno\n"

        for encoding in ("utf-8", "utf-16-le"):
            raw = body.encode(encoding)
            [reject] = parsed_of(raw).rejects
            assert raw[reject.offset :] == "no\n".encode(encoding)

    @pytest.mark.parametrize("body", ['[1, null, [], "x"]', '{"value": [true]}', "[[[[[[[[{}]]]]]]]]", "{}\n17\n"])
    def test_what_is_no_object_is_counted(self, body: str) -> None:
        assert parsed_of(body).lines == len(parsed_of(body).rejects) + parsed_of(body).left > 0

    @pytest.mark.parametrize(
        "body",
        [
            "[" * 200_000, '{"a":' * 100_000, '{"value":[' * 50_000, '{"' * 100_000, '{"a\n' * 20_000, "{\n" * 20_000,
            '{"id":1 x},' * 50_000,
            '{"a"' + " " * 300_000 + "x}", '{"a":"' + "\\" * 300_001, '[\n{"id":"a" \n' * 20_000,
            " ".join(f'{{"k{each}":1}}' for each in range(20_000)), '{"id": ' + "9" * 10_000 + "}",
            "} " * 100_000 + " " * 100_000 + "x",
        ],
        ids=range(13),
    )  # fmt: skip
    def test_a_hostile_file_takes_no_time(self, body: str) -> None:
        began = time.process_time()  # of this process alone: others may keep the machine busy

        parsed_of(body)
        looks_like(body.encode())

        assert time.process_time() - began < 2

    @settings(max_examples=60, deadline=None)
    @given(st.text(alphabet='{}[],:"\\\n id1é', max_size=60), st.integers(0, len(LINE)))
    def test_whatever_stands_inside_nothing_is_lost(self, noise: str, place: int) -> None:
        parsed_of("\n".join([LINE, LINE[:place] + noise + LINE[place:], LINE]))

    @settings(max_examples=40, deadline=None)
    @given(st.binary(max_size=80))
    def test_whatever_stands_at_the_end_nothing_is_lost(self, noise: bytes) -> None:
        assert parsed_of(LINE.encode() + b"\n" + noise).tables["signins"].num_rows >= 1


@pytest.mark.parametrize(("heading", "hour"), [("[UTC]", 14), ("[Local Time]", 12)])
def test_a_heading_says_in_whose_zone_the_times_of_log_analytics_are(heading: str, hour: int) -> None:
    text = (
        f'"TimeGenerated {heading}",UserPrincipalName,ClientAppUsed,IPAddress,ResultType\n'
        '"13/12/2026, 14:05:13.123",scan@contoso.example,Authenticated SMTP,192.0.2.9,0\n'
    )
    zone = timezone(timedelta(hours=2))

    [row] = parse(Chunk(text.encode(), "export", as_of=AS_OF, zone=zone), {}).tables["signins"].to_pylist()

    assert row["event_time"] == datetime(2026, 12, 13, hour, 5, 13, 123000, tzinfo=UTC)


def test_another_table_of_the_hunting_stream_is_no_sign_in() -> None:
    record = {"time": GRAPH["createdDateTime"], "category": "AdvancedHunting-EmailEvents", "properties": GRAPH}

    parsed = parsed_of([record, {**record, "category": "AdvancedHunting-EntraIdSignInEvents"}])

    assert (parsed.tables["signins"].num_rows, parsed.left) == (1, 1)


def test_a_page_without_a_sign_in_is_no_foreign_file() -> None:
    page = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#auditLogs/signIns", "value": []}

    assert looks_like(json.dumps(page).encode())
    assert rows_of(page) == []


def test_keys_in_snake_case_are_recognised() -> None:
    text = json.dumps([{re.sub("([A-Z])", lambda found: "_" + found[1].lower(), key): GRAPH[key] for key in GRAPH}])

    assert looks_like(text.encode())
    assert rows_of(text)[0]["service"] == "exchange_online"


def test_a_query_that_kept_a_few_columns_is_read() -> None:
    names = ("TimeGenerated", "UserPrincipalName", "ClientAppUsed", "ResultType")
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": name, "type": "string"} for name in names],
        "rows": [["2026-12-01T08:00:00Z", "scan@contoso.example", "Authenticated SMTP", "0"]],
    }

    [row] = rows_of(json.dumps({"tables": [table]}))

    assert (row["user"], row["auth_protocol"], row["service"], row["outcome"]) == (
        "scan@contoso.example", "basic", "exchange_online", "accepted",
    )  # fmt: skip
