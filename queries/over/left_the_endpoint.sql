/*---
meaning = "Each device of the sender that used the old endpoint has had a later mail accepted elsewhere."
uncovered = ["later.kind = 'try' because nothing but a try is accepted by a service"]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen). Missing data ends nothing: only an acceptance does.
WITH
users AS (
  SELECT
    open_findings.fingerprint,
    open_findings.sender,
    coalesce(deliveries.client_name, deliveries.client_ip, '') AS device,
    max(deliveries.event_time) AS last_used
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = open_findings.sender
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.kind = 'try'
    AND deliveries.endpoint = 'smtp-legacy.office365.com'
  GROUP BY
    open_findings.fingerprint,
    open_findings.sender,
    coalesce(deliveries.client_name, deliveries.client_ip, '')
),
departures AS (
  SELECT users.fingerprint, users.device, min(later.event_time) AS left_at
  FROM users
  LEFT JOIN deliveries AS later
    ON coalesce(later.sender, '(unknown sender)') = users.sender
    AND coalesce(later.client_name, later.client_ip, '') = users.device
    AND later.event_time > users.last_used
    AND later.kind = 'try'
    AND later.outcome = 'accepted'
    AND later.service <> 'other'
  GROUP BY users.fingerprint, users.device
)
SELECT fingerprint, max(left_at) AS over_at, 'its mail was accepted by another endpoint' AS because
FROM departures
GROUP BY fingerprint
HAVING count(*) = count(left_at)
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when each device has had a mail accepted elsewhere"
given.open_findings = [
  { fingerprint = "f1", sender = "mfp@contoso.example", since = "-9h", last_seen = "-5h" },
  { fingerprint = "f2", sender = "(unknown sender)", since = "-9h", last_seen = "-5h" },
]
given.deliveries = [
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", event_time = "-9h" },
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_name = "mfp-2", event_time = "-5h" },
  { sender = "mfp@contoso.example", outcome = "accepted", event_time = "-2h" },
  { sender = "mfp@contoso.example", outcome = "accepted", client_name = "mfp-2", service = "hve", event_time = "-1h" },
  { endpoint = "smtp-legacy.office365.com", event_time = "-9h" },
  { outcome = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z }, { fingerprint = "f2" }]

[[case]]
name  = "stays open through silence, while one device is left, for a mail before, at a partner's, of another sender, and one that is refused"
given.open_findings = [
  { fingerprint = "f1", sender = "mfp@contoso.example", since = "-9h", last_seen = "-5h" },
  { fingerprint = "f2", sender = "nas@contoso.example", since = "-9h", last_seen = "-5h" },
]
given.deliveries = [
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_name = "mfp-1", event_time = "-9h" },
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_name = "mfp-2", event_time = "-5h" },
  { sender = "mfp@contoso.example", outcome = "accepted", client_name = "mfp-1", event_time = "-1h" },
  { sender = "nas@contoso.example", outcome = "accepted", event_time = "-6h" },
  { sender = "nas@contoso.example", endpoint = "smtp-legacy.office365.com", event_time = "-5h" },
  { sender = "nas@contoso.example", outcome = "accepted", service = "other", endpoint = "mx.partner.example", event_time = "-2h" },
  { sender = "nas@contoso.example", outcome = "deferred", reply_class = "rate", event_time = "-2h" },
  { sender = "erp@contoso.example", outcome = "accepted", event_time = "-2h" },
]
finds = []

[[case]]
name  = "waits for no device that used it before all this, uses another endpoint, is another sender's, or whose mail is merely held"
given.open_findings = [{ fingerprint = "f1", sender = "mfp@contoso.example", since = "-9h", last_seen = "-5h" }]
given.deliveries = [
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_name = "gone", event_time = "-10h" },
  { sender = "mfp@contoso.example", client_name = "other", event_time = "-8h" },
  { sender = "nas@contoso.example", endpoint = "smtp-legacy.office365.com", client_name = "nas", event_time = "-8h" },
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_name = "mfp-1", event_time = "-5h" },
  { sender = "mfp@contoso.example", outcome = "accepted", client_name = "mfp-1", event_time = "-2h" },
  { sender = "mfp@contoso.example", endpoint = "smtp-legacy.office365.com", client_name = "mfp-1", kind = "held", outcome = "deferred", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]
---*/
