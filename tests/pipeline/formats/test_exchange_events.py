"""Message tracking, connectivity logs and queues of Exchange: what the sample pairs cannot show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.exchange.reason import reason_of, statuses_of, values_in
from pipeline.exports.powershell import Saved, objects_in
from pipeline.formats import exchange_queue, exchange_tracking_objects
from pipeline.model import Chunk, Parsed
from pipeline.reading import read
from pipeline.recognise import recognise
from pipeline.replies import read_reply

RETIRED = "550 5.7.30 Basic authentication is not supported for Client Submission."
AS_OF = datetime(2027, 1, 15, tzinfo=UTC)


def parsed(text: str) -> Parsed:
    body = text.encode()
    kind = recognise(body)
    assert kind is not None
    return read(kind.name, Chunk(body, "export", as_of=AS_OF), {})


def rows_of(text: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed(text).tables["deliveries"].to_pylist()
    return rows


@pytest.mark.parametrize(
    ("packed", "values"),
    [
        ("", [""]),
        ("a@b.example;c@d.example", ["a@b.example", "c@d.example"]),
        ("'o''brien@b.example';c@d.example", ["o'brien@b.example", "c@d.example"]),
        (
            "'[{LED=550 a};{MSG=}]';'[{LED=550 it''s; b};{MSG=}]'",
            ["[{LED=550 a};{MSG=}]", "[{LED=550 it's; b};{MSG=}]"],
        ),
        ("'never closed;b", ["'never closed", "b"]),
        ("'x'y;z;", ["'x'y", "z", ""]),
    ],
)
def test_a_list_of_exchange_is_unpacked_as_it_was_packed(packed: str, values: list[str]) -> None:
    assert values_in(packed) == values


def test_a_list_full_of_apostrophes_is_unpacked_in_no_time() -> None:
    assert values_in("';" * 50_000)
    assert values_in("'''';" * 50_000)
    assert values_in("'a;''" * 50_000)


def test_line_breaks_of_a_reply_are_written_as_letters() -> None:
    assert statuses_of(r"550-5.7.26 one\r\n550 5.7.26 two", 1) == ["550-5.7.26 one\n550 5.7.26 two"]
    assert statuses_of(r"550 5.1.1 CONTOSO\nas is unknown", 1) == [r"550 5.1.1 CONTOSO\nas is unknown"]


@pytest.mark.parametrize("room", ["", " ", "  "])
def test_the_answer_behind_a_front_end_is_the_servers(room: str) -> None:
    assert reason_of(f"550 5.7.0 Proxy session setup failed on Frontend with{room}'{RETIRED}'").text == RETIRED


@pytest.mark.parametrize(
    ("own_words", "reply_class"),
    [
        ("451 5.7.3 Require basic authentication", "mech_unknown"),
        ("451 5.7.3 Require STARTTLS to do basic authentication", "starttls_required"),
        ("451 5.7.3 Cannot achieve Exchange Server authentication", "unknown"),
    ],
)
def test_what_exchange_says_itself_when_the_server_does_not_offer_a_log_in(own_words: str, reply_class: str) -> None:
    assert read_reply(own_words).reply_class == reply_class


def test_an_export_that_lost_its_reasons_is_a_gap() -> None:
    header = "Timestamp,Source,EventId,Recipients,RecipientStatus\n"
    lost = "12/30/2026 8:00:03 AM,SMTP,FAIL,System.String[],System.String[]\n"
    sent = "12/30/2026 8:00:03 AM,SMTP,SEND,System.String[],System.String[]\n"

    assert [gap.offset for gap in parsed(header + sent + lost).gaps] == [len(header + sent)]
    assert parsed(header + sent).gaps == ()


def test_events_are_put_in_order_before_devices_are_joined() -> None:
    event = (
        '{{"Timestamp": "2026-12-30T08:00:0{}Z", "Source": "SMTP", "EventId": "{}", "MessageId": "<1@a.example>", {}}}'
    )
    failed = event.format(3, "FAIL", f'"Recipients": ["b@c.example"], "RecipientStatus": ["{RETIRED}"]')
    taken = event.format(1, "RECEIVE", '"ClientIp": "192.0.2.60", "ClientHostname": "mfp", "ServerHostname": "EX02"')

    assert [(row["client_ip"], row["recipient"]) for row in rows_of(f"[{failed},\n{taken}]")] == [
        ("192.0.2.60", "b@c.example")
    ]


def test_an_event_without_a_time_is_a_reject_and_not_a_row() -> None:
    found = parsed('[{"Timestamp": "soon", "Source": "SMTP", "EventId": "FAIL", "Recipients": ["a@b.example"]}]')

    assert [reject.reason for reject in found.rejects] == ["Timestamp is 'soon', which is no time"]
    assert found.tables["deliveries"].num_rows == 0


@pytest.mark.parametrize(
    "prompt",
    ["", "[PS] C:\\Windows\\system32>Get-Message | fl\n\n", "[ex02.contoso.example]: PS C:\\> Get-Message | fl\n"],
)
def test_a_listing_is_known_behind_the_prompt_of_any_shell(prompt: str) -> None:
    lines = [
        "Identity      : EX02\\3\\41",
        "FromAddress   : a@b.example",
        f"LastError     : {RETIRED}",
        "DateReceived  : 12/30/2026 8:00:03 AM",
    ]

    assert [
        (row["kind"], row["sender"], row["reply_class"], row["queue_id"]) for row in rows_of(prompt + "\n".join(lines))
    ] == [("held", "a@b.example", "basic_retired", "41")]


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        (
            "550 5.7.30 Basic authentication is not\n        supported",
            "550 5.7.30 Basic authentication is not supported",
        ),
        ("a word that is well-\n        known", "a word that is well-known"),
        ("<aaaaaaaaaaaaaaaa\n        bbbb@c.example>", "<aaaaaaaaaaaaaaaabbbb@c.example>"),
    ],
)
def test_a_value_that_a_window_broke_is_put_together(broken: str, whole: str) -> None:
    (saved,) = objects_in(Chunk(f"Name  : {broken}\n".encode(), "x"), {"name": "name"})

    assert isinstance(saved, Saved)
    assert saved["name"] == whole


@pytest.mark.parametrize("mark", ["#Fields: {}", "{}", "#TYPE System.Management.Automation.PSCustomObject\n{}"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_plain_table_of_a_log_is_read_as_the_log(mark: str, quote: str) -> None:
    names = ["date-time", "source", "event-id", "message-id", "recipient-address", "recipient-status", "return-path"]
    values = ["2026-12-30T08:00:03.456Z", "SMTP", "FAIL", "<1@b.example>", "c@d.example", RETIRED, "a@b.example"]
    table = "\n".join(
        (
            mark.format(",".join(f"{quote}{name}{quote}" for name in names)),
            ",".join(f'"{value}"' for value in values),
            "",
        )
    )

    assert [(row["sender"], row["reply_class"]) for row in rows_of(table)] == [("a@b.example", "basic_retired")]
    assert parsed(table).rejects == ()


def test_both_exports_are_read_as_a_whole() -> None:
    assert exchange_tracking_objects.WHOLE
    assert exchange_queue.WHOLE
