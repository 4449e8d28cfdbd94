/*---
meaning = "Each device that had been refused gets its mail in, and has done so for a day."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen). One acceptance proves nothing of a sender that is
-- refused now and then, and missing data proves less: it takes one that is a day later than the last refusal.
WITH
tries AS (
  SELECT
    open_findings.fingerprint,
    coalesce(deliveries.client_name, deliveries.client_ip, 'unknown device') AS device,
    deliveries.event_time,
    deliveries.outcome = 'accepted' AS is_accepted
  FROM open_findings
  JOIN deliveries ON deliveries.sender = open_findings.sender
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.kind = 'try'
    AND (
      (deliveries.outcome = 'accepted' AND deliveries.service <> 'other')
      OR deliveries.reply_class IN (
        'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
        'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
      )
    )
),
refused AS (
  SELECT fingerprint, device, max(event_time) AS last_refused
  FROM tries
  WHERE NOT is_accepted
  GROUP BY fingerprint, device
),
steady AS (
  SELECT refused.fingerprint, refused.device, min(tries.event_time) AS steady_at
  FROM refused
  LEFT JOIN tries
    ON tries.fingerprint = refused.fingerprint
    AND tries.device = refused.device
    AND tries.event_time >= refused.last_refused + INTERVAL 1 DAY
  GROUP BY refused.fingerprint, refused.device
)
SELECT
  fingerprint,
  max(steady_at) AS over_at,
  'all of its mail has been accepted for a day' AS because
FROM steady
GROUP BY fingerprint
HAVING count(*) = count(steady_at)
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when each device has had mail accepted a day after it was last refused"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-60h", last_seen = "-50h" }]
given.deliveries = [
  { sender = "scan@contoso.example", client_name = "mfp-1", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
  { sender = "scan@contoso.example", client_name = "mfp-2", outcome = "rejected", reply_class = "basic_retired", event_time = "-50h" },
  { sender = "scan@contoso.example", client_name = "mfp-1", outcome = "accepted", reply_class = "accepted", event_time = "-36h" },
  { sender = "scan@contoso.example", client_name = "mfp-2", outcome = "accepted", reply_class = "accepted", event_time = "-26h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-30T21:00:00Z }]

[[case]]
name  = "stays open after a mail that gets in, as they did before, while one device is still refused, and through silence"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", since = "-60h", last_seen = "-30h" },
  { fingerprint = "f2", sender = "erp@contoso.example", since = "-60h", last_seen = "-60h" },
  { fingerprint = "f3", sender = "nas@contoso.example", since = "-60h", last_seen = "-60h" },
]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-20h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "erp@contoso.example", client_name = "a", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
  { sender = "erp@contoso.example", client_name = "b", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
  { sender = "erp@contoso.example", client_name = "a", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { sender = "nas@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
]
finds = []

[[case]]
name  = "stays open when only a partner's server takes its mail, or one is held; a refusal for another reason does not matter"
given.open_findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", since = "-60h", last_seen = "-60h" },
  { fingerprint = "f2", sender = "erp@contoso.example", since = "-60h", last_seen = "-60h" },
]
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h", service = "other", endpoint = "mx.partner.example" },
  { sender = "scan@contoso.example", kind = "done", outcome = "accepted", event_time = "-1h" },
  { sender = "erp@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
  { sender = "erp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
  { sender = "erp@contoso.example", outcome = "rejected", reply_class = "quota", event_time = "-1h" },
]
finds = [{ fingerprint = "f2" }]

[[case]]
name  = "does not wait for a device that was refused before all this"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-60h", last_seen = "-60h" }]
given.deliveries = [
  { sender = "scan@contoso.example", client_name = "gone", outcome = "rejected", reply_class = "basic_retired", event_time = "-90h" },
  { sender = "scan@contoso.example", client_name = "mfp-1", outcome = "rejected", reply_class = "basic_retired", event_time = "-60h" },
  { sender = "scan@contoso.example", client_name = "mfp-1", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]
---*/
