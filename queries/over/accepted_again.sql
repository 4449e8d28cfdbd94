/*---
meaning = "A later mail of the same sender was accepted. What was lost stays lost; the history keeps it."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen). Missing data ends nothing: only an acceptance does.
WITH
doors AS (
  SELECT DISTINCT open_findings.fingerprint, deliveries.source, deliveries.endpoint
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = open_findings.sender
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.event_time <= open_findings.last_seen
    AND deliveries.outcome <> 'accepted'
),
acceptances AS (
  -- Of a sender that the log did not name, any mail of the same log that gets in.
  SELECT
    fingerprint,
    deliveries.event_time,
    deliveries.endpoint
  FROM open_findings
  JOIN doors USING (fingerprint)
  JOIN deliveries
    ON deliveries.sender = open_findings.sender
    OR (open_findings.sender = '(unknown sender)' AND deliveries.source = doors.source)
  WHERE deliveries.event_time > open_findings.last_seen
    AND deliveries.kind = 'try'
    AND deliveries.outcome = 'accepted'
    AND (deliveries.service IN ('exchange_online', 'exchange_online_mx', 'hve', 'acs') OR deliveries.endpoint = doors.endpoint)
)
SELECT
  fingerprint,
  min(event_time) AS over_at,
  'mail of it gets in again, by ' || coalesce(min_by(endpoint, (event_time, endpoint)), 'the server') || '; what was lost stays lost' AS because
FROM acceptances
GROUP BY fingerprint
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when a later mail of the sender is accepted"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h", endpoint = "smtp.hve.mx.microsoft", service = "hve" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T21:00:00Z, because = "mail of it gets in again, by smtp.hve.mx.microsoft; what was lost stays lost" }]

[[case]]
name  = "ends when the host that refused it takes its mail, whatever host that is"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h", endpoint = "relay.contoso.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h", endpoint = "relay.contoso.example", service = "other" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "ends for an unknown sender when any mail of the same log is accepted, and of no other log"
given.open_findings = [
  { fingerprint = "f1", sender = "(unknown sender)", since = "-9h", last_seen = "-3h" },
]
given.deliveries = [
  { source = "here", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { source = "there", sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { source = "here", sender = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z }]

[[case]]
name  = "stays open when only a partner's server, another sender or an earlier mail got through, or one is merely held"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h", endpoint = "mx.partner.example", service = "other" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", outcome = "deferred", reply_class = "rate", event_time = "-1h" },
  { sender = "scan@contoso.example", kind = "done", outcome = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "takes as its own doors only those at which it was refused in that time"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "rejected", event_time = "-10h", endpoint = "mx1.partner.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", outcome = "accepted", event_time = "-8h", endpoint = "mx3.partner.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "rejected", event_time = "-2h", endpoint = "mx2.partner.example", service = "other" },
  { sender = "erp@contoso.example", outcome = "rejected", event_time = "-8h", endpoint = "mx4.partner.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "accepted", event_time = "-1h", endpoint = "mx4.partner.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "accepted", event_time = "-1h", endpoint = "mx1.partner.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "accepted", event_time = "-1h", endpoint = "mx2.partner.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "accepted", event_time = "-1h", endpoint = "mx3.partner.example", service = "other" },
]
finds = []
---*/
