from __future__ import annotations

import gzip
import json
import logging
import os
import threading
import traceback
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from moto.core import set_initial_no_auth_action_count
from pydantic import TypeAdapter

from pipeline.errors import SettingsError, SourceError
from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.lake.hash import hash_of
from pipeline.model import Notice, Pulled
from pipeline.sources.object_store import MOST_FOREIGN, Settings, check, pull_of
from tests.conftest import counts
from tests.hostile import HOSTILE
from tests.pipeline.objects.storage import NOON, Bucket, Collector, s3_server
from tests.pipeline.test_ingest import mails

SAMPLES = Path(__file__).parents[3] / "sample_data"
EXPORT = (SAMPLES / "smtp_auth_report" / "eac_export.csv").read_bytes()
SIGN_IN = (SAMPLES / "entra_signins" / "blob_lines_in_lower_case.json").read_bytes().splitlines()[0] + b"\n"
SECRET = "wJalrXUtnFEMI/K7MDENG"

hour, minute, day = (timedelta(**{unit: 1}) for unit in ("hours", "minutes", "days"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OBJECT_STORE_SECRET", SECRET)
    with Bucket(endpoint) as made:
        yield made


Collect = Callable[..., Collector]


@pytest.fixture
def collect(bucket: Bucket, tmp_path: Path) -> Collect:
    def collector(**changes: Any) -> Collector:
        settings = settings_of({"format": "postfix"} | dict(bucket.settings(**changes)))
        assert check(settings) == []
        return Collector(tmp_path / "state", partial(pull_of, settings))

    return collector


def settings_of(table: dict[str, Any]) -> Settings:
    return TypeAdapter(Settings).validate_python(table)


def sign_ins(start: int, end: int) -> bytes:
    return b"".join(SIGN_IN.replace(b"000000000007", b"%012d" % number) for number in range(start, end))


# What is new


def test_new_objects_are_read_in_the_order_in_which_they_were_written(bucket: Bucket, collect: Collect) -> None:
    bucket.put("relay/b.log", b"first\n", ago=3 * hour)
    bucket.put("relay/a.log", b"second\n", ago=2 * hour)
    collector = collect()
    both = collector.pull()
    bucket.put("relay/c.log", b"third\n", ago=hour)

    more = collector.pull()

    assert (both, more) == (b"first\nsecond\n", b"third\n")
    assert collector.origins == ["s3://logs/relay/c.log"]


def test_nothing_new_brings_nothing_and_leaves_the_position_alone(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\n")
    collector = collect()
    collector.pull()

    collector.pull()

    assert (collector.pulled, collector.notices) == ([], [])


def test_a_grown_object_is_read_on_from_where_it_was_left(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\ntwo\n", ago=2 * hour)
    collector = collect()
    collector.pull()
    bucket.put("mail.log", b"one\ntwo\nthree\n", ago=hour)

    more = collector.pull()

    assert more == b"three\n"
    assert collector.pulled[0].chunk.offset == len(b"one\ntwo\n")


def test_azures_json_lines_are_read_on_though_their_format_is_read_whole(bucket: Bucket, collect: Collect) -> None:
    key = "insights-logs-signinlogs/tenantId=t/y=2026/m=12/d=30/h=10/m=00/PT1H.json"
    bucket.put(key, sign_ins(0, 3), ago=2 * hour)
    collector = collect(format="auto")
    first = collector.pull()
    bucket.put(key, sign_ins(0, 5), ago=hour)

    more = collector.pull()

    assert (first, more) == (sign_ins(0, 3), sign_ins(3, 5))
    assert collector.pulled[0].format == "entra_signins"


def test_an_object_that_was_replaced_within_the_same_second_is_read(bucket: Bucket, collect: Collect) -> None:
    bucket.put("export.log", b"one\n")
    collector = collect()
    collector.pull()
    bucket.put("export.log", b"two\n")

    replaced = collector.pull()

    assert replaced == b"two\n"


def test_an_export_that_was_replaced_is_read_whole(bucket: Bucket, collect: Collect) -> None:
    bucket.put("SmtpAuth.csv", EXPORT, ago=2 * hour)
    collector = collect(format="auto")
    collector.pull()
    bucket.put("SmtpAuth.csv", EXPORT + EXPORT.splitlines(keepends=True)[-1], ago=hour)

    replaced = collector.pull()

    assert len(replaced) > len(EXPORT)
    assert collector.pulled[0].format == "smtp_auth_report"
    assert collector.notices == []


def test_an_object_that_appears_late_with_an_older_time_is_found(bucket: Bucket, collect: Collect) -> None:
    bucket.put("new.log", b"new\n", ago=minute)
    collector = collect()
    collector.pull()
    bucket.put("late.log", b"late\n", ago=23 * hour)
    bucket.put("too-late.log", b"too late\n", ago=25 * hour)

    late = collector.pull()

    assert late == b"late\n"


def test_a_longer_overlap_finds_what_comes_later_still(bucket: Bucket, collect: Collect) -> None:
    bucket.put("new.log", b"new\n", ago=minute)
    collector = collect(overlap="7d")
    collector.pull()
    bucket.put("late.log", b"late\n", ago=6 * day)

    late = collector.pull()

    assert late == b"late\n"


def test_a_storage_whose_clock_is_ahead_does_not_make_all_others_old(bucket: Bucket, collect: Collect) -> None:
    bucket.put("from-the-future.log", b"future\n", ago=-400 * day)
    collector = collect()
    collector.pull()
    bucket.put("now.log", b"now\n", ago=minute)

    more = collector.pull()

    assert more == b"now\n"


def test_the_same_content_uploaded_again_is_not_read_again(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\n", ago=2 * hour)
    collector = collect()
    collector.pull()
    bucket.put("mail.log", b"one\n", ago=hour)

    again = collector.pull()

    assert again == b""


def test_only_objects_of_the_folder_and_the_pattern_are_read(bucket: Bucket, collect: Collect) -> None:
    for key in ("relay/mail.log", "relay/2026/mail.log", "relay/other.txt", "relay2/mail.log", "mail.log"):
        bucket.put(key, key.encode() + b"\n")

    by_name = collect(url="s3://logs/relay", pattern="mail.*").pull()
    by_path = collect(url="s3://logs/relay/", pattern="2026/*").pull()

    assert by_name == b"relay/2026/mail.log\nrelay/mail.log\n"
    assert by_path == b"relay/2026/mail.log\n"


def test_another_pattern_begins_anew(bucket: Bucket, collect: Collect) -> None:
    bucket.put("old.txt", b"old\n", ago=30 * day)
    bucket.put("new.log", b"new\n", ago=hour)
    collector = collect(pattern="*.log")
    collector.pull()
    wider = collect(pattern="*")
    wider.position = collector.position

    both = wider.pull()

    assert both == b"old\nnew\n"


# As files are read


def test_packed_objects_are_unpacked(bucket: Bucket, collect: Collect) -> None:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("SmtpAuth.csv", EXPORT)
    bucket.put("mail.log.gz", gzip.compress(mails(0, 2)), ago=2 * hour)
    bucket.put("exports/week.zip", packed.getvalue(), ago=hour)
    collector = collect(format="auto")

    everything = collector.pull()

    assert everything == mails(0, 2) + EXPORT
    assert collector.origins == ["s3://logs/mail.log.gz", "s3://logs/exports/week.zip!/SmtpAuth.csv"]


def test_utf_16_with_a_byte_order_mark_is_read(bucket: Bucket, collect: Collect) -> None:
    bucket.put("SmtpAuth.csv", EXPORT.decode("utf-8-sig").encode("utf-16"))
    collector = collect(format="auto")

    collector.pull()

    assert [found.format for found in collector.pulled] == ["smtp_auth_report"]


def test_parts_of_one_log_share_its_half_read_sessions(bucket: Bucket, collect: Collect) -> None:
    bucket.put("relay01/mail.log-20261229.gz", gzip.compress(b"older\n"), ago=30 * hour)
    bucket.put("relay01/mail.log", b"newer\n", ago=hour)
    collector = collect()

    both = collector.pull()

    assert both == b"older\nnewer\n"
    assert {found.log for found in collector.pulled} == {"s3://logs/relay01/mail.log"}


def test_a_rotated_part_goes_on_where_the_live_one_was_left(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\ntwo\n", ago=3 * hour)
    collector = collect()
    collector.pull()
    # Whoever copies a folder copies the new live part first, by its name.
    bucket.put("mail.log", b"four\n", ago=2 * hour)
    bucket.put("mail.log-20261230.gz", gzip.compress(b"one\ntwo\nthree\n"), ago=hour)

    rest = collector.pull()

    assert rest == b"three\nfour\n"
    assert collector.notices == []


def test_a_gap_is_filled_when_the_rotated_part_comes_a_pull_later(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\ntwo\n", ago=3 * hour)
    collector = collect()
    collector.pull()
    bucket.put("mail.log", b"four\n", ago=2 * hour)
    collector.pull()
    [gap] = collector.notices
    bucket.put("mail.log-20261230", b"one\ntwo\nthree\n", ago=hour)

    rest = collector.pull()

    [filled] = collector.notices
    assert rest == b"three\n"
    assert gap.is_gap
    assert filled.fills_gap
    assert (filled.origin, filled.offset) == (gap.origin, gap.offset)
    assert filled.sentence.endswith("goes on in s3://logs/mail.log-20261230: nothing is lost")


def test_a_truncated_object_is_a_gap_until_it_is_whole(bucket: Bucket, collect: Collect) -> None:
    whole = gzip.compress(mails(0, 3_000))
    bucket.put("mail.log-20261230.gz", whole[: len(whole) // 2], ago=2 * hour)
    collector = collect()
    begin = collector.pull()
    [gap] = collector.notices
    bucket.put("mail.log-20261230.gz", whole, ago=hour)

    rest = collector.pull()

    assert gap.is_gap
    assert gap.origin == "s3://logs/mail.log-20261230.gz"
    assert begin + rest == mails(0, 3_000)
    assert [notice.fills_gap for notice in collector.notices] == [True]


def test_year_less_times_get_the_year_from_the_objects_time(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"Dec 30 08:00:00 relay01 postfix/qmgr[1]: A: removed\n", ago=400 * day)
    collector = collect()

    collector.pull()

    as_of = collector.pulled[0].chunk.as_of
    assert timedelta(0) <= as_of - (NOON - 400 * day) < timedelta(milliseconds=1)


def test_a_last_line_without_its_end_waits_and_is_read_when_it_grows(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\ntw", ago=minute)
    collector = collect()
    first = collector.pull()
    bucket.put("mail.log", b"one\ntwo\n", ago=timedelta(0))

    second = collector.pull()

    assert (first, second) == (b"one\n", b"two\n")


def test_a_last_line_without_its_end_is_read_when_the_object_stays_as_it_is(bucket: Bucket, collect: Collect) -> None:
    bucket.put("2026/12/30/1766-a1.log", b"one\ntwo", ago=minute)
    collector = collect()
    first = collector.pull()
    collector.now += 5 * minute
    still = collector.pull()
    collector.now += 10 * minute

    second = collector.pull()
    third = collector.pull()

    assert (first, still, second, third) == (b"one\n", b"", b"two", b"")


def test_an_older_object_is_read_to_its_end_at_once_and_that_line_again_should_it_grow(
    bucket: Bucket, collect: Collect
) -> None:
    bucket.put("mail.log", b"one\ntw", ago=3 * hour)
    collector = collect()
    first = collector.pull()
    bucket.put("mail.log", b"one\ntwo\nthr", ago=hour)

    second = collector.pull()

    assert (first, second) == (b"one\ntw", b"two\n")


def test_an_object_that_is_read_in_pieces_goes_on_after_a_kill(bucket: Bucket, collect: Collect) -> None:
    body = b"".join(b"line %07d %s\n" % (number, b"x" * 80) for number in range(250_000))
    bucket.put("mail.log", body)
    collector = collect()
    before = next(found.chunk.body for found in collector.pulls() if isinstance(found, Pulled))

    after = collector.pull()

    assert 0 < len(before) < len(body)
    assert before + after == body


# What is no log, or cannot be read


def test_an_object_that_is_no_log_is_said_once(bucket: Bucket, collect: Collect) -> None:
    bucket.put("picture.png", b"\x89PNG\r\n\x1a\n\x00\x00", ago=2 * hour)
    bucket.put("folder/", b"")
    collector = collect(format="auto")
    collector.pull()
    first = collector.notices
    collector.pull()
    second = collector.notices
    bucket.put("picture.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00", ago=hour)

    collector.pull()

    assert [(notice.origin, notice.is_foreign) for notice in first] == [("s3://logs/picture.png", True)]
    assert (second, collector.notices) == ([], [])


def test_thousands_of_objects_that_are_no_logs_are_counted(bucket: Bucket, collect: Collect) -> None:
    for number in range(MOST_FOREIGN + 5):
        bucket.put(f"{number}.png", b"\x89PNG\r\n\x1a\n\x00\x00%d" % number)
    collector = collect(format="auto")

    collector.pull()

    assert len(collector.notices) == MOST_FOREIGN + 1
    assert collector.notices[-1].sentence == "5 more objects are of no known kind"


def test_an_object_that_is_too_large_is_a_gap_until_the_limit_is_raised(bucket: Bucket, collect: Collect) -> None:
    bucket.put("large.log", b"line\n" * 300_000, ago=90 * day)
    bucket.put("mail.log", b"one\n")
    collector = collect(largest_mb=1)
    small = collector.pull()
    [gap] = collector.notices
    raised = collect(largest_mb=2)
    raised.position = collector.position

    large = raised.pull()

    assert small == b"one\n"
    assert gap.is_gap
    assert gap.sentence.startswith("is 1 MiB, more than largest_mb = 1; set it higher")
    assert len(large) == 1_500_000
    assert [notice.fills_gap for notice in raised.notices] == [True]


def test_what_is_deleted_while_it_is_read_is_no_failure(bucket: Bucket, collect: Collect) -> None:
    bucket.put("a.log", b"one\n", ago=3 * hour)
    bucket.put("b.log", b"two\n", ago=2 * hour)
    bucket.put("c.log", b"three\n", ago=hour)
    collector = collect()
    pulls = collector.pulls()
    first = next(pulls)
    bucket.delete("b.log")

    rest = list(pulls)

    assert isinstance(first, Pulled)
    assert [found.sentence for found in rest if isinstance(found, Notice) and not found.is_failure] == [
        "is not there any more; it was just deleted, perhaps"
    ]
    assert b"".join(found.chunk.body for found in rest if isinstance(found, Pulled)) == b"three\n"
    assert collector.pull() == b""
    assert collector.notices == []


@pytest.mark.parametrize("key", ["/rooted.log", "relay/"])
def test_an_object_whose_name_cannot_be_asked_for_is_a_gap(key: str, bucket: Bucket, collect: Collect) -> None:
    bucket.put(key, b"one\n")
    collector = collect()
    collector.pull()

    collector.pull()

    [notice] = collector.notices
    assert notice.is_gap
    assert "its name begins or ends with a slash" in notice.sentence


def test_an_empty_folder_is_said_and_a_bucket_that_was_emptied_is_not(bucket: Bucket, collect: Collect) -> None:
    collector = collect(url="s3://logs/relay")
    collector.pull()
    [empty] = collector.notices
    bucket.put("relay/mail.log", b"one\n")
    collector.pull()
    bucket.delete("relay/mail.log")

    collector.pull()

    assert empty.sentence.startswith("holds no object that the settings name")
    assert collector.notices == []


# Hostile names


@pytest.mark.parametrize(
    "key",
    [
        "relay/übung 日本.log",
        "relay/%2e%2e%2fup.log",
        "relay/a!/b.log",
        "relay/\u202egol.log",
        "relay/c1\x9b31m.log",
        "relay/~$odd.log",
        "relay/back\\slash.log",
        "relay/" + "x" * 900 + ".log",
        "relay/q?x#y&z=1.log",
        "relay/.hidden/...",
    ],
)
def test_odd_names_are_read_and_shown_as_they_are(key: str, bucket: Bucket, collect: Collect) -> None:
    bucket.put(key, b"one\n")
    collector = collect()

    body = collector.pull()

    assert body == b"one\n"
    assert collector.origins == [f"s3://logs/{key}"]


@pytest.mark.parametrize(
    "key",
    ["relay/../../up.log", "..", "relay//mail.log", "relay/./x", "relay/new\nline", "relay/\x1b[2Jx", "delete\x7f"],
)
def test_a_name_that_breaks_the_listing_is_said_and_what_sorts_behind_it_is_read(
    key: str, bucket: Bucket, collect: Collect, tmp_path: Path
) -> None:
    bucket.put(key, b"hostile\n")
    bucket.put("relay/zz.log", b"one\n")
    bucket.put("zz.log", b"two\n")
    collector = collect()

    body = collector.pull()

    assert body == b"one\ntwo\n"
    assert [(notice.origin, notice.is_gap) for notice in collector.notices] == [(f"s3://logs/{key}", True)]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_what_sorts_just_behind_a_broken_name_is_not_lost(bucket: Bucket, collect: Collect) -> None:
    bucket.put("a//x", b"broken\n")
    bucket.put("a/0", b"one\n", ago=3 * hour)
    bucket.put("a/..", b"broken\n")
    bucket.put("a/.. ", b"two\n", ago=2 * hour)
    bucket.put("b\x1fx", b"broken\n")
    bucket.put("b ", b"three\n", ago=hour)
    collector = collect()

    body = collector.pull()

    assert body == b"one\ntwo\nthree\n"
    assert "and at 2 more" in collector.sentences


def test_pages_before_a_broken_name_are_read(bucket: Bucket, collect: Collect) -> None:
    for number in range(1_500):
        bucket.put(f"a/{number:04}.log", b"")
    bucket.put("a/0100.log", b"one\n")
    bucket.put("b//x", b"broken\n")
    collector = collect()

    body = collector.pull()

    assert body == b"one\n"
    assert [notice.origin for notice in collector.notices] == ["s3://logs/b//x"]


@pytest.mark.parametrize("name", ["terminal", "html_tag", "csv", "shell", "emoji", "right_to_left"])
def test_no_name_leads_out_of_the_folder_or_shows_a_path_of_ours(
    name: str, bucket: Bucket, collect: Collect, tmp_path: Path
) -> None:
    bucket.put(f"relay/{HOSTILE[name]}.log", b"\x00\x01\x02")
    bucket.put(f"relay/{HOSTILE[name]}.log.gz", gzip.compress(mails(0, 100))[:-20])
    collector = collect(format="auto")

    collector.pull()

    shown = [*collector.origins, collector.sentences, json.dumps(collector.position)]
    assert not [text for text in shown if str(tmp_path) in text]


# The storage is in trouble


def test_a_missing_bucket_is_said(collect: Collect) -> None:
    collector = collect(url="s3://nowhere-at-all")

    with pytest.raises(SourceError, match=r"^s3://nowhere-at-all: there is no such bucket.*\(the answer was 404 NoSu"):
        collector.pull()


def test_bad_credentials_are_said_without_the_secret(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\n")
    collector = collect()

    with pytest.raises(SourceError) as raised:
        set_initial_no_auth_action_count(0)(collector.pull)()  # moto checks the log-in of each request

    assert "the storage does not know the access key" in str(raised.value)
    assert raised.value.__cause__ is None
    assert SECRET not in "".join(traceback.format_exception(raised.value))


def test_an_endpoint_that_is_down_is_said_and_may_be_tried_again(collect: Collect) -> None:
    collector = collect(endpoint="http://127.0.0.1:9")

    with pytest.raises(SourceError, match="there is no answer at the storage's address") as raised:
        collector.pull()

    assert raised.value.retry


def test_a_missing_secret_is_a_complaint_about_the_settings(collect: Collect) -> None:
    collector = collect(secret_access_key={"env": "NOT_SET_AT_ALL"})

    with pytest.raises(SettingsError, match="NOT_SET_AT_ALL is not set"):
        collector.pull()


def answering(answers: dict[str, tuple[int, str]]) -> type[BaseHTTPRequestHandler]:
    class Answering(BaseHTTPRequestHandler):
        """Answers what is asked for a path with the status and the body for it."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            status, body = answers[path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.send_header("Last-Modified", "Wed, 30 Dec 2026 08:00:00 GMT")
            self.send_header("ETag", '"1"')
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing on stderr."""

    return Answering


@pytest.fixture
def storage() -> Iterator[Callable[[dict[str, tuple[int, str]]], str]]:
    servers = []

    def start(answers: dict[str, tuple[int, str]]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), answering(answers))
        thread = threading.Thread(target=partial(server.serve_forever, 0.01))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def listing_of(*keys: str) -> str:
    objects = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-12-30T08:00:{number:02}.000Z</LastModified>"
        f'<ETag>"{number}"</ETag><Size>4</Size></Contents>'
        for number, key in enumerate(keys)
    )
    return f"<ListBucketResult><Name>logs</Name><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"


def refusal(code: str) -> str:
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>"


def test_objects_that_may_not_be_read_are_gaps_and_the_others_are_read(collect: Collect, storage: Any) -> None:
    address = storage(
        {
            "/logs": (200, listing_of("theirs.log", "ours.log", "archived.log")),
            "/logs/theirs.log": (403, refusal("AccessDenied")),
            "/logs/ours.log": (200, "one\n"),
            "/logs/archived.log": (403, refusal("InvalidObjectState")),
        }
    )
    collector = collect(endpoint=address)

    body = collector.pull()

    assert body == b"one\n"
    assert [(notice.origin, notice.is_gap) for notice in collector.notices] == [
        ("s3://logs/theirs.log", True),
        ("s3://logs/archived.log", True),
    ]
    assert "restore it" in collector.sentences


def test_when_no_object_may_be_read_the_pull_fails(collect: Collect, storage: Any) -> None:
    keys = [f"{number:02}.log" for number in range(20)]
    answers = {f"/logs/{key}": (403, refusal("AccessDenied")) for key in keys}
    collector = collect(endpoint=storage({"/logs": (200, listing_of(*keys)), **answers}))

    with pytest.raises(SourceError, match="10 objects in a row could not be read: the log-in may not read here"):
        collector.pull()

    assert len(collector.position["unread"]) == 10


def test_throttling_in_the_middle_keeps_what_was_read(collect: Collect, storage: Any) -> None:
    answers = {"/logs": (200, listing_of("a.log", "b.log")), "/logs/a.log": (200, "one\n")}
    answers["/logs/b.log"] = (400, refusal("SlowDown"))
    collector = collect(endpoint=storage(answers))
    found = collector.pulls()
    first = next(found)
    with pytest.raises(SourceError, match="asks for fewer requests") as raised:
        next(found)
    answers["/logs/b.log"] = (200, "two\n")

    rest = collector.pull()

    assert isinstance(first, Pulled)
    assert raised.value.retry
    assert (first.chunk.body, rest) == (b"one\n", b"two\n")


# Position, kills, stops


def test_three_thousand_objects_are_listed_in_three_requests(
    bucket: Bucket, collect: Collect, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(2_999):
        bucket.put(f"{number:05}.log", b"")
    bucket.put("mail.log", b"one\n")
    collector = collect()
    collector.pull()
    caplog.set_level(logging.INFO, logger="werkzeug")

    collector.pull()

    asked = [record.getMessage() for record in caplog.records if record.name == "werkzeug"]
    assert len(asked) == 3
    assert all("list-type=2" in line for line in asked)
    assert len(json.dumps(collector.position)) < 2_000


def test_more_objects_than_are_ordered_at_once_are_listed_anew(bucket: Bucket, tmp_path: Path) -> None:
    for number in range(20):
        bucket.put(f"{number:02}.log", b"line %02d\n" % number, ago=(30 - number) * day)
    settings = settings_of({**bucket.settings(), "format": "postfix"})
    collector = Collector(tmp_path, partial(pull_of, settings, batch=7))

    body = collector.pull()

    assert body == b"".join(b"line %02d\n" % number for number in range(20))
    assert collector.pull() == b""


def test_a_kill_between_two_objects_loses_nothing_and_reads_nothing_twice(bucket: Bucket, collect: Collect) -> None:
    for number in range(6):
        bucket.put(f"{number}.log", b"line %d\n" % number, ago=(10 - number) * hour)
    collector = collect()
    read = []
    for _ in range(6):
        found = next(each for each in collector.pulls() if isinstance(each, Pulled))  # killed after each commit
        read.append(found.chunk.body)

    rest = collector.pull()

    assert b"".join(read) == b"".join(b"line %d\n" % number for number in range(6))
    assert rest == b""


def test_a_stop_ends_a_pull_between_two_objects(bucket: Bucket, collect: Collect) -> None:
    bucket.put("a.log", b"one\n", ago=2 * hour)
    bucket.put("b.log", b"two\n", ago=hour)
    collector = collect()
    pulls = collector.pulls()
    first = next(pulls)
    collector.is_stopping = True
    rest = list(pulls)
    collector.is_stopping = False

    later = collector.pull()

    assert isinstance(first, Pulled)
    assert (first.chunk.body, rest, later) == (b"one\n", [], b"two\n")


def test_nothing_of_a_download_is_left_even_by_a_killed_run(bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log", b"one\n")
    collector = collect()
    left = collector.folder / "objects" / "object-0123456789abcdef"
    left.mkdir(parents=True)
    (left / "mail.log").write_bytes(b"secret\n")
    (left.parent / "object-fedcba9876543210.lock").touch()

    collector.pull()

    assert [path.name for path in (collector.folder / "objects").iterdir()] == ["objects.lock"]


def test_two_runs_that_meet_keep_nothing_twice(lake: Lake, bucket: Bucket, collect: Collect) -> None:
    bucket.put("mail.log-20261229.gz", gzip.compress(mails(0, 3, day=29)), ago=20 * hour)
    bucket.put("mail.log", mails(3, 6, day=30), ago=hour)
    collector = collect(format="auto")
    pull = collector.source(collector.outside)

    def met(position: Any) -> Iterator[Pulled | Notice]:
        for number, found in enumerate(pull(position)):
            if number == 1 and not position:  # the other run comes between our first and our second object
                run_source(lake, "bucket", pull, lambda: NOON)
            yield found

    run_source(lake, "bucket", met, lambda: NOON)
    once = (counts(lake)["deliveries"], hash_of(lake))
    lake.connection.execute("DELETE FROM cursors")
    run_source(lake, "bucket", pull, lambda: NOON)

    assert once[0] == 6
    assert (counts(lake)["deliveries"], hash_of(lake)) == once
    assert lake.one("SELECT count(*) FROM deliveries WHERE origin LIKE 's3://logs/mail.log%'") == 6


def test_half_read_sessions_of_logs_that_are_over_are_let_go(lake: Lake, bucket: Bucket, collect: Collect) -> None:
    collector = collect(format="auto")
    bucket.put("a-uuid.log", mails(0, 1).splitlines(keepends=True)[1], ago=30 * day)
    pull = collector.source(collector.outside)
    run_source(lake, "bucket", pull, lambda: NOON)
    open_before = lake.one("SELECT count(*) FROM cursors WHERE starts_with(name, 'source bucket' || chr(10) || 'log ')")
    bucket.put("b-uuid.log", mails(1, 2), ago=hour)

    run_source(lake, "bucket", pull, lambda: NOON)

    names = [row["name"].partition("\n")[2] for row in lake.rows("SELECT name FROM cursors")]
    assert open_before == 1
    assert "log s3://logs/a-uuid.log" not in names


# Settings


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"url": "ftp://logs"}, "'url' names no storage that we know"),
        ({"url": "logs"}, "'url' names no storage that we know"),
        ({"url": "s3:///folder"}, "'url' names no bucket"),
        ({"url": "s3://key:secret@logs"}, "'url' should hold no log-in"),
        ({"url": "s3://logs/a/../b"}, "'url' has a folder with an empty part"),
        ({"url": "az://logs?sv=2022&sig=abc"}, "a SAS token goes into sas_token"),
        ({"url": "https://example.com/logs"}, "'url' should name an Azure storage account"),
        ({"url": "az://logs"}, "lacks the key 'account'"),
        ({"url": "abfss://logs@one.dfs.core.windows.net", "account": "other"}, "'account' is not the account"),
        ({"account_key": {"env": "X"}}, "'account_key' is for Azure, and 'url' names a bucket of S3"),
        ({"access_key_id": "AKIA"}, "'access_key_id' needs 'secret_access_key' beside it"),
        ({"endpoint": "http://storage.example.com"}, "'endpoint' should begin with https://"),
        ({"endpoint": "http://8.8.8.8:9000"}, "'endpoint' should begin with https://"),
        ({"endpoint": "https://user:pass@storage.example.com"}, "'endpoint' should begin with https://"),
        ({"pattern": ""}, "'pattern' is empty"),
        ({"largest_mb": 0}, "'largest_mb' should be 1 or more"),
        ({"overlap": "0s"}, "'overlap' should be at least '1m'"),
        ({"zone": "Mars"}, "no time zone 'Mars'"),
        ({"format": "postfux"}, "did you mean 'postfix'?"),
    ],
)
def test_wrong_settings_are_complained_about(changes: dict[str, Any], complaint: str) -> None:
    settings = settings_of({"url": "s3://logs"} | changes)

    complaints = check(settings)

    assert any(complaint in each for each in complaints), complaints
    assert "sig=abc" not in " ".join(complaints)


@pytest.mark.parametrize(
    "table",
    [
        {"url": "s3://logs"},
        {"url": "s3a://logs/relay", "endpoint": "https://minio.contoso.example"},
        {"url": "s3://logs", "endpoint": "http://minio:9000"},
        {"url": "s3://logs", "endpoint": "http://[::1]:9000"},
        {"url": "s3://logs", "endpoint": "http://192.168.2.3:9000"},
        {"url": "s3://logs", "access_key_id": {"env": "A"}, "secret_access_key": {"env": "B"}},
        {"url": "az://insights-logs-signinlogs", "account": "contoso", "sas_token": {"env": "A"}},
        {"url": "abfss://logs@contoso.dfs.core.windows.net/relay"},
        {"url": "https://contoso.blob.core.usgovcloudapi.net/logs/relay%20one"},
        {"url": "az://$logs", "account": "contoso", "account_key": {"file": "/run/secrets/key"}},
        {"url": "gs://logs", "service_account_key": {"file": "/run/secrets/google.json"}},
    ],
)
def test_right_settings_are_not(table: dict[str, Any]) -> None:
    settings = settings_of(table)

    assert check(settings) == []
