/*---
title = "Counts of each problem of each sender, for messages and hints"
---*/
-- Reads asked(sender, reply_class, since); an empty reply_class asks about a sender that was not refused.
WITH
mail_events AS (
  SELECT
    asked.sender,
    asked.reply_class AS asked_class,
    asked.since,
    deliveries.* EXCLUDE (sender),
    coalesce(deliveries.log_host || ' ' || deliveries.queue_id, deliveries.message_id, deliveries.session_id, deliveries.event_id) AS mail,
    deliveries.kind = 'try' AND deliveries.reply_class = asked.reply_class AS is_refusal
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
    bool_or(reply_class = asked_class) AS is_touched
  FROM mail_events
  GROUP BY sender, asked_class, mail
),
fates AS (
  SELECT
    mail_ends.sender,
    mail_ends.asked_class,
    count(*) FILTER (WHERE is_waiting AND NOT is_done AND NOT is_expired) AS rescuable,
    count(*) FILTER (WHERE (is_expired AND NOT coalesce(is_accepted, FALSE)) OR is_rejected) AS lost
  FROM mail_ends
  LEFT JOIN mail_states USING (sender, asked_class, mail)
  WHERE is_touched
  GROUP BY mail_ends.sender, mail_ends.asked_class
),
busiest AS (
  SELECT sender, asked_class, max(mails) AS mails_per_day
  FROM (
    SELECT sender, asked_class, CAST(event_time AS DATE) AS day, count(DISTINCT mail) AS mails
    FROM mail_events
    GROUP BY sender, asked_class, CAST(event_time AS DATE)
  ) AS days
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
    count(DISTINCT recipient) AS recipients,
    count(DISTINCT recipient) FILTER (WHERE NOT list_contains($internal_domains, split_part(recipient, '@', 2)) AND split_part(recipient, '@', 2) <> split_part(sender, '@', 2)) AS external_recipients,
    max(size_bytes) AS largest_bytes,
    list(DISTINCT {'ip': client_ip, 'name': client_name}) FILTER (WHERE is_refusal AND (client_ip IS NOT NULL OR client_name IS NOT NULL)) AS devices,
    list(DISTINCT log_host ORDER BY log_host) FILTER (WHERE log_host IS NOT NULL) AS relays,
    list(DISTINCT format ORDER BY format) AS formats,
    list(DISTINCT endpoint ORDER BY endpoint) FILTER (WHERE is_refusal AND endpoint IS NOT NULL) AS endpoints,
    list(DISTINCT stage ORDER BY stage) FILTER (WHERE is_refusal AND stage IS NOT NULL) AS stages,
    max_by(reply_text, event_time) FILTER (WHERE is_refusal) AS reply_text
  FROM mail_events
  GROUP BY sender, asked_class
)
SELECT counts.*, fates.rescuable, fates.lost, busiest.mails_per_day
FROM counts
LEFT JOIN fates USING (sender, asked_class)
LEFT JOIN busiest USING (sender, asked_class)
ORDER BY sender, asked_class
