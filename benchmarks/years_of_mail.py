"""
A lake of any size, made straight in DuckDB: 400 days of 400 senders behind three relays, in the order of time.

A few senders send most of the mail. Three in ten log in with a password until the cut-over, five weeks before the end,
and are refused from then on; a third of those is moved to OAuth after a week. The rows are made by number, so that new
ones go on where the old ones end, and nothing here is larger in memory than one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from pipeline.lake import Lake
from pipeline.lake.rollup import add_to_rollups
from pipeline.lake.tables import TABLES, sql_type_of
from pipeline.model import TIME_OF

END = datetime(2027, 2, 5, tzinfo=UTC)
DAYS = 400
START = END - timedelta(days=DAYS)
CUT_OVER = datetime(2027, 1, 1, tzinfo=UTC)
COMMIT_ROWS = 500_000

SHARES: Mapping[str, float] = {"deliveries": 1.0, "traces": 0.2, "signins": 0.02, "quarantine": 0.0001}
"""Rows of each large table for one row of `deliveries`."""

_SENDER = "'device' || rank || '@contoso.example'"
_RECIPIENT = "'user' || (h // 7) % 997 || CASE WHEN h % 5 = 0 THEN '@fabrikam.example' ELSE '@contoso.example' END"
_STILL_BASIC = "rank % 10 >= 7 AND NOT (rank % 3 = 0 AND moment >= TIMESTAMPTZ '2027-01-08')"
_IS_REFUSED = f"({_STILL_BASIC}) AND moment >= TIMESTAMPTZ '{CUT_OVER.isoformat()}'"
_CLASS = f"""CASE
  WHEN {_IS_REFUSED} THEN 'basic_retired'
  WHEN h % 1000 = 1 THEN 'recipient_unknown'
  WHEN h % 1000 = 2 THEN 'greylisted'
  WHEN h % 20000 = 3 THEN 'bad_credentials'
  WHEN h % 50000 = 4 THEN 'smtpauth_off_mailbox'
  WHEN h % 50000 = 5 THEN 'not_authenticated'
  ELSE 'accepted'
END"""
_ID = "left(md5('{table}' || i), 24)"

_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "deliveries": {
        "event_time": "moment",
        "log_host": "'relay' || rank % 3",
        "kind": "CASE WHEN i % 2 = 0 THEN 'try' WHEN class <> 'accepted' AND h % 3 = 0 THEN 'held' ELSE 'done' END",
        "sender": _SENDER,
        "recipient": _RECIPIENT,
        "auth_protocol": f"CASE WHEN {_STILL_BASIC} THEN 'basic' WHEN rank % 10 >= 7 THEN 'oauth2' ELSE 'unknown' END",
        "auth_mechanism": "'LOGIN'",
        "client_ip": "'192.0.2.' || rank % 250",
        "client_name": "'device' || rank || '.contoso.example'",
        "endpoint": "'smtp.office365.com'",
        "endpoint_port": "587",
        "service": "'exchange_online'",
        "stage": "CASE WHEN class = 'accepted' THEN 'data' ELSE 'auth' END",
        "outcome": "CASE WHEN i % 2 = 1 THEN 'unknown' WHEN class = 'accepted' THEN 'accepted' "
        "WHEN h % 3 = 0 THEN 'deferred' ELSE 'rejected' END",
        "reply_code": "CASE WHEN class = 'accepted' THEN 250 ELSE 550 END",
        "enhanced_code": "CASE WHEN class = 'accepted' THEN '2.0.0' ELSE '5.7.30' END",
        "reply_text": "CASE WHEN class = 'accepted' THEN '250 2.0.0 OK' ELSE '550 5.7.30 Basic authentication is not "
        "supported for Client Submission.' END",
        "reply_class": "CASE WHEN i % 2 = 0 THEN class END",
        "request_id": "CASE WHEN class <> 'accepted' THEN upper(left(md5('r' || i // 2), 16)) END",
        "queue_id": "upper(left(md5('q' || i // 2), 11))",
        "message_id": "'<' || i // 2 || '.' || left(md5('m' || i // 2), 8) || '@contoso.example>'",
        "size_bytes": "2000 + h % 400000",
        "source": "'relay' || rank % 3",
        "format": "'postfix'",
    },
    "traces": {
        "received_at": "moment",
        "trace_id": "md5('t' || i)",
        "message_id": "'<' || i || '.' || left(md5('m' || i), 8) || '@contoso.example>'",
        "sender": _SENDER,
        "recipient": _RECIPIENT,
        "status": "CASE WHEN h % 200 = 0 THEN 'failed' ELSE 'delivered' END",
        "from_ip": "'198.51.100.' || rank % 250",
        "size_bytes": "2000 + h % 400000",
        "seen_at": "moment + INTERVAL 20 MINUTE",
        "source": "'tenant'",
        "format": "'graph_message_trace'",
    },
    "signins": {
        "event_time": "moment",
        "user": _SENDER,
        "client_ip": "'198.51.100.' || rank % 250",
        "client_app": "'Authenticated SMTP'",
        "auth_protocol": f"CASE WHEN {_STILL_BASIC} THEN 'basic' ELSE 'oauth2' END",
        "service": "'exchange_online'",
        "outcome": "CASE WHEN h % 50 = 0 THEN 'rejected' ELSE 'accepted' END",
        "error_code": "CASE WHEN h % 50 = 0 THEN '50126' ELSE '0' END",
        "is_interactive": "FALSE",
        "source": "'tenant'",
        "format": "'graph_signins'",
    },
    "quarantine": {
        "quarantined_at": "moment",
        "source": "'relay' || rank % 3",
        "format": "'postfix'",
        "reason": "'is no line of syslog'",
        "raw": "CAST('garbage ' || i AS BLOB)",
    },
    "usage": {
        "day": "CAST(moment AS DATE)",
        "sender": _SENDER,
        "auth_protocol": f"CASE WHEN {_STILL_BASIC} THEN 'basic' ELSE 'oauth2' END",
        "auth_protocol_raw": "'Basic'",
        "tls_version": "'1.2'",
        "messages": "1 + h % 90",
        "report": "'smtp_cs_report'",
        "source": "'people'",
        "format": "'smtp_auth_report'",
    },
    "exposure": {
        "seen_at": "moment",
        "scope": "'mailbox'",
        "name": _SENDER,
        "user": _SENDER,
        "mailbox_type": "'UserMailbox'",
        "smtp_auth_disabled": "CASE rank % 3 WHEN 0 THEN TRUE WHEN 1 THEN FALSE END",
        "source": "'people'",
        "format": "'cas_mailbox'",
    },
    "reads": {
        "read_at": "moment",
        "source": "'relay' || rank % 3",
        "format": "'postfix'",
        "log": "'mail.log'",
        "from_offset": "i * 1000",
        "to_offset": "i * 1000 + 1000",
        "lines": "10",
        "left": "5",
        "rows": "5",
        "rejects": "0",
        "quarantined": "0",
        "complete_until": "moment",
    },
    "gaps": {
        "noticed_at": "moment",
        "source": "'relay0'",
        "cause": "'the log has vanished'",
        "gap_id": "md5('g' || i)",
    },
    "jobs": {
        "job": "'source relay' || rank % 3",
        "state": "CASE i % 2 WHEN 0 THEN 'failed' ELSE 'recovered' END",
        "since": "moment - INTERVAL 1 MINUTE",
        "noted_at": "moment",
        "times": "1",
        "error": "'no disk'",
    },
    "findings": {
        "noted_at": "moment",
        "fingerprint": "left(md5('f' || i // 2), 24)",
        "episode": f"TIMESTAMPTZ '{START.isoformat()}' + to_minutes(i // 2)",
        "state": "CASE i % 2 WHEN 0 THEN 'open' ELSE 'over' END",
        "detection": "'rejection/basic_auth_refused'",
        "severity": "'high'",
        "sender": "'gone' || i // 2 || '@contoso.example'",
        "first_seen": "moment - INTERVAL 1 MINUTE",
        "last_seen": "moment - INTERVAL 1 MINUTE",
        "is_late": "FALSE",
        "facts": '\'{"sender": "gone", "refusals": 1}\'',
        "over_at": "CASE i % 2 WHEN 1 THEN moment END",
        "because": "CASE i % 2 WHEN 1 THEN 'a later mail was accepted' END",
    },
    "sender_states": {
        "noted_at": "moment",
        "sender": "'device' || i % 400 || '@contoso.example'",
        "state": "CASE i % 3 WHEN 0 THEN 'does_still' WHEN 1 THEN 'refused' ELSE 'migrated' END",
        "since": "moment",
        "because": "'it is so'",
        "confidence": "'high'",
    },
    "feeds": {
        "source": "'relay' || i % 3",
        "table": "CASE i WHEN 3 THEN 'traces' WHEN 4 THEN 'signins' WHEN 5 THEN 'usage' WHEN 6 THEN 'exposure' "
        "ELSE 'deliveries' END",
        "newest_at": f"TIMESTAMPTZ '{END.isoformat()}'",
        "complete_until": f"TIMESTAMPTZ '{END.isoformat()}'",
        "is_export": "i >= 5",
        "noted_at": f"TIMESTAMPTZ '{END.isoformat()}'",
    },
    "notifications": {
        "noted_at": "moment",
        "notification_id": "left(md5('n' || i // 2), 24)",
        "state": "CASE i % 2 WHEN 0 THEN 'intended' ELSE 'delivered' END",
        "channel": "'oncall'",
        "thread": "left(md5('f' || i // 2), 24)",
        "reason": "'new'",
        "fingerprints": "'[]'",
        "attempt": "i % 2",
    },
}
_BOOKS: Mapping[str, int] = {
    "usage": 400 * DAYS,
    "exposure": 400 * DAYS // 7,
    "reads": 200_000,
    "gaps": 50,
    "jobs": 2_000,
    "findings": 20_000,
    "notifications": 10_000,
    "sender_states": 1_200,
    "feeds": 7,
}
"""Rows of the tables that do not grow with the mail."""


def rows_for(lake: Lake, table: str, first: int, count: int, moment: str) -> pa.Table:
    """Return `count` rows of `table` from number `first` on; `moment` is when row `i` was, in SQL."""
    told = _COLUMNS[table]
    columns = ", ".join(
        f'CAST({told.get(field.name, _usual(table, field.name))} AS {sql_type_of(field)}) AS "{field.name}"'
        for field in TABLES[table]
    )
    return lake.arrow(
        f"""
        WITH numbers AS (SELECT range AS i, hash(range) % 1000000007 AS h FROM range({first}, {first + count})),
        moments AS (
          SELECT i, h, CAST(400 * power((h % 9973) / 9973.0, 3) AS BIGINT) AS rank, {moment} AS moment FROM numbers
        ),
        classes AS (SELECT *, {_CLASS} AS class FROM moments)
        SELECT {columns} FROM classes
        """
    )


def _usual(table: str, column: str) -> str:
    usual = {"event_id": _ID.format(table=table), "origin_offset": "i", "origin": "'bench'", "ingested_at": "moment"}
    return usual.get(column, "NULL")


def build(folder: Path, rows: int, say: Callable[[str], None]) -> None:
    """Make the lake with so many rows of `deliveries` in `folder`."""
    with Lake.open(folder) as lake:
        spare(lake, folder)
        for table, share in SHARES.items():
            _fill(lake, table, int(rows * share), say)
        for table, count in _BOOKS.items():
            _fill(lake, table, count, say)


def spare(lake: Lake, folder: Path) -> None:
    """Hold the memory of this lake to a few gigabytes, beside a disk that it may spill to."""
    lake.connection.execute("SET memory_limit = '5GB'")
    spill = (folder.parent.parent / "spill").as_posix()
    if lake.one("SELECT current_setting('temp_directory')") != spill:  # once used, it cannot be set again
        lake.connection.execute(f"SET temp_directory = '{spill}'")


def _fill(lake: Lake, table: str, count: int, say: Callable[[str], None]) -> None:
    if table not in TABLES:
        return
    seconds = DAYS * 86_400 / max(count, 1)
    moment = f"TIMESTAMPTZ '{START.isoformat()}' + to_microseconds(CAST(i * {seconds} * 1e6 AS BIGINT))"
    for first in range(0, count, COMMIT_ROWS):
        arrow = rows_for(lake, table, first, min(COMMIT_ROWS, count - first), moment)
        with lake.writing():
            lake.insert(table, arrow)
            if table in TIME_OF:
                add_to_rollups(lake, table, _as_fresh(table, arrow))
        if first % (20 * COMMIT_ROWS) == 0 and count > COMMIT_ROWS:
            say(f"{table}: {first + arrow.num_rows:,} of {count:,}")


def _as_fresh(table: str, arrow: pa.Table) -> pa.Table:
    """Return `arrow` as `insert_versions` returns it, where nothing was known before."""
    return arrow.append_column("is_first", pa.array([True] * arrow.num_rows)) if table == "traces" else arrow


def bytes_in(folder: Path) -> int:
    """Return how much disk `folder` takes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
