/*---
title = "Refusals by Microsoft's servers that no sentence of ours fits"

[params.since]
default = "-30d"
help = "Only answers from then on."
---*/
SELECT
  regexp_replace(reply_text, '\[[^\]]*\]', '[…]', 'g') AS words,
  reply_code,
  enhanced_code,
  count(DISTINCT coalesce(request_id, event_id)) AS answers,
  count(DISTINCT sender) AS senders,
  max(event_time) AS last_seen
FROM deliveries
WHERE event_time >= $since
  AND kind = 'try'
  AND outcome <> 'accepted'
  AND reply_class = 'unknown'
  AND service <> 'other'
GROUP BY ALL
ORDER BY answers DESC, words
/*---
[[case]]
name = "shows an unknown sentence of a Microsoft server and no known one"
given.deliveries = [
  { kind = "try", reply_class = "unknown", reply_text = "550 5.9.9 Something new [host]" },
  { kind = "try", reply_class = "basic_retired", reply_text = "550 5.7.30 Basic authentication is not supported" },
]
finds = [{ words = "550 5.9.9 Something new […]", answers = 1 }]
---*/
