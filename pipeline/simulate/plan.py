"""What the simulation was asked for, and the three moments that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.simulate.moments import DAY, moment_of

CUTOVER = datetime(2026, 12, 29, 22, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A tenant of `senders` senders over `days` days around `cutover`.

    Of the `history` days before them there are only the exports that an administrator fetched on the first morning.
    """

    seed: int
    days: int = 60
    senders: int = 400
    history: int = 90
    cutover: int = moment_of(CUTOVER)

    @property
    def start(self) -> int:
        """The midnight (UTC) on which the simulated days begin."""
        return self.cutover // DAY * DAY - self.days // 2 * DAY

    @property
    def end(self) -> int:
        """The midnight on which they end; what happens then has not happened."""
        return self.start + self.days * DAY

    @property
    def first(self) -> int:
        """The midnight on which the history begins."""
        return self.start - self.history * DAY
