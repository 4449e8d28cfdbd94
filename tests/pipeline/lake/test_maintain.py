"""A lake that is written all day stays small in files, forgets what it should, and still adds up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import LakeError
from pipeline.lake import CATALOG, Lake
from pipeline.lake.audit import audit
from pipeline.lake.hash import hash_of
from pipeline.lake.maintain import maintain, maintained_at
from pipeline.lake.purge import purge
from pipeline.lake.status import status_of
from queries.detect import detect
from queries.detection import detection
from tests.conftest import NOW, keep

LATER = NOW + timedelta(days=1)
NO_TIME = timedelta(0)
REFUSED = {"sender": "scan@contoso.example", "reply_class": "basic_retired"}


def write_all_day(lake: Lake, commits: int = 6, rows: int = 250, **values: object) -> None:
    for commit in range(commits):
        keep(lake, "deliveries", *[{**REFUSED, "event_id": f"{commit}-{row}", **values} for row in range(rows)])


def files_of(lake: Lake, table: str) -> int:
    return next(int(row["files"]) for row in status_of(lake) if row["table"] == table)


def parquet_in(lake: Lake) -> set[Path]:
    return set((lake.folder / "data").rglob("*.parquet"))


def test_many_small_files_become_one_and_the_evidence_stays_the_same(lake: Lake) -> None:
    write_all_day(lake)
    before = hash_of(lake)

    done = maintain(lake, LATER, {}, NO_TIME)

    assert done.merged >= 6
    assert files_of(lake, "deliveries") == 1
    assert hash_of(lake) == before
    assert maintained_at(lake) == LATER


def test_a_detection_finds_the_same_after_maintenance_and_is_not_asked_again_for_nothing(lake: Lake) -> None:
    rule = detection("rejection/basic_auth_refused")
    write_all_day(lake)
    assert detect(lake, rule, NOW).opened == 1

    maintain(lake, LATER, {}, NO_TIME)
    nothing_new = detect(lake, rule, NOW + timedelta(minutes=1))
    keep(lake, "deliveries", {"sender": "new@contoso.example", "reply_class": "basic_retired"})

    assert (nothing_new.opened, nothing_new.changed) == (0, 0)
    assert detect(lake, rule, NOW).opened == 1


def test_snapshots_that_a_detection_has_not_seen_are_not_forgotten(lake: Lake) -> None:
    rule = detection("rejection/basic_auth_refused")
    detect(lake, rule, NOW)
    write_all_day(lake, commits=2)

    maintain(lake, LATER, {}, NO_TIME)

    assert detect(lake, rule, NOW).opened == 1


def test_a_detection_whose_snapshot_was_forgotten_looks_at_everything(lake: Lake) -> None:
    rule = detection("rejection/basic_auth_refused")
    detect(lake, rule, NOW)
    write_all_day(lake, commits=2)
    purge(lake, "nobody@contoso.example", NOW)

    assert detect(lake, rule, NOW).opened == 1


def test_rows_older_than_they_are_kept_go_with_their_bytes_and_the_books_still_add_up(lake: Lake) -> None:
    keep(lake, "deliveries", *[{**REFUSED, "event_time": "-500d", "event_id": f"old-{n}"} for n in range(300)])
    keep(lake, "deliveries", {**REFUSED, "event_id": "young"})

    done = maintain(lake, NOW, {"deliveries": timedelta(days=400)}, NO_TIME)
    maintain(lake, LATER, {"deliveries": timedelta(days=400)}, NO_TIME)

    assert done.removed == {"deliveries": 300}
    assert lake.one("SELECT count(*) FROM deliveries") == 1
    assert lake.rows('SELECT "table", rows, cause FROM removals') == [
        {"table": "deliveries", "rows": 300, "cause": "older than the settings keep it"}
    ]
    assert not any(b"old-1" in path.read_bytes() for path in parquet_in(lake))


def test_a_row_without_a_time_or_of_the_future_is_as_old_as_we_know_it(lake: Lake) -> None:
    times = {"timeless": None, "future": NOW + timedelta(days=9000), "old": NOW - timedelta(days=900)}
    rows = [{"event_id": id, "event_time": time, "ingested_at": NOW} for id, time in times.items()]
    with lake.writing():
        lake.insert("deliveries", rows)
        lake.insert("usage", [{"event_id": "report", "day": None, "ingested_at": NOW}])
    kept = {"deliveries": timedelta(days=400), "usage": timedelta(days=400)}

    assert maintain(lake, NOW + timedelta(days=399), kept, NO_TIME).removed == {"deliveries": 1}
    assert maintain(lake, NOW + timedelta(days=401), kept, NO_TIME).removed == {"deliveries": 2, "usage": 1}


def test_an_open_finding_and_an_unsent_message_stay_however_old(lake: Lake) -> None:
    with lake.writing():
        lake.insert("findings", [{"noted_at": NOW, "fingerprint": "a", "state": "open"}])
        lake.insert("findings", [{"noted_at": NOW, "fingerprint": "b", "state": "open"}])
        lake.insert("findings", [{"noted_at": NOW + timedelta(hours=1), "fingerprint": "b", "state": "over"}])
        lake.insert("notifications", [{"noted_at": NOW, "notification_id": "a", "state": "intended"}])
        lake.insert("notifications", [{"noted_at": NOW, "notification_id": "b", "state": "delivered"}])

    maintain(
        lake, NOW + timedelta(days=800), {"findings": timedelta(days=1), "notifications": timedelta(days=1)}, NO_TIME
    )

    assert lake.rows("SELECT DISTINCT fingerprint FROM findings") == [{"fingerprint": "a"}]
    assert lake.rows("SELECT notification_id FROM notifications") == [{"notification_id": "a"}]


def test_daily_sums_of_past_days_are_added_up(lake: Lake) -> None:
    write_all_day(lake, commits=5, rows=3, event_time="-9d")
    before = lake.rows("SELECT day, sender, sum(events) AS events FROM sender_days GROUP BY ALL")

    done = maintain(lake, NOW, {}, NO_TIME)

    assert done.sums_merged == 4
    assert lake.rows("SELECT day, sender, events FROM sender_days") == before


def test_a_reader_keeps_its_snapshot_for_a_while(lake: Lake) -> None:
    write_all_day(lake, commits=3)
    snapshot = lake.snapshot()

    maintain(lake, datetime.now(UTC), {}, timedelta(hours=6))

    assert lake.one(f"SELECT count(*) FROM deliveries AT (VERSION => {snapshot})") == 750


def test_maintenance_again_and_again_leaves_a_bounded_number_of_files(lake: Lake) -> None:
    for _round in range(3):
        write_all_day(lake, commits=2, event_time=f"-{_round + 1}h")
        with lake.writing():
            lake.connection.execute("DELETE FROM cursors WHERE name = 'x'")
            lake.insert("cursors", [{"name": "x", "state": json.dumps(_round)}])
        maintain(lake, datetime.now(UTC) + timedelta(days=1), {}, NO_TIME)

    assert files_of(lake, "deliveries") <= 2
    assert files_of(lake, "cursors") <= 2
    assert len(parquet_in(lake)) <= 2 * len(status_of(lake))


MENTIONS = [
    "{0},{0};{0} {0}",
    "\\n{0}\\t{0}\\u003c{0}",
    "%3C{0}%3E",
    "user=anna.b%40contoso.example",
    "anna.b=40contoso.example",
    "rfc822;anna.b+40contoso.example",
    "bounces+anna.b=contoso.example@relay.example",
    "anna\\.b@contoso\\.example",
    "it was '{0}'.",
]


class TestPurge:
    def test_a_person_is_gone_and_others_are_not(self, lake: Lake) -> None:
        keep(lake, "deliveries", {**REFUSED, "sender": "anna@contoso.example", "event_id": "1"})
        keep(lake, "deliveries", {**REFUSED, "sender": "hanna@contoso.example", "event_id": "2"})
        keep(
            lake,
            "deliveries",
            {
                **REFUSED,
                "recipient": "anna@contoso.example",
                "reply_text": "no such <Anna@contoso.example>",
                "event_id": "3",
            },
        )

        purge(lake, " Anna@contoso.example ", NOW)

        rows = lake.rows("SELECT event_id, sender, recipient, reply_text FROM deliveries ORDER BY event_id")
        assert rows == [
            {"event_id": "2", "sender": "hanna@contoso.example", "recipient": None, "reply_text": None},
            {
                "event_id": "3",
                "sender": "scan@contoso.example",
                "recipient": "[purged]",
                "reply_text": "no such <[purged]>",
            },
        ]

    def test_nothing_of_a_person_is_left_in_the_catalog_or_in_any_table(self, lake: Lake) -> None:
        person = "anna@contoso.example"
        write_all_day(lake, commits=2, rows=5, sender=person)
        write_all_day(lake, commits=1, rows=400, sender="scan@contoso.example", recipient=person)
        detect(lake, detection("rejection/basic_auth_refused"), NOW)
        with lake.writing():
            lake.insert("quarantine", [{"raw": f"\xff {person}".encode(), "event_id": "q", "reason": "r"}])
            lake.insert(
                "cursors", [{"name": "source a\nlog b", "state": json.dumps({"mails": {"q": {"sender": person}}})}]
            )
            lake.insert("notifications", [{"notification_id": "n", "message": f"about {person}", "state": "delivered"}])

        purge(lake, person, NOW)

        for row in status_of(lake):
            assert person not in str(lake.rows(f"SELECT * FROM {row['table']}"))
        assert person.encode() not in (lake.folder / CATALOG).read_bytes()

    def test_every_way_to_write_an_address_is_a_mention(self, lake: Lake) -> None:
        mentions = [each.format("anna.b@contoso.example") for each in MENTIONS]
        with lake.writing():
            for said in mentions:
                lake.insert("quarantine", [{"raw": said.encode(), "event_id": "q", "reason": said, "origin": said}])
                lake.insert("notifications", [{"message": json.dumps({"text": f"hello\n{said}"})}])

        purge(lake, "anna.b@contoso.example", NOW)

        for table in ("quarantine", "notifications"):
            rows = lake.rows(f"SELECT * FROM {table}")
            assert len(rows) == len(mentions)
            assert not [row for row in rows if "anna" in str(row)]

    @pytest.mark.parametrize("address", ["jörg@contoso.example", "o'neill_x@contoso.example", "a+b@contoso.example"])
    def test_addresses_of_other_letters_go_too(self, address: str, lake: Lake) -> None:
        keep(lake, "deliveries", {**REFUSED, "sender": address, "event_id": "1"})
        with lake.writing():
            lake.insert("quarantine", [{"raw": f"<{address}>".encode(), "event_id": "q"}])
            lake.insert("cursors", [{"name": "c", "state": json.dumps({"sender": address})}])
            lake.insert("notifications", [{"notification_id": "n", "message": address.replace("_", "\\_")}])

        purge(lake, address, NOW)

        local = address.partition("@")[0].replace("_", "")
        for table in ("deliveries", "quarantine", "cursors", "notifications"):
            found = str(lake.rows(f"SELECT * FROM {table}"))
            assert local not in found
            assert "contoso" not in found

    def test_the_addresses_of_others_stay(self, lake: Lake) -> None:
        others = ["joanna.b@contoso.example", "x-anna.b@contoso.example", "annaxb@contoso.example"]
        for other in others:
            keep(lake, "deliveries", {**REFUSED, "reply_text": f"no {other}, <{other}>", "event_id": other})
        with lake.writing():
            lake.insert("quarantine", [{"raw": other.encode() + b"\xff", "event_id": other} for other in others])
        before = hash_of(lake)

        assert purge(lake, "anna.b@contoso.example", NOW) == {}

        assert hash_of(lake) == before

    def test_what_is_no_address_is_refused(self, lake: Lake) -> None:
        with pytest.raises(LakeError, match="is no mail address"):
            purge(lake, "contoso", NOW)


class TestAudit:
    def test_a_lake_that_nobody_touched_adds_up(self, lake: Lake) -> None:
        assert all(check.holds for check in audit(lake))

    def test_an_event_that_is_there_twice_is_seen(self, lake: Lake) -> None:
        keep(lake, "deliveries", {**REFUSED, "event_id": "1"})
        with lake.writing():
            lake.insert("deliveries", lake.arrow("SELECT * FROM deliveries"))

        wrong = {check.what for check in audit(lake) if not check.holds}

        assert "events of deliveries that are there twice" in wrong

    def test_a_row_that_went_missing_is_seen(self, lake: Lake) -> None:
        keep(lake, "deliveries", {**REFUSED, "event_id": "1"})
        with lake.writing():
            lake.connection.execute("DELETE FROM deliveries")

        assert "daily sums of deliveries = its rows" in {check.what for check in audit(lake) if not check.holds}

    def test_a_data_file_that_went_missing_is_seen(self, lake: Lake) -> None:
        write_all_day(lake, commits=1, rows=300)
        next(iter(parquet_in(lake))).unlink()
        wrong = {check.what for check in audit(lake) if not check.holds}

        assert wrong == {"data files that the catalog names and the disk has"}
