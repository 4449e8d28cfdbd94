"""Postfix logs: genuine relays held against what was really answered, and what the sample pairs cannot show."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats import log
from pipeline.lines import KEPT_OF_LONG, LONGEST
from pipeline.model import SCHEMAS, Carry, Chunk, Parsed, Reject
from pipeline.programs.postfix import MOST_OPEN

SAMPLE_DATA = Path(__file__).parents[3] / "sample_data"
SAMPLES = sorted((SAMPLE_DATA / "postfix").glob("*.log"))
RELAYS = [
    ("relay01", ["mail.log.1.gz", "mail.log"]),
    ("relay01", ["mail.iso.log.1.gz", "mail.iso.log"]),
    ("relay01", ["mail.rfc5424.log.1.gz", "mail.rfc5424.log"]),
    ("relay02", ["mail.iso.log"]),
]
AS_OF = datetime(2026, 12, 1, tzinfo=UTC)
HEADER = "2026-12-30T08:00:01Z relay postfix/"
ENDED = "[FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM 2026-12-30T08:00:01.100Z 08DE47A9F1C2B3D4]"
RETIRED = f"550 5.7.30 Basic authentication is not supported for Client Submission. {ENDED}"
AT_AUTH = f"SASL authentication failed; server smtp.office365.com[203.0.113.7] said: {RETIRED}"
RELAY = "smtp.office365.com[203.0.113.7]:587"

Rows = list[dict[str, Any]]


def line(words: str, daemon: str = "smtp[7]", queue_id: str = "A1B2C3D4E5") -> str:
    return f"{HEADER}{daemon}: {queue_id}: {words}\n"


def delivery(
    reason: str = AT_AUTH,
    to: str = "ops@contoso.example",
    relay: str = RELAY,
    dsn: str = "4.7.30",
    status: str = "deferred",
) -> str:
    return f"to=<{to}>, relay={relay}, delay=2.1, delays=0.05/0.02/2/0, dsn={dsn}, status={status} ({reason})"


def client(ip: str = "192.0.2.9", name: str = "mfp.contoso.example", rest: str = "") -> str:
    return f"client={name}[{ip}]{rest}"


def queued(sender: str = "scan@contoso.example") -> str:
    return f"from=<{sender}>, size=842, nrcpt=1 (queue active)"


def read(text: str | bytes, carry: Carry | None = None, offset: int = 0) -> Parsed:
    """Read a syslog, of which `carry` and the result are what Postfix keeps between two reads."""
    body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    before = {"carrier": {"name": "syslog"}, "formats": {"postfix": carry} if carry else {}}
    parsed = log.parse(Chunk(body, "mail.log", offset=offset, as_of=AS_OF), before)
    return replace(parsed, carry=parsed.carry.get("formats", {}).get("postfix", {}))


def rows_of(parsed: Parsed) -> Rows:
    """Return the deliveries that Postfix tells."""
    return [row for row in parsed.tables["deliveries"].to_pylist() if row.pop("format") == "postfix"]


def lines_with_rows(parsed: Parsed) -> int:
    """Return how many lines made a row: a log-in and a delivery never stand on one."""
    return sum(rows.num_rows for rows in parsed.tables.values())


def one_row(text: str | bytes) -> dict[str, Any]:
    (row,) = rows_of(read(text))
    return row


def read_in_pieces(body: bytes, cuts: list[int]) -> tuple[Rows, list[Reject], Carry]:
    """Read `body` cut at `cuts`; between two pieces the carry goes through JSON, as in the lake."""
    rows, rejects, carry = Rows(), list[Reject](), "{}"
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        parsed = read(body[start:end], json.loads(carry), start)
        rows += rows_of(parsed)
        rejects += parsed.rejects
        carry = json.dumps(parsed.carry)
    return rows, rejects, json.loads(carry)


def line_ends(body: bytes) -> list[int]:
    return [place + 1 for place, byte in enumerate(body[:-1]) if byte == ord("\n")]


def log_of(folder: str, parts: list[str]) -> bytes:
    paths = [SAMPLE_DATA / folder / part for part in parts]
    return b"".join(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in paths)


def truth_of(folder: str) -> dict[str, dict[str, Any]]:
    answers = json.loads((SAMPLE_DATA / folder / "truth.json").read_text("utf-8"))
    return {answer.pop("request_id"): answer for answer in answers}


def refusals(rows: Rows) -> dict[str, dict[str, Any]]:
    """Return what the log tells of each 5.7.30 that a server really gave, in the shape of the truth."""
    names = ("queue_id", "stage", "sender", "client_ip", "outcome")
    return {
        row["request_id"]: {name: row[name] for name in names} | {"recipients": recipients_of(row, rows)}
        for row in rows
        if row["kind"] == "try" and row["reply_class"] == "basic_retired"
    }


def recipients_of(refusal: dict[str, Any], rows: Rows) -> list[str]:
    # The truth names all recipients of the mail, and one of them may have gone to a partner's server instead.
    elsewhere = {
        row["recipient"] for row in rows if row["service"] == "other" and row["queue_id"] == refusal["queue_id"]
    }
    return sorted(elsewhere | {row["recipient"] for row in rows if row["request_id"] == refusal["request_id"]})


@pytest.mark.parametrize(("folder", "parts"), RELAYS, ids=lambda each: each if isinstance(each, str) else each[-1])
def test_every_answer_of_the_truth_is_found_by_its_request_id_and_none_is_invented(
    folder: str, parts: list[str]
) -> None:
    parsed = read(log_of(folder, parts))

    assert refusals(rows_of(parsed)) == truth_of(folder)
    assert parsed.rejects == ()


@pytest.mark.parametrize(
    "parts", [parts for folder, parts in RELAYS if folder == "relay01"], ids=lambda parts: str(parts[-1])
)
def test_the_header_in_front_of_the_lines_changes_nothing_in_the_rows(parts: list[str]) -> None:
    names = (
        "kind",
        "queue_id",
        "sender",
        "recipient",
        "client_ip",
        "stage",
        "outcome",
        "reply_text",
        "endpoint",
        "log_host",
    )

    rows = rows_of(read(log_of("relay01", parts)))

    plain = rows_of(read(log_of("relay01", ["mail.log.1.gz", "mail.log"])))
    assert [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in plain]
    assert [row["event_time"].replace(microsecond=0) for row in rows] == [row["event_time"] for row in plain]


@pytest.mark.parametrize(("folder", "parts"), [RELAYS[0], RELAYS[3]], ids=["relay01", "relay02"])
def test_an_echo_of_an_old_answer_is_held_and_never_a_try(folder: str, parts: list[str]) -> None:
    lines = [each.decode() for each in log_of(folder, parts).splitlines()]

    rows = rows_of(read(log_of(folder, parts)))

    echoes = [each for each in lines if "delivery temporarily suspended" in each and " to=<" in each]
    assert len([row for row in rows if row["kind"] == "held"]) == len(echoes)
    assert bool(echoes) == (folder == "relay01")


@pytest.mark.parametrize(("folder", "parts"), [RELAYS[0], RELAYS[3]], ids=["relay01", "relay02"])
def test_a_code_or_a_sentence_in_another_s_mouth_is_no_refusal(folder: str, parts: list[str]) -> None:
    log = log_of(folder, parts)

    rows = rows_of(read(log))

    partner = [row for row in rows if row["endpoint"] == "mx.partner.example" and row["outcome"] == "rejected"]
    assert len(partner) == log.count(b"said: 550 5.7.30 REQUIRETLS")
    assert {row["reply_class"] for row in partner} <= {"requiretls"}
    assert {row["service"] for row in rows if row["reply_class"] == "basic_retired"} <= {"exchange_online"}


@pytest.mark.parametrize(("folder", "parts"), [RELAYS[0], RELAYS[3]], ids=["relay01", "relay02"])
def test_a_relay_s_log_read_line_by_line_yields_the_same_as_the_whole(folder: str, parts: list[str]) -> None:
    body = log_of(folder, parts)
    whole = read(body)

    rows, rejects, carry = read_in_pieces(body, line_ends(body))

    assert rows == rows_of(whole)
    assert (rejects, carry) == (list(whole.rejects), json.loads(json.dumps(whole.carry)))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_cut_at_any_line_end_yields_the_same_as_the_whole(sample: Path) -> None:
    body = sample.read_bytes()
    whole = read(body)

    for cut in line_ends(body):
        assert read_in_pieces(body, [cut]) == (rows_of(whole), list(whole.rejects), whole.carry)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_line_of_a_sample_is_a_row_a_reject_or_left(sample: Path) -> None:
    parsed = read(sample.read_bytes())

    assert lines_with_rows(parsed) + len(parsed.rejects) + parsed.left == parsed.lines


def test_a_read_leaves_the_carry_it_was_given_as_it_was() -> None:
    carry = read(line(client(), "smtpd[1]") + line(queued(), "qmgr[1]")).carry
    before = json.dumps(carry)

    read(line("removed", "qmgr[1]"), carry)

    assert json.dumps(carry) == before


def test_a_log_that_begins_in_the_middle_tells_what_it_can() -> None:
    row = one_row(line(delivery()))

    assert (row["sender"], row["client_ip"], row["recipient"]) == (None, None, "ops@contoso.example")
    assert (row["reply_class"], row["stage"], row["reply_code"], row["enhanced_code"]) == (
        "basic_retired",
        "auth",
        550,
        "5.7.30",
    )


def test_a_queue_id_that_is_used_again_is_a_new_mail() -> None:
    first = line(client("192.0.2.1"), "smtpd[1]") + line(queued("old@contoso.example"), "qmgr[1]")
    again = line(client("192.0.2.2"), "smtpd[1]") + line(delivery())

    row = one_row(first + again)

    assert (row["client_ip"], row["sender"]) == ("192.0.2.2", None)


@pytest.mark.parametrize(
    "reason",
    [
        f"service unavailable. Command output: {RETIRED}",
        f'Command died with status 1: "/bin/x". Command output: {RETIRED}',
        RETIRED,
        f'unknown user: "{RETIRED}"',
    ],
)
def test_what_no_server_said_is_no_refusal_of_a_server(reason: str) -> None:
    row = one_row(line(delivery(reason, relay="quoter", dsn="5.3.0", status="bounced"), "pipe[7]"))

    assert (row["reply_class"], row["auth_protocol"], row["outcome"]) == ("unknown", "unknown", "rejected")


@pytest.mark.parametrize(
    "words",
    [
        f"to=<a@x.example>, relay=smtp.office365.com[203.0.113.7], delay=2, status=bounced ({AT_AUTH})",
        f"to=<a@x.example>, orig_to=<b@x.example>, relay={RELAY}, delay=2, status=deferred ({AT_AUTH})",
        f"to=<a@x.example>, relay={RELAY}, delay=2, delays=0/0/1/1, tls=(dane)/sts:!pin, dsn=4.7.30, "
        f"status=deferred ({AT_AUTH})",
        f"to=<a@x.example>, relay={RELAY}, delay=2, status=deferred "
        f"({AT_AUTH.replace('SASL authentication failed;', 'Authentication failed:')})",
    ],
)
def test_deliveries_of_older_and_newer_releases_are_read_alike(words: str) -> None:
    row = one_row(line(words))

    assert (row["recipient"], row["stage"], row["reply_class"]) == ("a@x.example", "auth", "basic_retired")
    assert (row["endpoint"], row["reply_code"], row["enhanced_code"]) == ("smtp.office365.com", 550, "5.7.30")


@pytest.mark.parametrize(("status", "kind"), [("deferred", "held"), ("bounced", "try")])
def test_what_is_refused_from_the_cache_for_good_is_not_held(status: str, kind: str) -> None:
    reason = AT_AUTH.replace("SASL", "SASL [CACHED]").replace("[203.0.113.7]", "")

    row = one_row(line(delivery(reason, status=status)))

    assert (row["kind"], row["reply_class"]) == (kind, "basic_retired")


def test_a_log_in_that_was_impossible_at_a_host_before_the_last_is_a_try() -> None:
    why = "cannot authenticate to server a.example[203.0.113.7]: no mechanism available"

    row = one_row(line(f"SASL authentication failed; {why}"))

    assert (row["stage"], row["reply_class"], row["endpoint"]) == ("auth", "mech_unknown", "a.example")


def test_mails_without_a_message_id_are_not_one_mail() -> None:
    nameless = line("message-id=<>", "cleanup[1]", "AAAA11") + line("message-id=<>", "cleanup[1]", "BBBB22")
    log = (
        line(client("192.0.2.1"), "smtpd[1]", "AAAA11")
        + line(client("127.0.0.1", "localhost"), "smtpd[1]", "BBBB22")
        + nameless
        + line(delivery(), queue_id="BBBB22")
    )

    row = one_row(log)

    assert (row["client_ip"], row["message_id"]) == ("127.0.0.1", None)


def test_a_repeated_message_is_read_as_what_it_repeats() -> None:
    failed = "warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6"
    parsed = read(f"{HEADER}smtpd[1]: {failed}\n{HEADER}smtpd[1]: message repeated 2 times: [ {failed}]\n")

    assert [row["client_ip"] for row in parsed.tables["signins"].to_pylist()] == ["192.0.2.9"] * 2


def test_a_removed_mail_is_forgotten() -> None:
    log = line(client(), "smtpd[1]") + line(queued(), "qmgr[1]") + line("removed", "qmgr[1]")

    parsed = read(log)
    rows = rows_of(read(log + line(delivery())))

    assert parsed.carry == {}
    assert [(row["kind"], row["sender"]) for row in rows] == [("done", "scan@contoso.example"), ("try", None)]


def test_the_same_queue_id_on_two_hosts_is_two_mails() -> None:
    other = line(queued("other@contoso.example"), "qmgr[1]").replace(" relay ", " relay-b ")

    row = one_row(line(queued(), "qmgr[1]") + other + line(delivery()))

    assert (row["log_host"], row["sender"]) == ("relay", "scan@contoso.example")


def test_a_mail_of_the_machine_itself_has_a_user_and_no_address() -> None:
    row = one_row(line("uid=33 from=<www-data>", "pickup[1]") + line(delivery()))

    assert (row["client_name"], row["client_ip"], row["sender"]) == ("local uid 33", None, "www-data")


def test_the_log_in_at_one_s_own_relay_is_not_the_account_at_the_endpoint() -> None:
    log_in = ", sasl_method=LOGIN, sasl_username=mfp@contoso.example, sasl_sender=x@contoso.example"

    row = one_row(line(client(rest=log_in), "submission/smtpd[1]") + line(delivery()))

    assert (row["client_user"], row["auth_user"], row["auth_protocol"]) == ("mfp@contoso.example", None, "basic")


def test_a_null_sender_is_known_and_empty() -> None:
    assert one_row(line(queued(""), "qmgr[1]") + line(delivery()))["sender"] == ""


@pytest.mark.parametrize("status", ["expired", "force-expired"])
def test_a_mail_given_up_is_expired(status: str) -> None:
    row = one_row(line(f"from=<scan@contoso.example>, status={status}, returned to sender", "qmgr[1]"))

    assert (row["kind"], row["sender"], row["recipient"]) == ("expired", "scan@contoso.example", None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("sent", "accepted"),
        ("deferred", "deferred"),
        ("SOFTBOUNCE", "deferred"),
        ("bounced", "rejected"),
        ("new", "unknown"),
    ],
)
def test_a_status_has_its_outcome(status: str, outcome: str) -> None:
    assert one_row(line(delivery(status=status)))["outcome"] == outcome


@pytest.mark.parametrize("status", ["deliverable", "undeliverable"])
def test_a_probe_of_an_address_is_no_mail(status: str) -> None:
    assert rows_of(read(line(delivery("250 2.1.5 OK", status=status)))) == []


@pytest.mark.parametrize(
    ("reason", "stage"),
    [
        (AT_AUTH, "auth"),
        (f"host smtp.office365.com[203.0.113.7] said: {RETIRED} (in reply to MAIL FROM command)", "mail_from"),
        (f"host smtp.office365.com[203.0.113.7]:587 said: {RETIRED} (in reply to RCPT TO command)", "rcpt_to"),
        (f"host smtp.office365.com[203.0.113.7] said: {RETIRED} (in reply to DATA command)", "data"),
        (f"host smtp.office365.com[203.0.113.7] said: {RETIRED} (in reply to end of DATA command)", "data"),
        ("host smtp.office365.com[203.0.113.7] said: 421 no (in reply to EHLO command)", "connect"),
        ("host smtp.office365.com[203.0.113.7] said: 454 no (in reply to STARTTLS command)", "tls"),
        (f"host smtp.office365.com[203.0.113.7] said: {RETIRED} (in reply to XFORWARD command)", "unknown"),
        (f"host smtp.office365.com[203.0.113.7] said: {RETIRED}", "unknown"),
        ("host smtp.office365.com[203.0.113.7] refused to talk to me: 421 4.7.66 TLS 1.0 and 1.1 are not", "connect"),
        ("250 2.0.0 OK <x> [Hostname=FR2P281MB0044.DEUP281.PROD.OUTLOOK.COM]", "data"),
        ("connect to smtp.office365.com[203.0.113.7]:587: Connection timed out", "connect"),
        ("Host or domain name not found. Name service error for name=x type=A: Host not found", "connect"),
        ("lost connection with tls.example[203.0.113.7] while receiving the initial server greeting", "connect"),
        ("lost connection with tls.example[203.0.113.7] while performing the EHLO handshake", "unknown"),
        ("lost connection with tls.example[203.0.113.7] while sending MAIL FROM", "mail_from"),
        ("conversation with tls.example[203.0.113.7] timed out while sending RCPT TO", "rcpt_to"),
        ("conversation with x[203.0.113.7] timed out while sending message body", "data"),
        ("lost connection with x[203.0.113.7] while sending end of data -- message may be sent more than once", "data"),
        ("unable to look up host x.example: Temporary failure in name resolution", "connect"),
        ("TLS is required, but was not offered by host smtp.office365.com[203.0.113.7]", "tls"),
        ("Server certificate not trusted", "tls"),
        ("SASL authentication failed; cannot authenticate to server x[203.0.113.7]: no mechanism available", "auth"),
        ("mail transport unavailable", "unknown"),
    ],
)  # fmt: skip
def test_a_reason_has_its_stage(reason: str, stage: str) -> None:
    assert one_row(line(delivery(reason)))["stage"] == stage


def test_a_greeting_that_refuses_is_read_like_any_reply() -> None:
    said = "host smtp.office365.com[203.0.113.7] refused to talk to me: 421 4.7.66 TLS 1.0 and 1.1 are not supported."

    row = one_row(line(delivery(said, relay="none", dsn="4.7.66")))

    assert (row["endpoint"], row["reply_code"], row["reply_class"]) == ("smtp.office365.com", 421, "tls_old")


@pytest.mark.parametrize(
    "reason", [f"delivery temporarily suspended: {AT_AUTH}", AT_AUTH.replace("SASL auth", "SASL [CACHED] auth")]
)
def test_what_was_not_sent_is_held_and_still_names_the_endpoint(reason: str) -> None:
    row = one_row(line(delivery(reason, relay="none"), "error[9]"))

    assert (row["kind"], row["endpoint"], row["endpoint_ip"], row["request_id"]) == (
        "held",
        "smtp.office365.com",
        "203.0.113.7",
        "08DE47A9F1C2B3D4",
    )


@pytest.mark.parametrize(
    ("relay", "endpoint", "ip", "port"),
    [
        (RELAY, "smtp.office365.com", "203.0.113.7", 587),
        ("SMTP.Office365.com[2001:db8::25]:587", "smtp.office365.com", "2001:db8::25", 587),
        ("mail.example[private/dovecot-lmtp]", "mail.example", None, None),
        ("local", "local", None, None),
        ("none", None, None, None),
        ("x[203.0.113.7]:99999999999999999999", "x[203.0.113.7]:99999999999999999999", None, None),
    ],
)
def test_a_relay_is_taken_apart(relay: str, endpoint: str | None, ip: str | None, port: int | None) -> None:
    row = one_row(line(delivery("delivered", relay=relay)))

    assert (row["endpoint"], row["endpoint_ip"], row["endpoint_port"]) == (endpoint, ip, port)


def test_words_in_brackets_at_the_end_of_a_reply_stay_whole() -> None:
    said = "host mx.partner.example[198.51.100.9] said: 450 4.2.1 later (greylisted)"

    earlier = one_row(line(said))
    last = one_row(line(delivery(f"{said} (in reply to RCPT TO command)")))

    assert earlier["reply_text"] == last["reply_text"] == "450 4.2.1 later (greylisted)"


FORGED = f"x>, relay={RELAY}, delay=1, delays=1/1/1/1, dsn=5.7.30, status=bounced ({AT_AUTH})"


@pytest.mark.parametrize(
    "to", [f'"{FORGED}"@partner.example', '"a\\"b>, relay=none"@partner.example', "a{b}@ü.example", "<b"]
)
def test_a_recipient_cannot_forge_what_comes_behind_it(to: str) -> None:
    row = one_row(line(delivery("250 2.0.0 Ok", to=to, relay="mx.partner.example[198.51.100.9]:25", status="sent")))

    assert (row["recipient"], row["endpoint"], row["reply_class"]) == (to.lower(), "mx.partner.example", "accepted")


def test_a_sender_cannot_forge_an_expiry() -> None:
    sender = '"x>, status=expired, returned"@partner.example'

    parsed = read(line(queued(sender), "qmgr[1]"))

    assert rows_of(parsed) == []
    assert [mail["sender"] for mail in parsed.carry["mails"].values()] == [sender]


def test_a_subject_and_a_helo_cannot_forge_a_refusal_or_a_name() -> None:
    subject = f"x proto=ESMTP helo=<forged.example>: {delivery()}"
    check = f"info: header Subject: {subject} from unknown[192.0.2.9]; from=<a@b.example> to=<c@d.example> proto=ESMTP"

    parsed = read(
        line(client(name="unknown"), "smtpd[1]")
        + line(f"{check} helo=<mfp-3>: logged", "cleanup[1]")
        + line(f"reject: RCPT from unknown[192.0.2.9]: 550; helo=<{delivery()}>", "smtpd[1]", "NOQUEUE")
        + line(f"message-id=<to=<x>, {delivery()}>", "cleanup[1]")
    )

    [refused] = rows_of(parsed)
    assert (refused["service"], refused["reply_class"], refused["reply_text"]) == ("own_relay", "unknown", "550")
    assert [mail["client_name"] for mail in parsed.carry["mails"].values()] == ["mfp-3"]


@pytest.mark.parametrize("word", ["warning", "fatal", "statistics", "NOQUEUE"])
def test_a_word_in_front_of_a_colon_is_no_queue_id(word: str) -> None:
    parsed = read(line(delivery(), queue_id=word) + line(client(), "smtpd[1]", word))

    assert (rows_of(parsed), parsed.left, parsed.carry) == ([], 2, {})


def test_a_reply_that_syslog_cut_off_is_still_read() -> None:
    cut = line(delivery(f"host {RELAY} said: {RETIRED} {'x' * 2_000}", status="bounced"))[:2_000] + "\n"

    row = one_row(cut)

    assert (row["reply_class"], row["outcome"], row["request_id"]) == ("basic_retired", "rejected", "08DE47A9F1C2B3D4")


def test_a_command_that_syslog_cut_off_does_not_stay_in_the_reply() -> None:
    row = one_row(line(f"host {RELAY} said: 550 no (in reply to end of DA"))

    assert (row["reply_text"], row["stage"]) == ("550 no", "unknown")


@pytest.mark.parametrize("kept", [20, 40, 100, 150, 400])
def test_a_last_line_that_is_not_whole_is_not_guessed(kept: int) -> None:
    whole = line(queued(), "qmgr[1]")

    parsed = read(whole + line(delivery())[:kept].rstrip(")"), offset=100)

    assert rows_of(parsed) == []
    assert [(reject.offset, reject.reason) for reject in parsed.rejects] in (
        [(100 + len(whole), "the file ends in mid-line")],
        [],
    )
    assert parsed.lines == parsed.left + len(parsed.rejects)


@pytest.mark.parametrize("tag", ["postfix/smtp[7]", "postfix-o365/smtp[7]", "postfix[7]", "out-eu/smtp[7]"])
@pytest.mark.parametrize("words", ["to=<ops@contoso.example>", f"to=<ops@contoso.example>, relay={RELAY}, del"])
def test_a_broken_delivery_of_postfix_is_a_reject(tag: str, words: str) -> None:
    parsed = read(f"2026-12-30T08:00:01Z relay {tag}: A1B2C3D4E5: {words}\n")

    assert [reject.reason for reject in parsed.rejects] == ["begins like a delivery and does not go on like one"]


def test_a_broken_delivery_whose_program_is_not_named_is_told_by_its_grammar() -> None:
    start = "<22>1 2026-12-30T08:00:01Z relay out-eu 7 - - A1B2C3D4E5: to=<ops@contoso.example>, "

    parsed = read(f"{start}orig_to=<root>, relay={RELAY}, del\n{start}ctladdr=<a@b.example>, del\n")

    assert (len(parsed.rejects), parsed.left) == (1, 1)


def test_the_lines_of_another_mail_program_are_left_and_not_remembered() -> None:
    start = "Nov 23 18:16:44 gw "
    sendmail = "sendmail[55]: 6ANIGiub000053: "

    parsed = read(
        f"{start}{sendmail}from=<a@b.example>, size=589, class=0, nrcpts=1, relay=unknown [192.0.2.9]\n"
        f"{start}{sendmail}to=<c@d.example>,<e@d.example>, delay=00:00:00, mailer=esmtp, pri=30589, "
        f"relay=smtp.office365.com. [203.0.113.7], dsn=5.7.57, reply=530 5.7.57 no, stat=Service unavailable\n"
        f"{start}dma[29a05e.55cf]: remote delivery failed: {RETIRED}\n"
        f"{start}exim[9]: 1xVYao-00000Z-2c ** a@b.example R=smarthost: {RETIRED}\n"
    )

    assert (rows_of(parsed), parsed.rejects, parsed.carry) == ([], (), {})


def test_open_mails_are_bounded_and_the_oldest_is_forgotten() -> None:
    full: Carry = {"mails": {f"relay {number:010X}": {"sender": "a@b.example"} for number in range(MOST_OPEN)}}
    oldest, used_again, next_oldest = (f"{number:010X}" for number in range(3))

    carry = read(line(client("192.0.2.2"), "smtpd[1]", used_again) + line(client(), "smtpd[1]", "FRESH"), full).carry

    assert len(carry["mails"]) == MOST_OPEN
    assert f"relay {oldest}" not in carry["mails"]
    assert f"relay {next_oldest}" in carry["mails"]
    assert list(carry["mails"])[-2:] == [f"relay {used_again}", "relay FRESH"]


def test_a_line_longer_than_any_record_is_a_reject_that_keeps_its_beginning() -> None:
    long = line(delivery("x" * 2 * LONGEST)).encode()

    parsed = read(long + line(delivery()).encode())

    assert [(reject.offset, reject.raw) for reject in parsed.rejects] == [(0, long[:KEPT_OF_LONG])]
    assert [row["origin_offset"] for row in rows_of(parsed)] == [len(long)]


def test_the_marks_that_journalctl_sets_between_boots_are_left() -> None:
    parsed = read("-- Boot 3f6c2f0d9b1e4a6f8c7d5e4f3a2b1c0d --\n-- No entries --\n")

    assert (parsed.rejects, parsed.left) == ((), 2)


def test_line_ends_of_windows_and_empty_lines_change_nothing() -> None:
    log = line(queued(), "qmgr[1]") + "\n \n" + line(delivery())

    plain, windows = one_row(log), one_row(log.replace("\n", "\r\n"))

    assert windows["event_id"] == plain["event_id"]
    assert (windows["sender"], windows["reply_text"]) == (plain["sender"], plain["reply_text"])


def test_a_carriage_return_within_a_line_does_not_break_it_wherever_the_log_is_cut() -> None:
    body = (line(queued("a\rb@contoso.example"), "qmgr[1]") + line(delivery())).encode() + b"torn\rline"

    assert read_in_pieces(body, line_ends(body))[0] == rows_of(read(body))
    assert read_in_pieces(body, line_ends(body))[1] == list(read(body).rejects)


def test_bytes_that_are_no_utf8_do_not_lose_the_line() -> None:
    row = one_row(line(delivery("host x said: 550 nicht möglich")).encode("latin-1"))

    assert row["reply_text"] == "550 nicht möglich"


def test_two_recipients_of_one_answer_are_two_rows_of_one_refusal() -> None:
    rows = rows_of(read(line(delivery()) + line(delivery(to="it@contoso.example"))))

    assert len({row["event_id"] for row in rows}) == 2
    assert {row["request_id"] for row in rows} == {"08DE47A9F1C2B3D4"}


def test_numbers_beyond_any_column_do_not_break_the_read() -> None:
    log = (
        line(f"from=<a@b.example>, size={'9' * 30}, nrcpt=1 (queue active)", "qmgr[1]")
        + line(delivery(relay="x[203.0.113.7]:99999", dsn="9" * 30))
        + "0001-01-01T00:00:00+14:00 relay postfix/smtp[1]: A1B2C3D4E5: removed\n"
    )

    parsed = read(log)

    assert [row["size_bytes"] for row in rows_of(parsed)] == [None]
    assert [reject.reason for reject in parsed.rejects] == ["has no syslog header that we know"]


PIECES = st.sampled_from(
    [
        line(client(), "smtpd[1]"),
        line(client("192.0.2.2"), "smtpd[1]", "A1B2C3"),
        line(queued(), "qmgr[1]"),
        line(queued('"a>, b"@c.example'), "qmgr[1]"),
        line("message-id=<a@b>", "cleanup[1]"),
        line("removed", "qmgr[1]"),
        line("uid=0 from=<root>", "pickup[1]"),
        line("from=<a@b.example>, status=expired, returned to sender", "qmgr[1]"),
        line(delivery()),
        line(delivery(f"delivery temporarily suspended: {AT_AUTH}", relay="none"), "error[1]"),
        line(f"host {RELAY} said: 450 no (in reply to RCPT TO command)"),
        line(delivery())[:150] + "\n",
        line(f"info: header Subject: x from y[1]; proto=SMTP helo=<{'h' * 9}>", "cleanup[1]"),
        "Feb 29 23:59:60 relay postfix/smtp[1]: x\n",
    ]
)


@settings(deadline=None)
@given(st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=40)), max_size=40), st.data())
def test_no_bytes_make_it_raise_and_no_line_is_lost(pieces: list[bytes], data: st.DataObject) -> None:
    body = b"".join([line(queued(), "qmgr[1]").encode(), *pieces])
    cuts = sorted(data.draw(st.sets(st.sampled_from(line_ends(body) or [0]), max_size=4)) - {0})

    parsed = read(body)

    assert parsed.tables["deliveries"].select(SCHEMAS["deliveries"].names).schema == SCHEMAS["deliveries"]
    assert lines_with_rows(parsed) + len(parsed.rejects) + parsed.left == parsed.lines
    assert read_in_pieces(body, cuts) == (rows_of(parsed), list(parsed.rejects), parsed.carry)


@settings(deadline=None)
@given(
    st.sampled_from(["to=<", "from=<", "client=", "host ", "SASL [CACHED] ", "info: header "]), st.binary(max_size=300)
)
def test_no_words_behind_a_queue_id_make_it_raise(start: str, rest: bytes) -> None:
    whole = delivery().encode()
    raw = line("").encode().rstrip() + b" "

    for words in (start.encode() + rest, whole[: len(rest)] + rest, whole.replace(b"550 5.7.30", rest)):
        parsed = read(raw + words.replace(b"\n", b" ") + b"\n")

        assert lines_with_rows(parsed) + len(parsed.rejects) + parsed.left == 1


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_head_can_be_looked_at(head: bytes) -> None:
    assert log.looks_like(head + b"\n" + 401 * line("removed", "qmgr[1]").encode())
