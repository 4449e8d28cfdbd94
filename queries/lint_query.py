"""
The rules of the house for the query of a detection, seen in its tree.

A window is half-open and stands where rows are taken from the lake; the present is `$window_end` and no clock; every
number that decides something has a name; what is found comes in an order that does not change from run to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from pipeline.lake.tables import TIME_KEPT
from queries.parsed import DIALECT, ParsedQuery, tables_behind

Fault = tuple[int, str, str]
"""Line, rule, and the sentence about what is wrong."""

GIVEN = frozenset({"window_start", "window_end", "complete_until"})
"""Parameters that every detection may use and none declares."""
_STARTS = frozenset({"window_start"})
_ENDS = frozenset({"window_end", "complete_until"})
_TOLD_ONCE = frozenset({"exposure", "gaps", "password_end", "sender_states"})
"""Tables that say what is so until they say otherwise: the last word on a thing holds, however old it is."""

_COMPARISONS = (exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between)
_ARITHMETIC = (
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Paren, exp.Interval, exp.Cast, exp.TryCast,
    exp.Coalesce, exp.Greatest, exp.Least, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Case, exp.If, exp.Alias,
)  # fmt: skip
_UNITS = frozenset({"24", "60", "100", "1000", "3600", "86400", "1000000"})
"""Factors between units, which nobody would tune."""
_CLOCKS = re.compile(r"Current|Localtime|Rand|Uuid|UUID")
_CLOCK_NAMES = frozenset(
    {"now", "today", "get_current_time", "get_current_timestamp", "transaction_timestamp", "random", "uuid", "uuidv7"}
)
_NOT_IN_SPARK: Mapping[str, str] = {
    "count_if": "count(*) FILTER (WHERE …)",
    "epoch_us": "epoch",
    "epoch_ms": "epoch",
    "list_sort": "list(… ORDER BY …)",
    "arg_max_null": "max_by",
    "histogram": "GROUP BY",
    "time_bucket": "date_trunc, or a floor of epoch",
}


def query_faults(query: ParsedQuery, header: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the rules that the query of a detection with `header` breaks."""
    yield from shared_faults(query)
    yield from _reads(query, header)
    yield from _parameters(query, header)
    yield from _window(query)
    yield from _thresholds(query)
    yield from _returned(query, header)


def shared_faults(query: ParsedQuery) -> Iterator[Fault]:
    """Yield the rules that any query in the house breaks."""
    yield from _clocks(query)
    yield from _portable(query)
    if not query.tree.args.get("order"):
        yield query.line_of(query.tree.selects[-1]), "order", "the query should end in an ORDER BY"


def _reads(query: ParsedQuery, header: Mapping[str, Any]) -> Iterator[Fault]:
    used, named = query.tables, set(_texts(header, "reads"))
    for table in query.reads():
        for name in tables_behind(table.name) - named:
            yield query.line_of(table), "reads", f"the query reads {name!r}, which 'reads' does not name"
    for name in named - used:
        yield 1, "reads", f"'reads' names {name!r}, which the query does not read"
    if header.get("complete") and not used & {"feeds"} and "complete_until" not in query.parameters:
        sentence = (
            "'complete' says that it reasons about what is missing, so it should ask `feeds` up to when all is there"
        )
        yield 1, "reads", sentence


def _parameters(query: ParsedQuery, header: Mapping[str, Any]) -> Iterator[Fault]:
    params = header.get("params")
    declared = set(params) if isinstance(params, dict) else set()
    for each in query.tree.find_all(exp.Placeholder):
        if each.name not in declared | GIVEN:
            yield query.line_of(each), "params", f"${each.name} is not declared in [params]"
    for name in declared - query.parameters:
        yield 1, "params", f"[params] declares {name!r}, which the query does not use"
    for name in ("window_start", "window_end"):
        if name not in query.parameters:
            yield query.begins_at, "window", f"the query should use ${name}"


def _clocks(query: ParsedQuery) -> Iterator[Fault]:
    for node in query.tree.walk():
        name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
        if name in _CLOCK_NAMES or _CLOCKS.match(type(node).__name__):
            told = name or node.sql(DIALECT).lower()
            sentence = f"{told} answers differently at each run; the present is $window_end"
            yield query.line_of(node), "clock", sentence


def _window(query: ParsedQuery) -> Iterator[Fault]:
    taking = {select for each in query.reads() if (select := each.parent_select) is not None}
    for each in query.reads():
        if _is_bounded_by_time(each.name) and each.parent_select is not None:
            for bound, words in ((exp.GTE, ">= $window_start"), (exp.LT, "< $window_end")):
                if not _has_bound(each.parent_select, bound):
                    yield query.line_of(each), "window", f"{each.name} should be read within the window: {words}"
    for parameter in query.tree.find_all(exp.Placeholder):
        if parameter.name in _STARTS and parameter.parent_select not in taking:
            sentence = "$window_start belongs where rows are taken from the lake, and nowhere else"
            yield query.line_of(parameter), "window", sentence
        if parameter.name in GIVEN and (comparison := _wrong_comparison(parameter)) is not None:
            sentence = "a window is half-open: the time is >= $window_start and < $window_end"
            yield query.line_of(comparison), "window", sentence


def _is_bounded_by_time(name: str) -> bool:
    if name in _TOLD_ONCE:
        return False
    return any(table in TIME_KEPT and table not in _TOLD_ONCE for table in tables_behind(name))


def _has_bound(select: exp.Expr, bound: type[exp.GTE] | type[exp.LT]) -> bool:
    names = _STARTS if bound is exp.GTE else _ENDS
    mirrored = exp.LTE if bound is exp.GTE else exp.GT
    for comparison in select.find_all(bound, mirrored):
        side = comparison.expression if isinstance(comparison, bound) else comparison.this
        if names & {each.name for each in side.find_all(exp.Placeholder)}:
            return True
    return False


def _wrong_comparison(parameter: exp.Placeholder) -> exp.Expr | None:
    """Return the comparison of a time with `parameter` that includes or leaves out the wrong end."""
    comparison = parameter.find_ancestor(*_COMPARISONS, exp.EQ, exp.NEQ, exp.Select)
    if comparison is None or isinstance(comparison, exp.Select):
        return None
    if isinstance(comparison, exp.Between):
        return comparison if isinstance(comparison.this, exp.Column) else None
    sides = [side for side in (comparison.this, comparison.expression) if not side.find(exp.Placeholder)]
    other = sides[0] if sides else None
    if not isinstance(other, exp.Column) or other.name not in set(TIME_KEPT.values()):
        return None
    is_mirrored = other is comparison.expression
    wanted = (exp.LTE if is_mirrored else exp.GTE) if parameter.name in _STARTS else (exp.GT if is_mirrored else exp.LT)
    return None if isinstance(comparison, wanted) else comparison


def _thresholds(query: ParsedQuery) -> Iterator[Fault]:
    shown = {id(node) for each in query.tree.selects for node in each.walk()}  # it words a fact and decides nothing
    for comparison in query.tree.find_all(*_COMPARISONS):
        if id(comparison) in shown:
            continue
        for literal in comparison.find_all(exp.Literal):
            if _is_threshold(literal, comparison):
                sentence = f"the number {literal.name} decides something, so it should be a parameter with a name"
                yield query.line_of(comparison), "thresholds", sentence


def _is_threshold(literal: exp.Literal, comparison: exp.Expr) -> bool:
    is_span = isinstance(literal.parent, exp.Interval)
    if (literal.is_string and not is_span) or literal.name in {"0", "1"}:
        return False
    if literal.name in _UNITS and isinstance(literal.parent, exp.Mul | exp.Div):
        return False
    part = literal.parent
    while part is not None and part is not comparison:
        if not isinstance(part, _ARITHMETIC):
            return False  # an argument, such as which part of a text is meant, or a comparison of its own
        part = part.parent
    return True


def _returned(query: ParsedQuery, header: Mapping[str, Any]) -> Iterator[Fault]:
    line = query.line_of(query.tree.selects[0])
    if query.tree.is_star:
        yield line, "returns", "the last SELECT should name its columns, not *"
        return
    names = query.tree.named_selects
    about = _texts(header, "about")
    for name in [*about, "first_seen", "last_seen", *re.findall(r"\{(\w+)\}", str(header.get("title", "")))]:
        if name not in names:
            yield line, "returns", f"the query should return {name!r}"
    order = query.tree.args.get("order")
    ordered = {each.name for each in order.find_all(exp.Column)} if order else set(about)
    for name in [each for each in about if each not in ordered]:
        yield (
            query.line_of(order) if order else line,
            "order",
            f"ORDER BY should end in {name!r}, or the order may change",
        )


def _portable(query: ParsedQuery) -> Iterator[Fault]:
    try:
        [spark] = sqlglot.transpile(query.sql, read=DIALECT, write="spark", unsupported_level=ErrorLevel.RAISE)
        sqlglot.parse(spark, read="spark")
    except SqlglotError as error:
        yield query.begins_at, "portable", f"Spark cannot say this: {str(error).partition(chr(10))[0].strip()}"
    for node in query.tree.find_all(exp.Anonymous, exp.CountIf):
        name = node.name.lower() if isinstance(node, exp.Anonymous) else "count_if"
        instead = _NOT_IN_SPARK.get(name)
        if instead:
            yield query.line_of(node), "portable", f"{name} is DuckDB's own, or answers in an odd type; write {instead}"
    for node in query.tree.find_all(exp.PercentileCont, exp.PercentileDisc):
        if node.expression:
            told = f"percentile_cont({node.expression.sql(DIALECT)}) WITHIN GROUP (ORDER BY {node.this.sql(DIALECT)})"
            yield query.line_of(node), "portable", f"Spark has no quantile_cont of two arguments; write {told}"


def _texts(header: Mapping[str, Any], key: str) -> list[str]:
    value = header.get(key, [])
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
