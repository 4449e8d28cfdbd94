/*---
title       = "{sender} has begun to log in with a password"
why         = "Somebody sets up a new device or program with the log-in that is being switched off. It is mended most easily now."
severity    = "medium"
confidence  = "medium"
every       = "1h"
window      = "130d"
reads       = ["sender_days"]
about       = ["sender"]
over_when   = "oauth_later"
remedy      = "basic_auth"
references  = ["https://techcommunity.microsoft.com/blog/exchange/4489835"]
known_gaps  = "What no report, sign-in or log has shown before the learning time may be older than it looks."
false_positives = "A device that is used less than once a quarter; a mailbox that was renamed."

[params]
new_days = 7
learning_days = 30
least_messages = 1
---*/
WITH
logins AS (
  SELECT sender, day, evidence, client_ip, coalesce(messages, events) AS messages
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND auth_protocol = 'basic'
    AND outcome = 'accepted'
    AND service = 'exchange_online'
    AND (evidence <> 'deliveries' OR kind = 'try')
    AND sender <> ''
),
known AS (
  -- What shows somebody's password log-ins shows everybody's, from its first day on.
  SELECT evidence, min(day) AS first_day
  FROM logins
  GROUP BY evidence
),
by_sender AS (
  SELECT
    logins.sender,
    min(logins.day) AS first_day,
    max(logins.day) AS last_day,
    CAST(sum(logins.messages) AS BIGINT) AS messages,
    count(DISTINCT logins.client_ip) AS devices,
    min(known.first_day) AS known_since,
    string_agg(DISTINCT logins.evidence, ', ' ORDER BY logins.evidence) AS evidence
  FROM logins
  JOIN known ON known.evidence = logins.evidence
  GROUP BY logins.sender
)
SELECT
  sender,
  CAST(first_day AS TIMESTAMPTZ) AS first_seen,
  CAST(last_day AS TIMESTAMPTZ) AS last_seen,
  messages,
  devices,
  evidence
FROM by_sender
WHERE first_day >= CAST($window_end AS DATE) - $new_days * INTERVAL 1 DAY
  AND first_day >= known_since + $learning_days * INTERVAL 1 DAY
  AND messages >= $least_messages
ORDER BY first_seen, sender
/*---
[[case]]
name  = "fires for a sender that the report has not named for a month"
given.sender_days = [
  { sender = "old@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-40d" },
  { sender = "new@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 3, day = "-2d" },
]
finds = [{ sender = "new@contoso.example", messages = 3, evidence = "usage" }]

[[case]]
name  = "stays silent while it is being learnt what is usual, and for a log that begins only now"
given.sender_days = [
  { sender = "old@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-20d" },
  { sender = "new@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 3, day = "-2d" },
]
finds = []

[[case]]
name  = "stays silent for one that was there before, for OAuth, for services that keep passwords, for refusals and bounces"
given.sender_days = [
  { sender = "old@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-40d" },
  { sender = "old@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-1d" },
  { sender = "crm@contoso.example", evidence = "usage", auth_protocol = "oauth2", outcome = "accepted", messages = 1, day = "-1d" },
  { sender = "hve@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", service = "hve", messages = 1, day = "-1d" },
  { sender = "bad@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "rejected", messages = 1, day = "-1d" },
  { sender = "held@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-40d" },
  { sender = "held@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-1d" },
  { sender = "none@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 0, day = "-1d" },
  { sender = "", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-1d" },
]
finds = []

[[case]]
name  = "calls new what came within a week, and looks no further than the window"
given.sender_days = [
  { sender = "before@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-131d" },
  { sender = "before@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-7d" },
  { sender = "old@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-130d" },
  { sender = "week@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-8d" },
  { sender = "ahead@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "1d" },
]
finds = [{ sender = "before@contoso.example" }]

[[case]]
name  = "learns from a relay's log too, in which mail that is merely held is no log-in"
given.sender_days = [
  { sender = "old@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-60d" },
  { sender = "new@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-2d", times = 2 },
  { sender = "held@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
]
finds = [{ sender = "new@contoso.example", messages = 2, devices = 1, evidence = "deliveries" }]

[[case]]
name  = "calls nobody new whom only a log shows that has just begun, however far back the report goes"
given.sender_days = [
  { sender = "old@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-60d" },
  { sender = "new@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", messages = 3, day = "-3d" },
  { sender = "scan@contoso.example", evidence = "signins", kind = {}, auth_protocol = "basic", outcome = "accepted", day = "-2d" },
]
finds = [{ sender = "new@contoso.example", messages = 3, evidence = "usage" }]
---*/
