/*---
meaning = "A later export shows the switch off, or the mailbox has used its password after all."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen).
WITH
closed AS (
  SELECT open_findings.fingerprint, min(exposure.seen_at) AS over_at, 'SMTP AUTH was switched off for it' AS because
  FROM open_findings
  JOIN exposure ON exposure.name = open_findings.sender
  WHERE exposure.scope = 'mailbox'
    AND exposure.seen_at > open_findings.last_seen
    AND exposure.smtp_auth_disabled
  GROUP BY open_findings.fingerprint
),
used AS (
  SELECT open_findings.fingerprint, CAST(min(sender_days.day) AS TIMESTAMPTZ) AS over_at, 'it logs in with a password' AS because
  FROM open_findings
  JOIN sender_days ON sender_days.sender = open_findings.sender
  WHERE sender_days.day >= CAST(open_findings.last_seen AS DATE)
    AND sender_days.auth_protocol = 'basic'
    AND sender_days.outcome = 'accepted'
    AND sender_days.service = 'exchange_online'
  GROUP BY open_findings.fingerprint
)
SELECT fingerprint, max(over_at) AS over_at, min(because) AS because
FROM (SELECT * FROM closed UNION ALL SELECT * FROM used) AS ends
GROUP BY fingerprint
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when the switch is off, and when the password is used"
given.open_findings = [
  { fingerprint = "f1", sender = "anna@contoso.example", since = "-9d", last_seen = "-9d" },
  { fingerprint = "f2", sender = "berta@contoso.example", since = "-9d", last_seen = "-9d" },
]
given.exposure = [{ scope = "mailbox", name = "anna@contoso.example", smtp_auth_disabled = true, seen_at = "-1d" }]
given.sender_days = [{ sender = "berta@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-1d" }]
finds = [{ fingerprint = "f1", because = "SMTP AUTH was switched off for it" }, { fingerprint = "f2", because = "it logs in with a password" }]

[[case]]
name  = "stays open for another mailbox or another thing of that name, an older export, and a switch that inherits"
given.open_findings = [{ fingerprint = "f1", sender = "anna@contoso.example", since = "-9d", last_seen = "-9d" }]
given.exposure = [
  { scope = "mailbox", name = "berta@contoso.example", smtp_auth_disabled = true, seen_at = "-1d" },
  { scope = "mailbox", name = "anna@contoso.example", smtp_auth_disabled = true, seen_at = "-10d" },
  { scope = "mailbox", name = "anna@contoso.example", seen_at = "-1d" },
  { scope = "tenant", name = "anna@contoso.example", smtp_auth_disabled = true, seen_at = "-1d" },
]
finds = []

[[case]]
name  = "stays open for OAuth, a refusal, another service, what was used before, and what another used"
given.open_findings = [{ fingerprint = "f1", sender = "anna@contoso.example", since = "-9d", last_seen = "-9d" }]
given.sender_days = [
  { sender = "anna@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-1d" },
  { sender = "anna@contoso.example", auth_protocol = "basic", outcome = "rejected", day = "-1d" },
  { sender = "anna@contoso.example", auth_protocol = "basic", outcome = "accepted", service = "hve", day = "-1d" },
  { sender = "anna@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-10d" },
  { sender = "berta@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
]
finds = []
---*/
