"""
Libraries that print their conversation with the server besides their errors: each error and each reply once.

A transcript shows commands and replies one by one; the error that follows repeats the reply that it is about. What is
joined in the conversation (sender, recipients, log-in, host) is worth more, so its rows come first, and the error makes
none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.applications.dialogue import Dialogue
from pipeline.applications.errors import LONGEST, ErrorReader, Sign, Values, answered_by, refusal, reply_in
from pipeline.carriers.json_lines import texts_in
from pipeline.lines import Line, text_of
from pipeline.model import Carry, event_id_of
from pipeline.programs import Row

MOST_OPEN = 200
_REFUSED = re.compile(r"\s*[45]\d\d ")
_QUIT = re.compile(r"\s*QUIT\b", re.IGNORECASE)
_GOES_ON = re.compile(rb"\s{0,60}[2-5]\d\d[ -]")


@dataclass(frozen=True, slots=True)
class Spoken:
    """What one line of a transcript shows: in which conversation, from which side, and the words."""

    words: str
    is_server: bool
    talk: str = ""
    is_begin: bool = False


class TranscriptReader(ErrorReader):
    """Goes through one log; `spoken` reads a line of a transcript, given the text of the line."""

    def __init__(
        self,
        carry: Carry,
        sign: Sign,
        found: Callable[[str], Iterable[Values]],
        spoken: Callable[[str], Spoken | None],
    ) -> None:
        super().__init__(carry, sign, found)
        self._talks = {key: Dialogue(**known) for key, known in carry.get("talks", {}).items()}
        self._latest: str | None = carry.get("latest")
        self._spoken = spoken

    def owns(self, line: Line) -> bool:
        """Return whether `line` is of an error of this library or of its conversation."""
        return self._is_rest_of_reply(line) or super().owns(line)

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the refusals in `line`, those of a conversation with all that was said in it."""
        text = texts_in(text_of(line.message[:LONGEST]))
        spoken = None if self._goes_on(line) else self._rest_of_reply(line) or self._spoken(text)
        if spoken is None:
            return super().read(line)
        self._note(line)
        return self._finished() + self._heard(spoken, line) or None

    def carry(self) -> Carry:
        """Return the open conversations besides."""
        talks = {key: talk.to_json() for key, talk in self._talks.items()}
        return {**super().carry(), **({"talks": talks} if talks else {}), **({"latest": self._latest} if talks else {})}

    def _is_rest_of_reply(self, line: Line) -> bool:
        talk = self._talks.get(self._latest) if line.is_bare and self._latest is not None else None
        return talk is not None and bool(talk.begun_reply) and _GOES_ON.match(line.message) is not None

    def _rest_of_reply(self, line: Line) -> Spoken | None:
        if not self._is_rest_of_reply(line) or self._latest is None:
            return None
        return Spoken(text_of(line.message[:LONGEST]), is_server=True, talk=self._latest)

    def _talk(self, key: str, *, is_new: bool = False) -> Dialogue:
        """Return the conversation `key`, which is the latest from now on; a new one when `is_new`."""
        talk = self._talks.pop(key, None)
        self._talks[key] = talk = Dialogue() if talk is None or is_new else talk
        self._latest = key
        if len(self._talks) > MOST_OPEN:
            del self._talks[next(iter(self._talks))]
        return talk

    def _heard(self, spoken: Spoken, line: Line) -> list[Row]:
        talk = self._talk(spoken.talk, is_new=spoken.is_begin)
        rows: list[Row] = []
        for number, each in enumerate(re.split(r"\r?\n", spoken.words)):
            if not spoken.is_server:
                talk.client(each)
            else:
                rows += [(table, _named_apart(row, number)) for table, row in talk.server(each.strip(), line)]
        if not rows and spoken.is_server and not (talk.endpoint or talk.helo):
            rows = self._told_alone(spoken, line)
        for _, row in rows:
            self.remember(answered_by(row, line), row["recipient"] or "")
        if spoken.talk and not spoken.is_server and _QUIT.match(spoken.words):
            del self._talks[spoken.talk]
        return rows

    def _told_alone(self, spoken: Spoken, line: Line) -> list[Row]:
        """Return the refusal in a reply of whose conversation nothing is known: the log begins later."""
        found = refusal(reply_in(spoken.words), "unknown") if _REFUSED.match(spoken.words) else None
        return [("deliveries", found)] if found and self._is_new(found, line) else []


def _named_apart(row: Values, number: int) -> Values:
    # Several replies may stand in one line, and their words may be the same.
    return {**row, "event_id": event_id_of(row["event_id"], number)} if number else row
