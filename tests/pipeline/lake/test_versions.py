"""A trace changes: each status that was seen is a row, and the latest is what is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.exports.traces import table_of, trace_row
from pipeline.ingest import keep_rows
from pipeline.lake import Lake
from pipeline.lake.audit import audit
from pipeline.lake.hash import hash_of
from pipeline.model import Chunk, Pulled
from tests.conftest import NOW

MINUTE = timedelta(minutes=1)
PULLED = Pulled(Chunk(b"", "page"), "graph_message_trace", "traces", {})


def version(status: str, seen: int, **values: Any) -> dict[str, Any]:
    row = {
        "received_at": NOW,
        "trace_id": "a1",
        "message_id": "<1@contoso.example>",
        "sender": "scan@contoso.example",
        "recipient": "ops@contoso.example",
        "from_ip": "192.0.2.7",
        "to_ip": "",
        "size": 10,
        "offset": 0,
    }
    return trace_row(**{**row, **values}, status=status, seen_at=NOW + seen * MINUTE)


def see(lake: Lake, *rows: dict[str, Any]) -> int:
    with lake.writing():
        return int(keep_rows(lake, "traces", table_of(rows), "graph", PULLED, NOW).num_rows)


def latest(lake: Lake) -> list[str]:
    return [row["status"] for row in lake.rows("SELECT status FROM traces_latest ORDER BY recipient")]


@pytest.mark.parametrize(
    "statuses",
    [
        ["pending"],
        ["pending", "delivered"],
        ["quarantined", "delivered", "quarantined"],
        ["pending", "delivered", "pending", "delivered", "failed"],
    ],
    ids=" ".join,
)
def test_the_latest_status_is_known_wherever_it_went_and_each_change_is_a_row(lake: Lake, statuses: list[str]) -> None:
    for minute, status in enumerate(statuses):
        see(lake, version(status, minute))
        assert see(lake, version(status, minute + 100)) == 0, "seen again, nothing new"

    assert latest(lake) == [statuses[-1]]
    assert lake.one("SELECT count(*) FROM traces") == len(statuses)


def test_an_older_export_that_is_read_later_changes_nothing_that_is_known(lake: Lake) -> None:
    see(lake, version("delivered", 50))
    see(lake, version("pending", 10))
    before = hash_of(lake)

    assert see(lake, version("pending", 10), version("delivered", 50)) == 0

    assert latest(lake) == ["delivered"]
    assert hash_of(lake) == before


def test_two_versions_in_one_answer_are_put_right_by_the_next(lake: Lake) -> None:
    see(lake, version("pending", 1), version("delivered", 1))

    see(lake, version("delivered", 2))

    assert latest(lake) == ["delivered"]


def test_each_recipient_is_a_thing_of_its_own_and_one_without_an_id_too(lake: Lake) -> None:
    see(lake, version("pending", 1), version("failed", 1, recipient="b@contoso.example"))
    see(lake, version("delivered", 2), version("pending", 2, trace_id=""), version("failed", 2, trace_id=""))

    assert sorted(latest(lake)) == ["delivered", "failed", "failed", "pending"]


def test_daily_sums_count_a_message_once_as_it_was_last(lake: Lake) -> None:
    see(lake, version("pending", 1))
    see(lake, version("delivered", 5))
    see(lake, version("pending", 3, recipient="b@contoso.example"))
    see(lake, version("gettingStatus", 2, recipient="b@contoso.example"))

    sums = lake.rows(
        "SELECT outcome, sum(events) AS events FROM sender_days WHERE evidence = 'traces' GROUP BY ALL "
        "HAVING sum(events) <> 0 ORDER BY outcome"
    )

    assert [(row["outcome"], int(row["events"])) for row in sums] == [("delivered", 1), ("pending", 1)]
    assert [check.holds for check in audit(lake) if check.what == "daily sums of traces = its rows"] == [True]


def test_a_page_that_says_a_trace_twice_says_it_once(lake: Lake) -> None:
    assert see(lake, version("delivered", 1), version("delivered", 1)) == 1
