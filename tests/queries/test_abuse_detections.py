"""Attacks, opened switches and limits on a real lake, cycle by cycle: what opens, what stays open, and what ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pipeline.lake import Lake
from queries.detect import detect
from queries.detection import detection
from queries.history import Noted, latest
from tests.conftest import NOW, keep

HOUR = timedelta(hours=1)
GUESS: dict[str, Any] = {
    "client_ip": "203.0.113.9",
    "service": "exchange_online",
    "auth_protocol": "basic",
    "outcome": "rejected",
    "error_code": "50126",
    "source": "entra",
}
LOG_IN = GUESS | {"client_ip": "192.0.2.7", "outcome": "accepted", "error_code": "0"}


def asked(lake: Lake, name: str, hours: float = 0) -> list[Noted]:
    """Ask the detection so many hours after NOW, and return the latest words on what it found."""
    detect(lake, detection(name), NOW + hours * HOUR)
    return latest(lake, detection(name).id)


def read_until(lake: Lake, hours: float) -> None:
    """Note that the sign-ins were read up to so many hours after NOW."""
    moment = NOW + hours * HOUR
    with lake.writing():
        lake.connection.execute("DELETE FROM feeds")
        row = {"source": "entra", "table": "signins", "newest_at": moment, "complete_until": moment}
        lake.insert("feeds", [row | {"is_export": False, "noted_at": moment}])


def test_a_spray_ends_by_a_quiet_day_that_was_read_and_not_by_silence(lake: Lake) -> None:
    keep(lake, "signins", *(GUESS | {"user": f"u{number}@contoso.example"} for number in range(12)))
    [opened] = asked(lake, "smtp_auth_spray")
    keep(lake, "signins", LOG_IN | {"user": "nas@contoso.example", "event_time": "30h"})
    read_until(lake, 2)
    [unread] = asked(lake, "smtp_auth_spray", 31)
    keep(lake, "signins", LOG_IN | {"user": "nas@contoso.example", "event_time": "31h"})
    read_until(lake, 31)
    [quiet] = asked(lake, "smtp_auth_spray", 32)

    assert opened.is_open
    assert opened.facts["accounts"] == 12
    assert unread.is_open
    assert not quiet.is_open
    assert "everything of that day was read" in quiet.because


def test_tries_that_go_on_stay_one_finding(lake: Lake) -> None:
    for hours in (0, 20, 40):
        keep(lake, "signins", *(GUESS | {"user": "erp@contoso.example", "event_time": f"{hours}h"} for _ in range(40)))
        read_until(lake, hours)
        asked(lake, "smtp_auth_brute_force", hours + 1)

    assert [noted.is_open for noted in latest(lake, detection("smtp_auth_brute_force").id)] == [True]


def test_a_device_with_a_wrong_password_where_it_always_was_is_no_attack(lake: Lake) -> None:
    keep(lake, "signins", LOG_IN | {"user": "nas@contoso.example", "event_time": "-9d"})
    keep(lake, "signins", *(GUESS | {"client_ip": "192.0.2.7", "user": "nas@contoso.example"} for _ in range(200)))

    assert asked(lake, "smtp_auth_brute_force") == []


def test_a_log_in_from_a_new_network_is_found_and_more_of_the_same_is_no_second_one(lake: Lake) -> None:
    usual = [LOG_IN | {"user": "scan@contoso.example", "event_time": f"-{day}d"} for day in range(1, 41)]
    keep(lake, "signins", *usual)
    before = asked(lake, "basic_from_new_network")
    for hours in (1, 3):
        stranger = {"user": "scan@contoso.example", "client_ip": "203.0.113.9", "event_time": f"{hours}h"}
        keep(lake, "signins", LOG_IN | stranger)
        asked(lake, "basic_from_new_network", hours + 1)

    assert before == []
    [noted] = latest(lake, detection("basic_from_new_network").id)
    assert noted.is_open
    assert noted.sender == "scan@contoso.example"
    assert (noted.facts["network"], noted.facts["log_ins"]) == ("203.0.113.0/24", 2)


def test_a_switch_that_is_opened_ends_when_an_export_shows_it_closed(lake: Lake) -> None:
    switch = {"scope": "mailbox", "name": "scan@contoso.example"}
    keep(lake, "exposure", switch | {"smtp_auth_disabled": True, "seen_at": "-48h"})
    before = asked(lake, "basic_reenabled")
    keep(lake, "exposure", switch | {"smtp_auth_disabled": False, "seen_at": "-1h"})
    [opened] = asked(lake, "basic_reenabled")
    keep(lake, "exposure", switch | {"smtp_auth_disabled": False, "seen_at": "23h"})
    [still] = asked(lake, "basic_reenabled", 24)
    keep(lake, "exposure", switch | {"smtp_auth_disabled": True, "seen_at": "47h"})
    [closed] = asked(lake, "basic_reenabled", 48)

    assert before == []
    assert opened.is_open
    assert still.is_open
    assert not closed.is_open


def test_a_sender_beyond_its_limits_stays_open_between_two_bursts(lake: Lake) -> None:
    mail = {"sender": "erp@contoso.example", "outcome": "accepted", "reply_class": "accepted"}
    keep(lake, "deliveries", mail | {"outcome": "rejected", "reply_class": "quota", "event_time": "-1h"})
    [opened] = asked(lake, "submission_limits")
    keep(lake, "deliveries", mail | {"event_time": "1h"})
    [between] = asked(lake, "submission_limits", 2)
    keep(lake, "deliveries", mail | {"event_time": "24h"})
    [kept] = asked(lake, "submission_limits", 25)

    assert opened.is_open
    assert between.is_open
    assert not kept.is_open
