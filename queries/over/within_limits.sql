/*---
meaning = "A mail of the sender was accepted a day after the last one that had been beyond a limit."
uncovered = ["deliveries.kind = 'try' because nothing but a try is accepted or answered with a limit"]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen). Between two bursts mail always gets in, so it takes
-- a day; silence ends nothing.
WITH
tries AS (
  SELECT
    open_findings.fingerprint,
    deliveries.event_time,
    deliveries.outcome = 'accepted' AND deliveries.service <> 'other' AS is_accepted,
    deliveries.reply_class IN ('quota', 'rate', 'concurrency', 'too_large', 'too_many_recipients') AS is_beyond
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = open_findings.sender
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.kind = 'try'
),
last_beyond AS (
  SELECT fingerprint, max(event_time) AS beyond_at
  FROM tries
  WHERE is_beyond
  GROUP BY fingerprint
)
SELECT
  tries.fingerprint,
  min(tries.event_time) AS over_at,
  'its mail has been accepted for a day' AS because
FROM last_beyond
JOIN tries ON tries.fingerprint = last_beyond.fingerprint
WHERE tries.is_accepted
  AND tries.event_time >= last_beyond.beyond_at + INTERVAL 1 DAY
GROUP BY tries.fingerprint
ORDER BY tries.fingerprint
/*---
[[case]]
name  = "ends when mail is accepted a day later"
given.open_findings = [{ fingerprint = "f1", sender = "erp@contoso.example", since = "-60h", last_seen = "-50h" }]
given.deliveries = [
  { sender = "erp@contoso.example", outcome = "deferred", reply_class = "rate", event_time = "-50h" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-26h" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-20h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-30T21:00:00Z }]

[[case]]
name  = "stays open through silence, for a mail between two bursts, and after a newer burst"
given.open_findings = [
  { fingerprint = "f1", sender = "erp@contoso.example", since = "-60h", last_seen = "-60h" },
  { fingerprint = "f2", sender = "nas@contoso.example", since = "-60h", last_seen = "-60h" },
  { fingerprint = "f3", sender = "mon@contoso.example", since = "-60h", last_seen = "-60h" },
]
given.deliveries = [
  { sender = "erp@contoso.example", reply_class = "quota", event_time = "-60h" },
  { sender = "nas@contoso.example", reply_class = "rate", event_time = "-60h" },
  { sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-59h" },
  { sender = "mon@contoso.example", reply_class = "concurrency", event_time = "-60h" },
  { sender = "mon@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-30h" },
  { sender = "mon@contoso.example", reply_class = "concurrency", event_time = "-29h" },
]
finds = []

[[case]]
name  = "stays open when only another sender, a partner's server or an older mail got in, or one is deferred"
given.open_findings = [{ fingerprint = "f1", sender = "erp@contoso.example", since = "-60h", last_seen = "-60h" }]
given.deliveries = [
  { sender = "erp@contoso.example", reply_class = "too_large", event_time = "-90h" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-61h" },
  { sender = "erp@contoso.example", reply_class = "too_large", event_time = "-60h" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h", service = "other" },
  { sender = "erp@contoso.example", outcome = "deferred", reply_class = "unknown", event_time = "-1h" },
  { sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "looks at nothing from before it began, and counts no refusal of another kind"
given.open_findings = [
  { fingerprint = "f1", sender = "(unknown sender)", since = "-60h", last_seen = "-60h" },
  { fingerprint = "f2", sender = "nas@contoso.example", since = "-20h", last_seen = "-20h" },
]
given.deliveries = [
  { reply_class = "too_many_recipients", event_time = "-60h" },
  { reply_class = "basic_retired", event_time = "-3h" },
  { outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { sender = "nas@contoso.example", reply_class = "rate", event_time = "-60h" },
  { sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-19h" },
]
finds = [{ fingerprint = "f1" }]
---*/
