"""Syslog as JSON: the keys that templates and collectors give to the parts of a header."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.carriers import rsyslog_json
from pipeline.carriers.json_lines import looks_like as looks_like_json_lines
from pipeline.lines import Line
from pipeline.model import Chunk, Reject

AS_OF = datetime(2027, 1, 1, tzinfo=UTC)
AT = datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)
EPOCH = 1798617601
ISO = "2026-12-30T08:00:01Z"
SAID = "A1B2C3: to=<x>"
NAME = "postfix/smtp"
OBJECTS: dict[str, dict[str, Any]] = {
    "rsyslog": {"timereported": ISO, "host": "Relay01", "programname": NAME, "procid": "241", "msg": f" {SAID}"},
    "tag": {"@timestamp": ISO, "host": "relay01", "syslogtag": f"{NAME}[241]:", "message": f" {SAID}"},
    "syslog-ng": {"DATE": "Dec 30 08:00:01", "HOST": "relay01", "PROGRAM": NAME, "PID": "241", "MESSAGE": SAID},
    "seconds": {"time": EPOCH, "host": "relay01", "ident": NAME, "pid": "241", "message": SAID},
    "milliseconds": {"timestamp": EPOCH * 1000, "host": "relay01", "ident": NAME, "pid": 241, "message": SAID},
    "nanoseconds": {"ts": 0, "time": f"{EPOCH}000000000", "host": "relay01", "ident": NAME, "message": SAID},
    "filebeat": {
        "@timestamp": ISO,
        "host": {"hostname": "relay01", "name": "relay01"},
        "process": {"name": NAME, "pid": 241},
        "message": SAID,
        "log": {"syslog": {"priority": 22}},
    },
    "dotted": {"@timestamp": ISO, "host.name": "relay01", "process.name": NAME, "process.pid": 241, "message": SAID},
    "nested": {"@timestamp": ISO, "host": {"hostname": "relay01"}, "syslog": {"program": NAME}, "message": SAID},
    "gelf": {
        "version": "1.1",
        "host": "relay01",
        "short_message": SAID,
        "timestamp": EPOCH,
        "level": 6,
        "_application_name": NAME,
        "_process_id": "241",
    },
    "promtail": {"line": SAID, "labels": {"syslog_identifier": NAME, "hostname": "relay01"}, "timestamp": ISO},
    "elasticsearch": {
        "_index": "logs",
        "_source": {"@timestamp": ISO, "host": "relay01", "program": NAME, "message": SAID},
    },
}


def records(*objects: dict[str, Any]) -> list[Line | Reject | None]:
    body = "".join(json.dumps(each) + "\n" for each in objects).encode()
    return [*rsyslog_json.records(Chunk(body, "log", as_of=AS_OF), {})]


@pytest.mark.parametrize("name", OBJECTS)
def test_each_way_to_name_the_keys_tells_the_same_line(name: str) -> None:
    body = json.dumps(OBJECTS[name]).encode()

    [line] = records(OBJECTS[name])

    assert isinstance(line, Line)
    assert rsyslog_json.looks_like(body)
    assert not looks_like_json_lines(body)
    assert (line.time, line.host, line.tag, line.message) == (AT, "relay01", b"postfix/smtp", SAID.encode())
    assert line.pid in {b"241", b""}


def test_an_object_that_names_no_time_is_a_line_without_one() -> None:
    [line] = records({"host": "relay01", "ident": "postfix/smtp", "message": SAID})

    assert isinstance(line, Line)
    assert line.time is None


@pytest.mark.parametrize("time", ["yesterday", 10**30, -1, "9" * 21, 1e300])
def test_a_time_that_never_was_is_a_reject_and_no_exception(time: object) -> None:
    [line] = records({"time": time, "host": "relay01", "ident": "postfix/smtp", "message": SAID})

    assert isinstance(line, Reject)


def test_an_application_s_own_record_is_none_of_them() -> None:
    body = json.dumps({"time": ISO, "program": "billing", "message": "mail failed", "error": "550 5.7.30 x"}).encode()

    assert not rsyslog_json.looks_like(body)
