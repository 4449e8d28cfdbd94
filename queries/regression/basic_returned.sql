/*---
title       = "{sender} logs in with a password again"
why         = "It had gone over to OAuth and is back. A device was reset, a program restored, or somebody gave up; it will be refused."
severity    = "high"
confidence  = "medium"
every       = "1h"
window      = "130d"
reads       = ["sender_days"]
about       = ["sender"]
over_when   = "oauth_later"
remedy      = "basic_auth"
references  = ["https://learn.microsoft.com/exchange/monitoring/mail-flow-reports/mfr-smtp-auth-clients-report"]
known_gaps  = "A sender that left SMTP altogether and comes back with a password is told by new_basic_sender or residual_basic_sender only."
false_positives = "Several devices of one sender of which some were never changed; mixed_protocols tells of those."

[params]
min_days_of_oauth = 3
min_days_without = 7
recent_days = 14
---*/
WITH
logins AS (
  SELECT sender, day, auth_protocol
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND auth_protocol IN ('basic', 'oauth2')
    AND outcome = 'accepted'
    AND service = 'exchange_online'
    AND (evidence <> 'deliveries' OR kind = 'try')
    AND coalesce(kind, '') <> 'eac_summary'
    AND sender <> ''
  GROUP BY sender, day, auth_protocol
),
password_days AS (
  SELECT sender, day, lag(day) OVER (PARTITION BY sender ORDER BY day) AS day_before
  FROM logins
  WHERE auth_protocol = 'basic'
),
returns AS (
  SELECT
    password_days.sender,
    password_days.day,
    password_days.day_before,
    count(DISTINCT logins.day) AS days_of_oauth
  FROM password_days
  JOIN logins
    -- Between a day with a password and the one before it there is nothing but OAuth.
    ON logins.sender = password_days.sender
    AND logins.day > password_days.day_before
    AND logins.day < password_days.day
  WHERE date_diff('day', password_days.day_before, password_days.day) >= $min_days_without
  GROUP BY password_days.sender, password_days.day, password_days.day_before
),
latest AS (
  SELECT sender, max(day) AS last_day
  FROM password_days
  GROUP BY sender
)
SELECT
  returns.sender,
  CAST(max(returns.day) AS TIMESTAMPTZ) AS first_seen,
  CAST(max(latest.last_day) AS TIMESTAMPTZ) AS last_seen,
  max_by(returns.days_of_oauth, returns.day) AS days_of_oauth,
  max_by(returns.day_before, returns.day) AS last_password_before
FROM returns
JOIN latest ON latest.sender = returns.sender
WHERE returns.days_of_oauth >= $min_days_of_oauth
GROUP BY returns.sender
HAVING max(latest.last_day) >= CAST($window_end AS DATE) - $recent_days * INTERVAL 1 DAY
ORDER BY first_seen, returns.sender
/*---
[[case]]
name  = "fires when a password comes after a week of OAuth alone"
given.sender_days = [
  { sender = "erp@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "erp@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-28d", times = 20, step = "1d" },
  { sender = "erp@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-2d", times = 2, step = "1d" },
]
finds = [{ sender = "erp@contoso.example", days_of_oauth = 20, first_seen = 2026-12-29T00:00:00Z, last_seen = 2026-12-30T00:00:00Z }]

[[case]]
name  = "stays silent for a sender of both ways, for too few days of OAuth, and for one that never used a password before"
given.sender_days = [
  { sender = "both@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d", times = 15, step = "2d" },
  { sender = "both@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-30d", times = 30, step = "1d" },
  { sender = "few@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "few@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 2, step = "1d" },
  { sender = "few@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
  { sender = "first@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "first@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
]
finds = []

[[case]]
name  = "stays silent for a return that is long over, and for what is no log-in at Exchange Online"
given.sender_days = [
  { sender = "over@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-60d" },
  { sender = "over@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-50d", times = 9, step = "1d" },
  { sender = "over@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-15d" },
  { sender = "hve@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "hve@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "hve@contoso.example", auth_protocol = "basic", outcome = "accepted", service = "hve", day = "-2d" },
  { sender = "bad@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "bad@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "bad@contoso.example", auth_protocol = "basic", outcome = "rejected", day = "-2d" },
  { sender = "held@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "held@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "held@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
  { sender = "odd@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "odd@contoso.example", auth_protocol = "unknown", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "odd@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
  { sender = "", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
]
finds = []

[[case]]
name  = "looks at the first day of the window and not before it, nor at OAuth outside of the pause"
given.sender_days = [
  { sender = "edge@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-130d" },
  { sender = "edge@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-100d", times = 9, step = "1d" },
  { sender = "edge@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-14d" },
  { sender = "old@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-131d" },
  { sender = "old@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-100d", times = 9, step = "1d" },
  { sender = "old@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
  { sender = "same@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "same@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-30d" },
  { sender = "same@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 2, step = "1d" },
  { sender = "same@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-2d" },
  { sender = "same@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
  { sender = "ahead@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "ahead@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "ahead@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "1d" },
]
finds = [{ sender = "edge@contoso.example" }]

[[case]]
name  = "sees the return in a relay's log, and in a report that knows no deliveries"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-3d" },
  { sender = "scan@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "scan@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "oauth2", outcome = "accepted", day = "-20d", times = 9, step = "1d" },
  { sender = "scan@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
]
finds = [{ sender = "erp@contoso.example", days_of_oauth = 9 }, { sender = "scan@contoso.example", days_of_oauth = 9 }]

[[case]]
name  = "stays silent for a summary that counts the weeks before the change once more"
given.sender_days = [
  { sender = "erp@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "erp@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-28d", times = 20, step = "1d" },
  { sender = "erp@contoso.example", kind = "eac_summary", auth_protocol = "basic", outcome = "accepted", day = "-2d" },
]
finds = []
---*/
