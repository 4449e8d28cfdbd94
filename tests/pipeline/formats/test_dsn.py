"""Bounces: which mails are none, and how hostile ones are read; what a report looks like is in the sample pairs."""

from __future__ import annotations

import base64
import quopri
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.formats import dsn
from pipeline.model import Chunk, Parsed

SIGNED = "[FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-30T08:00:01.100Z 08DE47A9F1C2B3D4]"
RETIRED = f"550 5.7.30 Basic authentication is not supported for Client Submission. {SIGNED}"
DAEMON = "MAILER-DAEMON@relay.contoso.example (Mail Delivery System)"
TEXT = f"<ops@fabrikam.example>: {RETIRED}"
ABOUT = "Reporting-MTA: dns; relay.contoso.example\n\n"
FAILED = (
    "Final-Recipient: rfc822; ops@fabrikam.example\nAction: failed\nStatus: 5.7.30\n"
    f"Remote-MTA: dns; smtp.office365.com\nDiagnostic-Code: smtp; {RETIRED}\n"
)


def mail(
    body: str, sender: str = DAEMON, subject: str = "Undelivered Mail Returned to Sender", more: str = ""
) -> bytes:
    head = f"From: {sender}\nTo: scanner@contoso.example\nSubject: {subject}\nDate: Wed, 30 Dec 2026 09:00:05 +0100\n"
    return f"{head}{more}\n{body}".encode()


def report(text: str = "It failed.", status: str = ABOUT + FAILED, encoding: str = "8bit", **more: str) -> bytes:
    kind = more.pop("kind", "multipart/report; report-type=delivery-status")
    status_type = more.pop("status_type", "message/delivery-status")
    body = (
        f"--B\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
        f"--B\nContent-Type: {status_type}\nContent-Transfer-Encoding: {encoding}\n\n{status}\n"
        "--B\nContent-Type: text/rfc822-headers\n\nFrom: scanner@contoso.example\n--B--\n"
    )
    return mail(body, more=f'MIME-Version: 1.0\nContent-Type: {kind}; boundary="B"\n', **more)


def read(body: bytes) -> Parsed:
    return dsn.parse(Chunk(body, "bounce.eml", "bounce", as_of=datetime(2027, 1, 15, tzinfo=UTC), is_last=True), {})


def rows(body: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(body).tables["deliveries"].to_pylist()
    return found


@pytest.mark.parametrize(
    "body",
    [
        mail(f"> {TEXT}", "Anna <anna@contoso.example>", "Fwd: Undelivered Mail Returned to Sender"),
        report(sender="Anna <anna@contoso.example>", subject="scanner broken", kind="multipart/mixed"),
        mail(TEXT, DAEMON, "Your delivery is delayed", "List-Unsubscribe: <mailto:x@mailing.example>\n"),
        mail(TEXT, "News <noreply@mailing.example>", "Your delivery is delayed"),
        mail(f"Mails could not be delivered: {RETIRED}\nCall Anna.", "postmaster@contoso.example", "Mail is rejected"),
        mail(TEXT, "postmaster@contoso.example", "Re: Undelivered Mail Returned to Sender"),
        mail(f"Click here: {RETIRED} boss@contoso.example", "MAILER-DAEMON@evil.example", "Undeliverable"),
        mail(f"I am away. {RETIRED}", "Anna <anna@contoso.example>", "Out of office", "Return-Path: <>\n"),
        mail(f"I am away. {RETIRED}", "Anna <anna@contoso.example>", "AW: delivery failure", "Return-Path: <>\n"),
        mail(TEXT, DAEMON, "Undelivered Mail", "List-Id: <all.contoso.example>\n"),
        mail(TEXT, DAEMON, "Undelivered Mail", "X-Authsunset-Message: 1\n"),
        report(
            kind="multipart/report; report-type=disposition-notification",
            status_type="message/disposition-notification",
            sender="anna@contoso.example", subject="Read: x",
        ),
    ],
    ids=[
        "forwarded", "report in a mail of a person", "mailing list", "newsletter", "postmaster is a person", "reply",
        "forged without a report", "vacation", "vacation that names a bounce", "list", "our own", "read receipt",
    ],
)  # fmt: skip
def test_mail_that_only_quotes_the_error_is_no_evidence(body: bytes) -> None:
    parsed = read(body)

    assert not parsed.tables["deliveries"].num_rows
    assert (parsed.lines, parsed.left, parsed.rejects) == (1, 1, ())


@pytest.mark.parametrize(
    "body",
    [
        report(),
        report().replace(b"\n", b"\r\n"),
        report(status=base64.encodebytes((ABOUT + FAILED).encode()).decode(), encoding="base64"),
        report(status=quopri.encodestring((ABOUT + FAILED).encode()).decode(), encoding="quoted-printable"),
        report(kind="multipart/mixed"),
        report(status_type="message/global-delivery-status"),
        report(TEXT, ABOUT + "Final-Recipient: rfc822; ops@fabrikam.example\nAction: failed\nStatus: 5.0.0\n"),
        mail(f"The following address failed:\n\n  ops@fabrikam.example\n    {RETIRED}\n", more="Return-Path: <>\n"),
        mail(f"This could not be delivered to\n\nops@fabrikam.example\n  {RETIRED}\n"),
        mail(f"Permanent errors: ops@fabrikam.example. [{RETIRED}]", "mailer-daemon", "Sorry", "Return-path: <>\n"),
    ],
    ids=[
        "report", "CRLF", "base64", "quoted-printable", "mixed", "global", "in the text only", "text of nobody",
        "text that names who failed", "text with another subject",
    ],
)  # fmt: skip
def test_bounce_is_read_however_it_is_packed(body: bytes) -> None:
    [row] = rows(body)

    assert (row["recipient"], row["sender"]) == ("ops@fabrikam.example", "scanner@contoso.example")
    assert (row["reply_code"], row["enhanced_code"], row["reply_class"]) == (550, "5.7.30", "basic_retired")
    assert (row["request_id"], row["outcome"]) == ("08DE47A9F1C2B3D4", "rejected")


def test_address_in_utf_8_comes_back() -> None:
    body = report(
        status=ABOUT + FAILED.replace("rfc822; ops", "utf-8; jürgen"), status_type="message/global-delivery-status"
    )

    assert [row["recipient"] for row in rows(body)] == ["jürgen@fabrikam.example"]


def test_each_recipient_has_its_own_cause_and_none_the_one_of_another() -> None:
    blocks = "".join(
        f"Final-Recipient: rfc822; {name}@fabrikam.example\nAction: failed\nStatus: 5.0.0\n\n" for name in "abc"
    )
    text = f"<a@fabrikam.example>: {RETIRED}\n\n<b@fabrikam.example>: Cut off\n\n<c@fabrikam.example>: (#5.1.1)\n"

    assert [
        (row["recipient"][0], row["reply_class"], row["enhanced_code"]) for row in rows(report(text, ABOUT + blocks))
    ] == [
        ("a", "basic_retired", "5.7.30"),
        ("b", "unknown", "5.0.0"),
        ("c", "unknown", "5.1.1"),
    ]


def test_answer_behind_one_that_only_says_how_long_it_took_is_the_one_that_counts() -> None:
    waited = "554 4.4.7 Message expired: unable to deliver in 840 minutes.<421 4.4.2 Connection timed out>"
    [row] = rows(report(status=ABOUT + FAILED.replace(RETIRED, waited).replace("5.7.30", "4.4.7")))

    assert (row["kind"], row["reply_code"], row["enhanced_code"]) == ("expired", 421, "4.4.2")


def test_report_of_hundreds_of_recipients_is_read_to_its_end_and_one_without_end_is_cut_and_says_so() -> None:
    def of(count: int) -> Parsed:
        each = (FAILED.replace("ops@", f"user{number}@") for number in range(count))
        return read(report(status=ABOUT + "\n".join(each)))

    whole, cut = of(1_500), of(2_500)

    assert (whole.tables["deliveries"].num_rows, whole.rejects) == (1_500, ())
    assert cut.tables["deliveries"].num_rows == dsn.MOST_RECIPIENTS
    assert [reject.reason for reject in cut.rejects] == ["reports more than 2000 recipients; the rest is not read"]


def test_parts_within_parts_without_end_are_a_reject() -> None:
    nested = "".join(f'Content-Type: multipart/mixed; boundary="m{n}"\n\n--m{n}\n' for n in range(3_000))
    parsed = read(mail("", more=f"{nested}Content-Type: text/plain\n"))

    assert [reject.reason for reject in parsed.rejects] == ["has parts within parts, deeper than any mail has"]
    assert (parsed.lines, parsed.left) == (1, 0)


def test_what_comes_back_within_what_comes_back_is_not_searched() -> None:
    body = report().decode()
    for number in range(50):
        body = mail(
            f"--n{number}\nContent-Type: message/rfc822\n\n{body}\n--n{number}--\n",
            more=f'Content-Type: multipart/mixed; boundary="n{number}"\n',
        ).decode()

    assert rows(body.encode()) == []


@pytest.mark.parametrize(
    "text", ["<" * 300_000, "550 " * 80_000, "a@b " * 80_000, "\n" * 300_000, ">>> AUTH\n" * 30_000]
)
def test_hostile_text_costs_no_time(text: str) -> None:
    began = time.monotonic()
    read(report(text, ABOUT + "Final-Recipient: rfc822; ops@fabrikam.example\nAction: failed\nStatus: 5.0.0\n"))
    read(mail(text, more="Return-Path: <>\n"))

    assert time.monotonic() - began < 5
