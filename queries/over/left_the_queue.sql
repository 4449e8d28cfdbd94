/*---
meaning = "Each mail that waited has left the relay's queue: it was accepted, refused for good, given up or removed."
uncovered = [
  "deliveries.event_time >= open_findings.since because a mail of before has no event since, which the next asks too",
  "deliveries.event_time >= waited.since because what waited did so since; it only spares reading",
]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the relay. Missing data ends nothing:
-- every mail needs an end of its own.
WITH
waited AS (
  -- First the mails in question, because a relay logs many others.
  SELECT DISTINCT
    open_findings.fingerprint,
    open_findings.since,
    coalesce(coalesce(deliveries.log_host, deliveries.source) || ' ' || deliveries.queue_id, deliveries.message_id, deliveries.event_id) AS mail
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.log_host, deliveries.source) = open_findings.thing
  WHERE deliveries.event_time >= open_findings.since
    AND (deliveries.queue_id IS NOT NULL OR deliveries.kind = 'held')
    AND deliveries.outcome = 'deferred'
    AND deliveries.reply_class IN (
      'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
      'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
    )
),
events AS (
  SELECT
    waited.fingerprint,
    waited.mail,
    deliveries.recipient,
    deliveries.kind,
    deliveries.outcome,
    deliveries.event_time,
    deliveries.origin_offset
  FROM waited
  JOIN deliveries
    ON coalesce(coalesce(deliveries.log_host, deliveries.source) || ' ' || deliveries.queue_id, deliveries.message_id, deliveries.event_id) = waited.mail
  WHERE deliveries.event_time >= waited.since
),
recipients AS (
  SELECT fingerprint, mail, recipient, max_by(outcome, (event_time, origin_offset)) AS outcome
  FROM events
  WHERE kind IN ('try', 'held')
  GROUP BY fingerprint, mail, recipient
),
answers AS (
  SELECT
    fingerprint,
    mail,
    bool_or(outcome = 'deferred') AS is_deferred,
    bool_and(outcome = 'accepted') AS is_accepted
  FROM recipients
  GROUP BY fingerprint, mail
),
mails AS (
  SELECT
    fingerprint,
    mail,
    bool_or(kind IN ('expired', 'done')) AS is_gone,
    max(event_time) AS last_heard
  FROM events
  GROUP BY fingerprint, mail
),
by_finding AS (
  SELECT
    fingerprint,
    count(*) AS mails,
    count(*) FILTER (WHERE mails.is_gone OR NOT answers.is_deferred) AS gone,
    count(*) FILTER (WHERE answers.is_accepted) AS accepted,
    max(mails.last_heard) AS over_at
  FROM mails
  JOIN answers USING (fingerprint, mail)
  GROUP BY fingerprint
)
SELECT
  fingerprint,
  over_at,
  CASE
    WHEN accepted = mails THEN 'all mail that waited was accepted: ' || accepted
    ELSE 'nothing waits any more; of ' || mails || ' that waited, ' || accepted || ' were accepted'
  END AS because
FROM by_finding
WHERE mails = gone
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when all that waited was accepted"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-2h" }]
given.deliveries = [
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z, because = "all mail that waited was accepted: 1" }]

[[case]]
name  = "ends when the last was given up, refused or removed, and says what did not get through"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-2h" }]
given.deliveries = [
  { queue_id = "A1", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A1", kind = "expired", outcome = "unknown", event_time = "-4h" },
  { queue_id = "A2", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A2", kind = "done", outcome = "unknown", event_time = "-3h" },
  { queue_id = "A3", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A3", outcome = "rejected", reply_class = "basic_retired", event_time = "-2h" },
  { queue_id = "A4", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A4", outcome = "accepted", reply_class = "accepted", event_time = "-3h" },
]
finds = [{ fingerprint = "f1", because = "nothing waits any more; of 4 that waited, 1 were accepted" }]

[[case]]
name  = "stays open while one mail, or one recipient of it, still waits"
given.open_findings = [
  { fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-2h" },
  { fingerprint = "f2", thing = "other", since = "-9h", last_seen = "-2h" },
  { fingerprint = "f3", thing = "far", since = "-9h", last_seen = "-2h" },
]
given.deliveries = [
  { queue_id = "A1", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A1", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { queue_id = "A2", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { log_host = "other", queue_id = "B1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { log_host = "other", queue_id = "B1", recipient = "b@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { log_host = "other", queue_id = "B1", recipient = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { log_host = "far", queue_id = "C1", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { log_host = "far", queue_id = "C1", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { log_host = "far", kind = "held", outcome = "deferred", reply_class = "basic_retired", message_id = "m2@contoso.example", event_time = "-9h" },
]
finds = []

[[case]]
name  = "stays open through silence, and when another relay's queue empties"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { queue_id = "A1", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { log_host = "other", queue_id = "A1", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "does not wait for mail that is put off for another reason, for what was before, nor for a program without a queue"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-2h" }]
given.deliveries = [
  { queue_id = "A0", outcome = "deferred", reply_class = "basic_retired", event_time = "-10h" },
  { queue_id = "A1", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A1", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { log_host = "other", queue_id = "B1", outcome = "deferred", reply_class = "basic_retired", event_time = "-1h" },
  { queue_id = "A2", outcome = "deferred", reply_class = "rate", event_time = "-1h" },
  { queue_id = "A3", outcome = "rejected", reply_class = "basic_retired", event_time = "-1h" },
  { queue_id = "A3", outcome = "deferred", reply_class = "rate", event_time = "-30m" },
  { kind = "try", outcome = "deferred", reply_class = "basic_retired", message_id = "m1@contoso.example", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "counts what a recipient's last answer was, not that the mail was removed after it"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-2h" }]
given.deliveries = [
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-9h" },
  { queue_id = "A1", recipient = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { queue_id = "A1", kind = "done", outcome = "unknown", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", because = "all mail that waited was accepted: 1" }]

[[case]]
name  = "is not kept open by a mail of before whose end no log tells, nor by a client that has no queue"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-2h" }]
given.deliveries = [
  { outcome = "deferred", reply_class = "basic_retired", queue_id = "OLD", recipient = "a@fabrikam.example", event_time = "-10h" },
  { outcome = "deferred", reply_class = "basic_retired", recipient = "b@fabrikam.example", event_time = "-3h" },
  { outcome = "deferred", reply_class = "basic_retired", queue_id = "A1", recipient = "c@fabrikam.example", event_time = "-2h" },
  { outcome = "accepted", reply_class = "accepted", queue_id = "A1", recipient = "c@fabrikam.example", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]
---*/
