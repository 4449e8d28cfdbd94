"""What each source brings, and up to when: never more than was really read to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline.feeds import NOTED_EVERY, Feed, feeds_of, forget_feeds, note_complete, note_feeds
from pipeline.lake import Lake
from pipeline.model import SCHEMAS, TIME_OF
from tests.conftest import NOW

HOUR = timedelta(hours=1)
TODAY = NOW.date()
MIDNIGHT = datetime(2026, 12, 31, tzinfo=UTC)
A_LOG = Feed("deliveries", NOW - HOUR, None, is_export=False)
AN_EXPORT = Feed("exposure", NOW - HOUR, NOW - HOUR, is_export=True)
A_SERVICE = Feed("traces", NOW - HOUR, NOW - 2 * HOUR, is_export=False)


def rows(table: str, *times: datetime | date | None) -> pa.Table:
    return pa.Table.from_pylist([{TIME_OF[table]: time} for time in times], schema=SCHEMAS[table])


def note(lake: Lake, source: str, *brought: Feed, now: datetime = NOW) -> None:
    with lake.writing():
        note_feeds(lake, source, brought, now)


def complete(lake: Lake, source: str, begun_at: datetime) -> None:
    with lake.writing():
        note_complete(lake, source, begun_at, begun_at)


def known(lake: Lake) -> list[dict[str, Any]]:
    return lake.rows('SELECT * FROM feeds ORDER BY source, "table"')


def ends(lake: Lake) -> Mapping[tuple[str, str], datetime | None]:
    return {(row["source"], row["table"]): row["complete_until"] for row in known(lake)}


class TestWhatARowTells:
    def test_a_log_brings_its_newest_row_and_does_not_say_that_it_is_complete(self) -> None:
        found = feeds_of({"deliveries": rows("deliveries", NOW - 2 * HOUR, NOW - HOUR)}, None, NOW, is_export=False)

        assert found == [A_LOG]

    def test_an_export_is_complete_up_to_its_newest_row(self) -> None:
        found = feeds_of({"exposure": rows("exposure", NOW - HOUR, NOW - 9 * HOUR)}, None, NOW, is_export=True)

        assert found == [AN_EXPORT]

    def test_a_service_knows_itself_until_when_it_is_complete(self) -> None:
        asked = {"traces": rows("traces", NOW - HOUR)}

        assert feeds_of(asked, NOW - 2 * HOUR, NOW, is_export=False) == [A_SERVICE]
        assert feeds_of(asked, NOW - 2 * HOUR, NOW, is_export=True) == [A_SERVICE]

    def test_a_report_that_counts_days_is_complete_to_the_end_of_its_newest_day(self) -> None:
        days = rows("usage", TODAY - timedelta(days=2), TODAY - timedelta(days=1))

        assert feeds_of({"usage": days}, None, NOW, is_export=True) == [Feed("usage", MIDNIGHT, MIDNIGHT, True)]

    def test_a_report_of_today_is_not_complete_beyond_now(self) -> None:
        [feed] = feeds_of({"usage": rows("usage", TODAY)}, None, NOW, is_export=True)

        assert (feed.newest_at, feed.complete_until) == (NOW, NOW)

    def test_a_device_whose_clock_is_years_ahead_does_not_make_anything_newer_than_now(self) -> None:
        [feed] = feeds_of({"exposure": rows("exposure", datetime(2036, 1, 1, tzinfo=UTC))}, None, NOW, is_export=True)

        assert (feed.newest_at, feed.complete_until) == (NOW, NOW)

    def test_bounces_and_queue_listings_are_files_that_tell_of_deliveries_one_by_one(self) -> None:
        found = feeds_of({"deliveries": rows("deliveries", NOW - HOUR)}, None, NOW, is_export=True)

        assert found == [A_LOG]

    def test_one_log_may_bring_several_tables(self) -> None:
        tables = {"deliveries": rows("deliveries", NOW - HOUR), "signins": rows("signins", NOW - 2 * HOUR)}

        found = feeds_of(tables, None, NOW, is_export=False)

        assert [(feed.table, feed.newest_at) for feed in found] == [
            ("deliveries", NOW - HOUR),
            ("signins", NOW - 2 * HOUR),
        ]

    @pytest.mark.parametrize("times", [(), (None,)], ids=["no rows", "no row that tells a time"])
    def test_nothing_is_brought_by(self, times: Sequence[None]) -> None:
        assert feeds_of({"deliveries": rows("deliveries", *times)}, NOW, NOW, is_export=False) == []

    def test_what_is_no_time_is_said(self) -> None:
        numbers = pa.table({"event_time": [1, 2]})

        with pytest.raises(TypeError, match="2 is no time"):
            feeds_of({"deliveries": numbers}, None, NOW, is_export=False)


class TestWhatIsNoted:
    def test_what_a_source_brings_first_is_noted(self, lake: Lake) -> None:
        note(lake, "tenant", A_SERVICE)

        assert known(lake) == [
            {
                "source": "tenant",
                "table": "traces",
                "newest_at": NOW - HOUR,
                "complete_until": NOW - 2 * HOUR,
                "is_export": False,
                "noted_at": NOW,
            }
        ]

    def test_a_log_that_moves_on_is_noted_once_a_minute(self, lake: Lake) -> None:
        nearly = NOTED_EVERY - timedelta(seconds=1)
        note(lake, "relay", A_LOG)

        note(lake, "relay", Feed("deliveries", A_LOG.newest_at + nearly, None, is_export=False), now=NOW + nearly)
        [before] = known(lake)
        note(lake, "relay", Feed("deliveries", A_LOG.newest_at + NOTED_EVERY, None, is_export=False), now=NOW + HOUR)
        [after] = known(lake)

        assert (before["newest_at"], before["noted_at"]) == (A_LOG.newest_at, NOW)
        assert (after["newest_at"], after["noted_at"]) == (A_LOG.newest_at + NOTED_EVERY, NOW + HOUR)

    def test_a_service_that_is_complete_a_second_longer_is_noted_at_once(self, lake: Lake) -> None:
        later = NOW - 2 * HOUR + timedelta(seconds=1)
        note(lake, "tenant", A_SERVICE)

        note(lake, "tenant", Feed("traces", NOW - 9 * HOUR, later, is_export=False))

        [row] = known(lake)
        assert (row["newest_at"], row["complete_until"]) == (A_SERVICE.newest_at, later)

    def test_an_old_part_of_a_log_or_an_old_export_takes_nothing_back(self, lake: Lake) -> None:
        note(lake, "people", A_LOG, AN_EXPORT)
        before = known(lake)

        long_ago = NOW - timedelta(days=90)
        older = [Feed("deliveries", long_ago, None, is_export=False), Feed("exposure", long_ago, long_ago, True)]
        note(lake, "people", *older, now=NOW + HOUR)

        assert known(lake) == before

    def test_rows_of_a_log_do_not_take_back_that_it_was_read_to_its_end(self, lake: Lake) -> None:
        note(lake, "relay", A_LOG)
        complete(lake, "relay", NOW)

        note(lake, "relay", Feed("deliveries", NOW + HOUR, None, is_export=False), now=NOW + HOUR)

        [row] = known(lake)
        assert (row["newest_at"], row["complete_until"]) == (NOW + HOUR, NOW)

    def test_sources_of_one_table_and_tables_of_one_source_are_told_apart(self, lake: Lake) -> None:
        note(lake, "one", AN_EXPORT, A_SERVICE)
        note(lake, "two", Feed("exposure", NOW, NOW, is_export=True))

        assert ends(lake) == {
            ("one", "exposure"): NOW - HOUR,
            ("one", "traces"): NOW - 2 * HOUR,
            ("two", "exposure"): NOW,
        }

    def test_what_comes_as_an_export_now_is_one_from_now_on(self, lake: Lake) -> None:
        note(lake, "tenant", Feed("signins", NOW - HOUR, NOW - HOUR, is_export=False))

        note(lake, "tenant", Feed("signins", NOW - HOUR, NOW - HOUR, is_export=True))
        complete(lake, "tenant", NOW)

        assert ends(lake) == {("tenant", "signins"): NOW - HOUR}

    def test_nothing_is_written_when_nothing_was_brought(self, lake: Lake) -> None:
        note(lake, "relay", A_LOG)
        before = known(lake)

        note(lake, "relay", now=NOW + HOUR)

        assert known(lake) == before


class TestWhatIsComplete:
    def test_a_log_that_was_read_to_its_end_is_complete_until_the_run_began(self, lake: Lake) -> None:
        note(lake, "relay", A_LOG)

        complete(lake, "relay", NOW)

        [row] = known(lake)
        assert (row["complete_until"], row["noted_at"]) == (NOW, NOW)
        assert row["newest_at"] == A_LOG.newest_at

    def test_an_export_is_not_newer_because_nobody_has_put_another_one_there(self, lake: Lake) -> None:
        note(lake, "people", A_LOG, AN_EXPORT)

        complete(lake, "people", NOW)

        assert ends(lake) == {("people", "deliveries"): NOW, ("people", "exposure"): NOW - HOUR}

    def test_another_source_is_not_complete_because_this_one_is(self, lake: Lake) -> None:
        note(lake, "relay", A_LOG)
        note(lake, "other", A_LOG)

        complete(lake, "relay", NOW)

        assert ends(lake) == {("other", "deliveries"): None, ("relay", "deliveries"): NOW}

    def test_a_source_that_has_never_brought_anything_is_complete_for_no_table(self, lake: Lake) -> None:
        complete(lake, "relay", NOW)

        assert known(lake) == []

    def test_a_table_is_complete_as_far_as_the_source_that_is_furthest_behind(self, lake: Lake) -> None:
        note(lake, "one", Feed("exposure", NOW - HOUR, NOW - HOUR, is_export=True))
        note(lake, "two", Feed("exposure", NOW, NOW, is_export=True))

        assert lake.rows("SELECT evidence, complete_until, newest_at FROM completeness") == [
            {"evidence": "exposure", "complete_until": NOW - HOUR, "newest_at": NOW}
        ]


class TestWhatIsForgotten:
    def test_what_nobody_reads_any_more_is_not_waited_for(self, lake: Lake) -> None:
        note(lake, "relay", A_LOG)
        note(lake, "gone", A_LOG, AN_EXPORT)

        forget_feeds(lake, {"relay": object(), "new": object()})

        assert ends(lake) == {("relay", "deliveries"): None}

    def test_nothing_is_committed_while_all_of_them_are_read(self, lake: Lake) -> None:
        note(lake, "relay", A_LOG)
        before = lake.snapshot()

        forget_feeds(lake, ["relay"])

        assert lake.snapshot() == before
