"""
Objects as PowerShell's `Export-Clixml` saves them.

What a reader could not guess:
- Properties stand in `Props`, or in `MS` where somebody chose them with `Select-Object`.
- A value that is an object is known by its `ToString`; where it was written before, a `Ref` names it by number only.
- Several objects follow one another, or stand in one list (`LST`).
- Signs that XML cannot hold are written `_x000D_`.
- XML that breaks off cannot be taken up again, so what stands behind that place is one reject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from pipeline.exports.entra_records import text_of
from pipeline.lines import KEPT_OF_LONG
from pipeline.model import Chunk, Reject

_ROOT = re.compile(r"\ufeff?\s*(?:<\?xml[^>]{0,200}>\s*)?<Objs\s")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_NAME = re.compile(r"<[A-Za-z0-9]{1,8} N=\"([^\"<]{1,100})\"")
_MOST_DEPTH = 4
"""How many objects may stand within one another and each be one that was saved."""
_WITH_MEMBERS = {"Props", "MS"}
_NO_VALUES = {"TN", "T", "TNRef", "Objs", *_WITH_MEMBERS}
_OF_LIST = {"LST", "IE", "QUE", "STK", "DCT"}
_BY_MEANING = ("Address", "Name", "Value")


@dataclass(frozen=True, slots=True)
class Element:
    """One object: its properties as text, lists with a line for each value, and its bytes."""

    offset: int
    raw: bytes
    values: dict[str, str]


def is_clixml(head: bytes) -> bool:
    """Return whether `head` begins as such a file does."""
    return _ROOT.match(text_of(head[:1024])) is not None


def names_in(head: bytes) -> list[str]:
    """Return the names of the properties in `head`, which may be cut anywhere."""
    return _NAME.findall(text_of(head))


def elements_in(body: Chunk) -> Iterator[Element | Reject]:
    """Yield each object, and a reject where the file breaks off."""
    walk = _Walk(body)
    trouble = walk.read()
    yield from walk.found
    if trouble:
        yield trouble


@dataclass(slots=True)
class _Open:
    """An element whose end was not read yet."""

    tag: str
    name: str
    ref: str
    start: int
    pieces: list[str] = field(default_factory=list)
    members: dict[str, str] = field(default_factory=dict)
    items: list[str] = field(default_factory=list)

    def text(self) -> str:
        """Return what the element says: its list, its own text, or the member that an object is called by."""
        if self.items:
            return "\n".join(self.items)
        said = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), "".join(self.pieces)).strip()
        return said or next((self.members[name] for name in _BY_MEANING if name in self.members), "")


class _Walk:
    """One walk through a file, with the elements that are open."""

    def __init__(self, body: Chunk) -> None:
        self._body = body
        self._open: list[_Open] = []
        self._texts: dict[str, str] = {}
        self._named = self._objects = 0
        self.found: list[Element] = []
        self._parser = expat.ParserCreate(_encoding_of(body.body))
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._said
        self._parser.StartDoctypeDeclHandler = _refuse

    def read(self) -> Reject | None:
        try:
            self._parser.Parse(self._body.body, True)
        except (expat.ExpatError, ValueError) as error:
            start = next((each.start for each in self._open if each.tag == "Obj"), self._parser.CurrentByteIndex)
            start = self._line_start(max(start, 0))
            reason = f"the XML breaks off ({error}); expected it up to </Objs>"
            return Reject(self._body.body[start:][:KEPT_OF_LONG], self._body.offset + start, reason)
        return None

    def _line_start(self, place: int) -> int:
        """Return where the line of `place` begins: a secret is known by the word before it, which must stay."""
        found = self._body.body.rfind(b"\n", 0, place) + 1
        return found + found % 2 if b"\x00" in self._body.body[:4] else found  # a line end of UTF-16 is two bytes

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = attributes.get("N", "")
        self._named += bool(name)
        self._objects += tag == "Obj"
        self._open.append(_Open(tag, name, attributes.get("RefId", ""), self._parser.CurrentByteIndex))

    def _said(self, text: str) -> None:
        if self._open:
            self._open[-1].pieces.append(text)

    def _end(self, tag: str) -> None:
        ended = self._open.pop()
        is_of_another = self._named > 0
        self._named -= bool(ended.name)
        self._objects -= tag == "Obj"
        if tag in _NO_VALUES or not self._open:
            return
        parent = self._open[-1]
        if tag == "ToString":
            parent.pieces = ended.pieces
        elif tag in _OF_LIST:
            parent.items = ended.items
        elif tag == "En":
            parent.items.append(f"[{ended.members.get('Key', '')}, {ended.members.get('Value', '')}]")
        elif tag == "Obj" and ended.members and not is_of_another and self._objects < _MOST_DEPTH:
            raw = self._body.body[ended.start : min(self._parser.CurrentByteIndex, ended.start + KEPT_OF_LONG)]
            self.found.append(Element(self._body.offset + ended.start, raw, ended.members))
        else:
            self._value(ended, parent)

    def _value(self, ended: _Open, parent: _Open) -> None:
        """Give a value to what it belongs to."""
        text = self._texts.get(ended.ref, "") if ended.tag == "Ref" else ended.text()
        if ended.ref:
            self._texts[ended.ref] = text
        if parent.tag in _OF_LIST:
            parent.items.append(text)
        elif parent.tag in _WITH_MEMBERS and len(self._open) > 1:
            self._open[-2].members.setdefault(ended.name, text)
        elif parent.tag == "Obj" and not parent.pieces:
            parent.pieces = [text]  # the bare value of an enumeration or the like
        elif parent.tag == "En":
            parent.members.setdefault(ended.name, text)


def _encoding_of(body: bytes) -> str | None:
    """Return the encoding that the parser cannot tell by itself: one byte for each sign."""
    if body[:2] in {b"\xff\xfe", b"\xfe\xff", b"<\x00", b"\x00<"}:
        return None
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "windows-1252"
    return None


def _refuse(*_names: object) -> None:
    raise ValueError("a document type, which PowerShell never writes")
