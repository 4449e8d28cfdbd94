"""Each rule of the house, broken once: what is said of it, and on which line."""

from __future__ import annotations

import pytest

from queries.lint import lint, lint_other

GOOD = """\
/*---
title       = "{sender} is refused often"
why         = "Its mail is lost."
severity    = "high"
confidence  = "medium"
every       = "10m"
window      = "1h"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "accepted_later"
remedy      = "basic_auth"
references  = ["https://learn.microsoft.com/exchange/"]
known_gaps  = "Nothing."
false_positives = "None known."
mitre       = ["T1110.003"]

[params]
min_refusals = 3
---*/
WITH
tries AS (
  SELECT sender, event_time
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND outcome = 'rejected'
)
SELECT sender, min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS refusals
FROM tries
GROUP BY sender
HAVING count(*) >= $min_refusals
ORDER BY refusals DESC, sender
/*---
[[case]]
name  = "fires"
given.deliveries = [{ times = 3, sender = "scan@contoso.example" }]
finds = [{ sender = "scan@contoso.example", refusals = 3 }]

[[case]]
name  = "stays silent for what got in"
given.deliveries = [{ times = 3, sender = "scan@contoso.example", outcome = "accepted" }]
finds = []

[[case]]
name  = "stays silent for two"
given.deliveries = [{ times = 2, sender = "scan@contoso.example" }]
finds = []

[[case]]
name  = "does not look before the window"
given.deliveries = [{ times = 3, sender = "scan@contoso.example", event_time = "-61m" }]
finds = []
---*/
"""


def said_of(text: str) -> list[str]:
    return [f"{each.line} {each.rule}: {each.sentence}" for each in lint("draft.sql", text, {"basic_auth"})]


def test_a_detection_that_keeps_all_rules_gets_no_word() -> None:
    assert said_of(GOOD) == []


@pytest.mark.parametrize(
    ("instead_of", "there_is", "said"),
    [
        # the header
        ('severity    = "high"', 'severity    = "hihg"', "4 header: 'severity' should be one of critical, high"),
        ('confidence  = "medium"\n', "", "1 header: the header lacks 'confidence'"),
        ('false_positives = "None known."\n', "", "1 header: the header lacks 'false_positives'"),
        ('about       = ["sender"]', 'about       = "sender"', "9 header: 'about' should be a list of texts"),
        ('every       = "10m"', 'every       = "soon"', "6 header: 'every': 'soon' is no span of time"),
        ('every       = "10m"', 'every       = "2h"', "6 header: 'every' should be a minute at least"),
        ('every       = "10m"', 'evry       = "10m"', "6 header: unknown key 'evry'; did you mean 'every'?"),
        ("{sender} is", "A sender is", "2 header: the title should name what it is about: {sender}"),
        ("{sender} is", "{sender} {device} is", "returns: the query should return 'device'"),
        ("mail is lost.", "mail is lost", "3 header: 'why' should be a sentence"),
        ('"accepted_later"', '"never"', "10 header: 'over_when' should be one of queries/over"),
        ('"basic_auth"', '"magic"', "11 header: 'remedy' should be a hint that there is: basic_auth"),
        ('"https://learn', '"http://learn', "12 header: 'http://learn.microsoft.com/exchange/' should begin with http"),
        ('"T1110.003"', '"spray"', "15 header: 'spray' should be the id of a technique"),
        ("[params]", 'uncovered = ["kind = 1"]\n\n[params]', "17 header: 'kind = 1' should be a predicate, the word"),
        ('["deliveries"]', '["deliveries", "nothing"]', "8 header: 'reads' names 'nothing', which is no table"),
        # what it reads, and its parameters
        ('["deliveries"]', '["signins"]', "23 reads: the query reads 'deliveries', which 'reads' does not name"),
        ('["deliveries"]', '["deliveries", "signins"]', "1 reads: 'reads' names 'signins', which the query does not"),
        ("$min_refusals", "$most", "32 params: $most is not declared in [params]"),
        ("$min_refusals", "1", "1 params: [params] declares 'min_refusals', which the query does not use"),
        ("about       =", 'complete    = ["deliveries"]\nabout       =', "1 reads: 'complete' says that it reasons"),
        # time
        ("< $window_end", "< now()", "25 clock: now answers differently at each run"),
        ("< $window_end", "< CURRENT_TIMESTAMP", "25 clock: current_timestamp answers differently"),
        ("< $window_end", "<= $window_end", "25 window: a window is half-open"),
        (">= $window_start", "> $window_start", "24 window: a window is half-open"),
        ("    AND event_time < $window_end\n", "", "23 window: deliveries should be read within the window: < $win"),
        ("    AND event_time < $window_end\n", "", "20 window: the query should use $window_end"),
        ("GROUP BY sender", "WHERE event_time >= $window_start\nGROUP BY sender", "31 window: $window_start belongs"),
        # what decides and what comes out
        ("$min_refusals", "4", "32 thresholds: the number 4 decides something"),
        ("$min_refusals", "2 * $min_refusals", "32 thresholds: the number 2 decides something"),
        ("'rejected'", "'rejected' AND queued_at < event_time - INTERVAL 3 DAY", "27 thresholds: the number 3 decides"),
        ("ORDER BY refusals DESC, sender", "ORDER BY refusals DESC", "33 order: ORDER BY should end in 'sender'"),
        ("ORDER BY refusals DESC, sender", "LIMIT 5", "order: the query should end in an ORDER BY"),
        ("min(event_time) AS first_seen, ", "", "29 returns: the query should return 'first_seen'"),
        # layout and dialect
        ("FROM tries", "from tries", "30 layout: the keyword from should be in capitals"),
        ("min(event_time)", "MIN(event_time)", "29 layout: the function MIN should be in lower case"),
        ("  FROM deliveries", "   FROM deliveries", "23 layout: is indented by 3 spaces; a step is two"),
        ("$window_start\n    AND", "$window_start AND\n   ", "24 layout: AND ends the line; it starts the next one"),
        ("count(*) AS refusals", "count_if(TRUE) AS refusals", "29 portable: count_if is DuckDB's own"),
        ("count(*) AS refusals", "quantile_cont(1, 0.5) AS refusals", "29 portable: Spark has no quantile_cont"),
        ("count(*) AS refusals", "count(* AS refusals", "1 readable: header, query and cases should be"),
        # cases
        ('event_time = "-61m"', 'outcome = "deferred"', "35 cases: no case stands at the edge"),
        ("finds = [{ sender", "finds = [] # [{ sender", "35 cases: no case fires"),
        ('"stays silent for two"', '"fires"', "35 cases: two cases are called 'fires'"),
        ('name  = "fires"\ngiven.deliveries', 'name  = "fires"\ngiven.letters', "gives rows of 'letters', which is no"),
        ('name  = "fires"\n', "", "35 cases: 'a case without a name' should have a name"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_said_with_its_line(instead_of: str, there_is: str, said: str) -> None:
    assert instead_of in GOOD

    sentences = said_of(GOOD.replace(instead_of, there_is, 1))

    assert any(said in sentence for sentence in sentences), sentences


def test_fewer_than_four_cases_are_too_few() -> None:
    text = GOOD[: GOOD.rindex("[[case]]")] + "---*/\n"

    assert any("there are 3 cases; 4 at least" in sentence for sentence in said_of(text))


def test_a_number_that_only_words_a_fact_is_no_threshold() -> None:
    text = GOOD.replace("count(*) AS refusals", "CASE WHEN count(*) > 9 THEN 'many' ELSE 'some' END AS refusals")

    assert said_of(text) == []


def test_a_view_counts_as_the_tables_that_it_is_made_of() -> None:
    text = GOOD.replace("FROM deliveries", "FROM traces_latest").replace('["deliveries"]', '["traces"]')

    assert not [sentence for sentence in said_of(text) if "reads" in sentence]


def test_a_file_without_a_header_is_a_problem_and_no_traceback() -> None:
    [problem] = lint("draft.sql", "SELECT 1", set())

    assert problem.rule == "readable"
    assert "does not begin with a `/*---` header" in problem.sentence


def test_any_other_query_is_held_to_layout_clock_and_order_only() -> None:
    problems = lint_other("draft.sql", '/*---\ntitle = "x"\n---*/\nSELECT now() AS a\n')

    assert {problem.rule for problem in problems} == {"clock", "order"}
