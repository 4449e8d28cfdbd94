"""What happened: each try and each missed mail of a sender, and each mail that Exchange Online took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.simulate.cloud import Answer


class Wanted(NamedTuple):
    """A mail that a device wants to send."""

    at: int
    recipients: tuple[str, ...]
    size: int
    subject: str
    message_id: str


class Mail(NamedTuple):
    """A mail that Exchange Online took, or that one of its own people sent; `ip` is what it saw of the client."""

    at: int
    sender: str
    recipients: tuple[str, ...]
    ip: str
    way: str
    account: str
    size: int
    subject: str
    message_id: str


class Try(NamedTuple):
    """A try that got in or was refused at AUTH; `is_logged` tells whether a file that was written shows it."""

    at: int
    device: int
    way: str
    is_in: bool
    is_logged: bool
    is_named: bool = True  # whether that log says whose mail it was


class Attempt(NamedTuple):
    """One try with all that a program could write down about it."""

    at: int
    sender: str
    account: str
    wanted: Wanted
    way: str
    answer: Answer
    device: str
    device_ip: str
    helo: str


@dataclass(slots=True)
class Facts:
    """All that happened to one sender; tries in order of time once `settle` was called."""

    tries: list[Try] = field(default_factory=list)
    missed: list[tuple[int, int]] = field(
        default_factory=list
    )  # (moment, device): neither got in nor logged as refused
    held: list[int] = field(default_factory=list)  # still in a relay's queue at the end

    def settle(self) -> None:
        """Put everything in order of time."""
        self.tries.sort()
        self.missed.sort()
        self.held.sort()


@dataclass(slots=True)
class LogBook:
    """Lines of logs, by host and file, until they are written day by day."""

    files: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)

    def add(self, host: str, file: str, lines: list[tuple[int, str]]) -> None:
        """Note `lines` (moment, text) of `file` on `host`."""
        self.files.setdefault((host, file), []).extend(lines)


@dataclass(slots=True)
class Ledger:
    """The whole of it."""

    facts: dict[str, Facts] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    logs: LogBook = field(default_factory=LogBook)

    def of(self, address: str) -> Facts:
        """Return the facts of one sender."""
        return self.facts.setdefault(address, Facts())
