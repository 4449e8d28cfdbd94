/*---
meaning = "Each sender that was answered with these words has had a mail accepted by Microsoft since."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` holds the words, taken down as the detection
-- health/unknown_replies does. Words that merely do not come again end nothing.
WITH
answered AS (
  SELECT
    open_findings.fingerprint,
    deliveries.sender,
    max(deliveries.event_time) AS last_answered
  FROM open_findings
  JOIN deliveries
    ON starts_with(
      regexp_replace(
        regexp_replace(
          regexp_replace(deliveries.reply_text, '\s*\[[^\]]*\]', '', 'g'),
          '<?[^\s<>@]+@[^\s<>@]+>?', '<…>', 'g'
        ),
        '[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|[0-9A-Fa-f]{12,}|[0-9]{4,}', '…', 'g'
      ),
      open_findings.thing
    )
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.kind = 'try'
    AND deliveries.reply_class = 'unknown'
    AND deliveries.service <> 'other'
  GROUP BY open_findings.fingerprint, deliveries.sender
),
accepted AS (
  SELECT answered.fingerprint, answered.sender, min(deliveries.event_time) AS accepted_at
  FROM answered
  LEFT JOIN deliveries
    ON deliveries.sender = answered.sender
    AND deliveries.event_time > answered.last_answered
    AND deliveries.kind = 'try'
    AND deliveries.outcome = 'accepted'
    AND deliveries.service <> 'other'
  GROUP BY answered.fingerprint, answered.sender
)
SELECT
  fingerprint,
  max(accepted_at) AS over_at,
  'each sender that was answered so has had a mail accepted since' AS because
FROM accepted
GROUP BY fingerprint
HAVING count(*) = count(accepted_at)
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when each sender that heard them has had a mail accepted since"
given.open_findings = [{ fingerprint = "f1", thing = "550 no", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "unknown", reply_text = "550 no [A.PROD.OUTLOOK.COM]", event_time = "-9h" },
  { sender = "b@contoso.example", reply_class = "unknown", reply_text = "550 no [B.PROD.OUTLOOK.COM]", event_time = "-3h" },
  { sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { sender = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z }]

[[case]]
name  = "stays open while one of them has not, and through silence"
given.open_findings = [{ fingerprint = "f1", thing = "550 no", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "unknown", reply_text = "550 no", event_time = "-9h" },
  { sender = "b@contoso.example", reply_class = "unknown", reply_text = "550 no", event_time = "-3h" },
  { sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
]
finds = []

[[case]]
name  = "stays open when mail got in before, by a partner's server, was refused, or merely left the queue"
given.open_findings = [{ fingerprint = "f1", thing = "550 no", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "unknown", reply_text = "550 no", event_time = "-3h" },
  { sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h", service = "other" },
  { sender = "a@contoso.example", outcome = "rejected", reply_class = "quota", event_time = "-1h" },
  { sender = "a@contoso.example", kind = "done", outcome = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "asks only after those that heard these words from Microsoft, in that time, and not after a name for them"
given.open_findings = [{ fingerprint = "f1", thing = "550 no", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "unknown", reply_text = "550 no", event_time = "-3h" },
  { sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "old@contoso.example", reply_class = "unknown", reply_text = "550 no", event_time = "-10h" },
  { sender = "else@contoso.example", reply_class = "unknown", reply_text = "551 other words", event_time = "-3h" },
  { sender = "far@contoso.example", reply_class = "unknown", reply_text = "550 no", event_time = "-3h", service = "other" },
  { sender = "known@contoso.example", reply_class = "quota", reply_text = "550 no", event_time = "-3h" },
  { sender = "held@contoso.example", kind = "held", reply_class = "unknown", reply_text = "550 no", event_time = "-3h" },
]
finds = [{ fingerprint = "f1" }]
---*/
