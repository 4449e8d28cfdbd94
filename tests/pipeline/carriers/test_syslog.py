"""Headers of syslog lines: each way that they are written, and the year that most of them leave out."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.carriers.syslog import Header, Headers

AS_OF = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def read(line: bytes, as_of: datetime = AS_OF, zone: tzinfo = UTC) -> Header | None:
    return Headers(as_of, zone).read(line)


def time_of(stamp: str, as_of: datetime = AS_OF, zone: tzinfo = UTC) -> datetime | None:
    line = read(f"{stamp} relay postfix/smtp[1]: message".encode(), as_of, zone)
    return line.time if line else None


@pytest.mark.parametrize(
    "line",
    [
        b"Nov 23 18:24:22 Relay01 postfix/smtp[241]: A1: to=<x>",
        b"<22>Nov 23 18:24:22 relay01 postfix/smtp[241]: A1: to=<x>",
        b"2026-11-23T18:24:22+00:00 relay01 postfix/smtp[241]: A1: to=<x>",
        b"<22>2026-11-23T18:24:22Z relay01 postfix/smtp[241]: A1: to=<x>",
        b"2026-11-23 18:24:22 relay01 postfix/smtp: A1: to=<x>",
        b"<22>1 2026-11-23T18:24:22+00:00 relay01 postfix/smtp 241 - - A1: to=<x>",
        b"<22>1 2026-11-23T18:24:22+00:00 relay01 postfix/smtp 241 - -  A1: to=<x>",
        b"<22>1 2026-11-23T18:24:22+00:00 relay01 postfix/smtp 241 ID47 - \xef\xbb\xbfA1: to=<x>",
        b'<22>1 2026-11-23T18:24:22Z relay01 postfix/smtp - - [meta x="1" y="\\"]\\\\"][b@1] A1: to=<x>',
        b"Nov 23 2026 18:24:22 relay01 postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 18:24:22 relay01 mail.info postfix/smtp[241]: A1: to=<x>",
        b"Mon 2026-11-23 18:24:22 UTC relay01 postfix/smtp[241]: A1: to=<x>",
        b"Mon 2026-11-23 19:24:22 CET relay01 postfix/smtp[241]: A1: to=<x>",
        b"1795458262.000000 relay01 postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 2026 18:24:22: relay01 postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 18:24:22 2026 relay01 postfix/smtp[241]: A1: to=<x>",
        b"Mon Nov 23 18:24:22 2026 relay01 postfix/smtp[241]: A1: to=<x>",
        b"2026 Nov 23 18:24:22 relay01 postfix/smtp[241]: A1: to=<x>",
        b"2026/11/23 18:24:22 relay01 postfix/smtp[241]: A1: to=<x>",
        b"2026-11-23 18:24:22 +0000 relay01 postfix/smtp[241]: A1: to=<x>",
        b"2026-11-23 18:24:22  relay01 postfix/smtp[241]: A1: to=<x>",
        b"Mon 2026-11-23 15:24:22 -03 relay01 postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 18:24:22 <mail.info> relay01 postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 18:24:22 <2.6> relay01 postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 18:24:22 relay01 mail:info postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 18:24:22 relay01 postfix/smtp[241]: [ID 197553 mail.info] A1: to=<x>",
        b"Nov 23 18:24:22 relay01/192.0.2.5 postfix/smtp[241]: A1: to=<x>",
        b"Nov 23 18:24:22 s_net@relay01/gateway postfix/smtp[241]: A1: to=<x>",
        b"1 2026-11-23T18:24:22Z relay01 postfix/smtp 241 - - A1: to=<x>",
        b"97 <22>1 2026-11-23T18:24:22Z relay01 postfix/smtp 241 - - A1: to=<x>",
    ],
)
def test_each_header_yields_the_same_line(line: bytes) -> None:
    found = read(line)

    assert found is not None
    assert found._replace(pid=b"") == Header(
        datetime(2026, 11, 23, 18, 24, 22, tzinfo=UTC), "relay01", b"postfix/smtp", b"", b"A1: to=<x>"
    )
    assert found.pid in {b"241", b"-", b""}


@pytest.mark.parametrize(
    "line",
    [
        b"Mon Nov 23 18:24:22 2026 mail.info postfix/smtp[241]: A1: to=<x>",
        b"<22>1 2026-11-23T18:24:22Z - postfix/smtp 241 - - A1: to=<x>",
    ],
)
def test_what_stands_for_a_host_and_is_none_is_none(line: bytes) -> None:
    found = read(line)

    assert found == Header(datetime(2026, 11, 23, 18, 24, 22, tzinfo=UTC), None, b"postfix/smtp", b"241", b"A1: to=<x>")


@pytest.mark.parametrize("stamp", ["[  100.123456]", "[  100.123456 <    0.100000 >]"])
def test_a_stamp_that_counts_from_the_start_of_the_machine_tells_no_time(stamp: str) -> None:
    found = read(f"{stamp} relay01 postfix/smtp[241]: A1: to=<x>".encode())

    assert found == Header(None, "relay01", b"postfix/smtp", b"241", b"A1: to=<x>")


def test_a_header_without_a_host_names_the_program_all_the_same() -> None:
    found = read(b"Nov 23 18:24:22 postfix/smtp[241]: A1: to=<x>")

    assert found == Header(datetime(2026, 11, 23, 18, 24, 22, tzinfo=UTC), None, b"postfix/smtp", b"241", b"A1: to=<x>")


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("2026-12-30T08:00:01.123456Z", datetime(2026, 12, 30, 8, 0, 1, 123456, UTC)),
        ("2026-12-30T08:00:01+0000", datetime(2026, 12, 30, 8, 0, 1, 0, UTC)),
        ("2026-12-30T09:00:01+01:00", datetime(2026, 12, 30, 8, 0, 1, 0, UTC)),
        ("2026-12-30T02:30:01-05:30", datetime(2026, 12, 30, 8, 0, 1, 0, UTC)),
        ("2026-12-30 08:00:01,5", datetime(2026, 12, 30, 8, 0, 1, 500_000, UTC)),
        ("2026-12-30T08:00:01.123456789Z", datetime(2026, 12, 30, 8, 0, 1, 123456, UTC)),
        ("Dec 30 08:00:01.25", datetime(2026, 12, 30, 8, 0, 1, 250_000, UTC)),
        ("Dec  3 08:00:01", datetime(2026, 12, 3, 8, 0, 1, 0, UTC)),
    ],
)
def test_a_stamp_is_read_as_utc(stamp: str, expected: datetime) -> None:
    assert time_of(stamp) == expected


@pytest.mark.parametrize(
    ("stamp", "as_of", "year"),
    [
        ("Dec 31 23:59:59", datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC), 2026),
        ("Jan  1 00:00:01", datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC), 2027),
        ("Dec 31 23:59:59", datetime(2027, 6, 1, tzinfo=UTC), 2026),
        ("Dec 31 23:59:59", datetime(2026, 12, 31, 23, 59, 0, tzinfo=UTC), 2026),
        ("Jan  1 00:30:00", datetime(2026, 12, 31, 23, 59, 0, tzinfo=UTC), 2027),
        ("Feb 29 10:00:00", datetime(2027, 3, 1, tzinfo=UTC), 2024),
        ("Feb 29 10:00:00", datetime(2028, 3, 1, tzinfo=UTC), 2028),
        ("Feb 29 10:00:00", datetime(2103, 3, 1, tzinfo=UTC), 2096),
    ],
    ids=str,
)
def test_a_stamp_without_a_year_is_the_newest_that_the_file_can_hold(stamp: str, as_of: datetime, year: int) -> None:
    found = time_of(stamp, as_of)

    assert found is not None
    assert found.year == year


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("Jul 14 12:00:00", datetime(2026, 7, 14, 10, 0, tzinfo=UTC)),
        ("Dec 14 12:00:00", datetime(2026, 12, 14, 11, 0, tzinfo=UTC)),
        ("2026-07-14 12:00:00", datetime(2026, 7, 14, 10, 0, tzinfo=UTC)),
        ("2026-07-14T12:00:00Z", datetime(2026, 7, 14, 12, 0, tzinfo=UTC)),
    ],
)
def test_the_zone_counts_for_stamps_that_name_none(stamp: str, expected: datetime) -> None:
    assert time_of(stamp, zone=BERLIN) == expected


def test_new_year_comes_earlier_in_a_zone_ahead_of_utc() -> None:
    as_of = datetime(2026, 12, 31, 10, 31, tzinfo=UTC)

    assert time_of("Jan  1 00:30:00", as_of, ZoneInfo("Pacific/Kiritimati")) == datetime(
        2026, 12, 31, 10, 30, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "stamp",
    [
        "Feb 30 10:00:00",
        "Nov 31 10:00:00",
        "Nov  0 10:00:00",
        "Now 23 10:00:00",
        "Nov 23 24:00:00",
        "Nov 23 10:61:00",
        "2026-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "0000-01-01T10:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-12:00",
        "2026-12-30T10:00:00+99:99",
    ],
)
def test_an_impossible_time_is_no_header(stamp: str) -> None:
    assert time_of(stamp) is None


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        (b"postfix/smtp[241]:", b"postfix/smtp"),
        (b"postfix/smtp:", b"postfix/smtp"),
        (b"postfix-o365/submission/smtpd[24", b"postfix-o365/submission/smtpd"),
        (b"postfix-relay-eu-west/submission/", b"postfix-relay-eu-west/submission/"),
        (b"dma[29a05e.55cf201f1000]:", b"dma"),
        (b"rsyslogd:", b"rsyslogd"),
        (b"Worker::Mail[7]:", b"Worker"),
        (b"[7]:", b""),
        (b"--", b"--"),
    ],
)
def test_the_tag_is_what_stands_before_its_brackets_even_where_syslog_cut_it(header: bytes, tag: bytes) -> None:
    found = read(b"Nov 23 18:24:22 relay01 " + header + b" A1: removed")

    assert found is not None
    assert (found.tag, found.message) == (tag, b"A1: removed")


def test_a_line_without_a_message_is_still_a_line() -> None:
    found = read(b"Nov 23 18:24:22 relay01 kernel:")

    assert found is not None
    assert (found.tag, found.message) == (b"kernel", b"")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"Nov 23 18:24:22",
        b"Nov 23 18:24:22 relay01",
        b" Nov 23 18:24:22 relay01 postfix/smtp[1]: x",
        b"179545801.2 relay01 postfix/smtp[1]: x",
        b"<22>1 - relay01 postfix/smtp 241 - - x",
    ],
)
def test_anything_else_is_no_header(line: bytes) -> None:
    assert read(line) is None


def test_a_name_of_a_host_is_lower_case_and_never_breaks() -> None:
    found = read(b"Nov 23 18:24:22 RELAY-\xfc postfix/smtp[1]: x")

    assert found is not None
    assert found.host == "relay-\ufffd"


def test_many_stamps_do_not_pile_up() -> None:
    headers = Headers(AS_OF)

    for second in range(30_000):
        headers.read(f"2026-12-30T00:00:00.{second:06} relay postfix/smtp[1]: x".encode())

    assert len(headers.stamps._seen) < 11_000


@given(st.binary(max_size=200), st.sampled_from([b"", b"Nov 23 18:24:22 ", b"<1>1 2026-11-23T18:24:22Z h p - - ["]))
def test_no_bytes_make_it_raise(rest: bytes, start: bytes) -> None:
    found = read(start + rest)

    assert found is None or found.time is None or found.time.tzinfo is UTC
