"""
The alert stage: plan what to say, send what is due, note how it went.

Planning reads and writes under the writer lock, so two runs never say the same thing twice. Sending is done by one
run at a time. A channel that fails never stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from filelock import FileLock, Timeout

from alerts.decide import Reason, Sent, decide
from alerts.group import Group, group
from alerts.message import Message
from alerts.outbox import Pending, delivered, failed, intent, last_sent, pending
from alerts.render import render
from pipeline.errors import DeliveryError, SettingsError
from pipeline.lake import Lake
from queries.history import latest
from queries.senders import facts_of

UNSAID = frozenset({"info"})
"""Severities of findings that are there to be looked up, and wake nobody."""

Send = Callable[[Message], None]
"""A channel with its settings and client handed in; raises DeliveryError unless the message was taken."""


@dataclass(slots=True)
class Outcome:
    """What one run of the alert stage did; `answers` has why each channel took nothing, '' where it took a message."""

    intended: int = 0
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    errors: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)


def plan(
    lake: Lake, channels: Sequence[str], now: datetime, remind_after: timedelta, internal_domains: Sequence[str] = ()
) -> int:
    """Commit the intent of each message that is due on each of `channels`; return how many there are."""
    with lake.writing():
        last = last_sent(lake)
        due = [
            (channel, _about(each, reason, last.get((channel, each.thread))), reason)
            for each in group(noted for noted in latest(lake) if noted.severity not in UNSAID)
            for channel in channels
            if (reason := decide(each.firing, last.get((channel, each.thread)), now, remind_after))
        ]
        facts = facts_of(
            lake,
            [
                noted
                for each in {each.thread: each for _, each, _ in due}.values()
                for noted in each.findings
                if noted.sender
            ],
            internal_domains,
        )
        messages: dict[tuple[str, Reason], Message] = {}
        for _, each, reason in due:
            messages.setdefault((each.thread, reason), render(each, reason, facts, now))
        lake.insert(
            "notifications",
            [_intent(channel, each, messages[each.thread, reason], now) for channel, each, reason in due],
        )
    return len(due)


def _about(each: Group, reason: Reason, last: Sent | None) -> Group:
    """Return the findings that a message is about: all that is known, or what was said when it is over."""
    spoken = each.spoken_of(last.firing) if reason is Reason.RESOLVED and last else each
    return spoken if spoken.findings else each


def _intent(channel: str, each: Group, message: Message, now: datetime) -> dict[str, object]:
    return intent(channel, message, each.firing, now)


def dispatch(
    lake: Lake,
    channels: Mapping[str, Send],
    now: Callable[[], datetime],
    jitter: Callable[[], float],
    is_stopped: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Send what is due on `channels` until `is_stopped`, and note each outcome at once."""
    outcome = Outcome()
    with _sending_alone(lake) as is_alone:
        if not is_alone:
            return outcome
        for each in pending(lake, now()):
            if is_stopped():
                break
            if each.channel in channels:
                _send(lake, each, channels[each.channel], outcome, now, jitter)
    return outcome


def _send(
    lake: Lake, each: Pending, send: Send, outcome: Outcome, now: Callable[[], datetime], jitter: Callable[[], float]
) -> None:
    try:
        send(each.message)
    except (DeliveryError, SettingsError) as error:
        # A secret that is not there yet is put there by people, so it is tried again.
        refusal = error if isinstance(error, DeliveryError) else DeliveryError(str(error), retry=True)
        row = failed(each, refusal, now(), jitter())
        outcome.answers.setdefault(each.channel, str(error))
        outcome.failed += row["state"] == "failed"
        outcome.dead += row["state"] == "dead"
        if row["state"] == "failed":
            outcome.errors.append(f"channel {each.channel}: {error}")
    else:
        row = delivered(each, now())
        outcome.answers[each.channel] = ""
        outcome.delivered += 1
    with lake.writing():
        lake.insert("notifications", [row])


@contextmanager
def _sending_alone(lake: Lake) -> Iterator[bool]:
    lock = FileLock(lake.folder / "outbox.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
