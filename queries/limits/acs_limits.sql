/*---
title       = "{sender} runs into a limit of Azure Communication Services"
why         = "A new Azure resource may send 30 messages a minute and 100 an hour, one message may have 10 MB and 50 recipients. What is beyond is refused, and a device that does not try again loses it."
severity    = "medium"
confidence  = "high"
every       = "5m"
window      = "1h"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "within_limits"
remedy      = "acs_limits"
references  = ["https://learn.microsoft.com/azure/communication-services/concepts/service-limits"]
known_gaps  = "The limits count for the whole Azure subscription; other resources of it are not seen here."
false_positives = "A burst that a relay sends again later loses nothing."

[params]
min_refusals = 1
---*/
WITH
tries AS (
  SELECT
    coalesce(sender, '(unknown sender)') AS sender,
    event_time,
    outcome,
    CASE
      WHEN reply_class = 'too_large' THEN 'size of a message'
      WHEN reply_class = 'too_many_recipients' THEN 'recipients of a message'
      WHEN reply_class IN ('quota', 'rate', 'concurrency') THEN 'messages over time'
    END AS limit_hit,
    coalesce(request_id, event_id) AS refusal,
    coalesce(log_host || ' ' || queue_id, message_id, session_id, event_id) AS mail
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND service = 'acs'
    AND sender IS DISTINCT FROM ''
),
by_sender AS (
  SELECT
    sender,
    min(event_time) FILTER (WHERE limit_hit IS NOT NULL) AS first_seen,
    max(event_time) FILTER (WHERE limit_hit IS NOT NULL) AS last_seen,
    string_agg(DISTINCT limit_hit, ', ' ORDER BY limit_hit) AS limits_hit,
    count(DISTINCT refusal) FILTER (WHERE limit_hit IS NOT NULL) AS refusals,
    count(DISTINCT mail) FILTER (WHERE limit_hit IS NOT NULL) AS mails,
    count(DISTINCT mail) AS mails_in_that_hour,
    count(DISTINCT mail) FILTER (WHERE outcome = 'accepted') AS mails_accepted
  FROM tries
  GROUP BY sender
)
SELECT
  sender,
  first_seen,
  last_seen,
  limits_hit,
  refusals,
  mails,
  mails_in_that_hour,
  mails_accepted
FROM by_sender
WHERE refusals >= $min_refusals
ORDER BY refusals DESC, sender
/*---
[[case]]
name  = "fires for one refusal, and says how much was sent in that hour"
given.deliveries = [
  { sender = "scan@contoso.example", service = "acs", reply_class = "rate", outcome = "deferred", queue_id = "A1", request_id = "08DE01", event_time = "-20m" },
  { times = 100, step = "1s", sender = "scan@contoso.example", service = "acs", outcome = "accepted", reply_class = "accepted", event_time = "-30m" },
]
finds = [{ sender = "scan@contoso.example", limits_hit = "messages over time", refusals = 1, mails = 1, mails_in_that_hour = 101, mails_accepted = 100, first_seen = 2026-12-31T22:40:00Z, last_seen = 2026-12-31T22:40:00Z }]

[[case]]
name  = "is not seen last when its last mail got in"
given.deliveries = [
  { sender = "scan@contoso.example", service = "acs", reply_class = "rate", event_time = "-20m" },
  { sender = "scan@contoso.example", service = "acs", outcome = "accepted", reply_class = "accepted", event_time = "-10m" },
]
finds = [{ sender = "scan@contoso.example", last_seen = 2026-12-31T22:40:00Z }]

[[case]]
name  = "tells each limit by name"
given.deliveries = [
  { sender = "a@contoso.example", service = "acs", reply_class = "too_large" },
  { sender = "a@contoso.example", service = "acs", reply_class = "quota" },
  { sender = "b@contoso.example", service = "acs", reply_class = "too_many_recipients" },
  { service = "acs", reply_class = "concurrency" },
]
finds = [
  { sender = "a@contoso.example", limits_hit = "messages over time, size of a message" },
  { sender = "(unknown sender)", limits_hit = "messages over time" },
  { sender = "b@contoso.example", limits_hit = "recipients of a message" },
]

[[case]]
name  = "stays silent for what gets in, refusals of other kinds, at other services, for held mail, and for a refused bounce"
given.deliveries = [
  { times = 200, sender = "fine@contoso.example", service = "acs", outcome = "accepted", reply_class = "accepted" },
  { sender = "a@contoso.example", service = "acs", reply_class = "bad_credentials" },
  { sender = "b@contoso.example", service = "exchange_online", reply_class = "rate" },
  { sender = "c@contoso.example", service = "acs", kind = "held", outcome = "deferred", reply_class = "rate" },
  { sender = "", service = "acs", reply_class = "rate" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { sender = "old@contoso.example", service = "acs", reply_class = "rate", event_time = "-61m" },
  { sender = "first@contoso.example", service = "acs", reply_class = "rate", event_time = "-60m" },
  { sender = "next@contoso.example", service = "acs", reply_class = "rate", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
