"""The views that every lake has, and the history of what the view `senders` said."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from pipeline.lake import Lake
from queries.published import publish, view_statements
from queries.sql_files import names_in
from queries.states import STATES, note_states, senders
from tests.conftest import NOW, keep

DAY = timedelta(days=1)
BY_PASSWORD = {"auth_protocol": "basic", "messages": 3, "report": "smtp_cs_report"}
BY_OAUTH = BY_PASSWORD | {"auth_protocol": "oauth2"}
REFUSED = {"outcome": "rejected", "reply_class": "basic_retired"}


@pytest.fixture
def published(lake: Lake) -> Lake:
    publish(lake)
    return lake


def views(lake: Lake) -> set[str]:
    return {row["view_name"] for row in lake.rows("SELECT view_name FROM duckdb_views() WHERE database_name = 'lake'")}


def complete(lake: Lake, *tables: str, until: datetime = NOW) -> None:
    with lake.writing():
        lake.insert("feeds", [{"source": "case", "table": table, "complete_until": until} for table in tables])


def noted(lake: Lake) -> list[tuple[str, str, datetime]]:
    kept = lake.rows("SELECT sender, state, noted_at FROM sender_states ORDER BY noted_at, sender")
    return [(row["sender"], row["state"], row["noted_at"]) for row in kept]


class TestPublish:
    def test_a_lake_gets_each_view_that_has_a_file_and_each_can_be_asked(self, lake: Lake) -> None:
        assert not views(lake) & set(names_in("views"))

        publish(lake)

        assert set(names_in("views")) <= views(lake)
        for name in names_in("views"):
            assert lake.rows(f"SELECT * FROM {name}") == []

    def test_views_are_not_made_again_while_their_text_is_the_same(self, published: Lake) -> None:
        before = published.snapshot()

        publish(published)

        assert published.snapshot() == before

    def test_views_of_another_version_of_the_program_are_made_anew(self, published: Lake) -> None:
        with published.writing():
            published.connection.execute("CREATE OR REPLACE VIEW senders AS SELECT 'old' AS sender")
            published.connection.execute("UPDATE meta SET value = 'another' WHERE key = 'views'")

        publish(published)
        publish(published)

        assert published.rows("SELECT sender FROM senders") == []
        assert published.one("SELECT count(*) FROM meta WHERE key = 'views'") == 1

    def test_what_else_the_lake_knows_of_itself_stays(self, lake: Lake) -> None:
        version = lake.one("SELECT value FROM meta WHERE key = 'schema_version'")

        publish(lake)

        assert lake.one("SELECT value FROM meta WHERE key = 'schema_version'") == version

    def test_a_view_comes_after_those_that_it_is_made_of(self) -> None:
        names = names_in("views")

        assert view_statements() == sorted(view_statements(), key=lambda each: each.partition(" AS\n")[0])
        assert names.index("sender_timeline") < names.index("senders")

    def test_analysts_see_the_views_in_a_lake_that_is_open_for_reading(self, published: Lake) -> None:
        keep(published, "usage", {"sender": "erp@contoso.example", **BY_PASSWORD})
        complete(published, "usage")

        with Lake.open(published.folder, read_only=True) as reader:
            assert reader.rows("SELECT sender, state FROM senders") == [
                {"sender": "erp@contoso.example", "state": "does_still"}
            ]


class TestSenders:
    def test_the_most_urgent_come_first_and_one_state_or_sender_can_be_asked_for(self, published: Lake) -> None:
        keep(published, "usage", {"sender": "erp@contoso.example", **BY_PASSWORD})
        keep(published, "usage", {"sender": "crm@contoso.example", **BY_OAUTH})
        keep(published, "deliveries", {"sender": "scan@contoso.example", **REFUSED})
        complete(published, "usage", "deliveries")

        found = senders(published)

        states = [row["state"] for row in found]
        assert states == ["refused", "does_still", "migrated"]
        assert states == sorted(states, key=STATES.index)
        assert [row["sender"] for row in senders(published, ["migrated", "refused"])] == [
            "scan@contoso.example",
            "crm@contoso.example",
        ]
        assert senders(published, sender="erp@contoso.example") == found[1:2]
        assert senders(published, ["refused"], "erp@contoso.example") == []


class TestNoteStates:
    def test_a_state_is_kept_with_its_evidence_when_it_is_seen_first(self, published: Lake) -> None:
        keep(published, "usage", {"sender": "erp@contoso.example", **BY_PASSWORD})
        complete(published, "usage")

        assert note_states(published, NOW) == 1

        [now] = senders(published)
        assert published.rows("SELECT * FROM sender_states") == [
            {
                "noted_at": NOW,
                "sender": "erp@contoso.example",
                "state": "does_still",
                "since": now["since"],
                "because": now["because"],
                "confidence": now["confidence"],
            }
        ]

    def test_nothing_is_kept_and_nothing_is_committed_while_no_state_changes(self, published: Lake) -> None:
        keep(published, "usage", {"sender": "erp@contoso.example", **BY_PASSWORD})
        complete(published, "usage")
        note_states(published, NOW)
        before = published.snapshot()

        assert note_states(published, NOW + DAY) == 0
        assert published.snapshot() == before

    def test_only_the_sender_whose_state_changes_is_kept_again(self, published: Lake) -> None:
        keep(
            published,
            "usage",
            {"sender": "erp@contoso.example", **BY_PASSWORD},
            {"sender": "scan@contoso.example", **BY_PASSWORD},
        )
        complete(published, "usage", "deliveries")
        note_states(published, NOW)

        keep(published, "deliveries", {"sender": "scan@contoso.example", **REFUSED, "event_time": "-1m"})

        assert note_states(published, NOW + DAY) == 1
        assert noted(published) == [
            ("erp@contoso.example", "does_still", NOW),
            ("scan@contoso.example", "does_still", NOW),
            ("scan@contoso.example", "refused", NOW + DAY),
        ]

    def test_a_state_that_comes_back_is_kept_again(self, published: Lake) -> None:
        keep(published, "usage", {"sender": "erp@contoso.example", **BY_PASSWORD})
        complete(published, "usage")
        with published.writing():
            for days, state in ((-2, "does_still"), (-1, "refused")):
                row: dict[str, Any] = {"sender": "erp@contoso.example", "state": state, "noted_at": NOW + days * DAY}
                published.insert("sender_states", [row])

        assert note_states(published, NOW) == 1

        assert [state for _, state, _ in noted(published)] == ["does_still", "refused", "does_still"]

    def test_a_sender_of_whom_nothing_is_known_is_not_kept_as_that(self, published: Lake) -> None:
        keep(published, "deliveries", {"sender": "odd@contoso.example", "outcome": "rejected", "reply_class": "other"})
        complete(published, "deliveries")

        assert [row["state"] for row in senders(published)] == ["unknown"]
        assert note_states(published, NOW) == 0
