/*---
title       = "{sender} submits to smtp-legacy.office365.com"
why         = "That endpoint exists for clients with TLS 1.0 and 1.1 only, and Basic authentication ends there as well. Who still uses it is most likely old on both counts."
severity    = "medium"
confidence  = "high"
every       = "15m"
window      = "1d"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "left_the_endpoint"
remedy      = "legacy_endpoint"
references  = ["https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/opt-in-exchange-online-endpoint-for-legacy-tls-using-smtp-auth"]
known_gaps  = "A log that names the server by its address only, and a device that logs nowhere, are not seen; reports and sign-ins do not tell the endpoint."
false_positives = "A client with a newer TLS that was merely pointed there."

[params]
endpoint = "smtp-legacy.office365.com"
min_tries = 1
---*/
WITH
tries AS (
  SELECT
    coalesce(sender, '(unknown sender)') AS sender,
    event_time,
    coalesce(client_name, client_ip) AS device,
    outcome,
    coalesce(log_host || ' ' || queue_id, message_id, session_id, event_id) AS mail
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND endpoint = $endpoint
    AND sender IS DISTINCT FROM ''
),
by_sender AS (
  SELECT
    sender,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(*) AS tries,
    count(DISTINCT mail) AS mails,
    count(DISTINCT mail) FILTER (WHERE outcome = 'accepted') AS mails_accepted,
    string_agg(DISTINCT device, ', ' ORDER BY device) AS from_devices
  FROM tries
  GROUP BY sender
)
SELECT sender, first_seen, last_seen, mails, mails_accepted, from_devices
FROM by_sender
WHERE tries >= $min_tries
ORDER BY mails DESC, sender
/*---
[[case]]
name  = "fires for one try, accepted or refused, and names the devices"
given.deliveries = [
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_ip = "192.0.2.7", queue_id = "A1", outcome = "accepted" },
  { times = 2, sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_ip = "192.0.2.8", client_name = "mfp-2", queue_id = "A2" },
]
finds = [{ sender = "mfp@contoso.example", mails = 2, mails_accepted = 1, from_devices = "192.0.2.7, mfp-2" }]

[[case]]
name  = "says so when the log does not tell the sender"
given.deliveries = [{ endpoint = "smtp-legacy.office365.com" }]
finds = [{ sender = "(unknown sender)" }]

[[case]]
name  = "stays silent for other endpoints, for held mail, and for bounces"
given.deliveries = [
  { sender = "a@contoso.example", outcome = "accepted" },
  { sender = "b@contoso.example", endpoint = "smtp-legacy.office365.com.contoso.example", service = "other" },
  { sender = "c@contoso.example", endpoint = "smtp-legacy.office365.com", kind = "held", outcome = "deferred" },
  { sender = "", endpoint = "smtp-legacy.office365.com" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { sender = "old@contoso.example", endpoint = "smtp-legacy.office365.com", event_time = "-1441m" },
  { sender = "first@contoso.example", endpoint = "smtp-legacy.office365.com", event_time = "-1440m" },
  { sender = "next@contoso.example", endpoint = "smtp-legacy.office365.com", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
