"""
The daily rollups: partial sums appended with the rows that they count, and summed when they are read.

Only measures that add up live here (sums, the first, the last, in which hours), so a partial sum never has to be
mended; distinct counts come from the rows. A report that counts a day again counts more of it, and only what is more is
added.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.lake import Lake
from pipeline.lake.tables import LATEST_FIRST

_WHEN = """
          CAST(coalesce(bit_or(1 << hour({time})){some}, 0) AS BIGINT) AS hours,
          min({time}){some} AS first_at, max({time}){some} AS last_at"""

_PARTIAL_SUMS = {
    "deliveries": f"""
        SELECT CAST(event_time AS DATE) AS day, 'deliveries' AS evidence, sender, auth_protocol, client_ip, client_name,
          service, kind, outcome, reply_class, count(*) AS events, NULL AS messages,
          {_WHEN.format(time="event_time", some="")}
        FROM new_rows GROUP BY ALL""",
    "signins": f"""
        SELECT CAST(event_time AS DATE) AS day, 'signins' AS evidence, "user" AS sender, auth_protocol, client_ip,
          client_name, service, NULL AS kind, outcome, NULL AS reply_class, count(*) AS events, NULL AS messages,
          {_WHEN.format(time="event_time", some="")}
        FROM new_rows GROUP BY ALL""",
    # A message counts once, as what is known of it last: another version takes out what the one before has put in.
    "traces": f"""
        WITH versions AS (
          SELECT traces.*, traces.event_id IN (SELECT event_id FROM new_rows) AS is_new,
            coalesce(trace_id, event_id) AS thing
          FROM traces
          WHERE received_at BETWEEN (SELECT min(received_at) FROM new_rows) - INTERVAL 1 SECOND
              AND (SELECT max(received_at) FROM new_rows) + INTERVAL 1 SECOND
            AND recipient IN (SELECT recipient FROM new_rows)
        ),
        touched AS (SELECT thing, recipient FROM versions GROUP BY ALL HAVING bool_or(is_new)),
        partial_sums AS (
          SELECT *, 1 AS events FROM versions SEMI JOIN touched USING (thing, recipient)
          QUALIFY row_number() OVER (PARTITION BY thing, recipient ORDER BY {LATEST_FIRST}) = 1
          UNION ALL
          SELECT *, -1 AS events FROM versions SEMI JOIN touched USING (thing, recipient)
          WHERE NOT is_new
          QUALIFY row_number() OVER (PARTITION BY thing, recipient ORDER BY {LATEST_FIRST}) = 1
        )
        SELECT CAST(received_at AS DATE) AS day, 'traces' AS evidence, sender, NULL AS auth_protocol,
          from_ip AS client_ip, NULL AS client_name, NULL AS service, NULL AS kind, status AS outcome,
          NULL AS reply_class, CAST(sum(events) AS BIGINT) AS events, NULL AS messages,
          {_WHEN.format(time="received_at", some=" FILTER (WHERE events > 0)")}
        FROM partial_sums GROUP BY ALL HAVING sum(events) <> 0""",
    "usage": """
        WITH counted AS (
          SELECT day, sender, auth_protocol, client_ip, tls_version, report, max(messages) AS messages
          FROM usage
          WHERE day BETWEEN (SELECT min(day) FROM new_rows) AND (SELECT max(day) FROM new_rows)
            AND event_id NOT IN (SELECT event_id FROM new_rows)
          GROUP BY ALL
        )
        SELECT new_rows.day, 'usage' AS evidence, new_rows.sender, new_rows.auth_protocol, new_rows.client_ip,
          NULL AS client_name, 'exchange_online' AS service, new_rows.report AS kind, 'accepted' AS outcome,
          NULL AS reply_class,
          count(*) AS events,
          CAST(sum(greatest(new_rows.messages - coalesce(counted.messages, 0), 0)) AS BIGINT) AS messages,
          NULL AS hours, NULL AS first_at, NULL AS last_at
        FROM new_rows
        LEFT JOIN counted
          ON counted.day = new_rows.day
          AND counted.sender = new_rows.sender
          AND counted.auth_protocol = new_rows.auth_protocol
          AND counted.client_ip IS NOT DISTINCT FROM new_rows.client_ip
          AND counted.tls_version IS NOT DISTINCT FROM new_rows.tls_version
          AND counted.report = new_rows.report
        GROUP BY ALL""",
}


_RECIPIENTS = {
    "deliveries": """
        SELECT CAST(event_time AS DATE) AS day, 'deliveries' AS evidence, sender,
          split_part(recipient, '@', -1) AS recipient_domain, count(*) AS events
        FROM new_rows WHERE kind = 'try' AND sender <> '' AND contains(recipient, '@') GROUP BY ALL""",
    "traces": """
        SELECT CAST(received_at AS DATE) AS day, 'traces' AS evidence, sender,
          split_part(recipient, '@', -1) AS recipient_domain, count(*) AS events
        FROM new_rows WHERE is_first AND sender <> '' AND contains(recipient, '@') GROUP BY ALL""",
}


def add_to_rollups(lake: Lake, table: str, fresh: pa.Table) -> None:
    """Append the partial sums of `fresh` rows of `table`, if it has any, inside the transaction that keeps them."""
    for rollup, sums in (("sender_days", _PARTIAL_SUMS), ("sender_domains", _RECIPIENTS)):
        if fresh.num_rows and table in sums:
            lake.insert(rollup, lake.over(fresh, sums[table]))
