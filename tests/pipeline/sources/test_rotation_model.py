"""
A relay that writes, rotates, copies, truncates and packs at random, against a service that looks at random moments.

`AUTHSUNSET_ROTATIONS=n` plays more of them.
"""

from __future__ import annotations

import gzip
import lzma
import os
import random
import shutil
from pathlib import Path

import pytest

from pipeline.lake import Lake
from tests.pipeline.sources.test_rotation_scenarios import Relay, line

GAMES = int(os.environ.get("AUTHSUNSET_ROTATIONS", "8"))
PACKERS = {"": None, ".gz": gzip.compress, ".xz": lzma.compress}


class Writer:
    """Writes to the log of a relay as a seed tells, sometimes half a line, and rotates it as logrotate does."""

    def __init__(self, relay: Relay, seed: int) -> None:
        self.relay = relay
        self.dice = random.Random(seed)  # noqa: S311 - a game, no secret
        self.is_copying = self.dice.random() < 0.5
        self.packing = self.dice.choice(list(PACKERS))
        self.number = 0
        self.half = b""

    def write(self) -> None:
        self.finish_line()
        count = self.dice.choice([1, 2, 30, 200])
        self.relay.write(self.number, self.number + count)
        self.number += count
        if self.dice.random() < 0.3:
            whole = line(self.number)
            cut = self.dice.randint(1, len(whole) - 1)
            self._append(whole[:cut])
            self.half = whole[cut:]
            self.relay.written.add(self.number)
            self.number += 1

    def finish_line(self) -> None:
        self._append(self.half)
        self.half = b""

    def _append(self, piece: bytes) -> None:
        with self.relay.log.open("ab") as stream:
            stream.write(piece)

    def rotate(self) -> None:
        self.finish_line()
        self._shift()
        first = self.relay.folder / "mail.log.1"
        if self.is_copying:
            shutil.copy(self.relay.log, first)
            if self.dice.random() < 0.3:
                self.relay.read()
            os.truncate(self.relay.log, 0)
        else:
            self.relay.log.rename(first)
            if self.dice.random() < 0.3:
                self.relay.read()

    def _shift(self) -> None:
        """Number each part one higher, and pack what was the newest, as `delaycompress` says."""
        parts = {int(path.name.split(".")[2]): path for path in self.relay.folder.glob("mail.log.*")}
        for number in sorted(parts, reverse=True):
            part = parts[number]
            aged = part.rename(part.with_name(part.name.replace(f".{number}", f".{number + 1}", 1)))
            pack = PACKERS[self.packing]
            if pack and aged.suffix not in PACKERS:
                aged.with_name(aged.name + self.packing).write_bytes(pack(aged.read_bytes()))
                aged.unlink()


@pytest.mark.parametrize("seed", range(GAMES))
def test_whatever_the_order_no_line_is_lost_and_none_is_double(seed: int, tmp_path: Path, lake: Lake) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    relay = Relay(folder, lake)
    writer = Writer(relay, seed)

    for move in writer.dice.choices([writer.write, relay.read, writer.rotate], weights=[3, 2, 1], k=16):
        if move != writer.rotate or (relay.log.exists() and relay.log.stat().st_size):
            move()
    writer.finish_line()
    for _ in range(3):
        relay.read()

    assert relay.kept == sorted(relay.written)
    assert relay.gaps == []
