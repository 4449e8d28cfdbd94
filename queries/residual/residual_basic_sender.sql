/*---
title       = "{sender} still logs in with a password"
why         = "It works today and stops when Basic authentication for SMTP submission is switched off."
severity    = "medium"
confidence  = "high"
every       = "1h"
window      = "30d"
reads       = ["sender_days"]
about       = ["sender"]
over_when   = "oauth_later"
remedy      = "basic_auth"
references  = ["https://techcommunity.microsoft.com/blog/exchange/4489835", "https://learn.microsoft.com/exchange/monitoring/mail-flow-reports/mfr-smtp-auth-clients-report"]
known_gaps  = "A relay's log (Postfix, OpenSMTPD) does not show how its log-in succeeded; the SMTP AUTH report or the sign-ins must tell."
false_positives = "High Volume Email and Azure Communication Services keep passwords for now and are left out, as is a log-in at one's own relay."

[params]
min_messages = 1
---*/
WITH
logins AS (
  SELECT
    day,
    sender,
    evidence,
    kind AS counted_in,
    client_ip,
    coalesce(messages, events) AS messages
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND auth_protocol = 'basic'
    AND outcome = 'accepted'
    AND service = 'exchange_online'
    AND (evidence <> 'deliveries' OR kind = 'try')
    AND sender <> ''
),
by_day AS (
  SELECT sender, evidence, counted_in, day, sum(messages) AS messages
  FROM logins
  GROUP BY sender, evidence, counted_in, day
),
by_count AS (
  -- A summary counts the weeks before it was written, so two of them mostly count the same mails.
  SELECT
    sender,
    evidence,
    min(day) AS first_day,
    max(day) AS last_day,
    CASE WHEN counted_in = 'eac_summary' THEN max(messages) ELSE sum(messages) END AS messages
  FROM by_day
  GROUP BY sender, evidence, counted_in
),
devices_seen AS (
  SELECT sender, evidence, count(DISTINCT client_ip) AS devices
  FROM logins
  GROUP BY sender, evidence
),
by_evidence AS (
  SELECT
    sender,
    evidence,
    min(first_day) AS first_day,
    max(last_day) AS last_day,
    max(messages) AS messages,
    max(devices) AS devices
  FROM by_count
  JOIN devices_seen USING (sender, evidence)
  GROUP BY sender, evidence
),
by_sender AS (
  -- The tables, and both kinds of report, count the same mails each in its own way, so their sums are never added.
  SELECT
    sender,
    CAST(min(first_day) AS TIMESTAMPTZ) AS first_seen,
    CAST(max(last_day) AS TIMESTAMPTZ) AS last_seen,
    CAST(max(messages) AS BIGINT) AS messages,
    max(devices) AS devices,
    string_agg(evidence, ', ' ORDER BY evidence) AS evidence
  FROM by_evidence
  GROUP BY sender
)
SELECT sender, first_seen, last_seen, messages, devices, evidence
FROM by_sender
WHERE messages >= $min_messages
ORDER BY messages DESC, sender
/*---
[[case]]
name  = "fires for a sender that the report counts as Basic"
given.sender_days = [{ sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 41 }]
finds = [{ sender = "erp@contoso.example", messages = 41, evidence = "usage" }]

[[case]]
name  = "does not add what two tables count of the same mails"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 41 },
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", events = 40 },
]
finds = [{ sender = "erp@contoso.example", messages = 41, evidence = "deliveries, usage" }]

[[case]]
name  = "does not add summaries that count the same weeks, nor a summary and a report"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", kind = "eac_summary", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 40, day = "-2d" },
  { sender = "erp@contoso.example", evidence = "usage", kind = "eac_summary", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 30, day = "-1d" },
  { sender = "erp@contoso.example", evidence = "usage", kind = "eac_summary", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 11, day = "-1d" },
  { sender = "erp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 20, day = "-3d" },
  { sender = "erp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 18, day = "-2d" },
]
finds = [{ sender = "erp@contoso.example", messages = 41, evidence = "usage" }]

[[case]]
name  = "stays silent for OAuth and for what the report does not name"
given.sender_days = [
  { sender = "crm@contoso.example", evidence = "usage", auth_protocol = "oauth2", outcome = "accepted", service = "exchange_online", messages = 9 },
  { sender = "abc@contoso.example", evidence = "usage", auth_protocol = "unknown", outcome = "accepted", service = "exchange_online", messages = 9 },
]
finds = []

[[case]]
name  = "stays silent for services that keep passwords, and for one's own relay"
given.sender_days = [
  { sender = "mfp@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", service = "hve" },
  { sender = "app@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", service = "acs" },
  { sender = "nas@contoso.example", evidence = "signins", auth_protocol = "basic", outcome = "accepted", service = "own_relay" },
]
finds = []

[[case]]
name  = "stays silent for a password that was refused: nothing got in with it"
given.sender_days = [{ sender = "scan@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "rejected", service = "exchange_online" }]
finds = []

[[case]]
name  = "looks at the first day of the window and not before it"
given.sender_days = [
  { sender = "old@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 3, day = "-31d" },
  { sender = "first@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 3, day = "-30d" },
]
finds = [{ sender = "first@contoso.example" }]

[[case]]
name  = "adds up the days of a report that dates each mail"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 20, day = "-3d" },
  { sender = "erp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", service = "exchange_online", messages = 18, day = "-2d" },
]
finds = [{ sender = "erp@contoso.example", messages = 38 }]

[[case]]
name  = "stays silent for a mail that merely left the queue, and for a bounce, which has no sender to tell"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "deliveries", kind = "done", auth_protocol = "basic", outcome = "accepted", service = "exchange_online" },
  { sender = "", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", service = "exchange_online" },
]
finds = []
---*/
