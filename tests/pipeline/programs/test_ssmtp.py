"""sSMTP: what the sample pairs cannot show."""

from __future__ import annotations

import pytest

from tests.pipeline.programs.reading_logs import RETIRED, one_row, read, reasons, rows_of


def line(words: str, tag: str = "sSMTP[12]") -> str:
    return f"Dec 30 08:00:01 relay {tag}: {words}\n"


@pytest.mark.parametrize(
    ("words", "stage", "protocol"),
    [
        (f"Authorization failed ({RETIRED})", "auth", "basic"),
        (f"Server didn't accept AUTH LOGIN ({RETIRED})", "auth", "basic"),
        (f"Server rejected AUTH CRAM-MD5 ({RETIRED})", "auth", "basic"),
        (f"RCPT TO:<ops@contoso.example> ({RETIRED})", "rcpt_to", "basic"),
        (RETIRED, "unknown", "basic"),
        ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", "unknown", "unknown"),
    ],
)
@pytest.mark.parametrize("tag", ["sSMTP[12]", "ssmtp"])
def test_each_way_to_be_refused_is_read(words: str, stage: str, protocol: str, tag: str) -> None:
    row = one_row(line(words, tag))

    assert (row["stage"], row["auth_protocol"], row["outcome"]) == (stage, protocol, "rejected")


def test_the_last_line_of_an_answer_is_known_by_code_and_server() -> None:
    last = "550 5.7.30 See https://aka.ms/smtpauthdeprecation " + RETIRED.partition("Submission. ")[2]

    assert one_row(line(f"Authorization failed ({last})"))["reply_class"] == "basic_retired"
    assert one_row(line("Authorization failed (550 5.7.30 See x [mx.fabrikam.example])"))["reply_class"] == "unknown"


def test_a_hostile_recipient_cannot_bring_an_answer_of_its_own() -> None:
    row = one_row(line(f'RCPT TO:<"x> (250 ok)"@contoso.example> ({RETIRED})'))

    assert (row["recipient"], row["reply_class"]) == ('"x> (250 ok)"@contoso.example', "basic_retired")


def test_what_says_nothing_of_a_submission_is_left() -> None:
    parsed = read(line("Creating SSL connection to host") + line("SSL connection using X") + line("550ers are old"))

    assert (rows_of(parsed), parsed.left) == ([], 3)


def test_a_line_that_the_file_cuts_is_rejected() -> None:
    assert reasons(line(RETIRED).rstrip()) == ["the file ends in mid-line"]
