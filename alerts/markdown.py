"""
Read the Markdown of our hints, for media that show it, or a part of it, or none.

The hint is ours, the values in it are not. HTML, images and links made from a bare address are switched off, so that
a value that slipped through unescaped stays text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import dedent, indent

from markdown_it import MarkdownIt
from markdown_it.token import Token

from alerts.plain import spelled_out

HEADING, CODE, PROSE = "heading", "code", "prose"


@dataclass(frozen=True, slots=True)
class Piece:
    """One heading, one block of code, or the prose between them; only the text of prose and headings is Markdown."""

    kind: str
    text: str


def pieces(hint: str) -> list[Piece]:
    """Return `hint` cut into headings, blocks of code and prose, in its order."""
    rows = _clean(hint).split("\n")
    found: list[Piece] = []
    done = 0
    for token, following in _with_next(_reader().parse("\n".join(rows))):
        if token.map is None or token.map[0] < done:
            continue
        if token.type == "heading_open" or token.type in {"fence", "code_block"}:
            start, end = token.map
            found += [_prose(rows[done:start]), _solid(token, following)]
            done = end
    return [piece for piece in [*found, _prose(rows[done:])] if piece.text]


def as_html(hint: str, styles: Mapping[str, str]) -> str:
    """Return `hint` as HTML; `styles` gives the inline style of each element, by the name of its tag."""
    reader = _reader()
    tokens = reader.parse(_clean(hint))
    for token in _all(tokens):
        if token.nesting >= 0 and token.tag in styles:
            token.attrSet("style", styles[token.tag])
    html = reader.renderer.render(tokens, reader.options, {})
    return str(html).replace("<pre>", f'<pre style="{styles["pre"]}">')


def as_text(hint: str) -> str:
    """Return `hint` as plain text that can be copied: no escapes, code indented, links followed by their address."""
    return "\n\n".join(_block_as_text(piece) for piece in pieces(hint))


def _block_as_text(piece: Piece) -> str:
    if piece.kind == CODE:
        return indent(piece.text, "    ")
    if piece.kind == HEADING:
        title = _unmarked(piece.text)
        return f"{title}\n{'-' * len(title)}"
    return _prose_as_text(piece.text)


def _prose_as_text(prose: str) -> str:
    """Return paragraphs and list items, each with its mark, nested ones indented."""
    written: list[str] = []
    marks: list[str] = []
    for token in _reader().parse(prose):
        if token.type == "list_item_open":
            marks.append(f"{token.info}. " if token.info else "- ")
        elif token.type == "list_item_close":
            marks.pop()
        elif token.type == "inline":
            margin = "  " * max(0, len(marks) - 1) + (marks[-1] if marks else "")
            written.append(("" if marks else "\n") + margin + _inline_as_text(token.children or []))
        elif token.type in {"bullet_list_open", "ordered_list_open"} and not marks:
            written.append("")
    return "\n".join(written).strip("\n")


def _unmarked(markdown: str) -> str:
    return " ".join(_inline_as_text(token.children or []) for token in _reader().parseInline(markdown))


def _inline_as_text(tokens: Sequence[Token]) -> str:
    text, address = "", ""
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrGet("href") or "")
        elif token.type == "link_close":
            text += f" <{address}>"
        else:
            text += "\n" if token.type == "hardbreak" else " " if token.type == "softbreak" else token.content
    return text


def _solid(token: Token, following: Token | None) -> Piece:
    if token.type == "heading_open":
        return Piece(HEADING, following.content.strip() if following else "")
    return Piece(CODE, token.content.strip("\n"))


def _prose(rows: Sequence[str]) -> Piece:
    return Piece(PROSE, dedent("\n".join(rows)).strip("\n"))


def _clean(hint: str) -> str:
    return spelled_out(hint.replace("\r\n", "\n"))


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or []


def _with_next(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token | None]]:
    return zip(tokens, [*tokens[1:], None], strict=False)


@cache
def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "linkify": False}).disable(["autolink", "image"])
