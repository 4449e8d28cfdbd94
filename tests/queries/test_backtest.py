"""What a detection would have said of the past, held against what it says when the past goes by."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipeline.errors import DetectionError
from pipeline.lake import Lake
from pipeline.model import Window
from queries.backtest import backtest, by_day, missing_from, with_params
from queries.detect import detect
from queries.detection import detection
from tests.conftest import NOW, counts, keep

REFUSED = detection("basic_auth_refused")
RESIDUAL = detection("residual_basic_sender")
SPAN = Window(NOW - timedelta(days=4), NOW)
SCAN = {"sender": "scan@contoso.example", "kind": "try", "outcome": "rejected", "reply_class": "basic_retired"}
OTHER = SCAN | {"sender": "nas@contoso.example"}
ACCEPTED = SCAN | {"outcome": "accepted", "reply_class": "accepted"}


def opened_live(lake: Lake) -> list[tuple[str, object, object]]:
    rows = lake.rows(
        "SELECT sender, episode, max(over_at) AS over_at FROM findings GROUP BY ALL ORDER BY episode, sender"
    )
    return [(row["sender"], row["episode"], row["over_at"]) for row in rows]


def test_it_opens_and_ends_what_the_service_does_as_time_goes_by(lake: Lake) -> None:
    story = [
        SCAN | {"event_time": "-50h"},
        ACCEPTED | {"event_time": "-40h"},
        SCAN | {"event_time": "-30h"},
        SCAN | {"event_time": "-29h"},
        OTHER | {"event_time": "-26h"},
        ACCEPTED | {"event_time": "-2h"},
    ]
    for number, event in enumerate(story):
        keep(lake, "deliveries", event | {"queue_id": f"Q{number}", "event_id": f"e{number}"})
        hours = float(str(event["event_time"]).strip("h"))
        detect(lake, REFUSED, NOW + timedelta(hours=hours, minutes=1))
    before = counts(lake)

    episodes = backtest(lake, REFUSED, SPAN)

    assert [(each.about["sender"], each.first_seen, each.over_at) for each in episodes] == opened_live(lake)
    assert counts(lake) == before


def test_it_says_when_within_half_a_window_and_counts_by_day(lake: Lake) -> None:
    keep(lake, "deliveries", SCAN | {"event_time": "-50h"}, OTHER | {"event_time": "-26h"})

    episodes = backtest(lake, REFUSED, SPAN)

    assert all(timedelta(0) < each.opened_at - each.first_seen <= REFUSED.window / 2 for each in episodes)
    assert [count for _, count in by_day(SPAN, episodes)] == [0, 0, 1, 1, 0]


def test_a_long_window_is_asked_day_by_day(lake: Lake) -> None:
    keep(lake, "usage", {"sender": "erp@contoso.example", "auth_protocol": "basic", "messages": 5, "day": "-3d"})

    [episode] = backtest(lake, RESIDUAL, SPAN)

    assert episode.day == (NOW - timedelta(days=3)).date()


def test_what_came_later_is_not_known_yet(lake: Lake) -> None:
    keep(lake, "deliveries", SCAN | {"event_time": "-50h"}, ACCEPTED | {"event_time": "-2h"})

    [episode] = backtest(lake, REFUSED, Window(SPAN.start, NOW - timedelta(hours=10)))

    assert episode.over_at is None


def test_two_versions_differ_in_what_only_one_of_them_finds(lake: Lake) -> None:
    twice = [SCAN | {"event_time": "-50h", "request_id": f"08DE0{number}"} for number in range(2)]
    keep(lake, "deliveries", *twice, OTHER | {"event_time": "-26h"})

    once = backtest(lake, REFUSED, SPAN)
    often = backtest(lake, with_params(REFUSED, {"min_refusals": "2"}), SPAN)

    assert [each.about["sender"] for each in missing_from(once, often)] == ["nas@contoso.example"]
    assert missing_from(often, once) == []


def test_the_tables_are_themselves_again_afterwards(lake: Lake) -> None:
    keep(lake, "deliveries", SCAN | {"event_time": "0m"})

    backtest(lake, REFUSED, SPAN)

    assert lake.one("SELECT count(*) FROM deliveries") == 1


def test_a_parameter_that_is_none_is_said() -> None:
    with pytest.raises(DetectionError, match="has no parameter most; there is reply_class, min_refusals"):
        with_params(REFUSED, {"most": "2"})
    with pytest.raises(DetectionError, match="min_refusals should be a number such as 1, and 'two' is none"):
        with_params(REFUSED, {"min_refusals": "two"})
