/*---
meaning = "A later mail of the same sender was accepted, by each device that had been refused."
uncovered = [
  "deliveries.outcome <> 'accepted' because no accepted try has the class of a refusal",
  "deliveries.kind = 'try' because nothing but a try is accepted",
]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen). Missing data ends nothing: only an acceptance does.
WITH
refused AS (
  SELECT
    open_findings.fingerprint,
    open_findings.sender,
    deliveries.source,
    coalesce(deliveries.client_name, deliveries.client_ip) AS device,
    max(deliveries.event_time) AS last_refused,
    max(deliveries.endpoint) AS endpoint
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = open_findings.sender
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.kind = 'try'
    AND deliveries.outcome <> 'accepted'
    AND deliveries.reply_class IN (
      'security_defaults', 'conditional_access', 'send_as_denied', 'direct_send_rejected', 'relay_denied'
    )
  GROUP BY
    open_findings.fingerprint,
    open_findings.sender,
    deliveries.source,
    coalesce(deliveries.client_name, deliveries.client_ip)
),
accepted AS (
  -- A refused log-in that names no sender stopped all mail of that log, so any mail of the log that gets in ends it.
  SELECT
    refused.fingerprint,
    refused.source,
    refused.device,
    min(deliveries.event_time) AS accepted_at,
    min_by(deliveries.endpoint, (deliveries.event_time, deliveries.endpoint)) AS accepted_by
  FROM refused
  JOIN deliveries
    ON deliveries.sender = refused.sender
    OR (refused.sender = '(unknown sender)' AND deliveries.source = refused.source)
  WHERE deliveries.event_time > refused.last_refused
    AND deliveries.kind = 'try'
    AND deliveries.outcome = 'accepted'
    AND (
      deliveries.service IN ('exchange_online', 'exchange_online_mx', 'hve', 'acs')
      OR deliveries.endpoint = refused.endpoint
    )
    AND coalesce(deliveries.client_name, deliveries.client_ip, '') = coalesce(refused.device, deliveries.client_name, deliveries.client_ip, '')
  GROUP BY refused.fingerprint, refused.source, refused.device
)
SELECT
  refused.fingerprint,
  max(accepted.accepted_at) AS over_at,
  'a later mail was accepted by ' || coalesce(max_by(accepted.accepted_by, accepted.accepted_at), 'the server') AS because
FROM refused
LEFT JOIN accepted
  ON accepted.fingerprint = refused.fingerprint
  AND accepted.source IS NOT DISTINCT FROM refused.source
  AND accepted.device IS NOT DISTINCT FROM refused.device
GROUP BY refused.fingerprint
HAVING count(*) = count(accepted.accepted_at)
ORDER BY refused.fingerprint
/*---
[[case]]
name  = "ends when a later mail is accepted, by whichever way leads in"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f2", sender = "nas@contoso.example", since = "-9h", last_seen = "-9h" },
]
given.deliveries = [
  { sender = "scan@contoso.example", reply_class = "send_as_denied", event_time = "-9h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "nas@contoso.example", reply_class = "direct_send_rejected", event_time = "-9h", endpoint = "contoso-example.mail.protection.outlook.com", service = "exchange_online_mx" },
  { sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h", endpoint = "smtp.hve.mx.microsoft", service = "hve" },
]
finds = [
  { fingerprint = "f1", over_at = 2026-12-31T22:00:00Z, because = "a later mail was accepted by smtp.office365.com" },
  { fingerprint = "f2", because = "a later mail was accepted by smtp.hve.mx.microsoft" },
]

[[case]]
name  = "ends when the host that refused it takes its mail, whatever host that is"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", reply_class = "relay_denied", event_time = "-9h", endpoint = "203.0.113.25", service = "other" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h", endpoint = "203.0.113.25", service = "other" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "stays open through silence, for an earlier mail, another sender, a partner's server, and mail that is deferred"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-10h" },
  { sender = "scan@contoso.example", reply_class = "security_defaults", event_time = "-9h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-3h", endpoint = "mx.partner.example", service = "other" },
  { sender = "scan@contoso.example", outcome = "deferred", reply_class = "rate", event_time = "-2h" },
  { sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "stays open while one of two devices is refused; a device keeps its name when its address changes"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f2", sender = "erp@contoso.example", since = "-9h", last_seen = "-9h" },
]
given.deliveries = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.1", reply_class = "conditional_access", event_time = "-9h" },
  { sender = "scan@contoso.example", client_ip = "192.0.2.2", reply_class = "conditional_access", event_time = "-9h" },
  { sender = "scan@contoso.example", client_ip = "192.0.2.1", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "erp@contoso.example", client_ip = "192.0.2.3", client_name = "erp", reply_class = "conditional_access", event_time = "-9h" },
  { sender = "erp@contoso.example", client_ip = "192.0.2.77", client_name = "erp", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f2" }]

[[case]]
name  = "ends for an unknown sender when any mail of the same log is accepted, and of no other log"
given.open_findings = [
  { fingerprint = "f1", sender = "(unknown sender)", since = "-9h", last_seen = "-9h" },
]
given.deliveries = [
  { source = "exchange", reply_class = "security_defaults", event_time = "-9h" },
  { source = "other", sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-5h" },
  { source = "exchange", sender = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z }]

[[case]]
name  = "is not kept open by another sender, by an older episode, by a refusal of another kind, or by held mail"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", reply_class = "send_as_denied", event_time = "-30h", client_ip = "192.0.2.2" },
  { sender = "scan@contoso.example", reply_class = "send_as_denied", event_time = "-9h" },
  { sender = "nas@contoso.example", reply_class = "send_as_denied", event_time = "-8h", client_ip = "192.0.2.3" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", kind = "held", outcome = "deferred", reply_class = "send_as_denied", event_time = "-30m" },
  { sender = "scan@contoso.example", reply_class = "too_large", event_time = "-20m" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "tells findings apart, and the logs of two relays"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f2", sender = "nas@contoso.example", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f3", sender = "erp@contoso.example", since = "-9h", last_seen = "-2h" },
]
given.deliveries = [
  { sender = "scan@contoso.example", reply_class = "relay_denied", event_time = "-9h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "nas@contoso.example", reply_class = "relay_denied", event_time = "-9h" },
  { sender = "erp@contoso.example", reply_class = "relay_denied", event_time = "-9h", source = "relay1" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-5h", source = "relay1" },
  { sender = "erp@contoso.example", reply_class = "relay_denied", event_time = "-2h", source = "relay2" },
]
finds = [{ fingerprint = "f1" }]
---*/
