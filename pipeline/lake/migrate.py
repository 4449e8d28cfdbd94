"""
Bring a lake that an earlier version has left up to the schema of this one, in one transaction.

Tables and columns that are new are added, which rewrites no file; what cannot be said so is one entry in STEPS. A lake
is never brought down: the backup of before an upgrade is the way back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.lake.tables import SCHEMA_VERSION, TABLES, VIEWS, ddl_of, ddl_of_view, sql_type_of

if TYPE_CHECKING:
    from pipeline.lake import Lake

STEPS: Mapping[int, tuple[str, ...]] = {
    # Since 2, a log is one format, whichever programs write into it, and each keeps its own half-read sessions.
    2: (
        """UPDATE cursors SET state = replace(state, '"format": "postfix"', '"format": "log"')
           WHERE contains(name, chr(10) || 'at ')""",
        """UPDATE cursors SET state = '{"formats": {"postfix": ' || state || '}}'
           WHERE contains(name, chr(10) || 'log ') AND starts_with(state, '{"mails"')""",
        # … and the daily sums tell the two kinds of report apart, of which one counts the same mail again each day.
        "DELETE FROM sender_days WHERE evidence = 'usage'",
        """INSERT INTO sender_days BY NAME
           SELECT day, 'usage' AS evidence, sender, auth_protocol, client_ip, 'exchange_online' AS service,
             report AS kind, 'accepted' AS outcome, CAST(sum(counted) AS BIGINT) AS events,
             CAST(sum(messages) AS BIGINT) AS messages
           FROM (
             SELECT day, sender, auth_protocol, client_ip, tls_version, report, count(*) AS counted,
               max(messages) AS messages
             FROM usage GROUP BY ALL
           )
           GROUP BY ALL""",
    ),
    # Since 3, a trace counts once in the daily sums, as what is known of it last.
    3: (
        "DELETE FROM sender_days WHERE evidence = 'traces'",
        """INSERT INTO sender_days BY NAME
           SELECT CAST(received_at AS DATE) AS day, 'traces' AS evidence, sender, from_ip AS client_ip,
             status AS outcome, count(*) AS events
           FROM traces_latest GROUP BY ALL""",
    ),
}
"""What a version asks for beyond new tables and columns, by the version that it leads to."""


def migrate(lake: Lake, version: int) -> None:
    """Bring `lake`, now at `version`, up to SCHEMA_VERSION, inside a transaction."""
    for table, schema in TABLES.items():
        lake.connection.execute(ddl_of(table))
        known = {row["column_name"] for row in lake.rows(f"DESCRIBE {table}")}
        for field in schema:
            if field.name not in known:
                lake.connection.execute(f'ALTER TABLE {table} ADD COLUMN "{field.name}" {sql_type_of(field)}')
    for view in VIEWS:
        lake.connection.execute(ddl_of_view(view))
    for step in range(version + 1, SCHEMA_VERSION + 1):
        for statement in STEPS.get(step, ()):
            lake.connection.execute(statement)
    lake.connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(SCHEMA_VERSION)])
