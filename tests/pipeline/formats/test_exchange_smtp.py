"""SMTP protocol logs of Exchange: what the sample pairs cannot show."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.exchange.open_sessions import MOST_OPEN
from pipeline.formats import exchange_smtp
from pipeline.formats.exchange_smtp import looks_like, parse
from pipeline.model import SCHEMAS, Carry, Chunk, Parsed

SAMPLES = sorted((Path(__file__).parents[3] / "sample_data" / "exchange_smtp").glob("*.log"))
FIELDS = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context"
SEND = f"#Software: Microsoft Exchange Server\r\n#Log-type: SMTP Send Protocol Log\r\n#Fields: {FIELDS}\r\n"
RECEIVE = SEND.replace("Send", "Receive")
BANNER = "<220 FR3P281CA0094.DEUP281.PROD.OUTLOOK.COM Microsoft ESMTP MAIL Service ready"
LOG_IN = [BANNER, ">EHLO relay.contoso.example", "<250 HELLO", ">AUTH LOGIN", "<334 x", "<334 x"]
RETIRED = "550 5.7.30 Basic authentication is not supported for Client Submission."
MAIL = [">MAIL FROM:<erp@contoso.example> SIZE=9", "<250 2.1.0 Sender OK"]
SECRET = base64.b64encode(b"\0scan@contoso.example\0made-up-canary").decode()


def lines_of(talk: list[str], session: str = "08DE47AA00000001", start: int = 0, minute: int = 0) -> str:
    """Return one record for each entry of `talk`: the event, then its data; behind a | the context."""
    rows = []
    for number, said in enumerate(talk, start=start):
        data, _, context = said[1:].partition("|")
        moment = f"2026-12-30T08:{minute:02}:{number % 60:02}.000Z"
        quoted = f'"{data.replace(chr(34), chr(34) * 2)}"'
        ends = "192.0.2.10:44310,198.51.100.50:587"
        rows.append(f"{moment},To M365,{session},{number},{ends},{said[0]},{quoted},{context}\r\n")
    return "".join(rows)


def read(text: str | bytes, carry: Carry | None = None, offset: int = 0) -> Parsed:
    body = text if isinstance(text, bytes) else text.encode()
    return parse(Chunk(body, "SEND2026123008-1.LOG", offset=offset), carry or {})


def rows_of(parsed: Parsed) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parsed.tables["deliveries"].to_pylist()
    return rows


def rows_of_talk(talk: list[str]) -> list[dict[str, Any]]:
    return rows_of(read(SEND + lines_of(["+", *talk])))


def read_in_pieces(body: bytes, cuts: list[int]) -> tuple[list[dict[str, Any]], list[Any], Carry]:
    """Read `body` cut at `cuts`; between two pieces the carry goes through JSON, as in the lake."""
    rows, rejects, carry = list[dict[str, Any]](), list[Any](), "{}"
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        parsed = read(body[start:end], json.loads(carry), start)
        rows += rows_of(parsed)
        rejects += parsed.rejects
        carry = json.dumps(parsed.carry)
    return rows, rejects, json.loads(carry)


def line_ends(body: bytes) -> list[int]:
    return [place + 1 for place, byte in enumerate(body[:-1]) if byte == ord("\n")]


@pytest.mark.parametrize("kind", ["Send", "receive"])
def test_a_protocol_log_is_known_by_its_type_behind_a_byte_order_mark(kind: str) -> None:
    head = f"\ufeff#Software: Microsoft Exchange Server\r\n#Log-Type: SMTP {kind} Protocol Log\r\n".encode()

    assert looks_like(head)


def test_a_protocol_log_is_known_by_its_columns_in_any_order() -> None:
    assert looks_like(b"#Fields: event,data,context,sequence-number,session-id,date-time\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"#Log-type: Message Tracking Log\r\n#Fields: date-time,client-ip,event-id,message-id\r\n",
        b"#Fields: date time c-ip cs-username\r\n",
        b"Dec 30 08:00:01 relay postfix/smtp[1]: #Log-type: SMTP Send Protocol Log\n",
    ],
)
def test_other_logs_are_not_taken_for_ours(head: bytes) -> None:
    assert not looks_like(head)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_log_cut_at_any_line_end_yields_the_same_as_the_whole(sample: Path) -> None:
    body = sample.read_bytes()
    whole = read(body)

    for cut in line_ends(body):
        rows, rejects, carry = read_in_pieces(body, [cut])

        assert (rows, rejects, carry) == (rows_of(whole), list(whole.rejects), whole.carry)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_log_read_line_by_line_yields_the_same_as_the_whole(sample: Path) -> None:
    body = sample.read_bytes()

    rows, rejects, _ = read_in_pieces(body, line_ends(body))

    assert rows == rows_of(read(body))
    assert rejects == list(read(body).rejects)


def test_a_read_leaves_the_carry_it_was_given_as_it_was() -> None:
    begun = lines_of(["+", *LOG_IN, "<235 ok", *MAIL, ">RCPT TO:<a@fabrikam.example>"])
    carry = read(SEND + begun).carry
    before = json.dumps(carry)

    read(lines_of(["<550 5.1.1 no", ">RCPT TO:<b@fabrikam.example>"], start=10), carry)

    assert json.dumps(carry) == before


def test_each_row_has_its_own_id_and_keeps_it_when_read_again() -> None:
    twice = [">RCPT TO:<a@fabrikam.example>", ">RCPT TO:<a@fabrikam.example>", ">BDAT 9 LAST"]
    log = SEND + lines_of(["+", *LOG_IN, "<235 ok", *MAIL, *twice, "<250 OK", "<250 OK", f"<{RETIRED}"])

    first, second = rows_of(read(log)), rows_of(read(log))

    assert len(first) == 2
    assert len({row["event_id"] for row in first}) == 2
    assert first == second


def test_a_refusal_at_auth_waits_for_the_end_of_its_session() -> None:
    begun = read(SEND + lines_of(["+", *LOG_IN, f"<{RETIRED}"]))

    ended = read(lines_of(["-"], start=8), begun.carry)

    assert rows_of(begun) == []
    assert [(row["reply_class"], row["sender"]) for row in rows_of(ended)] == [("basic_retired", None)]


def test_two_refused_log_ins_in_one_session_are_two_refusals() -> None:
    rows = rows_of_talk(
        [*LOG_IN, f"<{RETIRED}", ">AUTH PLAIN x", "<535 5.7.3 Authentication unsuccessful", ">QUIT", "-"]
    )

    assert [(row["auth_mechanism"], row["reply_code"]) for row in rows] == [("LOGIN", 550), ("PLAIN", 535)]


def test_a_mail_taken_after_a_failed_log_in_was_not_sent_with_basic() -> None:
    rows = rows_of_talk(
        [*LOG_IN, "<454 4.7.0 later", *MAIL, ">RCPT TO:<a@b.example>", "<250 OK", ">DATA", "<354", "<250 OK"]
    )

    assert [(row["outcome"], row["auth_protocol"]) for row in rows] == [("deferred", "basic"), ("accepted", "none")]


def test_a_session_whose_beginning_we_missed_does_not_claim_to_be_without_log_in() -> None:
    talk = [*MAIL, ">RCPT TO:<a@b.example>", "<250 OK", ">DATA", "<354 go", "<250 OK"]

    rows = rows_of(read(SEND + lines_of(talk, start=20)))

    assert [(row["auth_protocol"], row["endpoint"], row["sender"]) for row in rows] == [
        ("unknown", None, "erp@contoso.example")
    ]


def test_a_lost_answer_does_not_shift_the_answers_behind_it() -> None:
    rcpt = [">RCPT TO:<a@b.example>", ">RCPT TO:<b@b.example>"]
    lost = [*LOG_IN, "<235 2.7.0 ok", MAIL[0], *rcpt, "<250 2.1.5 OK", "<550 5.1.1 no", ">DATA", "<354 go", "<250 OK"]

    rows = rows_of_talk(lost)

    assert [(row["recipient"], row["outcome"]) for row in rows] == [
        ("b@b.example", "rejected"),
        ("a@b.example", "accepted"),
    ]


def test_a_server_that_hangs_up_defers_every_recipient() -> None:
    rcpt = [">RCPT TO:<a@b.example>", "<250 2.1.5 OK", ">RCPT TO:<b@b.example>", "<421 4.3.2 Service not active"]

    rows = rows_of_talk([*LOG_IN, "<235 2.7.0 ok", *MAIL, *rcpt, "-"])

    assert [(row["recipient"], row["outcome"]) for row in rows] == [
        ("a@b.example", "deferred"),
        ("b@b.example", "deferred"),
    ]


def test_a_server_that_refuses_in_its_banner_is_a_refusal_at_connect() -> None:
    rows = rows_of_talk(["<554 5.7.1 no mail from you", "-"])

    assert [(row["stage"], row["outcome"]) for row in rows] == [("connect", "rejected")]


def test_a_refusal_whose_command_we_missed_is_kept_without_a_stage() -> None:
    rows = rows_of(read(SEND + lines_of([f"<{RETIRED}", ">QUIT", "<221 bye", "-"], start=14)))

    assert [(row["stage"], row["reply_class"], row["auth_protocol"]) for row in rows] == [
        ("unknown", "basic_retired", "basic")
    ]


def test_a_log_in_that_is_never_answered_is_unknown() -> None:
    rows = rows_of_talk([*LOG_IN, "-|Remote"])

    assert [(row["stage"], row["outcome"], row["reply_class"]) for row in rows] == [("auth", "unknown", None)]


def test_a_server_without_ehlo_is_not_a_refusal() -> None:
    assert rows_of_talk([BANNER, ">EHLO x", "<502 5.5.1 what", ">HELO x", "<250 OK", ">QUIT", "<221 bye", "-"]) == []


def test_an_answer_written_before_its_command_is_put_behind_it() -> None:
    rcpt = [">RCPT TO:<a@b.example>", "<250 OK", ">RCPT TO:<gone@b.example>", "<550 5.1.1 no"]
    records = lines_of(["+", *LOG_IN, "<235 ok", *MAIL, *rcpt, "-"]).splitlines(keepends=True)
    records[-3], records[-2] = records[-2], records[-3]

    rows = rows_of(read(SEND + "".join(records)))

    assert [(row["recipient"], row["stage"], row["outcome"]) for row in rows] == [
        ("gone@b.example", "rcpt_to", "rejected"),
        ("a@b.example", "unknown", "unknown"),
    ]


def test_a_session_that_is_silent_for_an_hour_is_closed_as_it_stands() -> None:
    silent = lines_of(["+", *LOG_IN, f"<{RETIRED}"], session="08DE47AA00000001")
    later = lines_of(["+"], session="08DE47AA00000002").replace("T08:", "T09:").replace(":00.000Z", ":08.000Z")

    parsed = read(SEND + silent + later)

    assert [row["session_id"] for row in rows_of(parsed)] == ["08DE47AA00000001"]
    assert list(parsed.carry["sessions"]) == ["send 08DE47AA00000002"]


def test_open_sessions_are_bounded_and_the_oldest_is_closed_as_it_stands() -> None:
    oldest = lines_of(["+", *LOG_IN, f"<{RETIRED}"], session="oldest")
    others = "".join(lines_of(["+"], session=f"{number:016X}") for number in range(MOST_OPEN))

    parsed = read(SEND + oldest + others)

    assert [row["session_id"] for row in rows_of(parsed)] == ["oldest"]
    assert len(parsed.carry["sessions"]) == MOST_OPEN


def test_a_log_without_its_type_is_read_by_who_answers() -> None:
    bare = f"#Fields: {FIELDS}\r\n"
    received = [
        "+",
        ">220 ex01.contoso.example ready",
        "<EHLO device",
        ">250 OK",
        "<MAIL FROM:<nas@contoso.example>",
        ">550 5.7.1 no",
    ]

    sent = rows_of(read(bare + lines_of(["+", *LOG_IN, f"<{RETIRED}", "-"])))
    taken = rows_of(read(bare + lines_of(received)))

    assert [(row["service"], row["client_ip"]) for row in sent] == [("exchange_online", None)]
    assert [(row["service"], row["client_ip"], row["client_name"]) for row in taken] == [
        ("other", "198.51.100.50", "device")
    ]


def test_one_s_own_server_is_never_taken_for_microsoft_s() -> None:
    talk = ["+", ">220 ex01.outlook.com ready", "<EHLO x", ">250 OK", "<AUTH LOGIN", ">334 x", ">535 5.7.30 no", "-"]

    rows = rows_of(read(RECEIVE + lines_of(talk)))

    assert [(row["service"], row["reply_class"]) for row in rows] == [("other", "unknown")]


LOGGING_IN = ["+", ">220 ex01.contoso.example ready", "<EHLO device", ">250 OK", "<AUTH LOGIN", ">334 x", ">334 x"]


def signins_of(talk: list[str]) -> list[dict[str, Any]]:
    tables = read(RECEIVE + lines_of([*LOGGING_IN, *talk])).tables
    rows: list[dict[str, Any]] = tables["signins"].to_pylist() if "signins" in tables else []
    return rows


@pytest.mark.parametrize(
    ("talk", "expected"),
    [
        (["*CONTOSO\\scan|authenticated", ">235 2.7.0 Authentication successful"], ("contoso\\scan", "accepted", None)),
        (
            ["*|Inbound AUTH LOGIN failed because of LogonDenied", "*|User Name: NULL", ">535 5.7.3 no"],
            (None, "rejected", "LogonDenied"),
        ),
        (
            ["*|Unable to initialize inbound AUTH LOGIN because of Unsupported", ">454 4.7.0 later"],
            (None, "rejected", "Unsupported"),
        ),
        (
            [">421 4.7.0 Too many errors on this connection"],
            (None, "rejected", "421 4.7.0 Too many errors on this connection"),
        ),
        (
            ["*|Inbound AUTH LOGIN failed because of LogonDenied", "*|User Name: nas@b.example", "-|Remote"],
            ("nas@b.example", "rejected", "LogonDenied"),
        ),
    ],
)
def test_a_log_in_at_one_s_own_server_is_a_sign_in(talk: list[str], expected: tuple[str | None, ...]) -> None:
    rows = signins_of(talk)

    assert [(row["user"], row["outcome"], row["error_text"]) for row in rows] == [expected]
    assert {(row["client_ip"], row["client_name"], row["service"], row["auth_protocol"]) for row in rows} == {
        ("198.51.100.50", "device", "own_relay", "basic")
    }


@pytest.mark.parametrize("talk", [[">504 5.7.4 Unrecognized authentication type"], [">503 5.5.2 Send hello first"], []])
def test_what_asks_for_no_password_is_no_sign_in(talk: list[str]) -> None:
    assert signins_of(talk) == []


def test_a_log_in_at_another_server_is_no_sign_in_of_a_device() -> None:
    assert "signins" not in read(SEND + lines_of(["+", *LOG_IN, "<235 2.7.0 ok", "-"])).tables


def test_a_reply_of_several_lines_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    rows = rows_of_talk([*LOG_IN, "<550-5.7.30 Basic authentication is not supported for", ">QUIT", "<221 bye", "-"])

    assert [(row["stage"], row["reply_class"], row["endpoint"]) for row in rows] == [
        ("auth", "basic_retired", "fr3p281ca0094.deup281.prod.outlook.com")
    ]


def test_a_log_that_does_not_say_whose_it_is_is_its_source_s() -> None:
    log = SEND + lines_of(["+", *LOG_IN, f"<{RETIRED}", "-"])

    (row,) = parse(Chunk(log.encode(), "SEND.LOG", host="ex02"), {}).tables["deliveries"].to_pylist()

    assert row["log_host"] == "ex02"


def test_a_hash_in_the_data_is_data() -> None:
    talk = [*LOG_IN, "<235 ok", ">MAIL FROM:<#fields:@contoso.example>", "<550 #Fields: a,b", "-"]

    parsed = read(SEND + lines_of(["+", *talk]))

    assert [(row["sender"], row["reply_text"]) for row in rows_of(parsed)] == [
        ("#fields:@contoso.example", "550 #Fields: a,b")
    ]
    assert parsed.rejects == ()


def test_quotes_and_commas_in_the_data_stay_as_they_were_said() -> None:
    talk = [
        *LOG_IN,
        "<235 ok",
        '>MAIL FROM:<"a> SIZE=1, ""b"@contoso.example> SIZE=77',
        '<550 he said "no", twice',
        "-",
    ]

    row = rows_of_talk(talk)[0]

    assert (row["sender"], row["size_bytes"]) == ('"a> size=1, ""b"@contoso.example', 77)
    assert row["reply_text"] == '550 he said "no", twice'


def test_a_line_break_in_a_quoted_field_rejects_both_halves_and_nothing_else() -> None:
    good = lines_of(["+", *LOG_IN, f"<{RETIRED}", "-"])

    parsed = read(
        SEND
        + good
        + good.splitlines()[1].replace("Microsoft", "Micro\r\nsoft")
        + "\r\n"
        + good.replace("AA00000001", "AA00000002")
    )

    assert [row["session_id"] for row in rows_of(parsed)] == ["08DE47AA00000001", "08DE47AA00000002"]
    assert len(parsed.rejects) == 2


def test_bytes_that_are_no_utf8_do_not_lose_the_line() -> None:
    log = (SEND + lines_of(["+", *LOG_IN, "<550 5.7.1 nicht m\xf6glich", "-"])).encode("latin-1")

    assert rows_of(read(log))[0]["reply_text"] == "550 5.7.1 nicht m\ufffdglich"


def test_a_reject_names_its_place_in_the_file() -> None:
    parsed = read(SEND + "torn\r\n" + lines_of(["+"]), offset=1000)

    assert [(reject.offset, reject.raw) for reject in parsed.rejects] == [(1000 + len(SEND), b"[redacted]")]
    assert (parsed.lines, parsed.left) == (5, 4)


def test_no_payload_is_stored_anywhere() -> None:
    said = [
        f"AUTH PLAIN {SECRET}",
        f"AUTH {SECRET}",
        f"AUTH LOGIN {SECRET}",
        f"AUTH XOAUTH2 {SECRET}",
        SECRET,
        f"X-EXPS {SECRET}",
        f"NOOP {SECRET}",
    ]
    answers = [
        f"334 {SECRET}",
        f"235 {SECRET}",
        f"500 5.3.3 Unrecognized command '{SECRET}'",
        f"501 bad AUTH PLAIN {SECRET}",
    ]
    talk = [
        BANNER,
        *(f">{words}" for words in said),
        *(f"<{words}" for words in answers),
        f"*{SECRET}|note {SECRET}",
        *MAIL,
    ]
    good = lines_of(["+", *talk, *(f"<{words}" for words in answers), "-"])
    short = good.replace(",\r\n", "\r\n")
    torn = f'{SECRET}\r\n{SECRET},>,QUIT,\r\n"{SECRET}\r\n2026,"x {SECRET}\r\nAUTH\tPLAIN\t{SECRET}\r\n'
    body = (SEND + good + short + torn + short.replace(",>,", ";").replace(",<,", ";")).encode()

    for cut in line_ends(body):
        rows, rejects, carry = read_in_pieces(body, [cut])
        begun = read(body[:cut])

        stored = json.dumps([rows, [reject.raw.decode() for reject in rejects], carry, begun.carry], default=str)
        assert rejects
        assert SECRET not in stored
        assert SECRET[4:-4] not in stored


PIECES = st.sampled_from(
    [
        *(
            SEND + RECEIVE + lines_of(["+", *LOG_IN, f"<{RETIRED}", *MAIL, ">RCPT TO:<a@b.example>", ">DATA", "-"])
        ).splitlines(),
        *lines_of(
            [">BDAT 1", "<421 bye", "<354 go", ">RSET", ">X", "*User Name: x|User Name: x", "<250 2.1.5 OK", "<999"]
        ).splitlines(),
        "#Fields: event",
        "0001-01-01T00:00:00Z,To M365,s,1,,,+,,",
        "2199-12-31T23:59:59.9999999Z,To M365,08DE47AA00000001,999999999999999,[::1,:0,>,MAIL FROM:,",
    ]
)


@settings(deadline=None)
@given(st.lists(st.one_of(PIECES.map(str.encode), st.binary(max_size=40)), max_size=40), st.data())
def test_no_bytes_make_it_raise_and_no_line_is_lost(pieces: list[bytes], data: st.DataObject) -> None:
    body = b"\r\n".join([SEND.encode(), *pieces, b""])
    cuts = sorted(data.draw(st.sets(st.sampled_from(line_ends(body)), max_size=4)))

    parsed = read(body)
    rows, rejects, carry = read_in_pieces(body, cuts)

    assert parsed.tables["deliveries"].schema == SCHEMAS["deliveries"]
    assert parsed.lines == parsed.left + len(parsed.rejects) == body.count(b"\n")
    assert (rows, rejects, carry) == (rows_of(parsed), list(parsed.rejects), parsed.carry)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_head_can_be_looked_at(head: bytes) -> None:
    assert looks_like(head + b"\n#Log-type: SMTP Send Protocol Log\n")
    assert not exchange_smtp.WHOLE
