"""
Which predicates of a query no case can tell: each is taken out in turn, and all cases of the file are run without it.

What is taken out: each condition of WHERE, HAVING, QUALIFY, FILTER and JOIN ON, each alternative of an OR, each branch
of a CASE, and each part of an AND or OR that stands in a column. A condition is covered when a case comes out
differently without it. Each case is loaded once and all mutants are run on it, so a file takes moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from pipeline.errors import DetectionError
from queries.ask import ask, rows_of_query
from queries.cases import Bench, comes_out, parameters_of_case, shown, window_of
from queries.detection import Detection
from queries.lint import BECAUSE
from queries.parsed import DIALECT, ParsedQuery, parsed, parsed_file
from queries.sql_files import SqlFile

_Found = Callable[[duckdb.DuckDBPyConnection, str], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A query in which `predicate`, on that line, is always so (or, with `never`, never)."""

    line: int
    predicate: str
    never: bool
    sql: str

    def __str__(self) -> str:
        return f"{self.predicate}: no case comes out differently when it is {'never' if self.never else 'always'} so"


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the cases of one file can tell: how many predicates there are, which nobody tells, which are excused."""

    mutants: int
    uncovered: tuple[Mutant, ...]
    idle_excuses: tuple[str, ...]  # entries of `uncovered` in the header that excuse nothing


def coverage(detection: Detection, bench: Bench | None = None) -> Coverage:
    """Return what the cases of `detection` can tell of its predicates."""
    window = window_of(detection)

    def found(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
        return shown(ask(connection, replace(detection, sql=sql), window))

    return _coverage(parsed_file(detection.text), detection.cases, detection.uncovered, found, bench)


def coverage_of_file(file: SqlFile, bench: Bench | None = None, *, begins_at: int = 1) -> Coverage:
    """Return what the cases of any other SQL file can tell of its predicates."""
    parameters = parameters_of_case(file)

    def found(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
        return list(rows_of_query(connection, file.name, sql, parameters))

    return _coverage(parsed(file.sql, begins_at), file.cases, file.header.get("uncovered", ()), found, bench)


def _coverage(
    query: ParsedQuery,
    cases: Sequence[Mapping[str, Any]],
    excused: Iterable[str],
    found: _Found,
    bench: Bench | None,
) -> Coverage:
    all_of_them = list(mutants(query))
    left = _survivors(all_of_them, cases, found, bench, query.tree.sql(DIALECT))
    excuses = {entry.partition(BECAUSE)[0]: entry for entry in excused}
    idle = excuses.keys() - {each.predicate for each in left}
    return Coverage(
        mutants=len(all_of_them),
        uncovered=tuple(sorted((each for each in left if each.predicate not in excuses), key=lambda each: each.line)),
        idle_excuses=tuple(excuses[predicate] for predicate in sorted(idle)),
    )


def mutants(query: ParsedQuery) -> Iterator[Mutant]:
    """Yield `query` once for each predicate, without it."""
    for node, never in _predicates(query.tree):
        line, predicate = query.line_of(node), _words(node)
        instead = _instead(node, never)
        node.replace(instead)
        yield Mutant(line, predicate, never, query.tree.sql(DIALECT))
        instead.replace(node)


def _words(node: exp.Expr) -> str:
    match node.parent:
        case exp.If(parent=exp.Case(this=exp.Expr() as value)):
            return f"{value.sql(DIALECT)} = {node.sql(DIALECT)}"
    return node.sql(DIALECT)


def _instead(node: exp.Expr, never: bool) -> exp.Expr:
    match node.parent:
        case exp.If(parent=exp.Case(this=exp.Expr())):
            return exp.null()  # CASE x WHEN value: no x is NULL
        case exp.Qualify():
            return sqlglot.parse_one("row_number() OVER () > 0")  # there has to be a window function in it
    return exp.false() if never else exp.true()


def _predicates(tree: exp.Expr) -> list[tuple[exp.Expr, bool]]:
    """Return each predicate, and whether it is taken out by being never so, as an alternative of an OR is."""
    found: dict[tuple[int, bool], tuple[exp.Expr, bool]] = {}
    for node in tree.walk():
        for part, never in _parts_at(node):
            found.setdefault((id(part), never), (part, never))
    return list(found.values())


def _parts_at(node: exp.Expr) -> Iterator[tuple[exp.Expr, bool]]:
    match node:
        case exp.Where() | exp.Having() | exp.Qualify():
            yield from _parts(node.this)
        case exp.Join() if not isinstance(node.args.get("on"), exp.Boolean | None):  # ON TRUE asks for nothing
            yield from _parts(node.args["on"])
        case exp.Case():
            for branch in node.args["ifs"]:
                yield branch.this, True
                if node.this is None:
                    yield from _parts(branch.this)
        case exp.And() | exp.Or() if not isinstance(_around(node), exp.And | exp.Or):
            yield from _parts(node)


def _parts(condition: exp.Expr) -> Iterator[tuple[exp.Expr, bool]]:
    """Yield what `condition` is made of: it is taken out of an AND by being always so, and of an OR by being never."""
    bare = condition.unnest()
    if not isinstance(bare, exp.And | exp.Or):
        yield condition, False
        return
    for operand in bare.flatten():
        yield operand, isinstance(bare, exp.Or)
        if isinstance(operand.unnest(), exp.And | exp.Or):
            yield from _parts(operand)


def _around(node: exp.Expr) -> exp.Expr | None:
    around = node.parent
    while isinstance(around, exp.Paren):
        around = around.parent
    return around


def _survivors(
    all_of_them: Sequence[Mutant], cases: Iterable[Mapping[str, Any]], found: _Found, bench: Bench | None, sql: str
) -> list[Mutant]:
    """
    Return the mutants with which every case comes out as before.

    Once a case has told one, it is done with, so the fullest cases come first: they tell the most.
    """
    left = list(all_of_them)
    with nullcontext(bench) if bench else Bench.open() as shared:
        for case in sorted(cases, key=_rows_of, reverse=True):
            with shared.given(case) as connection:
                if not _is_told(case, connection, found, sql):
                    left = [each for each in left if not _is_told(case, connection, found, each.sql)]
                else:
                    raise DetectionError(f"the case {case['name']!r} does not come out as it is; mend that first")
    return left


def _rows_of(case: Mapping[str, Any]) -> int:
    return sum(len(rows) for rows in case.get("given", {}).values())


def _is_told(case: Mapping[str, Any], connection: duckdb.DuckDBPyConnection, found: _Found, sql: str) -> bool:
    """Return whether `case` comes out otherwise with `sql`, or cannot be run with it."""
    try:
        return not comes_out(case, found(connection, sql))
    except DetectionError:
        return True
