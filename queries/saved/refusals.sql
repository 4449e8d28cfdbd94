/*---
title = "Every answer that refused a sender, newest first"

[params.since]
default = "-30d"
help = "Only answers from then on."

[params.sender]
default = "%"
help = "A sender, or a pattern of SQL's LIKE: '%@contoso.example'."

[params.reply_class]
default = []
help = "Only these classes of refusal; all where none is named."
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
  AND (len($reply_class) = 0 OR list_contains($reply_class, reply_class))
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
