"""
A query as a tree, with the line of its file on which each part of it stands.

Parsed with sqlglot, whose own line numbers go wrong behind a `$param`, so lines are counted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from pipeline.errors import DetectionError
from pipeline.lake.tables import TABLES, VIEWS
from queries.sql_files import names_in, sql_file, take_apart

DIALECT = "duckdb"


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """One query: its text, its tree, and the line of its file on which it begins."""

    sql: str
    tree: exp.Query
    begins_at: int = 1

    def line_of(self, node: exp.Expr) -> int:
        """Return the line of the file on which `node` begins, or the part that it belongs to."""
        part: exp.Expr | None = node
        while part is not None:
            starts = [int(each.meta["start"]) for each in part.walk() if "start" in each.meta]
            if starts:
                return self.begins_at + self.sql.count("\n", 0, min(starts))
            part = part.parent
        return self.begins_at

    @property
    def own_names(self) -> set[str]:
        """The names that the query gives to its own parts."""
        return {each.alias for each in self.tree.find_all(exp.CTE)}

    def reads(self) -> Iterator[exp.Table]:
        """Yield each mention of a table that is not a part of the query itself."""
        own = self.own_names
        yield from (each for each in self.tree.find_all(exp.Table) if each.name and each.name not in own)

    @property
    def tables(self) -> set[str]:
        """The tables of the lake that it reads; a view counts as the tables that it is made of."""
        return {table for each in self.reads() for table in tables_behind(each.name)}

    @property
    def parameters(self) -> set[str]:
        """The names of its `$parameters`."""
        return {each.name for each in self.tree.find_all(exp.Placeholder)}


def parsed(sql: str, begins_at: int = 1) -> ParsedQuery:
    """Return `sql` as a tree; raise DetectionError where it is none, or more than one query."""
    try:
        trees = sqlglot.parse(sql, read=DIALECT)
    except SqlglotError as error:
        raise DetectionError(f"the query cannot be parsed: {_first_line(error)}") from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Query):
        raise DetectionError("there should be one query, a SELECT, between header and cases")
    return ParsedQuery(sql, trees[0], begins_at)


def parsed_file(text: str) -> ParsedQuery:
    """Return the query of a file; raise DetectionError where there is none, and ValueError where it has no header."""
    _, sql, _ = take_apart(text)
    return parsed(sql, begins_at(text))


def begins_at(text: str) -> int:
    """Return the line on which the query of a file begins."""
    _, sql, _ = take_apart(text)
    return 1 + text.count("\n", 0, text.find(sql))


@cache
def tables_behind(name: str) -> frozenset[str]:
    """Return the tables that `name`, a table or a view, is made of."""
    if name not in views() or name in TABLES:
        return frozenset({name})
    return frozenset(parsed(views()[name]).tables)


@cache
def views() -> dict[str, str]:
    """Return the query of each view that a detection may read, in an order in which they can be made."""
    has_files = (files("queries") / "views").is_dir()
    return {**VIEWS, **({name: sql_file("views", name).sql for name in names_in("views")} if has_files else {})}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip()
