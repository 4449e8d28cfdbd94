"""
How many requests Microsoft Graph still takes from this tenant: one count for all jobs and processes of a lake.

Graph counts each request of a tenant in every sliding span of time. A request takes a place here before it is sent and
keeps it until the span is over since its *answer*, because only that is certainly later than when Graph counted it; one
whose process was killed is taken to have been answered after the longest time a request may last. Live reads come
before backfills, which leave them a reserve. A Retry-After holds all of them back.

Time is measured in ticks, so a clock that is set neither frees places nor blocks them; after a restart of the machine,
which begins the ticks anew, what was noted before is judged by the clock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.clock import Clock, Stopped
from pipeline.errors import Place, SourceError

FILE = "graph-quota.sqlite"
LONGEST_REQUEST_S = 120.0
SHORTEST_WAIT_S = 0.05

_TABLES = (
    """CREATE TABLE IF NOT EXISTS requests
       (id INTEGER PRIMARY KEY, tenant TEXT, api TEXT, is_answered INTEGER, ticks REAL, at REAL)""",
    "CREATE TABLE IF NOT EXISTS pauses (tenant TEXT, api TEXT, seconds REAL, ticks REAL, at REAL)",
)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `requests` in every sliding `seconds`, of all APIs or of one; backfills leave `reserve` of them."""

    requests: int
    seconds: float
    api: str | None = None
    reserve: int = 0


TENANT = Limit(100, 300.0, reserve=25)
"""What message traces allow a tenant, documented; taken for all of Graph, which is not told apart further."""
PATIENT = frozenset({"users"})
"""APIs that leave the reserve too: a mailbox full of bounces must not keep the traces waiting."""
LIMITS = (TENANT, Limit(5, 10.0, api="auditLogs"))
"""The second is commonly reported for sign-ins and stands in no documentation."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The count in the file at `path`; every process that reads from this tenant shares it."""

    path: Path
    tenant: str
    clock: Clock
    limits: tuple[Limit, ...] = LIMITS

    @contextmanager
    def request(self, api: str, *, is_backfill: bool = False) -> Iterator[None]:
        """Wait until Graph takes one more request to `api`; the body sends it. Raise Stopped when asked to stop."""
        while not isinstance(taken := self._take(api, is_backfill=is_backfill), int):
            if self.clock.wait(max(SHORTEST_WAIT_S, taken)):
                raise Stopped
        try:
            yield
        finally:
            self._note_answer(taken)

    def pause(self, api: str, seconds: float) -> None:
        """Hold all requests to `api` back for `seconds`: Graph asked for it."""
        with self._transaction() as db:
            values = (self.tenant, api, seconds, self.clock.ticks(), self.clock.now().timestamp())
            db.execute("INSERT INTO pauses VALUES (?, ?, ?, ?, ?)", values)

    def _take(self, api: str, *, is_backfill: bool) -> int | float:
        """Return the number of the place taken, or the seconds to wait before there may be one."""
        ticks, now = self.clock.ticks(), self.clock.now()
        with self._transaction() as db:
            is_patient = is_backfill or api in PATIENT
            wait = max(self._pause_left(db, api, ticks, now), self._wait_for_place(db, api, ticks, now, is_patient))
            if wait > 0:
                return float(wait)
            values = (self.tenant, api, ticks, now.timestamp())
            return int(db.execute("INSERT INTO requests VALUES (NULL, ?, ?, 0, ?, ?)", values).lastrowid or 0)

    def _wait_for_place(self, db: sqlite3.Connection, api: str, ticks: float, now: datetime, is_patient: bool) -> float:
        rows = db.execute("SELECT id, api, is_answered, ticks, at FROM requests WHERE tenant = ?", (self.tenant,))
        taken = [
            (each_api, _age(then, at, ticks, now) - (0 if is_answered else LONGEST_REQUEST_S), id)
            for id, each_api, is_answered, then, at in rows
        ]
        longest = max(limit.seconds for limit in self.limits)
        over = [(id,) for _, age, id in taken if age >= longest]
        db.executemany("DELETE FROM requests WHERE id = ?", over)
        return max(_wait(limit, taken, is_patient=is_patient) for limit in self.limits if limit.api in {None, api})

    def _pause_left(self, db: sqlite3.Connection, api: str, ticks: float, now: datetime) -> float:
        where = "WHERE tenant = ? AND api = ?"
        pauses = db.execute(f"SELECT rowid, seconds, ticks, at FROM pauses {where}", (self.tenant, api)).fetchall()
        left = {id: seconds - _age(then, at, ticks, now) for id, seconds, then, at in pauses}
        db.executemany("DELETE FROM pauses WHERE rowid = ?", [(id,) for id, seconds in left.items() if seconds <= 0])
        return max(left.values(), default=0.0)

    def _note_answer(self, id: int) -> None:
        with self._transaction() as db:
            values = (self.clock.ticks(), self.clock.now().timestamp(), id)
            db.execute("UPDATE requests SET is_answered = 1, ticks = ?, at = ? WHERE id = ?", values)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
                # Nothing is synced: a power failure may lose the count, and then Graph is asked too soon at worst.
                db.execute("PRAGMA synchronous = OFF")
                db.execute("BEGIN IMMEDIATE")
                for statement in _TABLES:
                    db.execute(statement)
                yield db
                db.execute("COMMIT")
        except sqlite3.Error as error:
            sentence = (
                f"the count of requests to Microsoft Graph cannot be kept: {error}; see that it may be written, and "
                "remove it if it is broken: nothing else is in it"
            )
            raise SourceError(sentence, place=Place(self.path), retry=True) from error


def _age(then_ticks: float, then: float, ticks: float, now: datetime) -> float:
    """Return the seconds since `then`, by ticks unless the machine was started anew meanwhile."""
    return ticks - then_ticks if ticks >= then_ticks else max(0.0, now.timestamp() - then)


def _wait(limit: Limit, taken: list[tuple[str, float, int]], *, is_patient: bool) -> float:
    """Return how many seconds it takes until one more request keeps within `limit`; `taken` are (api, age, id)."""
    ages = sorted((age for api, age, _ in taken if limit.api in {None, api} and age < limit.seconds), reverse=True)
    places = limit.requests - (limit.reserve if is_patient else 0)
    too_many = len(ages) - places
    return limit.seconds - ages[too_many] if too_many >= 0 else 0.0
