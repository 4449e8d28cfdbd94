from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import following
from pipeline.following import paths_of, pull
from pipeline.model import Notice, Pulled
from pipeline.recognise import Recognise, always, recognise
from pipeline.sources.files import Settings, check, pull_of

SAMPLES = Path(__file__).parents[3] / "sample_data"
EXPORT = (SAMPLES / "smtp_auth_report" / "eac_export.csv").read_bytes()


def lines(start: int, end: int, name: str = "relay01") -> bytes:
    return b"".join(b"%s line %06d\n" % (name.encode(), number) for number in range(start, end))


@dataclass
class Follower:
    """Stands where the service stands: it keeps the position between two pulls, as the JSON that the lake stores."""

    patterns: tuple[str, ...]
    recognised: Recognise = field(default_factory=lambda: always("postfix"))
    position: dict[str, Any] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    pulled: list[Pulled] = field(default_factory=list)

    def pull(self, *, to_the_end: bool = False) -> bytes:
        """Return the bytes that are new, all files together."""
        self.notices, self.pulled = [], []
        for found in pull(paths_of(self.patterns), self.position, self.recognised, UTC, to_the_end=to_the_end):
            if isinstance(found, Notice):
                self.notices.append(found)
            else:
                self.pulled.append(found)
        if self.pulled:
            self.position = json.loads(json.dumps(self.pulled[-1].position))
        return b"".join(found.chunk.body for found in self.pulled)

    @property
    def sentences(self) -> str:
        return "\n".join(f"{Path(notice.origin).name} {notice.sentence}" for notice in self.notices)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "mail.log"


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    return Follower((f"{tmp_path}/mail.log*",))


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


def pack(path: Path, to: Path) -> None:
    to.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()


def test_reading_goes_on_where_it_stopped(log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 100))
    first = follower.pull()
    append(log, lines(100, 150))

    second = follower.pull()

    assert first == lines(0, 100)
    assert second == lines(100, 150)
    assert follower.pulled[0].chunk.offset == len(lines(0, 100))


def test_nothing_new_brings_nothing(log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()

    follower.pull()

    assert follower.pulled == []
    assert follower.notices == []


def test_a_chunk_says_where_it_is_from(log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 3))
    os.utime(log, (1_798_700_000, 1_798_700_000))

    follower.pull()

    [found] = follower.pulled
    assert (found.format, found.log, found.chunk.origin) == ("postfix", str(log), str(log))
    assert found.chunk.as_of == datetime.fromtimestamp(1_798_700_000, UTC)
    assert found.chunk.zone is UTC
    assert not found.chunk.is_last


def test_a_partial_last_line_waits_and_comes_when_its_end_is_written(log: Path, follower: Follower) -> None:
    log.write_bytes(b"one\ntwo\nthr")
    first = follower.pull()
    append(log, b"ee\nfo")

    second = follower.pull()

    assert first == b"one\ntwo\n"
    assert second == b"three\n"


def test_a_file_that_holds_only_a_partial_line_brings_nothing_yet(log: Path, follower: Follower) -> None:
    log.write_bytes(b"half a li")
    first = follower.pull()
    append(log, b"ne\n")

    second = follower.pull()

    assert (first, second) == (b"", b"half a line\n")


def test_a_renamed_log_is_read_on_and_the_new_one_begins(tmp_path: Path, log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()
    append(log, lines(100, 110))
    log.rename(tmp_path / "mail.log.1")
    log.write_bytes(lines(110, 200))

    second = follower.pull()
    append(tmp_path / "mail.log.1", b"a late line, for the writer had it still open\n")
    append(log, lines(200, 210))
    third = follower.pull()

    assert second == lines(100, 200)
    assert third == b"a late line, for the writer had it still open\n" + lines(200, 210)
    assert follower.notices == []


def test_both_parts_of_a_rotated_log_belong_to_one_log(tmp_path: Path, log: Path, follower: Follower) -> None:
    (tmp_path / "mail.log.1").write_bytes(lines(0, 50))
    log.write_bytes(lines(50, 100))

    follower.pull()

    assert {found.log for found in follower.pulled} == {str(log)}
    assert [Path(found.chunk.origin).name for found in follower.pulled] == ["mail.log.1", "mail.log"]


@pytest.mark.parametrize("later_name", ["mail.log.1.gz", "mail.log.2.gz", "mail.log-20261230.gz"])
def test_a_log_that_was_packed_while_we_were_down_is_not_read_twice(
    tmp_path: Path, log: Path, follower: Follower, later_name: str
) -> None:
    log.write_bytes(lines(0, 20_000))
    follower.pull()
    append(log, lines(20_000, 20_100))
    pack(log, tmp_path / later_name)
    log.write_bytes(lines(20_100, 20_200))

    second = follower.pull()

    assert second == lines(20_000, 20_200)
    assert follower.pull() == b""


def test_a_part_that_is_packed_after_it_was_read_brings_nothing_and_is_not_unpacked_again(
    tmp_path: Path, log: Path, follower: Follower
) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()
    pack(log, tmp_path / "mail.log.1.gz")

    follower.pull()
    [moved] = follower.pulled
    follower.pull()

    assert moved.chunk.body == b""
    assert str(tmp_path / "mail.log.1.gz") in {entry["path"] for entry in follower.position.values()}
    assert follower.pulled == []


def test_a_part_beside_its_half_written_packed_copy_is_no_gap(tmp_path: Path, log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 20_000))
    follower.pull()
    log.rename(tmp_path / "mail.log.1")
    packed = gzip.compress(lines(0, 20_000))
    (tmp_path / "mail.log.1.gz").write_bytes(packed[: len(packed) // 2])

    while_packing = follower.pull()
    gaps = [notice for notice in follower.notices if notice.is_gap]
    (tmp_path / "mail.log.1.gz").write_bytes(packed)
    (tmp_path / "mail.log.1").unlink()
    after = follower.pull()

    assert (while_packing, after, gaps) == (b"", b"", [])


def test_a_log_that_is_copied_and_truncated_loses_and_doubles_nothing(
    tmp_path: Path, log: Path, follower: Follower
) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()
    append(log, lines(100, 120))
    shutil.copy(log, tmp_path / "mail.log.1")
    log.write_bytes(b"")
    second = follower.pull()
    append(log, lines(120, 220))

    third = follower.pull()

    assert second == lines(100, 120)
    assert third == lines(120, 220)


def test_a_copy_that_is_still_being_written_never_cuts_a_line(tmp_path: Path, log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()
    append(log, lines(100, 120))
    (tmp_path / "mail.log.1").write_bytes(log.read_bytes()[:-7])
    while_copying = follower.pull()
    shutil.copy(log, tmp_path / "mail.log.1")
    log.write_bytes(b"")

    after = follower.pull()

    assert while_copying + after == lines(100, 120)
    assert all(found.chunk.body.endswith(b"\n") for found in follower.pulled if found.chunk.body)


def test_a_log_that_is_truncated_and_begun_anew_is_read_from_its_start(log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()
    log.write_bytes(lines(500, 510))

    assert follower.pull() == lines(500, 510)


def test_a_log_that_lost_its_end_is_read_again_and_that_is_a_gap(log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()
    log.write_bytes(lines(0, 80))

    second = follower.pull()

    assert second == lines(0, 80)
    assert [notice.is_gap for notice in follower.notices] == [True]
    assert "does not hold any more what was read of it" in follower.sentences


def test_a_log_that_begins_as_before_and_has_grown_past_the_old_place_with_other_lines_is_read_again(
    log: Path, follower: Follower
) -> None:
    log.write_bytes(lines(0, 200))
    follower.pull()
    rewritten = lines(0, 100) + lines(900, 1100)
    log.write_bytes(rewritten)

    second = follower.pull()

    assert second == rewritten
    assert [notice.is_gap for notice in follower.notices] == [True]


def test_a_copy_under_another_name_is_left_out_and_said_once(tmp_path: Path, log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 100))
    follower.pull()
    shutil.copy(log, tmp_path / "mail.log.bak")

    second = follower.pull()
    said = follower.sentences
    failures = [notice for notice in follower.notices if notice.is_failure]
    follower.pull()

    assert second == b""
    assert "mail.log.bak holds nothing that" in said
    assert failures == follower.notices == []


def test_an_older_copy_that_comes_first_in_order_never_makes_the_log_be_read_again(tmp_path: Path) -> None:
    follower = Follower((f"{tmp_path}/**/*.log",))
    live, stale = tmp_path / "b" / "mail.log", tmp_path / "a" / "mail.log"
    for path in (live, stale):
        path.parent.mkdir()
    live.write_bytes(lines(0, 100))
    follower.pull()
    stale.write_bytes(lines(0, 60))

    brought = []
    for number in range(100, 105):
        append(live, lines(number, number + 1))
        brought.append(follower.pull())
        assert not [notice for notice in follower.notices if notice.is_gap]

    assert brought == [lines(number, number + 1) for number in range(100, 105)]


def test_a_log_that_goes_on_behind_the_end_of_its_copy_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(lines(0, 60))
    (tmp_path / "b.log").write_bytes(lines(0, 100))
    follower = Follower((f"{tmp_path}/*.log",))

    assert follower.pull() == lines(0, 100)


def test_two_logs_that_begin_alike_and_then_differ_are_both_read(tmp_path: Path) -> None:
    header = b"#" * 2_000 + b"\n"
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_bytes(header + lines(0, 50, "one"))
    second.write_bytes(header + lines(0, 30, "two"))
    follower = Follower((f"{tmp_path}/*.log",))

    both = follower.pull()
    append(first, lines(50, 60, "one"))
    append(second, lines(30, 60, "two"))
    later = follower.pull()

    assert both == header + lines(0, 50, "one") + header + lines(0, 30, "two")
    assert later == lines(50, 60, "one") + lines(30, 60, "two")
    assert follower.pull() == b""


def test_a_short_file_keeps_its_identity_while_it_grows(log: Path, follower: Follower) -> None:
    identities = []
    for number in range(0, 200, 5):
        append(log, lines(number, number + 5))
        assert follower.pull() == lines(number, number + 5)
        identities.append(follower.pulled[0].chunk.identity)

    assert len(set(identities)) == 1
    assert follower.notices == []


def test_a_log_that_was_short_at_first_sight_is_not_taken_for_another_with_the_same_header(tmp_path: Path) -> None:
    header = b"#Software: Microsoft Exchange Server\n"
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_bytes(header)
    follower = Follower((f"{tmp_path}/*.log",))
    follower.pull()
    append(first, lines(0, 100, "one"))
    second.write_bytes(header + lines(0, 100, "two"))

    both = follower.pull()

    assert both == lines(0, 100, "one") + header + lines(0, 100, "two")
    assert follower.pull() == b""


def test_two_logs_that_changed_names_are_read_on(tmp_path: Path) -> None:
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_bytes(lines(0, 100, "one"))
    second.write_bytes(lines(0, 80, "two"))
    follower = Follower((f"{tmp_path}/*.log",))
    follower.pull()
    first.rename(tmp_path / "other")
    second.rename(first)
    (tmp_path / "other").rename(second)
    append(first, lines(80, 90, "two"))
    append(second, lines(100, 110, "one"))

    assert follower.pull() == lines(80, 90, "two") + lines(100, 110, "one")
    assert follower.pull() == b""


def test_a_rotation_between_the_two_parts_of_one_look_loses_and_doubles_nothing(tmp_path: Path, log: Path) -> None:
    part = tmp_path / "mail.log.1"
    part.write_bytes(lines(0, 50))
    log.write_bytes(lines(50, 100))
    position: dict[str, Any] = {}
    brought = b""

    for found in pull([str(part), str(log)], {}, always("postfix"), UTC):
        assert isinstance(found, Pulled)
        brought, position = brought + found.chunk.body, dict(found.position)
    append(log, lines(100, 110))
    for found in pull(rotated_meanwhile(part, log), position, always("postfix"), UTC):
        assert isinstance(found, Pulled)
        brought, position = brought + found.chunk.body, dict(found.position)
    follower = Follower((f"{tmp_path}/mail.log*",), position=position)
    brought += follower.pull()

    assert b"".join(sorted(brought.splitlines(keepends=True))) == lines(0, 120)


def rotated_meanwhile(part: Path, log: Path) -> Iterator[str]:
    """Name the live log as it was before the rotation that follows at once."""
    part.rename(part.with_name("mail.log.2"))
    log.rename(part)
    log.write_bytes(lines(110, 120))
    yield str(log)


def test_a_part_put_aside_with_a_partial_last_line_gives_it_when_two_pulls_found_it_unchanged(
    tmp_path: Path, log: Path, follower: Follower
) -> None:
    log.write_bytes(b"one\ntwo")
    log.rename(tmp_path / "mail.log.1")

    assert follower.pull() == b"one\n"
    assert follower.pull() == b"two"
    assert follower.pull() == b""


def test_a_packed_part_gives_its_partial_last_line_at_once(tmp_path: Path, follower: Follower) -> None:
    (tmp_path / "mail.log.1.gz").write_bytes(gzip.compress(b"one\ntwo"))

    assert follower.pull() == b"one\ntwo"


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_packed_files_are_told_by_their_content(
    tmp_path: Path, follower: Follower, compress: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "mail.log.1").write_bytes(compress(lines(0, 20_000)))

    assert follower.pull() == lines(0, 20_000)


def test_an_empty_file_is_said_and_is_no_failure(log: Path, follower: Follower) -> None:
    log.write_bytes(b"")

    follower.pull()

    assert follower.sentences == "mail.log is empty"
    assert not follower.notices[0].is_failure


def test_a_binary_file_is_named_as_such(log: Path, follower: Follower) -> None:
    log.write_bytes(bytes(range(256)) * 64)
    follower.recognised = recognise

    assert follower.pull() == b""
    assert "is not text" in follower.sentences
    assert follower.notices[0].is_failure


def test_a_file_of_no_known_kind_is_said_with_what_helps(log: Path, follower: Follower) -> None:
    log.write_bytes(b"Dear diary,\ntoday nothing happened.\n")
    follower.recognised = recognise

    assert follower.pull() == b""
    assert "is of no kind that we know by its content" in follower.sentences
    assert "--as FORMAT" in follower.sentences


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, bz2.compress])
def test_of_a_packed_file_that_was_cut_off_what_came_before_is_kept_and_the_gap_is_said_once(
    tmp_path: Path, follower: Follower, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "mail.log.1"
    packed = compress(os.urandom(900_000).hex(" ", 20).replace(" ", "\n").encode())
    path.write_bytes(packed[:-1000])

    brought = follower.pull()
    [gap] = follower.notices
    follower.pull()

    assert brought.endswith(b"\n")
    assert gap.is_gap
    assert "was cut off" in gap.sentence
    assert gap.offset == len(brought)
    assert follower.notices == []


def test_a_packed_file_that_was_cut_off_is_read_on_when_it_has_come_whole(tmp_path: Path, follower: Follower) -> None:
    path = tmp_path / "mail.log.1.gz"
    whole = os.urandom(200_000).hex(" ", 20).replace(" ", "\n").encode() + b"\n"
    packed = gzip.compress(whole)
    path.write_bytes(packed[: len(packed) // 2])
    first = follower.pull()
    path.write_bytes(packed)

    second = follower.pull()

    assert len(first) > len(whole) // 3
    assert first + second == whole


def test_a_damaged_packed_file_is_a_gap_behind_what_could_be_read(tmp_path: Path, follower: Follower) -> None:
    whole, damaged = gzip.compress(lines(0, 20_000)), bytearray(gzip.compress(lines(20_000, 40_000)))
    damaged[10:2_000] = b"\xff" * 1_990
    (tmp_path / "mail.log.1.gz").write_bytes(whole + damaged)

    brought = follower.pull()

    [gap] = follower.notices
    assert gap.is_gap
    assert "the gzip file is damaged" in gap.sentence
    assert brought == lines(0, 20_000)
    assert gap.offset == len(brought)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_we_may_not_read_is_said_and_the_next_is_read(
    tmp_path: Path, log: Path, follower: Follower
) -> None:
    log.write_bytes(lines(0, 5))
    locked = tmp_path / "mail.log.1"
    locked.write_bytes(lines(5, 9))
    locked.chmod(0)

    assert follower.pull() == lines(0, 5)
    assert "mail.log.1 cannot be read: Permission denied" in follower.sentences


def test_a_link_to_nothing_is_said_and_the_next_file_is_read(tmp_path: Path, log: Path, follower: Follower) -> None:
    log.write_bytes(lines(0, 5))
    (tmp_path / "mail.log.1").symlink_to(tmp_path / "nowhere")

    assert follower.pull() == lines(0, 5)
    assert "mail.log.1 cannot be read: No such file or directory" in follower.sentences
    assert follower.notices[0].is_failure


def test_a_folder_among_the_paths_is_said_and_the_next_file_is_read(tmp_path: Path, log: Path) -> None:
    log.write_bytes(lines(0, 5))

    found = list(pull([str(tmp_path), str(log)], {}, always("postfix"), UTC))

    assert isinstance(found[0], Notice)
    assert "cannot be read: Is a directory" in found[0].sentence
    assert isinstance(found[1], Pulled)


def test_a_file_that_vanished_since_it_was_listed_is_said_and_is_no_failure(tmp_path: Path, log: Path) -> None:
    log.write_bytes(lines(0, 5))

    gone, there = pull([str(tmp_path / "mail.log.1"), str(log)], {}, always("postfix"), UTC)

    assert isinstance(gone, Notice)
    assert "is not there any more" in gone.sentence
    assert not gone.is_failure
    assert isinstance(there, Pulled)


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mail.log.1")

    assert paths_of([f"{tmp_path}/mail.log*"]) == []


def test_a_line_of_10_mb_comes_whole_once_it_has_an_end(log: Path, follower: Follower) -> None:
    log.write_bytes(b"short\n" + b"x" * 10_000_000)
    before = follower.pull()
    append(log, b"\nnext\n")

    after = follower.pull()

    assert before == b"short\n"
    assert after == b"x" * 10_000_000 + b"\nnext\n"


def test_a_line_without_end_is_cut_so_that_memory_stays_bounded(log: Path, follower: Follower) -> None:
    log.write_bytes(b"x" * (following.MOST_WITHOUT_LINE_END + 3 * following.CHUNK_BYTES))

    brought = follower.pull()

    longest = max(len(found.chunk.body) for found in follower.pulled)
    assert len(brought) > following.MOST_WITHOUT_LINE_END
    assert longest <= following.MOST_WITHOUT_LINE_END + following.CHUNK_BYTES


def test_a_large_log_comes_in_pieces_cut_behind_line_ends(log: Path, follower: Follower) -> None:
    whole = lines(0, 1_000_000)
    log.write_bytes(whole)

    brought = follower.pull()

    assert brought == whole
    assert len(follower.pulled) == len(whole) // following.CHUNK_BYTES + 1
    assert all(found.chunk.body.endswith(b"\n") for found in follower.pulled)
    ends = [found.chunk.offset + len(found.chunk.body) for found in follower.pulled]
    assert [found.chunk.offset for found in follower.pulled] == [0, *ends[:-1]]


def test_each_piece_has_the_position_behind_it(log: Path) -> None:
    log.write_bytes(lines(0, 1_000_000))
    found = [each for each in pull([str(log)], {}, always("postfix"), UTC) if isinstance(each, Pulled)]

    after_first = [
        each for each in pull([str(log)], found[0].position, always("postfix"), UTC) if isinstance(each, Pulled)
    ]

    assert [each.chunk for each in after_first] != [each.chunk for each in found]
    assert b"".join(each.chunk.body for each in after_first) == b"".join(each.chunk.body for each in found[1:])


def test_a_look_to_the_end_yields_the_last_partial_line_and_says_that_this_is_all(
    log: Path, follower: Follower
) -> None:
    log.write_bytes(b"one\ntwo")

    brought = follower.pull(to_the_end=True)

    assert brought == b"one\ntwo"
    *_, last = follower.pulled
    assert last.chunk.is_last
    assert (last.chunk.body, last.chunk.offset) == (b"", 7)
    assert [found.chunk.is_last for found in follower.pulled] == [False, True]


def test_a_look_to_the_end_ends_each_log_once(tmp_path: Path, log: Path, follower: Follower) -> None:
    (tmp_path / "mail.log.1").write_bytes(lines(0, 50))
    log.write_bytes(lines(50, 100))

    follower.pull(to_the_end=True)

    assert [(found.log, found.chunk.origin) for found in follower.pulled if found.chunk.is_last] == [
        (str(log), str(log))
    ]


def test_an_export_is_read_once_by_its_content(tmp_path: Path) -> None:
    follower = Follower((f"{tmp_path}/*.csv",), recognised=recognise)
    (tmp_path / "a.csv").write_bytes(EXPORT)
    first = follower.pull()
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    shutil.copy(tmp_path / "b.csv", tmp_path / "c.csv")

    second = follower.pull()

    assert first == EXPORT
    assert second == b""
    follower.pull()
    assert follower.pulled == []


def test_an_export_is_read_again_when_its_content_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "report.csv"
    follower = Follower((str(path),), recognised=recognise)
    path.write_bytes(EXPORT)
    follower.pull()
    path.write_bytes(EXPORT + EXPORT.splitlines(keepends=True)[-1])

    second = follower.pull()

    assert second == path.read_bytes()
    assert follower.pulled[0].chunk.offset == 0


def test_an_export_is_never_ended_by_an_empty_chunk(tmp_path: Path) -> None:
    follower = Follower((f"{tmp_path}/*.csv",), recognised=recognise)
    (tmp_path / "a.csv").write_bytes(EXPORT)

    follower.pull(to_the_end=True)

    assert [found.chunk.body for found in follower.pulled] == [EXPORT]


def test_patterns_that_name_no_file_are_a_failure_that_names_them(tmp_path: Path) -> None:
    source = pull_of(Settings(paths=(f"{tmp_path}/mail.log*",), format="postfix", zone="UTC"))

    [found] = source({})

    assert isinstance(found, Notice)
    assert found.is_failure
    assert found.origin == f"{tmp_path}/mail.log*"
    assert "names no file" in found.sentence


def test_the_source_reads_what_its_settings_name(tmp_path: Path, log: Path) -> None:
    log.write_bytes(lines(0, 5))
    (tmp_path / "other").write_bytes(lines(5, 9))
    source = pull_of(Settings(paths=(str(log),), format="postfix", zone="Europe/Berlin"))

    [found] = source({})

    assert isinstance(found, Pulled)
    assert found.chunk.body == lines(0, 5)
    assert str(found.chunk.zone) == "Europe/Berlin"


def test_settings_are_checked_without_looking_at_a_file() -> None:
    complaints = check(Settings(paths=(), format="postfx", zone="Europe/Berlinn"))

    assert len(complaints) == 3
    assert "'paths' is empty" in complaints[0]
    assert "Berlinn" in complaints[1]
    assert "did you mean 'postfix'?" in complaints[2]


def test_settings_that_fit_have_nothing_to_complain_about() -> None:
    assert check(Settings(paths=("/var/log/mail.log*",), zone="UTC")) == []


def test_what_is_remembered_of_files_that_are_gone_stays_bounded(log: Path) -> None:
    follower = Follower((str(log),))

    for number in range(150):
        log.write_bytes(lines(number, number + 50, f"day{number}"))
        os.utime(log, (number, number))
        assert follower.pull() == lines(number, number + 50, f"day{number}")

    assert len(follower.position) <= 102


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    acts=st.lists(st.sampled_from(["write", "half", "pull", "rotate", "pack", "copytruncate", "touch"]), max_size=25)
)
def test_whatever_happens_to_a_log_each_line_comes_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str]
) -> None:
    written = _Written(tmp_path_factory.mktemp("log"))
    follower = Follower((f"{written.folder}/mail.log*",))
    brought: list[bytes] = []

    for act in [*acts, "write", "pull", "pull"]:
        if act == "pull":
            brought += follower.pull().splitlines(keepends=True)
            assert not [notice for notice in follower.notices if notice.is_gap]
        else:
            getattr(written, act)()

    assert sorted(brought) == sorted(written.all.splitlines(keepends=True))


class _Written:
    """A log with what logrotate and its writer can do to it; `all` is every byte ever written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "mail.log"
        self.log.write_bytes(b"")
        self.all = b""
        self.number = 0

    def write(self) -> None:
        self.number += 60
        end = b"" if self.all.endswith(b"\n") or not self.all else b" ends\n"
        self._append(end + lines(self.number - 60, self.number))

    def half(self) -> None:
        if self.all.endswith(b"\n"):
            self.number += 1
            self._append(b"half of line %d" % self.number)

    def rotate(self) -> None:
        self._whole_line()
        self._shift()
        self.log.rename(self.folder / "mail.log.1")
        self.log.write_bytes(b"")

    def copytruncate(self) -> None:
        self._whole_line()
        self._shift()
        shutil.copy2(self.log, self.folder / "mail.log.1")
        self.log.write_bytes(b"")

    def pack(self) -> None:
        part = self.folder / "mail.log.1"
        if part.exists():
            pack(part, self.folder / "mail.log.1.gz")

    def touch(self) -> None:
        self.number += 1
        os.utime(self.log, (self.number, self.number))

    def _shift(self) -> None:
        for number in range(9, 0, -1):
            for suffix in ("", ".gz"):
                part = self.folder / f"mail.log.{number}{suffix}"
                if part.exists():
                    part.rename(self.folder / f"mail.log.{number + 1}{suffix}")

    def _whole_line(self) -> None:
        if self.all and not self.all.endswith(b"\n"):
            self._append(b" ends\n")

    def _append(self, content: bytes) -> None:
        append(self.log, content)
        self.all += content
