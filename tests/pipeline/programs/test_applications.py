"""Scripts and applications: what the sample pairs cannot show, for each library and for all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.applications import errors as app_errors
from pipeline.kinds import find
from pipeline.lines import Line
from pipeline.model import Carry
from pipeline.recognise import PROGRAMS, recognise
from tests.pipeline.programs.reading_logs import ENDED, RETIRED, Rows, one_row, read, rows_of

LIBRARIES = ("dotnet", "javamail", "mailkit", "nodemailer", "phpmailer", "ruby", "smtplib", "symfony")
TRANSCRIPTS = ("curl", "perl", "swaks")
ALL = (*LIBRARIES, *TRANSCRIPTS, "generic")
SENTENCE = f"Basic authentication is not supported for Client Submission. {ENDED}"
AT = "2026-12-30 08:00:01 "
BANNER = "220 FR3P281CA0094.outlook.office365.com Microsoft ESMTP MAIL Service ready"
SECOND = f"550 5.7.30 See https://aka.ms/smtpauthdeprecation {ENDED}"
FIRST = "550-5.7.30 Basic authentication is not supported for Client Submission."

ERRORS = {
    "dotnet": f"Mailbox unavailable. The server response was: 5.7.30 {SENTENCE}",
    "javamail": f"jakarta.mail.AuthenticationFailedException: 550 5.7.30 {SENTENCE}",
    "mailkit": f"MailKit.Security.AuthenticationException: 550: 5.7.30 {SENTENCE}",
    "nodemailer": f"Error: Invalid login: 550 5.7.30 {SENTENCE}",
    "phpmailer": f"SMTP ERROR: Password command failed: 550 5.7.30 {SENTENCE}",
    "ruby": f"Net::SMTPAuthenticationError (550 5.7.30 {SENTENCE}",
    "smtplib": f"SMTPAuthenticationError(550, b'5.7.30 {SENTENCE}')",
    "symfony": f'Expected response code "235" but got code "550", with message "550 5.7.30 {SENTENCE}".',
    "generic": f"gomail: could not send email 1: 550 5.7.30 {SENTENCE}",
}
"""One refusal of a log-in as each library says it."""


def told(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


@pytest.mark.parametrize("program", ERRORS)
@pytest.mark.parametrize(
    "line",
    [
        "2026-12-30 08:00:01,123 ERROR app.mail: {}",
        "[2026-12-30T08:00:01.123Z] [error] {}",
        "2026-12-30 08:00:01.1234|ERROR|Mailer|{}",
        "[30-Dec-2026 08:00:01 UTC] {}",
        "30.12.2026 08:00:01 Fehler: {}",
        "E, [2026-12-30T08:00:01.123456 #77] ERROR -- : {}",
        "2026-12-30T08:00:01.123456789Z stderr F {}",
        "app-1  | 2026-12-30 08:00:01 {}",
        "Dec 30 08:00:01 app01 mailer[77]: {}",
        "<11>1 2026-12-30T08:00:01Z app01 mailer 77 - - {}",
    ],
)
def test_a_refusal_is_read_behind_any_header(program: str, line: str) -> None:
    row = rows_of(read(line.format(ERRORS[program]) + "\n"))[0]

    assert told(row, "format", "reply_class", "request_id") == (program, "basic_retired", "08DE47A9F1C2B3D4")
    assert row["event_time"].isoformat()[:19] == "2026-12-30T08:00:01"


@pytest.mark.parametrize("program", ERRORS)
@pytest.mark.parametrize(
    "record",
    [
        {"level": 50, "time": 1798617601123, "pid": 7, "hostname": "web02", "msg": "{}"},
        {"timestamp": "2026-12-30T08:00:01.123Z", "level": "error", "message": "send failed", "err": {"message": "{}"}},
        {"@t": "2026-12-30T08:00:01.1234567Z", "@mt": "Mail failed", "@x": "{}"},
        {"@timestamp": "2026-12-30T08:00:01Z", "log.level": "ERROR", "message": "x", "error.stack_trace": "{}"},
        {"asctime": "2026-12-30 08:00:01,123", "levelname": "ERROR", "message": "x", "exc_info": "Traceback:\n{}"},
        {"datetime": "2026-12-30T08:00:01.123+00:00", "level_name": "ERROR", "message": "{}", "context": {}},
        {"instant": {"epochSecond": 1798617601}, "level": "ERROR", "message": "x", "thrown": {"message": "{}"}},
    ],
    ids=["pino", "winston", "clef", "ecs", "python", "monolog", "log4j"],
)
def test_a_refusal_is_read_in_any_log_of_objects(program: str, record: dict[str, Any]) -> None:
    line = _filled(record, ERRORS[program])

    row = one_row(json.dumps(line) + "\n")

    assert told(row, "format", "reply_class", "request_id") == (program, "basic_retired", "08DE47A9F1C2B3D4")
    assert row["event_time"].isoformat()[:19] == "2026-12-30T08:00:01"
    assert row["reply_text"].endswith(ENDED)


def _filled(record: dict[str, Any], words: str) -> dict[str, Any]:
    return {
        key: value.replace("{}", words) if isinstance(value, str) else _filled(value, words)
        for key, value in record.items()
        if isinstance(value, (str, dict))
    } | {key: value for key, value in record.items() if not isinstance(value, (str, dict))}


@pytest.mark.parametrize("program", ERRORS)
def test_an_answer_that_is_logged_again_is_one_refusal(program: str) -> None:
    once = f"{AT}ERROR from=app@contoso.example: {ERRORS[program]}\n"

    parsed = read(once + f"{AT}ERROR again: {ERRORS[program]}\n" + ERRORS[program] + "\n")

    assert [told(row, "request_id", "sender") for row in rows_of(parsed)] == [
        ("08DE47A9F1C2B3D4", "app@contoso.example")
    ]


@pytest.mark.parametrize("program", ERRORS)
@pytest.mark.parametrize(
    "document",
    [
        "# What to do\n\nYou may see this:\n\n{}\n",
        "Intro.\n\n```\n{}\n```\n",
        "## Errors\n{}\n2026-12-30 08:00:01 ERROR {}\n",
        "<html><body>\n<pre>\n{}\n</pre>\n",
        "| a | b |\n|---|---|\n| x | {} |\n",
        "> {}\n",
        "- {}\n* {}\n1. {}\n",
        "He said `{}` to me.\n",
        '{{"ticket": 7, "text": "{}"}}\n',
        'id,text\n7,"{}"\n7;"{}"\n2026-12-30 08:00:01,"{}"\n2026-12-30 08:00:01;"{}"\n',
        '2026-12-30 08:00:01 INFO sent subject="{}" to=a@b.example\n',
        "2026-12-30 08:00:01 INFO sent, subject: 'FW: {}'\n",
    ],
)
def test_what_only_quotes_the_error_is_no_evidence(program: str, document: str) -> None:
    body = document.replace("{{", "{").replace("}}", "}").replace("{}", ERRORS[program].replace('"', "'"))

    assert rows_of(read(body)) == []
    assert recognise(body.encode()) is None


@pytest.mark.parametrize(
    "line",
    [
        "We got 550 5.7.30 Basic authentication is not supported for Client Submission.",
        f"2026-12-30 08:00:01 INFO mail Subject: {RETIRED}",
        f'2026-12-30 08:00:01 1abc <= a@b.example T="{RETIRED}"',
        f"Dec 30 08:00:01 mon authsunset[9]: {RETIRED}",
        f"From: a@b.example\nSubject: help\n\nI get this:\n{RETIRED}",
        '{"type":"finding","severity":"high","title":"x","reply_text":"' + RETIRED + '"}',
        '{"event_time":"2026-12-30T08:00:01Z","kind":"try","reply_text":"' + RETIRED + '"}',
        "2026-12-30 08:00:01 ERROR: 550 5.7.30 DKIM of this mail does not pass. gsmtp",
        "2026-12-30 08:00:01 ERROR: 550 5.7.1 Relaying denied",
        "2026-12-30 08:00:01 INFO (250, b'2.0.0 OK') (354, b'go on')",
        "2026-12-30 08:00:01 INFO mysqld 5.7.30-log ready",
    ],
)
def test_the_last_resort_takes_only_what_is_evidence(line: str) -> None:
    assert rows_of(read(line + "\n")) == []


def test_an_answer_without_a_signature_needs_the_header_of_a_log() -> None:
    words = "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect."

    assert rows_of(read(f"notify: {words}\n")) == []
    assert told(one_row(f"{AT}notify: {words}\n"), "format", "outcome") == ("generic", "rejected")
    assert rows_of(read(f"{AT}notify: 5.7.139 Authentication unsuccessful, account locked.\n")) == []


def test_a_subject_that_is_closed_before_the_error_hides_nothing() -> None:
    row = one_row(f'{AT}ERROR mail subject="Daily report" to=ops@contoso.example failed: {RETIRED}\n')

    assert told(row, "format", "recipient") == ("generic", "ops@contoso.example")


def test_a_page_that_an_application_logs_hides_no_later_record() -> None:
    page = f"{AT}DEBUG body:\n<html>\n<p>{RETIRED}</p>\n{RETIRED}\n</html>\n"

    assert rows_of(read(page)) == []
    assert len(rows_of(read(page + f"{AT}ERROR x\n{ERRORS['smtplib']}\n"))) == 1


def test_an_unknown_program_does_not_hide_a_known_library() -> None:
    rows = rows_of(read(f"{AT}x: {_with_id(RETIRED, 1)}\n{AT}{_with_id(ERRORS['nodemailer'], 2)}\n"))

    assert [row["format"] for row in rows] == ["generic", "nodemailer"]


def _with_id(text: str, number: int) -> str:
    return text.replace("08DE47A9F1C2B3D4", f"08DE47A9F1C2B3{number:02d}")


TWO_LINES = {
    "nodemailer": f"{AT}[error] Error: Invalid login: {FIRST}\n{SECOND}\n    at x (y.js:1:1) {{\n"
    f"  response: '{FIRST}\\n' +\n    '{SECOND}',\n  command: 'AUTH PLAIN'\n}}\n",
    "javamail": f"{AT}ERROR jakarta.mail.AuthenticationFailedException: {FIRST}\n{SECOND}\n\n\tat x.y(Z.java:1)\n",
    "phpmailer": f"{AT}SMTP ERROR: Password command failed: {FIRST}\n{SECOND}\n{AT}SMTP Error: x\n",
    "ruby": f"{AT}Net::SMTPAuthenticationError ({FIRST}\n{SECOND}\n):\n",
    "symfony": f'{AT}local.ERROR: Expected response code "235" but got code "550", with message "{FIRST}\n{SECOND}"\n',
    "generic": f"{AT}ERROR mail failed: {FIRST}\n{SECOND}\n",
    "smtplib": f"{AT}SMTPAuthenticationError(550, b'{FIRST[4:]}\\n{SECOND[4:]}')\n",
}


@pytest.mark.parametrize("program", TWO_LINES)
def test_an_answer_of_two_lines_is_one(program: str) -> None:
    row = one_row(TWO_LINES[program])

    assert told(row, "format", "reply_code", "request_id") == (program, 550, "08DE47A9F1C2B3D4")
    assert "Basic authentication" in row["reply_text"]
    assert row["reply_text"].endswith(ENDED)
    assert row["event_time"].isoformat()[:19] == "2026-12-30T08:00:01"


@pytest.mark.parametrize("program", TWO_LINES)
def test_an_answer_of_two_lines_is_one_when_the_log_is_read_line_by_line(program: str) -> None:
    rows: Rows = []
    carry: Carry = {}
    offset = 0
    for line in TWO_LINES[program].splitlines(keepends=True):
        parsed = read(line, carry, offset, is_last=False)
        carry, offset = json.loads(json.dumps(parsed.carry)), offset + len(line)
        rows += rows_of(parsed)
        assert parsed.lines == parsed.left + len(parsed.rejects) + len(rows_of(parsed))

    assert [told(row, "request_id", "origin_offset") for row in rows] == [("08DE47A9F1C2B3D4", 0)]


@pytest.mark.parametrize("program", ["nodemailer", "javamail", "phpmailer", "ruby", "symfony"])
def test_an_answer_whose_second_line_never_comes_is_told_at_the_end(program: str) -> None:
    begun = TWO_LINES[program].split("\n")[0] + "\n"

    row = one_row(begun)
    followed = rows_of(read(begun + f"{AT}INFO something else\n" + f"{AT}{ERRORS[program]}\n"))

    assert told(row, "format", "reply_class", "request_id") == (program, "basic_retired", None)
    assert [each["request_id"] for each in followed] == [None, "08DE47A9F1C2B3D4"]


def test_what_the_head_of_a_record_names_holds_for_its_trace_and_no_further() -> None:
    raised = "smtplib.SMTPDataError: (550, b'5.7.30 {}')\n"
    record = f"{AT}ERROR mail from=scan@contoso.example to=ops@contoso.example\nTraceback (most recent call last):\n"

    rows = rows_of(
        read(record + raised.format(_with_id(SENTENCE, 1)) + f"{AT}ERROR x\n" + raised.format(_with_id(SENTENCE, 2)))
    )

    assert [told(row, "sender", "recipient") for row in rows] == [
        ("scan@contoso.example", "ops@contoso.example"),
        (None, None),
    ]


def test_a_trace_in_a_syslog_belongs_to_the_line_of_its_own_process() -> None:
    head = "Dec 30 08:00:01 app01 report[{}]: "
    text = (
        f"{head.format(7)}mail from=scan@contoso.example failed\n{head.format(7)}Traceback (most recent call last):\n"
        f"{head.format(7)}smtplib.SMTPDataError: (550, b'5.7.30 {SENTENCE}')\n"
    )

    assert one_row(text)["sender"] == "scan@contoso.example"
    assert one_row(text.replace("report[7]: smtplib", "report[8]: smtplib"))["sender"] is None


def test_of_several_recipients_named_none_is_the_refused_one() -> None:
    row = one_row(f"{AT}ERROR to=a@contoso.example,b@contoso.example: {ERRORS['nodemailer']}\n")

    assert row["recipient"] is None


def test_each_refused_recipient_is_one_row() -> None:
    refused = ", ".join(f"'{name}@contoso.example': (550, b'5.7.30 {SENTENCE}')" for name in "abc")

    rows = rows_of(
        read(f"{AT}ERROR SMTPRecipientsRefused({{{refused}}})\nsmtplib.SMTPRecipientsRefused: {{{refused}}}\n")
    )

    assert [told(row, "recipient", "stage") for row in rows] == [
        (f"{name}@contoso.example", "rcpt_to") for name in "abc"
    ]
    assert len({row["event_id"] for row in rows}) == 3


def test_an_answer_without_an_id_is_told_by_its_time() -> None:
    said = "(550, b'5.7.30 Basic authentication is not supported for Client Submission.')"
    text = f"{AT}ERROR mail failed: {said}\nTraceback\nsmtplib.SMTPAuthenticationError: {said}\n"

    assert len(rows_of(read(text + text.replace("08:00:01", "08:00:31")))) == 2


def test_the_same_line_without_a_time_is_said_once_more_but_its_echo_is_not() -> None:
    said = "(550, b'5.7.30 Basic authentication is not supported for Client Submission.')"
    once = f"mail failed: {said}\nsmtplib.SMTPAuthenticationError: {said}\n"

    assert len(rows_of(read(once))) == 1
    assert len(rows_of(read(once * 3))) == 3


@pytest.mark.parametrize(
    ("line", "stage", "sender"),
    [
        (f"smtplib.SMTPSenderRefused: (550, b'5.7.30 {SENTENCE}', 'Scan@b.example')", "mail_from", "scan@b.example"),
        (f"SMTPDataError(550, b\"5.7.30 can't {SENTENCE}\")", "data", None),
        (f"aiosmtplib.errors.SMTPAuthenticationError: (550, '5.7.30 {SENTENCE}')", "auth", None),
        (f"smtplib.SMTPConnectError: (421, b'4.7.66 TLS 1.0 and 1.1 are not supported. {ENDED}')", "connect", None),
        (f"The server refused the sender address (Odoo@b.example) with b'5.7.57 {ENDED}'", "unknown", "odoo@b.example"),
    ],
)  # fmt: skip
def test_each_exception_of_smtplib_tells_its_stage(line: str, stage: str, sender: str | None) -> None:
    assert told(one_row(f"{AT}ERROR {line}\n"), "format", "stage", "sender") == ("smtplib", stage, sender)


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        ("Invalid login", "auth"),
        ("Mail command failed", "mail_from"),
        ("Can't send mail - all recipients were rejected", "rcpt_to"),
        ("Recipient command failed", "rcpt_to"),
        ("Data command failed", "data"),
        ("Message failed", "data"),
        ("Error upgrading connection with STARTTLS", "tls"),
    ],
)
def test_each_message_of_nodemailer_tells_its_stage(words: str, stage: str) -> None:
    assert told(one_row(f"{AT}{words}: {RETIRED}\n"), "format", "stage") == ("nodemailer", stage)


def test_the_fields_of_an_error_object_tell_mechanism_and_recipient() -> None:
    error = {"message": f"Invalid login: {RETIRED}", "code": "EAUTH", "responseCode": 550, "command": "AUTH LOGIN"}
    refused = {"message": f"Recipient command failed: {RETIRED}", "recipient": "Ops@contoso.example"}
    record = {"level": 50, "time": 1798617601123, "msg": "x"}

    assert told(one_row(json.dumps({**record, "err": error}) + "\n"), "auth_mechanism", "auth_protocol") == (
        "LOGIN",
        "basic",
    )
    assert one_row(json.dumps({**record, "err": refused}) + "\n")["recipient"] == "ops@contoso.example"


@pytest.mark.parametrize(
    ("words", "code", "outcome"),
    [
        (f"The server response was: 5.7.57 Client not authenticated to send mail. {ENDED}", None, "rejected"),
        (f"(StatusCode MustIssueStartTlsFirst) The server response was: 5.7.57 Client {ENDED}", 530, "rejected"),
        (f"StatusCode: 421 The server response was: 4.4.2 Message submission rate {ENDED}", 421, "deferred"),
        (f"La réponse du serveur était : 5.7.57 Client not authenticated to send mail. {ENDED}", None, "rejected"),
        (f"La réponse du serveur était\u00a0: 5.7.57 Client not authenticated to send mail. {ENDED}", None, "rejected"),
        (f"Die Serverantwort war: 5.7.57 Client not authenticated to send mail. {ENDED}", None, "rejected"),
        (f"SmtpFailedRecipientException: x. The server response was: 5.7.30 {SENTENCE}", None, "rejected"),
    ],
)  # fmt: skip
def test_dotnet_tells_the_tail_of_the_answer_and_sometimes_its_code(words: str, code: int | None, outcome: str) -> None:
    assert told(one_row(f"{AT}ERROR {words}\n"), "format", "reply_code", "outcome") == ("dotnet", code, outcome)


def test_a_console_may_break_the_answer_at_any_word() -> None:
    words = f"Send-MailMessage : The server response was: 5.7.57 Client not authenticated. Error: {RETIRED}".split(" ")

    for cut in range(6, len(words)):
        text = " ".join(words[:cut]) + "\n" + " ".join(words[cut:]) + "\nAt C:\\x.ps1:12 char:1\n+ x\n"
        assert told(one_row(text), "reply_class", "request_id") == ("basic_retired", "08DE47A9F1C2B3D4")


def test_two_errors_on_a_console_are_two() -> None:
    one = "Send-MailMessage : x. The server response was: 5.7.57 Client not authenticated to send mail."
    other = f'Exception calling "Send" with "1" argument(s): "x. The server response was: 5.7.30 {SENTENCE}"'

    assert [row["enhanced_code"] for row in rows_of(read(f"{one}\n{other}\n"))] == ["5.7.57", "5.7.30"]


@pytest.mark.parametrize(
    ("error", "stage"),
    [("SenderNotAccepted", "mail_from"), ("RecipientNotAccepted", "rcpt_to"), ("MessageNotAccepted", "data")],
)
def test_mailkit_tells_the_stage_beside_the_answer(error: str, stage: str) -> None:
    line = f"{AT}MailKit.Net.Smtp.SmtpCommandException: 5.7.30 {SENTENCE} ErrorCode={error}\n"

    assert told(one_row(line), "format", "stage", "reply_code") == ("mailkit", stage, None)


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("javax.mail.AuthenticationFailedException", "auth"),
        ("com.sun.mail.smtp.SMTPSenderFailedException", "mail_from"),
        ("org.eclipse.angus.mail.smtp.SMTPAddressFailedException", "rcpt_to"),
        ("com.sun.mail.smtp.SMTPSendFailedException", "unknown"),
        ("jakarta.mail.MessagingException", "unknown"),
    ],
)
def test_each_exception_of_javamail_tells_its_stage(name: str, stage: str) -> None:
    line = f"{AT}ERROR x; nested exception is {name}: {RETIRED}; nested exception is:\n"

    row = one_row(line)

    assert told(row, "format", "stage", "reply_text") == ("javamail", stage, RETIRED)


def test_bare_commands_are_not_javamails_without_its_debug_output() -> None:
    assert rows_of(read(f"MAIL FROM:<a@b.example>\n{RETIRED.replace(ENDED, '')}\nQUIT\n")) == []


@pytest.mark.parametrize(
    ("expected", "stage"),
    [("235", "auth"), ("334", "auth"), ("354", "data"), ("250/251/252", "rcpt_to"), ("250", "unknown")],
)  # fmt: skip
def test_the_code_that_symfony_expected_tells_the_stage(expected: str, stage: str) -> None:
    for quote in ('"', "", '\\"'):
        line = f'{AT}x: Expected response code {quote}{expected}{quote} but got code "550", with message "{RETIRED}".\n'
        assert told(one_row(line), "format", "stage", "reply_text") == ("symfony", stage, RETIRED)


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        ("Password", "auth"),
        ("MAIL FROM", "mail_from"),
        ("RCPT TO", "rcpt_to"),
        ("DATA END", "data"),
        ("STARTTLS", "tls"),
    ],
)
def test_phpmailer_names_the_command(command: str, stage: str) -> None:
    apart = (
        f"SMTP server error: {command} command failed Detail: {SENTENCE} SMTP code: 550 Additional SMTP info: 5.7.30"
    )

    for line in (f"SMTP ERROR: {command} command failed: {RETIRED}", apart):
        assert told(one_row(f"{AT}{line}\n"), "format", "stage", "reply_code", "enhanced_code") == (
            "phpmailer",
            stage,
            550,
            "5.7.30",
        )


@pytest.mark.parametrize(
    ("server", "client"),
    [
        ("SERVER -> CLIENT: ", "CLIENT -> SERVER: "),
        ("SERVER -&gt; CLIENT: ", "CLIENT -&gt; SERVER: "),
        (f"{AT}SERVER -> CLIENT: ", f"{AT}CLIENT -> SERVER: "),
        (f"{AT}< ", f"{AT}> "),
        ("S: ", "C: "),
        ("Net::SMTP=GLOB(0x560b4d061bc8)<<< ", "Net::SMTP=GLOB(0x560b4d061bc8)>>> "),
        (f"[{AT.strip()}] DEBUG [WDu1NxQIIm0] S: ", f"[{AT.strip()}] DEBUG [WDu1NxQIIm0] C: "),
        ("<~  ", " ~> "),
    ],
)
def test_a_conversation_joins_who_sent_with_what_was_answered(server: str, client: str) -> None:
    talk = [
        server + BANNER, client + "EHLO mfp01", server + "250-x", server + "250 SMTPUTF8", client + "AUTH LOGIN",
        server + "334 VXNlcm5hbWU6", client + "c2NhbkBjb250b3NvLmV4YW1wbGU=", server + "334 UGFzc3dvcmQ6",
        client + "V2ludGVyLTIwMjYh", server + "235 2.7.0 Authentication successful",
        client + "MAIL FROM:<Scan@contoso.example> SIZE=42", server + "250 2.1.0 Sender OK",
        client + "RCPT TO:<ops@contoso.example>", server + "250 2.1.5 Recipient OK", client + "DATA",
        server + "354 Start mail input", client + ".", server + RETIRED,
    ]  # fmt: skip
    text = "".join(f"{line}\n" for line in talk)

    row = one_row(text)

    assert told(
        row, "sender", "recipient", "stage", "auth_mechanism", "auth_protocol", "client_name", "size_bytes"
    ) == (
        "scan@contoso.example",
        "ops@contoso.example",
        "data",
        "LOGIN",
        "basic",
        "mfp01",
        42,
    )
    assert "V2ludGVy" not in f"{row} {read(text[: text.index('235')], is_last=False).carry}"


@pytest.mark.parametrize(
    "line",
    [
        f"reply: retcode (550); Msg: b'5.7.30 {SENTENCE}'",
        f"{AT}SERVER -> CLIENT: {RETIRED}",
        f"[{AT.strip()}] DEBUG [WDu1NxQIIm0] S: {RETIRED}",
    ],
)
def test_an_answer_whose_conversation_is_not_in_the_log_is_told_alone(line: str) -> None:
    row = one_row(f"{line}\n")

    assert told(row, "stage", "outcome", "reply_code", "request_id") == ("unknown", "rejected", 550, "08DE47A9F1C2B3D4")


def test_conversations_side_by_side_are_told_apart() -> None:
    text = "".join(
        f"[{AT.strip()}] DEBUG [{sid}] {words}\n"
        for words in (f"S: {BANNER}", "C: MAIL FROM:<{}@contoso.example>", f"S: {RETIRED}")
        for sid in ("AAAAAAAAAAA", "BBBBBBBBBBB")
    )
    said = iter("ab")
    text = "".join(line.replace("{}", next(said)) if "{}" in line else line for line in text.splitlines(keepends=True))

    assert [row["sender"] for row in rows_of(read(text))] == ["a@contoso.example", "b@contoso.example"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "piece",
    [b'"', b"'", b"\\", b"(550, b'", b" ", b"\t", b"5.7.30 ", b"550-", b"550 5.7.30 x ", b"[A.B", b", ", b"Error: ",
     b"SMTP ERROR: ", b"failed Detail: ", b"Expected response code ", b"subject=\"", b"from=", b"to=<a@", b"> ", b"S: ",
     b"response: '550", b"jakarta.mail.", b"SMTPDataError(550, b'", b"Net::SMTPFatalError: 5",
     b"The server response was: "],
)  # fmt: skip
def test_a_hostile_line_is_soon_gone_over(name: str, piece: bytes) -> None:
    many = ERRORS.get(name, "").encode()[:40] + piece * (30_000 // len(piece))
    reader = find(PROGRAMS, name).Reader({})
    line = Line(None, "h", b"", b"1.2", many, many, 0, is_bare=True)

    reader.owns(line)
    reader.read(line)


@given(
    st.lists(
        st.sampled_from(
            [*ERRORS.values(), FIRST, SECOND, f"{AT}x", "", "Traceback (most recent call last):", "  at x", "}"]
        ),
        max_size=8,
    )
)
def test_each_line_ends_in_one_place_and_no_answer_is_two(lines: list[str]) -> None:
    parsed = read("".join(f"{line}\n" for line in lines))

    rows = rows_of(parsed)
    assert len(parsed.rejects) + parsed.left <= parsed.lines == len(lines)
    for program in LIBRARIES:
        assert sum(row["request_id"] is not None for row in rows if row["format"] == program) <= 1


@pytest.mark.parametrize("name", [*LIBRARIES, "generic"])
def test_the_carry_stays_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_errors, "MOST_RECENT", 5)
    reader = find(PROGRAMS, name).Reader({})
    for number in range(50):
        said = f"{AT}{_with_id(ERRORS[name], number)}".encode()
        reader.read(Line(None, f"h{number}", b"", b"1.2", said, said, number))

    kept = json.loads(json.dumps(reader.carry()))

    assert len(kept["recent"]) == 5
    assert "08DE47A9F1C2B349" in kept["recent"]


def test_the_text_of_a_refused_sender_names_it() -> None:
    row = one_row(f"{AT}ERROR send failed: (550, b'5.7.30 {SENTENCE}', 'scan@contoso.example')\n")

    assert (row["stage"], row["sender"], row["reply_code"]) == ("mail_from", "scan@contoso.example", 550)


def test_the_line_below_a_header_of_javas_own_logger_names_the_sender() -> None:
    row = one_row(
        "Déc. 30, 2026 8:00:01 AM App send\nGRAVE: mail from scan@contoso.example failed\n"
        f"javax.mail.AuthenticationFailedException: 550 5.7.30 {SENTENCE}\n"
    )

    assert (row["sender"], row["stage"], str(row["event_time"])) == (
        "scan@contoso.example",
        "auth",
        f"{AT.strip()}+00:00",
    )


def test_a_mail_below_a_header_names_no_sender_of_the_refusal() -> None:
    row = one_row(f"{AT}sending\nFrom: other@contoso.example\nError: Invalid login: 550 5.7.30 {SENTENCE}\n")

    assert row["sender"] is None


def test_an_answer_of_two_lines_within_another_message_is_read_to_its_end() -> None:
    said = 'Expected response code "235" but got code "550", with message "'
    rows = rows_of(
        read(
            f'{AT}Authenticator "LOGIN" returned "{said}{FIRST}\n{SECOND}".". '
            f'Authenticator "PLAIN" returned "{said}{FIRST}\n{SECOND.replace("B3D4]", "B3D5]")}".".\n'
        )
    )

    assert [(row["auth_mechanism"], row["reply_text"].count("\n")) for row in rows] == [("LOGIN", 1), ("PLAIN", 1)]


def test_slashes_that_json_escapes_end_no_answer() -> None:
    said = json.dumps({"message": f'got code "550", with message "{SECOND}"'}).replace("/", "\\/")
    row = one_row(f'{AT}app.ERROR: mail failed Expected response code "250" but {said[13:]}\n')

    assert row["reply_text"] == SECOND


def test_each_refused_recipient_has_its_own_answer() -> None:
    errors = [
        {
            "response": f"550 5.7.30 {SENTENCE[:-17]}{number:016X}]",
            "responseCode": 550,
            "recipient": f"{number}@contoso.example",
        }
        for number in (1, 2)
    ]
    error = {"response": errors[1]["response"], "responseCode": 550, "command": "RCPT TO", "rejectedErrors": errors}
    rows = rows_of(
        read(json.dumps({"level": "error", "message": "failed", "time": "2026-12-30T08:00:01Z", "error": error}) + "\n")
    )

    assert [(row["recipient"], int(row["request_id"], 16)) for row in rows] == [
        ("1@contoso.example", 1), ("2@contoso.example", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Anna: do you get 550 5.7.30 Basic authentication is not supported for Client Submission. too",
        "we saw 550 5.7.30 Basic authentication is not supported for Client Submission.",
    ],
)
def test_a_sentence_that_runs_into_what_it_quotes_is_no_evidence(text: str) -> None:
    assert not rows_of(read(f"{AT}ok\n{AT.strip()} - {text}\n"))


def test_a_literal_that_a_logger_has_cut_is_no_answer() -> None:
    cut = "SMTPAuthenticationError(550, '5.7.30 Basic authentication is not supp...\n  host = 'smtp.office365.com'"
    record = {"level": "error", "event": "mail failed", "timestamp": "2026-12-30T08:00:01Z", "locals": {"error": cut}}

    assert not rows_of(read(json.dumps(record) + "\n"))


def test_an_answer_to_data_and_one_without_a_log_in_tell_the_stage_of_rubys_errors() -> None:
    at_data = one_row(f"{AT}Net::SMTPUnknownError: could not get 3xx (550: 550 5.7.30 {SENTENCE})\n")
    without = one_row(f"{AT}Net::SMTPAuthenticationError: 530 5.7.57 Client not authenticated to send mail. {ENDED}\n")

    assert (at_data["stage"], at_data["reply_code"], without["stage"]) == ("data", 550, "unknown")


def test_an_answer_that_is_younger_than_the_record_above_it_has_its_own_time() -> None:
    said = f"s-nail: smtp-server: 550 5.7.30 {SENTENCE}\n"  # answered at 08:00:01.1

    assert str(one_row(f"2026-12-30 02:00:00 backup begins\n{said}")["event_time"]).startswith("2026-12-30 08:00:01.1")
    assert str(one_row(f"2026-12-30 08:00:09 mail failed\n{said}")["event_time"]).startswith("2026-12-30 08:00:09")
