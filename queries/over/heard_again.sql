/*---
meaning = "Something of the sender was seen again: a mail, a log-in, or a refusal, which has a finding of its own."
uncovered = [
  "sender_days.day >= CAST(open_findings.last_seen AS DATE) because nothing of a day before is later; it only spares reading the years before",
]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen). Missing data ends nothing: only a sign of life does.
WITH
signs AS (
  SELECT
    open_findings.fingerprint,
    sender_days.day,
    sum(sender_days.events) AS events,
    max(sender_days.last_at) AS last_at
  FROM open_findings
  JOIN sender_days ON sender_days.sender = open_findings.sender
  WHERE sender_days.day >= CAST(open_findings.last_seen AS DATE)
    AND (sender_days.evidence <> 'deliveries' OR sender_days.kind = 'try')
    AND (sender_days.evidence <> 'signins' OR sender_days.outcome = 'accepted')
    AND coalesce(sender_days.kind, '') <> 'eac_summary'
    AND (sender_days.last_at > open_findings.last_seen OR sender_days.day > CAST(open_findings.last_seen AS DATE))
  GROUP BY open_findings.fingerprint, sender_days.day
  HAVING sum(sender_days.events) > 0
)
SELECT
  fingerprint,
  min(coalesce(last_at, CAST(day AS TIMESTAMPTZ))) AS over_at,
  'it was seen again' AS because
FROM signs
GROUP BY fingerprint
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when mail comes again"
given.open_findings = [{ fingerprint = "f1", sender = "nas@contoso.example", since = "-9d", last_seen = "-9d" }]
given.sender_days = [
  { sender = "nas@contoso.example", evidence = "traces", kind = {}, outcome = "delivered", day = "-9d", last_at = "-9d" },
  { sender = "nas@contoso.example", evidence = "traces", kind = {}, outcome = "delivered", day = "-1d", last_at = "-1d" },
]
finds = [{ fingerprint = "f1", because = "it was seen again", over_at = 2026-12-30T23:00:00Z }]

[[case]]
name  = "ends when it is refused, which a log shows now, and when a report counts it"
given.open_findings = [
  { fingerprint = "f1", sender = "nas@contoso.example", since = "-9d", last_seen = "-9d" },
  { fingerprint = "f2", sender = "mfp@contoso.example", since = "-9d", last_seen = "-9d" },
]
given.sender_days = [
  { sender = "nas@contoso.example", evidence = "deliveries", kind = "try", outcome = "rejected", day = "-1d", last_at = "-1d" },
  { sender = "mfp@contoso.example", evidence = "usage", day = "-1d" },
]
finds = [{ fingerprint = "f1" }, { fingerprint = "f2" }]

[[case]]
name  = "stays open for what came before, for mail that is merely held, for a log-in that failed, and for a row that was taken back"
given.open_findings = [{ fingerprint = "f1", sender = "nas@contoso.example", since = "-9d", last_seen = "-9d" }]
given.sender_days = [
  { sender = "nas@contoso.example", evidence = "traces", outcome = "delivered", day = "-10d", last_at = "-10d" },
  { sender = "nas@contoso.example", evidence = "traces", outcome = "delivered", day = "-9d", last_at = "-9d" },
  { sender = "nas@contoso.example", evidence = "deliveries", kind = "held", outcome = "deferred", day = "-1d", last_at = "-1d" },
  { sender = "nas@contoso.example", evidence = "signins", outcome = "rejected", day = "-1d", last_at = "-1d" },
  { sender = "nas@contoso.example", evidence = "traces", outcome = "pending", day = "-1d", events = 0 },
  { sender = "nas@contoso.example", evidence = "usage", kind = "eac_summary", day = "-1d" },
  { sender = "other@contoso.example", evidence = "traces", outcome = "delivered", day = "-1d", last_at = "-1d" },
]
finds = []

[[case]]
name  = "ends on the very day on which it was seen last, when something came later on it"
given.open_findings = [
  { fingerprint = "f1", sender = "nas@contoso.example", since = "-20h", last_seen = "-20h" },
  { fingerprint = "f2", sender = "mfp@contoso.example", since = "-20h", last_seen = "-20h" },
]
given.sender_days = [
  { sender = "nas@contoso.example", evidence = "signins", kind = {}, outcome = "accepted", day = "-20h", last_at = "-2h" },
  { sender = "mfp@contoso.example", evidence = "usage", kind = "smtp_cs_report", day = "-20h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T21:00:00Z }]
---*/
