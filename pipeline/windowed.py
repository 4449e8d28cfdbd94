"""
Read a feed of a cloud service: spans of time in, pages out, and nothing lost on the way.

A feed answers for a span of time, in pages. What is new is read first, then what may have changed or come late
(`pipeline/passes.py`). Each page is kept with the place of the next one, so a kill costs a page. A span whose pages do
not come is cut in two, down to a few minutes; what stays unreadable while its neighbours can be read is written down as
a gap, stepped over, and asked for again, ever more seldom, until it comes or the service has forgotten it. When
the neighbours cannot be read either, the service is out of order: nothing is stepped over, and the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import SourceError
from pipeline.graph.client import UnavailableError
from pipeline.graph.trouble import RefusedError, name_of
from pipeline.model import TIME_OF, Chunk, Notice, Pull, Pulled, Window
from pipeline.passes import AGES, Passes

SHORTEST_SPAN = timedelta(minutes=5)
FIRST_SPAN = timedelta(hours=6)
LEAST_NEW = timedelta(minutes=1)
FEW_PAGES, MANY_PAGES = 2, 12
LINKS_LAST = timedelta(minutes=30)
"""How long a link to a next page is trusted; an older one is not tried, and its span is asked from the start."""
MOST_RESTARTS = 3
FIRST_RETRY, LAST_RETRY = timedelta(minutes=10), timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it came, with the link to the next one, and when it was asked for by the service's clock."""

    body: bytes
    link: str | None
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Feed:
    """
    What can be asked for spans of time.

    `page` takes a span, both ends of which the service may count in, and the link to go on at. `now` is the clock of
    the service. There is nothing older than `history`, and no request may span more than `longest`.
    """

    name: str
    format: str
    table: str
    origin: str
    page: Callable[[Window, str | None], Page]
    now: Callable[[], datetime]
    longest: timedelta
    history: timedelta


def pull_of(feeds: Sequence[Feed], start: timedelta, is_stopped: Callable[[], bool]) -> Pull:
    """Return what reads `feeds` in passes for ever, beginning `start` before the first time it is asked."""

    def pull(position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        yield from _pulled([_Reader(feed, _State.of(feed, position, start)) for feed in feeds], is_stopped)

    return pull


def backfill_of(feeds: Sequence[Feed], window: Window, is_stopped: Callable[[], bool]) -> Pull:
    """Return what reads `window` of each of `feeds` once, and forgets then how far it was."""

    def pull(position: Mapping[str, Any]) -> Iterator[Pulled | Notice]:
        readers = [_Reader(feed, _State.once(feed, position, window)) for feed in feeds]
        yield from _pulled(readers, is_stopped)
        if not is_stopped():
            yield replace(readers[0].moved(), position={})

    return pull


def _pulled(readers: Sequence[_Reader], is_stopped: Callable[[], bool]) -> Iterator[Pulled | Notice]:
    """Yield what all feeds have, a span of each in turn; each chunk brings the position of all of them."""
    for reader in readers:
        yield from (_together(found, readers) for found in reader.forgotten())
    waiting = list(readers)
    while waiting and not is_stopped():
        for reader in list(waiting):
            piece = reader.next_piece()
            if piece is None:
                waiting.remove(reader)
            else:
                yield from (_together(found, readers) for found in reader.read(piece, is_stopped))


def _together(found: Pulled | Notice, readers: Sequence[_Reader]) -> Pulled | Notice:
    """Return `found` with the position of all feeds, and complete as far as the one that is furthest behind."""
    if isinstance(found, Notice):
        return found

    def position(_fresh: Mapping[str, pa.Table]) -> dict[str, Any]:
        return {key: value for reader in readers for key, value in reader.state.as_json().items()}

    def learn(fresh: Mapping[str, pa.Table]) -> Mapping[str, Any]:
        if found.learn:
            found.learn(fresh)
        return position(fresh)

    complete_until = min(reader.state.passes.complete_until for reader in readers)
    return replace(found, position=position({}), learn=learn, complete_until=complete_until)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A span that is being read: since when, where its next page is, how many pages have come and how often anew."""

    window: Window
    asked_at: datetime
    link: str | None = None
    pages: int = 0
    restarts: int = 0
    is_owed: bool = False

    def from_its_start(self, now: datetime) -> _Piece:
        """Return the same span, to be asked for anew."""
        return replace(self, link=None, asked_at=now, pages=0, restarts=self.restarts + 1)


@dataclass(frozen=True, slots=True)
class _Owed:
    """A span that could not be read while its neighbours could, and when it is tried again."""

    window: Window
    tries: int
    next_try: datetime

    def again(self, now: datetime) -> _Owed:
        """Return the same span after one more try: the next one comes later, up to four a day."""
        wait = min(LAST_RETRY, FIRST_RETRY * 2**self.tries)
        return replace(self, tries=self.tries + 1, next_try=now + wait)


@dataclass(slots=True)
class _State:
    """All that a feed remembers between two runs."""

    feed: Feed
    passes: Passes
    until: datetime | None = None
    span: timedelta = FIRST_SPAN
    piece: _Piece | None = None
    owed: list[_Owed] = field(default_factory=list)

    @classmethod
    def of(cls, feed: Feed, position: Mapping[str, Any], start: timedelta) -> _State:
        if f"{feed.name} passes" in position:
            return cls._stored(feed, position, AGES)
        return cls(feed, Passes.beginning(_second(feed.now() - min(start, feed.history))))

    @classmethod
    def once(cls, feed: Feed, position: Mapping[str, Any], window: Window) -> _State:
        if f"{feed.name} passes" in position:
            state = cls._stored(feed, position, AGES[:1])
        else:
            state = cls(feed, Passes.beginning(window.start, AGES[:1]))
        state.until = window.end
        return state

    @classmethod
    def _stored(cls, feed: Feed, position: Mapping[str, Any], ages: tuple[timedelta, ...]) -> _State:
        rest: Mapping[str, Any] = position.get(f"{feed.name} reading") or {}
        return cls(
            feed,
            Passes.of(position[f"{feed.name} passes"], ages),
            span=timedelta(seconds=rest.get("span_s", FIRST_SPAN.total_seconds())),
            piece=_piece_of(rest.get("piece")),
            owed=[_owed_of(each) for each in rest.get("owed", [])],
        )

    def as_json(self) -> dict[str, Any]:
        reading = {
            "span_s": self.span.total_seconds(),
            "piece": _piece_json(self.piece),
            "owed": [_owed_json(each) for each in self.owed],
        }
        return {f"{self.feed.name} passes": self.passes.as_json(), f"{self.feed.name} reading": reading}


@dataclass(slots=True)
class _Reader:
    """Reads one feed on from its state."""

    feed: Feed
    state: _State

    def forgotten(self) -> Iterator[Pulled | Notice]:
        """Yield what the service has forgotten before we could read it, and step over it."""
        state = self.state
        oldest = _second(self.feed.now() - self.feed.history) + timedelta(minutes=1)
        state.owed = [each for each in state.owed if each.window.start >= oldest]
        begun = state.passes.read_until[0]
        state.passes = state.passes.beyond(oldest)
        if begun < oldest:
            state.piece = None
            days = self.feed.history.days
            yield self._gap(
                Window(begun, oldest), f"was not read in time: Microsoft keeps {self.feed.name} for {days} days"
            )
            yield self.moved()

    def next_piece(self) -> _Piece | None:
        """Return the span to read now: the one begun, what is new or may have changed, or one that is owed."""
        return self._going_on() or self._due() or self._owed()

    def _going_on(self) -> _Piece | None:
        piece = self.state.piece
        if piece and piece.link and self.feed.now() - piece.asked_at > LINKS_LAST:
            return piece.from_its_start(self.feed.now())
        return piece

    def _due(self) -> _Piece | None:
        state = self.state
        while (due := state.passes.due(self._now(), self._least())) is not None:
            end = min(due.end, due.start + min(state.span, self.feed.longest))
            met = next(
                (each.window for each in state.owed if each.window.start < end and due.start < each.window.end), None
            )
            if met is None:
                return _Piece(Window(due.start, end), self.feed.now())
            if due.start < met.start:
                return _Piece(Window(due.start, met.start), self.feed.now())
            state.passes = state.passes.stepping_over(Window(due.start, met.end))
        return None

    def _now(self) -> datetime:
        return min(self.feed.now(), self.state.until + AGES[0]) if self.state.until else self.feed.now()

    def _least(self) -> timedelta:
        return timedelta(seconds=1) if self.state.until else LEAST_NEW

    def _owed(self) -> _Piece | None:
        now = self.feed.now()
        ready = [each for each in self.state.owed if each.next_try <= now]
        return _Piece(ready[0].window, now, is_owed=True) if ready else None

    def read(self, piece: _Piece, is_stopped: Callable[[], bool]) -> Iterator[Pulled | Notice]:
        """Yield the pages of `piece`."""
        self.state.piece = piece
        while not is_stopped():
            try:
                page = self.feed.page(piece.window, piece.link)
            except RefusedError as error:
                yield from self._refused(piece, error)
                return
            except UnavailableError as error:
                yield from self._unavailable(piece, error)
                return
            piece = replace(piece, link=page.link, pages=piece.pages + 1)
            learn = self._learning(piece)
            self.state.piece = piece if page.link else None
            if page.link is None:
                yield from self._whole(piece)
            chunk = Chunk(page.body, self.feed.origin, as_of=page.asked_at)
            yield Pulled(chunk, self.feed.format, self.feed.name, {}, learn=learn)
            if page.link is None:
                return

    def _whole(self, piece: _Piece) -> Iterator[Notice]:
        """Move on behind a span of which the last page is here."""
        state = self.state
        state.passes = state.passes.after(piece.window, piece.asked_at)
        if piece.is_owed:
            state.owed = [each for each in state.owed if each.window != piece.window]
            filled = self._gap(piece.window, "could be read after all")
            yield replace(filled, is_gap=False, is_failure=False, fills_gap=True)
        elif piece.pages <= FEW_PAGES:
            state.span = min(self.feed.longest, state.span * 2)
        elif piece.pages > MANY_PAGES:
            state.span = max(SHORTEST_SPAN, state.span / 2)

    def _learning(self, piece: _Piece) -> Callable[[Mapping[str, pa.Table]], Mapping[str, Any]] | None:
        """Return what notes how late the rows were that are new in a span read before."""
        if self.state.until or piece.is_owed:
            return None
        passes = self.state.passes

        def learn(fresh: Mapping[str, pa.Table]) -> Mapping[str, Any]:
            if first := _first_late(fresh, self.feed.table, passes.read_until[0]):
                lag = passes.lag_of(first, piece.asked_at)
                self.state.passes = self.state.passes.with_lag(lag, piece.asked_at)
            return {}

        return learn

    def _refused(self, piece: _Piece, error: RefusedError) -> Iterator[Pulled | Notice]:
        """Ask again where a link has expired or our clock was wrong; else end this run."""
        what = name_of(error.refusal) if error.refusal else ""
        if what == "expired_link" and piece.link and piece.restarts < MOST_RESTARTS:
            self.state.piece = piece.from_its_start(self.feed.now())
        elif what == "expired_link" and piece.link:
            yield from self._unavailable(piece, UnavailableError(error.sentence))
            return
        elif what == "future" and self.feed.now() - AGES[0] < piece.window.end:
            self.state.piece = None  # its answer told the time there, and the next span ends by that
        else:
            raise error
        yield self.moved()

    def _unavailable(self, piece: _Piece, error: UnavailableError) -> Iterator[Pulled | Notice]:
        """Cut a span in two that cannot be read; step over one that cannot be cut, if others can be read."""
        if error.is_throttled or not self._answers_elsewhere(piece.window):
            raise error
        state, now = self.state, self.feed.now()
        state.piece = None
        if piece.is_owed:
            state.owed = [each.again(now) if each.window == piece.window else each for each in state.owed]
        elif piece.window.length > SHORTEST_SPAN:
            state.span = max(SHORTEST_SPAN, piece.window.length / 2)
        else:
            state.owed = [*state.owed, _Owed(piece.window, 1, now + FIRST_RETRY)]
            state.passes = state.passes.stepping_over(piece.window)
            yield self._gap(piece.window, f"could not be read, while other spans could: {error.sentence}")
        yield self.moved()

    def _answers_elsewhere(self, window: Window) -> bool:
        """Return whether the service answers for another, short span."""
        end = _second(self.feed.now() - AGES[0])
        probe = Window(end - SHORTEST_SPAN, end)
        if probe.start < window.end and window.start < probe.end:
            probe = Window(window.start - 2 * SHORTEST_SPAN, window.start - SHORTEST_SPAN)
        try:
            self.feed.page(probe, None)
        except SourceError:
            return False
        return True

    def _gap(self, window: Window, sentence: str) -> Notice:
        span = f"{window.start:%Y-%m-%dT%H:%M:%SZ}/{window.end:%Y-%m-%dT%H:%M:%SZ}"
        return Notice(f"{self.feed.origin} {span}", sentence, is_gap=True, window=window)

    def moved(self) -> Pulled:
        """Return an empty chunk, which brings the position alone."""
        chunk = Chunk(b"", self.feed.origin, as_of=self.feed.now())
        return Pulled(chunk, self.feed.format, self.feed.name, {})


def _first_late(fresh: Mapping[str, pa.Table], table: str, was_read_until: datetime) -> datetime | None:
    """Return the time of the oldest of the rows that are new although their time had been read before."""
    rows = fresh.get(table)
    if rows is None or not rows.num_rows:
        return None
    if "is_first" in rows.column_names:  # another version of a row that was there is not late
        rows = rows.filter(rows["is_first"])
    times = rows[TIME_OF[table]]
    first: datetime | None = pc.min(times.filter(pc.less(times, pa.scalar(was_read_until, times.type)))).as_py()
    return first


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _window_json(window: Window) -> list[str]:
    return [window.start.isoformat(), window.end.isoformat()]


def _window_of(values: list[str]) -> Window:
    return Window(*map(datetime.fromisoformat, values))


def _piece_json(piece: _Piece | None) -> dict[str, Any] | None:
    if piece is None:
        return None
    window, asked_at = _window_json(piece.window), piece.asked_at.isoformat()
    return {**{name: getattr(piece, name) for name in _Piece.__slots__}, "window": window, "asked_at": asked_at}


def _piece_of(values: Mapping[str, Any] | None) -> _Piece | None:
    if not values:
        return None
    window, asked_at = _window_of(values["window"]), datetime.fromisoformat(values["asked_at"])
    return _Piece(**{**values, "window": window, "asked_at": asked_at})


def _owed_json(owed: _Owed) -> dict[str, Any]:
    return {"window": _window_json(owed.window), "tries": owed.tries, "next_try": owed.next_try.isoformat()}


def _owed_of(values: Mapping[str, Any]) -> _Owed:
    return _Owed(_window_of(values["window"]), values["tries"], datetime.fromisoformat(values["next_try"]))
