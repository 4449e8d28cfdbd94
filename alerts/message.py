"""
What is said, before it takes the shape of any channel.

Every text in a message is plain and untrusted (a sender, a subject or a HELO can hold anything); each channel escapes
it for its own medium. Only `hint` is Markdown: it comes from our own files, and the values in it are escaped already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message to people.

    `id` is the same on each retry, so that a receiver can drop a repeat. `thread` is the same for everything said
    about one problem, so that mails form a thread. `data` is the same content for programs, JSON values only.
    """

    id: str
    thread: str
    reason: str
    severity: str
    title: str
    summary: str
    facts: tuple[tuple[str, str], ...]
    hint: str
    noticed_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the message as JSON values, for the outbox."""
        return asdict(self) | {"noticed_at": self.noticed_at.isoformat(), "facts": [list(fact) for fact in self.facts]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Message:
        """Return the message that `to_json` stored."""
        return cls(
            **{
                **stored,
                "noticed_at": datetime.fromisoformat(stored["noticed_at"]),
                "facts": tuple((label, value) for label, value in stored["facts"]),
            }
        )
