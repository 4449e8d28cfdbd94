"""nullmailer: what the sample pairs cannot show."""

from __future__ import annotations

import pytest

from tests.pipeline.programs.reading_logs import RETIRED, one_row, read, rows_of

BEGUN = [
    "Starting delivery: host: smtp.office365.com protocol: smtp file: 1795457987.25",
    "From: <app@contoso.example> to: <ops@contoso.example>",
    "Message-Id: <1@contoso.example>",
]


def log(*words: str, tag: str = "nullmailer") -> str:
    return "".join(f"Dec 30 08:00:01 relay {tag}: {each}\n" for each in words)


@pytest.mark.parametrize(
    ("end", "stage", "outcome"),
    [
        ("Sending failed: Failed to authenticate to server", "auth", "deferred"),
        ("Sending failed: Permanent error in sending the message", "unknown", "rejected"),
        ("Sending failed: Temporary error in sending the message", "unknown", "deferred"),
    ],
)
@pytest.mark.parametrize("tag", ["nullmailer", "nullmailer-send[7]"])
def test_the_line_behind_the_answer_tells_what_came_of_it(end: str, stage: str, outcome: str, tag: str) -> None:
    row = one_row(log(*BEGUN, f"smtp: Failed: {RETIRED}", end, tag=tag))

    assert (row["stage"], row["outcome"], row["reply_class"]) == (stage, outcome, "basic_retired")
    assert (row["sender"], row["recipient"], row["message_id"]) == (
        "app@contoso.example",
        "ops@contoso.example",
        "<1@contoso.example>",
    )


def test_a_bare_log_is_known_by_its_words_and_keeps_an_answer_of_two_lines_together() -> None:
    answer = ["smtp: Failed: 550-5.7.30 Basic authentication is not", "550 supported for Client Submission. x"]

    row = one_row("\n".join([*BEGUN, *answer, "Sending failed: Permanent error in sending the message\n"]))

    assert (row["reply_class"], row["queue_id"]) == ("basic_retired", "1795457987.25")


def test_a_try_whose_end_is_missing_is_read_when_the_next_begins_or_the_log_ends() -> None:
    answered = [*BEGUN, f"smtp: Failed: {RETIRED}"]

    rows = rows_of(read(log(*answered, *answered)))

    assert [(row["outcome"], row["stage"], row["log_host"]) for row in rows] == [("rejected", "unknown", "relay")] * 2


def test_hostile_recipients_are_taken_apart_by_their_quotes() -> None:
    listed = 'From: <> to: <"a>, <b"@contoso.example>, <ops@contoso.example>'

    rows = rows_of(read(log(BEGUN[0], listed, f"smtp: Failed: {RETIRED}", "Sending failed: Permanent error")))

    assert [row["recipient"] for row in rows] == ['"a>, <b"@contoso.example', "ops@contoso.example"]
    assert {row["sender"] for row in rows} == {""}
    assert len({row["event_id"] for row in rows}) == 2


def test_the_same_answer_to_two_mails_in_one_second_is_two_events() -> None:
    busy = ["smtp: Failed: 432 4.3.2 Busy", "Sending failed: Temporary error in sending the message"]
    other = BEGUN[0].replace(".25", ".26")

    rows = rows_of(read(log(*BEGUN, *busy, other, *busy)))

    assert len({row["event_id"] for row in rows}) == len(rows) == 2


def test_the_news_of_the_queue_is_left() -> None:
    parsed = read(log("Rescanning queue.", "Trigger pulled.", "Sent file.", "Delivery complete, 0 message(s) remain."))

    assert (rows_of(parsed), parsed.left) == ([], 4)
