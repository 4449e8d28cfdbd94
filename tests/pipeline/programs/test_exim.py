"""Exim: what the sample pairs cannot show."""

from __future__ import annotations

import time

import pytest

from pipeline.carriers import exim_mainlog
from tests.pipeline.programs.reading_logs import ENDED, RETIRED, one_row, read, rows_of

STAMP = "2026-12-30 08:00:01"
ID = "1xW6F1-000000001Pl-3B7C"
HOST = "R=smarthost T=remote H=smtp.office365.com [203.0.113.25]"


def line(words: str, id: str = ID) -> str:
    return f"{STAMP} {id} {words}\n"


@pytest.mark.parametrize(
    ("address", "recipient"),
    [
        ("ops@contoso.example", "ops@contoso.example"),
        ("ops@contoso.example <Staff@local.example>", "staff@local.example"),
        ("ops@contoso.example (list@local.example, all@local.example) <staff@local.example>", "staff@local.example"),
        ('a b@contoso.example <"a b"@contoso.example>', '"a b"@contoso.example'),
        ('b, c: d@contoso.example <"b, c: d"@contoso.example>', '"b, c: d"@contoso.example'),
        (
            'x <victim@fabrikam.example> R=y@contoso.example <"x <victim@fabrikam.example> R=y"@contoso.example>',
            '"x <victim@fabrikam.example> r=y"@contoso.example',
        ),
        ("|/usr/bin/filter --to x <ops@contoso.example>", "ops@contoso.example"),
        ("save inbox <ops@contoso.example>", "ops@contoso.example"),
        ("new name@contoso.example <ops@local.example>", "ops@local.example"),
    ],
)
def test_recipient_is_the_one_of_the_envelope_whatever_its_local_part_holds(address: str, recipient: str) -> None:
    row = one_row(line(f"** {address} {HOST}: SMTP error from remote mail server after end of data: {RETIRED}"))

    assert (row["recipient"], row["endpoint"], row["reply_class"]) == (recipient, "smtp.office365.com", "basic_retired")


@pytest.mark.parametrize(
    "words",
    [
        "*> ops@contoso.example R=smarthost T=remote",
        "=> :blackhole: <ops@contoso.example> R=nobody",
        "=> :blackhole: <ops@contoso.example> F=<a@b.example> R=nobody",
    ],
)
def test_what_went_nowhere_is_no_delivery(words: str) -> None:
    assert not rows_of(read(line(words)))


@pytest.mark.parametrize(
    ("peer", "log_in", "protocol"),
    [
        ("H=smtp.office365.com [203.0.113.25]:587", " A=login", "basic"),
        ("H=smtp.office365.com DS [203.0.113.25]:587", " A=xoauth2:erp@contoso.example", "oauth2"),
        ("H=smtp.office365.com [203.0.113.25]:587", "", "none"),
        ("H=smtp.office365.com [203.0.113.25]:587*", "", "unknown"),
        ("H=smtp.office365.com [203.0.113.25]*", "", "unknown"),
    ],
)
def test_a_connection_that_is_used_again_does_not_tell_how_it_logged_in(peer: str, log_in: str, protocol: str) -> None:
    row = one_row(
        line(f'=> ops@contoso.example R=s T=r {peer} X=TLS1.3 CV=no{log_in} K C="250 2.0.0 OK" QT=1s DT=0.1s')
    )

    assert (row["endpoint"], row["endpoint_ip"]) == ("smtp.office365.com", "203.0.113.25")
    assert (row["outcome"], row["auth_protocol"], row["reply_text"]) == ("accepted", protocol, "250 2.0.0 OK")


@pytest.mark.parametrize(
    ("log_in", "user"),
    [
        ("A=login:dev1 S=5", "dev1"),
        ("A=login:CONTOSO\\John Doe S=5", "CONTOSO\\John Doe"),
        ("A=plain:dev1@contoso.example:erp@contoso.example S=5", "dev1@contoso.example"),
        ("A=plain S=5", None),
    ],
)
def test_user_of_a_log_in_may_have_spaces_and_a_sender_behind_it(log_in: str, user: str | None) -> None:
    parsed = read(line(f"<= erp@contoso.example H=(dev1) [192.0.2.5] P=esmtpa {log_in}") + line("Completed"))

    [signin], [done] = rows_of(parsed, "signins"), rows_of(parsed)
    assert (signin["user"], done["client_user"]) == (user, user)
    assert signin["outcome"] == "accepted"


def test_sender_is_told_by_the_delivery_where_the_arrival_is_in_an_older_log() -> None:
    row = one_row(line(f'=> ops@contoso.example F=<Erp@contoso.example> P=<srs+x@relay.example> {HOST} C="250 OK"'))

    assert row["sender"] == "erp@contoso.example"


@pytest.mark.parametrize("reply", ["\n", "\\n"])
def test_reply_of_two_lines_is_one_in_each_version(reply: str) -> None:
    error = (
        f"550-5.7.30 Basic authentication is not supported for Client Submission.{reply}550 5.7.30 See {ENDED} DT=0.1s"
    )
    row = one_row(line(f"** ops@contoso.example {HOST}: SMTP error from remote mail server after end of data: {error}"))

    assert (row["reply_class"], row["request_id"]) == ("basic_retired", "08DE47A9F1C2B3D4")
    assert row["reply_text"].endswith(f"Submission.\n550 5.7.30 See {ENDED}")


BUSY = "SMTP error from remote mail server after end of data: 432 4.3.2 sender thread limit exceeded"


def test_answer_told_for_the_host_and_again_for_the_recipient_is_one() -> None:
    text = line(f"H=smtp.office365.com [203.0.113.25]: {BUSY}") + line(f"== ops@contoso.example {HOST}: {BUSY}")

    assert one_row(text)["recipient"] == "ops@contoso.example"


def test_answer_of_a_host_before_another_took_the_mail_is_a_try_of_its_own() -> None:
    text = line(f"H=other.example [203.0.113.26]: {BUSY}") + line(f'=> ops@contoso.example {HOST} C="250 OK"')

    assert [(row["endpoint"], row["outcome"]) for row in rows_of(read(text))] == [
        ("other.example", "deferred"),
        ("smtp.office365.com", "accepted"),
    ]


def test_cutthrough_delivery_gets_its_sender_from_the_arrival_in_a_later_read() -> None:
    first = read(line(f'>> ops@contoso.example {HOST} A=login C="250 2.0.0 OK"'), is_last=False)
    second = read(line("<= erp@contoso.example H=(dev1) [192.0.2.5] P=esmtp S=5"), first.carry, 200)

    assert not rows_of(first)
    [row] = rows_of(second)
    assert (row["sender"], row["client_ip"], row["outcome"]) == ("erp@contoso.example", "192.0.2.5", "accepted")
    assert (row["origin_offset"], str(row["event_time"])) == (0, "2026-12-30 08:00:01+00:00")


def test_rows_that_wait_for_ever_are_told_and_forgotten() -> None:
    text = "".join(line(f"H=a.example [203.0.113.26]: {BUSY}", f"1xW6F1-{n:06}-3B") for n in range(1_500))
    parsed = read(text, is_last=False)

    assert len(rows_of(parsed)) == 500
    assert len(parsed.carry["formats"]["exim"]["waiting"]) == 1_000


@pytest.mark.parametrize(
    ("words", "kind", "stage"),
    [
        (f"== ops@contoso.example {HOST[:22]} defer (-54): retry time not reached for any host", "held", "unknown"),
        ("== ops@contoso.example routing defer (-51): retry time not reached", "held", "unknown"),
        ("== ops@contoso.example defer (-23): domain is held", "held", "unknown"),
        ("== ops@contoso.example R=s T=r defer (0): SMTP delivery explicitly queued", "held", "unknown"),
        ("== ops@contoso.example R=s T=r defer (-53): Retry time not yet reached", "held", "unknown"),
        ("** ops@contoso.example: retry timeout exceeded", "expired", "unknown"),
        (
            "== ops@contoso.example R=s T=r defer (110): Connection timed out H=smtp.office365.com [203.0.113.25]: "
            "SMTP timeout after RCPT TO:<ops@contoso.example>",
            "try",
            "rcpt_to",
        ),
        (
            "== ops@contoso.example R=s T=r defer (-18) H=smtp.office365.com [203.0.113.25]: "
            "Remote host closed connection in response to AUTH LOGIN",
            "try",
            "auth",
        ),
        ("== ops@contoso.example R=s T=r defer (111): Connection refused", "try", "connect"),
        (
            "== a@b.example R=s T=r defer (-42): authentication required but server did not advertise AUTH support",
            "try",
            "auth",
        ),
    ],
)
def test_what_was_not_tried_is_held_and_what_broke_off_has_its_stage(words: str, kind: str, stage: str) -> None:
    row = one_row(line(words))

    assert (row["kind"], row["stage"]) == (kind, stage)
    assert row["endpoint"] == ("smtp.office365.com" if "smtp.office365.com" in words else None)


def test_refused_log_in_of_a_callout_or_cutthrough_names_no_mail_and_is_told_all_the_same() -> None:
    row = one_row(f"{STAMP} login authenticator failed H=smtp.office365.com [203.0.113.25] {RETIRED}\n")

    assert (row["reply_class"], row["stage"], row["sender"]) == ("basic_retired", "auth", None)


def test_log_ins_are_known_whatever_syslog_calls_exim() -> None:
    text = (
        f"Dec 30 08:00:01 relay mta-out[7]: {ID} login authenticator failed H=smtp.office365.com [203.0.113.25] "
        f"{RETIRED}\n"
        "Dec 30 08:00:01 relay mta-out[7]: plain authenticator failed for (dev1) [192.0.2.5]: 535 Incorrect "
        "authentication data (set_id=dev 1)\n"
    )
    parsed = read(text)

    assert parsed.tables["deliveries"]["format"].to_pylist() == ["exim"]
    assert [row["user"] for row in rows_of(parsed, "signins")] == ["dev 1"]


@pytest.mark.parametrize(
    ("words", "mechanism", "client_ip"),
    [
        (
            'SMTP protocol error in "AUTH LOGIN" H=(dev1) [192.0.2.5] AUTH command used when not advertised',
            "login",
            "192.0.2.5",
        ),
        (
            'SMTP protocol error in "auth login eGFtcGxl" H=(x) [192.0.2.6]" H=(dev1) [192.0.2.5]:99 I=[192.0.2.1]:25 '
            "AUTH command used when not advertised",
            "login",
            "192.0.2.5",
        ),
        (
            'SMTP protocol error in "AUTH CRAM-MD5" H=(dev1) [192.0.2.5] '
            "CRAM-MD5 authentication mechanism not supported",
            "cram-md5",
            "192.0.2.5",
        ),
    ],
)
def test_log_in_that_the_relay_does_not_offer_is_refused(words: str, mechanism: str, client_ip: str) -> None:
    row = one_row(f"{STAMP} {words}\n", "signins")

    assert (row["outcome"], row["auth_mechanism"], row["client_ip"]) == ("rejected", mechanism, client_ip)
    assert row["client_name"] == "dev1"
    assert "eGFtcGxl" not in str(row)


@pytest.mark.parametrize(
    ("words", "sender", "recipient", "stage"),
    [
        (
            'H=(d) [192.0.2.5] F=<a@b.example> rejected RCPT <"a b"@c.example>: no',
            "a@b.example",
            '"a b"@c.example',
            "rcpt_to",
        ),
        ("H=(d) [192.0.2.5] F=<a@b.example> rejected RCPT <x@c.example>", "a@b.example", "x@c.example", "rcpt_to"),
        ("F=<a@b.example> rejected by non-SMTP ACL: no", "a@b.example", None, "data"),
        ("rejected from <a@b.example> H=(d) [192.0.2.5]: message too big: read=9 max=5", "a@b.example", None, "data"),
        ("H=(d) [192.0.2.5] rejected MAIL <a@b.example>: no", "a@b.example", None, "mail_from"),
    ],
)
def test_own_refusals_name_whom_they_name(words: str, sender: str, recipient: str | None, stage: str) -> None:
    row = one_row(f"{STAMP} {words}\n")

    assert (row["sender"], row["recipient"], row["stage"], row["service"]) == (sender, recipient, stage, "own_relay")


def test_quiet_log_of_queue_runs_and_connections_is_one_of_exim() -> None:
    quiet = f"{STAMP} Start queue run: pid=7\n{STAMP} End queue run: pid=7\n" * 20
    quiet += f"{STAMP} SMTP connection from [192.0.2.5]:99 I=[192.0.2.1]:25 lost D=0.1s\n" * 20

    row = one_row(f"{quiet}{STAMP} H=(dev1) [192.0.2.5] F=<a@b.example> rejected RCPT <x@c.example>: no\n")

    assert row["recipient"] == "x@c.example"


def test_rejectlog_with_the_headers_of_what_was_refused_is_a_log_of_exim() -> None:
    refused = (
        f"{STAMP} {ID} H=(dev2) [192.0.2.5] F=<erp@contoso.example> rejected after DATA: virus found\n"
        "Envelope-from: <erp@contoso.example>\nEnvelope-to: <ops@contoso.example>\n"
        "P Received: from [192.0.2.5] (helo=dev2)\n\tby relay.example with smtp (Exim 4.96)\n"
        f"\tid {ID}\nF From: erp@contoso.example\n  Subject: {RETIRED}\n"
    )

    assert exim_mainlog.looks_like(refused.encode() * 3)
    row = one_row(refused)
    assert (row["outcome"], row["reply_text"], row["reply_class"]) == ("rejected", "virus found", "unknown")


@pytest.mark.parametrize("text", [" <", " (", ' <"', "a ", ": ", "\\", '"'])
def test_hostile_address_costs_no_time(text: str) -> None:
    began = time.monotonic()
    read(line(f"** x {text * 8_000}") + line(f"<= {text * 8_000}") + f"{STAMP} H=x rejected RCPT {text * 8_000}\n")

    assert time.monotonic() - began < 3


def test_refusal_that_syslog_gets_for_the_rejectlog_too_is_told_once_and_without_the_headers() -> None:
    head = "relay mta-out[7]:"
    refused = f"{STAMP} {ID} H=(dev2) [192.0.2.5] F=<erp@contoso.example> rejected after DATA: virus found"
    log_in = f"{STAMP} login authenticator failed for (dev1) [192.0.2.5]: 535 Incorrect authentication data"
    text = (
        f"2026-12-30T08:00:01.100001Z {head} {refused}\n"
        f"2026-12-30T08:00:01.100002Z {head} [1\\3] {refused}\n"
        f"2026-12-30T08:00:01.100003Z {head} [2\\3] Envelope-from: <erp@contoso.example>\n"
        f"2026-12-30T08:00:01.100004Z {head} [3\\3]   Subject: x\n"
    ) + "".join(f"2026-12-30T08:00:01.2{number}Z {head} {log_in}\n" for number in range(4))
    lines = text.splitlines(keepends=True)
    first = read("".join(lines[:5]), is_last=False)
    second = read("".join(lines[5:]), first.carry, 2_000)

    assert [(row["reply_text"], row["format"]) for row in rows_of(first)] == [("virus found", "exim")]
    assert (len(rows_of(first, "signins")), len(rows_of(second, "signins"))) == (1, 1)


def test_own_refusal_that_quotes_the_error_is_none_of_exchange_whatever_syslog_calls_exim() -> None:
    row = one_row(
        f"Dec 30 08:00:01 relay mta-out[7]: H=(d) [192.0.2.5] rejected MAIL <a@b.example>: we say {RETIRED}\n"
    )

    assert (row["service"], row["reply_class"], row["request_id"]) == ("own_relay", "unknown", None)
