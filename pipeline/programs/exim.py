r"""
Exim, from its main log or its syslog.

Reads: what was taken in (`<=`: sender, device, log-in), each delivery (`=>` `->` `>>` accepted, `**` given up, `==` put
off), refused log-ins at the next server, `Completed`, and what the relay itself refused or whose log-in it refused.
Leaves: connections, queue runs, warnings, what went nowhere (`*>` with `-N`, `:blackhole:`), and errors that name no
mail.

What a reader could not guess:
- By default (`hosts_try_auth`) a refused log-in does not fail the mail: `… authenticator failed … 550 5.7.30` stands
  on a line of its own for each mechanism tried, with the id of the mail and neither sender nor recipient; then Exim
  goes on without a log-in, and the final `**` says 530 5.7.57. Each stays what it is: the first is the refusal, with
  the sender that its id has, and its outcome is unknown; the last tells what became of the mail.
- With `hosts_require_auth` the mail is put off by `defer (-42)`, in Exim's own words, and later `retry timeout
  exceeded`.
- `retry time not reached` was not tried: it is `held`. `all hosts … failing for a long time` is given up: `expired`.
- With PIPELINING or CHUNKING all refusals but those of a recipient read `after pipelined end of data`, so the stage is
  unknown.
- A reply of several lines goes on in a line without a time, or in a second part `[2\\2]` of a syslog line; newer
  versions write a `\n` into the one line.
- A host that puts a mail off is told by a line of its own (`H=…: SMTP error …`), and again by the `==` of the
  recipients where it was the last to be tried: one answer, so the first counts only where the second says another.
- With cutthrough delivery the next server is asked before there is a mail: `>>` stands before the `<=` of its id, and a
  refused log-in names no mail at all.
- `A=` on a delivery names the authenticator of a successful log-in at the next server: the only log of a relay that
  does. A connection that is used again (`[192.0.2.1]*`) does not name it any more.
- A local part is logged without its quotes, so it may hold anything; the address in full follows: `a b@c <"a b"@c>`.
- Syslog gets what the relay refuses twice (`syslog_duplication`), the second time with the headers of the mail.
- The subject (`T="…"`) is a stranger's and may quote anything; what stands behind it is not read.
"""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from pipeline.exim_words import (
    LONGEST,
    NO_LOG_IN,
    OWN_LOG_IN,
    OWN_REFUSAL,
    QUOTED,
    REFUSED_LOG_IN,
    REMOTE,
    TOOK,
    Mail,
    answer_of,
    arrived,
    delivery,
    exim_text,
    log_in_of,
    of_relay,
    refused_log_in,
    reply_in,
)
from pipeline.lines import Line
from pipeline.model import Carry, event_id_of
from pipeline.programs import Row

MOST_OPEN = 100_000
"""Mails kept between reads; beyond it the oldest is forgotten, and its later lines lack a sender."""
MOST_PARTS = 1_000
MOST_WAITING = 1_000
"""Mails of which a row waits for their next line; beyond it the oldest are told as they are."""
MOST_OF_ONE = 100
_TAGS = re.compile(rb"exim4?|exim-\w{1,20}")
_PREFIX = re.compile(rb"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})? )?(?:\[\d+\] )?")
_PART = re.compile(rb"\[(\d{1,2})([/\\])(\d{1,2})\] (.*)", re.DOTALL)
_MAIL = re.compile(
    r"(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6}(?:[0-9A-Za-z]{5})?-[0-9A-Za-z]{2}(?:[0-9A-Za-z]{2})?) (?P<words>.*)",
    re.DOTALL,
)
_FLAG = re.compile(r"(=>|->|>>|\*>|==|\*\*) (?=\S)(.*)", re.DOTALL)
_ARRIVAL = re.compile(rf"<= (?P<sender>(?:{QUOTED})?[^\s:]\S*?)(?P<rest>(?: .*)?)", re.DOTALL)
_OPEN_REPLY = re.compile(r"(?:^|\n)([2-5]\d\d)-[^\n]*\Z")
_COMPLETED = re.compile(r"Completed(?: QT=\S{1,20})?")
_SIGNS = (b"-", b" authenticator failed ", b"rejected ", b"SMTP protocol error ")
_OWN_WORDS = 1_000
_OF_MAIL = tuple(field.name for field in fields(Mail))


def owns_tag(tag: bytes) -> bool:
    """Return whether `tag` is Exim's."""
    return _TAGS.fullmatch(tag) is not None


class Reader:
    """Goes through one log of Exim, and knows each mail by its id until it is completed."""

    def __init__(self, carry: Carry) -> None:
        self._mails = {key: Mail(**known) for key, known in carry.get("mails", {}).items()}
        self._parts: dict[str, str] = dict(carry.get("parts", {}))
        self._held: dict[str, Any] | None = carry.get("held")
        self._refused: list[str] = list(carry.get("refused", []))
        self._waiting: dict[str, list[dict[str, Any]]] = {
            key: list(rows) for key, rows in carry.get("waiting", {}).items()
        }

    def owns(self, line: Line) -> bool:
        """Return whether `line` tells of a mail by its id, of a log-in or of a refusal, as Exim does."""
        if line.is_bare:
            return False
        part = _PART.fullmatch(line.message) if line.message[:1] == b"[" else None
        if part and int(part[1]) > 1:
            return self._part_of(line) in self._parts
        if not any(sign in line.message[:_OWN_WORDS] for sign in _SIGNS):
            return False
        text = exim_text(_PREFIX.sub(b"", part[4] if part else line.message, count=1))
        found = _MAIL.match(text)
        words = found["words"] if found else text
        if REFUSED_LOG_IN.match(words) or (words.startswith("H=") and OWN_REFUSAL.search(words[:_OWN_WORDS])):
            return True
        if found is None:
            return (OWN_LOG_IN.match(words) or NO_LOG_IN.match(words)) is not None
        return bool(_FLAG.match(words) or _ARRIVAL.match(words) or _COMPLETED.fullmatch(words))

    def read(self, line: Line) -> list[Row] | str | None:
        """Return the rows that `line` completes, or None."""
        if line.is_bare:
            return self._ready(self._go_on(line)) or None
        rows = self._ready(self._finished())
        message = self._whole(line)
        if message is None:
            return rows or None
        text = exim_text(_PREFIX.sub(b"", message, count=1))
        found = _MAIL.fullmatch(text)
        told = self._of_mail(found["id"], found["words"], line) if found else of_relay(text, None)
        if self._is_told_twice(text, told, line):
            return rows or None
        rows += self._ready(self._until_it_ends(told, line))
        return rows or None

    def close(self) -> list[Row]:
        """Return the row whose reply was not finished, as far as it goes, and those that wait."""
        rows = self._ready(self._finished())
        rows += [_released(each) for waiting in self._waiting.values() for each in waiting]
        self._waiting.clear()
        return rows

    def carry(self) -> Carry:
        """Return the mails that are not completed, parts of syslog lines, a reply that goes on, and rows that wait."""
        for forgotten in list(self._mails)[: max(0, len(self._mails) - MOST_OPEN)]:
            del self._mails[forgotten]
        state = {
            "mails": {key: asdict(mail) for key, mail in self._mails.items()},
            "parts": dict(list(self._parts.items())[-MOST_PARTS:]),
            "held": self._held,
            "waiting": self._waiting,
            "refused": self._refused,
        }
        return {name: value for name, value in state.items() if value}

    def _is_told_twice(self, text: str, told: list[Row], line: Line) -> bool:
        """Return whether syslog gave the same refusal just before: it gets what goes to the rejectlog once more."""
        is_own = bool(told) and told[0][1].get("service") == "own_relay" and told[0][1].get("outcome") != "accepted"
        second = line.time.isoformat()[:19] if line.time else ""
        itself = [line.host or "", line.pid.decode("latin-1"), second, text.partition("\n")[0]]
        is_again = is_own and bool(line.host) and itself == self._refused
        self._refused = itself if is_own and not is_again else []
        return is_again

    def _part_of(self, line: Line) -> str:
        return f"{line.host} {line.pid.decode('latin-1')}"

    def _whole(self, line: Line) -> bytes | None:
        """Return the message of `line`, or None while it is only a part of one."""
        part = _PART.fullmatch(line.message)
        if part is None:
            return line.message
        number, kind, total, words = part.groups()
        key = self._part_of(line)
        before = self._parts.pop(key, "").encode("latin-1") if int(number) > 1 else b""
        joined = before + (b"\n" if before and kind == b"\\" else b"") + words
        if int(number) >= int(total) or len(joined) > LONGEST:
            return joined
        self._parts[key] = joined.decode("latin-1")
        return None

    def _of_mail(self, id: str, words: str, line: Line) -> list[Row]:
        key = f"{line.host} {id}"
        before = self._waiting.pop(key, [])
        if arrival := _ARRIVAL.fullmatch(words):
            self._mails.pop(key, None)
            self._mails[key] = mail = arrived(arrival["sender"], arrival["rest"])
            return [_released(each | _known(mail)) for each in before] + log_in_of(mail, arrival["rest"])
        told = self._told(key, id, words)
        if any(values.get("waits") for _, values in told) and key not in self._mails:
            self._waiting[key] = before
            return told
        return [_released(each) for each in before if not _is_said_again(each, told)] + told

    def _told(self, key: str, id: str, words: str) -> list[Row]:
        """Return what one line tells of the mail `id`; the next may complete a row that `waits`, or say it again."""
        mail = self._mails.get(key)
        known = {**_known(mail or Mail()), "queue_id": id}
        if _COMPLETED.fullmatch(words):
            self._mails.pop(key, None)
            return [("deliveries", {**known, "kind": "done", "stage": "unknown", "outcome": "unknown"})]
        if flag := _FLAG.fullmatch(words):
            row = delivery(flag[1], flag[2])
            waits = {"waits": True} if flag[1] == ">>" and mail is None else {}
            return [("deliveries", _over(known, row) | waits)] if row else []
        if refused := REFUSED_LOG_IN.fullmatch(words):
            return [("deliveries", {**known, **refused_log_in(refused)})]
        if (remote := REMOTE.search(words)) and words.startswith("H="):
            return [("deliveries", {**known, **answer_of(words, remote), "outcome": "deferred", "waits": True})]
        return of_relay(words, id)

    def _until_it_ends(self, rows: list[Row], line: Line) -> list[Row]:
        """Return `rows`, but keep one whose reply goes on in the next line."""
        table, values = rows[-1] if rows else ("", {})
        is_open = "event_id" not in values and _OPEN_REPLY.search(values.get("reply_text") or "")
        if not is_open and "waits" not in values:
            return rows
        kept = {
            "table": table,
            "event_time": line.time.isoformat() if line.time else None,
            "log_host": line.host,
            "origin_offset": line.offset,
            "event_id": event_id_of(line.raw),
            **values,
        }
        if not is_open:
            return [*rows[:-1], (table, kept)]
        self._held = kept
        return rows[:-1]

    def _go_on(self, line: Line) -> list[Row]:
        if self._held is None:
            return []
        text = f"{self._held['reply_text']}\n{exim_text(line.message)}"[:LONGEST]
        self._held |= reply_in(TOOK.sub("", text), self._held["service"])
        return [] if _OPEN_REPLY.search(text) else self._finished()

    def _finished(self) -> list[Row]:
        held, self._held = self._held, None
        return [(held["table"], held) if "waits" in held else _released(held)] if held else []

    def _ready(self, rows: list[Row]) -> list[Row]:
        """Return `rows` but those that wait for the next line of their mail, and the oldest of those that do so."""
        ready: list[Row] = []
        for table, values in rows:
            if "waits" not in values:
                ready.append((table, values))
                continue
            waiting = self._waiting.setdefault(f"{values['log_host']} {values['queue_id']}", [])
            waiting.append(values)
            if len(waiting) > MOST_OF_ONE:
                ready.append(_released(waiting.pop(0)))
        while len(self._waiting) > MOST_WAITING:
            ready += [_released(each) for each in self._waiting.pop(next(iter(self._waiting)))]
        return ready


def _known(mail: Mail) -> dict[str, Any]:
    return {name: getattr(mail, name) for name in _OF_MAIL}  # asdict would copy each value deeply, for each line


def _over(known: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with what is known of its mail, which goes before what its own line says of the sender."""
    return {**row, **{name: value for name, value in known.items() if value is not None or name not in row}}


def _is_said_again(waiting: dict[str, Any], told: list[Row]) -> bool:
    """Return whether a row of `told` gives the answer for a recipient that `waiting` gave for the host."""
    said = waiting["reply_text"] or ""
    return any(
        values.get("recipient")
        and values.get("endpoint_ip") == waiting["endpoint_ip"]
        and said.startswith(values.get("reply_text") or "\n")
        for _, values in told
    )


def _released(kept: dict[str, Any]) -> Row:
    row = {name: value for name, value in kept.items() if name not in {"table", "waits"}}
    time = row["event_time"]
    return (kept["table"], row | {"event_time": datetime.fromisoformat(time) if time else None})
