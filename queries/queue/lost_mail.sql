/*---
title       = "{sender} has lost mail: {mails} refused for good or given up"
why         = "Nobody will send this mail again by itself, and the people it was meant for do not know of it."
severity    = "medium"
confidence  = "medium"
every       = "1m"
window      = "1d"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "accepted_again"
remedy      = "lost_mail"
references  = ["https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission"]
known_gaps  = "A program that logs neither a queue id nor a Message-ID shows tries and not mails, so one mail that it tries five times counts five times. What a device sends again by itself under another id is counted as lost."
false_positives = "A person who saw the error and sent the same words anew."

[params]
least_mails = 1
most_listed = 5
---*/
WITH
events AS (
  SELECT
    coalesce(sender, '(unknown sender)') AS sender,
    coalesce(coalesce(log_host, source) || ' ' || queue_id, message_id, session_id, event_id) AS mail,
    recipient,
    kind,
    outcome,
    event_time,
    origin_offset,
    coalesce(log_host, source) AS log_host,
    reply_class IN (
      'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
      'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
    ) AS is_about_log_in
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND sender IS DISTINCT FROM ''
),
latest_by_recipient AS (
  SELECT
    sender,
    mail,
    recipient,
    max_by(outcome, (event_time, origin_offset)) AS outcome,
    max_by(is_about_log_in, (event_time, origin_offset)) AS is_about_log_in
  FROM events
  WHERE kind IN ('try', 'held')
  GROUP BY sender, mail, recipient
),
answers AS (
  SELECT
    sender,
    mail,
    bool_or(outcome = 'deferred') AS is_waiting,
    bool_or(outcome = 'rejected' AND is_about_log_in) AS is_refused,
    bool_and(outcome = 'accepted') AS is_accepted
  FROM latest_by_recipient
  GROUP BY sender, mail
),
ends AS (
  SELECT
    sender,
    mail,
    bool_or(kind = 'expired') AS is_given_up,
    max(event_time) AS ended_at,
    max(log_host) AS log_host
  FROM events
  GROUP BY sender, mail
  HAVING bool_or(is_about_log_in)
),
lost AS (
  SELECT sender, mail, ends.ended_at, ends.log_host, ends.is_given_up
  FROM ends
  LEFT JOIN answers USING (sender, mail)
  WHERE (ends.is_given_up AND NOT coalesce(answers.is_accepted, FALSE))
    OR (answers.is_refused AND NOT answers.is_waiting)
),
unreached AS (
  SELECT DISTINCT sender, latest_by_recipient.recipient
  FROM lost
  JOIN latest_by_recipient USING (sender, mail)
  WHERE latest_by_recipient.recipient IS NOT NULL
    AND latest_by_recipient.outcome <> 'accepted'
),
recipient_ranks AS (
  SELECT sender, recipient, row_number() OVER (PARTITION BY sender ORDER BY recipient) AS place
  FROM unreached
),
recipients AS (
  SELECT
    sender,
    count(*) AS recipients,
    string_agg(recipient, ', ' ORDER BY place) FILTER (WHERE place <= $most_listed) AS some_recipients
  FROM recipient_ranks
  GROUP BY sender
),
by_sender AS (
  SELECT
    sender,
    min(ended_at) AS first_seen,
    max(ended_at) AS last_seen,
    count(*) AS mails,
    count(*) FILTER (WHERE is_given_up) AS given_up_by_relay,
    min(log_host) AS logged_at
  FROM lost
  GROUP BY sender
)
SELECT
  sender,
  first_seen,
  last_seen,
  mails,
  given_up_by_relay,
  coalesce(recipients, 0) AS recipients,
  some_recipients,
  logged_at
FROM by_sender
LEFT JOIN recipients USING (sender)
WHERE mails >= $least_mails
ORDER BY mails DESC, sender
/*---
[[case]]
name  = "fires for mail refused for good, and says how many and to whom"
given.deliveries = [
  { sender = "scan@contoso.example", log_host = "relay01", queue_id = "A1", recipient = "b@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-2h" },
  { sender = "scan@contoso.example", log_host = "relay01", queue_id = "A1", recipient = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-2h" },
  { sender = "scan@contoso.example", log_host = "relay01", queue_id = "A2", recipient = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-1h" },
]
finds = [{ sender = "scan@contoso.example", mails = 2, given_up_by_relay = 0, recipients = 2, some_recipients = "a@contoso.example, b@contoso.example", logged_at = "relay01", first_seen = 2026-12-31T21:00:00Z, last_seen = 2026-12-31T22:00:00Z }]

[[case]]
name  = "fires for mail that a relay has given up behind a refused log-in"
given.deliveries = [
  { sender = "nas@contoso.example", queue_id = "A1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "nas@contoso.example", queue_id = "A1", kind = "expired", outcome = "unknown", event_time = "-1h" },
]
finds = [{ sender = "nas@contoso.example", mails = 1, given_up_by_relay = 1, recipients = 1, last_seen = 2026-12-31T22:00:00Z }]

[[case]]
name  = "says so when the log tells neither sender nor recipient, and stays silent for a bounce"
given.deliveries = [
  { queue_id = "A1", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "", queue_id = "A2", outcome = "rejected", reply_class = "basic_retired" },
]
finds = [{ sender = "(unknown sender)", mails = 1, recipients = 0 }]

[[case]]
name  = "stays silent for a mail that was accepted in the end, even where the relay says that it had given it up"
given.deliveries = [
  { sender = "scan@contoso.example", queue_id = "A1", recipient = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-2h" },
  { sender = "scan@contoso.example", queue_id = "A1", recipient = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", queue_id = "A2", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
  { sender = "scan@contoso.example", queue_id = "A2", recipient = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", queue_id = "A2", kind = "expired", outcome = "unknown", event_time = "-30m" },
]
finds = []

[[case]]
name  = "stays silent while a recipient of the mail still waits in the queue: it can be saved"
given.deliveries = [
  { sender = "scan@contoso.example", queue_id = "A1", recipient = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "scan@contoso.example", queue_id = "A1", recipient = "b@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
]
finds = []

[[case]]
name  = "stays silent for what is refused or given up for another reason, also after a log-in that was refused once"
given.deliveries = [
  { sender = "scan@contoso.example", queue_id = "A1", outcome = "rejected", reply_class = "unknown" },
  { sender = "scan@contoso.example", queue_id = "A2", outcome = "deferred", reply_class = "rate" },
  { sender = "scan@contoso.example", queue_id = "A2", kind = "expired", outcome = "unknown" },
  { sender = "scan@contoso.example", queue_id = "A3", outcome = "deferred", reply_class = "basic_retired", event_time = "-2h" },
  { sender = "scan@contoso.example", queue_id = "A3", outcome = "rejected", reply_class = "unknown", event_time = "-1h" },
  { sender = "scan@contoso.example", queue_id = "A4", outcome = "deferred", reply_class = "basic_retired" },
  { sender = "scan@contoso.example", queue_id = "A5", outcome = "unknown", reply_class = "basic_retired" },
]
finds = []

[[case]]
name  = "lists at most five recipients, and of a mail that one of them has only the others"
given.deliveries = [
  { sender = "crm@contoso.example", queue_id = "A1", recipient = "a@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "crm@contoso.example", queue_id = "A1", recipient = "b@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "crm@contoso.example", queue_id = "A1", recipient = "c@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "crm@contoso.example", queue_id = "A1", recipient = "d@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "crm@contoso.example", queue_id = "A1", recipient = "e@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "crm@contoso.example", queue_id = "A1", recipient = "f@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "crm@contoso.example", queue_id = "A1", recipient = "g@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
]
finds = [{ sender = "crm@contoso.example", mails = 1, recipients = 6, some_recipients = "b@contoso.example, c@contoso.example, d@contoso.example, e@contoso.example, f@contoso.example" }]

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { sender = "old@contoso.example", queue_id = "A1", outcome = "rejected", reply_class = "basic_retired", event_time = "-1441m" },
  { sender = "first@contoso.example", queue_id = "A2", outcome = "rejected", reply_class = "basic_retired", event_time = "-1440m" },
  { sender = "next@contoso.example", queue_id = "A3", outcome = "rejected", reply_class = "basic_retired", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
