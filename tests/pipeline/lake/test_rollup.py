"""The daily rollup: what it sums, and what it does not count twice."""

from __future__ import annotations

from pipeline.lake import Lake
from tests.conftest import keep

REPORT = {"sender": "erp@contoso.example", "auth_protocol": "basic", "day": "-1d", "report": "smtp_cs_report"}


def sums(lake: Lake, evidence: str) -> list[tuple[str, int, int | None]]:
    counted = "SELECT sender, sum(events)::BIGINT, sum(messages)::BIGINT FROM sender_days"
    return lake.connection.execute(f"{counted} WHERE evidence = ? GROUP BY sender", [evidence]).fetchall()


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
