"""
Read a table that people exported to a delimited file: which encoding, which delimiter, which columns.

Such files come from PowerShell and from admin portals, on machines of any language, and nothing in them says how they
were written. What a reader could not guess:
- UTF-16 often comes without a byte order mark; ASCII text shows it by a zero in every second byte.
- A record that cannot be taken apart costs its first line only; reading goes on with the next line, so that one open
  quote does not swallow the rest. A `#` means nothing except in a `#TYPE` line.
- A header that returns in mid-file (exports appended to one another) is left out and counted, not read as a record.
- Offsets count bytes of the file, also behind text that is not valid in its encoding.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pipeline.errors import FormatError, Place
from pipeline.exports.locales import without_zone
from pipeline.model import Chunk, Gap, Reject

MOST_LINES = 300
"""Lines that one record may span, more than a subject of 255 characters can hold; beyond it a quote was left open."""

MOST_FOUND = 100_000
"""Where Microsoft cuts a historical search ("100000 results or lines"), which it says nowhere in the file."""

_HEAD_BYTES = 1 << 16
# Within the header: further on stand subjects, and a stranger's choice of letters must not decide the encoding.
_PROBE_BYTES = 32
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DELIMITERS = ",;\t"
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_BEFORE_HEADER = re.compile(r"\s*\Z|#TYPE\b|sep=", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_WORD = re.compile(r"[\W_]+")
_MOST_SHARED = 1 << 12
_NO_COLUMNS: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Record:
    """One record: the fields of its known columns, stripped; or, in `trouble`, why it has none."""

    offset: int
    size: int
    fields: tuple[str, ...] = ()
    places: Mapping[str, int] = field(default_factory=lambda: _NO_COLUMNS)
    trouble: str | None = None

    def __getitem__(self, column: str) -> str:
        place = self.places.get(column)
        return "" if place is None else self.fields[place]

    @property
    def values(self) -> dict[str, str]:
        """The fields by our name for their column."""
        return dict(zip(self.places, self.fields, strict=True))


@dataclass(frozen=True, slots=True)
class Export:
    """
    A whole file as read: the header as written, our names of its known columns, and how many headers returned.

    `headings` has the number of records before each header that returned, and `words` what the file calls each column.
    """

    header: tuple[str, ...]
    columns: frozenset[str]
    records: tuple[Record, ...]
    repeated: int
    headings: tuple[int, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def longest(self) -> int:
        """How many records stand between two headers at most: the size of the largest of the exports in the file."""
        ends = (*self.headings, len(self.records))
        return max(end - start for start, end in zip((0, *ends), ends, strict=False))


def read(body: Chunk, names: Mapping[str, str]) -> Export:
    """
    Return the table in `body`; `names` maps folded header words to our columns, and other columns are dropped.

    Of a header such as "Date (UTC+01:00)" the words without the zone count too.
    """
    lines, header, delimiter = _start(body.body)
    columns = _columns_of(header, names)
    record_of = _records(header, columns)
    folded = tuple(map(fold, header))
    records: list[Record] = []
    headings: list[int] = []
    for split in _split(lines, delimiter):
        if split.fields and _is_heading(split.fields, folded):
            headings.append(len(records))
        else:
            records.append(record_of(split))
    words = {name: header[place] for name, place in columns.items()}
    return Export(tuple(header), frozenset(columns), tuple(records), len(headings), tuple(headings), words)


def columns_in(head: bytes, names: Mapping[str, str]) -> frozenset[str]:
    """Return which of our columns the header in `head` has; `head` may be cut anywhere behind the header."""
    _lines, header, _delimiter = _start(head[:_HEAD_BYTES])
    return frozenset(_columns_of(header, names))


def lines_in(body: bytes) -> Iterator[tuple[str, int]]:
    """Yield each line of a text in any encoding, with its end, and its offset in bytes."""
    lines = _Lines(body)
    while line := lines.take():
        yield _SURROGATE.sub("\ufffd", line.text), line.offset


def cut(export: Export, body: Chunk) -> tuple[Gap, ...]:
    """Return the gap of a historical search that is as long as Microsoft lets one be."""
    if export.longest < MOST_FOUND - 1:  # whether the header counts is not said
        return ()
    cause = (
        f"the export has {export.longest:,} records, and Microsoft cuts a historical search at {MOST_FOUND:,} lines: "
        "what came after them is missing; split it and search a shorter time each, or search for fewer senders"
    )
    return (Gap(body.offset, cause),)


def without(export: Export, needed: Mapping[str, str], body: Chunk, advice: str) -> FormatError | None:
    """Return the error of an export that lacks columns of `needed` (our name to the usual header), or None."""
    missing = [header for name, header in needed.items() if name not in export.columns]
    if not missing:
        return None
    there = ", ".join(shown(word) for word in export.header[:30]) or "nothing"
    sentence = f"the header names {there}; it lacks {', '.join(missing)}; {advice}"
    return FormatError(sentence, place=Place(body.origin))


def reject_of(record: Record, body: Chunk, reason: str) -> Reject:
    """Return `record` as a reject, with its bytes as they stand in the file, without the line end."""
    return Reject(body.body[record.offset : record.offset + record.size], body.offset + record.offset, reason)


@lru_cache(maxsize=1 << 10)
def fold(word: str) -> str:
    """Return a header word without case, spaces, quotes, underscores, NULs, marks and brackets."""
    return _NO_WORD.sub("", word.casefold())


def shown(text: str) -> str:
    """Return `text` quoted, escaped and cut, fit for a sentence: it comes from a file and may be anything."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


class _Line(NamedTuple):
    text: str
    offset: int


class _Split(NamedTuple):
    """One record taken apart: its fields, or why it has none, and where it stands."""

    fields: list[str]
    trouble: str | None
    offset: int
    size: int


class _Lines:
    """The lines of a file with their offsets, of which some may be put back."""

    def __init__(self, body: bytes) -> None:
        bom, self._encoding = _encoding_of(body)
        # Lossless both ways, so that a record's text has the length that its bytes have.
        self._unit = 2 if self._encoding.startswith("utf-16") else 1
        self._errors = "surrogatepass" if self._unit == 2 else "surrogateescape"
        end = len(body) - (len(body) - bom) % self._unit
        self._lines = (match[0] for match in _LINE.finditer(body[bom:end].decode(self._encoding, self._errors)))
        self._offset = bom
        self._waiting: deque[_Line] = deque()

    def take(self) -> _Line | None:
        if self._waiting:
            return self._waiting.popleft()
        text = next(self._lines, None)
        if text is None:
            return None
        line = _Line(text, self._offset)
        self._offset += self.size(text)
        return line

    def put_back(self, lines: list[_Line]) -> None:
        self._waiting.extendleft(reversed(lines))

    def size(self, text: str) -> int:
        return len(text) * self._unit if text.isascii() else len(text.encode(self._encoding, self._errors))


def _encoding_of(body: bytes) -> tuple[int, str]:
    """Return the length of the byte order mark and the encoding."""
    for bom, encoding in _BOMS:
        if body.startswith(bom):
            return len(bom), encoding
    even, odd = body[:_PROBE_BYTES:2], body[1:_PROBE_BYTES:2]
    if odd.count(0) > len(odd) / 2 > 2 * even.count(0):
        return 0, "utf-16-le"
    if even.count(0) > len(even) / 2 > 2 * odd.count(0):
        return 0, "utf-16-be"
    return 0, "utf-8" if body.isascii() or _is_utf8(body) else "cp1252"


def _is_utf8(body: bytes) -> bool:
    try:
        # Not final: a head, or a file cut off in mid-character, is still UTF-8.
        codecs.getincrementaldecoder("utf-8")().decode(body, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _start(body: bytes) -> tuple[_Lines, list[str], str]:
    """Return the lines behind the header, the header, and the delimiter that splits it into most words."""
    lines = _Lines(body)
    line = lines.take()
    while line and _BEFORE_HEADER.match(line.text.lstrip("\ufeff")):
        line = lines.take()
    text = _clean(line.text).lstrip("\ufeff") if line else ""
    headers = {delimiter: _words(text, delimiter) for delimiter in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda delimiter: len(headers[delimiter]))
    return lines, headers[delimiter], delimiter


def _words(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=delimiter), [])
    except csv.Error:
        return []


def _columns_of(header: list[str], names: Mapping[str, str]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for place, word in enumerate(header):
        name = names.get(fold(word)) or names.get(fold(without_zone(word)))
        if name:
            columns.setdefault(name, place)
    return columns


def _is_heading(fields: list[str], folded: tuple[str, ...]) -> bool:
    """Return whether a record is the header once more, or the `#TYPE` line before it, which has one field only."""
    if len(fields) == 1 < len(folded):
        return fields[0].lstrip("\ufeff").startswith("#TYPE ")
    return len(fields) == len(folded) and fold(fields[0]) == folded[0] and tuple(map(fold, fields)) == folded


def _records(header: list[str], columns: Mapping[str, int]) -> Callable[[_Split], Record]:
    """Return what makes a record of each split; values that return, such as a status, are kept once."""
    taken = tuple(columns.values())
    places = {name: place for place, name in enumerate(columns)}
    shared: dict[str, str] = {}
    width = len(header)

    def record_of(split: _Split) -> Record:
        fields, trouble, offset, size = split
        if trouble is None and len(fields) != width:
            trouble = f"the record has {len(fields)} fields where its header has {width}"
        if trouble:
            return Record(offset, size, trouble=trouble)
        raw = [fields[place] for place in taken]
        values = tuple([shared.get(text) or (text.strip() if text.isascii() else _clean(text)) for text in raw])
        if len(shared) < _MOST_SHARED:
            shared.update(zip(raw, values, strict=True))
        return Record(offset, size, values, places)

    return record_of


def _split(lines: _Lines, delimiter: str) -> Iterator[_Split]:
    """Yield each record that is not blank."""
    taken: list[_Line] = []
    fields_of = _reader(lines, taken, delimiter)
    while True:
        taken.clear()
        fields: list[str] = []
        trouble = None
        try:
            fields = next(fields_of)
        except StopIteration:
            return
        except csv.Error:
            longest = csv.field_size_limit()
            trouble = f"the quotes of the record do not pair up, or a field is longer than {longest:,} characters"
            lines.put_back(taken[1:])
            del taken[1:]
            fields_of = _reader(lines, taken, delimiter)
        text = taken[0].text if len(taken) == 1 else "".join(line.text for line in taken)
        yield _Split(fields, trouble, taken[0].offset, lines.size(text.rstrip("\r\n")))


def _reader(lines: _Lines, taken: list[_Line], delimiter: str) -> Iterator[list[str]]:
    """Return the fields of record after record; the lines of the one at hand stand in `taken`."""

    def texts() -> Iterator[str]:
        while len(taken) < MOST_LINES and (line := lines.take()):
            if taken or not line.text.isspace():
                taken.append(line)
                yield line.text

    # Strict, or text behind a closing quote and a quote left open would pass as a longer field.
    return csv.reader(texts(), delimiter=delimiter, strict=True)


def _clean(value: str) -> str:
    return _SURROGATE.sub("\ufffd", value).strip() if not value.isascii() else value.strip()
