"""OpenSMTPD: what the sample pairs cannot show."""

from __future__ import annotations

from tests.pipeline.programs.reading_logs import RETIRED, one_row, read, reasons, rows_of

SESSION = "d358da738c2ca5af"
CLIENT = "d358da7088271113"


def line(words: str, session: str = SESSION, tag: str = "smtpd[18]") -> str:
    return f"Dec 30 08:00:01 relay {tag}: {session} {words}\n"


def delivery(stat: str = RETIRED, result: str = "PermFail", evpid: str = "f2544ee652b63bd4", to: str = "ops") -> str:
    return (
        f"mta delivery evpid={evpid} from=<scan@contoso.example> to=<{to}@contoso.example> rcpt=<-> "
        f'source="192.0.2.1" relay="203.0.113.7 (smtp.office365.com)" delay=1d2h3s result="{result}" stat="{stat}"'
    )


def message(count: int = 1) -> str:
    return (
        line("smtp connected address=192.0.2.9 host=mfp.contoso.example", CLIENT)
        + line(f"smtp message msgid=f2544ee6 size=783 nrcpt={count} proto=ESMTP", CLIENT)
        + line("smtp disconnected reason=quit", CLIENT)
    )


def test_a_mail_is_joined_to_its_client_after_the_session_is_closed() -> None:
    row = one_row(message() + line(delivery()))

    assert (row["client_ip"], row["client_name"], row["size_bytes"]) == ("192.0.2.9", "mfp.contoso.example", 783)


def test_a_mail_is_forgotten_when_all_its_recipients_are_done() -> None:
    two = message(2) + line(delivery()) + line(delivery("250 2.0.0 OK", "Ok", to="two"))

    assert "formats" not in read(two, is_last=False).carry
    assert "formats" in read(message(2) + line(delivery()), is_last=False).carry


def test_a_refused_log_in_has_its_host_by_session_and_no_sender() -> None:
    connecting = line("mta connecting address=smtp+tls://203.0.113.7:587 host=smtp.office365.com")

    row = one_row(message() + connecting + line(f"mta error reason=AUTH rejected: {RETIRED}"))

    assert (row["endpoint"], row["endpoint_ip"], row["endpoint_port"]) == ("smtp.office365.com", "203.0.113.7", 587)
    assert (row["sender"], row["stage"], row["outcome"]) == (None, "auth", "deferred")


def test_a_refused_log_in_of_an_unknown_session_is_known_by_the_name_in_the_answer() -> None:
    row = one_row(line("mta error reason=AUTH rejected: " + RETIRED.replace("Basic", "x")))

    assert (row["endpoint"], row["service"], row["reply_class"]) == (None, None, "basic_retired")


def test_broken_connections_and_local_deliveries_are_left() -> None:
    parsed = read(
        line("mta error reason=Connection closed unexpectedly")
        + line("mda delivery evpid=f2544ee652b63bd4 from=<a@x> to=<b@x> result=Ok stat=Delivered")
        + "Dec 30 08:00:01 relay smtpd[18]: smtp-out: Disabling route [] <-> 203.0.113.7 (x) for 15s\n"
    )

    assert (rows_of(parsed), parsed.left) == ([], 3)


def test_the_tag_smtpd_is_not_enough() -> None:
    postfix = "Dec 30 08:00:01 relay smtpd[7]: A1B2C3D4E5: client=mfp.contoso.example[192.0.2.9]\n"

    formats = read(postfix + line("smtp connected address=192.0.2.9 host=x"), is_last=False).carry["formats"]

    assert set(formats) == {"postfix", "opensmtpd"}


def test_a_quote_in_the_answer_does_not_end_it() -> None:
    assert one_row(line(delivery('550 5.1.1 "no" here" x')))["reply_text"] == '550 5.1.1 "no" here" x'


def test_half_a_delivery_is_rejected() -> None:
    assert reasons(line("mta delivery evpid=f2544ee652b63bd4 from=<a")) == [
        "begins like a delivery and does not go on like one"
    ]
    assert reasons(line(delivery()).rstrip()[:-40]) == ["the file ends in mid-line"]


def test_a_host_that_offers_no_log_in_is_told_in_the_programs_own_words() -> None:
    connecting = line("mta connecting address=smtp+tls://203.0.113.7:587 host=smtp.office365.com")

    row = one_row(connecting + line("mta error reason=AUTH not advertised"))

    assert (row["stage"], row["outcome"], row["reply_class"]) == ("auth", "deferred", "mech_unknown")
    assert (row["endpoint"], row["auth_protocol"]) == ("smtp.office365.com", "unknown")


def test_an_error_after_mails_were_sent_names_its_session_too() -> None:
    said = f"smtp-out: Error on session {SESSION} after 2 messages sent: AUTH rejected: {RETIRED}"

    assert one_row(f"Dec 30 08:00:01 relay smtpd[18]: {said}\n")["session_id"] == SESSION
