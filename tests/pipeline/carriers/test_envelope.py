"""A line that a collector has wrapped tells the same as the line itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.carriers import envelope
from pipeline.lines import Line
from pipeline.model import Carry, Chunk
from pipeline.reading import read
from pipeline.recognise import recognise

AS_OF = datetime(2027, 1, 2, tzinfo=UTC)
SIGNED = "[FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-30T08:00:03.100Z 08DE47A9F1C2B3D4]"
SAID = (
    ("postfix/smtpd", "4F1A2B3C4D: client=mfp.contoso.example[192.0.2.10]"),
    ("postfix/cleanup", "4F1A2B3C4D: message-id=<1@contoso.example>"),
    ("postfix/qmgr", "4F1A2B3C4D: from=<scan@contoso.example>, size=1234, nrcpt=1 (queue active)"),
    (
        "postfix/smtp",
        "4F1A2B3C4D: to=<ops@contoso.example>, relay=smtp.office365.com[198.51.100.50]:587, delay=2.1, "
        "delays=0.05/0.02/2/0, dsn=4.7.30, status=deferred (SASL authentication failed; server "
        "smtp.office365.com[198.51.100.50] said: 550 5.7.30 Basic authentication is not supported for Client "
        f"Submission. {SIGNED})",
    ),
)
OUTER = "2026-12-30T08:00:0{}.250000Z"
EPOCH = 1798617600

Wrap = Callable[[int, str, str], str]


def syslog_line(number: int, tag: str, message: str) -> str:
    return f"Dec 30 08:00:0{number} mail {tag}[1{number}]: {message}"


def as_object(number: int, tag: str, message: str, name: str, **fields: Any) -> str:
    return json.dumps({**fields, name: syslog_line(number, tag, message)})


WRAPS: dict[str, Wrap] = {
    "kubernetes": lambda n, t, m: f"{OUTER.format(n)} stdout F {syslog_line(n, t, m)}",
    "compose": lambda n, t, m: f"postfix-1  | {syslog_line(n, t, m)}",
    "docker logs --timestamps": lambda n, t, m: f"{OUTER.format(n)} {syslog_line(n, t, m)}",
    "kubectl logs --prefix": lambda n, t, m: f"[pod/mail-0/postfix] {syslog_line(n, t, m)}",
    "docker": lambda n, t, m: as_object(n, t, m, "log", stream="stdout", time=OUTER.format(n)),
    "filebeat": lambda n, t, m: as_object(
        n, t, m, "message", **{"@timestamp": OUTER.format(n), "host": {"name": "mail"}, "log": {"offset": 1}}
    ),
    "fluent bit": lambda n, t, m: as_object(n, t, m, "log", date=EPOCH + n + 0.25),
    "loki": lambda n, t, m: as_object(n, t, m, "line", timestamp=OUTER.format(n), labels={"job": "mail"}),
    "splunk": lambda n, t, m: as_object(n, t, m, "event", time=EPOCH + n, host="mail"),
    "splunk search": lambda n, t, m: json.dumps(
        {"preview": False, "result": {"_raw": syslog_line(n, t, m), "_time": OUTER.format(n)}}
    ),
    "docker compose logs --timestamps": lambda n, t, m: f"postfix-1  | {OUTER.format(n)} {syslog_line(n, t, m)}",
    "docker compose in colour": lambda n, t, m: f"\x1b[36mpostfix-1  |\x1b[0m {syslog_line(n, t, m)}",
    "docker's syslog driver": lambda n, t, m: f"Dec 30 08:00:0{n} box 1a2b3c4d5e6f[99]: {syslog_line(n, t, m)}",
    "kubernetes around docker": lambda n, t, m: (
        f"{OUTER.format(n)} stdout F " + as_object(n, t, m, "log", stream="stdout", time=OUTER.format(n))
    ),
    "grep": lambda n, t, m: f"/var/log/mail.log:{syslog_line(n, t, m)}",
    "grep -n": lambda n, t, m: f"mail.log.1:17{n}:{syslog_line(n, t, m)}",
    "aws logs tail": lambda n, t, m: f"{OUTER.format(n)} mail/one {syslog_line(n, t, m)}",
    "logcli": lambda n, t, m: f'{OUTER.format(n)} {{job="mail"}} {syslog_line(n, t, m)}',
    "kiwi": lambda n, t, m: f"2026-12-30 08:00:0{n}\tMail.Info\tmail\t{syslog_line(n, t, m)}",
    "fluentd": lambda n, t, m: (
        f"2026-12-30T08:00:0{n}+00:00\tmail.info\t" + json.dumps({"host": "mail", "ident": t, "pid": "1", "message": m})
    ),
    "gelf": lambda n, t, m: json.dumps(
        {"version": "1.1", "host": "mail", "short_message": m[:9], "full_message": syslog_line(n, t, m), "level": 6}
    ),
    "elasticsearch": lambda n, t, m: json.dumps(
        {"_index": "mail", "_source": {"@timestamp": OUTER.format(n), "event": {"original": syslog_line(n, t, m)}}}
    ),
    "splunk of docker": lambda n, t, m: json.dumps({"time": EPOCH + n, "event": {"line": syslog_line(n, t, m)}}),
    "cloudwatch": lambda n, t, m: as_object(n, t, m, "message", timestamp=(EPOCH + n) * 1000),
}
NAMELESS: dict[str, Wrap] = {
    "docker": lambda n, t, m: json.dumps({"log": f"{t}[1{n}]: {m}\n", "stream": "stdout", "time": OUTER.format(n)}),
    "kubernetes": lambda n, t, m: f"{OUTER.format(n)} stderr F {t}[1{n}]: {m}",
    "graylog": lambda n, t, m: json.dumps(
        {"version": "1.1", "host": "mail", "short_message": f"{t}[1{n}]: {m}", "timestamp": EPOCH + n + 0.25}
    ),
}


def log_of(wrap: Wrap) -> bytes:
    return "".join(wrap(number, tag, message) + "\n" for number, (tag, message) in enumerate(SAID)).encode()


def deliveries(body: bytes, cuts: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    carry: Carry = {}
    offset = 0
    for start, end in zip((0, *cuts), (*cuts, len(body)), strict=True):
        parsed = read("log", Chunk(body[start:end], "log", "log", offset, AS_OF, is_last=end == len(body)), carry)
        rows += parsed.tables["deliveries"].to_pylist()
        carry, offset = json.loads(json.dumps(parsed.carry)), end
        assert not parsed.rejects
    return rows


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(
        row[name] for name in ("format", "sender", "recipient", "client_ip", "stage", "reply_class", "queue_id")
    )


BARE = deliveries(log_of(syslog_line))


@pytest.mark.parametrize("name", WRAPS)
def test_a_wrapped_log_tells_the_same_as_the_log_itself(name: str) -> None:
    body = log_of(WRAPS[name])
    kind = recognise(body)

    assert kind is not None
    assert kind.name == "log"
    [row] = deliveries(body)
    assert told(row) == told(BARE[0])
    assert (row["event_time"], row["log_host"]) == (BARE[0]["event_time"], "mail")


@pytest.mark.parametrize("name", NAMELESS)
def test_a_line_that_only_names_its_program_takes_time_and_host_of_the_envelope(name: str) -> None:
    [row] = deliveries(log_of(NAMELESS[name]))

    assert told(row) == told(BARE[0])
    assert row["event_time"] == datetime(2026, 12, 30, 8, 0, 3, 250_000, tzinfo=UTC)
    assert row["log_host"] == ("mail" if name == "graylog" else None)


@pytest.mark.parametrize("name", WRAPS)
def test_where_a_read_ends_is_no_matter(name: str) -> None:
    body = log_of(WRAPS[name])
    ends = [place + 1 for place, byte in enumerate(body) if byte == 0x0A][:-1]

    for cut in ends:
        assert [told(row) for row in deliveries(body, (cut,))] == [told(BARE[0])]


def test_no_line_inside_is_newer_than_its_envelope() -> None:
    body = log_of(lambda n, t, m: f"2025-12-31T23:59:5{n}Z stdout F Dec 31 23:59:5{n} mail {t}[1]: {m}")

    [row] = deliveries(body)  # read in 2027: the envelope tells the year

    assert row["event_time"] == datetime(2025, 12, 31, 23, 59, 53, tzinfo=UTC)


def test_a_trace_of_a_container_has_the_time_of_its_own_lines() -> None:
    body = (
        b"2026-12-30T08:00:00.1Z stderr F Traceback (most recent call last):\n"
        b'2026-12-30T08:00:00.2Z stderr F   File "/app/send.py", line 3, in <module>\n'
        b"2026-12-30T08:00:00.3Z stderr F smtplib.SMTPAuthenticationError: (550, b'5.7.30 Basic authentication is not "
        b"supported for Client Submission. " + SIGNED.encode() + b"')\n"
    )

    [row] = deliveries(body)

    assert (row["format"], row["stage"], row["log_host"]) == ("smtplib", "auth", None)
    assert row["event_time"].replace(microsecond=0) == datetime(2026, 12, 30, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        b'{"level":"error","time":"2026-12-30T08:00:00Z","msg":"mail failed: 550 5.7.30 x"}',
        b"2026-12-30T08:00:00Z mail failed",
        b"| a | table |",
        b"{}",
        b"{" * 3000,
        b'{"message": 3, "time": "x"}',
        b"",
    ],
)
def test_what_nobody_wrapped_is_none(line: bytes) -> None:
    assert envelope.opened(line) is None


def test_what_grep_shows_around_a_find_is_read_with_it() -> None:
    lines = [syslog_line(number, *said) for number, said in enumerate(SAID)]
    marks = "----"[: len(lines) - 1] + ":"
    body = "--\n".join(f"/var/log/mail.log{mark}17{mark}{line}\n" for mark, line in zip(marks, lines, strict=True))

    [row] = deliveries(body.encode())

    assert told(row) == told(BARE[0])


def test_a_byte_order_mark_belongs_to_no_line() -> None:
    body = b"\xef\xbb\xbf" + log_of(syslog_line)

    [row] = deliveries(body)

    assert told(row) == told(BARE[0])


def test_braces_on_lines_of_their_own_are_lines_like_others() -> None:
    entry = json.dumps({"__REALTIME_TIMESTAMP": "1798617600000000", "MESSAGE": "x"})
    body = "".join(f"{OUTER.format(0)} stdout F {line}\n" for line in (entry, "{", "}")).encode()

    assert len([*envelope.records(Chunk(body, "log"), {})]) == 3


def test_a_line_beyond_all_measure_is_a_reject_and_its_neighbours_are_read() -> None:
    chunk = Chunk(b"2026-12-30T08:00:00Z stdout F " + b"x" * (2 << 20) + b"\n" + log_of(WRAPS["kubernetes"]), "log")

    found = [*envelope.records(chunk, {})]

    assert not isinstance(found[0], Line)
    assert [isinstance(line, Line) for line in found[1:]] == [True] * len(SAID)
