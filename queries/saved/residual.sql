/*---
title = "Senders that got in with a password, by evidence"

[params.since]
default = "-30d"
help = "Only days from then on."
---*/
WITH
by_day AS (
  SELECT
    sender,
    evidence,
    kind AS counted_in,
    day,
    sum(coalesce(messages, events)) AS messages
  FROM sender_days
  WHERE day >= CAST($since AS DATE)
    AND auth_protocol = 'basic'
    AND outcome = 'accepted'
    AND service = 'exchange_online'
  GROUP BY sender, evidence, kind, day
)
SELECT
  sender,
  CASE WHEN evidence = 'usage' THEN counted_in ELSE evidence END AS evidence,
  min(day) AS first_day,
  max(day) AS last_day,
  -- A summary counts the weeks before it was written, so two of them mostly count the same mails.
  CAST(CASE WHEN counted_in = 'eac_summary' THEN max(messages) ELSE sum(messages) END AS BIGINT) AS messages
FROM by_day
GROUP BY sender, evidence, counted_in
ORDER BY messages DESC, sender, evidence
/*---
[[case]]
name = "keeps the tables apart, which count the same mails each in its own way"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", messages = 41 },
  { sender = "erp@contoso.example", evidence = "signins", auth_protocol = "basic", outcome = "accepted", events = 40 },
]
finds = [{ evidence = "smtp_cs_report", messages = 41 }, { evidence = "signins", messages = 40 }]
---*/
