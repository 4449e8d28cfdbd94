"""A cycle of a detection on a real lake: what opens, what stays, what ends, and what comes late."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pipeline.lake import Lake
from pipeline.model import Window
from queries.ask import ask
from queries.detect import detect, joined, windows_to_ask
from queries.detection import detection
from queries.history import latest
from queries.senders import facts_of
from tests.conftest import NOW, counts, keep

REFUSED = detection("basic_auth_refused")
RESIDUAL = detection("residual_basic_sender")
SCANNER = {
    "sender": "scanner@contoso.example",
    "kind": "try",
    "outcome": "rejected",
    "reply_class": "basic_retired",
    "queue_id": "A1",
}
ACCEPTED = SCANNER | {"outcome": "accepted", "reply_class": "accepted", "queue_id": "A2"}


def test_a_refusal_opens_a_finding_once(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER | {"request_id": "08DE01"})

    first = detect(lake, REFUSED, NOW)
    before = counts(lake)
    second = detect(lake, REFUSED, NOW + timedelta(minutes=1))

    assert (first.opened, second.opened, second.changed) == (1, 0, 0)
    assert counts(lake) == before
    assert [noted.sender for noted in latest(lake)] == ["scanner@contoso.example"]


def test_a_nightly_sender_refused_once_stays_open_all_day(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER | {"event_time": "-5m"})
    detect(lake, REFUSED, NOW)

    for hour in (1, 2, 8, 16, 23):
        keep(
            lake,
            "deliveries",
            {
                "sender": "other@contoso.example",
                "outcome": "accepted",
                "reply_class": "accepted",
                "event_time": f"{hour}h",
            },
        )
        detect(lake, REFUSED, NOW + timedelta(hours=hour))

    assert [noted.is_open for noted in latest(lake)] == [True]


def test_it_is_over_when_a_later_mail_is_accepted(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER | {"event_time": "-5m"})
    detect(lake, REFUSED, NOW)

    keep(lake, "deliveries", ACCEPTED | {"event_time": "20h"})
    outcome = detect(lake, REFUSED, NOW + timedelta(hours=21))

    assert outcome.ended == 1
    [noted] = latest(lake)
    assert noted.over_at == NOW + timedelta(hours=20)
    assert "smtp.office365.com" in noted.because


def test_a_problem_that_comes_back_is_a_new_episode(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER | {"event_time": "-30m"}, ACCEPTED | {"event_time": "-20m"})
    detect(lake, REFUSED, NOW)
    assert [noted.is_open for noted in latest(lake)] == [False]

    keep(lake, "deliveries", SCANNER | {"event_time": "-10m"})
    detect(lake, REFUSED, NOW)

    [noted] = latest(lake)
    assert noted.is_open
    assert noted.episode > NOW - timedelta(minutes=30)


def test_old_news_of_an_ended_episode_opens_nothing(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER | {"event_time": "-30m"}, ACCEPTED | {"event_time": "-20m"})
    detect(lake, REFUSED, NOW)

    keep(lake, "deliveries", SCANNER | {"event_time": "-25m"})
    detect(lake, REFUSED, NOW)

    assert [noted.is_open for noted in latest(lake)] == [False]


def test_rows_that_arrive_six_hours_late_open_a_finding_that_says_so(lake: Lake) -> None:
    keep(lake, "deliveries", {"sender": "other@contoso.example", "outcome": "accepted", "reply_class": "accepted"})
    detect(lake, REFUSED, NOW)

    keep(lake, "deliveries", SCANNER | {"event_time": "-6h"})
    outcome = detect(lake, REFUSED, NOW + timedelta(minutes=1))

    assert outcome.opened == 1
    [noted] = latest(lake)
    assert noted.is_late
    assert noted.first_seen == NOW - timedelta(hours=6)


def test_a_fresh_finding_is_not_late(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER)

    detect(lake, REFUSED, NOW)

    assert [noted.is_late for noted in latest(lake)] == [False]


def test_a_later_refusal_of_an_open_problem_is_noted_as_a_change(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER | {"event_time": "-50m"})
    detect(lake, REFUSED, NOW - timedelta(minutes=40))

    keep(lake, "deliveries", SCANNER | {"event_time": "-1m"})
    outcome = detect(lake, REFUSED, NOW)

    assert (outcome.opened, outcome.changed) == (0, 1)
    [noted] = latest(lake)
    assert noted.episode == NOW - timedelta(minutes=50)
    assert noted.last_seen == NOW - timedelta(minutes=1)


def test_facts_count_refusals_mails_and_their_fate(lake: Lake) -> None:
    waiting = SCANNER | {
        "outcome": "deferred",
        "stage": "auth",
        "recipient": "ops@contoso.example",
        "event_time": "-50m",
    }
    keep(
        lake,
        "deliveries",
        waiting | {"queue_id": "A1", "request_id": "08DE01"},
        waiting | {"queue_id": "A1", "request_id": "08DE02", "event_time": "-40m"},
        waiting | {"queue_id": "A2", "request_id": "08DE03"},
        SCANNER | {"queue_id": "A2", "kind": "expired", "outcome": "unknown", "reply_class": None, "event_time": "-1m"},
        SCANNER | {"queue_id": "A3", "request_id": "08DE04", "recipient": "x@partner.example", "event_time": "-30m"},
        waiting | {"queue_id": "A4", "request_id": "08DE05"},
        ACCEPTED
        | {
            "queue_id": "A4",
            "recipient": "ops@contoso.example",
            "event_time": "-45m",
            "endpoint": "mx.other.example",
            "service": "other",
        },
    )
    detect(lake, REFUSED, NOW)

    noted = latest(lake)
    facts = facts_of(lake, noted, ["contoso.example"])[noted[0].fingerprint]

    assert (facts.refusals, facts.mails) == (5, 4)
    assert facts.rescuable == 1  # A1 waits; A4 got through
    assert facts.lost == 2  # A2 expired, A3 was refused for good
    assert facts.external_share == pytest.approx(1 / 2)


def test_residual_basic_is_found_by_the_report_and_ends_with_oauth_only(lake: Lake) -> None:
    report = {"sender": "erp@contoso.example", "messages": 12, "auth_protocol": "basic"}
    keep(lake, "usage", report | {"day": "-3d"})
    detect(lake, RESIDUAL, NOW)
    assert [noted.is_open for noted in latest(lake)] == [True]

    keep(lake, "usage", {"sender": "other@contoso.example", "messages": 1, "auth_protocol": "oauth2", "day": "-1d"})
    detect(lake, RESIDUAL, NOW)
    assert [noted.is_open for noted in latest(lake)] == [True]

    keep(lake, "usage", report | {"day": "-1d", "auth_protocol": "oauth2"})
    detect(lake, RESIDUAL, NOW)
    assert [noted.is_open for noted in latest(lake)] == [False]


@pytest.mark.parametrize("minutes", range(0, 120, 7))
def test_two_events_less_than_half_a_window_apart_share_a_window(minutes: int) -> None:
    hour = timedelta(hours=1)
    event = datetime(2026, 12, 31, 12, tzinfo=NOW.tzinfo) + timedelta(minutes=minutes)
    other = event + timedelta(minutes=29)
    half = timedelta(minutes=30)
    touched = {
        event - (event - event.replace(hour=0, minute=0)) % half,
        other - (other - other.replace(hour=0, minute=0)) % half,
    }

    windows = windows_to_ask(touched, hour, NOW)

    assert any(event in window and other in window for window in windows)


def test_older_evidence_that_comes_late_is_counted(lake: Lake) -> None:
    keep(lake, "deliveries", SCANNER | {"event_time": "-10m", "request_id": "08DE02"})
    detect(lake, REFUSED, NOW)

    keep(lake, "deliveries", SCANNER | {"event_time": "-3h", "request_id": "08DE01"})
    outcome = detect(lake, REFUSED, NOW + timedelta(minutes=1))

    [noted] = latest(lake)
    assert outcome.changed == 1
    assert noted.first_seen == NOW - timedelta(hours=3)
    assert noted.last_seen == NOW - timedelta(minutes=10)
    assert facts_of(lake, [noted])[noted.fingerprint].refusals == 2


def test_a_year_of_logs_is_a_handful_of_windows_where_one_event_is_enough() -> None:
    hour = timedelta(hours=1)
    touched = [NOW - half * timedelta(minutes=30) for half in range(2 * 24 * 365)]

    assert len(joined(windows_to_ask(touched, hour, NOW))) == 1


def test_windows_that_do_not_touch_stay_apart() -> None:
    hour = timedelta(hours=1)

    windows = joined(windows_to_ask([NOW - timedelta(days=9), NOW - timedelta(days=2)], hour, NOW))

    assert len(windows) == 3
    assert all(window.length <= 2 * hour for window in windows)


@pytest.mark.parametrize(
    ("report", "other", "messages"),
    [
        ("eac_summary", "eac_summary", 41),  # two summaries count the same weeks
        ("eac_summary", "smtp_cs_report", 41),  # both kinds of report count the same mails
        ("smtp_cs_report", "smtp_cs_report", 48),  # a requested report dates each mail, so its days add up
    ],
)
def test_what_two_reports_count_is_added_only_where_it_is_not_the_same_mail(
    lake: Lake, report: str, other: str, messages: int
) -> None:
    whose = {"sender": "erp@contoso.example", "auth_protocol": "basic"}
    keep(lake, "usage", whose | {"day": NOW.date() - timedelta(days=2), "messages": 7, "report": other})
    keep(lake, "usage", whose | {"day": NOW.date() - timedelta(days=1), "messages": 41, "report": report})

    [found] = ask(lake.connection, RESIDUAL, Window(NOW - RESIDUAL.window, NOW))

    assert found.facts["messages"] == messages
