from __future__ import annotations

import json
import logging
import socket
import socketserver
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import httpx
import pytest

from pipeline.clock import Clock, Stopped
from pipeline.errors import SourceError
from pipeline.graph.client import Graph
from pipeline.graph.identity import Settings as Microsoft
from pipeline.graph.quota import Quota
from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.mail.folder import may_be_bounce
from pipeline.mail.imap import Server, _reached
from pipeline.model import Notice, Pull, Pulled
from pipeline.outside import Outside
from pipeline.secret import Secret
from pipeline.settings import read
from pipeline.sources.mailbox import USES, Settings, check, pull_of
from tests.hostile import HOSTILE
from tests.pipeline.sources.imap_server import MAILBOX, PASSWORD, TOKEN, Post, certified, post_office

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
SAMPLES = Path(__file__).parents[3] / "sample_data" / "dsn"
REAL = (SAMPLES / "postfix_gave_up_after_refused_log_ins.eml").read_bytes()
CANARY = "canary-of-private-mail"
PRIVATE = (
    f"From: Anna <anna@contoso.example>\r\nTo: {MAILBOX}\r\nSubject: {CANARY}\r\nMessage-ID: <{CANARY}@x>\r\n\r\n"
    f"550 5.7.30 Basic authentication is not supported for Client Submission. {CANARY}\r\n"
).encode()


def bounce(number: int = 1, *, returned: str = "Subject: scan") -> bytes:
    text = f"""\
        From: Mail Delivery System <MAILER-DAEMON@contoso.example>
        To: scan{number}@contoso.example
        Subject: Undelivered Mail Returned to Sender
        Message-ID: <bounce{number}@relay.contoso.example>
        Content-Type: multipart/report; report-type=delivery-status; boundary=part

        --part

        It could not be delivered.
        --part
        Content-Type: message/delivery-status

        Reporting-MTA: dns; relay.contoso.example
        X-Postfix-Sender: rfc822; scan{number}@contoso.example

        Final-Recipient: rfc822; ops{number}@contoso.example
        Action: failed
        Status: 5.7.30
        Remote-MTA: dns; smtp.office365.com
        Diagnostic-Code: smtp; 550 5.7.30 Basic authentication is not supported for Client Submission.

        --part
        Content-Type: message/rfc822

        {returned}
        --part--
        """
    return "\r\n".join(line.removeprefix("        ") for line in text.split("\n")).encode()


@dataclass
class Time:
    """A clock that stands unless somebody waits."""

    now: datetime = NOW
    waited: float = 0.0
    stops_after: int = 1_000_000

    def clock(self) -> Clock:
        return Clock(lambda: self.now + timedelta(seconds=self.waited), lambda: self.waited, self.wait)

    def wait(self, seconds: float) -> bool:
        self.waited += seconds
        self.stops_after -= 1
        return self.stops_after < 0


@dataclass
class Reader:
    """Stands where the service stands: it keeps the position between two pulls, as the JSON that the lake stores."""

    pull: Pull
    position: dict[str, Any] = field(default_factory=dict)
    pulled: list[Pulled] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)

    def look(self, *, most: int = 1_000_000) -> list[str]:
        """Pull once, or until it is killed behind the `most`-th chunk; return the last part of each bounce's origin."""
        self.pulled, self.notices = [], []
        for found in self.pull(self.position):
            if isinstance(found, Notice):
                self.notices.append(found)
                continue
            self.pulled.append(found)
            self.position = json.loads(json.dumps(found.position))
            if len(self.pulled) == most:
                break
        return [origin.rpartition("/")[2] for origin in self.origins]

    @property
    def origins(self) -> list[str]:
        return [found.chunk.origin for found in self.pulled if found.chunk.body]

    @property
    def gaps(self) -> list[str]:
        return [notice.sentence for notice in self.notices if notice.is_gap]

    @property
    def said(self) -> str:
        return "\n".join(f"{notice.origin}: {notice.sentence}" for notice in self.notices)


def nobody() -> httpx.Client:
    """Return a client that reaches nobody, which costs less than one that could."""
    return httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500)))


def outside(folder: Path, time: Time | None = None, graph: Graph | None = None) -> Outside:
    clock = (time or Time()).clock()
    return Outside(clock, folder, nobody(), None if graph is None else lambda _is_backfill: graph)


def printed(error: BaseException) -> str:
    shown = "".join(traceback.TracebackException.from_exception(error).format())
    return shown + str(error) + repr(error)


def failed(reader: Reader) -> SourceError:
    with pytest.raises(SourceError) as caught:
        reader.look()
    return caught.value


# Settings


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"mailbox": "bounces"}, "'mailbox' should be its address"),
        ({"mailbox": "a@b.example\r\nX: y"}, "'mailbox' should be its address"),
        ({"folder": " / "}, "'folder' should be the name of a folder"),
        ({"folder": "In\x01box"}, "'folder' should be the name of a folder"),
        ({"since": "a month"}, "'since': 'a month' is no span of time"),
        ({"since": "-3d"}, "without the sign"),
        ({"most_mib": 0}, "'most_mib' is 0"),
        ({"timeout_s": 0}, "'timeout_s' is 0"),
        ({"host": "imap.contoso.example"}, "'host' belong to IMAP"),
        ({"via": "imap", "host": "a b", "password": Secret("env", "PATH")}, "'host' should be the name"),
        ({"via": "imap", "port": 0}, "'port' is 0"),
        ({"via": "imap", "starttls": True}, "port 993 speaks TLS from the first byte"),
        ({"via": "imap", "port": 143}, "port 143 wants starttls = true"),
        ({"via": "imap", "user": "a\x01b"}, "'user' holds characters"),
        ({"via": "imap", "ca_file": Path("/nowhere.pem")}, "'ca_file' /nowhere.pem is not a file"),
        (
            {"via": "imap", "host": "imap.contoso.example"},
            "'password' is missing: imap.contoso.example is not Microsoft's",
        ),
        ({"via": "imap", "password": Secret("env", "UNSET_CANARY")}, "outlook.office365.com is Microsoft's"),
        (
            {"via": "imap", "host": "imap-mail.outlook.com", "password": Secret("env", "UNSET_CANARY")},
            "imap-mail.outlook.com is Microsoft's, where IMAP takes no password",
        ),
        (
            {"via": "imap", "host": "imap.contoso.example", "password": Secret("env", "UNSET_CANARY")},
            "UNSET_CANARY is not set",
        ),
    ],
)
def test_what_is_wrong_with_the_settings_is_said_before_anybody_is_asked(given: dict[str, Any], complaint: str) -> None:
    settings = Settings(**({"mailbox": MAILBOX} | given))

    complaints = check(settings)

    assert len(complaints) == 1
    assert complaint in complaints[0]


def test_usual_settings_are_right_and_say_whose_log_in_they_need() -> None:
    by_graph, by_imap = Settings(mailbox=MAILBOX), Settings(mailbox=MAILBOX, via="imap")
    own = Settings(mailbox=MAILBOX, via="imap", host="imap.contoso.example", password=Secret("env", "PATH"))

    assert check(by_graph) == check(by_imap) == check(own) == []
    assert [USES(each) for each in (by_graph, by_imap, own)] == ["microsoft", "microsoft", ""]


def test_settings_are_read_from_the_file_and_say_when_microsoft_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "authsunset.toml"
    password = f'password = {{ file = "{password_in(tmp_path)._name}" }}'
    kind = f'kind = "mailbox"\nmailbox = "{MAILBOX}"\n'
    own = f'[source.own]\n{kind}via = "imap"\nhost = "imap.contoso.example"\n{password}\n'
    path.write_text(own)
    alone, no_problems = read(path)
    path.write_text(f'{own}[source.theirs]\n{kind}via = "smtp"\n')
    _, wrong_way = read(path)
    path.write_text(f'{own}[source.theirs]\n{kind}via = "imap"\n')
    _, no_tenant = read(path)

    assert no_problems == []
    assert alone is not None
    assert alone.sources["own"].every == timedelta(minutes=5)
    assert "'graph' or 'imap'" in str(wrong_way[0])
    assert "needs a table [microsoft]" in str(no_tenant[0])


# Which messages are bounces


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.eml")), ids=lambda path: path.stem)
def test_each_known_bounce_shows_as_one_by_its_headers(path: Path) -> None:
    head = path.read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")[0]

    assert may_be_bounce(head)


@pytest.mark.parametrize(
    "head",
    [
        PRIVATE.partition(b"\r\n\r\n")[0],
        b"From: Postmaster <postmaster@contoso.example>\r\nSubject: Re: Undeliverable: scan",
        b"From: MAILER-DAEMON@contoso.example\r\nList-Id: <news.contoso.example>\r\nSubject: Delivery",
        b"",
    ],
)
def test_mail_of_people_and_lists_shows_as_none(head: bytes) -> None:
    assert not may_be_bounce(head)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_headers_are_looked_at_without_harm(text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")

    assert not may_be_bounce(b"From: " + raw + b"\r\nSubject: " + raw + b"\r\nContent-Type: " + raw)
    assert may_be_bounce(b"From: MAILER-DAEMON@x\r\nX-Any: " + raw.replace(b"\n", b" ") + b"\r\nContent-Type: " + raw)


# IMAP


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    with post_office(tmp_path) as opened:
        yield opened


@dataclass
class Tokens:
    """Who gives tokens; a refused one is followed by the next."""

    given: list[str] = field(default_factory=lambda: [TOKEN])
    asked: list[tuple[str, bool]] = field(default_factory=list)

    def __call__(self, resource: str, is_refused: bool) -> str:
        self.asked.append((resource, is_refused))
        return self.given[min(sum(refused for _, refused in self.asked), len(self.given) - 1)]


def microsoft(tmp_path: Path, token: Callable[[str, bool], str], address: str = "https://graph.invalid") -> Graph:
    clock = Time().clock()
    client = "11111111-2222-3333-4444-555555555555"
    settings = Microsoft(tenant="contoso.example", client=client, graph=address, timeout_s=5)
    return Graph(settings, nobody(), token, Quota(tmp_path / "quota.sqlite", "contoso.example", clock), clock)


def imap_reader(
    post: Post, tmp_path: Path, *, time: Time | None = None, tokens: Tokens | None = None, **more: Any
) -> Reader:
    given: dict[str, Any] = {"host": "127.0.0.1", "port": post.port, "ca_file": post.ca_file, "timeout_s": 5.0} | more
    settings = Settings(mailbox=MAILBOX, via="imap", **given)
    assert check(settings) == [] or settings.port == 143
    return Reader(pull_of(settings, outside(tmp_path, time, microsoft(tmp_path, tokens or Tokens()))))


def password_in(tmp_path: Path, text: str = PASSWORD) -> Secret:
    path = tmp_path / "password"
    path.write_text(text, "utf-8")
    return Secret("file", str(path))


def test_a_bounce_becomes_a_whole_chunk_and_other_mail_stays_where_it_is(post: Post, tmp_path: Path) -> None:
    post.put(PRIVATE, at=NOW - timedelta(hours=2))
    number = post.put(REAL, at=NOW - timedelta(hours=1))
    reader = imap_reader(post, tmp_path)

    reader.look()

    [found] = [each for each in reader.pulled if each.chunk.body]
    assert found.chunk.body == REAL
    assert (found.format, found.log) == ("dsn", f"mailbox:{MAILBOX}/Inbox")
    assert found.chunk.origin.startswith(f"mailbox:{MAILBOX}/")
    assert found.chunk.origin.endswith(str(number))
    assert found.chunk.as_of == NOW - timedelta(hours=1)
    assert "1 message is no bounce and was left alone" in reader.said
    assert reader.position["left"] == 1


def test_the_next_look_goes_on_where_the_last_one_ended(post: Post, tmp_path: Path) -> None:
    reader = imap_reader(post, tmp_path)
    first = [post.put(bounce(number)) for number in range(3)]
    before = reader.look()
    second = [post.put(bounce(number)) for number in range(3, 5)]

    after = reader.look()

    assert before == [str(number) for number in first]
    assert after == [str(number) for number in second]


def test_nothing_new_costs_no_commit(post: Post, tmp_path: Path) -> None:
    post.put(bounce())
    post.put(PRIVATE)
    reader = imap_reader(post, tmp_path)
    reader.look()

    reader.look()

    assert (reader.pulled, reader.notices) == ([], [])


def test_an_empty_folder_is_noted_once(post: Post, tmp_path: Path) -> None:
    reader = imap_reader(post, tmp_path)
    reader.look()
    noted = reader.pulled

    reader.look()

    assert [found.chunk.body for found in noted] == [b""]
    assert reader.pulled == []


def test_reading_changes_nothing_in_the_mailbox(post: Post, tmp_path: Path) -> None:
    post.put(bounce(1))
    post.put(bounce(2), flags=("\\Flagged",))
    post.put(PRIVATE, flags=("\\Seen",))
    before = post.flags()

    imap_reader(post, tmp_path).look()

    assert post.flags() == before
    assert not post.moods.marks_as_read
    assert "EXAMINE INBOX" in post.moods.commands
    assert post.moods.verbs == {"CAPABILITY", "EXAMINE", "UID-SEARCH", "UID-FETCH", "LOGOUT"}


def test_of_other_mail_not_even_the_body_is_asked_for(post: Post, tmp_path: Path) -> None:
    for _ in range(150):
        post.put(PRIVATE)
    post.put(bounce())

    imap_reader(post, tmp_path).look()

    assert post.moods.commands.count("UID-FETCH") == 3  # two pages of headers, and the bounce


def test_nothing_of_other_mail_is_said_logged_or_remembered(
    post: Post, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    post.put(PRIVATE)
    post.put(b"From: MAILER-DAEMON@contoso.example\r\nSubject: " + CANARY.encode() + b"\r\n\r\n" + CANARY.encode())
    post.put(b"Content-Type: multipart/report\r\n" + PRIVATE)
    reader = imap_reader(post, tmp_path)
    caplog.set_level(logging.DEBUG, logger="imapclient")
    caplog.set_level(logging.DEBUG, logger="imapclient.imaplib")

    reader.look()

    assert reader.origins == []
    assert reader.position["left"] == 3
    for shown in (repr(reader.pulled), json.dumps(reader.position), reader.said, caplog.text):
        assert CANARY not in shown
        assert TOKEN not in shown


def test_the_first_look_goes_back_as_far_as_it_is_told(post: Post, tmp_path: Path) -> None:
    post.put(bounce(1), at=NOW - timedelta(days=40))
    new = post.put(bounce(2), at=NOW - timedelta(days=3))
    reader = imap_reader(post, tmp_path, since="30d")

    assert reader.look() == [str(new)]


def test_an_old_bounce_that_is_moved_into_the_folder_later_is_read(post: Post, tmp_path: Path) -> None:
    reader = imap_reader(post, tmp_path)
    reader.look()
    moved = post.put(bounce(), at=NOW - timedelta(days=400))

    assert reader.look() == [str(moved)]


def test_the_folder_may_be_another_one_with_letters_of_any_language(post: Post, tmp_path: Path) -> None:
    post.make_folder("Rückläufer/Scanner & Co")
    number = post.put(bounce(), folder="Rückläufer/Scanner & Co")
    reader = imap_reader(post, tmp_path, folder="Rückläufer/Scanner & Co")

    assert reader.look() == [str(number)]


def test_a_folder_that_was_made_anew_is_read_from_the_beginning(post: Post, tmp_path: Path) -> None:
    post.put(PRIVATE)
    post.put(bounce(1))
    reader = imap_reader(post, tmp_path)
    reader.look()
    post.delete(101)
    post.make_anew()

    after = reader.look()

    assert after == ["101"]
    assert "read again from 2026-10-26" in reader.said
    assert not reader.gaps
    assert reader.look() == []


def test_after_a_long_time_off_a_folder_made_anew_is_read_from_the_last_look(post: Post, tmp_path: Path) -> None:
    time = Time()
    reader = imap_reader(post, tmp_path, time=time, since="7d")
    reader.look()
    missed = post.put(bounce(), at=NOW + timedelta(days=1))
    time.now = NOW + timedelta(days=50)
    post.make_anew()

    assert reader.look() == [str(missed)]


def test_a_first_look_that_was_interrupted_keeps_how_far_back_it_goes(post: Post, tmp_path: Path) -> None:
    time = Time()
    first = post.put(bounce(1), at=NOW - timedelta(days=6))
    second = post.put(bounce(2), at=NOW - timedelta(days=6))
    reader = imap_reader(post, tmp_path, time=time, since="7d")
    before = reader.look(most=1)
    time.now = NOW + timedelta(days=30)
    post.make_anew()

    assert before == [str(first)]
    assert reader.look() == [str(first), str(second)]


def test_another_folder_in_the_settings_is_read_from_its_own_beginning(post: Post, tmp_path: Path) -> None:
    post.make_folder("Bounces")
    post.put(bounce(1))
    other = post.put(bounce(2), folder="Bounces", at=NOW)
    reader = imap_reader(post, tmp_path)
    reader.look()
    moved = imap_reader(post, tmp_path, folder="Bounces")
    moved.position = reader.position

    assert moved.look() == [str(other)]
    assert moved.notices == []


def test_five_hundred_messages_killed_behind_each_chunk_bring_each_bounce_once(post: Post, tmp_path: Path) -> None:
    expected = []
    for number in range(500):
        uid = post.put(bounce(number) if number % 50 == 7 else PRIVATE)
        if number % 50 == 7:
            expected.append(str(uid))
    reader = imap_reader(post, tmp_path)

    brought = []
    while found := reader.look(most=2):
        brought += found

    assert brought == expected
    assert reader.position["left"] == 500 - len(expected)


def test_a_stop_ends_the_walk_between_two_messages_and_the_next_one_goes_on(post: Post, tmp_path: Path) -> None:
    uids = [str(post.put(bounce(number))) for number in range(4)]
    time = Time(stops_after=2)
    reader = imap_reader(post, tmp_path, time=time)

    with pytest.raises(Stopped):
        reader.look()
    first = [origin.rpartition("/")[2] for origin in reader.origins]
    time.stops_after = 100

    assert first == uids[:2]
    assert reader.look() == uids[2:]


@pytest.mark.parametrize("mood", ["hangs_up_at", "refuses"])
def test_a_message_that_cannot_be_read_stops_no_other_and_is_a_gap_in_the_end(
    post: Post, tmp_path: Path, mood: str
) -> None:
    first, bad, last = (post.put(bounce(number)) for number in range(3))
    getattr(post.moods, mood).add(bad)
    reader = imap_reader(post, tmp_path)

    brought = reader.look()
    pending = [notice.is_gap for notice in reader.notices]
    tries = 1
    while not reader.gaps:
        assert reader.look() == []
        tries += 1

    assert brought == [str(first), str(last)]
    assert pending == [False]
    assert tries == 5
    assert "cannot be read" in reader.gaps[0]
    assert "canary" not in reader.said
    assert reader.look() == []
    assert reader.notices == []


def test_a_message_that_could_not_be_read_is_read_when_it_can_be(post: Post, tmp_path: Path) -> None:
    bad, good = post.put(bounce(1)), post.put(bounce(2))
    post.moods.hangs_up_at.add(bad)
    reader = imap_reader(post, tmp_path)
    before = reader.look()
    post.moods.hangs_up_at.clear()

    assert before == [str(good)]
    assert reader.look() == [str(bad)]
    assert reader.position["unread"] == {}


def test_a_server_that_hangs_up_at_every_message_is_an_error_of_the_source(post: Post, tmp_path: Path) -> None:
    post.moods.hangs_up_at.update(post.put(bounce(number)) for number in range(30))
    reader = imap_reader(post, tmp_path)

    error = failed(reader)

    assert error.retry
    assert reader.pulled == []


def test_a_message_that_is_deleted_while_it_is_being_read_is_a_gap(post: Post, tmp_path: Path) -> None:
    gone, last = post.put(bounce(1)), post.put(bounce(2))
    reader = imap_reader(post, tmp_path)
    post.moods.deletes_at_fetch.add(gone)

    assert reader.look() == [str(last)]
    assert reader.gaps == ["was deleted or moved before it could be read"]


def test_a_long_bounce_is_read_as_far_as_its_report_goes(post: Post, tmp_path: Path) -> None:
    post.put(bounce(returned="Subject: scan\r\n\r\n" + "x" * (2 << 20)))
    reader = imap_reader(post, tmp_path, most_mib=1)

    reader.look()

    [found] = [each for each in reader.pulled if each.chunk.body]
    assert len(found.chunk.body) == 1 << 20
    assert reader.gaps == []


def test_a_bounce_whose_report_lies_behind_what_is_read_is_a_gap_and_a_long_mail_is_none(
    post: Post, tmp_path: Path
) -> None:
    padding = b"\r\n\r\n--part\r\n\r\n" + b"x" * (1 << 20)
    post.put(bounce(1).replace(b"\r\n\r\n--part\r\n", padding + b"\r\n--part\r\n", 1))
    post.put(b"From: MAILER-DAEMON@contoso.example\r\nSubject: backup\r\n\r\n" + b"x" * (2 << 20))
    good = post.put(bounce(2))
    reader = imap_reader(post, tmp_path, most_mib=1)

    assert reader.look() == [str(good)]
    assert reader.gaps == ["is longer than is read of a message, and its report stands behind that; see 'most_mib'"]
    assert reader.position["left"] == 1


def nested(depth: int) -> bytes:
    parts = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level) for level in range(depth)
    )
    return b"From: MAILER-DAEMON@x.example\r\nSubject: Undeliverable\r\n" + parts + b"\r\nx"


BROKEN = {
    "parts_within_parts": nested(60),
    "broken_encoded_word": b"From: MAILER-DAEMON\r\nSubject: " + b"=?utf-8?q?x" * 300,
    "endless_header": b"X: " + b"y" * 200_000 + b"\r\n" + bounce(7)[:200],
    "no_text": b"\x00\xff\xfe" * 1_000,
    "no_headers": b"\r\n\r\n" + PRIVATE,
    "broken_charset": b"From: MAILER-DAEMON@x\r\nContent-Type: text/plain; charset=\xff\xfe\r\n\r\nx",
    "open_boundary": b'From: MAILER-DAEMON@x\r\nContent-Type: multipart/report; boundary="\r\n\r\nx',
    **{
        name: f"From: {text}\r\nSubject: {text}\r\n\r\n".encode("utf-8", "surrogatepass")
        for name, text in HOSTILE.items()
    },
}


def test_hostile_messages_stop_no_other(post: Post, tmp_path: Path) -> None:
    put = {str(post.put(raw)): name for name, raw in BROKEN.items()}
    good = post.put(bounce())
    reader = imap_reader(post, tmp_path)

    assert [put.get(uid, uid) for uid in reader.look()] == [str(good)]
    assert [put[notice.origin.rpartition("/")[2]] for notice in reader.notices if notice.is_gap] == [
        "parts_within_parts"
    ]
    assert reader.position["left"] == len(BROKEN) - 1


def test_parts_within_parts_deeper_than_the_parser_goes_are_a_gap(letters: Letters, graph_reader: GraphReader) -> None:
    letters.put(nested(3_000).replace(b"multipart", b"message/rfc822\r\nX: multipart"))
    letters.put(b"From: MAILER-DAEMON\r\nSubject: x\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 3_000)
    last = letters.put(bounce())
    reader = graph_reader()

    assert reader.look() == [last]
    assert len(reader.gaps) == 2


def test_a_message_that_begins_like_an_mbox_is_one_message_all_the_same(post: Post, tmp_path: Path) -> None:
    forged = b"Subject: scan\r\n\r\nFrom eve@x Wed Nov 25 10:00:00 2026\r\n" + bounce(9)
    post.put(b"From MAILER-DAEMON Wed Nov 25 09:00:00 2026\r\n" + bounce(1, returned=forged.decode()))
    reader = imap_reader(post, tmp_path)

    reader.look()

    [found] = [each for each in reader.pulled if each.chunk.body]
    assert found.chunk.body.startswith(b"From: Mail Delivery System")


def test_the_token_opens_the_mailbox(post: Post, tmp_path: Path) -> None:
    tokens = Tokens()
    post.put(bounce())

    assert imap_reader(post, tmp_path, tokens=tokens).look()
    assert tokens.asked == [("https://outlook.office365.com", False)]


def test_a_refused_token_is_renewed_once(post: Post, tmp_path: Path) -> None:
    tokens = Tokens(["canary-old-token", TOKEN])
    post.put(bounce())

    assert imap_reader(post, tmp_path, tokens=tokens).look()
    assert [refused for _, refused in tokens.asked] == [False, True]


def test_a_token_that_stays_refused_names_the_three_causes_and_never_shows(
    post: Post, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = failed(imap_reader(post, tmp_path, tokens=Tokens(["canary-wrong-token"])))

    assert "Set-CASMailbox bounces@contoso.example -ImapEnabled $true" in str(error)
    assert "New-ServicePrincipal -AppId 11111111-2222-3333-4444-555555555555" in str(error)
    assert "Add-MailboxPermission bounces@contoso.example" in str(error)
    assert "the tenant in [microsoft]" in str(error)
    assert "canary" not in printed(error) + caplog.text
    assert post.moods.answers_to_refusals == [b"", b""]


def test_a_log_in_that_opens_no_mailbox_is_explained(post: Post, tmp_path: Path) -> None:
    post.moods.opens_nothing = True

    error = failed(imap_reader(post, tmp_path))

    assert "the log-in to 127.0.0.1 was accepted, but it opens no mailbox" in str(error)
    assert "Add-MailboxPermission" in str(error)


@pytest.mark.parametrize(
    ("mechanisms", "password"), [(("PLAIN",), PASSWORD), (("LOGIN",), 'canary "\\ {7} pass')], ids=["plain", "login"]
)
def test_a_password_opens_a_mailbox_of_ones_own_server(
    post: Post, tmp_path: Path, mechanisms: tuple[str, ...], password: str
) -> None:
    post.moods.mechanisms, post.moods.passwords = mechanisms, {password}
    post.put(bounce())

    assert imap_reader(post, tmp_path, password=password_in(tmp_path, password)).look()


@pytest.mark.parametrize("mechanisms", [("PLAIN",), ("LOGIN",)], ids=["plain", "login"])
@pytest.mark.parametrize("password", ["canary-wrong", "canary-wröng"], ids=["ascii", "other_letters"])
def test_a_wrong_password_is_said_and_never_shows(
    post: Post, tmp_path: Path, mechanisms: tuple[str, ...], password: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="imapclient")
    post.moods.mechanisms = mechanisms
    secret = password_in(tmp_path, password)

    error = failed(imap_reader(post, tmp_path, password=secret))

    assert f"refused the log-in of {MAILBOX}" in str(error)
    assert f"see 'user', and that the file {secret._name} holds its password" in str(error)
    assert "canary" not in (printed(error) + caplog.text).replace(str(tmp_path), "")


def test_a_folder_that_is_not_there_is_named_with_those_like_it(post: Post, tmp_path: Path) -> None:
    post.make_folder("Bounces")
    post.make_folder("Private Things")

    error = failed(imap_reader(post, tmp_path, folder="Bouncse"))

    assert "the folder 'Bouncse' of bounces@contoso.example cannot be opened" in str(error)
    assert "did you mean 'Bounces'? See 'folder'" in str(error)
    assert "Private" not in str(error)


def test_starttls_hides_the_log_in(tmp_path: Path) -> None:
    with post_office(tmp_path, starttls=True) as post:
        post.put(bounce())

        assert imap_reader(post, tmp_path, starttls=True).look()
        assert post.moods.commands[:2] == ["CAPABILITY", "STARTTLS"]


def test_a_server_without_starttls_gets_no_password(post: Post, tmp_path: Path) -> None:
    with post_office(tmp_path) as other, plain_server(b"* OK ready\r\n") as port:
        error = failed(imap_reader(other, tmp_path, port=port, starttls=True, password=password_in(tmp_path)))

    assert "does not speak IMAP as expected" in str(error)
    assert "STARTTLS" in str(error)
    assert post.moods.commands == []


def test_a_certificate_that_nobody_vouches_for_is_refused(post: Post, tmp_path: Path) -> None:
    error = failed(imap_reader(post, tmp_path, ca_file=None))

    assert "shows a certificate that is not trusted" in str(error)
    assert "'ca_file'" in str(error)


def test_a_certificate_file_that_is_none_is_said(post: Post, tmp_path: Path) -> None:
    path = tmp_path / "no.pem"
    path.write_text("no certificate")

    assert f"'ca_file' {path} cannot be used" in str(failed(imap_reader(post, tmp_path, ca_file=path)))


def test_a_server_that_speaks_no_tls_is_said(post: Post, tmp_path: Path) -> None:
    with plain_server(b"* OK ready\r\n") as port:
        assert "speaks no TLS as we do" in str(failed(imap_reader(post, tmp_path, port=port)))


def test_a_server_that_is_not_there_is_worth_another_try(post: Post, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = failed(imap_reader(post, tmp_path, port=taken.getsockname()[1]))

    assert error.retry
    assert "gives no answer: ConnectionRefusedError" in str(error)


def test_a_name_that_nobody_knows_is_said() -> None:
    server = Server("imap.contoso.example", 993, False, None, 5, MAILBOX, lambda _: "", False, "")

    with (
        pytest.raises(SourceError, match="is not known to this machine") as caught,
        _reached(server),
    ):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert caught.value.retry


def test_a_name_that_can_be_none_is_an_error_of_the_source(tmp_path: Path) -> None:
    own = {"host": "no..such.example", "password": password_in(tmp_path)}

    error = failed(Reader(pull_of(Settings(mailbox=MAILBOX, via="imap", **own), outside(tmp_path))))  # type: ignore[arg-type]

    assert "no..such.example" in str(error)
    assert "'host'" in str(error)


SELECTED = b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 2] x\r\n"


@pytest.mark.parametrize(
    ("greeting", "answers", "said"),
    [
        (b"* BYE too many connections from here\r\n", {}, "too many connections"),
        (b"* OK ready\r\n", {"LOGIN": b"* BYE see you\r\n"}, "ended the conversation: command: LOGIN => see you"),
        (b"* OK ready\r\n", {"LOGIN": b"NO [UNAVAILABLE] later"}, "lets nobody in just now"),
        (b"* OK ready\r\n", {"EXAMINE": b"* 1 EXISTS\r\n"}, "tells no UIDVALIDITY"),
        (b"* OK ready\r\n", {"EXAMINE": b"* BYE bye\r\n"}, "ended the conversation"),
        (b"* OK ready\r\n", {"SEARCH": b"* SEARCH x\r\n"}, "no proper answer"),
        (b"* OK ready\r\n", {"SEARCH": b"* SEARCH" + b" 1" * 900_000 + b"\r\n"}, "no proper answer"),
        (b"* OK ready\r\n", {"SEARCH": (b"* OK " + b"x" * 1_000 + b"\r\n") * 1_100}, "no proper answer"),
        (b"* OK ready\r\n", {"SEARCH": b"* BYE bye\r\n"}, "no proper answer"),
        (b"220 smtp.contoso.example ESMTP\r\n", {}, "ended the conversation: unexpected response"),
    ],
    ids=[
        "full",
        "bye",
        "busy",
        "no_numbers",
        "bye_at_folder",
        "no_list",
        "long_line",
        "many_lines",
        "bye_later",
        "smtp",
    ],
)
def test_a_server_that_answers_anything_else_is_an_error_that_says_so(
    tmp_path: Path, greeting: bytes, answers: Mapping[str, bytes], said: str
) -> None:
    authority, context = certified(tmp_path)
    with plain_server(greeting, answers, context) as port:
        error = failed(scripted_reader(tmp_path, port, authority))

    assert said in str(error)
    assert "canary" not in printed(error).replace(str(tmp_path), "")


def test_a_message_that_claims_to_be_endless_is_not_taken_in(tmp_path: Path) -> None:
    authority, context = certified(tmp_path)
    endless = b"* 1 FETCH (UID 1 BODY[HEADER]<0> {99999999999}\r\nFrom: canary\r\n"
    answers = {"SEARCH": b"* SEARCH 1\r\n", "FETCH": endless}
    with plain_server(b"* OK ready\r\n", answers, context) as port:
        reader = scripted_reader(tmp_path, port, authority)
        reader.look()

    assert reader.origins == []
    assert "cannot be read: the IMAP server" in reader.said
    assert "canary" not in reader.said


def test_a_server_that_tells_no_next_number_is_asked_for_the_highest(tmp_path: Path) -> None:
    authority, context = certified(tmp_path)
    literal = b"{%d}\r\n%s" % (len(bounce()), bounce())
    answers = {
        "EXAMINE": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n",
        "SEARCH": b"* SEARCH 7\r\n",
        "FETCH": b"* 1 FETCH (UID 7 BODY[HEADER] " + literal + b" BODY[] " + literal + b")\r\n",
    }
    with plain_server(b"* OK ready\r\n", answers, context) as port:
        reader = scripted_reader(tmp_path, port, authority)

        assert reader.look() == ["7"]
        answers["SEARCH"] = b"* SEARCH\r\n"
        assert reader.look() == []
        assert reader.pulled == []


def scripted_reader(tmp_path: Path, port: int, authority: Path) -> Reader:
    secret = password_in(tmp_path, "canary")
    settings = Settings(
        mailbox=MAILBOX, via="imap", host="127.0.0.1", port=port, ca_file=authority, password=secret, timeout_s=5
    )
    return Reader(pull_of(settings, outside(tmp_path)))


@contextmanager
def plain_server(
    greeting: bytes, answers: Mapping[str, bytes] | None = None, context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Say `greeting`, then to each command what `answers` has for its verb, and OK unless that is a refusal."""
    usual = {"CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n", "EXAMINE": SELECTED}

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.wfile.write(greeting)
                while command := self.rfile.readline().split():
                    verb = command[2 if command[1] == b"UID" else 1].decode()
                    answer = (answers or {}).get(verb, usual.get(verb, b""))
                    is_end = answer.startswith((b"NO", b"BAD"))
                    self.wfile.write(
                        command[0] + b" " + answer + b"\r\n" if is_end else answer + command[0] + b" OK done\r\n"
                    )

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            raw, address = super().get_request()
            return (context.wrap_socket(raw, server_side=True) if context else raw), address

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that turns away is what is being tested."""

    with Server(("127.0.0.1", 0), Talk) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(10)


# Graph


@dataclass
class Letters:
    """A small Graph: one mailbox, folders, messages, and a delta query with tokens that may expire."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    raws: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {"": [("f-inbox", "Posteingang")]})
    page: int = 3
    oldest_token: int = 0
    moods: dict[str, list[tuple[int, Mapping[str, str], bytes]]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    def put(self, raw: bytes, *, at: datetime = NOW, headers: Any = ()) -> str:
        id = f"AAMk{len(self.messages)}-=_"
        if headers == ():
            head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("latin-1").split("\n")
            headers = [
                {"name": name, "value": value.strip()} for name, _, value in (line.partition(":") for line in head)
            ]
        self.messages.append(
            {"id": id, "receivedDateTime": f"{at:%Y-%m-%dT%H:%M:%SZ}", "internetMessageHeaders": headers}
        )
        self.raws[id] = raw
        return id

    def answer(self, method: str, target: str) -> tuple[int, Mapping[str, str], bytes]:
        self.requests.append((method, target))
        path, query = unquote(urlsplit(target).path), parse_qs(urlsplit(target).query)
        for part, waiting in self.moods.items():
            if part in target and waiting:
                return waiting.pop(0)
        start = f"/v1.0/users/{MAILBOX}"
        if not path.startswith(start):
            return refusal(404, "ErrorInvalidUser", "The requested user is invalid.")
        rest = urlsplit(target).path.removeprefix(start)
        if rest.endswith("/$value"):
            raw = self.raws.get(unquote(rest.split("/")[2]))
            return (200, {}, raw) if raw is not None else refusal(404, "ErrorItemNotFound", "not found")
        if rest.endswith("/delta"):
            return self.delta(query)
        parent = unquote(rest.split("/")[2]) if rest.endswith("/childFolders") else ""
        found = [{"id": id, "displayName": name} for id, name in self.folders.get(parent, [])]
        return 200, {}, json.dumps({"value": found}).encode()

    def delta(self, query: dict[str, list[str]]) -> tuple[int, Mapping[str, str], bytes]:
        token = int(query.get("$token", ["0"])[0])
        if "$token" in query and token < self.oldest_token:
            return refusal(410, "SyncStateNotFound", "The sync state generation is not found.")
        found = self.messages[token : token + self.page]
        here = token + len(found)
        name = "@odata.nextLink" if here < len(self.messages) else "@odata.deltaLink"
        link = f"{self.address}/v1.0/users/{quote(MAILBOX)}/mailFolders/f/messages/delta?$token={here}"
        return 200, {}, json.dumps({"value": found, name: link}).encode()

    @property
    def read(self) -> list[str]:
        """The messages whose content was asked for."""
        return [unquote(target).split("/")[5] for _, target in self.requests if "$value" in target]


def refusal(status: int, code: str, words: str) -> tuple[int, Mapping[str, str], bytes]:
    return status, {}, json.dumps({"error": {"code": code, "message": words}}).encode()


@pytest.fixture
def letters() -> Iterator[Letters]:
    state = Letters()

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = state.answer(self.command, self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            if "Content-Length" in headers:
                self.close_connection = True

        do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815 - so that a change would be seen

        def log_message(self, format: str, *args: Any) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        state.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(10)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client() as client:
        yield client


GraphReader = Callable[..., Reader]


@pytest.fixture
def graph_reader(letters: Letters, http: httpx.Client, tmp_path: Path) -> GraphReader:
    def made(time: Time | None = None, **more: Any) -> Reader:
        clock = (time or Time()).clock()
        client = "11111111-2222-3333-4444-555555555555"
        microsoft = Microsoft(tenant="contoso.example", client=client, graph=letters.address, timeout_s=5)
        quota = Quota(tmp_path / "quota.sqlite", "contoso.example", clock)
        graph = Graph(microsoft, http, lambda _resource, _refused: TOKEN, quota, clock)
        world = Outside(clock, tmp_path, http, lambda _is_backfill: graph)
        return Reader(pull_of(Settings(**({"mailbox": MAILBOX} | more)), world))

    return made


def test_bounces_come_out_of_all_pages_and_only_they_are_read(letters: Letters, graph_reader: GraphReader) -> None:
    ids = [letters.put(bounce(number) if number % 3 == 0 else PRIVATE) for number in range(10)]
    reader = graph_reader()

    reader.look()

    assert letters.read == ids[::3]
    assert reader.origins == [f"mailbox:{MAILBOX}/{id}" for id in ids[::3]]
    assert [found.chunk.as_of for found in reader.pulled if found.chunk.body] == [NOW] * 4
    assert reader.position["left"] == 6
    assert {method for method, _ in letters.requests} == {"GET"}


def test_the_first_request_names_the_folder_and_wants_no_subjects(letters: Letters, graph_reader: GraphReader) -> None:
    letters.put(bounce())

    graph_reader(folder="Junk Email").look()

    first = urlsplit(letters.requests[0][1])
    assert first.path == f"/v1.0/users/{MAILBOX}/mailFolders/junkemail/messages/delta"
    assert parse_qs(first.query) == {
        "changeType": ["created"],
        "$select": ["receivedDateTime,internetMessageHeaders"],
    }


def test_the_next_look_asks_for_what_is_new_only(letters: Letters, graph_reader: GraphReader) -> None:
    letters.put(bounce(1))
    reader = graph_reader()
    reader.look()
    new = letters.put(bounce(2))

    assert reader.look() == [new]
    reader.look()
    assert reader.pulled == []


def test_a_link_is_kept_fresh_although_nothing_comes(letters: Letters, graph_reader: GraphReader) -> None:
    time = Time()
    letters.put(bounce())
    reader = graph_reader(time)
    reader.look()
    letters.messages.append({"id": "gone", "@removed": {"reason": "deleted"}})
    time.now += timedelta(minutes=30)
    reader.look()
    after_half_an_hour = reader.pulled
    time.now += timedelta(minutes=31)

    reader.look()

    assert after_half_an_hour == []
    assert [found.chunk.body for found in reader.pulled] == [b""]
    assert reader.position["link"].endswith("=2")


def test_an_expired_link_begins_again_and_says_so(letters: Letters, graph_reader: GraphReader) -> None:
    old = letters.put(bounce(0), at=NOW - timedelta(days=40))
    known = letters.put(bounce(1))
    reader = graph_reader()
    before = reader.look()
    new = letters.put(bounce(2))
    letters.oldest_token = 100

    after = reader.look()

    assert old not in before + after
    assert after == [known, new]
    assert "is listed again from 2026-10-26" in reader.said
    assert not any(notice.is_failure for notice in reader.notices)


def test_a_link_that_expires_between_pages_begins_the_round_again(letters: Letters, graph_reader: GraphReader) -> None:
    ids = [letters.put(bounce(number)) for number in range(5)]
    letters.moods["$token=3"] = [
        refusal(400, "BadRequest", "Skip token is not valid"),
        refusal(410, "resyncRequired", ""),
    ]
    reader = graph_reader()

    brought = reader.look()

    assert set(brought) == set(ids)
    assert letters.moods["$token=3"] == []


def test_a_link_that_always_expires_ends_the_pull(letters: Letters, graph_reader: GraphReader) -> None:
    for number in range(5):
        letters.put(bounce(number))
    letters.moods["$token=3"] = [refusal(410, "SyncStateNotFound", "")] * 10

    assert "SyncStateNotFound" in str(failed(graph_reader()))
    assert len(letters.moods["$token=3"]) == 6


def test_a_folder_that_is_made_anew_is_found_again_by_its_name(letters: Letters, graph_reader: GraphReader) -> None:
    letters.folders[""].append(("f-1", "Bounces"))
    reader = graph_reader(folder="bounces")
    reader.look()
    new = letters.put(bounce())
    letters.moods["$token=0"] = [refusal(404, "ErrorItemNotFound", "The specified object was not found in the store.")]

    assert reader.look() == [new]


def test_an_old_bounce_that_is_moved_in_later_is_read_by_graph_too(letters: Letters, graph_reader: GraphReader) -> None:
    letters.put(bounce(1), at=NOW - timedelta(days=400))
    reader = graph_reader()
    before = reader.look()
    moved = letters.put(bounce(2), at=NOW - timedelta(days=400))

    assert before == []
    assert reader.look() == [moved]


def test_a_message_without_headers_is_read_to_know_what_it_is(letters: Letters, graph_reader: GraphReader) -> None:
    own = letters.put(bounce(1), headers=None)
    letters.put(PRIVATE, headers=None)
    letters.messages += [{"id": "flag", "isRead": True}, {"no": "id"}, "no message"]  # type: ignore[list-item]
    letters.page = 10
    reader = graph_reader()

    assert reader.look() == [own]
    assert len(letters.read) == 2
    assert reader.position["left"] == 1


def test_a_walk_killed_in_the_middle_of_a_page_reads_no_message_twice(
    letters: Letters, graph_reader: GraphReader
) -> None:
    ids = [letters.put(bounce(number) if number % 2 else PRIVATE) for number in range(12)]
    letters.page = 5
    reader = graph_reader()

    brought = [id for _ in range(20) for id in reader.look(most=1)]

    assert brought == letters.read == ids[1::2]
    assert reader.position["left"] == 6


def test_a_message_that_vanishes_stops_no_other(letters: Letters, graph_reader: GraphReader) -> None:
    gone, last = letters.put(bounce(1)), letters.put(bounce(2))
    del letters.raws[gone]
    reader = graph_reader()

    assert reader.look() == [last]
    assert reader.gaps == ["was deleted or moved before it could be read"]
    assert reader.look() == []


def test_a_message_that_graph_cannot_give_is_a_gap_at_once_if_it_never_will(
    letters: Letters, graph_reader: GraphReader
) -> None:
    bad, last = letters.put(bounce(1)), letters.put(bounce(2))
    letters.moods[f"{quote(bad)}/$value"] = [refusal(400, "ErrorMimeContentConversionFailed", "conversion failed")]
    reader = graph_reader()

    assert reader.look() == [last]
    assert "ErrorMimeContentConversionFailed" in reader.gaps[0]


def test_a_message_whose_content_breaks_off_is_tried_again_later(letters: Letters, graph_reader: GraphReader) -> None:
    bad, last = letters.put(bounce(1)), letters.put(bounce(2))
    letters.moods[f"{quote(bad)}/$value"] = [(200, {"Content-Length": "9999"}, b"From: x")] * 4
    reader = graph_reader()

    first = reader.look()
    said = reader.said

    assert first == [last]
    assert "it is tried again in the next pull" in said
    assert reader.gaps == []
    assert reader.look() == [bad]


def test_a_graph_that_answers_nothing_is_an_error_of_the_source(letters: Letters, graph_reader: GraphReader) -> None:
    letters.put(bounce())
    reader = graph_reader()
    letters.moods["$value"] = [(503, {}, b"")] * 4
    letters.moods["mailFolders/inbox?"] = [(503, {}, b"")] * 4

    error = failed(reader)

    assert error.retry
    assert reader.pulled == []
    assert len(reader.look()) == 1


def test_fewer_requests_are_sent_for_as_long_as_graph_asks(letters: Letters, graph_reader: GraphReader) -> None:
    time = Time()
    letters.put(bounce())
    letters.moods["delta"] = [(429, {"Retry-After": "30"}, b"")]
    letters.moods["$value"] = [(429, {"Retry-After": "40"}, b"")]

    assert len(graph_reader(time).look()) == 1
    assert time.waited > 69


def test_a_graph_that_always_wants_fewer_requests_blames_no_message(
    letters: Letters, graph_reader: GraphReader
) -> None:
    id = letters.put(bounce())
    letters.moods["$value"] = [(429, {"Retry-After": "1"}, b"")] * 4
    reader = graph_reader()

    error = failed(reader)

    assert error.retry
    assert reader.position == {}
    assert reader.look() == [id]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, {}, b'{"value": []}'), "ends nowhere"),
        ((200, {}, b'{"value": 7, "@odata.deltaLink": "x"}'), "no list"),
        (refusal(403, "ErrorAccessDenied", "Access is denied."), "`Application Mail.Read`"),
        (refusal(404, "ErrorInvalidUser", "The requested user is invalid."), "has no mailbox bounces@contoso.example"),
        (refusal(404, "MailboxNotEnabledForRESTAPI", "soft-deleted, or on-premise"), "on premises is read by IMAP"),
        (refusal(400, "BadRequest", "odd"), "BadRequest"),
    ],
    ids=["no_link", "no_list", "forbidden", "no_user", "on_premises", "other"],
)
def test_what_graph_refuses_is_explained(
    letters: Letters, graph_reader: GraphReader, answer: tuple[int, Mapping[str, str], bytes], said: str
) -> None:
    letters.moods["delta"] = [answer]

    error = failed(graph_reader())

    assert said in str(error)
    assert TOKEN not in printed(error)


def test_json_that_breaks_off_is_asked_for_again(letters: Letters, graph_reader: GraphReader) -> None:
    id = letters.put(bounce())
    letters.moods["delta"] = [(200, {}, b'{"value": [{"id": "AA')]

    assert graph_reader().look() == [id]


def test_a_folder_is_found_down_its_path_in_any_language(letters: Letters, graph_reader: GraphReader) -> None:
    letters.folders = {"inbox": [("f/1=", "Rückläufer")], "f/1=": [("f-2", "Scanner")]}
    letters.put(bounce())

    graph_reader(folder="Inbox/rückläufer/Scanner").look()

    asked = [unquote(urlsplit(target).path).partition("/mailFolders/")[2] for _, target in letters.requests]
    assert asked[:3] == ["inbox/childFolders", "f/1=/childFolders", "f-2/messages/delta"]


def test_a_folder_that_graph_does_not_know_is_named_with_those_like_it(
    letters: Letters, graph_reader: GraphReader
) -> None:
    letters.folders[""] += [("f-1", "Bounces"), ("f-2", "Private Things")]

    error = failed(graph_reader(folder="Bouncse/2026"))

    assert "has no folder 'Bouncse' (Bouncse/2026)" in str(error)
    assert "did you mean 'Bounces'?" in str(error)
    assert "Private" not in str(error)


def test_nothing_of_other_mail_is_remembered_by_graph_either(
    letters: Letters, graph_reader: GraphReader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    letters.put(PRIVATE)
    letters.put(PRIVATE, headers=None)
    reader = graph_reader()

    reader.look()

    for shown in (repr(reader.pulled), json.dumps(reader.position), reader.said, caplog.text):
        assert CANARY not in shown
        assert TOKEN not in shown


def test_a_stop_ends_the_walk_through_a_page(letters: Letters, graph_reader: GraphReader) -> None:
    ids = [letters.put(bounce(number)) for number in range(3)]
    time = Time(stops_after=2)
    reader = graph_reader(time)

    with pytest.raises(Stopped):
        reader.look()
    time.stops_after = 1_000

    assert reader.look() == ids[2:]


# Into the lake


@pytest.mark.parametrize("via", ["graph", "imap"])
def test_rows_reach_the_lake_once_by_either_way(
    via: str, lake: Lake, post: Post, letters: Letters, graph_reader: GraphReader, tmp_path: Path
) -> None:
    for raw in (REAL, PRIVATE, bounce(1)):
        post.put(raw)
        letters.put(raw)
    reader = graph_reader() if via == "graph" else imap_reader(post, tmp_path)

    first = run_source(lake, "mailbox", reader.pull, lambda: NOW)
    again = run_source(lake, "mailbox", reader.pull, lambda: NOW)
    from_the_start = run_source(lake, "other", reader.pull, lambda: NOW)

    assert (first.rows, again.rows, from_the_start.rows) == (3, 0, 0)
    assert first.failures == []
    origins = lake.rows("SELECT DISTINCT origin FROM deliveries")
    assert all(row["origin"].startswith(f"mailbox:{MAILBOX}/") for row in origins)
    assert lake.one("SELECT count(*) FROM quarantine") == 0
