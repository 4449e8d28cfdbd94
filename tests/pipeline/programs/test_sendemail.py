"""sendEmail: what the sample pairs cannot show."""

from __future__ import annotations

from tests.pipeline.programs.reading_logs import RETIRED, one_row, read, rows_of

RECEIVED = "Received: \t"


def line(words: str, pid: int = 7) -> str:
    return f"Dec 30 08:00:01 mon01 sendEmail[{pid}]: {words}\n"


def test_two_runs_side_by_side_are_told_apart() -> None:
    talk = line("INFO => Sending: \tEHLO mon01") + line("INFO => Sending: \tMAIL FROM:<scan@contoso.example>")

    row = one_row(line("INFO => Sending: \tEHLO other", 8) + talk + line(f"ERROR => {RECEIVED}{RETIRED}", 8))

    assert (row["client_name"], row["sender"]) == ("other", None)


def test_a_temporary_refusal_of_the_log_in_is_deferred() -> None:
    checking = "DEBUG => evalSMTPresponse() - Checking for SMTP success or error status in the message: 432 4.3.2 Busy"
    row = one_row(
        line(checking) + line("ERROR => ERROR => SMTP-AUTH: Authentication to smtp.office365.com:587 failed.")
    )

    assert (row["stage"], row["outcome"], row["reply_code"], row["endpoint_port"]) == ("auth", "deferred", 432, 587)


def test_a_mail_to_several_is_a_row_for_each_and_its_subject_may_hold_anything() -> None:
    sent = "Email was sent successfully!  From: <Scan@contoso.example> To: <a@contoso.example> Cc: <b@contoso.example> "
    rows = rows_of(read(line(f"{sent}Subject: [Server: [x:1] 550 5.7.30] Server: [smtp.office365.com:587]")))

    assert [(row["sender"], row["recipient"], row["endpoint"]) for row in rows] == [
        ("scan@contoso.example", f"{name}@contoso.example", "smtp.office365.com") for name in "ab"
    ]
    assert len({row["event_id"] for row in rows}) == len(rows)
