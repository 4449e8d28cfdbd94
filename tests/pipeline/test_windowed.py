from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import SourceError
from pipeline.graph.client import UnavailableError
from pipeline.graph.trouble import Refusal, RefusedError
from pipeline.model import Notice, Pulled, Window, rows_of
from pipeline.passes import AGES
from pipeline.windowed import SHORTEST_SPAN, Feed, Page, backfill_of, pull_of

START = datetime(2026, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAGE_ROWS = 10
EXPIRED = Refusal(400, "BadRequest", "The skip token is invalid or has expired")


@dataclass
class Service:
    """One row a minute; `broken` spans are never answered, `down` answers nothing, `links` live that many uses."""

    now: datetime = START + 10 * HOUR
    broken: list[Window] = field(default_factory=list)
    down: bool = False
    links: int = 1_000_000
    asked: list[tuple[Window, str | None]] = field(default_factory=list)
    refusals: list[RefusedError] = field(default_factory=list)

    def page(self, window: Window, link: str | None) -> Page:
        self.asked.append((window, link))
        if self.refusals:
            raise self.refusals.pop(0)
        if self.down or any(each.start < window.end and window.start < each.end for each in self.broken):
            raise UnavailableError("Microsoft Graph did not answer in 4 tries: 500", retry=True)
        if link:
            self.links -= 1
            if self.links < 0:
                raise RefusedError("expired", refusal=EXPIRED)
        first = int(link or 0)
        begin, end = (max(0, -int((START - each) // timedelta(minutes=1))) for each in (window.start, window.end))
        minutes = range(begin, end)
        rows = [*minutes[first : first + PAGE_ROWS]]
        more = str(first + PAGE_ROWS) if first + PAGE_ROWS < len(minutes) else None
        return Page(json.dumps(rows).encode(), more, self.now)

    @property
    def feed(self) -> Feed:
        return Feed(
            name="rows",
            format="graph_message_trace",
            table="traces",
            origin="graph:contoso.example/rows",
            page=self.page,
            now=lambda: self.now,
            longest=timedelta(days=10),
            history=timedelta(days=30),
        )


@dataclass
class Runs:
    """Stands where the lake stands: keeps position, rows and gaps between runs."""

    service: Service
    position: dict[str, Any] = field(default_factory=dict)
    minutes: set[int] = field(default_factory=set)
    gaps: dict[Window, str] = field(default_factory=dict)
    complete_until: datetime | None = None

    def run(self, pages: int = 10_000, window: Window | None = None) -> None:
        """Read what is due, or be killed behind so many pages."""
        pull = (
            backfill_of([self.service.feed], window, lambda: False)
            if window
            else pull_of([self.service.feed], 10 * HOUR, lambda: False)
        )
        for number, found in enumerate(self.stored(pull(self.position)), start=1):
            if number >= pages:
                return
            assert found

    def stored(self, pulled: Any) -> Iterator[Pulled]:
        for found in pulled:
            if isinstance(found, Notice):
                assert found.window
                if found.is_gap:
                    self.gaps[found.window] = found.sentence
                elif found.fills_gap:
                    del self.gaps[found.window]
                continue
            new = json.loads(found.chunk.body) if found.chunk.body else []
            fresh = [each for each in new if each not in self.minutes]
            self.minutes.update(fresh)
            rows = rows_of("traces", [{"received_at": START + timedelta(minutes=each)} for each in fresh])
            first = pa.array([True] * len(fresh), pa.bool_())
            learned = found.learn({"traces": rows.append_column("is_first", first)}) if found.learn else found.position
            self.position = json.loads(json.dumps(dict(learned)))
            self.complete_until = found.complete_until
            yield found

    @property
    def missing(self) -> list[int]:
        until = int((self.service.now - AGES[0] - START) / timedelta(minutes=1))
        return sorted(set(range(until)) - self.minutes)


def test_all_that_has_settled_is_read_a_page_at_a_time() -> None:
    runs = Runs(Service())

    runs.run()

    assert runs.missing == []
    assert runs.complete_until == runs.service.now - AGES[1]
    assert runs.gaps == {}


def test_a_kill_behind_any_page_costs_that_page_alone() -> None:
    runs, undisturbed = Runs(Service()), Runs(Service())
    undisturbed.run()

    for _ in range(200):
        runs.run(pages=1)

    assert runs.missing == []
    assert len(runs.service.asked) <= len(undisturbed.service.asked) * 2 + 200


def test_a_span_that_cannot_be_read_is_a_gap_and_its_neighbours_are_there() -> None:
    broken = Window(START + 4 * HOUR, START + 4 * HOUR + timedelta(minutes=7))
    runs = Runs(Service(broken=[broken]))

    runs.run()

    assert min(window.start for window in runs.gaps) <= broken.start
    assert max(window.end for window in runs.gaps) >= broken.end
    assert all(window.length <= SHORTEST_SPAN for window in runs.gaps)
    assert all(any(START + timedelta(minutes=each) in gap for gap in runs.gaps) for each in runs.missing)
    assert "could not be read, while other spans could" in next(iter(runs.gaps.values()))


def test_a_gap_is_asked_for_again_ever_more_seldom_and_goes_once_it_was_read() -> None:
    service = Service(broken=[Window(START + 4 * HOUR, START + 4 * HOUR + timedelta(minutes=1))])
    runs = Runs(service)
    runs.run()
    [gap] = runs.gaps
    tries = []
    for _ in range(4 * 24):
        service.now += HOUR / 4
        before = len(service.asked)
        runs.run()
        tries.append(sum(window == gap for window, _ in service.asked[before:]))
    assert 4 <= sum(tries) <= 10

    service.broken = []
    service.now += 7 * HOUR
    runs.run()

    assert runs.gaps == {}
    assert runs.missing == []


def test_when_nothing_answers_nothing_is_stepped_over() -> None:
    service = Service()
    runs = Runs(service)
    runs.run()
    service.down, service.now = True, service.now + HOUR

    with pytest.raises(UnavailableError):
        runs.run()
    service.down = False
    runs.run()

    assert (runs.gaps, runs.missing) == ({}, [])


def test_a_link_that_expires_starts_its_span_anew_and_one_that_always_does_is_cut_smaller() -> None:
    once, always = Runs(Service(links=30)), Runs(Service(links=0))

    once.service.links = 2
    with_patience = Runs(Service(links=2))
    with_patience.run()
    always.run()

    assert always.missing == [], "spans of less than a page need no link"
    assert with_patience.missing == []
    assert always.gaps == {}


def test_throttling_and_a_refusal_end_the_run_and_lose_nothing() -> None:
    for error in (
        RefusedError("no permission", refusal=Refusal(403)),
        UnavailableError("throttled", is_throttled=True),
    ):
        service = Service()
        runs = Runs(service)
        service.refusals = [error]  # type: ignore[list-item]

        with pytest.raises(SourceError):
            runs.run()
        runs.run()

        assert (runs.missing, runs.gaps) == ([], {})


def test_a_clock_that_was_ahead_is_put_right_by_the_answer_and_the_span_is_cut_by_that() -> None:
    service = Service()
    runs = Runs(service)
    there = service.now
    service.now += 2 * HOUR

    def page(window: Window, link: str | None) -> Page:
        if window.end > there:
            service.now = there  # its answer told the time
            raise RefusedError("future", refusal=Refusal(400, "", "The end date cannot be in the future."))
        return Service.page(service, window, link)

    service.page = page  # type: ignore[method-assign]
    runs.run()

    assert [each for each in runs.missing if each >= 2 * 60] == []


def test_what_the_service_has_forgotten_before_we_came_is_a_gap_from_then_on() -> None:
    service = Service()
    runs = Runs(service)
    runs.run()
    service.now += timedelta(days=40)

    runs.run()

    [(window, sentence)] = runs.gaps.items()
    assert window.start == START + 10 * HOUR - AGES[0]
    assert sentence == "was not read in time: Microsoft keeps rows for 30 days"
    assert {each for each in runs.missing if START + timedelta(minutes=each) not in window} == set()


def test_a_row_that_comes_late_teaches_how_far_back_the_source_is_complete() -> None:
    service = Service()
    runs = Runs(service)
    runs.run()
    late = 9 * 60
    runs.minutes.remove(late)

    for _ in range(20):
        service.now += HOUR / 4
        runs.run()

    assert late in runs.minutes
    assert runs.complete_until is not None
    assert timedelta(hours=2) <= service.now - runs.complete_until <= timedelta(hours=3)


def test_a_backfill_reads_its_span_once_goes_on_after_a_kill_and_forgets_where_it_was() -> None:
    service = Service(now=START + timedelta(days=20))
    runs = Runs(service)
    window = Window(START + HOUR, START + 31 * HOUR)

    runs.run(pages=5, window=window)
    assert runs.position
    asked = len(service.asked)
    runs.run(window=window)

    assert sorted(runs.minutes) == list(range(60, 31 * 60))
    assert runs.position == {}
    assert len(service.asked) - asked < 31 * 60 / PAGE_ROWS + 10
    runs.run(window=window)
    assert len(runs.minutes) == 30 * 60


def test_the_position_does_not_grow_with_time() -> None:
    service = Service()
    runs = Runs(service)
    for _ in range(30):
        service.now += 6 * HOUR
        runs.run()

    assert len(json.dumps(runs.position)) < 2_000
