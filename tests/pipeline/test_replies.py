"""What servers say, in every wrapping that clients put around it, and the class that it has."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.endpoints import OTHER
from pipeline.replies import LONGEST_TEXT, known_replies, meaning_of, read_reply

EXO = "exchange_online"
ENDED = "[FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-30T08:00:01.100Z 08DE47A9F1C2B3D4]"
RETIRED = "Basic authentication is not supported for Client Submission."
UNSUCCESSFUL = "535 5.7.139 Authentication unsuccessful"
AKA = "Visit https://aka.ms/smtp_auth_disabled for more information."

# What was said, whose server said it (None: the log does not tell), and the class.
REPLIES: list[tuple[str, str | None, str]] = [
    # The answer itself, bare and with its ending.
    (f"550 5.7.30 {RETIRED}", EXO, "basic_retired"),
    (f"550 5.7.30 {RETIRED}", None, "basic_retired"),
    (f"550 5.7.30 {RETIRED} {ENDED}", OTHER, "basic_retired"),
    (f"535 5.7.30 {RETIRED} {ENDED}", EXO, "basic_retired"),
    (f"550 5.7.30 {RETIRED.upper()}", EXO, "basic_retired"),
    (f"550 {RETIRED}", None, "basic_retired"),
    (RETIRED, None, "basic_retired"),
    # Wrapped by clients.
    (f"(550, b'5.7.30 {RETIRED} {ENDED}')", None, "basic_retired"),
    (f'(550, b"5.7.30 It\'s off now {ENDED}")', None, "basic_retired"),
    (f"SMTPAuthenticationError(550, b'5.7.30 {RETIRED}')", None, "basic_retired"),
    (f"smtplib.SMTPDataError: (550, b'5.7.30 now off {ENDED}')", None, "basic_retired"),
    (f"{{'x@y.example': (550, b'5.7.30 {RETIRED}')}}", None, "basic_retired"),
    (f"MailKit.Security.AuthenticationException: 550: 5.7.30 {RETIRED}", None, "basic_retired"),
    (f"550: 5.7.30 now off {ENDED}", None, "basic_retired"),
    (f"5.7.30 {RETIRED} {ENDED}", None, "basic_retired"),
    (f"5.7.30 now off {ENDED}", None, "basic_retired"),
    (f"b'5.7.30 now off {ENDED}'", None, "basic_retired"),
    (f"Error: Invalid login: 550 5.7.30 {RETIRED} {ENDED}", None, "basic_retired"),
    (f"Error: Invalid login: 550 5.7.30 now off {ENDED}", None, "basic_retired"),
    (f"javax.mail.AuthenticationFailedException: 550 5.7.30 {RETIRED}", None, "basic_retired"),
    (f"SMTP ERROR: Password command failed: 550 5.7.30 {RETIRED}", None, "basic_retired"),
    (f"Authorization failed (550 5.7.30 See https://aka.ms/smtpauthdeprecation {ENDED})", None, "basic_retired"),
    ("Remote Server returned '550 5.7.30 now off'", EXO, "basic_retired"),
    (f"#550 5.7.30 {RETIRED} ##", None, "basic_retired"),
    ("#550 5.7.30 ##", EXO, "basic_retired"),
    ("smtp; 550 5.7.30 now off", EXO, "basic_retired"),
    # Of several lines, and folded.
    (f"550-5.7.30 {RETIRED}?550 5.7.30 See https://aka.ms/smtpauthdeprecation {ENDED}", EXO, "basic_retired"),
    (f"550-5.7.30 {RETIRED}#015#012550 5.7.30 See https://aka.ms/smtpauthdeprecation", None, "basic_retired"),
    (f"550-5.7.30 {RETIRED}\\n550 5.7.30 See https://aka.ms/smtpauthdeprecation", None, "basic_retired"),
    (f"550-5.7.30 now off\r\n550 5.7.30 See {ENDED}", None, "basic_retired"),
    ("550 5.7.30 Basic authentication is\r\n    not supported for\r\n\tClient Submission.", None, "basic_retired"),
    ("550\n 5.7.30\n now off", EXO, "basic_retired"),
    # Softened by Postfix, nested in another refusal, and at the end of a sentence.
    (f"450 4.7.30 {RETIRED}", EXO, "basic_retired"),
    ("450 4.7.30 now off", EXO, "basic_retired"),
    (f"530 5.7.57 Client not authenticated to send mail. Error: 550 5.7.30 {RETIRED} {ENDED}", EXO, "basic_retired"),
    (f"530 5.7.57 Client not authenticated to send mail. Error: 550 5.7.30 now off {ENDED}", None, "basic_retired"),
    (f"5.7.57 Client not authenticated to send mail.\nError: 550 5.7.30 now off {ENDED}", None, "basic_retired"),
    ("550 5.7.30. Now off.", EXO, "basic_retired"),
    ("550 5.7.30", EXO, "basic_retired"),
    ("550 5.7.30", "outlook_consumer", "basic_retired"),
    # Near misses: the same or nearly the same code in another's mouth.
    ("550 5.7.30 REQUIRETLS support required", OTHER, "requiretls"),
    ("550 5.7.30 REQUIRETLS support required", EXO, "requiretls"),
    ("5.7.30 Sender requested REQUIRETLS, but no server was found", None, "requiretls"),
    ("550-5.7.30 This mail has been blocked because DKIM does not pass. 550 5.7.30 gsmtp", OTHER, "dkim_failed"),
    ("421 4.7.30 Your email has been rate limited because DKIM does not pass. - gsmtp", OTHER, "dkim_failed"),
    ("421 4.7.30 This mail has been rate limited: DKIM did not pass", OTHER, "dkim_failed"),
    ("550 5.7.30 now off", OTHER, "unknown"),
    ("550 5.7.30 now off", None, "unknown"),
    ("550 5.7.30 now off [mx.partner.example 2026-12-30T08:00:01.100Z 08DE47A9F1C2B3D4]", None, "unknown"),
    ("450 4.7.30 now off", OTHER, "unknown"),
    ("mysql  Ver 14.14 Distrib 5.7.30, for Linux (x86_64)", EXO, "unknown"),
    ("5.7.30-log MySQL Community Server", EXO, "unknown"),
    ("5.7.30 MySQL Community Server (GPL)", EXO, "unknown"),
    ("5.7.30-0ubuntu0.18.04.1", EXO, "unknown"),
    ("550 5.7.309 no", EXO, "unknown"),
    ("550 5.7.30.1 no", EXO, "unknown"),
    ("550 15.7.30 no", EXO, "unknown"),
    ("550 5.7.1 Message 5.7.30 rejected", EXO, "unknown"),
    ("550 5.7.1 Basic authentication is not supported for client certificates", EXO, "unknown"),
    ("250 5.7.30 Basic authentication is not supported for Client Submission", EXO, "accepted"),
    # The neighbours that need another way out.
    (f"{UNSUCCESSFUL}, SmtpClientAuthentication is disabled for the Tenant. {AKA}", EXO, "smtpauth_off_tenant"),
    (f"(535, b'5.7.139 x, SmtpClientAuthentication is disabled for the Tenant. {AKA}')", None, "smtpauth_off_tenant"),
    (f"{UNSUCCESSFUL}, SmtpClientAuthentication is disabled for the Mailbox. {AKA}", EXO, "smtpauth_off_mailbox"),
    (f"{UNSUCCESSFUL}, basic authentication is disabled. {ENDED}", EXO, "basic_disabled"),
    ("535: 5.7.139 Authentication unsuccessful, basic authentication is disabled.", None, "basic_disabled"),
    (
        f"5.7.57 Client not authenticated to send mail. Error: {UNSUCCESSFUL}, basic authentication is disabled.",
        None,
        "basic_disabled",
    ),
    (
        f"{UNSUCCESSFUL}, user is locked by your organization's security defaults policy. Contact your administrator.",
        EXO,
        "security_defaults",
    ),
    (
        f"{UNSUCCESSFUL}, the request did not meet the criteria to be authenticated successfully.",
        EXO,
        "conditional_access",
    ),
    (f"{UNSUCCESSFUL}, the user credentials were incorrect. {ENDED}", EXO, "bad_credentials"),
    (f"{UNSUCCESSFUL}, account has an issue. Contact your administrator.", EXO, "account_issue"),
    (f"{UNSUCCESSFUL}, account locked.", EXO, "account_issue"),
    (f"{UNSUCCESSFUL}, the account is locked.", EXO, "account_issue"),
    ("530 5.7.57 Client not authenticated to send mail. " + ENDED, EXO, "not_authenticated"),
    (
        "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
        OTHER,
        "not_authenticated",
    ),
    (f"530 5.7.57 Nicht angemeldet {ENDED}", None, "not_authenticated"),
    ("530 5.7.57 Client not authenticated to send mail. Error: 599 what", EXO, "not_authenticated"),
    (f"5.7.57 Client not authenticated to send mail. Error: {UNSUCCESSFUL}", EXO, "auth_generic"),
    (f"535 5.7.3 Authentication unsuccessful {ENDED}", EXO, "auth_generic"),
    ("535 5.7.3 Authentication unsuccessful", OTHER, "auth_generic"),
    ("535 5.7.3 Anmeldung fehlgeschlagen", EXO, "auth_generic"),
    ("535 5.7.3 Anmeldung fehlgeschlagen", OTHER, "unknown"),
    ("535 5.7.139 something new", EXO, "auth_generic"),
    ("504 5.7.4 Unrecognized authentication type", EXO, "mech_unknown"),
    ("504 5.7.4 Unrecognized authentication type", OTHER, "mech_unknown"),
    ("504 5.7.4 Unbekannt", EXO, "mech_unknown"),
    (
        "SASL authentication failed; cannot authenticate to server smtp.office365.com[203.0.113.7]: "
        "no mechanism available",
        EXO,
        "mech_unknown",
    ),
    (f"451 5.7.3 STARTTLS is required to send mail {ENDED}", EXO, "starttls_required"),
    (
        "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2.",
        EXO,
        "tls_old",
    ),
    ("550 5.7.67 TLS 1.0 and 1.1 are not supported by your organization.", None, "tls_old"),
    ("421 4.7.66 zu alt", EXO, "tls_old"),
    ("550 5.7.60 SMTP; Client does not have permissions to send as this sender", EXO, "send_as_denied"),
    ("554 5.7.60 no", EXO, "send_as_denied"),
    (
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; no",
        EXO,
        "send_as_denied",
    ),
    ("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; no", EXO, "quota"),
    ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", EXO, "concurrency"),
    ("432 4.3.2 Concurrent connections limit exceeded", EXO, "concurrency"),
    ("421 4.4.2 Message submission rate for this client has exceeded the configured limit", EXO, "rate"),
    ("450 4.5.127 Message rejected. Excessive message rate from sender.", "acs", "rate"),
    ("4.5.127 Message rejected. Excessive message rate from sender.", None, "rate"),
    ("450 4.5.127 no", "acs", "rate"),
    ("450 4.5.127 no", OTHER, "unknown"),
    ("552 5.3.4 Message size exceeds fixed maximum message size", "hve", "too_large"),
    ("552 5.3.4 zu groß", "hve", "too_large"),
    ("552 5.3.4 zu groß", OTHER, "unknown"),
    (
        "message size 12582912 exceeds size limit 10485760 of server smtp.hve.mx.microsoft[203.0.113.7]",
        "hve",
        "too_large",
    ),
    ("452 4.5.3 Too many recipients", "hve", "too_many_recipients"),
    ("550 5.5.3 RESOLVER.ADR.RecipLimit; too many recipients", EXO, "too_many_recipients"),
    ("452 4.5.3 Zu viele", "acs", "too_many_recipients"),
    ("452 4.5.3 Zu viele", OTHER, "unknown"),
    ("452 4.5.3 Recipients belong to multiple regions ATTR38", OTHER, "unknown"),
    ("452 4.5.3 Too many recipients (AS780090)", OTHER, "unknown"),
    ("550 5.1.8 Access denied, bad outbound sender [AS(42004)]", EXO, "outbound_spam"),
    ("550 5.1.8 no", EXO, "outbound_spam"),
    ("550 5.1.8 no", OTHER, "unknown"),
    (
        "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP. AS(7230)",
        EXO,
        "tenant_ip_block",
    ),
    (
        "550 5.7.68 TenantInboundAttribution; Direct Send not allowed for this organization from unauthorized sources",
        "exchange_online_mx",
        "direct_send_rejected",
    ),
    ("550 5.7.64 TenantAttribution; Relay Access Denied", "exchange_online_mx", "relay_denied"),
    ("550 5.7.64 no", "exchange_online_mx", "relay_denied"),
    ("554 5.7.1 <a@b.example>: Relay access denied", OTHER, "unknown"),
    ("550 5.7.606 Access denied, banned sending IP [203.0.113.9]", "exchange_online_mx", "ip_banned"),
    ("550 5.7.606 no [203.0.113.9]", OTHER, "unknown"),
    # Answers that refuse nothing.
    ("250 2.0.0 OK <a@b.example> [Hostname=FR2P281MB0044.DEUP281.PROD.OUTLOOK.COM]", EXO, "accepted"),
    ("250 2.0.0 Ok: queued as 12345", OTHER, "accepted"),
    ("235 2.7.0 Authentication successful", EXO, "accepted"),
    ("354 Start mail input", EXO, "unknown"),
    ("334 VXNlcm5hbWU6", EXO, "unknown"),
    ("", EXO, "unknown"),
    ("550", EXO, "unknown"),
    ("Connection timed out", None, "unknown"),
]


@pytest.mark.parametrize(("text", "service", "reply_class"), REPLIES)
def test_a_reply_has_its_class(text: str, service: str | None, reply_class: str) -> None:
    assert read_reply(text, service).reply_class == reply_class


def test_every_class_of_the_table_is_met_above() -> None:
    assert {row.reply_class for row in known_replies()} <= {reply_class for _, _, reply_class in REPLIES}


@pytest.mark.parametrize(
    ("text", "code", "enhanced"),
    [
        ("550 5.7.30 no", 550, "5.7.30"),
        ("550-5.7.30 no", 550, "5.7.30"),
        ("550: 5.7.30 no", 550, "5.7.30"),
        ("(550, b'5.7.30 no')", 550, "5.7.30"),
        ("#550 5.7.30 ##", 550, "5.7.30"),
        ("550 5.7.30.", 550, "5.7.30"),
        ("550\r\n 5.7.30 no", 550, "5.7.30"),
        ("5.7.57 no", None, "5.7.57"),
        ("b'5.7.57 no'", None, "5.7.57"),
        ("Invalid login: 535 5.7.139 no", 535, "5.7.139"),
        ("smtp;550-5.7.30 no", 550, "5.7.30"),
        ("421 4.7.66 no", 421, "4.7.66"),
        ("550 no", 550, None),
        ("550 5.7.309", 550, "5.7.309"),
        ("550 5.7.3091", 550, None),
        ("550 5.7.30.1 no", 550, None),
        ("5.7.30-log", None, None),
        ("5503 no", None, None),
        ("Ver 14.14 Distrib 5.7.30, for Linux", None, None),
        ("at 10.550 5.7.30 no", None, None),
        ("queued (250 2.0.0 OK)", None, None),
        ("٥٥٠ ٥.٧.٣٠ no", None, None),
    ],
)
def test_the_codes_are_read_as_the_server_said_them(text: str, code: int | None, enhanced: str | None) -> None:
    reply = read_reply(text)

    assert (reply.code, reply.enhanced) == (code, enhanced)


@pytest.mark.parametrize(
    ("text", "request_id"),
    [
        (f"550 5.7.30 no {ENDED}", "08DE47A9F1C2B3D4"),
        (f"550 5.7.30 no {ENDED.lower().replace('t', 'T').replace('z ', 'Z ')}", "08DE47A9F1C2B3D4"),
        (f"550 5.7.30 no {ENDED} (in reply to MAIL FROM command)", "08DE47A9F1C2B3D4"),
        (f"550 5.7.30 no {ENDED.replace(' ', chr(10) + '  ')}", "08DE47A9F1C2B3D4"),
        (
            f"550 5.7.509 no {ENDED} [BN1.prod.outlook.com 2026-12-30T08:00:02.100Z 08DE47A9F1C2B3D5]",
            "08DE47A9F1C2B3D5",
        ),
        (f"550 5.7.509 no {ENDED} [BN1.prod.outlook.com] [AS7230]", "08DE47A9F1C2B3D4"),
        ("550 5.7.30 no [FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM]", None),
        ("550 5.7.30 no [FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-30T08:00:01.100Z 08DE47A9F1C2B3]", None),
        ("550 5.7.30 no [08DE47A9F1C2B3D4]", None),
        ("550 5.7.30 no", None),
    ],
)
def test_the_request_id_is_the_last_that_is_given(text: str, request_id: str | None) -> None:
    assert read_reply(text).request_id == request_id


@pytest.mark.parametrize(
    "ending",
    [
        ENDED,
        "[FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM]",
        f"[203.0.113.9] {ENDED}",
        f"{ENDED} [AS7230]",
        f"[x.example] {ENDED}",
    ],
)
def test_the_host_that_signs_a_reply_stands_in_where_the_log_tells_none(ending: str) -> None:
    assert read_reply(f"550 5.7.30 now off {ending}").reply_class == "basic_retired"


def test_the_host_that_the_log_tells_counts_more_than_the_one_that_a_reply_claims() -> None:
    assert read_reply(f"550 5.7.30 now off {ENDED}", OTHER).reply_class == "unknown"


def test_the_text_is_kept_as_it_was_said_up_to_a_length() -> None:
    text = read_reply(f"  550 5.7.30  now\n off {'x' * 5_000}").text

    assert text.startswith("550 5.7.30  now\n off x")
    assert len(text) == LONGEST_TEXT


def test_each_class_has_one_row_a_meaning_and_evidence() -> None:
    rows = tomllib.loads((files("pipeline") / "replies.toml").read_text("utf-8"))["reply"]

    assert len({row["class"] for row in rows}) == len(rows)
    assert {row["refusal"] for row in rows} <= {"basic", "auth", "policy", "limit", "none"}
    assert all(row["meaning"].endswith(".") and row["evidence"] for row in rows)


def test_what_we_look_for_is_told_in_plain_words() -> None:
    assert meaning_of("basic_retired") == "Basic authentication for SMTP submission has been switched off."
    assert meaning_of("no such class") == ""


HOSTILE = st.lists(
    st.sampled_from(
        [
            "550 5.7.30 ",
            "5.7.30",
            "DKIM",
            "gsmtp",
            "Error: ",
            "530 5.7.57 Client not authenticated ",
            ENDED,
            "[",
            "b'",
            "\n",
        ]
    ),
    max_size=300,
).map("".join)


@given(st.one_of(st.text(max_size=300), HOSTILE), st.sampled_from([None, EXO, OTHER]))
def test_no_text_makes_it_raise(text: str, service: str | None) -> None:
    reply = read_reply(text, service)

    assert reply.reply_class in {"accepted", "unknown", *(row.reply_class for row in known_replies())}
    assert len(reply.text) <= LONGEST_TEXT
