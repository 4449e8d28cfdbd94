/*---
title = "All that the lake knows of one sender, in order: deliveries, traces, sign-ins, findings"

[params.sender]
default = "%"
help = "A sender, or a pattern of SQL's LIKE."

[params.since]
default = "-30d"
help = "Only what happened from then on."

[params.evidence]
type = "choice"
choices = ["any", "deliveries", "traces", "signins", "findings"]
default = "any"
help = "Only rows of this table."
---*/
WITH
told AS (
  SELECT
    event_time AS moment,
    'deliveries' AS evidence,
    sender,
    kind AS what,
    outcome,
    coalesce(reply_text, reply_class) AS said,
    coalesce(client_name, client_ip) AS device,
    event_id
  FROM deliveries
  UNION ALL
  SELECT received_at, 'traces', sender, 'trace', status, recipient, from_ip, event_id
  FROM traces
  UNION ALL
  SELECT event_time, 'signins', "user", auth_protocol, outcome, coalesce(error_text, client_app), client_ip, event_id
  FROM signins
  UNION ALL
  SELECT noted_at, 'findings', sender, detection, state, because, NULL, NULL
  FROM findings
)
SELECT moment, evidence, sender, what, outcome, said, device, event_id
FROM told
WHERE moment >= $since
  AND coalesce(sender, '') LIKE $sender
  AND ($evidence = 'any' OR evidence = $evidence)
ORDER BY moment, evidence, sender, event_id
/*---
[[case]]
name = "puts what the four tables tell into one order"
given.deliveries = [{ event_time = "-9m", sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired" }]
given.traces = [{ received_at = "-40m", sender = "scan@contoso.example", status = "delivered" }]
given.signins = [{ event_time = "-20m", user = "scan@contoso.example", auth_protocol = "basic", outcome = "accepted" }]
given.findings = [{ noted_at = "-1m", sender = "scan@contoso.example", detection = "rejection/basic_auth_refused", state = "open" }]
finds = [
  { evidence = "traces", outcome = "delivered" },
  { evidence = "signins", what = "basic" },
  { evidence = "deliveries", said = "basic_retired" },
  { evidence = "findings", what = "rejection/basic_auth_refused" },
]

[[case]]
name = "leaves out what happened before"
given.deliveries = [{ event_time = "-31d", sender = "scan@contoso.example" }]
finds = []
---*/
