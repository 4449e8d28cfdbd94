/*---
meaning = "A later export shows the switch off."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the name of the mailbox, policy or
-- tenant. Missing exports end nothing.
SELECT
  open_findings.fingerprint,
  min(exposure.seen_at) AS over_at,
  'it is switched off again' AS because
FROM open_findings
JOIN exposure ON exposure.name = open_findings.thing
WHERE exposure.seen_at > open_findings.last_seen
  AND (exposure.smtp_auth_disabled OR NOT exposure.basic_smtp_allowed)
GROUP BY open_findings.fingerprint
ORDER BY open_findings.fingerprint
/*---
[[case]]
name  = "ends when a later export shows it off, a mailbox or a policy"
given.open_findings = [
  { fingerprint = "f1", thing = "scan@contoso.example", since = "-5d", last_seen = "-5d" },
  { fingerprint = "f2", thing = "No Basic", since = "-5d", last_seen = "-5d" },
]
given.exposure = [
  { scope = "mailbox", name = "scan@contoso.example", smtp_auth_disabled = true, seen_at = "-2d" },
  { scope = "policy", name = "No Basic", basic_smtp_allowed = false, seen_at = "-1d" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-29T23:00:00Z }, { fingerprint = "f2" }]

[[case]]
name  = "stays open without an export, for one that is older, says on or nothing, or is about something else"
given.open_findings = [{ fingerprint = "f1", thing = "scan@contoso.example", since = "-5d", last_seen = "-5d" }]
given.exposure = [
  { scope = "mailbox", name = "scan@contoso.example", smtp_auth_disabled = true, seen_at = "-5d" },
  { scope = "mailbox", name = "scan@contoso.example", smtp_auth_disabled = false, seen_at = "-2d" },
  { scope = "mailbox", name = "scan@contoso.example", policy = "No Basic", seen_at = "-1d" },
  { scope = "mailbox", name = "nas@contoso.example", smtp_auth_disabled = true, seen_at = "-1d" },
]
finds = []
---*/
