"""
Tables as PowerShell's `Format-Table` prints them: words, a line of dashes below each, and a line for each object.

What a reader could not guess:
- Words are set to the left and numbers to the right of their column, so dashes alone do not tell where a column ends.
  It ends where all lines of the table have a blank between two of them.
- What is too long for the window is cut with `…` or `...`, or goes on in a next line. A value that is not whole is
  none, so such an object is a reject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from pipeline.exports.tables import fold, lines_in, shown
from pipeline.lines import KEPT_OF_LONG
from pipeline.model import Reject

_RULER = re.compile(r" *-+(?: +-+)* *\Z")
_DASHES = re.compile(r"-+")
_CUT = ("...", "\u2026")
_MOST_WIDE = 1 << 14
_MOST_COLUMNS = 500
_IN_TWO_LINES = "the object goes on in a second line; expected it in one, as Format-List or Export-Csv write it"


@dataclass(frozen=True, slots=True)
class Printed:
    """One object of a table: the cells wanted of it by folded heading, and where it stands."""

    offset: int
    raw: bytes
    cells: Mapping[str, str]
    has_first: bool


def headings_in(head: bytes) -> frozenset[str]:
    """Return the folded headings of the first table in `head`, which may be cut anywhere."""
    before = ""
    for text, _offset in lines_in(head):
        spans = _spans(before, text.rstrip())
        if spans:
            return frozenset(fold(before[start:end]) for start, end in spans)
        before = text.rstrip()
    return frozenset()


def rows_in(body: bytes, wanted: frozenset[str]) -> Iterator[Printed | Reject | None]:
    """Yield each row of each table, what is not whole of the cells `wanted` as a reject, and None for other lines."""
    table: _Table | None = None
    before = ""
    for line, offset in lines_in(body):
        text = line.rstrip()
        spans = _spans(before, text)
        if spans:
            if table and table.lines:  # the heading of the next table is no row of the one before
                table.lines.pop()
            yield from table.rows(wanted) if table else ()
            table = _Table(spans, tuple(fold(before[start:end]) for start, end in spans), [])
        elif not text.strip("\ufeff \t"):
            yield from table.rows(wanted) if table else ()
            table = None
        elif table:
            table.lines.append((text, offset))
        else:
            yield None
        before = text
    yield from table.rows(wanted) if table else ()


def _spans(heading: str, ruler: str) -> list[tuple[int, int]]:
    """Return where the headings stand, if `ruler` is the line of dashes below them."""
    if "-" not in ruler or len(ruler) > _MOST_WIDE or not _RULER.match(ruler):
        return []
    spans = [found.span() for found in _DASHES.finditer(ruler)]
    rest = list(heading)
    for start, end in spans:
        if heading[start : start + 1].isspace() or heading[end - 1 : end].strip() == "":
            return []
        rest[start:end] = " " * (end - start)
    return [] if "".join(rest).strip() or len(spans) > _MOST_COLUMNS else spans


@dataclass(slots=True)
class _Table:
    """The lines of one table; `names` are its folded headings."""

    spans: list[tuple[int, int]]
    names: tuple[str, ...]
    lines: list[tuple[str, int]]

    def rows(self, wanted: frozenset[str]) -> Iterator[Printed | Reject | None]:
        columns = {name: self.names.index(name) for name in wanted.intersection(self.names)}
        places = self._places()
        spans = {name: tuple(places[column : column + 2]) for name, column in columns.items()} if places else None
        first = places[1] if places else 0
        rows = [_row(text, offset, spans, first) for text, offset in self.lines]
        for row, behind in zip_longest(rows, rows[1:]):
            if isinstance(row, Printed) and isinstance(behind, Printed) and _goes_on(row, behind):
                yield Reject(row.raw, row.offset, _IN_TWO_LINES)
            elif isinstance(row, Printed) and not row.has_first and not any(row.cells.values()):
                yield None  # a cell that nobody wants goes on
            else:
                yield row

    def _places(self) -> list[int] | None:
        """Return where each column begins and the last one ends, or None where two run into each other."""
        gaps = [(end, start) for (_start, end), (start, _end) in pairwise(self.spans)]
        free = [set(range(end, start)) for end, start in gaps]
        for text, _offset in self.lines:
            for (end, start), blanks in zip(gaps, free, strict=True):
                if end >= len(text):
                    break
                between = text[end:start]
                if not between.isspace():
                    blanks -= {end + place for place, sign in enumerate(between) if sign != " "}
        return [0, *map(max, free), _MOST_WIDE] if all(free) else None


def _row(text: str, offset: int, spans: Mapping[str, tuple[int, ...]] | None, first: int) -> Printed | Reject:
    raw = text.encode("utf-8", "replace")[:KEPT_OF_LONG]
    if spans is None:
        return Reject(raw, offset, "the columns of the table run into each other; expected a blank between them")
    cells = {name: text[start:end].strip() for name, (start, end) in spans.items()}
    cut = next((cell for cell in cells.values() if cell.endswith(_CUT) or cell.startswith(_CUT)), None)
    if cut is not None:
        return Reject(raw, offset, f"the window cut {shown(cut)} off; use Format-List or Export-Csv instead")
    return Printed(offset, raw, cells, has_first=bool(text[:first].strip()))


def _goes_on(row: Printed, behind: Printed) -> bool:
    """Return whether a cell of `row` goes on in the line behind, which then begins with an empty one."""
    if behind.has_first:
        return False
    pairs = [(cell, behind.cells[name]) for name, cell in row.cells.items()]
    is_of_its_own = any("@" in one and "@" in other for one, other in pairs)
    return not is_of_its_own and any(one and other for one, other in pairs)
