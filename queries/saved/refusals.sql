/*---
title = "Every answer that refused a sender, newest first"

[params]
since = "-30d"
sender = "%"
---*/
SELECT
  event_time,
  sender,
  client_ip,
  client_name,
  endpoint,
  stage,
  outcome,
  reply_class,
  reply_text,
  request_id,
  count(*) AS recipients
FROM deliveries
WHERE event_time >= $since
  AND coalesce(sender, '') LIKE $sender
  AND kind = 'try'
  AND outcome <> 'accepted'
  AND service <> 'other'
GROUP BY ALL
ORDER BY event_time DESC, sender
/*---
[[case]]
name = "shows one row for one answer, however many recipients"
given.deliveries = [{ times = 3, sender = "scan@contoso.example", kind = "try", reply_class = "basic_retired", request_id = "08DE01", recipient = "ops@contoso.example" }]
finds = [{ sender = "scan@contoso.example", recipients = 3 }]
---*/
