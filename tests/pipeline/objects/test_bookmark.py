from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.objects.bookmark import MOST_FOLLOWED, MOST_LOGS, MOST_ODD, SEGMENT, Bookmark
from pipeline.objects.listing import Stored

BEGIN = datetime(2026, 12, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def stored(key: str, at: datetime = BEGIN, size: int = 1, tag: str | None = None) -> Stored:
    return Stored.of({"path": key, "last_modified": at, "size": size, "e_tag": tag, "version": None})


def read(bookmark: Bookmark, each: Stored, log: str | None = None) -> None:
    bookmark.note_read(each.key, [each.id], {log: "postfix"} if log else {}, each.modified)
    bookmark.advance(each.modified)


def again(bookmark: Bookmark) -> Bookmark:
    return Bookmark.at(json.loads(json.dumps(bookmark.position())), bookmark.of, bookmark.overlap)


@pytest.mark.parametrize("at_once", [False, True], ids=["over many days", "all on one day"])
def test_the_position_does_not_grow_with_the_bucket(*, at_once: bool) -> None:
    bookmark = Bookmark("bucket", DAY)
    sizes = []
    for number in range(12_000):
        moment = BEGIN + (timedelta() if at_once else number * timedelta(minutes=5))
        each = stored(f"2026/{number}-uuid.log", moment)
        read(bookmark, each, log=each.key)
        bookmark.note_files(each.key, {"a name": {"mtime_ns": number, "path": each.key, "offset": 1}})
        closed = [log for log, _ in bookmark.over()]
        if number >= 4_000 and number % 4_000 == 0:
            assert closed
            sizes.append((len(bookmark.position()), len(json.dumps(bookmark.position()))))

    entries = MOST_FOLLOWED + MOST_LOGS + 12_000 / SEGMENT + 10
    assert all(count <= entries for count, _ in sizes)
    if not at_once:
        assert sizes[-1][1] < 1.05 * sizes[0][1]


def test_what_was_read_is_not_new_and_what_changed_or_is_near_the_mark_is() -> None:
    bookmark = Bookmark("bucket", DAY)
    read(bookmark, stored("a", BEGIN))
    read(bookmark, stored("b", BEGIN + 2 * DAY))

    kept = again(bookmark)

    now = BEGIN + 3 * DAY
    assert not kept.is_new(stored("a", BEGIN), now)
    assert not kept.is_new(stored("b", BEGIN + 2 * DAY), now)
    assert kept.is_new(stored("b", BEGIN + 2 * DAY, size=2), now)
    assert kept.is_new(stored("late", BEGIN + DAY + timedelta(seconds=1)), now)
    assert not kept.is_new(stored("too late", BEGIN + DAY), now)


@pytest.mark.parametrize("tag", ['"0x8DE"', "0x8DE", 'W/"0x8DE"'])
def test_a_tag_is_the_same_however_it_is_quoted_and_then_the_time_says_nothing(tag: str) -> None:
    one, other = stored("a", BEGIN, tag="0x8DE"), stored("a", BEGIN + DAY, tag=tag)

    assert one.id == other.id


def test_a_position_about_another_bucket_counts_for_nothing() -> None:
    bookmark = Bookmark("one", DAY)
    read(bookmark, stored("a"))

    other = Bookmark.at(bookmark.position(), "other", DAY)

    assert other.mark is None
    assert other.is_new(stored("a"), BEGIN)


def test_a_log_whose_objects_stop_is_over_after_a_week_and_one_that_goes_on_is_not() -> None:
    bookmark = Bookmark("bucket", DAY)
    read(bookmark, stored("old.log"), log="old.log")
    read(bookmark, stored("mail.log.1"), log="mail.log")
    read(bookmark, stored("mail.log", BEGIN + 7 * DAY), log="mail.log")
    before = list(bookmark.over())
    read(bookmark, stored("other.log", BEGIN + 9 * DAY), log="other.log")

    over = list(again(bookmark).over())

    assert before == []
    assert over == [("old.log", "postfix")]


def test_what_cannot_be_read_is_tried_again_however_old_it_becomes() -> None:
    bookmark = Bookmark("bucket", DAY)
    bookmark.note_unread("large.log", "is too large")
    bookmark.advance(BEGIN + 90 * DAY)

    kept = again(bookmark)

    assert kept.is_new(stored("large.log", BEGIN), BEGIN + 90 * DAY)
    for number in range(MOST_ODD + 10):
        kept.note_unread(f"{number}.log", "is too large")
    assert len(kept.unread) == MOST_ODD


def test_what_has_not_changed_is_the_same_object_in_the_next_position() -> None:
    bookmark = Bookmark("bucket", DAY)
    for number in range(SEGMENT + 1):
        read(bookmark, stored(f"{number}.log"))
    before = bookmark.position()
    read(bookmark, stored("one more.log"))

    after = bookmark.position()

    assert after["read 1"] is before["read 1"]
    assert after["read 2"] is not before["read 2"]
    assert len(before["read 2"]["ids"]) == 1
