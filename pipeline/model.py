"""
The words that all stages share: windows, chunks of bytes, parsed rows, and the columns of each table of evidence.

A schema here lists what a *format* fills in. What the run knows (`source`, `format`, `origin`, `ingested_at`) is
stamped on when rows are kept, so a format cannot get it wrong. All times are UTC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")

Carry = Mapping[str, Any]
"""Half-read sessions of one log, between two reads: JSON values only, because the lake stores it as JSON."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time, [start, end)."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @property
    def length(self) -> timedelta:
        """How long the window is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Chunk:
    """
    A piece of one log, cut behind a line end.

    `offset` counts decompressed bytes from the start of the file. `identity` names the file by its content, so that
    it survives rotation. `as_of` is when the file was last written: no record in it is newer, which gives year-less
    times their year. `zone` is for times that name none, and `host` for logs that do not say whose they are. Only the
    last chunk of a finished file may end in mid-line.
    `is_last` says that nothing of this log will follow, so what is half read is read as far as it goes.
    """

    body: bytes
    origin: str
    identity: str = ""
    offset: int = 0
    as_of: datetime = datetime(9999, 1, 1, tzinfo=UTC)
    zone: tzinfo = UTC
    is_last: bool = False
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Pulled:
    """
    One chunk as a source hands it over, with the format that fits it and the log whose sessions it continues.

    `position` is the source's own cursor after this chunk: JSON values, stored in the same transaction as the rows,
    each entry by itself. An empty chunk that is not the last only moves the position. Where the position depends on
    which of the rows turn out to be new, `learn` gets those, by table, and returns it.
    `complete_until` is the moment before which nothing is still to come from this source, as far as it knows.
    """

    chunk: Chunk
    format: str
    log: str
    position: Mapping[str, Any]
    learn: Callable[[Mapping[str, pa.Table]], Mapping[str, Any]] | None = None
    complete_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """
    Something about a file that a person should know, such as that it is of no known kind or ends too early.

    With `is_gap` something that was there cannot be read any more, which goes into the table of gaps; with `fills_gap`
    the one that was noted there before has been read after all. `window` is the span of time that is missing, where it
    is one of a feed rather than a place in a file.
    """

    origin: str
    sentence: str
    is_gap: bool = False
    offset: int = 0
    is_failure: bool = True
    is_foreign: bool = False  # no log of ours at all: nothing to worry about where a whole folder is read
    fills_gap: bool = False
    window: Window | None = None


Pull = Callable[[Mapping[str, Any]], Iterable[Pulled | Notice]]
"""A source with all it needs handed in: give it a position and it yields what is new since then."""


@dataclass(frozen=True, slots=True)
class Reject:
    """One line or record that could not be read, with the reason as a sentence for people."""

    raw: bytes
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that ought to be in a file and is not, as a sentence with the mend: an export that was cut, for one."""

    offset: int
    cause: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """
    What one chunk held: rows by table (each with the schema in SCHEMAS), rejects, and the sessions still open.

    `lines` counts the records looked at and `left` those skipped on purpose. Where several programs write into one log,
    a table has a column `format` besides, which names the program of each row.
    """

    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    rejects: tuple[Reject, ...] = ()
    carry: Carry = field(default_factory=dict)
    lines: int = 0
    left: int = 0
    gaps: tuple[Gap, ...] = ()


def event_id_of(*parts: object) -> str:
    """
    Return a short stable name for an event: 24 hex digits over `parts`.

    A format passes what makes the event itself unique (a whole log line, a session and its sequence number, a trace
    id with a status), so that the same event read from a rotated, copied or recompressed file keeps its name.
    """
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass"))
        digest.update(b"\x00")
    return digest.hexdigest()


def rows_of(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Return `rows` as an Arrow table with the schema of `table`; a column that a row does not name is NULL."""
    schema = SCHEMAS[table]
    if not rows:
        return schema.empty_table()
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], schema.field(name).type) for name in schema.names},
        schema=schema,
    )


DELIVERIES = pa.schema(
    [
        ("event_time", TIME),  # when the client or relay logged it
        ("log_host", pa.string()),  # whose log it is; queue ids are unique only within it
        (
            "kind",
            pa.string(),
        ),  # try: sent and answered · held: kept back untried · expired: given up · done: left the queue
        ("sender", pa.string()),  # envelope sender, lower case; '' is the null sender of a bounce, NULL is not known
        ("recipient", pa.string()),  # envelope recipient, lower case; NULL when the line is about the whole mail
        ("auth_user", pa.string()),  # account used at the endpoint, where the log tells
        ("auth_protocol", pa.string()),  # basic · oauth2 · none · unknown, at the endpoint
        ("auth_mechanism", pa.string()),  # LOGIN, PLAIN, XOAUTH2 … as logged
        ("client_ip", pa.string()),  # the device that handed the mail to the relay
        ("client_name", pa.string()),  # its host name or HELO
        ("client_user", pa.string()),  # its log-in at one's own relay, which is not the account at the endpoint
        ("endpoint", pa.string()),  # host that answered, lower case
        ("endpoint_ip", pa.string()),
        ("endpoint_port", pa.int32()),
        ("service", pa.string()),  # which service the endpoint belongs to, from endpoints.toml; 'other' for the rest
        ("stage", pa.string()),  # connect · tls · auth · mail_from · rcpt_to · data · unknown
        ("outcome", pa.string()),  # accepted · deferred · rejected · unknown
        ("reply_code", pa.int32()),  # 550
        ("enhanced_code", pa.string()),  # 5.7.30, as the server said it
        ("reply_text", pa.string()),  # the server's words, at most 2,000 characters
        ("reply_class", pa.string()),  # from replies.toml
        ("request_id", pa.string()),  # the 16 hex digits that end Exchange's replies: one answer, however many lines
        ("queue_id", pa.string()),
        ("session_id", pa.string()),
        ("message_id", pa.string()),
        ("size_bytes", pa.int64()),
        ("queued_at", TIME),  # when the relay took it, where a queue listing or a bounce tells
        ("expires_at", TIME),  # when the relay will give it up, where that is told
        ("origin_offset", pa.int64()),  # where in the file the row was read, in decompressed bytes
        ("event_id", pa.string()),
    ]
)

TRACES = pa.schema(
    [
        ("received_at", TIME),
        ("trace_id", pa.string()),  # Exchange's id of the message in the trace
        ("message_id", pa.string()),
        ("sender", pa.string()),  # '' is the null sender of a bounce
        ("recipient", pa.string()),
        ("status", pa.string()),  # delivered, failed, pending … lower case, as reported
        ("from_ip", pa.string()),
        ("to_ip", pa.string()),
        ("size_bytes", pa.int64()),
        ("seen_at", TIME),  # when this version was exported
        ("origin_offset", pa.int64()),
        ("event_id", pa.string()),
    ]
)

SIGNINS = pa.schema(
    [
        ("event_time", TIME),
        ("user", pa.string()),
        ("client_ip", pa.string()),
        ("client_app", pa.string()),  # "Authenticated SMTP", as reported
        ("user_agent", pa.string()),
        ("auth_protocol", pa.string()),  # basic · oauth2 · none · unknown
        ("auth_mechanism", pa.string()),
        ("service", pa.string()),  # exchange_online, or own_relay for log-ins at one's own relay
        ("outcome", pa.string()),  # accepted · rejected · unknown
        ("error_code", pa.string()),
        ("error_text", pa.string()),  # why it was rejected, in the server's words
        ("app_name", pa.string()),
        ("resource_name", pa.string()),  # what was logged in to, "Office 365 Exchange Online"
        ("is_interactive", pa.bool_()),
        ("conditional_access", pa.string()),  # success · failure · notApplied, as reported
        ("request_id", pa.string()),  # id of the sign-in, where it has one
        ("log_host", pa.string()),  # whose log it is, for log-ins at one's own relay
        ("client_name", pa.string()),  # host name or HELO of the client
        ("origin_offset", pa.int64()),
        ("event_id", pa.string()),
    ]
)

USAGE = pa.schema(
    [
        ("day", pa.date32()),  # the day counted; for a report over a span of days, its last day
        ("first_day", pa.date32()),  # first day of that span; NULL where the report does not say
        ("sender", pa.string()),
        ("auth_protocol", pa.string()),  # basic · oauth2 · unknown
        ("auth_protocol_raw", pa.string()),  # the report's own word
        ("client_ip", pa.string()),
        ("tls_version", pa.string()),  # a summary may list several: "1.0, 1.2"
        ("messages", pa.int64()),  # accepted messages
        ("report", pa.string()),  # eac_summary · smtp_cs_report
        ("origin_offset", pa.int64()),
        ("event_id", pa.string()),
    ]
)

EXPOSURE = pa.schema(
    [
        ("seen_at", TIME),  # when the export was written
        ("scope", pa.string()),  # mailbox · policy · tenant
        ("name", pa.string()),  # address of the mailbox in lower case, name of the policy or of the organisation
        ("user", pa.string()),  # user principal name of the mailbox, lower case
        ("mailbox_type", pa.string()),  # UserMailbox, SharedMailbox …, as exported
        ("smtp_auth_disabled", pa.bool_()),  # SmtpClientAuthenticationDisabled; NULL of a mailbox inherits the tenant's
        ("basic_smtp_allowed", pa.bool_()),  # AllowBasicAuthSmtp of a policy
        ("policy", pa.string()),  # authentication policy of the mailbox, or the tenant's default; NULL is none
        ("origin_offset", pa.int64()),
        ("event_id", pa.string()),
    ]
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "deliveries": DELIVERIES,
    "traces": TRACES,
    "signins": SIGNINS,
    "usage": USAGE,
    "exposure": EXPOSURE,
}
"""The evidence: what formats yield, and what `lake hash` covers."""

TIME_OF: Mapping[str, str] = {
    "deliveries": "event_time",
    "traces": "received_at",
    "signins": "event_time",
    "usage": "day",
    "exposure": "seen_at",
}
"""The column of each table of evidence that says when it happened."""
