/*---
meaning = "A later mail of the same sender was accepted, by each device that had been refused."
uncovered = [
  "deliveries.outcome <> 'accepted' because no accepted try has the class of a refusal",
  "deliveries.kind = 'try' because nothing but a try is accepted",
]
---*/
-- Reads open_findings(fingerprint, sender, reply_class, since, last_seen). Missing data ends nothing: only an acceptance does.
WITH
refused AS (
  SELECT
    open_findings.fingerprint,
    open_findings.sender,
    deliveries.source,
    deliveries.client_ip,
    max(deliveries.client_name) AS client_name,
    max(deliveries.event_time) AS last_refused,
    list(DISTINCT deliveries.endpoint) AS endpoints
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = open_findings.sender
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.kind = 'try'
    AND deliveries.outcome <> 'accepted'
    AND deliveries.reply_class = open_findings.reply_class
  GROUP BY open_findings.fingerprint, open_findings.sender, deliveries.source, deliveries.client_ip
),
accepted AS (
  SELECT
    refused.fingerprint,
    refused.source,
    refused.client_ip,
    min(deliveries.event_time) AS accepted_at,
    min_by(deliveries.endpoint, deliveries.event_time) AS endpoint
  FROM refused
  -- A refused log-in that names no sender stopped all mail of that log, so any mail of the log that gets in ends it.
  JOIN deliveries
    ON deliveries.sender = refused.sender
    OR (refused.sender = '(unknown sender)' AND deliveries.source = refused.source)
  WHERE deliveries.event_time > refused.last_refused
    AND deliveries.kind = 'try'
    AND deliveries.outcome = 'accepted'
    AND (deliveries.service IN ('exchange_online', 'exchange_online_mx', 'hve', 'acs') OR list_contains(refused.endpoints, deliveries.endpoint))
    AND (refused.client_ip IS NULL OR deliveries.client_ip = refused.client_ip OR deliveries.client_name = refused.client_name)
  GROUP BY refused.fingerprint, refused.source, refused.client_ip
),
by_finding AS (
  SELECT
    refused.fingerprint,
    count(*) AS devices,
    count(accepted.accepted_at) AS devices_accepted,
    max(accepted.accepted_at) AS over_at,
    max_by(accepted.endpoint, accepted.accepted_at) AS endpoint
  FROM refused
  LEFT JOIN accepted
    ON accepted.fingerprint = refused.fingerprint
    AND accepted.source IS NOT DISTINCT FROM refused.source
    AND accepted.client_ip IS NOT DISTINCT FROM refused.client_ip
  GROUP BY refused.fingerprint
)
SELECT fingerprint, over_at, 'a later mail was accepted by ' || coalesce(endpoint, 'the server') AS because
FROM by_finding
WHERE devices = devices_accepted
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when a later mail is accepted"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "stays open through a silent day"
given.open_findings = [{ fingerprint = "f1", sender = "nightly@contoso.example", reply_class = "basic_retired", since = "-23h", last_seen = "-23h" }]
given.deliveries = [{ sender = "nightly@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-23h" }]
finds = []

[[case]]
name  = "stays open when the acceptance came before the refusal"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-2h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-3h" },
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-2h" },
]
finds = []

[[case]]
name  = "stays open while one of two devices is still refused"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.1", client_name = "mfp1", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", client_ip = "192.0.2.2", client_name = "mfp2", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", client_ip = "192.0.2.1", client_name = "mfp1", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "knows a device by its name when its address has changed"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.1", client_name = "mfp1", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", client_ip = "192.0.2.77", client_name = "mfp1", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "ends for an unknown sender when any mail of the same log is accepted"
given.open_findings = [{ fingerprint = "f1", sender = "(unknown sender)", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { source = "exchange", client_ip = "", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { source = "other", sender = "a@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-5h", client_ip = "" },
  { source = "exchange", sender = "b@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h", client_ip = "" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "stays open when only a partner's server accepted mail of it"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h", endpoint = "mx.partner.example", service = "other" },
]
finds = []

[[case]]
name  = "is not kept open by another sender, by an older episode, by held mail, or by a refusal of another kind"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-30h", client_ip = "192.0.2.2" },
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "nas@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-8h", client_ip = "192.0.2.3" },
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired", event_time = "-30m" },
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "recipient_unknown", event_time = "-20m" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "stays open while its later mail is deferred, and when only another sender of the device gets in"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", kind = "try", outcome = "deferred", reply_class = "greylisted", event_time = "-2h" },
  { sender = "nas@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "stays open for an unknown sender when mail of another log is accepted"
given.open_findings = [{ fingerprint = "f1", sender = "(unknown sender)", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { source = "exchange", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { source = "other", sender = "a@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "ends when High Volume Email takes its mail, or the very host that had refused it"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f2", sender = "nas@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" },
]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h", endpoint = "smtp-hve.office365.com", service = "hve" },
  { sender = "nas@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h", endpoint = "relay.contoso.example", service = "other" },
  { sender = "nas@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h", endpoint = "relay.contoso.example", service = "other" },
]
finds = [{ fingerprint = "f1" }, { fingerprint = "f2" }]

[[case]]
name  = "ends by any later mail of the sender where the log does not name the device"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" }]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h", client_ip = {} },
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "tells findings apart, and the logs of two relays"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f2", sender = "nas@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f3", sender = "erp@contoso.example", reply_class = "basic_retired", since = "-9h", last_seen = "-2h" },
]
given.deliveries = [
  { sender = "scan@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "scan@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "nas@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h" },
  { sender = "erp@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-9h", source = "relay1" },
  { sender = "erp@contoso.example", kind = "try", outcome = "accepted", reply_class = "accepted", event_time = "-5h", source = "relay1" },
  { sender = "erp@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", event_time = "-2h", source = "relay2" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "each kind of refusal ends by itself, and is not kept open by another kind, an older episode, or held mail"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", reply_class = "send_as_denied", since = "-9h", last_seen = "-9h" },
  { fingerprint = "f2", sender = "scan@contoso.example", reply_class = "security_defaults", since = "-9h", last_seen = "-30m" },
]
given.deliveries = [
  { sender = "scan@contoso.example", reply_class = "send_as_denied", event_time = "-30h", client_ip = "192.0.2.2" },
  { sender = "scan@contoso.example", reply_class = "send_as_denied", event_time = "-9h" },
  { sender = "nas@contoso.example", reply_class = "send_as_denied", event_time = "-8h", client_ip = "192.0.2.3" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", kind = "held", outcome = "deferred", reply_class = "send_as_denied", event_time = "-45m" },
  { sender = "scan@contoso.example", reply_class = "security_defaults", event_time = "-30m" },
]
finds = [{ fingerprint = "f1" }]
---*/
