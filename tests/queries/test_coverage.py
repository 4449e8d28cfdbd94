"""Which predicates of a query the cases can tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import DetectionError
from queries.coverage import coverage, mutants
from queries.detection import detection
from queries.parsed import parsed

REFUSED = detection("basic_auth_refused")


def predicates(sql: str) -> set[tuple[int, str, str]]:
    return {(each.line, each.predicate, "never" if each.never else "always") for each in mutants(parsed(sql))}


def test_each_condition_of_where_is_taken_out_on_its_own() -> None:
    assert predicates("SELECT a\nFROM t\nWHERE a > $x\n  AND (b = 1 OR c)") == {
        (3, "a > $x", "always"),
        (4, "b = 1 OR c", "always"),
        (4, "b = 1", "never"),
        (4, "c", "never"),
    }


def test_having_filter_qualify_join_and_case_are_looked_into() -> None:
    sql = """SELECT
  count(*) FILTER (WHERE a) AS n,
  CASE WHEN b AND c THEN 1 ELSE 0 END AS m,
  CASE d WHEN 'x' THEN 1 END AS o
FROM t
LEFT JOIN u ON u.e = t.e
GROUP BY f
HAVING g
QUALIFY row_number() OVER (ORDER BY h) = 1"""

    found = predicates(sql)

    assert found == {
        (2, "a", "always"),
        (3, "b AND c", "never"),
        (3, "b", "always"),
        (3, "c", "always"),
        (4, "d = 'x'", "never"),
        (6, "u.e = t.e", "always"),
        (8, "g", "always"),
        (9, "ROW_NUMBER() OVER (ORDER BY h) = 1", "always"),
    }


def test_a_mutant_is_the_whole_query_without_one_predicate() -> None:
    [first, second] = mutants(parsed("SELECT a FROM t WHERE a AND NOT b"))

    assert (first.sql, second.sql) == ("SELECT a FROM t WHERE TRUE AND NOT b", "SELECT a FROM t WHERE a AND TRUE")


def test_what_no_case_tells_is_named_with_its_line() -> None:
    cases = tuple(case for case in REFUSED.cases if "merely held" not in case["name"])

    [missed] = coverage(replace(REFUSED, cases=cases)).uncovered

    assert missed.predicate == "kind = 'try'"
    assert REFUSED.text.splitlines()[missed.line - 1].strip() == "AND kind = 'try'"


def test_an_excuse_with_a_reason_is_taken_and_an_idle_one_is_told() -> None:
    cases = tuple(case for case in REFUSED.cases if "merely held" not in case["name"])
    excuses = ("kind = 'try' because the log knows nothing else", "kind = 'x' because of nothing")

    found = coverage(replace(REFUSED, cases=cases, uncovered=excuses))

    assert found.uncovered == ()
    assert found.idle_excuses == ("kind = 'x' because of nothing",)


def test_cases_that_fail_as_they_are_tell_nothing() -> None:
    wrong = {**REFUSED.cases[0], "finds": []}

    with pytest.raises(DetectionError, match="does not come out as it is"):
        coverage(replace(REFUSED, cases=(wrong,)))
