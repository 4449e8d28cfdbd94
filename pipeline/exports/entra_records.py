"""
The records in a JSON export of Entra or Microsoft 365, also in one that is broken or cut off in the middle.

Reads: objects one a line or one behind the other, lists, pages (`{"value": […]}`), envelopes (`{"records": […]}`, also
as the `body` of an answer or, as text, of a message), and tables of columns and rows, in UTF-8, UTF-16 or Windows-1252.
A record that cannot be read costs itself only: where a page is broken, its list is gone through record by record.
Leaves: brackets, and what stands beside the list in a page.

Offsets count bytes of the file. A record of a page that can be read whole has the offset of its page.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.exports.json_records import JsonRecord
from pipeline.lines import KEPT_OF_LONG
from pipeline.model import Chunk, Reject

MOST_DEPTH = 5
"""How many lists may stand within one another around a record."""

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_PROBE_BYTES = 32
_PACKED_IN = ("value", "records", "results", "data", "responses")
_RECORD_KEYS = {"id", "time", "operation", "createddatetime", "timegenerated", "creationtime"}
_BETWEEN = re.compile(r"[\s,\]}\x1e\ufeff]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIRST_KEY = re.compile(r"\{\s*(\"[^\"\\\n]{1,100}\"\s*:)")
_PAGE = re.compile(
    r"\[|\{(?:\s*+\"[^\"\\\n]{1,200}+\"\s*+:\s*+(?:\"(?:[^\"\\]|\\.)*+\"|[\w.+-]++)\s*+,)*+"
    rf"\s*+\"(?:{'|'.join(_PACKED_IN)})\"\s*+:\s*+\[",
    re.IGNORECASE,
)
_MOST_INDENT = 200
_MOST_ABSENT = 50
_DECODER = json.JSONDecoder()


def records_in(body: Chunk) -> Iterator[JsonRecord | Reject]:
    """Yield each record of an export, and what cannot be read as a reject."""
    return _Reading(body).records()


def document_of(body: bytes) -> Any | None:
    """Return the one JSON document that `body` is, in UTF-8 and with nothing before or behind it, or None."""
    text, bom, encoding = _decoded(body)
    if bom or encoding != "utf-8":
        return None
    try:
        found, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return None if text[end:].strip() else found


def looks_like_json(head: bytes) -> bool:
    """Return whether `head` begins as JSON does, in any of the encodings."""
    return text_of(head[:256]).lstrip("\ufeff \t\r\n\x1e")[:1] in {"{", "["}


def text_of(head: bytes) -> str:
    """Return `head`, which may be cut anywhere, as text."""
    return _decoded(head)[0]


def without_surrogates(text: str) -> str:
    """Return `text` with half characters, which JSON can write and nothing can store, replaced."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def raw_of(values: Mapping[str, Any]) -> bytes:
    """Return a record as it goes into a reject."""
    return json.dumps(values, default=str).encode()[:KEPT_OF_LONG]


class _Reading:
    """One walk through the text of a file, which knows how far it is, in characters and in bytes."""

    def __init__(self, body: Chunk) -> None:
        self._text, bom, self._encoding = _decoded(body.body)
        self._place = self._counted = 0
        self._offset = body.offset + bom
        self._depth = self._page_end = 0
        self._absent: set[str] = set()
        # What fails is read once more as far as it goes; a file made to fail everywhere must not cost its square.
        self._budget = 64 * len(self._text) + (1 << 20)

    def records(self) -> Iterator[JsonRecord | Reject]:
        while self._is_at_something():
            offset = self._bytes_so_far()
            if self._text[self._place] not in "{[":
                yield from self._stray(offset)
                continue
            end = self._next_record()
            try:
                found, self._place = self._decoded_up_to(end)
            except (ValueError, RecursionError) as error:
                yield from self._broken(error, end, offset)
            else:
                yield from _unpacked(found, offset, 0)

    def _is_at_something(self) -> bool:
        between = _BETWEEN.match(self._text, self._place)
        self._place = between.end() if between else self._place
        if self._place >= self._page_end:
            self._depth = 0
        return self._place < len(self._text)

    def _bytes_so_far(self) -> int:
        self._offset += len(self._text[self._counted : self._place].encode(self._encoding, "replace"))
        self._counted = self._place
        return self._offset

    def _stray(self, offset: int) -> Iterator[Reject]:
        """Go past a line that begins no record; beside the list of a broken page it is a member of the page."""
        is_member = self._depth > 0 and self._text[self._place] == '"'
        raw = self._raw_up_to(_line_end(self._text, self._place))
        if not is_member:
            yield Reject(raw, offset, "the line is no JSON; expected an object that begins with {")

    def _decoded_up_to(self, end: int) -> tuple[Any, int]:
        """Return what begins here and where it ends: before the next record, or else, oddly laid out, further on."""
        if end < len(self._text):
            try:
                found, size = _DECODER.raw_decode(self._text[self._place : end])
            except (ValueError, RecursionError):
                if self._budget <= 0:
                    raise
                self._budget -= end
            else:
                return found, self._place + size
        return _DECODER.raw_decode(self._text, self._place)

    def _broken(self, error: ValueError | RecursionError, end: int, offset: int) -> Iterator[Reject]:
        """Go into the list that begins here, or past the record."""
        page = _PAGE.match(self._text, self._place)
        if page and self._depth < MOST_DEPTH:
            self._depth += 1
            self._page_end = max(end, self._page_end)
            self._place = page.end()
            return
        words = error.msg if isinstance(error, json.JSONDecodeError) else "a number or a nesting beyond all measure"
        reason = f"the record is no whole JSON object ({words}); expected one from {{ to }}"
        yield Reject(self._raw_up_to(end), offset, reason)

    def _next_record(self) -> int:
        """Return where the next record begins: as deep as this one where each has its line, else with the same key."""
        # Where no line begins close by, this stands in mid-line: a page is often one line of many megabytes.
        before = self._text[max(0, self._place - _MOST_INDENT) : self._place]
        before = before if self._place > _MOST_INDENT else "\n" + before
        _line, newline, indent = before.rpartition("\n")
        indent = indent.lstrip("\ufeff")
        if newline and not indent.strip(" \t"):
            found = self._text.find(f"\n{indent}{{", self._place) if indent not in self._absent else -1
            if found < 0:
                self._absent.add(indent)
            return found if found >= 0 else len(self._text)
        key = _FIRST_KEY.match(self._text, self._place)
        if key is None or key[1] in self._absent or len(self._absent) > _MOST_ABSENT:
            return _line_end(self._text, self._place)
        after = re.compile(r"\}\s*+(?:,\s*+)?(?=\{\s*+" + re.escape(key[1]) + ")").search(self._text, self._place)
        if after is None:
            self._absent.add(key[1])
        return after.end() if after else _line_end(self._text, self._place)

    def _raw_up_to(self, end: int) -> bytes:
        """Return what lies up to `end`, cut to what a reject may hold, and go there."""
        raw = self._text[self._place : min(end, self._place + KEPT_OF_LONG)].strip()
        self._place = end
        return raw.encode("utf-8", "replace")[:KEPT_OF_LONG]


def _decoded(body: bytes) -> tuple[str, int, str]:
    """Return the text, the length of the byte order mark, and the encoding; a last character cut in half is dropped."""
    bom, encoding = next(((len(mark), name) for mark, name in _BOMS if body.startswith(mark)), (0, _guessed(body)))
    try:
        return codecs.getincrementaldecoder(encoding)("strict").decode(body[bom:]), bom, encoding
    except UnicodeDecodeError:
        if encoding != "utf-8":
            return body[bom:].decode(encoding, "replace"), bom, encoding
        return body[bom:].decode("cp1252", "replace"), bom, "cp1252"


def _guessed(body: bytes) -> str:
    even, odd = body[:_PROBE_BYTES:2].count(0), body[1:_PROBE_BYTES:2].count(0)
    if abs(odd - even) <= len(body[:_PROBE_BYTES]) // 4:
        return "utf-8"
    return "utf-16-le" if odd > even else "utf-16-be"


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _unpacked(found: Any, offset: int, depth: int) -> Iterator[JsonRecord | Reject]:
    if isinstance(found, list) and depth <= MOST_DEPTH:
        for each in found:
            yield from _unpacked(each, offset, depth + 1)
    elif isinstance(found, dict):
        values = {str(key).lower(): value for key, value in found.items()}
        inner = _packed_in(values)
        if inner is not None:
            yield from _unpacked(inner, offset, depth + 1)
        elif isinstance(values.get("columns"), list) and isinstance(values.get("rows"), list):
            yield from _rows_of(values["columns"], values["rows"], offset)
        else:
            yield JsonRecord(values, offset)
    else:
        raw = json.dumps(found)[:KEPT_OF_LONG].encode()
        yield Reject(raw, offset, f"the list holds {_kind_of(found)}; expected JSON objects")


def _packed_in(values: Mapping[str, Any]) -> list[Any] | None:
    if isinstance(values.get("tables"), list):
        tables: list[Any] = values["tables"]
        return tables
    body = _body_of(values)
    if body is not None:
        return [body]
    if values.keys() & _RECORD_KEYS:
        return None
    return next((values[name] for name in _PACKED_IN if isinstance(values.get(name), list)), None)


def _body_of(values: Mapping[str, Any]) -> Any | None:
    """Return what an answer of a batch or a message of an Event Hub holds, where that is a page or an envelope."""
    body = values.get("body")
    if isinstance(body, str) and body.lstrip()[:1] in {"{", "["}:
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return None
    if isinstance(body, list):
        return body
    names = {str(key).lower() for key in body} if isinstance(body, dict) else set()
    return body if names.intersection(_PACKED_IN) else None


def _rows_of(columns: list[Any], rows: list[Any], offset: int) -> Iterator[JsonRecord | Reject]:
    names = [_column(each) for each in columns]
    for row in rows:
        if isinstance(row, list) and len(row) == len(names):
            yield JsonRecord(dict(zip(names, row, strict=True)), offset)
        else:
            found = f"{len(row)} values" if isinstance(row, list) else _kind_of(row)
            raw = json.dumps(row)[:KEPT_OF_LONG].encode()
            yield Reject(raw, offset, f"the row of the table has {found}; expected a list of {len(names)} values")


def _column(column: Any) -> str:
    if not isinstance(column, dict):
        return str(column).lower()
    return next((str(value).lower() for key, value in column.items() if key.lower() in {"name", "columnname"}), "")


def _kind_of(value: Any) -> str:
    kinds = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "lists in lists"}
    return kinds.get(type(value), "nothing" if value is None else "an object")
