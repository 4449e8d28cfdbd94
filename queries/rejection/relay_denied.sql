/*---
title       = "{sender} is refused: no connector of the tenant fits the relay"
why         = "Exchange Online answers 550 5.7.64 TenantAttribution; Relay Access Denied: neither address nor certificate of what sends belongs to an inbound connector."
severity    = "high"
confidence  = "high"
every       = "1m"
window      = "1h"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "accepted_later"
remedy      = "relay_denied"
references  = ["https://learn.microsoft.com/exchange/mail-flow-best-practices/how-to-set-up-a-multifunction-device-or-application-to-send-email-using-microsoft-365-or-office-365"]
known_gaps  = "The answer does not say whether address, certificate or sender domain is what does not fit."
false_positives = "None known; the sentence is unmistakable."

[params]
reply_class = "relay_denied"
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
name  = "fires for one refusal"
given.deliveries = [{ sender = "scan@contoso.example", kind = "try", reply_class = "relay_denied", request_id = "08DE01", queue_id = "A1" }]
finds = [{ sender = "scan@contoso.example", refusals = 1, mails = 1 }]

[[case]]
name  = "counts answers, not recipients or retries"
given.deliveries = [
  { times = 5, sender = "scan@contoso.example", kind = "try", reply_class = "relay_denied", request_id = "08DE01", queue_id = "A1" },
  { times = 1, sender = "scan@contoso.example", kind = "try", reply_class = "relay_denied", request_id = "08DE02", queue_id = "A1" },
]
finds = [{ sender = "scan@contoso.example", refusals = 2, mails = 1 }]

[[case]]
name  = "says so when the log does not tell the sender"
given.deliveries = [{ kind = "try", reply_class = "relay_denied" }]
finds = [{ sender = "(unknown sender)", refusals = 1 }]

[[case]]
name  = "leaves the retirement of Basic authentication to its own detection"
given.deliveries = [{ sender = "scan@contoso.example", kind = "try", reply_class = "basic_retired" }]
finds = []

[[case]]
name  = "stays silent for mail that is merely held, and for a refused bounce"
given.deliveries = [
  { times = 9, sender = "erp@contoso.example", kind = "held", reply_class = "relay_denied" },
  { sender = "", kind = "try", reply_class = "relay_denied" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { sender = "old@contoso.example", kind = "try", reply_class = "relay_denied", event_time = "-61m" },
  { sender = "first@contoso.example", kind = "try", reply_class = "relay_denied", event_time = "-60m" },
  { sender = "next@contoso.example", kind = "try", reply_class = "relay_denied", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
