"""Application logs: times as logging libraries write them, objects one a line, and what stands between the records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.carriers import app_text, json_lines, plain, rsyslog_json, syslog
from pipeline.lines import Line
from pipeline.model import Chunk, Reject

AS_OF = datetime(2027, 1, 15, tzinfo=UTC)
AT = datetime(2026, 11, 23, 18, 22, 53, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def lines(body: str, memory: dict[str, object] | None = None, carrier: object = plain) -> list[Line | Reject | None]:
    chunk = Chunk(body.encode(), "app.log", as_of=AS_OF)
    return list(carrier.records(chunk, {} if memory is None else memory))  # type: ignore[attr-defined]


def line(body: str, carrier: object = plain) -> Line:
    [found] = lines(body, carrier=carrier)
    assert isinstance(found, Line)
    return found


@pytest.mark.parametrize(
    ("text", "micro"),
    [
        ("2026-11-23 18:22:53,721 said", 721_000),
        ("[2026-11-23T18:22:53.721Z] said", 721_000),
        ("2026-11-23T19:22:53.721456789+01:00 said", 721_456),
        ("2026-11-23 19:22:53 +0100: said", 0),
        ("2026-11-23 18:22:53.1234|said", 123_400),
        ("[23-Nov-2026 18:22:53 UTC] said", 0),
        ("[23-Nov-2026 19:22:53 Europe/Berlin] said", 0),
        ("[23/Nov/2026:19:22:53 +0100] said", 0),
        ("23 Nov 2026 18:22:53,721 said", 721_000),
        ("Mon, 23 Nov 2026 18:22:53 +0000 said", 0),
        ("[Mon Nov 23 18:22:53.721456 2026] said", 721_456),
        ("Mon Nov 23 19:22:53 CET 2026: said", 0),
        ("2026/11/23 18:22:53 said", 0),
        ("23.11.2026 18:22:53 said", 0),
        ("11/23/2026 6:22:53 PM - said", 0),
        ("Nov 23, 2026 6:22:53 PM said", 0),
        ("Nov 23 18:22:53 said", 0),
        ("E, [2026-11-23T18:22:53.721456 #1234] said", 721_456),
        ("ERROR 2026-11-23 18:22:53,721 said", 721_000),
        ("[ERROR]\t2026-11-23T18:22:53.721Z\tsaid", 721_000),
        ('time="2026-11-23T18:22:53Z" said', 0),
        ("(2026-11-23 18:22:53) said", 0),
        ("[2026-11-23, 18:22:53 UTC] said", 0),
        ("2026-11-23\t18:22:53\tsaid", 0),
        ("2026.11.23 18:22:53 said", 0),
        ("2026-11-23-18.22.53 said", 0),
        ("2026年11月23日 18:22:53 said", 0),
        ("20261123-18:22:53 said", 0),
        ("  1234:20261123:182253.721 said", 721_000),
        ("E1123 18:22:53.721456       1 said", 721_456),
        ("Mon 11/23/2026 18:22:53.72 said", 720_000),
        ("Mo 23.11.2026 18:22:53,72 said", 720_000),
        ("23.11.26 18:22:53 said", 0),
        ("23-11-2026 18:22:53 said", 0),
        ("Mon 23 Nov 19:22:53 CET 2026 said", 0),
        ("Nov. 23, 2026 6:22:53 PM said", 0),
        ("Nov 23, 2026 6:22:53\u202fPM said", 0),
        ("November 23, 2026 18:22:53 said", 0),
        ("23. November 2026 18:22:53 said", 0),
        ("23 novembre 2026 à 18:22:53 said", 0),
        ("lun. 23 nov. 2026 18:22:53 said", 0),
        ("23 listopada 2026 18:22:53 said", 0),
        ("11/23/2026 6:22:53 p. m. said", 0),
        ("1795458173 said", 0),
        ("[1795458173721] said", 721_000),
        ("ts=1795458173.721 said", 721_000),
        ("logger=alerting t=2026-11-23T18:22:53.721Z said", 721_000),
        ("ERROR|2026-11-23 18:22:53|said", 0),
        ("<3>2026-11-23 18:22:53 said", 0),
        ("mailer[77]: 2026-11-23 18:22:53 said", 0),
    ],
)
def test_a_time_is_read_as_logging_libraries_write_it(text: str, micro: int) -> None:
    found = line(text + "\n")

    assert (found.time, found.message, found.is_bare) == (AT.replace(microsecond=micro), b"said", False)


def test_a_line_without_a_time_belongs_to_the_record_above_it() -> None:
    head, more = lines("2026-11-23 18:22:53 x\n  at y\n")

    assert isinstance(head, Line)
    assert isinstance(more, Line)
    assert (more.time, more.is_bare, more.message) == (AT, True, b"  at y")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23 18:22:53,scan@contoso.example,x",
        "2026-11-23 18:22:53;scan@contoso.example;x",
        "2026-11-23T18:22:53.115Z 08DE2811AAAA0311]",
        "99:99:99 x",
    ],
)
def test_a_row_of_a_table_and_a_broken_signature_have_no_header(text: str) -> None:
    assert line(text + "\n").is_bare


@pytest.mark.parametrize("text", ["[18:22:53] said", "18:22:53.721 [ERR] said", "[18:22:53.721] said"])
def test_a_clock_without_a_day_begins_a_record_and_borrows_no_time(text: str) -> None:
    _, found = lines(f"2026-11-23 17:00:00 x\n{text}\n")

    assert isinstance(found, Line)
    assert (found.time, found.is_bare) == (None, False)


@pytest.mark.parametrize(
    "text",
    [
        "Date: Mon, 23 Nov 2026 18:22:53 +0000",
        "From 2026-11-23 18:22:53 on it is refused",
        "23.11.2026 5.7.30 Basic authentication",
        "26/11/23 18:22:53 nobody knows which is the year",
    ],
)
def test_a_date_within_a_sentence_is_no_header(text: str) -> None:
    assert line(text + "\n").time is None


def test_day_and_month_are_told_by_another_date_or_not_at_all() -> None:
    early, plain_one, late = lines("11/12/2026 18:22:53 x\n23/11/2026 18:22:53 x\n11/12/2026 18:22:53 x\n")

    assert isinstance(early, Line)
    assert isinstance(plain_one, Line)
    assert isinstance(late, Line)
    assert (early.time, early.is_bare) == (None, False)
    assert plain_one.time == AT
    assert late.time == datetime(2026, 12, 11, 18, 22, 53, tzinfo=UTC)


def test_day_and_month_are_told_over_two_reads_and_by_what_lies_ahead() -> None:
    memory: dict[str, object] = {}
    lines("11/23/2026 18:22:53 x\n", memory)
    [after] = lines("11/12/2026 18:22:53 x\n", json.loads(json.dumps(memory)))

    assert isinstance(after, Line)
    assert after.time == datetime(2026, 11, 12, 18, 22, 53, tzinfo=UTC)
    assert line("01/12/2027 18:22:53 x\n").time == datetime(2027, 1, 12, 18, 22, 53, tzinfo=UTC)  # not in December


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23 18:22:53 SERVER -> CLIENT: 220 x",
        "2026-11-23 18:22:53 Invalid login: 550 5.7.30 x",
        "[2026-11-23 18:22:53] Error: Message failed: 550 x",
        "2026-11-23T18:22:53.123Z Message failed: 550 x",
        "2026-11-23 18:22:53,123 app01 mailer: x",
        "2026-11-23 18:22:53 1234 ERROR prod odoo.addons: x",
        "2026-11-23 18:22:53 mail from scanner@contoso.example failed: 550 x",
        "2026/11/23 18:22:53 could not send email: 550 x",
        "2026-11-23 18:22:53 backup begins",
        "2026-11-23 18:22:53 UTC [7] x: 550 x",
    ],
)
def test_a_sentence_behind_a_time_is_no_host_and_program(text: str) -> None:
    assert app_text.looks_like(text.encode())
    assert line(text + "\n", carrier=app_text).host is None


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T18:22:53Z relay01 postfix/smtp[7]: x",
        "2026-11-23 18:22:53 Nas sshd[7]: x",
        "2026-11-23 18:22:53 nas exim: x",
        "2026-11-23T18:22:53+01:00 mx1.contoso.example dovecot: x",
        "Nov 23 18:22:53 Nas sshd: x",
    ],
)
def test_a_syslog_stays_one(text: str) -> None:
    assert syslog.looks_like(text.encode())
    assert not app_text.looks_like(text.encode())


def test_the_log_of_an_application_stays_one_though_a_line_looks_like_syslog() -> None:
    memory: dict[str, object] = {}
    lines("2026-11-23 18:22:53,721 ERROR mailer: x\n", memory)
    lines("2026-11-23 18:22:53 app01 mailer[7]: x\n", memory)

    assert memory["pending"]

    lines("2026-11-23 18:22:53 app01 mailer[7]: x\n" * 30, memory)

    assert not memory["pending"]


RECORDS: list[dict[str, object]] = [
    {"name": "m", "hostname": "WEB02", "pid": 7, "level": 50, "time": "2026-11-23T18:22:53.000Z", "msg": "said"},
    {"level": 50, "time": 1795458173000, "pid": 7, "hostname": "web02", "msg": "said"},
    {"level": "error", "message": "said", "timestamp": "2026-11-23T18:22:53.000Z", "host": "web02"},
    {"@t": "2026-11-23T18:22:53.0000000Z", "@m": "said", "@i": "abc", "MachineName": "web02"},
    {"Timestamp": "2026-11-23T19:22:53+01:00", "Level": "Error", "MessageTemplate": "said", "host": "web02"},
    {"@timestamp": "2026-11-23T18:22:53.000Z", "log": {"level": "error"}, "message": "said", "host.name": "web02"},
    {"@timestamp": "2026-11-23T18:22:53Z", "logger_name": "x", "level": "ERROR", "message": "said", "host": "web02"},
    {"asctime": "2026-11-23 18:22:53,000", "levelname": "ERROR", "message": "said", "hostname": "web02"},
    {"message": "said", "level_name": "ERROR", "datetime": {"date": "2026-11-23 18:22:53.0"}, "hostname": "web02"},
    {"level": "error", "ts": 1795458173.0, "caller": "x.go:1", "msg": "said", "host": "web02"},
    {"ts": 1795458173000000000, "level": "error", "msg": "said", "host": "web02"},
    {"instant": {"epochSecond": 1795458173, "nanoOfSecond": 0}, "level": "ERROR", "message": "said", "host": "web02"},
    {"text": "said", "record": {"level": {"name": "ERROR"}, "time": {"timestamp": 1795458173.0}}, "host": "web02"},
    {"event": "said", "level": "error", "timestamp": "2026-11-23T18:22:53Z", "host": "web02"},
    {"severity": "ERROR", "textPayload": "said", "timestamp": "2026-11-23T18:22:53Z", "host": "web02"},
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: "+".join(list(record)[:3]))
def test_the_record_of_each_logger_is_read(record: dict[str, object]) -> None:
    body = json.dumps(record) + "\n"

    assert json_lines.looks_like(body.encode())
    assert not rsyslog_json.looks_like(body.encode())
    for found in (
        line(body, carrier=json_lines),
        line(body),
    ):
        assert (found.time, found.host, found.is_bare) == (AT, "web02", False)
        assert b": said" in found.message


@pytest.mark.parametrize(
    "record",
    [
        {"ticket": 7, "text": "said"},
        {"title": "x is refused", "severity": "high", "reply_text": "said"},
        {"type": "finding", "timestamp": "2026-11-23T18:22:53Z", "data": {"message": "said"}},
        {"event_time": "2026-11-23T18:22:53Z", "kind": "try", "reply_text": "said"},
        {"timereported": "2026-11-23T18:22:53Z", "host": "a", "programname": "b", "severity": "err", "message": "said"},
        {"log": "said\n", "stream": "stderr", "time": "2026-11-23T18:22:53Z"},
    ],
    ids=["ticket", "finding", "webhook", "row", "syslog", "container"],
)
def test_other_objects_are_no_log_of_an_application(record: dict[str, object]) -> None:
    assert not json_lines.looks_like(json.dumps(record).encode())
    assert line(json.dumps(record) + "\n").is_bare


def test_all_that_an_object_holds_is_in_its_message() -> None:
    record = {
        "level": "error", "message": "x", "err": {"code": 550, "stack": "Error: a\n    at b", "i": [{"response": "c"}]},
        "ok": True, "none": None, "odd\nname: x": "d",
    }  # fmt: skip

    message = line(json.dumps(record) + "\n", carrier=json_lines).message.decode()

    assert message.split("\n") == [
        "level: error", "message: x", "code: 550", "stack: Error: a", "\t    at b", "response: c", "odd name x: d",
    ]  # fmt: skip
    assert json_lines.value_in(message, "stack") == "Error: a\n    at b"
    assert json_lines.value_in(message, "response") == "c"
    assert json_lines.value_in(message, "at b") is None


def test_what_stands_between_objects_belongs_to_the_one_above_and_a_cut_object_is_rejected() -> None:
    body = json.dumps(RECORDS[0]) + "\nError: x\n    at y\n" + json.dumps(RECORDS[0])[:40]

    first, error, trace, cut = lines(body, carrier=json_lines)

    assert isinstance(first, Line)
    assert isinstance(error, Line)
    assert isinstance(trace, Line)
    assert (error.is_bare, error.time, trace.message) == (True, AT, b"    at y")
    assert isinstance(cut, Reject)
    assert cut.reason == "the file ends in mid-line"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_no_object_is_too_odd(value: object) -> None:
    body = json.dumps({"level": value, "message": "x", "time": value, "host": value, "instant": {"epochSecond": value}})

    found = line(body + "\n", carrier=json_lines)

    assert found.raw == body.encode()


@given(st.binary(max_size=200))
def test_no_text_is_too_odd(body: bytes) -> None:
    found = list(plain.records(Chunk(body, "app.log", as_of=AS_OF, zone=BERLIN), {}))

    assert all(each is None or isinstance(each, Line) for each in found)


@pytest.mark.parametrize("piece", ["[", "2026-11-23 18:22:53 ", "ERROR ", "a | ", "{", '{"a":', "|", "Mon, "])
def test_a_hostile_line_is_soon_read(piece: str) -> None:
    body = piece * (300_000 // len(piece))

    assert len(lines(body)) == 1
    assert len(lines(body, carrier=json_lines)) == 1
    plain.looks_like(body.encode())
    app_text.looks_like(body.encode())


def test_a_zone_that_is_named_is_kept() -> None:
    found = line("[23-Nov-2026 18:22:53 America/New_York] x\n")

    assert found.time == datetime(2026, 11, 23, 18, 22, 53, tzinfo=timezone(timedelta(hours=-5)))
    assert line("[23-Nov-2026 18:22:53 Nowhere/Land] x\n").time is None
