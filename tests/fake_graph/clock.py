"""A clock that several processes share: simulated seconds in a file, which whoever waits moves on."""

from __future__ import annotations

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipeline.clock import Clock


class SharedTime:
    """The simulated time in the file at `path`."""

    def __init__(self, path: Path, start: datetime | None = None) -> None:
        if start is not None:
            path.write_bytes(struct.pack("d", start.timestamp()))
        with path.open("r+b") as file:
            self._seconds = mmap.mmap(file.fileno(), 8)

    @property
    def seconds(self) -> float:
        """Seconds since the epoch."""
        return float(struct.unpack("d", self._seconds[:8])[0])

    def now(self) -> datetime:
        """Return the time as it is here."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def pass_(self, seconds: float) -> bool:
        """Let some seconds pass; nobody asks to stop."""
        self._seconds[:8] = struct.pack("d", self.seconds + seconds)
        return False

    def clock(self, ahead: timedelta = timedelta(0)) -> Clock:
        """Return a clock that goes `ahead` of the time."""
        return Clock(lambda: self.now() + ahead, lambda: self.seconds, self.pass_)
