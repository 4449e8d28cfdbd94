from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import LakeError, SourceError
from pipeline.ingest import Outcome, run_source
from pipeline.lake import Lake
from pipeline.lake.hash import hash_of
from pipeline.model import Chunk, Notice, Pull, Pulled
from pipeline.sources.files import Settings, pull_of
from tests.conftest import NOW, counts

AS_OF = datetime(2026, 12, 31, 22, 0, tzinfo=UTC)
REPLY = "550 5.7.30 Basic authentication is not supported for Client Submission."


def mail(number: int, day: int = 30) -> bytes:
    """Return what Postfix logs of one refused mail; constructed."""
    queue_id, moment = f"{number:05X}A1", f"2026-12-{day:02}T08:{number // 60 % 60:02}:{number % 60:02}"
    start = f"{moment}.000000+00:00 relay01 postfix/"
    return "".join(
        f"{start}{line}\n"
        for line in (
            f"smtpd[1]: {queue_id}: client=scanner[192.0.2.{number % 200 + 1}]",
            f"qmgr[2]: {queue_id}: from=<scan{number % 7}@contoso.example>, size=1200, nrcpt=1 (queue active)",
            f"smtp[3]: {queue_id}: to=<inbox@contoso.example>, relay=smtp.office365.com[203.0.113.25]:587, delay=1, "
            "delays=0/0/1/0, dsn=4.7.30, status=deferred (SASL authentication failed; "
            f"server smtp.office365.com[203.0.113.25] said: {REPLY})",
        )
    ).encode()


def mails(start: int, end: int, day: int = 30) -> bytes:
    return b"".join(mail(number, day) for number in range(start, end))


def pulled(body: bytes, position: Mapping[str, Any], **changes: Any) -> Pulled:
    chunk = Chunk(body, "/var/log/mail.log", "a file", as_of=AS_OF)
    found = Pulled(chunk, "postfix", "/var/log/mail.log", position)
    in_chunk = {name: value for name, value in changes.items() if name in Chunk.__slots__}
    return replace(
        found,
        chunk=replace(chunk, **in_chunk),
        **{name: value for name, value in changes.items() if name not in in_chunk},
    )


def source_of(*found: Pulled | Notice) -> Pull:
    return lambda _position: found


@dataclass
class Log:
    """A source with one log: each pull yields what stands behind the position, in pieces of some lines."""

    content: bytes
    lines: int = 7

    def __call__(self, position: Mapping[str, Any]) -> Iterator[Pulled]:
        offset = int(position.get("offset", 0))
        rows = self.content[offset:].splitlines(keepends=True)
        for start in range(0, len(rows), self.lines):
            body = b"".join(rows[start : start + self.lines])
            yield pulled(body, {"offset": offset + len(body)}, offset=offset)
            offset += len(body)


def ingest(lake: Lake, pull: Pull, source: str = "relay") -> Outcome:
    return run_source(lake, source, pull, lambda: NOW)


def state_of(lake: Lake, name: str) -> Any:
    state = lake.one("SELECT state FROM cursors WHERE name = ?", [name])
    return None if state is None else json.loads(state)


def senders(lake: Lake) -> list[str]:
    return [row["sender"] for row in lake.rows("SELECT sender FROM deliveries ORDER BY origin_offset")]


def test_rows_cursor_and_half_read_sessions_are_kept_together(lake: Lake) -> None:
    client, sender, refusal = mail(1).splitlines(keepends=True)

    ingest(lake, source_of(pulled(client + sender, {"offset": 10})))

    assert counts(lake)["deliveries"] == 0
    assert state_of(lake, "source relay\nat offset") == 10
    assert "scan1@contoso.example" in json.dumps(state_of(lake, "source relay\nlog /var/log/mail.log"))

    ingest(lake, source_of(pulled(refusal, {"offset": 20}, offset=10)))

    assert senders(lake) == ["scan1@contoso.example"]
    assert state_of(lake, "source relay\nat offset") == 20


def test_the_source_gets_the_position_that_it_had_given(lake: Lake) -> None:
    given: list[Mapping[str, Any]] = []

    def pull(position: Mapping[str, Any]) -> Iterable[Pulled]:
        given.append(dict(position))
        return [pulled(mail(1), {"a file": {"offset": 10}, "another": [1, "ü\ud800", None]})]

    ingest(lake, pull)
    ingest(lake, pull)

    assert given == [{}, {"a file": {"offset": 10}, "another": [1, "ü\ud800", None]}]


def test_an_entry_that_the_source_has_dropped_is_dropped(lake: Lake) -> None:
    ingest(lake, source_of(pulled(mail(1), {"old": 1, "new": 1})))
    ingest(lake, source_of(pulled(mail(2), {"new": 2})))

    names = [row["name"] for row in lake.rows("SELECT name FROM cursors WHERE name LIKE '%\nat %'")]

    assert names == ["source relay\nat new"]


def test_a_log_with_nothing_half_read_leaves_no_row_of_sessions(lake: Lake) -> None:
    export = Path(__file__).parents[2] / "sample_data" / "smtp_auth_report" / "eac_export.csv"

    ingest(lake, source_of(pulled(export.read_bytes(), {"offset": 1}, format="smtp_auth_report")))

    assert counts(lake)["usage"] > 0
    assert state_of(lake, "source relay\nlog /var/log/mail.log") is None


def test_sources_whose_names_begin_alike_keep_their_positions_apart(lake: Lake) -> None:
    ingest(lake, source_of(pulled(mail(1), {"offset": 1})), "relay")
    ingest(lake, source_of(pulled(mail(2), {"offset": 2})), "relay 2")
    given: list[Mapping[str, Any]] = []

    def pull(position: Mapping[str, Any]) -> Iterable[Pulled]:
        given.append(dict(position))
        return []

    ingest(lake, pull, "relay")
    ingest(lake, pull, "relay 2")

    assert given == [{"offset": 1}, {"offset": 2}]


def test_a_commit_writes_only_what_has_changed_of_the_position(lake: Lake) -> None:
    many = {f"file {number}": number for number in range(50)}
    ingest(lake, source_of(pulled(mail(1), many)))
    before = lake.snapshot()

    ingest(lake, source_of(pulled(mail(2), many | {"file 7": 8})))

    written = lake.rows(
        f"SELECT name FROM ducklake_table_insertions('lake', 'main', 'cursors', {before + 1}, {lake.snapshot()})"
    )
    assert sorted(row["name"] for row in written) == [
        "source relay",
        "source relay\nat file 7",
        "source relay\nlog /var/log/mail.log",
    ]


def test_an_empty_chunk_moves_the_position_and_nothing_else(lake: Lake) -> None:
    ingest(lake, source_of(pulled(mails(0, 3), {"offset": 10})))
    before, hashes = counts(lake), hash_of(lake)

    outcome = ingest(lake, source_of(pulled(b"", {"offset": 11}, format="message_trace_csv")))

    assert (counts(lake), hash_of(lake)) == (before, hashes)
    assert state_of(lake, "source relay\nat offset") == 11
    assert outcome.failures == []


def test_the_last_chunk_ends_what_is_half_read(lake: Lake) -> None:
    session = Path(__file__).parents[2] / "sample_data" / "exchange_smtp" / "refused_at_auth.log"
    body = b"".join(session.read_bytes().splitlines(keepends=True)[:-3])  # the refusal, not yet the end of the session
    log = {"format": "exchange_smtp", "log": "SEND.LOG"}
    ingest(lake, source_of(pulled(body, {"offset": 1}, **log)))
    before = counts(lake)["deliveries"]

    ingest(lake, source_of(pulled(b"", {"offset": 1}, offset=len(body), is_last=True, **log)))

    assert counts(lake)["deliveries"] == before + 1


def test_the_outcome_counts_what_came(lake: Lake) -> None:
    outcome = ingest(lake, Log(mails(0, 10) + b"no log line\n"))

    assert (outcome.rows, outcome.by_table, outcome.rejects, outcome.lines) == (10, {"deliveries": 10}, 1, 31)
    assert outcome.chunks == 5
    assert outcome.failures == []
    assert "1 line could not be read and went into quarantine" in outcome.notices[0].sentence


def test_a_file_that_its_format_cannot_read_is_set_aside_as_a_gap_and_the_next_goes_on(lake: Lake) -> None:
    wrong = pulled(b"a,b\n1,2\n", {"wrong": 1}, origin="/exports/wrong.csv", format="message_trace_csv")
    right = pulled(mail(1), {"wrong": 1, "right": 1})

    outcome = ingest(lake, source_of(wrong, right))

    assert senders(lake) == ["scan1@contoso.example"]
    [failure] = outcome.failures
    assert failure.origin == "/exports/wrong.csv"
    [gap] = lake.rows("SELECT origin, cause FROM gaps")
    assert gap == {"origin": "/exports/wrong.csv", "cause": failure.sentence}


def test_a_file_set_aside_is_not_tried_again_at_each_run(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "wrong.csv").write_bytes(b"a,b\n1,2\n")
    source = pull_of(Settings(paths=(f"{tmp_path}/*.csv",), format="message_trace_csv", zone="UTC"))

    first, second = ingest(lake, source), ingest(lake, source)

    assert len(first.failures) == 1
    assert second.notices == []
    assert counts(lake)["gaps"] == 1


def test_lines_that_cannot_be_read_land_in_quarantine_as_they_were(lake: Lake) -> None:
    ingest(lake, Log(mail(1) + b"no log line \xff\x00\n" + mail(2)))

    [reject] = lake.rows("SELECT * FROM quarantine")
    assert reject["raw"] == b"no log line \xff\x00"
    assert reject["origin_offset"] == len(mail(1))
    assert (reject["source"], reject["format"], reject["origin"]) == ("relay", "postfix", "/var/log/mail.log")
    assert reject["reason"]


def test_rejects_are_kept_once_however_often_and_under_whichever_name_they_are_read(lake: Lake) -> None:
    content = mail(1) + b"no log line\n" + mail(2) + b"no log line\n"

    for source in ("relay", "again", "third"):
        ingest(lake, Log(content), source)
    ingest(lake, source_of(pulled(content, {}, identity="as short as it was at first sight")), "fourth")

    assert counts(lake)["quarantine"] == 2


def test_a_second_run_over_the_same_files_adds_no_row_to_any_table(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "mail.log.1").write_bytes(mails(0, 40))
    (tmp_path / "mail.log").write_bytes(mails(40, 60) + b"no log line\n" + mail(60)[:-20])
    (tmp_path / "mail.log.2").write_bytes(b"")
    source = pull_of(Settings(paths=(f"{tmp_path}/mail.log*",), zone="UTC"))
    ingest(lake, source)
    before, hashes, snapshot = counts(lake), hash_of(lake), lake.snapshot()

    outcome = ingest(lake, source)

    assert counts(lake) == before
    assert hash_of(lake) == hashes
    assert lake.snapshot() == snapshot
    assert outcome.rows == 0


def test_reading_everything_again_from_the_start_leaves_the_evidence_as_it_is(lake: Lake) -> None:
    content = mails(0, 8) + b"no log line\n"
    ingest(lake, Log(content))
    before, hashes = counts(lake), hash_of(lake)

    for source, lines in (("second", 1), ("third", 1_000)):
        ingest(lake, Log(content, lines), source)

    after = counts(lake)
    assert hash_of(lake) == hashes
    assert {table: after[table] for table in ("deliveries", "sender_days", "quarantine", "gaps")} == {
        table: before[table] for table in ("deliveries", "sender_days", "quarantine", "gaps")
    }


@pytest.mark.parametrize("touched", [datetime(2027, 12, 31, 12, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)])
def test_a_log_without_years_that_was_copied_in_another_year_adds_nothing(
    tmp_path: Path, lake: Lake, touched: datetime
) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(mails(0, 5).replace(b"2026-12-30T", b"Dec 30 ").replace(b".000000+00:00", b""))
    source = pull_of(Settings(paths=(str(path),), zone="UTC"))
    os.utime(path, (AS_OF.timestamp(), AS_OF.timestamp()))
    ingest(lake, source)
    hashes = hash_of(lake)
    os.utime(path, (touched.timestamp(), touched.timestamp()))

    ingest(lake, source, "again")

    assert counts(lake)["deliveries"] == 5
    assert hash_of(lake) == hashes


def test_a_run_that_finds_its_cursor_moved_starts_again_and_doubles_nothing(tmp_path: Path, lake: Lake) -> None:
    log, starts = Log(mails(0, 10)), list[int]()

    def overtaken(position: Mapping[str, Any]) -> Iterator[Pulled]:
        starts.append(int(position.get("offset", 0)))
        for number, found in enumerate(log(position)):
            if len(starts) == 1 and number == 1:
                with Lake.open(lake.folder) as other:
                    ingest(other, Log(mails(0, 6)))
            yield found

    outcome = ingest(lake, overtaken)

    assert starts == [0, len(mails(0, 6))]
    assert counts(lake)["deliveries"] == 10
    assert outcome.rows == 10 - 6 + 2
    assert evidence_of(lake) == evidence_alone(tmp_path, mails(0, 10))


def test_a_run_whose_cursor_is_moved_all_the_time_gives_up_with_a_sentence(lake: Lake) -> None:
    with Lake.open(lake.folder) as other:

        def raced(_position: Mapping[str, Any]) -> Iterator[Pulled]:
            ingest(other, source_of(pulled(mail(1), {"offset": counts(other)["reads"]})))
            yield pulled(mail(1), {"offset": -1})

        with pytest.raises(SourceError, match="is being read by another authsunset all the time") as raised:
            run_source(lake, "relay", raced, lambda: NOW, tries=3)

    assert raised.value.retry
    assert counts(lake)["deliveries"] == 1


def test_two_runs_of_one_source_at_once_keep_what_one_alone_keeps(tmp_path: Path) -> None:
    content = b"".join(mail(number) + b"no log line\n" * (number % 9 == 0) for number in range(15))
    together = Barrier(2)

    def run() -> int:
        with Lake.open(tmp_path / "shared") as lake:
            together.wait(timeout=60)
            return ingest(lake, Log(content, 9)).rows

    with ThreadPoolExecutor(2) as pool:
        kept = [each.result() for each in [pool.submit(run), pool.submit(run)]]

    with Lake.open(tmp_path / "shared", read_only=True) as lake:
        assert evidence_of(lake) == evidence_alone(tmp_path, content)
        assert counts(lake)["reads"] == lake.one("SELECT count(DISTINCT from_offset) FROM reads")
        assert sums_of_days(lake) == counted_rows(lake)
    assert sum(kept) == 15


def test_two_sources_with_the_same_lines_at_once_keep_them_once(tmp_path: Path) -> None:
    content = mails(0, 15)
    together = Barrier(2)

    def run(source: str) -> int:
        with Lake.open(tmp_path / "shared") as lake:
            together.wait(timeout=60)
            return ingest(lake, Log(content, 9), source).rows

    with ThreadPoolExecutor(2) as pool:
        kept = list(pool.map(run, ["one", "two"]))

    with Lake.open(tmp_path / "shared", read_only=True) as lake:
        assert evidence_of(lake) == evidence_alone(tmp_path, content)
    assert sum(kept) == 15


def evidence_of(lake: Lake) -> str:
    return hash_of(lake)["evidence"]


def evidence_alone(folder: Path, content: bytes) -> str:
    """Return the hash of a lake into which `content` was read once, by one run."""
    with Lake.open(folder / "alone") as lake:
        ingest(lake, Log(content))
        return evidence_of(lake)


class _BreaksAtCursor(Lake):
    def insert(self, table: str, rows: pa.Table | Sequence[dict[str, Any]]) -> int:
        if table == "cursors":
            raise KeyboardInterrupt
        return super().insert(table, rows)


def test_a_break_in_the_middle_of_a_transaction_commits_nothing(tmp_path: Path) -> None:
    with _BreaksAtCursor.open(tmp_path / "lake") as lake, pytest.raises(KeyboardInterrupt):
        ingest(lake, Log(mails(0, 5) + b"no log line\n"))

    with Lake.open(tmp_path / "lake") as lake:
        assert {table: count for table, count in counts(lake).items() if count} == {"meta": 1}
        ingest(lake, Log(mails(0, 5) + b"no log line\n"))
        assert counts(lake)["deliveries"] == 5


def test_a_lake_that_cannot_be_written_fails_the_run_and_the_next_run_makes_up_for_it(lake: Lake) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    working, lake.fsync = lake.fsync, fail
    with pytest.raises(LakeError, match="No space left on device"):
        ingest(lake, Log(mails(0, 300), 10_000))
    lake.fsync = working

    ingest(lake, Log(mails(0, 300), 10_000))

    assert counts(lake)["deliveries"] == 300


def test_late_rows_are_kept_and_counted_on_their_own_day(lake: Lake) -> None:
    ingest(lake, source_of(pulled(mails(0, 5, day=30), {"offset": 1})))
    ingest(lake, source_of(pulled(mails(5, 8, day=12) + mails(8, 10, day=30), {"offset": 2})))

    days = lake.rows("SELECT day::VARCHAR AS day, sum(events) AS events FROM sender_days GROUP BY day ORDER BY day")

    assert [(row["day"], int(row["events"])) for row in days] == [("2026-12-12", 3), ("2026-12-30", 7)]
    assert sums_of_days(lake) == counted_rows(lake)


def test_the_daily_sums_equal_the_counts_of_the_rows_for_every_kind_of_evidence(lake: Lake) -> None:
    samples = Path(__file__).parents[2] / "sample_data"
    names = (
        "postfix/accepted*.log",
        "exchange_smtp/oauth*.log",
        "message_trace_csv/p*.csv",
        "smtp_auth_report/eac*.csv",
    )
    paths = tuple(f"{samples}/{name}" for name in names)

    ingest(lake, pull_of(Settings(paths=paths, zone="UTC")))

    assert {row["evidence"] for row in lake.rows("SELECT DISTINCT evidence FROM sender_days")} == {
        "deliveries",
        "traces",
        "usage",
    }
    assert sums_of_days(lake) == counted_rows(lake)
    counted = "SELECT max(messages) AS messages FROM usage GROUP BY day, sender, auth_protocol, client_ip, tls_version"
    assert lake.one("SELECT sum(messages) FROM sender_days") == lake.one(f"SELECT sum(messages) FROM ({counted})")


def sums_of_days(lake: Lake) -> list[dict[str, Any]]:
    return lake.rows(
        "SELECT evidence, day, sender, CAST(sum(events) AS BIGINT) AS events FROM sender_days GROUP BY ALL ORDER BY ALL"
    )


def counted_rows(lake: Lake) -> list[dict[str, Any]]:
    return lake.rows(
        """
        SELECT evidence, day, sender, count(*) AS events
        FROM (
          SELECT 'deliveries' AS evidence, CAST(event_time AS DATE) AS day, sender FROM deliveries
          UNION ALL SELECT 'signins', CAST(event_time AS DATE), "user" FROM signins
          UNION ALL SELECT 'traces', CAST(received_at AS DATE), sender FROM traces
          UNION ALL SELECT 'usage', day, sender FROM usage
        )
        GROUP BY ALL ORDER BY ALL
        """
    )


def test_a_gap_is_kept_once_and_said_each_time(lake: Lake) -> None:
    gap = Notice("/var/log/mail.log.1.gz", "the gzip file ends in the middle", is_gap=True, offset=70)

    outcomes = [ingest(lake, source_of(gap)) for _ in range(3)]

    assert [outcome.notices for outcome in outcomes] == [[gap]] * 3
    [kept] = lake.rows("SELECT source, origin, from_offset, cause FROM gaps")
    assert kept == {"source": "relay", "origin": gap.origin, "from_offset": 70, "cause": gap.sentence}


def test_a_notice_that_is_no_gap_leaves_no_trace_in_the_lake(lake: Lake) -> None:
    before = lake.snapshot()

    outcome = ingest(lake, source_of(Notice("a", "is of no kind that we know")))

    assert len(outcome.failures) == 1
    assert lake.snapshot() == before


def test_each_read_is_booked(lake: Lake) -> None:
    content = mails(0, 4) + b"no log line\n"

    ingest(lake, Log(content, 1_000))

    [read] = lake.rows("SELECT * EXCLUDE (read_at) FROM reads")
    assert read["complete_until"] == AS_OF
    assert {name: read[name] for name in ("from_offset", "to_offset", "lines", "rows", "rejects")} == {
        "from_offset": 0,
        "to_offset": len(content),
        "lines": 13,
        "rows": 4,
        "rejects": 1,
    }


def test_rows_are_stamped_with_where_they_came_from_and_when(lake: Lake) -> None:
    ingest(lake, Log(mail(1)))

    [row] = lake.rows("SELECT source, format, origin, ingested_at FROM deliveries")
    assert row == {"source": "relay", "format": "postfix", "origin": "/var/log/mail.log", "ingested_at": NOW}


@pytest.mark.parametrize("name", ["relay'; DROP TABLE cursors; --", 'relay"', "ré läy 中", "%", "_"])
def test_any_name_of_a_source_is_only_a_name(lake: Lake, name: str) -> None:
    first, second = ingest(lake, Log(mails(0, 3)), name), ingest(lake, Log(mails(0, 5)), name)

    assert (first.rows, second.rows) == (3, 2)


def now_of(moments: list[datetime]) -> Callable[[], datetime]:
    return lambda: moments.pop(0) if len(moments) > 1 else moments[0]


def test_a_clock_that_steps_back_between_commits_loses_nothing(lake: Lake) -> None:
    moments = [datetime(2027, 1, 1, second, tzinfo=UTC) for second in (5, 4, 3)]

    run_source(lake, "relay", Log(mails(0, 6), 6), now_of(moments))
    outcome = ingest(lake, Log(mails(0, 6), 6))

    assert counts(lake)["deliveries"] == 6
    assert outcome.rows == 0
