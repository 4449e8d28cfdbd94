/*---
title = "Senders that got in with a password, by evidence"

[params]
since = "-30d"
---*/
SELECT
  sender,
  evidence,
  min(day) AS first_day,
  max(day) AS last_day,
  CAST(sum(coalesce(messages, events)) AS BIGINT) AS messages
FROM sender_days
WHERE day >= CAST($since AS DATE)
  AND auth_protocol = 'basic'
  AND outcome = 'accepted'
  AND service = 'exchange_online'
GROUP BY sender, evidence
ORDER BY messages DESC, sender, evidence
/*---
[[case]]
name = "keeps the tables apart, which count the same mails each in its own way"
given.sender_days = [
  { sender = "erp@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 41 },
  { sender = "erp@contoso.example", evidence = "signins", auth_protocol = "basic", outcome = "accepted", events = 40 },
]
finds = [{ evidence = "usage", messages = 41 }, { evidence = "signins", messages = 40 }]
---*/
