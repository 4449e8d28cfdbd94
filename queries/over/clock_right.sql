/*---
meaning = "In each log in which its times were wrong, they are right again."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the host whose log it is. A host that
-- logs nothing ends nothing.
WITH
events AS (
  SELECT
    open_findings.fingerprint,
    deliveries.source,
    deliveries.ingested_at,
    deliveries.event_time > deliveries.ingested_at + INTERVAL 5 MINUTE
      OR deliveries.event_time <= deliveries.ingested_at - INTERVAL 20 MINUTE AS is_wrong
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.log_host, deliveries.source) = open_findings.thing
  WHERE deliveries.ingested_at >= open_findings.since
    AND deliveries.kind = 'try'
    AND deliveries.format <> 'dsn'
),
wrong AS (
  SELECT fingerprint, source, max(ingested_at) AS last_wrong
  FROM events
  WHERE is_wrong
  GROUP BY fingerprint, source
),
mended AS (
  SELECT wrong.fingerprint, wrong.source, min(events.ingested_at) AS right_at
  FROM wrong
  LEFT JOIN events
    ON events.fingerprint = wrong.fingerprint
    AND events.source = wrong.source
    AND events.ingested_at > wrong.last_wrong
  GROUP BY wrong.fingerprint, wrong.source
)
SELECT fingerprint, max(right_at) AS over_at, 'what it logs now has the right time' AS because
FROM mended
GROUP BY fingerprint
HAVING count(*) = count(right_at)
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when a later line has the right time"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { event_time = "-3h", ingested_at = "-4h" },
  { event_time = "-1h", ingested_at = "-59m" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:01:00Z }]

[[case]]
name  = "stays open while one of its logs is wrong, though another is right; behind is as wrong as ahead"
given.open_findings = [
  { fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-3h" },
  { fingerprint = "f2", thing = "other", since = "-9h", last_seen = "-3h" },
  { fingerprint = "f3", thing = "third", since = "-9h", last_seen = "-3h" },
]
given.deliveries = [
  { source = "a", event_time = "-3h", ingested_at = "-4h" },
  { source = "b", event_time = "-1h", ingested_at = "-1h" },
  { log_host = "other", event_time = "-5h", ingested_at = "-3h" },
  { log_host = "other", event_time = "-3h", ingested_at = "-1h" },
  { log_host = "third", source = "a", event_time = "-5h", ingested_at = "-3h" },
  { log_host = "third", source = "a", event_time = "-1h", ingested_at = "-1h" },
]
finds = [{ fingerprint = "f3" }]

[[case]]
name  = "stays open through silence, for another host, a bounce, a listing, and what was right before"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { event_time = "-6h", ingested_at = "-6h" },
  { event_time = "-3h", ingested_at = "-4h" },
  { log_host = "other", event_time = "-1h", ingested_at = "-1h" },
  { format = "dsn", event_time = "-1h", ingested_at = "-1h" },
  { kind = "held", event_time = "-1h", ingested_at = "-1h" },
]
finds = []

[[case]]
name  = "asks nothing of a log whose times were wrong before all this"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { source = "gone", event_time = "-9h", ingested_at = "-10h" },
  { source = "a", event_time = "-3h", ingested_at = "-4h" },
  { source = "a", event_time = "-1h", ingested_at = "-1h" },
]
finds = [{ fingerprint = "f1" }]
---*/
