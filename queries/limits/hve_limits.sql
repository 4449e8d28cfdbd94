/*---
title       = "{sender} runs into a limit of High Volume Email"
why         = "High Volume Email takes no message of more than 10 MB or 50 recipients, and a device that sends one loses it. It sets no limit of messages over time."
severity    = "medium"
confidence  = "high"
every       = "5m"
window      = "1h"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "within_limits"
remedy      = "hve_limits"
references  = ["https://learn.microsoft.com/exchange/mail-flow-best-practices/high-volume-mails-m365"]
known_gaps  = "An account without a valid billing policy cannot send either; the words for that are not known, so it shows up among the unknown answers."
false_positives = "A relay that sends what is left to the other recipients by itself loses nothing."

[params]
min_refusals = 1
---*/
WITH
refusals AS (
  SELECT
    coalesce(sender, '(unknown sender)') AS sender,
    recipient,
    event_time,
    size_bytes,
    CASE reply_class
      WHEN 'too_large' THEN 'size of a message'
      WHEN 'too_many_recipients' THEN 'recipients of a message'
      ELSE 'messages over time'
    END AS limit_hit,
    coalesce(request_id, event_id) AS refusal,
    coalesce(log_host || ' ' || queue_id, message_id, session_id, event_id) AS mail
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND service = 'hve'
    AND reply_class IN ('too_large', 'too_many_recipients', 'quota', 'rate', 'concurrency')
    AND sender IS DISTINCT FROM ''
),
by_sender AS (
  SELECT
    sender,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    string_agg(DISTINCT limit_hit, ', ' ORDER BY limit_hit) AS limits_hit,
    count(DISTINCT refusal) AS refusals,
    count(DISTINCT mail) AS mails,
    count(DISTINCT recipient) AS recipients_not_reached,
    max(size_bytes) AS largest_bytes
  FROM refusals
  GROUP BY sender
)
SELECT
  sender,
  first_seen,
  last_seen,
  limits_hit,
  refusals,
  mails,
  recipients_not_reached,
  largest_bytes
FROM by_sender
WHERE refusals >= $min_refusals
ORDER BY refusals DESC, sender
/*---
[[case]]
name  = "fires for one message that is too large, with its size"
given.deliveries = [{ sender = "scan@contoso.example", recipient = "ops@contoso.example", service = "hve", reply_class = "too_large", size_bytes = 12000000, queue_id = "A1" }]
finds = [{ sender = "scan@contoso.example", limits_hit = "size of a message", refusals = 1, mails = 1, recipients_not_reached = 1, largest_bytes = 12000000 }]

[[case]]
name  = "tells each limit by name, and counts answers, mails and recipients"
given.deliveries = [
  { sender = "erp@contoso.example", recipient = "a@contoso.example", service = "hve", reply_class = "too_many_recipients", request_id = "08DE01", queue_id = "A1" },
  { sender = "erp@contoso.example", recipient = "b@contoso.example", service = "hve", reply_class = "too_many_recipients", request_id = "08DE01", queue_id = "A1" },
  { sender = "erp@contoso.example", recipient = "b@contoso.example", service = "hve", reply_class = "rate", request_id = "08DE02", queue_id = "A2" },
]
finds = [{ sender = "erp@contoso.example", limits_hit = "messages over time, recipients of a message", refusals = 2, mails = 2, recipients_not_reached = 2 }]

[[case]]
name  = "says so when the log does not tell the sender"
given.deliveries = [{ service = "hve", reply_class = "concurrency" }]
finds = [{ sender = "(unknown sender)", limits_hit = "messages over time" }]

[[case]]
name  = "stays silent for refusals of other kinds, at other services, for held mail, and for a refused bounce"
given.deliveries = [
  { sender = "a@contoso.example", service = "hve", reply_class = "bad_credentials" },
  { sender = "b@contoso.example", service = "exchange_online", reply_class = "quota" },
  { sender = "c@contoso.example", service = "other", reply_class = "too_large" },
  { sender = "d@contoso.example", service = "hve", kind = "held", outcome = "deferred", reply_class = "rate" },
  { sender = "", service = "hve", reply_class = "too_large" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { sender = "old@contoso.example", service = "hve", reply_class = "too_large", event_time = "-61m" },
  { sender = "first@contoso.example", service = "hve", reply_class = "too_large", event_time = "-60m" },
  { sender = "next@contoso.example", service = "hve", reply_class = "too_large", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
