"""Queues, lost mail, refusals in part and recoveries on a real lake, cycle by cycle: what opens, what ends, when."""

from __future__ import annotations

from datetime import timedelta

from pipeline.lake import Lake
from queries.detect import detect
from queries.detection import detection
from queries.history import Noted, latest
from tests.conftest import NOW, keep

HOUR = timedelta(hours=1)
WAITING = {
    "sender": "scan@contoso.example",
    "log_host": "relay01",
    "queue_id": "A1",
    "recipient": "ops@contoso.example",
    "outcome": "deferred",
    "reply_class": "basic_retired",
}
ACCEPTED = WAITING | {"outcome": "accepted", "reply_class": "accepted"}
REFUSED = WAITING | {"outcome": "rejected"}


def asked(lake: Lake, name: str, hours: float = 0) -> Noted:
    """Ask the detection so many hours after NOW, and return the latest word on the one thing that it found."""
    detect(lake, detection(name), NOW + hours * HOUR)
    [noted] = latest(lake, detection(name).id)
    return noted


def test_a_queue_stays_open_through_silence_and_ends_when_the_last_mail_is_accepted(lake: Lake) -> None:
    keep(lake, "deliveries", WAITING | {"event_time": "-2h"}, WAITING | {"queue_id": "A2", "event_time": "-1h"})
    opened = asked(lake, "rescuable_queue")
    keep(lake, "deliveries", {"log_host": "other", "outcome": "accepted", "event_time": "30h"})
    silent = asked(lake, "rescuable_queue", 31)
    keep(lake, "deliveries", ACCEPTED | {"event_time": "32h"})
    half = asked(lake, "rescuable_queue", 33)
    keep(lake, "deliveries", ACCEPTED | {"queue_id": "A2", "event_time": "34h"})
    done = asked(lake, "rescuable_queue", 35)

    assert opened.facts["mails"] == 2
    assert silent.is_open
    assert half.is_open
    assert not done.is_open
    assert done.because == "all mail that waited was accepted: 2"


def test_the_time_until_which_mail_can_be_saved_does_not_move_while_the_relay_tries_for_days(lake: Lake) -> None:
    told = []
    for hours in (0, 20, 40, 60):
        keep(lake, "deliveries", WAITING | {"event_time": f"{hours - 1}h"})
        told.append(asked(lake, "rescuable_queue", hours).facts["can_be_saved_until"])

    assert set(told) == {str(NOW - HOUR + timedelta(days=5))}


def test_a_backfill_of_a_queue_that_is_long_empty_leaves_nothing_open(lake: Lake) -> None:
    keep(lake, "deliveries", WAITING | {"event_time": "-90d"}, ACCEPTED | {"event_time": "-88d"})

    assert not asked(lake, "rescuable_queue").is_open


def test_a_queue_that_fills_again_is_a_new_episode(lake: Lake) -> None:
    keep(lake, "deliveries", WAITING | {"event_time": "-3h"})
    asked(lake, "rescuable_queue")
    keep(lake, "deliveries", ACCEPTED | {"event_time": "-2h"})
    first = asked(lake, "rescuable_queue")
    keep(lake, "deliveries", WAITING | {"queue_id": "B1", "event_time": "-1h"})
    second = asked(lake, "rescuable_queue")

    assert not first.is_open
    assert second.is_open
    assert second.facts["mails"] == 1


def test_lost_mail_ends_by_a_later_acceptance_and_stays_in_the_history(lake: Lake) -> None:
    keep(lake, "deliveries", REFUSED | {"event_time": "-2h"})
    lost = asked(lake, "lost_mail")
    keep(lake, "deliveries", ACCEPTED | {"queue_id": "A9", "event_time": "-1h"})
    over = asked(lake, "lost_mail")

    assert lost.is_open
    assert not over.is_open
    assert over.facts["mails"] == 1
    assert "what was lost stays lost" in over.because


def test_a_sender_that_goes_to_and_fro_is_one_finding_until_it_is_steady_for_a_day(lake: Lake) -> None:
    to_and_fro = [(REFUSED if hours % 2 else ACCEPTED) | {"event_time": f"{hours}h"} for hours in range(-9, 0)]
    keep(lake, "deliveries", *to_and_fro)
    opened = asked(lake, "partial_refusal")
    keep(lake, "deliveries", ACCEPTED | {"queue_id": "Q0", "event_time": "1h"})
    after_one = asked(lake, "partial_refusal", 2)
    keep(lake, "deliveries", ACCEPTED | {"queue_id": "Q1", "event_time": "24h"})
    after_a_day = asked(lake, "partial_refusal", 25)

    assert opened.is_open
    assert after_one.is_open
    assert not after_a_day.is_open


def test_the_cutover_and_its_mend_are_no_refusal_in_part(lake: Lake) -> None:
    moves = [ACCEPTED] * 4 + [REFUSED] * 4 + [ACCEPTED] * 4
    keep(lake, "deliveries", *(row | {"event_time": f"{number - 12}h"} for number, row in enumerate(moves)))

    detect(lake, detection("partial_refusal"), NOW)

    assert latest(lake) == []


def test_a_recovery_is_written_down_once_and_nothing_stays_open(lake: Lake) -> None:
    again = [ACCEPTED | {"queue_id": f"B{hours}", "event_time": f"-{hours}h"} for hours in (8, 7, 6)]
    keep(lake, "deliveries", REFUSED | {"event_time": "-9h"}, *again)
    recorded = asked(lake, "refused_then_recovered")
    keep(lake, "deliveries", ACCEPTED | {"queue_id": "B9", "event_time": "1h"})
    later = detect(lake, detection("refused_then_recovered"), NOW + 2 * HOUR)

    assert not recorded.is_open
    assert recorded.over_at == NOW - 8 * HOUR
    assert recorded.facts["mails_never_accepted"] == 1
    assert (later.opened, later.changed, later.ended) == (0, 0, 0)


def test_a_second_refusal_and_recovery_is_written_down_as_another(lake: Lake) -> None:
    for days in (6, 3):
        refused = REFUSED | {"queue_id": f"R{days}", "event_time": f"-{days}d"}
        accepted = [ACCEPTED | {"queue_id": f"S{days}{n}", "event_time": f"-{days * 24 - n}h"} for n in (1, 2)]
        keep(lake, "deliveries", refused, *accepted)
        detect(lake, detection("refused_then_recovered"), NOW - timedelta(days=days) + 3 * HOUR)

    episodes = lake.one("SELECT count(DISTINCT episode) FROM findings")

    assert episodes == 2


def test_rejects_stay_until_the_source_brings_lines_that_can_be_read(lake: Lake) -> None:
    read = {"source": "relay", "format": "log", "origin": "/var/log/mail.log", "lines": 100, "rejects": 60}
    lake_read(lake, read, -1)
    opened = asked(lake, "rejects_rising")
    silent = asked(lake, "rejects_rising", 40)
    lake_read(lake, read | {"rejects": 0}, 41)
    mended = asked(lake, "rejects_rising", 42)

    assert opened.is_open
    assert silent.is_open
    assert not mended.is_open


def test_a_clock_an_hour_ahead_is_found_though_its_lines_are_in_the_future(lake: Lake) -> None:
    early = {"log_host": "relay01", "source": "mail", "event_time": "60m", "ingested_at": "0m", "outcome": "accepted"}
    keep(lake, "deliveries", *(early | {"queue_id": f"A{n}"} for n in range(3)))
    ahead = asked(lake, "clock_wrong")
    keep(lake, "deliveries", early | {"event_time": "3h", "ingested_at": "3h"})
    mended = asked(lake, "clock_wrong", 3.1)

    assert ahead.is_open
    assert ahead.facts["minutes"] == 60
    assert ahead.last_seen == NOW
    assert not mended.is_open


def test_an_unknown_answer_stays_open_until_its_senders_get_in(lake: Lake) -> None:
    odd = REFUSED | {
        "reply_class": "unknown",
        "reply_code": 550,
        "reply_text": "550 5.9.9 No more [A.PROD.OUTLOOK.COM]",
    }
    keep(lake, "deliveries", odd | {"event_time": "-2h"})
    opened = asked(lake, "unknown_replies")
    silent = asked(lake, "unknown_replies", 40)
    keep(lake, "deliveries", ACCEPTED | {"queue_id": "B1", "event_time": "41h"})
    over = asked(lake, "unknown_replies", 42)

    assert opened.facts["words"] == "550 5.9.9 No more"
    assert silent.is_open
    assert not over.is_open


def lake_read(lake: Lake, row: dict[str, object], hours: float) -> None:
    with lake.writing():
        lake.insert("reads", [row | {"read_at": NOW + hours * HOUR}])
