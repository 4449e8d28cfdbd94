"""msmtp: what the sample pairs cannot show."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.carriers import msmtp_log
from pipeline.formats import log
from tests.pipeline.programs.reading_logs import ENDED, RETIRED, one_row, read, reasons, rows_of

REFUSED = f"smtpstatus=550 smtpmsg='{RETIRED}' errormsg='authentication failed (method LOGIN)' exitcode=EX_NOPERM"
ADDRESSES = st.one_of(
    st.from_regex(r"[a-z'+.=]{1,12}@[a-z]{1,8}\.example", fullmatch=True),
    st.from_regex(r"\"[ a-z,=']{0,20}\"@[a-z]{1,8}\.example", fullmatch=True),
)


def line(
    tail: str = REFUSED,
    sender: str = "scan@contoso.example",
    recipients: str = "ops@contoso.example",
    stamp: str = "Dec 30 08:00:01 ",
    account: str = "auth=on user=scan@contoso.example",
) -> str:
    return f"{stamp}host=smtp.office365.com tls=on {account} from={sender} recipients={recipients} {tail}\n"


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("Dec 30 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("2026-12-30 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("[2026-12-30 08:00:01 +0100] ", datetime(2026, 12, 30, 7, 0, 1, tzinfo=UTC)),
        ("Wed Dec 30 08:00:01 2026 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("Wed Dec 30 08:00:01 UTC 2026 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("1798617601 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("30.12.2026 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("30/Dec/2026:09:00:01 +0100 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("Wed, 30 Dec 2026 08:00:01 +0000 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("2026/12/30 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("12/30/2026 08:00:01 AM ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("30/12/2026 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("20261230-080001 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("20261230 080001 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("30-Dec-2026 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("30-12-2026 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("2026-12-30 09:00:01 CET ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("2026-12-30 08:00:01 UTC ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("déc. 30 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("Dez 30 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("Mi 30 Dez 2026 09:00:01 CET ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("mer. 30 déc. 2026 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("Wed 30 Dec 2026 08:00:01 AM UTC ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("mar 30 dic 2026 08:00:01 ", datetime(2026, 12, 30, 8, 0, 1, tzinfo=UTC)),
        ("2026-12-30 08:00 ", datetime(2026, 12, 30, 8, 0, tzinfo=UTC)),
        ("30. Dezember 2026 08:00 ", datetime(2026, 12, 30, 8, 0, tzinfo=UTC)),
    ],
)
def test_time_stamps_are_read_as_the_log_format_writes_them(stamp: str, time: datetime) -> None:
    assert one_row(line(stamp=stamp))["event_time"] == time


@pytest.mark.parametrize("stamp", ["", "2026-12-29 ", "07:00 ", "Feb 30 08:00:01 ", "30/12/26 08:00 "])
def test_a_stamp_that_nobody_can_read_gives_way_to_the_time_in_the_answer(stamp: str) -> None:
    assert one_row(line(stamp=stamp))["event_time"] == datetime(2026, 12, 30, 8, 0, 1, 100_000, tzinfo=UTC)


def test_a_log_of_msmtp_is_known_by_its_lines_and_a_syslog_is_not() -> None:
    own = line().encode()

    assert msmtp_log.looks_like(own)
    assert msmtp_log.looks_like(line(stamp="").encode())
    assert not msmtp_log.looks_like(b"Dec 30 08:00:01 web msmtp: " + line(stamp="").encode())
    assert not msmtp_log.looks_like(b"<19>1 2026-12-30T08:00:01Z web msmtp - - -  " + line(stamp="").encode())
    assert not msmtp_log.looks_like(b'{"MESSAGE": "' + line(stamp="").encode() + b'"}')
    assert log.looks_like(own)


def test_each_recipient_is_a_row_of_one_refusal() -> None:
    rows = rows_of(read(line(recipients="o'neil@contoso.example,Two@contoso.example")))

    assert [row["recipient"] for row in rows] == ["o'neil@contoso.example", "two@contoso.example"]
    assert {row["request_id"] for row in rows} == {"08DE47A9F1C2B3D4"}
    assert len({row["event_id"] for row in rows}) == 2


@given(sender=ADDRESSES, recipients=st.lists(ADDRESSES, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_addresses_come_back_whatever_they_hold(sender: str, recipients: list[str]) -> None:
    rows = rows_of(read(line(sender=sender, recipients=",".join(recipients))))

    assert [(row["sender"], row["recipient"]) for row in rows] == [(sender, each) for each in recipients]
    assert {row["reply_class"] for row in rows} == {"basic_retired"}


def test_a_sender_with_a_space_that_is_not_quoted_is_read_all_the_same() -> None:
    row = one_row(line(sender="a b"))

    assert (row["sender"], row["recipient"]) == ("a b", "ops@contoso.example")


@pytest.mark.parametrize(
    ("error", "protocol", "mechanism"),
    [
        ("authentication failed (method PLAIN)", "basic", "PLAIN"),
        ("authentication failed (method XOAUTH2)", "oauth2", "XOAUTH2"),
        ("échec de l?authentification (méthode LOGIN)", "basic", "LOGIN"),
        ("authentication failed (method GSSAPI)", "unknown", "GSSAPI"),
    ],
)
def test_a_failed_log_in_names_its_mechanism(error: str, protocol: str, mechanism: str) -> None:
    said = f"535 5.7.3 Authentication unsuccessful {ENDED}"
    row = one_row(line(f"smtpstatus=535 smtpmsg='{said}' errormsg='{error}' exitcode=EX_NOPERM"))

    assert (row["stage"], row["auth_protocol"], row["auth_mechanism"]) == ("auth", protocol, mechanism)


def test_a_mail_that_was_taken_does_not_tell_how_msmtp_logged_in() -> None:
    row = one_row(line("mailsize=9 smtpstatus=250 smtpmsg='250 2.0.0 OK' exitcode=EX_OK"))

    assert (row["outcome"], row["stage"], row["auth_protocol"], row["size_bytes"]) == ("accepted", "data", "unknown", 9)


def test_a_backslash_n_in_a_name_is_no_line_end() -> None:
    row = one_row(line(r"smtpstatus=550 smtpmsg='550 5.1.1 CONTOSO\nagios' exitcode=EX_NOUSER"))

    assert row["reply_text"] == r"550 5.1.1 CONTOSO\nagios"


def test_what_cannot_be_a_line_of_msmtp_is_rejected() -> None:
    assert reasons(line() + "Dec 30 08:00:02 hello\n") == ["is no line of msmtp's log"]
    assert reasons(line() + line()[:60]) == ["the file ends in mid-line"]
    assert reasons("Dec 30 08:00:02 web msmtp: host=smtp.office365.com and nothing else\n") == [
        "begins like a line of msmtp and does not go on like one"
    ]


def test_stderr_under_the_name_sendmail_is_known_by_its_words() -> None:
    row = one_row(
        "sendmail: authentication failed (method PLAIN)\n"
        f"sendmail: server message: {RETIRED}\n"
        "sendmail: could not send mail (account default from /etc/msmtprc)\n"
    )

    assert (row["stage"], row["reply_class"], row["sender"]) == ("auth", "basic_retired", None)


def test_the_line_that_msmtp_could_not_log_is_read_from_stderr() -> None:
    row = one_row("sendmail: log info was: " + line(stamp=""))

    assert (row["sender"], row["reply_class"]) == ("scan@contoso.example", "basic_retired")


def test_stderr_that_ends_in_the_middle_of_a_failure_is_read_as_far_as_it_goes() -> None:
    row = one_row(f"msmtp: authentication failed (method PLAIN)\nmsmtp: server message: {RETIRED}\n")

    assert (row["reply_class"], row["stage"], row["origin_offset"]) == ("basic_retired", "auth", 0)


def test_a_failure_before_any_server_was_asked_is_left() -> None:
    parsed = read("msmtp: account default not found\nmsmtp: could not send mail (account default from x)\n")

    assert (rows_of(parsed), parsed.left) == ([], 2)


@pytest.mark.parametrize(
    ("error", "mechanism", "stage"),
    [
        ("the server does not support authentication method LOGIN", "LOGIN", "auth"),
        ("the server does not support authentication", None, "auth"),
    ],
)
def test_a_way_to_log_in_that_is_not_offered_any_more_is_told_apart(
    error: str, mechanism: str | None, stage: str
) -> None:
    row = one_row(line(f"errormsg='{error}' exitcode=EX_UNAVAILABLE"))

    assert (row["reply_class"], row["auth_mechanism"], row["stage"]) == ("mech_unknown", mechanism, stage)


def test_a_network_that_is_down_is_told_as_the_log_tells_it_on_stderr_too() -> None:
    text = "msmtp: cannot connect to smtp.office365.com, port 587: Connection refused\nmsmtp: could not send mail\n"

    assert (one_row(text)["stage"], one_row(text)["outcome"]) == ("connect", "deferred")
