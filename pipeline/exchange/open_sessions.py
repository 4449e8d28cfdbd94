"""
The SMTP sessions of one log that are open at the same time, kept between two reads.

Sessions interleave, go on in the next read, and sometimes never end: after an hour of silence they are closed as they
stand, and so is the one that was silent longest when there are too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pipeline.exchange.record import Record, kept_of
from pipeline.exchange.session import SEND, Row, Session

MOST_OPEN = 50_000
SILENCE = timedelta(hours=1)


class OpenSessions:
    """
    Sessions by key, the one silent longest first.

    Where a log `may_miss_log_ins`, a session without one does not say that there was none.
    """

    def __init__(self, stored: Mapping[str, Any], *, may_miss_log_ins: bool = False) -> None:
        self._open = {key: Session.from_json(one) for key, one in stored.items()}
        self._may_miss_log_ins = may_miss_log_ins

    def __contains__(self, key: str) -> bool:
        return key in self._open

    def to_json(self) -> dict[str, Any]:
        """Return the open sessions as JSON values."""
        return {key: one.to_json() for key, one in self._open.items()}

    def take(self, key: str, record: Record, session_id: str, log: str) -> list[Row]:
        """Return the rows that `record` completes, in its own session and in those that were silent too long."""
        rows = [row for silent in self._silent(key, record) for row in silent.close()]
        session = self._open.pop(key, None) or Session(session_id, log)
        rows += session.take(record)
        session.is_whole = session.is_whole and not self._may_miss_log_ins
        if not session.is_ended:
            self._open[key] = session
        return rows

    def hear(self, key: str, words: str, *, is_client: bool, time: datetime, remote: str, offset: int) -> list[Row]:
        """Return the rows that `words` complete, where one's own server is the client and lines have no numbers."""
        known = self._open.get(key)
        record = Record(
            time=time.isoformat(),
            number=(known.expected or 0) if known else 0,
            event=">" if is_client else "<",
            data=kept_of(words),
            context="",
            connector="",
            local="",
            remote=remote,
            offset=offset,
        )
        return self.take(key, record, key, SEND)

    def is_new(self, key: str, words: str) -> bool:
        """Return whether `words` are the banner of another session than the open one called `key`."""
        session = self._open.get(key)
        if session is None or not words.startswith("220"):
            return False
        return not any(command.verb == "STARTTLS" for command in session.unanswered)

    def banner_of(self, key: str) -> str | None:
        """Return what the server of the session `key` calls itself."""
        return self._open[key].banner if key in self._open else None

    def since(self, key: str, time: datetime) -> timedelta | None:
        """Return how long the session `key` has been silent at `time`, or None where there is none."""
        return time - _last_time(self._open[key]) if key in self._open else None

    def close(self, key: str) -> list[Row]:
        """Return what is left to say of the session `key`, which ends here."""
        session = self._open.pop(key, None)
        return session.close() if session else []

    def close_all(self) -> list[Row]:
        """Return what is left to say of all sessions, because nothing will follow."""
        rows = [row for session in self._open.values() for row in session.close()]
        self._open.clear()
        return rows

    def _silent(self, key: str, record: Record) -> Iterator[Session]:
        since = datetime.fromisoformat(record.time) - SILENCE
        while self._open:
            oldest = next(iter(self._open))
            is_full = len(self._open) >= MOST_OPEN and key not in self._open
            if oldest == key or not (is_full or _last_time(self._open[oldest]) < since):
                return
            yield self._open.pop(oldest)


def _last_time(session: Session) -> datetime:
    return max(datetime.fromisoformat(record.time) for record in (*session.early, session.last) if record)
