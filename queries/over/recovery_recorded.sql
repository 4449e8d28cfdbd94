/*---
meaning = "A recovery is a record and no problem: it is closed by the very acceptance that it tells of."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `last_seen` is when its mail was accepted again.
-- Not `=`: DuckDB would push that into the Arrow rows of open_findings, for which it wants a module of time zones.
SELECT DISTINCT
  open_findings.fingerprint,
  open_findings.last_seen AS over_at,
  'it is recorded; nothing is to be done' AS because
FROM open_findings
JOIN deliveries ON deliveries.sender = open_findings.sender
WHERE deliveries.event_time >= open_findings.last_seen
  AND deliveries.kind = 'try'
  AND deliveries.outcome = 'accepted'
ORDER BY open_findings.fingerprint
/*---
[[case]]
name  = "ends with the acceptance that it tells of, once, however many recipients that had"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-2h" }]
given.deliveries = [{ times = 3, sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" }]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T21:00:00Z }]

[[case]]
name  = "stays open without it: for a refusal, an earlier mail, another sender, or a mail that merely left the queue"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-2h" }]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-2h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-3h" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { sender = "scan@contoso.example", kind = "done", outcome = "accepted", event_time = "-2h" },
]
finds = []
---*/
