/*---
title       = "{sender} logs in with a password here and with OAuth there"
why         = "Some devices of this sender have been changed over and some have not. Those will be refused while the others go on, which is easily overlooked."
severity    = "low"
confidence  = "medium"
every       = "1h"
window      = "14d"
reads       = ["sender_days"]
about       = ["sender"]
over_when   = "oauth_later"
remedy      = "mixed_protocols"
references  = ["https://learn.microsoft.com/exchange/monitoring/mail-flow-reports/mfr-smtp-auth-clients-report"]
known_gaps  = "Where all devices share one address, or the report has none, only the sender is known and not which device is left."
false_positives = "A sender in the days in which it is being changed over."

[params]
min_password_days = 2
min_oauth_days = 2
---*/
WITH
logins AS (
  SELECT sender, day, auth_protocol, coalesce(client_name, client_ip) AS client
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND outcome = 'accepted'
    AND service = 'exchange_online'
    AND (evidence <> 'deliveries' OR kind = 'try')
    AND coalesce(kind, '') <> 'eac_summary'
    AND sender <> ''
),
by_sender AS (
  SELECT
    sender,
    min(day) FILTER (WHERE auth_protocol = 'oauth2') AS first_oauth_day,
    max(day) FILTER (WHERE auth_protocol = 'basic') AS last_password_day,
    count(DISTINCT day) FILTER (WHERE auth_protocol = 'basic') AS password_days,
    count(DISTINCT day) FILTER (WHERE auth_protocol = 'oauth2') AS oauth_days,
    string_agg(DISTINCT client, ', ' ORDER BY client) FILTER (WHERE auth_protocol = 'basic') AS still_with_a_password
  FROM logins
  GROUP BY sender
)
SELECT
  sender,
  CAST(first_oauth_day AS TIMESTAMPTZ) AS first_seen,
  CAST(last_password_day AS TIMESTAMPTZ) AS last_seen,
  still_with_a_password,
  password_days,
  oauth_days
FROM by_sender
WHERE password_days >= $min_password_days
  AND oauth_days >= $min_oauth_days
  AND last_password_day > first_oauth_day
ORDER BY last_seen DESC, sender
/*---
[[case]]
name  = "fires for a sender of both ways and names the device that is left"
given.sender_days = [
  { sender = "scan@contoso.example", auth_protocol = "basic", outcome = "accepted", client_ip = "192.0.2.7", day = "-9d", times = 8, step = "1d" },
  { sender = "scan@contoso.example", auth_protocol = "oauth2", outcome = "accepted", client_ip = "192.0.2.8", client_name = "mfp2", day = "-9d", times = 8, step = "1d" },
]
finds = [{ sender = "scan@contoso.example", still_with_a_password = "192.0.2.7", password_days = 8, oauth_days = 8 }]

[[case]]
name  = "stays silent for one that went over, and for one day of either"
given.sender_days = [
  { sender = "over@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-9d", times = 4, step = "1d" },
  { sender = "over@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-6d", times = 4, step = "1d" },
  { sender = "once@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-3d" },
  { sender = "once@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
  { sender = "test@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
  { sender = "test@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-5d" },
]
finds = []

[[case]]
name  = "stays silent for what is no accepted log-in at Exchange Online"
given.sender_days = [
  { sender = "a@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
  { sender = "a@contoso.example", auth_protocol = "basic", outcome = "rejected", day = "-9d", times = 8, step = "1d" },
  { sender = "b@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
  { sender = "b@contoso.example", auth_protocol = "basic", outcome = "accepted", service = "hve", day = "-9d", times = 8, step = "1d" },
  { sender = "c@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
  { sender = "c@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
  { sender = "", auth_protocol = "oauth2", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
  { sender = "", auth_protocol = "basic", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
]
finds = []

[[case]]
name  = "looks at the first day of the window, not before it and not after it"
given.sender_days = [
  { sender = "edge@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-14d", times = 2, step = "1d" },
  { sender = "edge@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-14d", times = 2, step = "1d" },
  { sender = "old@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-15d", times = 2, step = "1d" },
  { sender = "old@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-14d", times = 2, step = "1d" },
  { sender = "next@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "0d", times = 2, step = "1d" },
  { sender = "next@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-1d", times = 3, step = "1d" },
]
finds = [{ sender = "edge@contoso.example" }]

[[case]]
name  = "sees both ways in a relay's log, and in a report that knows no deliveries"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "oauth2", outcome = "accepted", client_name = "erp-new", day = "-8d", times = 6, step = "1d" },
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", client_name = "erp-old", day = "-8d", times = 6, step = "1d" },
  { sender = "scan@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "oauth2", outcome = "accepted", day = "-9d", times = 6, step = "1d" },
  { sender = "scan@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", client_ip = "192.0.2.7", day = "-9d", times = 6, step = "1d" },
]
finds = [
  { sender = "erp@contoso.example", still_with_a_password = "erp-old" },
  { sender = "scan@contoso.example", still_with_a_password = "192.0.2.7" },
]

[[case]]
name  = "stays silent for a summary that counts the weeks before the change once more"
given.sender_days = [
  { sender = "scan@contoso.example", kind = "eac_summary", auth_protocol = "basic", outcome = "accepted", day = "-9d", times = 3, step = "2d" },
  { sender = "scan@contoso.example", auth_protocol = "oauth2", outcome = "accepted", day = "-9d", times = 8, step = "1d" },
]
finds = []
---*/
