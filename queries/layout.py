"""How a query is laid out: keywords in capitals, names in lower snake case, two spaces, `AND` where a line begins."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlglot
from sqlglot.tokenizer_core import Token, TokenType

from queries.parsed import DIALECT

_WORD = re.compile(r"\w+")
_KEYWORDS = frozenset(
    _WORD.findall("""
    ALL AND ANTI AS ASC BETWEEN BY CASE CAST CROSS DESC DISTINCT ELSE END EXCEPT EXCLUDE EXISTS FALSE FILTER FROM FULL
    GROUP HAVING ILIKE IN INNER INTERSECT INTERVAL IS JOIN LATERAL LEFT LIKE LIMIT NOT NULL NULLS ON OR ORDER OUTER OVER
    PARTITION QUALIFY RECURSIVE RIGHT SELECT SEMI THEN TRUE UNION USING WHEN WHERE WITH WITHIN
    """)
)
_CALLED_LIKE_FUNCTIONS = frozenset({"CAST", "TRY_CAST", "EXISTS", "INTERVAL", "DECIMAL", "VARCHAR", "STRUCT"})
_BEFORE_BRACKETS = frozenset(
    _WORD.findall("""
    ALL AND AS BETWEEN BY CASE DISTINCT ELSE EXCEPT EXCLUDE FILTER FROM GROUP HAVING IN INTERSECT JOIN LATERAL NOT ON OR
    OVER QUALIFY SELECT THEN UNION USING WHEN WHERE
    """)
)
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def layout_problems(sql: str) -> Iterator[tuple[int, str]]:
    """Yield what is laid out wrongly in `sql`, each with the line of it, from 0."""
    yield from _lines(sql)
    yield from _words(sql)


def _lines(sql: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(sql.split("\n")):
        body = line.lstrip(" ")
        if "\t" in line:
            yield number, "there is a tab; indent with two spaces"
        elif (len(line) - len(body)) % 2:
            yield number, f"is indented by {len(line) - len(body)} spaces; a step is two"
        if line != line.rstrip():
            yield number, "there are spaces at the end of the line"
        code = body.partition("--")[0].rstrip()
        if code.endswith((" AND", " OR")) or code in {"AND", "OR"}:
            yield number, f"{code.split()[-1]} ends the line; it starts the next one"


def _words(sql: str) -> Iterator[tuple[int, str]]:
    tokens = sqlglot.tokenize(sql, read=DIALECT)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        words = _about(sql, token, following)
        if words:
            yield sql.count("\n", 0, token.start), words


def _about(sql: str, token: Token, following: Token | None) -> str:
    text = sql[token.start : token.end + 1]
    if token.token_type in {TokenType.STRING, TokenType.NUMBER, TokenType.IDENTIFIER} or not text[:1].isalpha():
        return ""
    is_called = following is not None and following.token_type is TokenType.L_PAREN and following.start == token.end + 1
    if is_called and text.upper() not in _CALLED_LIKE_FUNCTIONS | _BEFORE_BRACKETS:
        return "" if _NAME.fullmatch(text) else f"the function {text} should be in lower case"
    if text.upper() in _KEYWORDS and text != text.upper():
        return f"the keyword {text} should be in capitals"
    if token.token_type is TokenType.VAR and text.upper() not in _KEYWORDS and not _is_fine_word(text):
        return f"the name {text} should be in lower snake case"
    return ""


def _is_fine_word(text: str) -> bool:
    """Return whether `text` is a name in lower snake case, or a word in capitals such as DAY."""
    return bool(_NAME.fullmatch(text)) or (text.isupper() and text.isalpha())
