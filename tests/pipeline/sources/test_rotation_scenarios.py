"""
What rotation, copying and crashes do to a log, each held against the lake: no row lost, none double, a loss is a gap.

Each line of these logs makes exactly one row, with a queue id of its own, so the lake tells which lines it has.
"""

from __future__ import annotations

import gzip
import os
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline.ingest import run_source
from pipeline.lake import Lake
from pipeline.sources.files import Settings, pull_of
from tests.conftest import NOW

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def line(number: int) -> bytes:
    return b"2026-12-30T08:00:00Z relay postfix/qmgr[7]: AB%06d: removed\n" % number


def lines(start: int, end: int) -> bytes:
    return b"".join(line(number) for number in range(start, end))


@dataclass
class Relay:
    """A folder with a log in it, and the service that reads it; `written` are the lines that must be in the lake."""

    folder: Path
    lake: Lake
    pattern: str = "mail.log*"
    written: set[int] = field(default_factory=set)

    @property
    def log(self) -> Path:
        return self.folder / "mail.log"

    def write(self, start: int, end: int, to: Path | None = None) -> None:
        with (to or self.log).open("ab") as stream:
            stream.write(lines(start, end))
        self.written |= set(range(start, end))

    def read(self) -> None:
        run_source(
            self.lake, "relay", pull_of(Settings(paths=(f"{self.folder}/{self.pattern}",), zone="UTC")), lambda: NOW
        )

    def rotate(self, to: str = "mail.log.1") -> Path:
        return self.log.rename(self.folder / to)

    @property
    def kept(self) -> list[int]:
        ids = self.lake.rows("SELECT queue_id FROM deliveries ORDER BY queue_id")
        return [int(row["queue_id"].removeprefix("AB")) for row in ids]

    @property
    def gaps(self) -> list[str]:
        return [row["cause"] for row in self.lake.rows("SELECT cause FROM gaps ORDER BY cause")]


@pytest.fixture
def relay(tmp_path: Path, lake: Lake) -> Relay:
    folder = tmp_path / "logs"
    folder.mkdir()
    return Relay(folder, lake)


def renamed(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    relay.write(50, 60)
    relay.rotate()
    relay.write(60, 70)


def renamed_to_a_name_that_no_path_names(relay: Relay) -> None:
    relay.pattern = "mail.log"
    renamed(relay)


def packed_while_we_were_down(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    relay.write(50, 60)
    part = relay.rotate()
    (relay.folder / "mail.log.2.gz").write_bytes(gzip.compress(part.read_bytes()))
    part.unlink()
    relay.write(60, 70)
    relay.rotate("mail.log.1")
    relay.write(70, 80)


def dated_and_packed_with_zstd(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    relay.write(50, 60)
    part = relay.rotate("mail.log-20261230")
    (relay.folder / "mail.log-20261230.zst").write_bytes(zstd.compress(part.read_bytes()))
    part.unlink()
    relay.write(60, 70)


def copied_and_truncated(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    relay.write(50, 60)
    (relay.folder / "mail.log.1").write_bytes(relay.log.read_bytes())
    os.truncate(relay.log, 0)
    relay.write(60, 70)


def copied_and_truncated_under_a_writer_that_keeps_its_place(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    place = relay.log.stat().st_size
    (relay.folder / "mail.log.1").write_bytes(relay.log.read_bytes())
    os.truncate(relay.log, 0)
    relay.log.write_bytes(bytes(place) + lines(50, 60))
    relay.written |= set(range(50, 60))
    relay.read()
    relay.write(60, 70)


def swapped(relay: Relay) -> None:
    other = relay.folder / "mail.log.other"
    relay.write(0, 50)
    relay.write(1000, 1040, other)
    relay.read()
    relay.log.rename(relay.folder / "aside")
    other.rename(relay.log)
    (relay.folder / "aside").rename(other)
    relay.write(1040, 1050)
    relay.write(50, 60, other)


def inode_used_again(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    (relay.folder / "mail.log.1").write_bytes(relay.log.read_bytes())
    inode = relay.log.stat().st_ino
    relay.log.unlink()
    for attempt in range(20):  # most file systems give the number to the next file
        relay.log.write_bytes(b"")
        if relay.log.stat().st_ino == inode:
            break
        relay.log.rename(relay.folder / f"unrelated.{attempt}")
    relay.write(50, 60)


def half_a_line_at_the_rotation(relay: Relay) -> None:
    relay.write(0, 50)
    whole = relay.log.read_bytes() + line(50)
    relay.log.write_bytes(whole[:-20])
    relay.read()
    part = relay.rotate()
    part.write_bytes(whole)
    relay.written.add(50)
    relay.write(51, 60)


def packed_copy_that_is_not_whole_yet(relay: Relay) -> None:
    relay.write(0, 3000)
    whole = gzip.compress(relay.log.read_bytes())
    relay.log.unlink()
    part = relay.folder / "mail.log.1.gz"
    part.write_bytes(whole[: len(whole) // 2])
    relay.read()
    part.write_bytes(whole)


def half_a_letter_of_utf_16(relay: Relay) -> None:
    text = lines(0, 60).decode().encode("utf-16")
    for cut in (2001, 3003, 4444):
        relay.log.write_bytes(text[:cut])
        relay.read()
    relay.log.write_bytes(text)
    relay.written |= set(range(60))


def grown_while_it_is_read(relay: Relay) -> None:
    relay.write(0, 50)
    pull = pull_of(Settings(paths=(f"{relay.folder}/mail.log*",), zone="UTC"))

    def growing(position: object) -> object:
        for found in pull(position):  # type: ignore[arg-type]
            if len(relay.written) < 100:
                relay.write(len(relay.written), len(relay.written) + 25)
            yield found

    run_source(relay.lake, "relay", growing, lambda: NOW)  # type: ignore[arg-type]


def members_of_an_archive(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    with zipfile.ZipFile(relay.folder / "mail.log.old.zip", "w") as archive:
        archive.writestr("mail.log.2", lines(200, 250))
        archive.writestr("mail.log.1", lines(250, 300))
    relay.written |= set(range(200, 300))


def rotated_twice_while_we_were_down(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    relay.write(50, 60)
    relay.rotate("mail.log.2")
    relay.write(60, 70)
    relay.rotate("mail.log.1")
    relay.write(70, 80)


LOSSLESS: list[Callable[[Relay], None]] = [
    renamed,
    renamed_to_a_name_that_no_path_names,
    packed_while_we_were_down,
    dated_and_packed_with_zstd,
    copied_and_truncated,
    copied_and_truncated_under_a_writer_that_keeps_its_place,
    swapped,
    inode_used_again,
    half_a_line_at_the_rotation,
    half_a_letter_of_utf_16,
    grown_while_it_is_read,
    members_of_an_archive,
    rotated_twice_while_we_were_down,
]


@pytest.mark.parametrize("scenario", LOSSLESS, ids=lambda scenario: scenario.__name__)
def test_no_row_is_lost_and_none_is_double(scenario: Callable[[Relay], None], relay: Relay) -> None:
    scenario(relay)
    for _ in range(3):
        relay.read()

    assert relay.kept == sorted(relay.written)
    assert relay.gaps == []


def test_a_packed_copy_that_was_not_whole_is_read_to_its_end_when_it_is_and_that_fills_its_gap(relay: Relay) -> None:
    packed_copy_that_is_not_whole_yet(relay)
    assert len(relay.gaps) == 1
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert relay.gaps == []


@pytest.mark.parametrize("pieces", [3, 12])
def test_a_packed_log_that_is_copied_slowly_is_one_gap_until_it_is_whole(pieces: int, relay: Relay) -> None:
    relay.write(0, 5000)
    whole = gzip.compress(relay.log.read_bytes())
    relay.log.unlink()
    part = relay.folder / "mail.log.1.gz"
    for piece in range(1, pieces):
        part.write_bytes(whole[: len(whole) * piece // pieces])
        relay.read()
        assert len(relay.gaps) == 1
    part.write_bytes(whole)
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert relay.gaps == []


def test_the_rest_of_a_log_that_is_gone_is_a_gap_though_an_empty_one_has_taken_its_place(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    with relay.log.open("ab") as stream:
        stream.write(lines(50, 60))  # rotated, and rotated away
    relay.log.unlink()
    relay.log.touch()
    relay.read()
    relay.log.unlink()
    relay.write(60, 70)
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert len(relay.gaps) == 1


def test_the_rest_of_a_log_is_a_gap_when_its_place_is_taken_by_a_part_that_was_read_elsewhere(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    with relay.log.open("ab") as stream:
        stream.write(lines(50, 60))
    relay.log.write_bytes(lines(60, 70))
    relay.written |= set(range(60, 70))
    (relay.folder / "mail.log.1").write_bytes(relay.log.read_bytes())
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert len(relay.gaps) == 1


def test_parts_that_rotation_deletes_when_they_were_read_are_no_gap(relay: Relay) -> None:
    for number in range(0, 60, 10):
        relay.write(number, number + 10)
        relay.read()
        if number:
            (relay.folder / "mail.log.1").rename(relay.folder / "mail.log.2")
        relay.rotate("mail.log.1")
    for _ in range(2):
        relay.read()

    assert relay.kept == sorted(relay.written)
    assert relay.gaps == []


def test_a_log_that_goes_on_in_another_folder_is_no_gap(relay: Relay) -> None:
    (relay.folder / "old").mkdir()
    relay.pattern = "**/mail.log*"
    relay.write(0, 50)
    relay.read()
    relay.write(50, 60)
    relay.rotate("old/mail.log-20261230")
    relay.write(60, 70)
    for _ in range(2):
        relay.read()

    assert relay.kept == sorted(relay.written)
    assert relay.gaps == []


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(lambda text: bytes(5000) + text, id="zeros_of_a_crash"),
        pytest.param(lambda text: b"\xef\xbb\xbf" + text, id="a_byte_order_mark"),
        pytest.param(lambda text: text.decode().encode("utf-16-le"), id="utf_16"),
        pytest.param(lambda text: text.decode().encode("utf-16"), id="utf_16_with_a_mark"),
        pytest.param(lambda text: text.replace(b"\n", b"\n\r"), id="lf_cr"),
    ],
)
def test_what_another_writer_appends_in_its_own_way_is_read(second: Callable[[bytes], bytes], relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    with relay.log.open("ab") as stream:
        stream.write(second(lines(50, 60)))
    relay.written |= set(range(50, 60))
    relay.read()
    relay.write(60, 70)
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert relay.lake.rows("SELECT raw FROM quarantine") == []


def test_a_log_whose_lines_end_with_cr_alone_is_followed(relay: Relay) -> None:
    for start in range(0, 60, 20):
        with relay.log.open("ab") as stream:
            stream.write(lines(start, start + 20).replace(b"\n", b"\r"))
        relay.written |= set(range(start, start + 20))
        relay.read()

        assert relay.kept == sorted(relay.written)


def test_what_a_truncation_without_a_copy_took_is_a_gap(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    with relay.log.open("ab") as stream:
        stream.write(lines(50, 60))  # never seen by anybody
    os.truncate(relay.log, 0)
    relay.write(60, 70)
    relay.read()
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert len(relay.gaps) == 1
    assert "was truncated or replaced after byte" in relay.gaps[0]


def test_a_log_rewritten_to_the_same_size_is_read_anew_and_the_old_end_is_a_gap(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    os.truncate(relay.log, 0)
    relay.write(100, 150)
    relay.read()
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert len(relay.gaps) == 1


def test_a_log_whose_end_was_rewritten_is_read_again_and_that_is_a_gap(relay: Relay) -> None:
    relay.write(0, 50)
    relay.read()
    relay.log.write_bytes(lines(0, 45) + lines(90, 95))
    relay.written |= set(range(90, 95))
    relay.read()

    assert relay.kept == sorted(relay.written)
    assert len(relay.gaps) == 1
