/*---
title       = "{sender} may log in with a password and never does"
why         = "Nobody needs it, and whoever guesses the password can send with it. Switching SMTP AUTH off for this mailbox breaks nothing."
severity    = "info"
confidence  = "medium"
every       = "1d"
window      = "90d"
reads       = ["exposure", "sender_days", "feeds"]
complete    = ["usage", "signins"]
about       = ["sender"]
over_when   = "switched_off"
remedy      = "can_still"
references  = ["https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission"]
known_gaps  = "Without the SMTP AUTH report or sign-ins of the last 90 days nobody can say what is not used, so nothing is said."
false_positives = "A job that runs once a year."

[params]
least_days_known = 30
---*/
WITH
known AS (
  SELECT min(day) AS first_day
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND evidence IN ('usage', 'signins')
),
complete_until AS (
  SELECT max(complete_until) AS complete_until
  FROM feeds
  WHERE "table" IN ('usage', 'signins')
),
users AS (
  SELECT DISTINCT sender
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND auth_protocol = 'basic'
    AND outcome = 'accepted'
    AND service = 'exchange_online'
    AND (evidence <> 'deliveries' OR kind = 'try')
),
switches AS (
  SELECT
    scope,
    name,
    max_by(smtp_auth_disabled, (seen_at, event_id)) AS smtp_auth_disabled,
    max_by(basic_smtp_allowed, (seen_at, event_id)) AS basic_smtp_allowed,
    max_by(policy, (seen_at, event_id)) AS policy,
    max(seen_at) AS seen_at
  FROM exposure
  WHERE seen_at < $window_end
  GROUP BY scope, name
),
tenants AS (
  SELECT bool_or(smtp_auth_disabled) AS smtp_auth_disabled, max(policy) AS policy
  FROM switches
  WHERE scope = 'tenant'
)
SELECT
  mailboxes.name AS sender,
  mailboxes.seen_at AS first_seen,
  mailboxes.seen_at AS last_seen,
  CASE WHEN mailboxes.smtp_auth_disabled IS NULL THEN 'the whole tenant' ELSE 'this mailbox' END AS allowed_for
FROM switches AS mailboxes
CROSS JOIN tenants
CROSS JOIN known
CROSS JOIN complete_until
LEFT JOIN switches AS policies
  ON policies.scope = 'policy'
  AND policies.name = coalesce(mailboxes.policy, tenants.policy)
LEFT JOIN users ON users.sender = mailboxes.name
WHERE mailboxes.scope = 'mailbox'
  AND NOT coalesce(mailboxes.smtp_auth_disabled, tenants.smtp_auth_disabled, FALSE)
  AND coalesce(policies.basic_smtp_allowed, TRUE)
  AND users.sender IS NULL
  AND known.first_day <= CAST(complete_until.complete_until AS DATE) - $least_days_known * INTERVAL 1 DAY
ORDER BY sender
/*---
[[case]]
name  = "fires for a mailbox that may and does not, by its own switch or by the tenant's"
given.feeds = [{ table = "usage" }]
given.sender_days = [{ sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-60d" }]
given.exposure = [
  { scope = "tenant", name = "contoso", smtp_auth_disabled = false },
  { scope = "mailbox", name = "anna@contoso.example", smtp_auth_disabled = false },
  { scope = "mailbox", name = "berta@contoso.example" },
  { scope = "mailbox", name = "erp@contoso.example", smtp_auth_disabled = false },
  { scope = "mailbox", name = "off@contoso.example", smtp_auth_disabled = true },
]
finds = [{ sender = "anna@contoso.example", allowed_for = "this mailbox" }, { sender = "berta@contoso.example", allowed_for = "the whole tenant" }]

[[case]]
name  = "a policy that forbids Basic closes the mailbox, the tenant's default one too"
given.feeds = [{ table = "usage" }]
given.sender_days = [{ sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-60d" }]
given.exposure = [
  { scope = "tenant", name = "contoso", smtp_auth_disabled = false, policy = "No Basic" },
  { scope = "policy", name = "No Basic", basic_smtp_allowed = false },
  { scope = "policy", name = "Old", basic_smtp_allowed = true },
  { scope = "mailbox", name = "anna@contoso.example" },
  { scope = "mailbox", name = "berta@contoso.example", policy = "Old" },
]
finds = [{ sender = "berta@contoso.example" }]

[[case]]
name  = "says nothing without a report, and nothing when the report is young"
given.feeds = [{ table = "deliveries" }]
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-60d" },
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-29d" },
]
given.exposure = [{ scope = "tenant", name = "contoso", smtp_auth_disabled = false }, { scope = "mailbox", name = "anna@contoso.example" }]
finds = []

[[case]]
name  = "what was used within the window is no finding, what was used before it is"
given.feeds = [{ table = "usage" }]
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-90d" },
  { sender = "once@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-91d" },
]
given.exposure = [
  { scope = "tenant", name = "contoso", smtp_auth_disabled = false },
  { scope = "mailbox", name = "erp@contoso.example" },
  { scope = "mailbox", name = "once@contoso.example" },
]
finds = [{ sender = "once@contoso.example" }]

[[case]]
name  = "OAuth, a refusal, another service and mail that is merely held are no use of the password; a log-in of a report or a log is"
given.feeds = [{ table = "usage" }]
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-60d" },
  { sender = "nas@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-9d" },
  { sender = "crm@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "oauth2", outcome = "accepted", day = "-9d" },
  { sender = "held@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", outcome = "accepted", day = "-9d" },
  { sender = "hve@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", service = "hve", day = "-9d" },
  { sender = "typo@contoso.example", evidence = "signins", kind = {}, auth_protocol = "basic", outcome = "rejected", day = "-9d" },
]
given.exposure = [
  { scope = "tenant", name = "contoso", smtp_auth_disabled = false },
  { scope = "mailbox", name = "erp@contoso.example" },
  { scope = "mailbox", name = "nas@contoso.example" },
  { scope = "mailbox", name = "crm@contoso.example" },
  { scope = "mailbox", name = "held@contoso.example" },
  { scope = "mailbox", name = "hve@contoso.example" },
  { scope = "mailbox", name = "typo@contoso.example" },
]
finds = [
  { sender = "crm@contoso.example" },
  { sender = "held@contoso.example" },
  { sender = "hve@contoso.example" },
  { sender = "typo@contoso.example" },
]

[[case]]
name  = "a log that goes back further than the report does not make the report older"
given.feeds = [{ table = "usage" }]
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-60d" },
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-29d" },
]
given.exposure = [{ scope = "tenant", name = "contoso", smtp_auth_disabled = false }, { scope = "mailbox", name = "anna@contoso.example" }]
finds = []

[[case]]
name  = "a log that is read to this minute does not make a report newer that ended a month ago"
given.feeds = [{ table = "usage", complete_until = "-40d" }, { table = "deliveries" }]
given.sender_days = [{ sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-60d" }]
given.exposure = [{ scope = "tenant", name = "contoso", smtp_auth_disabled = false }, { scope = "mailbox", name = "anna@contoso.example" }]
finds = []

[[case]]
name  = "a report of before the window does not make that of today older"
given.feeds = [{ table = "usage" }]
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-100d" },
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-9d" },
]
given.exposure = [{ scope = "tenant", name = "contoso", smtp_auth_disabled = false }, { scope = "mailbox", name = "anna@contoso.example" }]
finds = []

[[case]]
name  = "asked about the past, it takes no notice of what was used and switched off later"
given.feeds = [{ table = "usage", complete_until = "60d" }]
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-60d" },
  { sender = "anna@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "2d" },
]
given.exposure = [
  { scope = "tenant", name = "contoso", smtp_auth_disabled = false },
  { scope = "mailbox", name = "anna@contoso.example" },
  { scope = "mailbox", name = "anna@contoso.example", smtp_auth_disabled = true, seen_at = "3d" },
]
finds = [{ sender = "anna@contoso.example" }]

[[case]]
name  = "asked about the past, it says nothing of a time before the report began"
given.feeds = [{ table = "usage", complete_until = "60d" }]
given.sender_days = [{ sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "2d" }]
given.exposure = [{ scope = "tenant", name = "contoso", smtp_auth_disabled = false }, { scope = "mailbox", name = "anna@contoso.example" }]
finds = []

[[case]]
name  = "a policy counts though the tenant is called the same"
given.feeds = [{ table = "usage" }]
given.sender_days = [{ sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-60d" }]
given.exposure = [
  { scope = "tenant", name = "contoso", smtp_auth_disabled = false, policy = "contoso" },
  { scope = "policy", name = "contoso", basic_smtp_allowed = false },
  { scope = "mailbox", name = "anna@contoso.example" },
]
finds = []
---*/
