"""Which queue of one's own still holds a sender's mail, and how it is saved, from rescue.toml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from alerts.remedy.evidence import case_of
from alerts.remedy.ways import read_table
from queries.facts import SenderFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One kind of queue: how long it keeps mail, and the commands that show it, buy time and send what waits."""

    format: str
    called: str
    keeps: str
    reads: str
    sends: str
    evidence: str
    longer: str = ""


@cache
def queues() -> tuple[Queue, ...]:
    """Return every kind of queue that is known."""
    return tuple(Queue(**row) for row in read_table("rescue.toml")["queue"])


def queue_of(facts: SenderFacts) -> Queue | None:
    """Return the queue in which mail of the sender still waits, or None where none is known to."""
    if facts.rescuable <= 0 or case_of(facts).through == "nothing":
        return None
    return next((queue for queue in queues() if queue.format in facts.formats), None)
