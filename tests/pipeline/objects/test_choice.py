from __future__ import annotations

from datetime import timedelta

from pipeline.objects.bookmark import Bookmark
from pipeline.objects.choice import chosen, in_order
from tests.pipeline.objects.test_bookmark import BEGIN, DAY, stored

HOUR = timedelta(hours=1)


def test_objects_come_by_time_and_then_by_name() -> None:
    objects = [stored("b", BEGIN), stored("c", BEGIN - HOUR), stored("a", BEGIN)]

    ordered = in_order(objects)

    assert [each.key for each in ordered] == ["c", "a", "b"]


def test_the_live_part_of_a_log_comes_behind_its_rotated_ones() -> None:
    objects = [
        stored("relay/mail.log", BEGIN),
        stored("relay/mail.log-20261201.gz", BEGIN + HOUR),
        stored("relay/mail.log-20261130.gz", BEGIN - DAY),
        stored("other/mail.log", BEGIN + timedelta(minutes=1)),
    ]

    ordered = in_order(objects)

    assert [each.key for each in ordered] == [
        "relay/mail.log-20261130.gz",
        "other/mail.log",
        "relay/mail.log-20261201.gz",
        "relay/mail.log",
    ]


def test_the_mark_stays_behind_what_waits_for_its_turn() -> None:
    live, rotated = stored("mail.log", BEGIN), stored("mail.log.1", BEGIN + 3 * DAY)
    later = stored("x", BEGIN + 4 * DAY)

    turns = list(chosen([live, rotated, later], Bookmark("b", DAY), BEGIN, lambda _: True).in_turn())

    assert turns == [(rotated, live.modified), (live, later.modified), (later, later.modified)]


def test_only_the_oldest_of_very_many_are_kept() -> None:
    objects = (stored(f"{number}", BEGIN + number * HOUR) for number in reversed(range(100)))

    choice = chosen(objects, Bookmark("b", DAY), BEGIN, lambda _: True, batch=3)

    assert [each.key for each in choice.new] == ["0", "1", "2"]
    assert (choice.is_all, choice.listed, choice.newest) == (False, 100, BEGIN + 99 * HOUR)


def test_nothing_new_takes_no_turn() -> None:
    assert list(chosen([], Bookmark("b", DAY), BEGIN, lambda _: True).in_turn()) == []
