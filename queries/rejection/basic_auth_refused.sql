/*---
title       = "{sender} is refused: Basic authentication is off"
why         = "Exchange Online answers 550 5.7.30 to this sender; its mail is lost or waits in a relay's queue."
severity    = "high"
confidence  = "high"
every       = "1m"
window      = "1h"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "accepted_later"
remedy      = "basic_auth"
references  = ["https://techcommunity.microsoft.com/blog/exchange/4114750", "https://techcommunity.microsoft.com/blog/exchange/4489835"]
known_gaps  = "Devices that submit directly and log nowhere are not seen here; only their silence in the message trace is."
false_positives = "None known: REQUIRETLS, Gmail and others that use the code 5.7.30 are told apart by their sentence and host."

[params]
reply_class = "basic_retired"
min_refusals = 1
---*/
WITH
tries AS (
  SELECT
    sender,
    client_ip,
    event_time,
    coalesce(request_id, event_id) AS refusal,
    coalesce(log_host || ' ' || queue_id, message_id, session_id, event_id) AS mail
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND reply_class = $reply_class
),
by_sender AS (
  SELECT
    coalesce(sender, '(unknown sender)') AS sender,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(DISTINCT refusal) AS refusals,
    count(DISTINCT mail) AS mails,
    count(DISTINCT client_ip) AS devices
  FROM tries
  WHERE sender IS DISTINCT FROM ''
  GROUP BY coalesce(sender, '(unknown sender)')
)
SELECT sender, first_seen, last_seen, refusals, mails, devices
FROM by_sender
WHERE refusals >= $min_refusals
ORDER BY refusals DESC, sender
/*---
[[case]]
name  = "counts answers, not recipients or retries"
given.deliveries = [
  { times = 5, sender = "scan@contoso.example", kind = "try", reply_class = "basic_retired", request_id = "08DE01", queue_id = "A1" },
  { times = 1, sender = "scan@contoso.example", kind = "try", reply_class = "basic_retired", request_id = "08DE02", queue_id = "A1" },
]
finds = [{ sender = "scan@contoso.example", refusals = 2, mails = 1, devices = 1 }]

[[case]]
name  = "counts a soft bounce of Postfix, which is deferred and not rejected"
given.deliveries = [{ sender = "nas@contoso.example", kind = "try", outcome = "deferred", reply_class = "basic_retired", stage = "auth" }]
finds = [{ sender = "nas@contoso.example", refusals = 1 }]

[[case]]
name  = "says so when the log does not tell the sender"
given.deliveries = [{ kind = "try", reply_class = "basic_retired" }]
finds = [{ sender = "(unknown sender)", refusals = 1 }]

[[case]]
name  = "stays silent for mail that is merely held behind another sender's refusal"
given.deliveries = [{ times = 9, sender = "erp@contoso.example", kind = "held", reply_class = "basic_retired" }]
finds = []

[[case]]
name  = "stays silent when a partner's server asks for REQUIRETLS with the same code"
given.deliveries = [{ sender = "erp@contoso.example", kind = "try", enhanced_code = "5.7.30", reply_class = "requiretls" }]
finds = []

[[case]]
name  = "stays silent for a refused bounce, which has no sender to tell"
given.deliveries = [{ sender = "", kind = "try", reply_class = "basic_retired" }]
finds = []

[[case]]
name  = "does not look before the window"
given.deliveries = [{ sender = "old@contoso.example", kind = "try", reply_class = "basic_retired", event_time = "-61m" }]
finds = []

[[case]]
name  = "looks at the first moment of the window and not at its end"
given.deliveries = [
  { sender = "first@contoso.example", kind = "try", reply_class = "basic_retired", event_time = "-60m" },
  { sender = "next@contoso.example", kind = "try", reply_class = "basic_retired", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
