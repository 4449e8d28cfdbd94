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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.errors import FormatError, Place
from pipeline.model import Chunk, Reject

MOST_LINES = 300
"""Lines that one record may span, more than a subject of 255 characters can hold; beyond it a quote was left open."""

_HEAD_BYTES = 1 << 16
# Within the header: further on stand subjects, and a stranger's choice of letters must not decide the encoding.
_PROBE_BYTES = 32
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_DELIMITERS = ",;\t"
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_BEFORE_HEADER = re.compile(r"\s*\Z|#TYPE\b|sep=", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its known columns by our name for them, stripped; or, in `trouble`, why it has none."""

    offset: int
    size: int
    values: Mapping[str, str] = field(default_factory=dict)
    trouble: str | None = None

    def __getitem__(self, column: str) -> str:
        return self.values.get(column, "")


@dataclass(frozen=True, slots=True)
class Export:
    """A whole file as read: the header as written, our names of its known columns, and how many headers returned."""

    header: tuple[str, ...]
    columns: frozenset[str]
    records: tuple[Record, ...]
    repeated: int


def read(body: Chunk, names: Mapping[str, str]) -> Export:
    """Return the table in `body`; `names` maps folded header words to our columns, and other columns are dropped."""
    lines, header, delimiter = _start(body.body)
    columns = _columns_of(header, names)
    records: list[Record] = []
    repeated = 0
    for split in _split(lines, delimiter):
        if split.fields and _is_heading(split.fields, header):
            repeated += 1
        else:
            records.append(_record(split, header, columns))
    return Export(tuple(header), frozenset(columns), tuple(records), repeated)


def columns_in(head: bytes, names: Mapping[str, str]) -> frozenset[str]:
    """Return which of our columns the header in `head` has; `head` may be cut anywhere behind the header."""
    _lines, header, _delimiter = _start(head[:_HEAD_BYTES])
    return frozenset(_columns_of(header, names))


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


def fold(word: str) -> str:
    """Return a header word without case, spaces, quotes, underscores, NULs, marks and brackets."""
    return re.sub(r"[\W_]+", "", word.casefold())


def shown(text: str) -> str:
    """Return `text` quoted, escaped and cut, fit for a sentence: it comes from a file and may be anything."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Split:
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
        self._errors = "surrogatepass" if self._encoding.startswith("utf-16") else "surrogateescape"
        end = len(body) - (len(body) - bom) % 2 if self._errors == "surrogatepass" else len(body)
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
        return len(text.encode(self._encoding, self._errors))


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
    try:
        # Not final: a head, or a file cut off in mid-character, is still UTF-8.
        codecs.getincrementaldecoder("utf-8")().decode(body, final=False)
    except UnicodeDecodeError:
        return 0, "cp1252"
    return 0, "utf-8"


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
        name = names.get(fold(word))
        if name:
            columns.setdefault(name, place)
    return columns


def _is_heading(fields: list[str], header: list[str]) -> bool:
    """Return whether a record is the header once more, or the `#TYPE` line before it, which has one field only."""
    if len(fields) == 1 < len(header):
        return fields[0].lstrip("\ufeff").startswith("#TYPE ")
    if len(fields) != len(header) or fold(fields[0]) != fold(header[0]):
        return False
    return list(map(fold, fields)) == list(map(fold, header))


def _record(split: _Split, header: list[str], columns: Mapping[str, int]) -> Record:
    trouble = split.trouble
    if trouble is None and len(split.fields) != len(header):
        trouble = f"the record has {len(split.fields)} fields where its header has {len(header)}"
    if trouble:
        return Record(split.offset, split.size, trouble=trouble)
    return Record(split.offset, split.size, {name: _clean(split.fields[place]) for name, place in columns.items()})


def _split(lines: _Lines, delimiter: str) -> Iterator[_Split]:
    """Yield each record that is not blank."""
    while first := lines.take():
        if not first.text.strip():
            continue
        taken = [first]
        fields, trouble = _fields(lines, taken, delimiter)
        if trouble:
            lines.put_back(taken[1:])
            taken = taken[:1]
        text = "".join(line.text for line in taken).rstrip("\r\n")
        yield _Split(fields, trouble, first.offset, lines.size(text))


def _fields(lines: _Lines, taken: list[_Line], delimiter: str) -> tuple[list[str], str | None]:
    """Return the fields of the record that begins with the line in `taken`, to which lines it goes on in are added."""

    def texts() -> Iterator[str]:
        yield taken[0].text
        while len(taken) < MOST_LINES and (line := lines.take()):
            taken.append(line)
            yield line.text

    try:
        # Strict, or text behind a closing quote and a quote left open would pass as a longer field.
        return next(csv.reader(texts(), delimiter=delimiter, strict=True)), None
    except csv.Error:
        longest = csv.field_size_limit()
        return [], f"the quotes of the record do not pair up, or a field is longer than {longest:,} characters"


def _clean(value: str) -> str:
    return _SURROGATE.sub("\ufffd", value).strip() if not value.isascii() else value.strip()
