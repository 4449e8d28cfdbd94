"""Sendmail: what the sample pairs cannot show."""

from __future__ import annotations

import pytest

from tests.pipeline.programs.reading_logs import RETIRED, one_row, read, reasons, rows_of

RELAY = "smtp.office365.com. [203.0.113.7]"
FROM = "from=<scan@contoso.example>, size=842, class=0, nrcpts=1, msgid=<1@contoso.example>, relay=mfp [192.0.2.9]"


def line(words: str, pid: str = "[701]", queue_id: str = "5BU801ab000701", tag: str = "sm-mta") -> str:
    return f"Dec 30 08:00:01 relay {tag}{pid}: {queue_id}: {words}\n"


def delivery(stat: str, dsn: str = "5.7.57", reply: str = "", to: str = "<ops@contoso.example>") -> str:
    said = f"reply={reply}, " if reply else ""
    return (
        f"to={to}, delay=1+00:00:01, xdelay=00:00:01, mailer=relay, pri=30842, relay={RELAY}, dsn={dsn}, "
        f"{said}stat={stat}"
    )


def about(words: str, pid: str = "[702]") -> str:
    return f"Dec 30 08:00:01 relay sm-mta{pid}: {words}\n"


@pytest.mark.parametrize("tag", ["sendmail", "sm-mta", "sm-msp-queue", "sm-que"])
def test_all_names_of_sendmail_are_read(tag: str) -> None:
    row = one_row(line(delivery("Service unavailable", reply=RETIRED), tag=tag))

    assert (row["reply_class"], row["enhanced_code"], row["outcome"]) == ("basic_retired", "5.7.30", "rejected")


def test_a_header_that_names_no_program_leaves_it_to_the_grammar() -> None:
    text = "".join(f"Dec 30 08:00:01 relay x[7]: 5BU801ab000701: {words}\n" for words in (FROM, delivery("Sent (OK)")))

    assert one_row(text)["sender"] == "scan@contoso.example"


@pytest.mark.parametrize(
    ("stat", "dsn", "reply", "kind", "stage", "outcome"),
    [
        ("Sent (OK)", "2.0.0", "", "try", "data", "accepted"),
        ("User unknown", "5.7.30", RETIRED, "try", "rcpt_to", "rejected"),
        ("Service unavailable", "5.0.0", RETIRED, "try", "unknown", "rejected"),
        ("Deferred: Temporary AUTH failure", "4.3.0", "432 4.3.2 Busy", "try", "auth", "deferred"),
        ("Deferred: Connection timed out with smtp.office365.com.", "4.0.0", "", "try", "connect", "deferred"),
        ("Deferred: 403 4.7.0 TLS handshake failed.", "4.7.0", "", "try", "tls", "deferred"),
        ("Deferred", "4.3.0", "", "held", "unknown", "deferred"),
        ("queued", "4.4.3", "", "held", "unknown", "deferred"),
    ],
)
def test_stat_tells_what_came_of_it(stat: str, dsn: str, reply: str, kind: str, stage: str, outcome: str) -> None:
    row = one_row(line(delivery(stat, dsn, reply)))

    assert (row["kind"], row["stage"], row["outcome"]) == (kind, stage, outcome)


def test_the_hidden_refusal_of_a_log_in_is_not_guessed() -> None:
    row = one_row(line(delivery("Service unavailable", reply="530 5.7.57 Client not authenticated to send mail.")))

    assert (row["reply_class"], row["auth_protocol"], row["stage"]) == ("not_authenticated", "unknown", "unknown")


def test_a_log_in_is_joined_to_what_its_process_delivers_next() -> None:
    login = about("AUTH=client, relay=smtp.office365.com., mech=XOAUTH2, bits=0")

    row = one_row(line(FROM) + login + line(delivery("Sent (OK)"), "[702]"))

    assert (row["auth_mechanism"], row["auth_protocol"]) == ("XOAUTH2", "oauth2")


@pytest.mark.parametrize(
    "between",
    [
        about("STARTTLS=client, relay=smtp.office365.com., version=TLSv1.3, verify=OK"),
        about("AUTH=client, relay=smtp.fabrikam.example., mech=PLAIN, bits=0"),
    ],
    ids=["new connection", "other host"],
)
def test_a_log_in_counts_for_its_own_connection_only(between: str) -> None:
    login = about("AUTH=client, relay=smtp.office365.com., mech=PLAIN, bits=0")

    assert one_row(login + between + line(delivery("Sent (OK)"), "[702]"))["auth_protocol"] == "unknown"


def test_a_log_in_without_a_process_id_is_a_row_of_its_own() -> None:
    row = one_row(about("AUTH=client, relay=smtp.office365.com., mech=PLAIN, bits=0", ""), "signins")

    assert (row["service"], row["auth_protocol"], row["user"]) == ("exchange_online", "basic", None)


def test_the_mail_of_a_bounce_has_the_null_sender() -> None:
    bounce = line("5BU801ab000702: DSN: Service unavailable") + line(delivery("Sent (OK)"), queue_id="5BU801ab000702")

    assert one_row(line(FROM) + bounce)["sender"] == ""


def test_mail_that_has_reached_all_is_forgotten_before_mail_that_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.programs.sendmail._MOST_DONE", 1)
    text = "".join(
        line(FROM, queue_id=f"5BU801ab00070{number}")
        + line(delivery("Sent (OK)" if number else "Deferred"), queue_id=f"5BU801ab00070{number}")
        for number in range(4)
    )

    kept = read(text, is_last=False).carry["formats"]["sendmail"]["mails"]

    assert list(kept) == ["relay 5BU801ab000700", "relay 5BU801ab000703"]


def test_a_client_that_forges_its_user_name_does_not_forge_its_address() -> None:
    words = "AUTH failure (LOGIN): x, user=a, relay=[192.0.2.1], relay=[192.0.2.4] (may be forged)"

    row = one_row(line(words), "signins")

    assert (row["client_ip"], row["outcome"], row["auth_mechanism"]) == ("192.0.2.4", "rejected", "LOGIN")


def test_local_deliveries_have_no_endpoint() -> None:
    row = one_row(
        line('to="|/usr/bin/vacation root", ctladdr=root (0/0), delay=00:00:01, mailer=prog, pri=1, stat=Sent')
    )

    assert (row["endpoint"], row["service"], row["outcome"], row["stage"]) == (None, None, "accepted", "unknown")


def test_half_a_delivery_is_rejected() -> None:
    assert reasons(line("to=<a@contoso.example>, delay=soon")) == ["begins like a delivery and does not go on like one"]
    assert reasons(line(delivery("Sent (OK)")).rstrip()[:-30]) == ["the file ends in mid-line"]


def test_rules_milters_and_statistics_are_left() -> None:
    parsed = read(
        line("Milter: connect: host=x, addr=192.0.2.9, temp failing commands")
        + line("ruleset=check_rcpt, arg1=<a@contoso.example>, relay=x [192.0.2.9], reject=550 5.7.1")
        + about("NOQUEUE: connect from x [192.0.2.9]")
    )

    assert (rows_of(parsed), rows_of(parsed, "signins"), parsed.left) == ([], [], 3)
