"""
One file = one program that sends mail, or one library, as its own lines tell what happened.

A program does not care which carrier brings its lines. It is

- `owns_tag(tag) -> bool`: whether a header with this program name is its own; no name belongs to two programs;
- `Reader(carry)`, which goes through one log in order:
  - `owns(line) -> bool`: whether a line is its own where the header names no program that we know; it may remember;
  - `read(line) -> list[Row] | str | None`: the rows, a sentence why it cannot be read, or None where it says nothing;
  - `close() -> list[Row]`: what is still half read, as far as it goes, when nothing will follow;
  - `carry() -> Carry`: the half-read sessions, as JSON values.

A row is (table, values). Values that a row does not name are filled in from its line: event_time, log_host,
origin_offset and event_id.
"""

from __future__ import annotations

from typing import Any, Protocol

from pipeline.lines import Line
from pipeline.model import Carry

Row = tuple[str, dict[str, Any]]
"""The table, and the values by column."""


class Reader(Protocol):
    """Goes through the lines of one program in one log, in order."""

    def owns(self, line: Line) -> bool:
        """Return whether `line`, whose header names no program that we know, is this program's."""

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows that `line` makes, why it cannot be read, or None where it says nothing."""

    def close(self) -> list[Row]:
        """Return the rows of what is half read, as far as it goes."""

    def carry(self) -> Carry:
        """Return the half-read sessions as JSON values."""
