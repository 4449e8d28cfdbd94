/*---
title       = "Mail waits at {log_host} behind a refused log-in: {mails} to save, the first until {can_be_saved_until}"
why         = "The relay still holds this mail and tries again by itself. Once the log-in is mended it goes out; if nobody mends it in time, the relay gives it up and it is lost."
severity    = "high"
confidence  = "high"
every       = "1m"
window      = "1d"
reads       = ["deliveries"]
about       = ["log_host"]
over_when   = "left_the_queue"
remedy      = "rescuable_queue"
references  = ["https://www.postfix.org/postconf.5.html#maximal_queue_lifetime", "https://www.exim.org/exim-html-current/doc/html/spec_html/ch-retry_configuration.html", "https://learn.microsoft.com/exchange/mail-flow/queues/message-intervals"]
known_gaps  = "Logs do not say how long a relay keeps mail: unless a bounce or a listing of Exchange tells, the end is reckoned from the program's default. A relay that has not logged a try for a day is not seen. Where only a queue listing was read, nothing tells when the mail has left."
false_positives = "Mail that somebody has deleted from the queue where the log does not say so."
uncovered   = ["event_time < $window_end because what is put off later is never the first time; it only spares reading"]

[params]
least_mails = 1
longest_days = 5
postfix_days = 5
exim_days = 4
exchange_days = 2
most_listed = 5
---*/
WITH
events AS (
  -- A client that merely hears a temporary refusal has no queue; a relay names its mail, or says that it is held.
  -- What an administrator has given up, of which the end is when it came, goes the next time the relay looks at it.
  SELECT
    coalesce(log_host, source) AS log_host,
    coalesce(coalesce(log_host, source) || ' ' || queue_id, message_id, event_id) AS mail,
    kind,
    outcome,
    CASE WHEN sender = '' THEN '(bounces)' ELSE coalesce(sender, '(unknown sender)') END AS sender,
    recipient,
    format,
    event_time,
    origin_offset,
    reply_text,
    queued_at,
    -- A listing of Postfix does not tell when mail is given up; what stands there is reckoned too.
    CASE WHEN format <> 'postfix_queue' THEN expires_at END AS expires_at,
    outcome = 'deferred' AS is_deferral,
    outcome = 'deferred' AND reply_class IN (
      'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
      'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
    ) AS is_about_log_in
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND (queue_id IS NOT NULL OR kind = 'held')
    AND coalesce(expires_at > queued_at, TRUE)
),
first_deferrals AS (
  -- A relay reckons from when it took the mail, which may be days before the window.
  SELECT
    coalesce(coalesce(log_host, source) || ' ' || queue_id, message_id, event_id) AS mail,
    min(event_time) AS waits_since
  FROM deliveries
  WHERE event_time >= CAST($window_start AS TIMESTAMPTZ) - $longest_days * INTERVAL 1 DAY
    AND event_time < $window_end
    AND outcome = 'deferred'
  GROUP BY coalesce(coalesce(log_host, source) || ' ' || queue_id, message_id, event_id)
),
latest_by_recipient AS (
  SELECT log_host, mail, recipient, max_by(outcome, (event_time, origin_offset)) AS outcome
  FROM events
  GROUP BY log_host, mail, recipient
),
still_deferred AS (
  SELECT DISTINCT log_host, mail
  FROM latest_by_recipient
  WHERE outcome = 'deferred'
),
waiting AS (
  SELECT
    log_host,
    mail,
    max(events.sender) AS sender,
    max(events.format) AS format,
    max(events.event_time) FILTER (WHERE events.is_deferral) AS last_tried,
    max_by(events.reply_text, events.event_time) FILTER (WHERE events.is_about_log_in) AS reply_text,
    min(events.queued_at) AS queued_at,
    min(events.expires_at) AS expires_at
  FROM events
  JOIN still_deferred USING (log_host, mail)
  GROUP BY log_host, mail
  HAVING bool_or(events.is_about_log_in) AND NOT bool_or(events.kind IN ('expired', 'done'))
),
mails AS (
  SELECT
    waiting.log_host,
    waiting.sender,
    waiting.format,
    waiting.last_tried,
    waiting.reply_text,
    waiting.expires_at,
    first_deferrals.waits_since,
    coalesce(
      waiting.expires_at,
      coalesce(waiting.queued_at, first_deferrals.waits_since) + CASE
        WHEN waiting.format LIKE 'exchange%' THEN $exchange_days
        WHEN waiting.format IN ('exim', 'opensmtpd') THEN $exim_days
        ELSE $postfix_days
      END * INTERVAL 1 DAY
    ) AS given_up_at
  FROM waiting
  JOIN first_deferrals USING (mail)
),
sender_ranks AS (
  SELECT
    log_host,
    sender,
    count(*) AS mails,
    row_number() OVER (PARTITION BY log_host ORDER BY count(*) DESC, sender) AS place
  FROM mails
  GROUP BY log_host, sender
),
listed AS (
  SELECT
    log_host,
    count(*) AS senders,
    string_agg(sender || ' (' || mails || ')', ', ' ORDER BY place) FILTER (WHERE place <= $most_listed) AS busiest_senders
  FROM sender_ranks
  GROUP BY log_host
),
by_relay AS (
  SELECT
    log_host,
    min(waits_since) AS first_seen,
    max(last_tried) AS last_seen,
    count(*) AS mails,
    min(given_up_at) AS can_be_saved_until,
    CASE WHEN min_by(expires_at IS NOT NULL, given_up_at) THEN 'told by the relay' ELSE 'reckoned from the default of its program' END AS that_time_is,
    max_by(reply_text, last_tried) AS server_words,
    max(format) AS program
  FROM mails
  GROUP BY log_host
)
SELECT
  log_host,
  first_seen,
  last_seen,
  mails,
  can_be_saved_until,
  that_time_is,
  senders,
  busiest_senders,
  server_words,
  program
FROM by_relay
JOIN listed USING (log_host)
WHERE mails >= $least_mails
ORDER BY can_be_saved_until, log_host
/*---
[[case]]
name  = "fires for mail that a relay defers behind a refused log-in, and says until when it can be saved"
given.deliveries = [
  { log_host = "relay01", queue_id = "A1", sender = "scan@contoso.example", kind = "try", outcome = "deferred", reply_class = "basic_retired", reply_text = "450 4.7.30 Basic authentication is not supported", event_time = "-3h" },
  { log_host = "relay01", queue_id = "A1", sender = "scan@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired", reply_text = "450 4.7.30 Basic authentication is not supported", event_time = "-1h" },
  { log_host = "relay01", queue_id = "A2", sender = "erp@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
]
finds = [{ log_host = "relay01", mails = 2, senders = 2, busiest_senders = "erp@contoso.example (1), scan@contoso.example (1)", can_be_saved_until = 2027-01-05T20:00:00Z, first_seen = 2026-12-31T20:00:00Z, last_seen = 2026-12-31T22:00:00Z, that_time_is = "reckoned from the default of its program", program = "postfix", server_words = "450 4.7.30 Basic authentication is not supported" }]

[[case]]
name  = "knows that Exim, OpenSMTPD and Exchange keep mail for less long; the one that ends first comes first"
given.deliveries = [
  { log_host = "a", queue_id = "A1", format = "postfix", outcome = "deferred", reply_class = "basic_retired", event_time = "-1h" },
  { log_host = "b", queue_id = "B1", format = "exim", outcome = "deferred", reply_class = "basic_retired", event_time = "-1h" },
  { log_host = "c", queue_id = "C1", format = "opensmtpd", outcome = "deferred", reply_class = "basic_retired", event_time = "-1h" },
  { log_host = "d", queue_id = "D1", format = "exchange_tracking", outcome = "deferred", reply_class = "basic_retired", event_time = "-1h" },
]
finds = [
  { log_host = "d", can_be_saved_until = 2027-01-02T22:00:00Z },
  { log_host = "b", can_be_saved_until = 2027-01-04T22:00:00Z },
  { log_host = "c", can_be_saved_until = 2027-01-04T22:00:00Z },
  { log_host = "a", can_be_saved_until = 2027-01-05T22:00:00Z },
]

[[case]]
name  = "takes the end from where it is told, or reckons from when the relay took the mail"
given.deliveries = [
  { log_host = "told", queue_id = "A1", kind = "held", outcome = "deferred", reply_class = "basic_retired", queued_at = "-9h", expires_at = "2027-01-01T08:00:00" },
  { log_host = "told", queue_id = "A2", kind = "held", outcome = "deferred", reply_class = "basic_retired", queued_at = "-9h" },
  { log_host = "taken", queue_id = "B1", kind = "held", outcome = "deferred", reply_class = "basic_retired", queued_at = "-4d" },
]
finds = [
  { log_host = "told", mails = 2, can_be_saved_until = 2027-01-01T08:00:00Z, that_time_is = "told by the relay" },
  { log_host = "taken", can_be_saved_until = 2027-01-01T23:00:00Z, that_time_is = "reckoned from the default of its program" },
]

[[case]]
name  = "does not call told what a listing of Postfix only reckons, and names bounces as such"
given.deliveries = [{ log_host = "relay01", queue_id = "A1", sender = "", format = "postfix_queue", kind = "held", outcome = "deferred", reply_class = "basic_retired", queued_at = "-9h", expires_at = "2027-01-03T14:00:00" }]
finds = [{ log_host = "relay01", busiest_senders = "(bounces) (1)", can_be_saved_until = 2027-01-05T14:00:00Z, that_time_is = "reckoned from the default of its program" }]

[[case]]
name  = "reckons from the first time that the mail was put off, days before the window, and not from a recipient who had it"
given.deliveries = [
  { log_host = "relay01", queue_id = "A1", recipient = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4d" },
  { log_host = "relay01", queue_id = "A1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-3d" },
  { log_host = "relay01", queue_id = "A1", recipient = "a@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired", event_time = "-1h" },
  { log_host = "relay02", queue_id = "A1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-7d" },
  { log_host = "relay02", queue_id = "A1", recipient = "a@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired", event_time = "-1h" },
]
finds = [
  { log_host = "relay01", first_seen = 2026-12-28T23:00:00Z, can_be_saved_until = 2027-01-02T23:00:00Z },
  { log_host = "relay02", first_seen = 2026-12-31T22:00:00Z },
]

[[case]]
name  = "stays silent for mail that has left: accepted, refused for good, given up, removed"
given.deliveries = [
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { queue_id = "A2", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
  { queue_id = "A2", recipient = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-1h" },
  { queue_id = "A3", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
  { queue_id = "A3", kind = "expired", outcome = "unknown", event_time = "-1h" },
  { queue_id = "A4", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
  { queue_id = "A4", kind = "done", outcome = "unknown", event_time = "-1h" },
]
finds = []

[[case]]
name  = "counts a mail whose one recipient has it and whose other waits, and one put off for another reason later"
given.deliveries = [
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { queue_id = "A1", recipient = "b@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { queue_id = "A2", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h", reply_text = "4.7.30 Basic" },
  { queue_id = "A2", recipient = "a@contoso.example", outcome = "deferred", reply_class = "unknown", event_time = "-1h", reply_text = "timed out" },
  { queue_id = "A2", kind = "unknown", outcome = "unknown", event_time = "-4h" },
]
finds = [{ log_host = "relay", mails = 2, server_words = "4.7.30 Basic", first_seen = 2026-12-31T21:00:00Z, last_seen = 2026-12-31T22:55:00Z }]

[[case]]
name  = "looks at the latest answer, and when a mail was last put off, not at what else was said of it"
given.deliveries = [
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
  { queue_id = "A1", recipient = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-3h" },
  { queue_id = "A1", recipient = "c@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ mails = 1, first_seen = 2026-12-31T21:00:00Z, last_seen = 2026-12-31T21:00:00Z }]

[[case]]
name  = "stays silent for mail put off for any other reason, and where the answer about the log-in was not what put it off"
given.deliveries = [
  { queue_id = "A1", kind = "try", outcome = "deferred", reply_class = "rate" },
  { queue_id = "A2", recipient = "a@contoso.example", kind = "try", outcome = "deferred", reply_class = "rate" },
  { queue_id = "A2", recipient = "b@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired" },
]
finds = []

[[case]]
name  = "stays silent for a program without a queue that is told to try again; a notice that mail is held is enough"
given.deliveries = [
  { log_host = "pc", kind = "try", outcome = "deferred", reply_class = "basic_retired", message_id = "m1@contoso.example" },
  { log_host = "far", kind = "held", outcome = "deferred", reply_class = "basic_retired", message_id = "m2@contoso.example" },
]
finds = [{ log_host = "far", mails = 1 }]

[[case]]
name  = "stays silent for a program without a queue, and for what an administrator has given up"
given.deliveries = [
  { queue_id = "A1", format = "postfix_queue", kind = "held", outcome = "deferred", reply_class = "basic_retired", queued_at = "-9h", expires_at = "-9h" },
  { kind = "try", outcome = "deferred", reply_class = "basic_retired", message_id = "m1@contoso.example" },
]
finds = []

[[case]]
name  = "names a log that does not say whose it is by its source, and at most five senders, the busiest first"
given.deliveries = [
  { log_host = "exim on a", queue_id = "A1", sender = "f@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { log_host = "exim on a", queue_id = "A2", sender = "f@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { log_host = "exim on a", queue_id = "A3", sender = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { log_host = "exim on a", queue_id = "A4", sender = "b@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { log_host = "exim on a", queue_id = "A5", sender = "c@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { log_host = "exim on a", queue_id = "A6", sender = "d@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { log_host = "exim on a", queue_id = "A7", sender = "e@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
]
finds = [{ log_host = "exim on a", mails = 7, senders = 6, busiest_senders = "f@contoso.example (2), a@contoso.example (1), b@contoso.example (1), c@contoso.example (1), d@contoso.example (1)" }]

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { log_host = "old", queue_id = "A1", kind = "try", outcome = "deferred", reply_class = "basic_retired", event_time = "-1441m" },
  { log_host = "first", queue_id = "A1", kind = "try", outcome = "deferred", reply_class = "basic_retired", event_time = "-1440m" },
  { log_host = "next", queue_id = "A1", kind = "try", outcome = "deferred", reply_class = "basic_retired", event_time = "0m" },
]
finds = [{ log_host = "first" }]
---*/
