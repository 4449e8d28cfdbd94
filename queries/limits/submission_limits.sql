/*---
title       = "{sender} runs into the limits of its mailbox"
why         = "Exchange Online lets one mailbox send 30 messages a minute and to 10,000 recipients a day, by 3 connections at once; a message too may only be so large. What is beyond is put off or refused, and a device that does not try again loses it."
severity    = "medium"
confidence  = "high"
every       = "5m"
window      = "1h"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "within_limits"
remedy      = "submission_limits"
references  = ["https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits", "https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements"]
known_gaps  = "Limits count for the account that logs in, which most logs do not name; several senders of one account show up apart."
false_positives = "A burst that a relay sends again a minute later loses nothing."

[params]
min_refused_for_good = 1
min_put_off = 10
---*/
WITH
tries AS (
  SELECT
    coalesce(sender, '(unknown sender)') AS sender,
    event_time,
    outcome,
    CASE reply_class
      WHEN 'quota' THEN 'recipients a day'
      WHEN 'rate' THEN 'messages a minute'
      WHEN 'concurrency' THEN 'connections at once'
      WHEN 'too_large' THEN 'size of a message'
      WHEN 'too_many_recipients' THEN 'recipients of a message'
    END AS limit_hit,
    coalesce(request_id, event_id) AS answer,
    coalesce(log_host || ' ' || queue_id, message_id, session_id, event_id) AS mail
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND service = 'exchange_online'
    AND sender IS DISTINCT FROM ''
),
by_sender AS (
  SELECT
    sender,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    string_agg(DISTINCT limit_hit, ', ' ORDER BY limit_hit) AS limits_hit,
    count(DISTINCT answer) AS answers,
    count(DISTINCT mail) AS mails,
    count(DISTINCT mail) FILTER (WHERE outcome = 'rejected') AS mails_refused_for_good,
    count(DISTINCT mail) FILTER (WHERE outcome = 'deferred') AS mails_put_off
  FROM tries
  WHERE limit_hit IS NOT NULL
  GROUP BY sender
),
minutes AS (
  SELECT sender, date_trunc('minute', event_time) AS minute, count(DISTINCT mail) AS mails
  FROM tries
  GROUP BY sender, date_trunc('minute', event_time)
),
busiest AS (
  SELECT sender, max(mails) AS most_in_a_minute
  FROM minutes
  GROUP BY sender
)
SELECT
  by_sender.sender,
  first_seen,
  last_seen,
  limits_hit,
  answers,
  mails,
  mails_refused_for_good,
  mails_put_off,
  most_in_a_minute
FROM by_sender
JOIN busiest ON busiest.sender = by_sender.sender
WHERE mails_refused_for_good >= $min_refused_for_good
  OR mails_put_off >= $min_put_off
ORDER BY answers DESC, by_sender.sender
/*---
[[case]]
name  = "fires for one mail that is refused for good, whichever limit it is"
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "quota", queue_id = "A1" },
  { sender = "b@contoso.example", reply_class = "rate", queue_id = "B1" },
  { sender = "c@contoso.example", reply_class = "concurrency", queue_id = "C1" },
  { sender = "d@contoso.example", reply_class = "too_large", queue_id = "D1" },
  { sender = "e@contoso.example", reply_class = "too_many_recipients", queue_id = "E1" },
]
finds = [
  { sender = "a@contoso.example", limits_hit = "recipients a day", mails_refused_for_good = 1, mails_put_off = 0 },
  { sender = "b@contoso.example", limits_hit = "messages a minute" },
  { sender = "c@contoso.example", limits_hit = "connections at once" },
  { sender = "d@contoso.example", limits_hit = "size of a message" },
  { sender = "e@contoso.example", limits_hit = "recipients of a message" },
]

[[case]]
name  = "fires for ten mails that are put off, and not for nine"
given.deliveries = [
  { times = 10, step = "1s", sender = "erp@contoso.example", outcome = "deferred", reply_class = "rate" },
  { times = 9, step = "1s", sender = "nas@contoso.example", outcome = "deferred", reply_class = "rate" },
]
finds = [{ sender = "erp@contoso.example", mails = 10, mails_put_off = 10, mails_refused_for_good = 0 }]

[[case]]
name  = "counts answers and mails, and how many it sent in its busiest minute, those that got in as well"
given.deliveries = [
  { times = 5, sender = "erp@contoso.example", reply_class = "quota", request_id = "08DE01", queue_id = "A1", event_time = "-10m" },
  { sender = "erp@contoso.example", outcome = "deferred", reply_class = "concurrency", request_id = "08DE02", queue_id = "A1", event_time = "-9m" },
  { times = 40, sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-8m" },
  { times = 41, sender = "other@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-8m" },
]
finds = [{ sender = "erp@contoso.example", limits_hit = "connections at once, recipients a day", answers = 2, mails = 1, mails_refused_for_good = 1, mails_put_off = 1, most_in_a_minute = 40 }]

[[case]]
name  = "says so when the log does not tell the sender"
given.deliveries = [{ reply_class = "rate" }]
finds = [{ sender = "(unknown sender)" }]

[[case]]
name  = "stays silent for refusals of other kinds, at other services, for held mail, and for a refused bounce"
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "basic_retired" },
  { sender = "b@contoso.example", reply_class = "rate", service = "acs", endpoint = "smtp.azurecomm.net" },
  { times = 20, step = "1s", sender = "c@contoso.example", kind = "held", outcome = "deferred", reply_class = "rate" },
  { sender = "", reply_class = "quota" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { sender = "old@contoso.example", reply_class = "quota", event_time = "-61m" },
  { sender = "first@contoso.example", reply_class = "quota", event_time = "-60m" },
  { sender = "next@contoso.example", reply_class = "quota", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
