/*---
title = "Counts of each problem of each sender, for messages and hints"

[params]
internal_domains = []
---*/
-- Reads asked(sender, reply_class, since); an empty reply_class asks about a sender that was not refused.
WITH
habits AS (
  -- What a sender usually does shows in weeks, not in the hours since it has been refused.
  SELECT
    asked.sender,
    asked.reply_class AS asked_class,
    count(DISTINCT deliveries.recipient) AS recipients,
    count(DISTINCT deliveries.recipient) FILTER (
      WHERE NOT list_contains($internal_domains, split_part(deliveries.recipient, '@', 2))
        AND split_part(deliveries.recipient, '@', 2) <> split_part(deliveries.sender, '@', 2)
    ) AS external_recipients,
    max(deliveries.size_bytes) AS largest_bytes
  FROM asked
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = asked.sender
  WHERE deliveries.event_time >= asked.since - INTERVAL 30 DAY
  GROUP BY asked.sender, asked.reply_class
),
busiest AS (
  SELECT sender, asked_class, max(mails) AS mails_per_day
  FROM (
    SELECT
      asked.sender,
      asked.reply_class AS asked_class,
      CAST(deliveries.event_time AS DATE) AS day,
      count(DISTINCT coalesce(deliveries.log_host || ' ' || deliveries.queue_id, deliveries.message_id, deliveries.session_id, deliveries.event_id)) AS mails
    FROM asked
    JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = asked.sender
    WHERE deliveries.event_time >= asked.since - INTERVAL 30 DAY
    GROUP BY asked.sender, asked.reply_class, CAST(deliveries.event_time AS DATE)
  ) AS days
  GROUP BY sender, asked_class
),
mail_events AS (
  SELECT
    asked.sender,
    asked.reply_class AS asked_class,
    deliveries.* EXCLUDE (sender),
    coalesce(deliveries.log_host || ' ' || deliveries.queue_id, deliveries.message_id, deliveries.session_id, deliveries.event_id) AS mail,
    deliveries.kind = 'try' AND deliveries.reply_class = asked.reply_class AS is_refusal,
    -- A relay holds mail back behind any refused log-in, also of another sender and for another reason.
    deliveries.reply_class = asked.reply_class OR (
      deliveries.outcome = 'deferred'
      AND deliveries.reply_class IN (
        'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
        'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
      )
    ) AS is_about_log_in
  FROM asked
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = asked.sender
  WHERE deliveries.event_time >= asked.since
),
latest_by_recipient AS (
  SELECT
    sender,
    asked_class,
    mail,
    recipient,
    max_by(outcome, (event_time, origin_offset)) AS outcome
  FROM mail_events
  WHERE kind IN ('try', 'held')
  GROUP BY sender, asked_class, mail, recipient
),
mail_states AS (
  SELECT
    sender,
    asked_class,
    mail,
    bool_or(outcome = 'deferred') AS is_waiting,
    bool_or(outcome = 'rejected') AS is_rejected,
    bool_and(outcome = 'accepted') AS is_accepted
  FROM latest_by_recipient
  GROUP BY sender, asked_class, mail
),
mail_ends AS (
  SELECT
    sender,
    asked_class,
    mail,
    bool_or(kind = 'expired') AS is_expired,
    bool_or(kind = 'done') AS is_done,
    bool_or(is_about_log_in) AS is_touched
  FROM mail_events
  GROUP BY sender, asked_class, mail
),
mail_fates AS (
  SELECT
    mail_ends.sender,
    mail_ends.asked_class,
    is_waiting AND NOT is_done AND NOT is_expired AS is_rescuable,
    is_rejected OR (is_expired AND NOT coalesce(is_accepted, FALSE)) AS is_lost
  FROM mail_ends
  LEFT JOIN mail_states USING (sender, asked_class, mail)
  WHERE is_touched
),
fates AS (
  SELECT
    sender,
    asked_class,
    count(*) FILTER (WHERE is_rescuable) AS rescuable,
    count(*) FILTER (WHERE is_lost AND NOT coalesce(is_rescuable, FALSE)) AS lost
  FROM mail_fates
  GROUP BY sender, asked_class
),
counts AS (
  SELECT
    sender,
    asked_class,
    min(event_time) FILTER (WHERE is_refusal) AS first_seen,
    max(event_time) FILTER (WHERE is_refusal) AS last_seen,
    count(DISTINCT coalesce(request_id, event_id)) FILTER (WHERE is_refusal) AS refusals,
    count(DISTINCT mail) FILTER (WHERE is_refusal) AS mails,
    list(DISTINCT {'ip': client_ip, 'name': client_name}) FILTER (WHERE is_refusal AND (client_ip IS NOT NULL OR client_name IS NOT NULL)) AS devices,
    list(DISTINCT log_host ORDER BY log_host) FILTER (WHERE log_host IS NOT NULL) AS relays,
    list(DISTINCT format ORDER BY format) AS formats,
    list(DISTINCT endpoint ORDER BY endpoint) FILTER (WHERE is_refusal AND endpoint IS NOT NULL) AS endpoints,
    list(DISTINCT stage ORDER BY stage) FILTER (WHERE is_refusal AND stage IS NOT NULL) AS stages,
    max_by(reply_text, event_time) FILTER (WHERE is_refusal) AS reply_text
  FROM mail_events
  GROUP BY sender, asked_class
)
SELECT
  counts.*,
  fates.rescuable,
  fates.lost,
  habits.recipients,
  habits.external_recipients,
  habits.largest_bytes,
  busiest.mails_per_day
FROM counts
LEFT JOIN fates USING (sender, asked_class)
LEFT JOIN habits USING (sender, asked_class)
LEFT JOIN busiest USING (sender, asked_class)
ORDER BY counts.sender, counts.asked_class
/*---
[[case]]
name = "a mail held back behind a refusal of another kind can be rescued too"
given.asked = [{ sender = "scan@contoso.example", reply_class = "basic_retired", since = "-1h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "deferred", reply_class = "basic_retired", queue_id = "A1" },
  { sender = "scan@contoso.example", kind = "held", outcome = "deferred", reply_class = "smtpauth_off_tenant", queue_id = "A2" },
]
finds = [{ refusals = 1, mails = 1, rescuable = 2, lost = 0 }]

[[case]]
name = "a mail with one recipient refused and another waiting counts once, as one that can be rescued"
given.asked = [{ sender = "scan@contoso.example", reply_class = "basic_retired", since = "-1h" }]
given.deliveries = [
  { sender = "scan@contoso.example", recipient = "a@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", queue_id = "A1" },
  { sender = "scan@contoso.example", recipient = "b@contoso.example", kind = "try", outcome = "deferred", reply_class = "basic_retired", queue_id = "A1" },
]
finds = [{ mails = 1, rescuable = 1, lost = 0 }]

[[case]]
name = "a mail that left the queue after its refusal is lost, one accepted later is not"
given.asked = [{ sender = "scan@contoso.example", reply_class = "basic_retired", since = "-1h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", queue_id = "A1" },
  { sender = "scan@contoso.example", kind = "done", outcome = "unknown", queue_id = "A1" },
  { sender = "scan@contoso.example", kind = "try", outcome = "deferred", reply_class = "basic_retired", queue_id = "A2", event_time = "-30m" },
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", queue_id = "A2" },
]
finds = [{ mails = 2, rescuable = 0, lost = 1 }]

[[case]]
name = "habits are those of a month, not of the hour of the refusal"
given.asked = [{ sender = "scan@contoso.example", reply_class = "basic_retired", since = "-1h" }]
given.deliveries = [
  { sender = "scan@contoso.example", recipient = "a@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", queue_id = "A1" },
  { sender = "scan@contoso.example", recipient = "b@fabrikam.example", kind = "try", outcome = "accepted", reply_class = "accepted", queue_id = "B1", event_time = "-20d", size_bytes = 9000 },
  { sender = "scan@contoso.example", recipient = "b@fabrikam.example", kind = "try", outcome = "accepted", reply_class = "accepted", queue_id = "B2", event_time = "-20d" },
]
finds = [{ refusals = 1, recipients = 2, external_recipients = 1, largest_bytes = 9000, mails_per_day = 2 }]
---*/
