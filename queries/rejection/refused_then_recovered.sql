/*---
title       = "{sender} gets its mail in again"
why         = "It had been refused, and each of its devices has been accepted more than once since. This is for the record and the count of what is done."
severity    = "info"
confidence  = "high"
every       = "15m"
window      = "30d"
reads       = ["deliveries", "sender_days"]
about       = ["sender"]
over_when   = "recovery_recorded"
remedy      = "refused_then_recovered"
references  = ["https://techcommunity.microsoft.com/blog/exchange/4489835"]
known_gaps  = "A sender that has moved to a way that logs nowhere is not seen to recover. A device that sends once a month needs more than a month."
false_positives = "A sender that is refused only now and then; see partial_refusal."

[params]
min_accepted_mails = 2
---*/
WITH
candidates AS (
  -- The sums of days tell cheaply who may have recovered; only the rows of those are looked at.
  SELECT sender
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND sender <> ''
  GROUP BY sender
  HAVING max(day) FILTER (WHERE outcome = 'accepted') >= max(day) FILTER (WHERE outcome <> 'accepted' AND reply_class IN (
    'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
    'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
  ))
),
tries AS (
  SELECT
    deliveries.sender,
    coalesce(deliveries.client_name, deliveries.client_ip, 'unknown device') AS device,
    coalesce(coalesce(deliveries.log_host, deliveries.source) || ' ' || deliveries.queue_id, deliveries.message_id, deliveries.session_id, deliveries.event_id) AS mail,
    coalesce(deliveries.request_id, deliveries.event_id) AS answer,
    deliveries.event_time,
    deliveries.endpoint,
    deliveries.service,
    deliveries.auth_protocol,
    deliveries.outcome = 'accepted' AS is_accepted
  FROM deliveries
  JOIN candidates ON candidates.sender = deliveries.sender
  WHERE deliveries.event_time >= $window_start
    AND deliveries.event_time < $window_end
    AND deliveries.kind = 'try'
    AND (
      (deliveries.outcome = 'accepted' AND deliveries.service <> 'other')
      OR deliveries.reply_class IN (
        'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
        'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
      )
    )
),
refused_devices AS (
  SELECT sender, device, max(event_time) AS last_refused
  FROM tries
  WHERE NOT is_accepted
  GROUP BY sender, device
),
recovered_devices AS (
  SELECT
    refused_devices.sender,
    refused_devices.device,
    min(tries.event_time) AS recovered_at,
    count(DISTINCT tries.mail) AS accepted_mails,
    min_by(tries.endpoint, (tries.event_time, tries.endpoint)) AS endpoint,
    min_by(tries.service, (tries.event_time, tries.service)) AS service,
    max(tries.auth_protocol) FILTER (WHERE tries.auth_protocol <> 'unknown') AS log_in
  FROM refused_devices
  LEFT JOIN tries
    ON tries.sender = refused_devices.sender
    AND tries.device = refused_devices.device
    AND tries.event_time > refused_devices.last_refused
  GROUP BY refused_devices.sender, refused_devices.device
),
recovered AS (
  SELECT
    sender,
    max(recovered_at) AS recovered_at,
    count(*) AS devices,
    min(accepted_mails) AS accepted_mails,
    max_by(endpoint, recovered_at) AS endpoint,
    max_by(service, recovered_at) AS service,
    max(log_in) AS log_in
  FROM recovered_devices
  GROUP BY sender
),
refusals AS (
  SELECT
    sender,
    min(event_time) FILTER (WHERE NOT is_accepted) AS first_refused,
    count(DISTINCT answer) FILTER (WHERE NOT is_accepted) AS refusals
  FROM tries
  GROUP BY sender
),
refused_mails AS (
  SELECT sender, mail
  FROM tries
  GROUP BY sender, mail
  HAVING NOT bool_or(is_accepted)
),
missing AS (
  SELECT sender, count(*) AS mails
  FROM refused_mails
  GROUP BY sender
)
SELECT
  sender,
  refusals.first_refused AS first_seen,
  recovered.recovered_at AS last_seen,
  recovered.endpoint AS accepted_by,
  recovered.service,
  coalesce(recovered.log_in, 'not told') AS log_in,
  round(date_diff('minute', refusals.first_refused, recovered.recovered_at) / 60.0, 1) AS refused_hours,
  refusals.refusals,
  coalesce(missing.mails, 0) AS mails_never_accepted,
  recovered.devices
FROM recovered
JOIN refusals USING (sender)
LEFT JOIN missing USING (sender)
WHERE recovered.accepted_mails >= $min_accepted_mails
ORDER BY recovered.recovered_at, sender
/*---
[[case]]
name  = "tells how it gets in again, how long it was refused, and what never got through"
given.sender_days = [
  { sender = "scan@contoso.example", day = "-5d", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "scan@contoso.example", day = "-4d", outcome = "accepted", reply_class = "accepted" },
]
given.deliveries = [
  { sender = "scan@contoso.example", queue_id = "A0", outcome = "accepted", reply_class = "accepted", event_time = "-6d" },
  { sender = "scan@contoso.example", queue_id = "A1", outcome = "rejected", reply_class = "basic_retired", request_id = "08DE01", event_time = "-5d" },
  { sender = "scan@contoso.example", queue_id = "A2", outcome = "deferred", reply_class = "basic_retired", event_time = "-110h" },
  { sender = "scan@contoso.example", queue_id = "A2", outcome = "accepted", reply_class = "accepted", event_time = "-4d", endpoint = "smtp.hve.mx.microsoft", service = "hve", auth_protocol = "oauth2" },
  { sender = "scan@contoso.example", queue_id = "A3", outcome = "accepted", reply_class = "accepted", event_time = "-3d", endpoint = "smtp.office365.com", auth_protocol = "unknown" },
]
finds = [{ sender = "scan@contoso.example", accepted_by = "smtp.hve.mx.microsoft", service = "hve", log_in = "oauth2", refused_hours = 24.0, refusals = 2, mails_never_accepted = 1, devices = 1, first_seen = 2026-12-26T23:00:00Z, last_seen = 2026-12-27T23:00:00Z }]

[[case]]
name  = "says so when the log does not tell the log-in, and when nothing was lost"
given.sender_days = [
  { sender = "scan@contoso.example", outcome = "deferred", reply_class = "basic_retired" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted" },
]
given.deliveries = [
  { sender = "scan@contoso.example", queue_id = "A1", outcome = "deferred", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "scan@contoso.example", queue_id = "A1", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { sender = "scan@contoso.example", queue_id = "A2", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ log_in = "not told", mails_never_accepted = 0, refused_hours = 1.0 }]

[[case]]
name  = "stays silent for one mail that got in, at the cutover, and while one of two devices is still refused"
given.sender_days = [
  { sender = "one@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "one@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "cut@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "cut@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "two@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "two@contoso.example", outcome = "accepted", reply_class = "accepted" },
]
given.deliveries = [
  { sender = "one@contoso.example", queue_id = "A1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { times = 3, sender = "one@contoso.example", queue_id = "A2", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { sender = "cut@contoso.example", queue_id = "B1", outcome = "accepted", reply_class = "accepted", event_time = "-5h" },
  { sender = "cut@contoso.example", queue_id = "B2", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "cut@contoso.example", queue_id = "B3", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "two@contoso.example", client_name = "a", queue_id = "C1", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "two@contoso.example", client_name = "b", queue_id = "C2", outcome = "rejected", reply_class = "basic_retired", event_time = "-8h" },
  { sender = "two@contoso.example", client_name = "a", queue_id = "C3", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { sender = "two@contoso.example", client_name = "a", queue_id = "C4", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "stays silent when only a partner's server takes its mail, when something else was refused, and for what is merely held"
given.sender_days = [
  { sender = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "b@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "b@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "c@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "c@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "", outcome = "accepted", reply_class = "accepted" },
]
given.deliveries = [
  { sender = "a@contoso.example", queue_id = "A1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "a@contoso.example", queue_id = "A2", outcome = "accepted", service = "other", endpoint = "mx.partner.example", event_time = "-2h" },
  { sender = "a@contoso.example", queue_id = "A3", outcome = "accepted", service = "other", endpoint = "mx.partner.example", event_time = "-1h" },
  { sender = "b@contoso.example", queue_id = "B1", outcome = "rejected", reply_class = "quota", event_time = "-3h" },
  { sender = "b@contoso.example", queue_id = "B2", outcome = "accepted", event_time = "-2h" },
  { sender = "b@contoso.example", queue_id = "B3", outcome = "accepted", event_time = "-1h" },
  { sender = "c@contoso.example", queue_id = "C1", kind = "held", outcome = "deferred", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "c@contoso.example", queue_id = "C2", outcome = "accepted", event_time = "-2h" },
  { sender = "c@contoso.example", queue_id = "C3", outcome = "accepted", event_time = "-1h" },
  { sender = "", queue_id = "D1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "", queue_id = "D2", outcome = "accepted", event_time = "-2h" },
  { sender = "", queue_id = "D3", outcome = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "looks only at the rows of those whose days say that they were refused, and got in on that day or later"
given.sender_days = [
  { sender = "a@contoso.example", day = "-2d", outcome = "accepted", reply_class = "accepted" },
  { sender = "a@contoso.example", day = "-1d", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "b@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "b@contoso.example", outcome = "rejected", reply_class = "quota" },
  { sender = "c@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "d@contoso.example", outcome = "accepted", reply_class = "basic_retired" },
  { sender = "old@contoso.example", day = "-31d", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "old@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "next@contoso.example", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "next@contoso.example", day = "1d", outcome = "accepted", reply_class = "accepted" },
]
given.deliveries = [
  { sender = "a@contoso.example", queue_id = "A1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "a@contoso.example", queue_id = "A2", outcome = "accepted", event_time = "-2h" },
  { sender = "a@contoso.example", queue_id = "A3", outcome = "accepted", event_time = "-1h" },
  { sender = "b@contoso.example", queue_id = "B1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "b@contoso.example", queue_id = "B2", outcome = "accepted", event_time = "-2h" },
  { sender = "b@contoso.example", queue_id = "B3", outcome = "accepted", event_time = "-1h" },
  { sender = "c@contoso.example", queue_id = "C1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "c@contoso.example", queue_id = "C2", outcome = "accepted", event_time = "-2h" },
  { sender = "c@contoso.example", queue_id = "C3", outcome = "accepted", event_time = "-1h" },
  { sender = "d@contoso.example", queue_id = "D1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "d@contoso.example", queue_id = "D2", outcome = "accepted", event_time = "-2h" },
  { sender = "d@contoso.example", queue_id = "D3", outcome = "accepted", event_time = "-1h" },
  { sender = "old@contoso.example", queue_id = "E1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "old@contoso.example", queue_id = "E2", outcome = "accepted", event_time = "-2h" },
  { sender = "old@contoso.example", queue_id = "E3", outcome = "accepted", event_time = "-1h" },
  { sender = "next@contoso.example", queue_id = "F1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "next@contoso.example", queue_id = "F2", outcome = "accepted", event_time = "-2h" },
  { sender = "next@contoso.example", queue_id = "F3", outcome = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.sender_days = [
  { sender = "first@contoso.example", day = "-30d", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "first@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "old@contoso.example", day = "-30d", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "old@contoso.example", outcome = "accepted", reply_class = "accepted" },
  { sender = "next@contoso.example", day = "-30d", outcome = "rejected", reply_class = "basic_retired" },
  { sender = "next@contoso.example", outcome = "accepted", reply_class = "accepted" },
]
given.deliveries = [
  { sender = "first@contoso.example", queue_id = "A1", outcome = "rejected", reply_class = "basic_retired", event_time = "-720h" },
  { sender = "first@contoso.example", queue_id = "A2", outcome = "accepted", event_time = "-2h" },
  { sender = "first@contoso.example", queue_id = "A3", outcome = "accepted", event_time = "-1h" },
  { sender = "old@contoso.example", queue_id = "B1", outcome = "rejected", reply_class = "basic_retired", event_time = "-721h" },
  { sender = "old@contoso.example", queue_id = "B2", outcome = "accepted", event_time = "-2h" },
  { sender = "old@contoso.example", queue_id = "B3", outcome = "accepted", event_time = "-1h" },
  { sender = "next@contoso.example", queue_id = "C1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { sender = "next@contoso.example", queue_id = "C2", outcome = "accepted", event_time = "-2h" },
  { sender = "next@contoso.example", queue_id = "C3", outcome = "accepted", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
