"""The daily rollup: what it sums, and what it does not count twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.lake import Lake
from pipeline.lake.maintain import maintain
from tests.conftest import NOW, keep

REPORT = {"sender": "erp@contoso.example", "auth_protocol": "basic", "day": "-1d", "report": "smtp_cs_report"}
SCAN = {"sender": "scan@contoso.example"}
DAY = datetime(2026, 12, 21, tzinfo=UTC)
"""Long enough ago for its sums to be added up."""
WHEN = "SELECT CAST(bit_or(hours) AS BIGINT) AS hours, min(first_at) AS first_at, max(last_at) AS last_at"


def sums(lake: Lake, evidence: str) -> list[tuple[str, int, int | None]]:
    counted = "SELECT sender, sum(events)::BIGINT, sum(messages)::BIGINT FROM sender_days"
    return lake.connection.execute(f"{counted} WHERE evidence = ? GROUP BY sender", [evidence]).fetchall()


def at(hour: int, minute: int = 0) -> datetime:
    return DAY + timedelta(hours=hour, minutes=minute)


def bits(*hours: int) -> int:
    return sum(1 << hour for hour in hours)


def when(lake: Lake, where: str = "TRUE") -> dict[str, Any]:
    """Return in which hours there was something, and the first and the last time of all that `where` says."""
    [found] = lake.rows(f"{WHEN} FROM sender_days WHERE {where}")
    return found


def domains(lake: Lake, evidence: str = "deliveries") -> dict[str, int]:
    counted = "SELECT recipient_domain, CAST(sum(events) AS BIGINT) AS events FROM sender_domains"
    rows = lake.rows(f"{counted} WHERE evidence = ? GROUP BY recipient_domain", [evidence])
    return {row["recipient_domain"]: row["events"] for row in rows}


def rows_in(lake: Lake, rollup: str) -> int:
    return int(lake.one(f"SELECT count(*) FROM {rollup}"))


def maintained(lake: Lake) -> int:
    """Look after `lake`; return how many rows adding up has saved."""
    return maintain(lake, NOW, {}, timedelta(days=1)).sums_merged


def test_a_report_that_counts_a_day_again_adds_only_what_is_more(lake: Lake) -> None:
    keep(lake, "usage", REPORT | {"messages": 10, "event_id": "first"})
    keep(lake, "usage", REPORT | {"messages": 12, "event_id": "later"})
    keep(lake, "usage", REPORT | {"messages": 3, "event_id": "cut short"})

    assert sums(lake, "usage") == [("erp@contoso.example", 3, 12)]


def test_other_devices_and_other_reports_are_counted_by_themselves(lake: Lake) -> None:
    keep(lake, "usage", REPORT | {"messages": 10, "client_ip": "192.0.2.1"})
    keep(
        lake,
        "usage",
        REPORT | {"messages": 7, "client_ip": "192.0.2.2"},
        REPORT | {"messages": 5, "report": "eac_summary"},
    )

    assert sums(lake, "usage") == [("erp@contoso.example", 3, 22)]


def test_deliveries_are_counted_once_however_often_they_are_kept(lake: Lake) -> None:
    row = {"sender": "scan@contoso.example", "event_id": "one"}
    keep(lake, "deliveries", row, row | {"event_id": "two"})
    keep(lake, "deliveries", row)

    assert sums(lake, "deliveries") == [("scan@contoso.example", 2, None)]


class TestWhen:
    @pytest.mark.parametrize("table", ["deliveries", "signins"])
    def test_sums_tell_in_which_hours_there_was_something_and_the_first_and_last_of_it(
        self, table: str, lake: Lake
    ) -> None:
        sender = {"user" if table == "signins" else "sender": "scan@contoso.example"}
        keep(lake, table, *[sender | {"event_time": time} for time in (at(5, 50), at(5, 10), at(14))])
        keep(lake, table, sender | {"event_time": at(9)})

        assert when(lake, f"evidence = '{table}'") == {
            "hours": bits(5, 9, 14),
            "first_at": at(5, 10),
            "last_at": at(14),
        }

    def test_the_first_and_the_last_moment_of_a_day_are_of_that_day(self, lake: Lake) -> None:
        moment = timedelta(microseconds=1)
        times = (at(0) - moment, at(0), at(24) - moment, at(24))
        keep(lake, "deliveries", *[SCAN | {"event_time": time} for time in times])

        assert when(lake, "day = DATE '2026-12-21'") == {
            "hours": bits(0, 23),
            "first_at": at(0),
            "last_at": at(24) - moment,
        }

    def test_of_a_report_only_the_day_is_known(self, lake: Lake) -> None:
        keep(lake, "usage", REPORT | {"messages": 10})

        assert when(lake) == {"hours": None, "first_at": None, "last_at": None}

    def test_a_trace_tells_its_hour_once_whatever_became_of_it(self, lake: Lake) -> None:
        trace = SCAN | {"trace_id": "one", "recipient": "anna@contoso.example", "received_at": at(5)}
        keep(lake, "traces", trace | {"status": "pending", "seen_at": at(6), "event_id": "first"})
        keep(lake, "traces", trace | {"status": "delivered", "seen_at": at(7), "event_id": "later"})

        left = "SELECT outcome FROM sender_days GROUP BY outcome HAVING sum(events) > 0"
        assert lake.rows(left) == [{"outcome": "delivered"}]
        assert when(lake, "outcome = 'delivered'") == {"hours": bits(5), "first_at": at(5), "last_at": at(5)}
        assert when(lake, "events < 0") == {"hours": 0, "first_at": None, "last_at": None}


@pytest.mark.parametrize("table", ["deliveries", "signins"])
def test_devices_behind_one_address_are_told_apart_by_name(table: str, lake: Lake) -> None:
    sender = {"user" if table == "signins" else "sender": "scan@contoso.example", "client_ip": "192.0.2.1"}
    keep(lake, table, sender, *[sender | {"client_name": name} for name in ("mfp1", "mfp2", "mfp2")])

    counted = "SELECT client_name, events FROM sender_days ORDER BY client_name NULLS LAST"
    assert [tuple(row.values()) for row in lake.rows(counted)] == [("mfp1", 1), ("mfp2", 2), (None, 1)]


class TestDomains:
    def test_each_try_counts_once_for_the_domain_of_its_recipient(self, lake: Lake) -> None:
        row = SCAN | {"recipient": "anna@contoso.example", "event_id": "one"}
        keep(
            lake,
            "deliveries",
            row,
            row | {"recipient": "berta@contoso.example", "event_id": "two"},
            row | {"recipient": "someone@fabrikam.example", "event_id": "three"},
        )
        keep(lake, "deliveries", row)

        assert domains(lake) == {"contoso.example": 2, "fabrikam.example": 1}

    def test_what_is_held_a_bounce_and_a_recipient_without_a_domain_do_not_count(self, lake: Lake) -> None:
        row = SCAN | {"recipient": "anna@contoso.example"}
        keep(
            lake,
            "deliveries",
            row | {"kind": "held"},
            row | {"sender": ""},
            row | {"recipient": "root"},
            row | {"recipient": None},
        )

        assert domains(lake) == {}

    def test_a_message_in_the_traces_counts_once_whatever_became_of_it(self, lake: Lake) -> None:
        trace = SCAN | {"trace_id": "one", "recipient": "anna@contoso.example", "received_at": at(5)}
        keep(lake, "traces", trace | {"status": "pending", "seen_at": at(6), "event_id": "first"})
        keep(lake, "traces", trace | {"status": "delivered", "seen_at": at(7), "event_id": "later"})
        keep(lake, "traces", trace | {"status": "pending", "seen_at": at(6), "event_id": "first"})
        keep(lake, "traces", trace | {"sender": "", "trace_id": "two"}, trace | {"recipient": "x", "trace_id": "three"})

        assert domains(lake, "traces") == {"contoso.example": 1}


class TestAddedUp:
    def test_each_day_device_and_domain_that_is_past_becomes_one_row_that_says_the_same(self, lake: Lake) -> None:
        row = SCAN | {"client_ip": "192.0.2.1", "client_name": "mfp1", "recipient": "anna@contoso.example"}
        for hour in (14, 5, 9, 9):
            keep(
                lake,
                "deliveries",
                row | {"event_time": at(hour)},
                row | {"event_time": at(hour + 1), "client_name": "mfp2", "recipient": "someone@fabrikam.example"},
                row | {"event_time": at(hour - 24), "client_name": None},
            )
        for messages in (3, 12):
            keep(lake, "usage", REPORT | {"day": at(0), "messages": messages, "event_id": f"of {messages}"})

        saved = maintained(lake)

        told = "SELECT client_name, events, messages, hours, first_at, last_at FROM sender_days ORDER BY ALL"
        assert [tuple(each.values()) for each in lake.rows(told)] == [
            ("mfp1", 4, None, bits(5, 9, 14), at(5), at(14)),
            ("mfp2", 4, None, bits(6, 10, 15), at(6), at(15)),
            (None, 2, 12, None, None, None),
            (None, 4, None, bits(5, 9, 14), at(5 - 24), at(14 - 24)),
        ]
        assert domains(lake) == {"contoso.example": 8, "fabrikam.example": 4}
        assert rows_in(lake, "sender_domains") == 3
        assert saved == (12 + 2 - 4) + (12 - 3)

    def test_days_that_may_still_grow_are_left_and_what_comes_late_is_added_to_what_was_added_up(
        self, lake: Lake
    ) -> None:
        row = SCAN | {"recipient": "anna@contoso.example"}
        for hour in (9, 10):
            keep(lake, "deliveries", row | {"event_time": at(hour)}, row | {"event_time": f"-{48 + hour}h"})

        maintained(lake)
        keep(lake, "deliveries", row | {"event_time": at(2)})

        fresh = "day = DATE '2026-12-29'"
        assert lake.one(f"SELECT count(*) FROM sender_days WHERE {fresh}") == 2
        assert lake.one(f"SELECT count(*) FROM sender_domains WHERE {fresh}") == 2
        assert when(lake, f"NOT {fresh}") == {"hours": bits(2, 9, 10), "first_at": at(2), "last_at": at(10)}
        assert sums(lake, "deliveries") == [("scan@contoso.example", 5, None)]
        assert domains(lake) == {"contoso.example": 5}
