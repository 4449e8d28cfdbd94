/*---
meaning = "The sender has been seen with OAuth, and no password log-in of it on that day or later."
---*/
-- Reads open_findings(fingerprint, sender, since, last_seen). Missing data ends nothing: only an OAuth log-in does.
WITH
days AS (
  SELECT
    open_findings.fingerprint,
    max(sender_days.day) FILTER (WHERE sender_days.auth_protocol = 'basic') AS last_basic,
    max(sender_days.day) FILTER (WHERE sender_days.auth_protocol = 'oauth2') AS last_oauth
  FROM open_findings
  JOIN sender_days ON sender_days.sender = open_findings.sender
  WHERE sender_days.day >= CAST(open_findings.since AS DATE)
    AND sender_days.outcome = 'accepted'
    AND sender_days.service = 'exchange_online'
  GROUP BY open_findings.fingerprint
)
SELECT fingerprint, CAST(last_oauth AS TIMESTAMPTZ) AS over_at, 'it logs in with OAuth now' AS because
FROM days
WHERE last_oauth > last_basic
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when OAuth is seen on a later day than the last password"
given.open_findings = [{ fingerprint = "f1", sender = "crm@contoso.example", since = "-9d", last_seen = "-5d" }]
given.sender_days = [
  { sender = "crm@contoso.example", day = "-5d", auth_protocol = "basic", outcome = "accepted", service = "exchange_online" },
  { sender = "crm@contoso.example", day = "-4d", auth_protocol = "oauth2", outcome = "accepted", service = "exchange_online" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "stays open when the password log-ins merely stop"
given.open_findings = [{ fingerprint = "f1", sender = "crm@contoso.example", since = "-9d", last_seen = "-5d" }]
given.sender_days = [{ sender = "crm@contoso.example", day = "-5d", auth_protocol = "basic", outcome = "accepted", service = "exchange_online" }]
finds = []

[[case]]
name  = "stays open while both are seen on the same day"
given.open_findings = [{ fingerprint = "f1", sender = "crm@contoso.example", since = "-9d", last_seen = "-4d" }]
given.sender_days = [
  { sender = "crm@contoso.example", day = "-4d", auth_protocol = "basic", outcome = "accepted", service = "exchange_online" },
  { sender = "crm@contoso.example", day = "-4d", auth_protocol = "oauth2", outcome = "accepted", service = "exchange_online" },
]
finds = []

[[case]]
name  = "stays open when only another sender logs in with OAuth, or it does so elsewhere, in vain, or in a way not told"
given.open_findings = [{ fingerprint = "f1", sender = "crm@contoso.example", since = "-9d", last_seen = "-5d" }]
given.sender_days = [
  { sender = "crm@contoso.example", day = "-5d", auth_protocol = "basic", outcome = "accepted", service = "exchange_online" },
  { sender = "erp@contoso.example", day = "-1d", auth_protocol = "oauth2", outcome = "accepted", service = "exchange_online" },
  { sender = "crm@contoso.example", day = "-1d", auth_protocol = "oauth2", outcome = "accepted", service = "own_relay" },
  { sender = "crm@contoso.example", day = "-1d", auth_protocol = "oauth2", outcome = "rejected", service = "exchange_online" },
  { sender = "crm@contoso.example", day = "-1d", auth_protocol = "unknown", outcome = "accepted", service = "exchange_online" },
]
finds = []

[[case]]
name  = "does not judge by what was before the finding"
given.open_findings = [{ fingerprint = "f1", sender = "crm@contoso.example", since = "-9d", last_seen = "-5d" }]
given.sender_days = [
  { sender = "crm@contoso.example", day = "-12d", auth_protocol = "basic", outcome = "accepted", service = "exchange_online" },
  { sender = "crm@contoso.example", day = "-1d", auth_protocol = "oauth2", outcome = "accepted", service = "exchange_online" },
]
finds = []
---*/
