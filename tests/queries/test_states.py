"""The states of a sender, step by step: what happens on which day, and the state after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries.cases import Bench
from queries.states import STATES
from tests.cli import ROOT

SENDER = "scan@contoso.example"
BENCH: list[Bench] = []
DAY_0 = datetime(2026, 10, 1, tzinfo=UTC)

BY_PASSWORD = {"evidence": "usage", "auth_protocol": "basic", "outcome": "accepted", "messages": 3}
BY_OAUTH = {"evidence": "usage", "auth_protocol": "oauth2", "outcome": "accepted", "messages": 3}
BY_CONNECTOR = {"evidence": "deliveries", "kind": "try", "outcome": "accepted", "service": "exchange_online_mx"}
TRACED = {"evidence": "traces", "outcome": "delivered"}
REFUSED = {"evidence": "deliveries", "kind": "try", "outcome": "rejected", "reply_class": "basic_retired"}
BOTH = [REFUSED, TRACED, REFUSED]
OF_ANOTHER = {
    "evidence": "usage",
    "auth_protocol": "oauth2",
    "outcome": "accepted",
    "messages": 1,
    "sender": "x@contoso.example",
}


@pytest.fixture(scope="module", autouse=True)
def bench() -> Iterator[None]:
    """Have one DuckDB with empty tables for all questions; making it takes longer than asking."""
    with Bench.open() as opened:
        BENCH.append(opened)
        yield
        BENCH.clear()


def state_on(day: int, happened: dict[int, list[dict[str, Any]]], **also: Any) -> str:
    """Return the state at the end of `day`, of all that had happened by then."""
    rows = [
        {
            "sender": SENDER,
            **event,
            "day": at(number).date().isoformat(),
            **(
                {}
                if event["evidence"] == "usage"
                else {"first_at": at(number, 9 + order), "last_at": at(number, 10 + order)}
            ),
        }
        for number in range(day + 1)
        for order, event in enumerate([*happened.get(number, []), OF_ANOTHER])
    ]
    feeds = [{"table": table, "complete_until": at(day + 1)} for table in ("usage", "traces", "deliveries")]
    with BENCH[0].given({"given": {"sender_days": rows, "feeds": feeds, **also}}) as connection:
        found = connection.execute("SELECT state FROM senders WHERE sender = ?", [SENDER]).fetchall()
    return str(found[0][0]) if found else "unknown"


def at(day: int, hour: int = 0) -> datetime:
    return DAY_0 + timedelta(days=day, hours=hour)


def days(first: int, last: int, *events: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    return {day: list(events) for day in range(first, last + 1)}


def silent(since: int) -> dict[str, Any]:
    finding = {
        "fingerprint": "f1",
        "sender": SENDER,
        "detection": "silence/went_silent",
        "state": "open",
        "first_seen": at(since),
    }
    return {"findings": [finding]}


MAY = {
    "exposure": [
        {"scope": "mailbox", "name": SENDER, "smtp_auth_disabled": False, "seen_at": DAY_0},
        {"scope": "tenant", "name": "contoso", "smtp_auth_disabled": True, "seen_at": DAY_0},
    ]
}
STILL = days(0, 20, BY_PASSWORD)
MOVED = STILL | days(21, 30, BY_OAUTH)
PROVEN = STILL | days(21, 40, BY_OAUTH)
BACK = MOVED | days(31, 33, BY_PASSWORD)
ALL_REFUSED = STILL | days(21, 24, REFUSED)
SOME_REFUSED = STILL | days(21, 22, *BOTH)

TRANSITIONS: list[tuple[str, str, dict[int, list[dict[str, Any]]], int, int, dict[str, Any]]] = [
    # from, to, what happens, the day before and the day after, what else is known on the second day
    ("unknown", "can_still", {}, 1, 2, MAY),
    ("unknown", "does_still", days(5, 6, BY_PASSWORD), 4, 5, {}),
    ("unknown", "migrated", days(5, 6, BY_OAUTH), 4, 5, {}),
    ("unknown", "refused", days(5, 6, REFUSED), 4, 5, {}),
    ("unknown", "partly_refused", days(5, 6, *BOTH), 4, 5, {}),
    ("can_still", "partly_refused", days(5, 6, *BOTH), 4, 5, MAY),
    ("can_still", "does_still", days(5, 6, BY_PASSWORD), 4, 5, MAY),
    ("can_still", "migrated", days(5, 6, BY_OAUTH), 4, 5, MAY),
    ("can_still", "refused", days(5, 6, REFUSED), 4, 5, MAY),
    ("does_still", "partly_refused", SOME_REFUSED, 20, 21, {}),
    ("does_still", "refused", ALL_REFUSED, 20, 21, {}),
    ("does_still", "migrated", MOVED, 20, 21, {}),
    ("does_still", "went_silent", STILL, 20, 30, silent(20)),
    ("does_still", "can_still", STILL, 109, 110, MAY),
    ("partly_refused", "refused", SOME_REFUSED | days(23, 25, REFUSED), 22, 25, {}),
    ("partly_refused", "does_still", SOME_REFUSED | days(23, 27, BY_PASSWORD, TRACED), 22, 27, {}),
    ("partly_refused", "migrated", SOME_REFUSED | days(23, 23, BY_OAUTH, TRACED), 22, 23, {}),
    ("refused", "partly_refused", ALL_REFUSED | days(25, 25, *BOTH), 24, 25, {}),
    ("refused", "does_still", ALL_REFUSED | days(25, 29, BY_PASSWORD, TRACED), 24, 29, {}),
    ("refused", "migrated", ALL_REFUSED | days(25, 25, BY_CONNECTOR), 24, 25, {}),
    ("refused", "regressed", MOVED | days(31, 33, REFUSED) | days(34, 38, BY_PASSWORD, TRACED), 33, 38, {}),
    ("went_silent", "does_still", STILL | days(30, 30, BY_PASSWORD), 29, 30, {}),
    ("went_silent", "migrated", STILL | days(30, 30, BY_OAUTH), 29, 30, {}),
    ("went_silent", "refused", STILL | days(30, 30, REFUSED), 29, 30, {}),
    ("migrated", "verified", PROVEN, 30, 36, {}),
    ("migrated", "does_still", STILL | days(21, 22, BY_OAUTH) | days(23, 24, BY_PASSWORD), 22, 23, {}),
    ("migrated", "regressed", BACK, 30, 31, {}),
    ("migrated", "refused", MOVED | days(31, 32, REFUSED), 30, 31, {}),
    ("migrated", "partly_refused", MOVED | days(31, 32, *BOTH), 30, 31, {}),
    ("migrated", "went_silent", MOVED, 30, 40, silent(30)),
    ("verified", "regressed", PROVEN | days(41, 42, BY_PASSWORD), 40, 41, {}),
    ("verified", "refused", PROVEN | days(41, 42, REFUSED), 40, 41, {}),
    ("verified", "partly_refused", PROVEN | days(41, 42, *BOTH), 40, 41, {}),
    ("verified", "went_silent", PROVEN, 40, 50, silent(40)),
    ("regressed", "migrated", BACK | days(34, 44, BY_OAUTH), 33, 44, {}),
    ("regressed", "refused", BACK | days(34, 34, REFUSED), 33, 34, {}),
    ("regressed", "partly_refused", BACK | days(34, 34, *BOTH), 33, 34, {}),
    ("regressed", "went_silent", BACK, 33, 43, silent(33)),
]
IDS = [f"{before} to {after}" for before, after, *_ in TRANSITIONS]
DRAWN = set(re.findall(r"^    (\w+) --> (\w+):", (ROOT / "docs" / "states.md").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize(("before", "after", "happened", "one_day", "next_day", "also"), TRANSITIONS, ids=IDS)
def test_each_arrow_is_taken(
    before: str,
    after: str,
    happened: dict[int, list[dict[str, Any]]],
    one_day: int,
    next_day: int,
    also: dict[str, Any],
) -> None:
    known_before = {
        name: rows for name, rows in also.items() if name == "exposure" and before in {"can_still", "does_still"}
    }
    if before == "went_silent":
        known_before = silent(20)

    assert state_on(one_day, happened, **known_before) == before
    assert state_on(next_day, happened, **also) == after


def test_the_diagram_draws_these_arrows_and_no_others() -> None:
    assert {(before, after) for before, after, *_ in TRANSITIONS} == DRAWN


def test_every_state_is_drawn() -> None:
    assert {state for arrow in DRAWN for state in arrow} == set(STATES)


@settings(max_examples=6, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["password", "oauth", "refused", "mixed", "nothing"]), st.integers(1, 9)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_happens_only_arrows_that_are_drawn_are_taken(spans: list[tuple[str, int]]) -> None:
    events: dict[str, list[dict[str, Any]]] = {
        "password": [BY_PASSWORD],
        "oauth": [BY_OAUTH],
        "refused": [REFUSED],
        "mixed": BOTH,
        "nothing": [],
    }
    happened: dict[int, list[dict[str, Any]]] = {}
    day = 1
    for what, length in spans:
        happened |= days(day, day + length - 1, *events[what])
        day += length

    seen = [state_on(each, happened) for each in range(day)]

    assert {(one, other) for one, other in pairwise(seen) if one != other} <= DRAWN


def test_a_source_that_stops_verifies_nobody() -> None:
    rows = [
        {"sender": SENDER, **event, "day": at(day).date().isoformat()}
        for day, events in PROVEN.items()
        for event in events
    ]
    stopped = [{"table": "traces", "complete_until": at(25)}, {"table": "usage", "complete_until": at(60)}]

    with BENCH[0].given({"given": {"sender_days": rows, "feeds": stopped}}) as connection:
        [(state,)] = connection.execute("SELECT state FROM senders WHERE sender = ?", [SENDER]).fetchall()

    assert state == "migrated"
