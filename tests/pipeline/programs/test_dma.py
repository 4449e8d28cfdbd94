"""The DragonFly Mail Agent: what the sample pairs cannot show."""

from __future__ import annotations

import pytest

from tests.pipeline.programs.reading_logs import RETIRED, one_row, read, reasons, rows_of

MAIL = "29a05e"
ID = "29a05e.55cf201f1000"


def line(words: str, id: str = ID) -> str:
    return f"Dec 30 08:00:01 relay dma[{id}]: {words}\n"


BEGUN = (
    line("new mail from user=app uid=1000 envelope_from=<app@contoso.example>", MAIL)
    + line(f"mail to=<ops@contoso.example> queued as {ID}", MAIL)
    + line("<ops@contoso.example> trying delivery")
    + line("using smarthost (smtp.office365.com:587)")
    + line("trying remote delivery to smtp.office365.com [203.0.113.7] pref 0")
)
LOGIN = line("  Server supports LOGIN authentication") + line("using SMTP authentication for user app@contoso.example")
DELIVERED = line("<ops@contoso.example> delivery successful")


def test_mail_that_was_taken_after_a_log_in_is_basic() -> None:
    row = one_row(BEGUN + LOGIN + DELIVERED)

    assert (row["outcome"], row["auth_protocol"], row["auth_mechanism"]) == ("accepted", "basic", "LOGIN")
    assert (row["sender"], row["auth_user"], row["endpoint_port"]) == (
        "app@contoso.example",
        "app@contoso.example",
        587,
    )


def test_without_the_mechanisms_of_the_server_the_protocol_is_not_known() -> None:
    account = line("using SMTP authentication for user app@contoso.example")

    row = one_row(BEGUN + account + DELIVERED)

    assert (row["auth_protocol"], row["auth_mechanism"]) == ("unknown", None)


def test_mail_that_went_on_without_a_log_in_has_none() -> None:
    row = one_row(BEGUN + LOGIN + line("SMTP login not available. Trying without.") + DELIVERED)

    assert (row["auth_protocol"], row["auth_user"]) == ("none", None)


def test_cram_md5_is_taken_first() -> None:
    row = one_row(BEGUN + line("  Server supports CRAM-MD5 authentication") + LOGIN + DELIVERED)

    assert row["auth_mechanism"] == "CRAM-MD5"


def test_an_id_that_is_used_again_is_another_mail() -> None:
    again = line("new mail from user=nas uid=7 envelope_from=<nas@contoso.example>", MAIL)

    assert one_row(BEGUN + again + DELIVERED)["sender"] == "app@contoso.example"


@pytest.mark.parametrize(
    ("words", "stage", "outcome"),
    [
        (f"remote delivery failed: Authentication failed: {RETIRED}", "auth", "rejected"),
        (f"remote delivery deferred: AUTH login not available: {RETIRED}", "auth", "deferred"),
        (f"remote delivery to smtp.office365.com [203.0.113.7] failed after final DATA: {RETIRED}", "data", "rejected"),
        (
            f"remote delivery deferred: smtp.office365.com [203.0.113.7] failed after connect: {RETIRED}",
            "connect",
            "deferred",
        ),
        (f"remote delivery failed after RCPT TO: {RETIRED}", "rcpt_to", "rejected"),
        ("remote delivery deferred: STARTTLS not available", "tls", "deferred"),
    ],
)
def test_each_way_to_fail_is_read(words: str, stage: str, outcome: str) -> None:
    row = one_row(BEGUN + line(words))

    assert (row["stage"], row["outcome"], row["endpoint"]) == (stage, outcome, "smtp.office365.com")


@pytest.mark.parametrize("joint", ["#015#012", "^M^J", "#012"])
def test_line_ends_that_syslog_escaped_join_the_answer(joint: str) -> None:
    said = RETIRED.replace("550 ", "550-").partition(" [")[0] + joint + "550 5.7.30 See aka.ms"

    row = one_row(BEGUN + line(f"remote delivery failed: Authentication failed: {said}"))

    assert (row["reply_class"], "#0" in row["reply_text"], "^" in row["reply_text"]) == ("basic_retired", False, False)


def test_a_refusal_of_an_unknown_id_is_kept_with_what_it_says() -> None:
    row = one_row(line(f"remote delivery failed: Authentication failed: {RETIRED}"))

    assert (row["sender"], row["endpoint"], row["reply_class"], row["queue_id"]) == (None, None, "basic_retired", ID)


def test_what_says_nothing_new_is_left() -> None:
    parsed = read(
        line("remote delivery failed: SMTP login failed: Success")
        + line("delivery failed, bouncing as 29a06a")
        + line("can not bounce a bounce message, discarding")
    )

    assert (rows_of(parsed), parsed.left) == ([], 3)


def test_a_line_that_the_file_cuts_is_rejected() -> None:
    assert reasons(line(f"remote delivery failed: Authentication failed: {RETIRED}").rstrip()[:-9]) == [
        "the file ends in mid-line"
    ]
