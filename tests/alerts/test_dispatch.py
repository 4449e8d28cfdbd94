"""The alert stage on a real lake: what is intended, sent, tried again, given up, and never said twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from alerts.dispatch import dispatch, plan
from alerts.message import Message
from alerts.outbox import FIRST_WAIT, GIVE_UP_AFTER, LONGEST_WAIT, pending, wait_before, waiting
from pipeline.errors import DeliveryError, SettingsError
from pipeline.lake import Lake
from queries.detect import detect
from queries.detection import detection
from tests.conftest import NOW, counts, keep

DAY = timedelta(days=1)
REFUSED = {
    "sender": "scanner@contoso.example",
    "kind": "try",
    "outcome": "rejected",
    "reply_class": "basic_retired",
    "queue_id": "A1",
}
ACCEPTED = REFUSED | {"outcome": "accepted", "reply_class": "accepted", "queue_id": "A2", "event_time": "1h"}


@dataclass
class Receiver:
    """Takes messages, or raises what it was told to raise first."""

    answers: list[Exception] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def __call__(self, message: Message) -> None:
        self.seen.append(message.id)
        if self.answers:
            raise self.answers.pop(0)
        self.taken.append(message)


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def run(lake: Lake, receivers: dict[str, Receiver], now: datetime) -> None:
    for id in ("basic_auth_refused", "smtp_auth_off_tenant"):
        detect(lake, detection(id), now)
    plan(lake, list(receivers), now, DAY)
    dispatch(lake, receivers, at(now), lambda: 0.5)


def test_a_refused_sender_is_said_once_on_each_channel(lake: Lake) -> None:
    mail, teams = Receiver(), Receiver()
    keep(lake, "deliveries", REFUSED)

    run(lake, {"mail": mail, "teams": teams}, NOW)
    before = counts(lake)
    run(lake, {"mail": mail, "teams": teams}, NOW + timedelta(minutes=5))

    assert [message.title for message in mail.taken] == [
        "scanner@contoso.example is refused: Basic authentication is off"
    ]
    assert len(teams.taken) == 1
    assert counts(lake) == before


def test_ids_differ_between_channels_and_stay_on_a_retry(lake: Lake) -> None:
    mail = Receiver(answers=[DeliveryError("busy", retry=True)])
    teams = Receiver()
    keep(lake, "deliveries", REFUSED)

    run(lake, {"mail": mail, "teams": teams}, NOW)
    run(lake, {"mail": mail, "teams": teams}, NOW + timedelta(minutes=5))

    assert len(mail.taken) == 1
    assert len(set(mail.seen)) == 1
    assert mail.seen[0] != teams.seen[0]


def test_one_failing_channel_never_stops_the_other(lake: Lake) -> None:
    broken, teams = Receiver(answers=[DeliveryError("gone", retry=False)]), Receiver()
    keep(lake, "deliveries", REFUSED)

    run(lake, {"mail": broken, "teams": teams}, NOW)

    assert len(teams.taken) == 1
    assert [(row["channel"], row["state"]) for row in waiting(lake)] == [("mail", "dead")]


def test_each_channel_that_was_asked_has_an_answer_and_one_message_taken_is_enough(lake: Lake) -> None:
    mail, teams = Receiver(answers=[DeliveryError("gone", retry=False)]), Receiver(answers=[DeliveryError("busy")] * 2)
    keep(lake, "deliveries", REFUSED, REFUSED | {"sender": "erp@contoso.example"})
    detect(lake, detection("basic_auth_refused"), NOW)
    plan(lake, ["mail", "teams", "idle"], NOW, DAY)

    outcome = dispatch(lake, {"mail": mail, "teams": teams}, at(NOW), lambda: 0.5)

    assert outcome.answers == {"mail": "", "teams": "busy"}


def test_asked_to_stop_it_stops_between_two_messages(lake: Lake) -> None:
    mail = Receiver()
    keep(lake, "deliveries", REFUSED, REFUSED | {"sender": "erp@contoso.example"})
    detect(lake, detection("basic_auth_refused"), NOW)
    plan(lake, ["mail"], NOW, DAY)

    dispatch(lake, {"mail": mail}, at(NOW), lambda: 0.5, lambda: bool(mail.taken))
    assert len(mail.taken) == 1

    dispatch(lake, {"mail": mail}, at(NOW), lambda: 0.5)
    assert len(set(mail.seen)) == 2


def test_a_message_that_was_refused_for_good_is_not_tried_again(lake: Lake) -> None:
    broken = Receiver(answers=[DeliveryError("gone", retry=False)])
    keep(lake, "deliveries", REFUSED)

    run(lake, {"mail": broken}, NOW)
    run(lake, {"mail": broken}, NOW + timedelta(hours=7))

    assert len(broken.seen) == 1


def test_a_missing_secret_is_tried_again_because_people_put_it_there(lake: Lake) -> None:
    receiver = Receiver(answers=[SettingsError("the file is not there")])
    keep(lake, "deliveries", REFUSED)

    run(lake, {"mail": receiver}, NOW)
    run(lake, {"mail": receiver}, NOW + timedelta(minutes=5))

    assert len(receiver.taken) == 1


def test_the_receiver_says_how_long_to_wait(lake: Lake) -> None:
    receiver = Receiver(answers=[DeliveryError("slow down", retry=True, after_s=3_600)])
    keep(lake, "deliveries", REFUSED)

    run(lake, {"teams": receiver}, NOW)
    run(lake, {"teams": receiver}, NOW + timedelta(minutes=59))
    assert receiver.taken == []

    run(lake, {"teams": receiver}, NOW + timedelta(minutes=61))
    assert len(receiver.taken) == 1


def test_after_days_a_message_is_given_up_and_says_so(lake: Lake) -> None:
    receiver = Receiver(answers=[DeliveryError("busy", retry=True)] * 50)
    keep(lake, "deliveries", REFUSED)

    run(lake, {"mail": receiver}, NOW)
    dispatch(lake, {"mail": receiver}, at(NOW + GIVE_UP_AFTER + timedelta(minutes=1)), lambda: 0.5)

    assert [row["state"] for row in waiting(lake)] == ["dead"]


def test_it_is_said_when_it_is_over_and_only_then(lake: Lake) -> None:
    receiver = Receiver()
    keep(lake, "deliveries", REFUSED)
    run(lake, {"mail": receiver}, NOW)

    run(lake, {"mail": receiver}, NOW + timedelta(hours=20))
    assert len(receiver.taken) == 1

    keep(lake, "deliveries", ACCEPTED)
    run(lake, {"mail": receiver}, NOW + timedelta(hours=21))

    assert [message.reason for message in receiver.taken] == ["new", "over"]
    assert receiver.taken[0].thread == receiver.taken[1].thread
    assert "accepted" in receiver.taken[1].summary


def test_two_problems_of_one_sender_are_one_message(lake: Lake) -> None:
    receiver = Receiver()
    keep(lake, "deliveries", REFUSED, REFUSED | {"reply_class": "smtpauth_off_tenant"})

    run(lake, {"mail": receiver}, NOW)

    [message] = receiver.taken
    assert message.title.endswith("(and 1 more)")
    assert len(message.data["findings"]) == 2


def test_a_late_finding_is_said_and_called_late(lake: Lake) -> None:
    receiver = Receiver()
    keep(lake, "deliveries", REFUSED | {"event_time": "-6h"})

    run(lake, {"mail": receiver}, NOW)

    assert "This message is late" in receiver.taken[0].summary
    assert "6 h" in receiver.taken[0].summary


def test_the_intent_is_committed_before_the_send(lake: Lake) -> None:
    keep(lake, "deliveries", REFUSED)
    detect(lake, detection("basic_auth_refused"), NOW)

    plan(lake, ["mail"], NOW, DAY)

    assert [each.channel for each in pending(lake, NOW)] == ["mail"]


def test_two_plans_at_once_say_the_same_thing_once(lake: Lake) -> None:
    keep(lake, "deliveries", REFUSED)
    detect(lake, detection("basic_auth_refused"), NOW)

    assert [plan(lake, ["mail"], NOW, DAY), plan(lake, ["mail"], NOW, DAY)] == [1, 0]


@pytest.mark.parametrize("attempt", range(1, 40))
@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_waits_grow_with_jitter_up_to_a_bound(attempt: int, jitter: float) -> None:
    wait = wait_before(attempt, None, jitter)

    assert FIRST_WAIT / 2 <= wait <= LONGEST_WAIT + FIRST_WAIT


def test_a_message_survives_the_outbox_whole(lake: Lake) -> None:
    keep(lake, "deliveries", REFUSED)
    detect(lake, detection("basic_auth_refused"), NOW)
    plan(lake, ["mail"], NOW, DAY)

    [stored] = pending(lake, NOW)

    assert Message.from_json(stored.message.to_json()) == stored.message
    assert dict(stored.message.facts)["Sender"] == "scanner@contoso.example"
    assert stored.message.hint.startswith("### What it means")


def test_over_waits_until_the_refusal_was_taken(lake: Lake) -> None:
    receiver = Receiver(answers=[DeliveryError("down", retry=True)])
    keep(lake, "deliveries", REFUSED)
    run(lake, {"teams": receiver}, NOW)

    keep(lake, "deliveries", ACCEPTED | {"event_time": "1m"})
    run(lake, {"teams": receiver}, NOW + timedelta(minutes=2))
    run(lake, {"teams": receiver}, NOW + timedelta(minutes=4))

    assert [message.reason for message in receiver.taken] == ["new", "over"]


def test_a_reminder_does_not_call_itself_late(lake: Lake) -> None:
    receiver = Receiver()
    keep(lake, "deliveries", REFUSED | {"event_time": "-6h"})

    run(lake, {"mail": receiver}, NOW)
    run(lake, {"mail": receiver}, NOW + timedelta(days=1))

    assert ["late" in message.summary for message in receiver.taken] == [True, False]
    assert receiver.taken[1].reason == "still open"


def test_over_names_what_was_said_and_not_what_ended_long_ago(lake: Lake) -> None:
    receiver = Receiver()
    keep(lake, "deliveries", REFUSED | {"event_time": "-9m"}, ACCEPTED | {"event_time": "-8m"})
    run(lake, {"mail": receiver}, NOW)
    assert receiver.taken == []

    keep(lake, "deliveries", REFUSED | {"reply_class": "smtpauth_off_tenant", "queue_id": "B1", "event_time": "-5m"})
    run(lake, {"mail": receiver}, NOW)
    keep(lake, "deliveries", ACCEPTED | {"queue_id": "B2", "event_time": "-1m"})
    run(lake, {"mail": receiver}, NOW + timedelta(minutes=1))

    assert [message.reason for message in receiver.taken] == ["new", "over"]
    assert "SMTP AUTH is switched off" in receiver.taken[1].title
    assert len(receiver.taken[1].data["findings"]) == 1
