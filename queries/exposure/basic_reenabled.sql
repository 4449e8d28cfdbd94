/*---
title       = "A log-in with a password is allowed again: {scope} {name}"
why         = "A switch that was off in one export is on in the next. Somebody opened it, whether as a stopgap or as a way in."
severity    = "high"
confidence  = "medium"
every       = "15m"
window      = "7d"
reads       = ["exposure"]
about       = ["name", "scope"]
over_when   = "switched_off_again"
remedy      = "basic_reenabled"
references  = ["https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission", "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/disable-basic-authentication-in-exchange-online"]
known_gaps  = "A mailbox that went from off to the tenant's value looks like one of which the export did not tell; one that was given another policy is not told either. What is opened and closed between two exports is not seen."
false_positives = "An administrator who switched it on for a while, as the plan for a sender may say."
mitre       = ["T1556"]

[params]
min_times = 1
---*/
WITH
exports AS (
  SELECT
    scope,
    name,
    seen_at,
    seen_at >= $window_start AS is_new,
    CASE WHEN scope = 'policy' THEN basic_smtp_allowed ELSE NOT smtp_auth_disabled END AS is_on,
    event_id
  FROM exposure
  WHERE seen_at < $window_end
),
steps AS (
  -- What an export does not tell says nothing; the one before it counts.
  SELECT
    scope,
    name,
    seen_at,
    is_new,
    is_on,
    lag(is_on) OVER (PARTITION BY scope, name ORDER BY seen_at, event_id) AS was_on,
    lag(seen_at) OVER (PARTITION BY scope, name ORDER BY seen_at, event_id) AS was_seen_at
  FROM exports
  WHERE is_on IS NOT NULL
),
openings AS (
  SELECT
    name,
    scope,
    min(seen_at) AS first_seen,
    max(seen_at) AS last_seen,
    count(*) AS times,
    max(was_seen_at) AS last_seen_off_at
  FROM steps
  WHERE is_new
    AND is_on
    AND NOT was_on
  GROUP BY name, scope
)
SELECT
  name,
  scope,
  CASE scope
    WHEN 'policy' THEN 'Basic authentication for SMTP, in an authentication policy'
    WHEN 'tenant' THEN 'SMTP AUTH for the whole tenant'
    ELSE 'SMTP AUTH for this mailbox'
  END AS what_is_on,
  first_seen,
  last_seen,
  last_seen_off_at
FROM openings
WHERE times >= $min_times
ORDER BY first_seen, name, scope
/*---
[[case]]
name  = "fires for a mailbox, the tenant and a policy that went from off to on"
given.exposure = [
  { scope = "mailbox", name = "scan@contoso.example", smtp_auth_disabled = true, seen_at = "-6d" },
  { scope = "mailbox", name = "scan@contoso.example", smtp_auth_disabled = false, seen_at = "-5d" },
  { scope = "tenant", name = "Transport Settings", smtp_auth_disabled = true, seen_at = "-6d" },
  { scope = "tenant", name = "Transport Settings", smtp_auth_disabled = false, seen_at = "-4d" },
  { scope = "policy", name = "No Basic", basic_smtp_allowed = false, seen_at = "-6d" },
  { scope = "policy", name = "No Basic", basic_smtp_allowed = true, seen_at = "-3d" },
]
finds = [
  { name = "scan@contoso.example", scope = "mailbox", what_is_on = "SMTP AUTH for this mailbox", first_seen = 2026-12-26T23:00:00Z, last_seen = 2026-12-26T23:00:00Z, last_seen_off_at = 2026-12-25T23:00:00Z },
  { name = "Transport Settings", scope = "tenant", what_is_on = "SMTP AUTH for the whole tenant" },
  { name = "No Basic", scope = "policy", what_is_on = "Basic authentication for SMTP, in an authentication policy" },
]

[[case]]
name  = "looks past an export that does not tell"
given.exposure = [
  { scope = "mailbox", name = "scan@contoso.example", smtp_auth_disabled = true, seen_at = "-6d" },
  { scope = "mailbox", name = "scan@contoso.example", policy = "Old", seen_at = "-5d" },
  { scope = "mailbox", name = "scan@contoso.example", smtp_auth_disabled = false, seen_at = "-4d" },
]
finds = [{ name = "scan@contoso.example", last_seen_off_at = 2026-12-25T23:00:00Z }]

[[case]]
name  = "stays silent for what was always on, goes off, inherits, is seen for the first time, or is another's"
given.exposure = [
  { scope = "mailbox", name = "on@contoso.example", smtp_auth_disabled = false, seen_at = "-6d" },
  { scope = "mailbox", name = "on@contoso.example", smtp_auth_disabled = false, seen_at = "-5d" },
  { scope = "mailbox", name = "off@contoso.example", smtp_auth_disabled = false, seen_at = "-6d" },
  { scope = "mailbox", name = "off@contoso.example", smtp_auth_disabled = true, seen_at = "-5d" },
  { scope = "mailbox", name = "off@contoso.example", smtp_auth_disabled = true, seen_at = "-4d" },
  { scope = "mailbox", name = "inherits@contoso.example", smtp_auth_disabled = true, seen_at = "-6d" },
  { scope = "mailbox", name = "inherits@contoso.example", seen_at = "-5d" },
  { scope = "mailbox", name = "new@contoso.example", smtp_auth_disabled = false, seen_at = "-5d" },
  { scope = "policy", name = "new@contoso.example", basic_smtp_allowed = false, seen_at = "-6d" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end; what was off may be older"
given.exposure = [
  { scope = "mailbox", name = "old@contoso.example", smtp_auth_disabled = true, seen_at = "-9d" },
  { scope = "mailbox", name = "old@contoso.example", smtp_auth_disabled = false, seen_at = "-169h" },
  { scope = "mailbox", name = "first@contoso.example", smtp_auth_disabled = true, seen_at = "-90d" },
  { scope = "mailbox", name = "first@contoso.example", smtp_auth_disabled = false, seen_at = "-7d" },
  { scope = "mailbox", name = "next@contoso.example", smtp_auth_disabled = true, seen_at = "-1d" },
  { scope = "mailbox", name = "next@contoso.example", smtp_auth_disabled = false, seen_at = "0m" },
]
finds = [{ name = "first@contoso.example" }]
---*/
