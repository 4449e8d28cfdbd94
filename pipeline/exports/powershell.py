"""
Objects that somebody saved from PowerShell: `Export-Csv`, `ConvertTo-Json`, `Export-Clixml`, and the text of
`Format-List` and `Format-Table`.

Reads: the properties that are asked for, in whatever encoding, delimiter and order. Leaves: all others.

What a reader could not guess:
- A property that is not there is not the same as one that is empty: `names` tells which there are.
- `Format-List` writes `Name : value`, pads the names, sets a blank line between objects, and goes on in an indented
  line where a value is too long for the window: it breaks at a space, which is lost, behind a hyphen, or in a word that
  is longer than the window. Prompts and remarks around it are left, as they are around a table.
- Times are those of the machine, in its locale; ConvertTo-Json of Windows PowerShell writes `/Date(…)/` in UTC instead.
- JSON has an address or an identity as an object; its Address, Name or Value is what the other forms write. A list is
  written here with a line for each of its values, and a pair as Format-List writes it: `[key, value]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.exports.clixml import Element, elements_in, is_clixml, names_in
from pipeline.exports.entra_records import looks_like_json, raw_of, records_in, text_of, without_surrogates
from pipeline.exports.json_records import JsonRecord
from pipeline.exports.locales import DayOrder, moment_of
from pipeline.exports.printed_tables import Printed, headings_in, rows_in
from pipeline.exports.tables import Export, columns_in, fold, lines_in, read, reject_of
from pipeline.lines import KEPT_OF_LONG
from pipeline.model import Chunk, Reject

_PROPERTY = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9_]{0,99}) {0,100}:(?: (?P<value>.*))?", re.ASCII)
_PROMPT = re.compile(r"(?:(?:\[[^\]\n]{1,200}\]: )?PS|\[PS\]) [^\n]{0,400}>")
_SINCE_1970 = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
_TABLE_BEGINS_WITHIN = 1 << 14
_BY_MEANING = ("address", "name", "value")


@dataclass(frozen=True, slots=True)
class Saved:
    """One object: its properties by our name for them, and where it stands."""

    offset: int
    raw: bytes
    names: frozenset[str]
    values: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


def objects_in(body: Chunk, names: Mapping[str, str]) -> Iterator[Saved | Reject | None]:
    """Yield each object, what cannot be read as a reject, and None for what is left; `names` maps folded properties."""
    if _is_list(body.body):  # these are asked first: the prompt of Exchange's shell begins as JSON does
        return _of_list(body, names)
    if _is_table(body.body, names):
        return _of_printed_table(body, names)
    if looks_like_json(body.body[:256]):
        return _of_json(body, names)
    if is_clixml(body.body):
        return _of_clixml(body, names)
    return _of_table(read(body, names), body)


def properties_in(head: bytes, names: Mapping[str, str]) -> frozenset[str]:
    """Return which of our properties the objects in `head` have; `head` may be cut anywhere."""
    if _is_list(head):
        found = map(_PROPERTY.match, text_of(head).splitlines())
        return frozenset(names[fold(each["name"])] for each in found if each and fold(each["name"]) in names)
    printed = frozenset(names[word] for word in headings_in(head[:_TABLE_BEGINS_WITHIN]) if word in names)
    if printed:
        return printed
    if looks_like_json(head):
        keys = re.findall(r"\"([A-Za-z]{1,100})\"\s{0,9}:", text_of(head))
        return frozenset(names[fold(key)] for key in keys if fold(key) in names)
    if is_clixml(head):
        return frozenset(names[fold(key)] for key in names_in(head) if fold(key) in names)
    return columns_in(head, names)


def is_printed(head: bytes, names: Mapping[str, str]) -> bool:
    """Return whether `head` is the text of Format-List or Format-Table, or what Export-Clixml wrote."""
    return _is_list(head) or is_clixml(head) or _is_table(head, names)


def time_of(text: str, order: DayOrder, body: Chunk) -> datetime | None:
    """Return the UTC time that a property writes, or None where it is none."""
    since = _SINCE_1970.fullmatch(text)
    if since is None:
        return moment_of(text, order, body.zone)
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(since[1]))
    except OverflowError:
        return None


def _is_list(head: bytes) -> bool:
    """Return whether the first line that is neither blank nor a prompt is a property and its value."""
    for line in text_of(head[:1024]).lstrip("\ufeff").splitlines():
        if line.strip() and not _PROMPT.match(line):
            return _PROPERTY.match(line) is not None and " :" in line
    return False


def _is_table(head: bytes, names: Mapping[str, str]) -> bool:
    return bool(headings_in(head[:_TABLE_BEGINS_WITHIN]) & names.keys())


def _of_table(export: Export, body: Chunk) -> Iterator[Saved | Reject | None]:
    for record in export.records:
        if record.trouble:
            yield reject_of(record, body, record.trouble)
        else:
            raw = body.body[record.offset : record.offset + record.size]
            yield Saved(body.offset + record.offset, raw, export.columns, record.values)
    yield from (None for _ in range(export.repeated))


def _of_json(body: Chunk, names: Mapping[str, str]) -> Iterator[Saved | Reject | None]:
    for record in records_in(body):
        yield record if isinstance(record, Reject) else _of_record(record, names)


def _of_record(record: JsonRecord, names: Mapping[str, str]) -> Saved:
    known = {names[fold(key)]: value for key, value in record.values.items() if fold(key) in names}
    values = {name: without_surrogates(_plain(value)).strip() for name, value in known.items()}
    return Saved(record.offset, raw_of(record.values), frozenset(values), values)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_one(each) for each in value)
    return _one(value)


def _one(value: Any) -> str:
    if isinstance(value, dict):
        inner = {str(key).lower(): each for key, each in value.items()}
        if inner.keys() == {"key", "value"}:
            return f"[{inner['key']}, {inner['value']}]"
        value = next((inner[key] for key in _BY_MEANING if isinstance(inner.get(key), (str, int))), None)
    return "" if value is None or isinstance(value, (list, dict)) else str(value)


def _of_clixml(body: Chunk, names: Mapping[str, str]) -> Iterator[Saved | Reject | None]:
    for each in elements_in(body):
        yield _known(each.offset, each.raw, each.values, names) if isinstance(each, Element) else each


def _of_printed_table(body: Chunk, names: Mapping[str, str]) -> Iterator[Saved | Reject | None]:
    for each in rows_in(body.body, frozenset(names)):
        if isinstance(each, Printed):
            yield _known(body.offset + each.offset, each.raw, each.cells, names)
        else:
            yield replace(each, offset=body.offset + each.offset) if each else None


def _known(offset: int, raw: bytes, given: Mapping[str, str], names: Mapping[str, str]) -> Saved:
    known = {names[fold(key)]: without_surrogates(value).strip() for key, value in given.items() if fold(key) in names}
    return Saved(offset, raw, frozenset(known), known)


def _of_list(body: Chunk, names: Mapping[str, str]) -> Iterator[Saved | None]:
    block = _Block(body, names)
    for text, offset in lines_in(body.body):
        found = _PROPERTY.fullmatch(text.rstrip())
        if found and block.has(found["name"]):
            yield block.saved()
            block = _Block(body, names)
        if found:
            block.add(found["name"], found["value"] or "", offset)
        elif text.strip() and text[0] in " \t" and block.properties:
            block.go_on(text.strip())
        else:
            if block.properties:
                yield block.saved()
                block = _Block(body, names)
            if text.strip("\ufeff \t\r\n"):
                yield None
    if block.properties:
        yield block.saved()


@dataclass(slots=True)
class _Block:
    """The lines of one object of Format-List, as they come."""

    body: Chunk
    names: Mapping[str, str]
    properties: dict[str, list[str]] = field(default_factory=dict)
    last: str = ""
    piece: str = ""
    start: int = 0

    def has(self, name: str) -> bool:
        return fold(name) in self.properties

    def add(self, name: str, value: str, offset: int) -> None:
        self.start = self.start if self.properties else offset
        self.last = fold(name)
        self.piece = value.strip()
        self.properties[self.last] = [self.piece]

    def go_on(self, text: str) -> None:
        is_in_word = self.piece.endswith("-") or " " not in self.piece
        self.properties[self.last].append(text if is_in_word else f" {text}")
        self.piece = text

    def saved(self) -> Saved:
        known = {self.names[name]: "".join(pieces) for name, pieces in self.properties.items() if name in self.names}
        raw = "\n".join(f"{name}: {value}" for name, value in known.items()).encode("utf-8", "replace")
        return Saved(self.body.offset + self.start, raw[:KEPT_OF_LONG], frozenset(known), known)
