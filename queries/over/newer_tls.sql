/*---
meaning = "A later report shows only newer versions of TLS, or a sender that was refused for an old one gets in."
uncovered = ["deliveries.kind = 'try' because nothing but a try is accepted by a service"]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `last_seen` is a day. Missing data ends nothing.
WITH
reported AS (
  SELECT
    open_findings.fingerprint,
    usage.day,
    bool_or(usage.tls_version LIKE '%1.0%' OR usage.tls_version LIKE '%1.1%') AS is_old
  FROM open_findings
  JOIN usage ON usage.sender = open_findings.sender
  WHERE usage.day > CAST(open_findings.last_seen AS DATE)
  GROUP BY open_findings.fingerprint, usage.day
),
by_report AS (
  SELECT fingerprint, CAST(min(day) AS TIMESTAMPTZ) AS over_at, 'the report shows newer versions of TLS only' AS because
  FROM reported
  GROUP BY fingerprint
  HAVING NOT bool_or(is_old)
),
told AS (
  -- What a report has shown, only a report can end: an exception lets old versions in without a word.
  SELECT DISTINCT open_findings.fingerprint
  FROM open_findings
  JOIN usage ON usage.sender = open_findings.sender
  WHERE usage.day >= CAST(open_findings.since AS DATE)
    AND (usage.tls_version LIKE '%1.0%' OR usage.tls_version LIKE '%1.1%')
),
refused AS (
  SELECT open_findings.fingerprint, open_findings.sender, max(deliveries.event_time) AS last_refused
  FROM open_findings
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = open_findings.sender
  LEFT JOIN told ON told.fingerprint = open_findings.fingerprint
  WHERE deliveries.event_time >= open_findings.since
    AND deliveries.reply_class = 'tls_old'
    AND told.fingerprint IS NULL
  GROUP BY open_findings.fingerprint, open_findings.sender
),
by_acceptance AS (
  SELECT refused.fingerprint, min(deliveries.event_time) AS over_at, 'its mail gets in again' AS because
  FROM refused
  JOIN deliveries ON coalesce(deliveries.sender, '(unknown sender)') = refused.sender
  WHERE deliveries.event_time > refused.last_refused
    AND deliveries.kind = 'try'
    AND deliveries.outcome = 'accepted'
    AND deliveries.service <> 'other'
    AND deliveries.endpoint <> 'smtp-legacy.office365.com'
  GROUP BY refused.fingerprint
)
SELECT fingerprint, min(over_at) AS over_at, min_by(because, over_at) AS because
FROM (SELECT * FROM by_report UNION ALL SELECT * FROM by_acceptance) AS ends
GROUP BY fingerprint
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when a later report shows newer versions only"
given.open_findings = [{ fingerprint = "f1", sender = "mfp@contoso.example", since = "-9d", last_seen = "-5d" }]
given.usage = [
  { sender = "mfp@contoso.example", tls_version = "1.0", day = "-5d" },
  { sender = "mfp@contoso.example", tls_version = "1.2", day = "-2d" },
  { sender = "mfp@contoso.example", tls_version = "1.2, 1.3", day = "-1d" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-29T00:00:00Z, because = "the report shows newer versions of TLS only" }]

[[case]]
name  = "ends when one that was refused gets in"
given.open_findings = [
  { fingerprint = "f1", sender = "mfp@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f2", sender = "(unknown sender)", since = "-9d", last_seen = "-5d" },
]
given.deliveries = [
  { sender = "mfp@contoso.example", reply_class = "tls_old", event_time = "-5d" },
  { sender = "mfp@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1h" },
  { reply_class = "tls_old", event_time = "-5d" },
  { outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z, because = "its mail gets in again" }, { fingerprint = "f2" }]

[[case]]
name  = "stays open through silence, for the same day, a report without versions, and one that still has an old version"
given.open_findings = [
  { fingerprint = "f1", sender = "a@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f2", sender = "b@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f3", sender = "c@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f4", sender = "d@contoso.example", since = "-9d", last_seen = "-5d" },
]
given.usage = [
  { sender = "a@contoso.example", tls_version = "1.2", day = "-5d" },
  { sender = "b@contoso.example", day = "-1d" },
  { sender = "c@contoso.example", tls_version = "1.2", day = "-2d" },
  { sender = "c@contoso.example", tls_version = "1.0", day = "-2d" },
  { sender = "c@contoso.example", tls_version = "1.3", day = "-1d" },
  { sender = "d@contoso.example", tls_version = "1.2", day = "-2d" },
  { sender = "d@contoso.example", tls_version = "1.1", day = "-1d" },
]
finds = []

[[case]]
name  = "stays open when mail of it got in before, by the old endpoint, at a partner's, or is deferred, and when it was refused again"
given.open_findings = [
  { fingerprint = "f1", sender = "a@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f2", sender = "b@contoso.example", since = "-9d", last_seen = "-5d" },
]
given.deliveries = [
  { sender = "a@contoso.example", outcome = "accepted", event_time = "-6d" },
  { sender = "a@contoso.example", reply_class = "tls_old", event_time = "-5d" },
  { sender = "a@contoso.example", outcome = "accepted", endpoint = "smtp-legacy.office365.com", event_time = "-1h" },
  { sender = "a@contoso.example", outcome = "accepted", endpoint = "mx.partner.example", service = "other", event_time = "-1h" },
  { sender = "a@contoso.example", outcome = "deferred", reply_class = "rate", event_time = "-1h" },
  { sender = "other@contoso.example", outcome = "accepted", event_time = "-1h" },
  { sender = "b@contoso.example", reply_class = "tls_old", event_time = "-5d" },
  { sender = "b@contoso.example", outcome = "accepted", event_time = "-2d" },
  { sender = "b@contoso.example", reply_class = "tls_old", event_time = "-1d" },
]
finds = []

[[case]]
name  = "does not take an acceptance for an end of what a report has shown, nor of a refusal of another kind or time"
given.open_findings = [
  { fingerprint = "f1", sender = "a@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f2", sender = "b@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f3", sender = "c@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f4", sender = "d@contoso.example", since = "-9d", last_seen = "-5d" },
]
given.usage = [
  { sender = "a@contoso.example", tls_version = "1.0", day = "-9d" },
  { sender = "d@contoso.example", tls_version = "1.1", day = "-9d" },
]
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "tls_old", event_time = "-5d" },
  { sender = "a@contoso.example", outcome = "accepted", event_time = "-1h" },
  { sender = "b@contoso.example", reply_class = "quota", event_time = "-5d" },
  { sender = "b@contoso.example", outcome = "accepted", event_time = "-1h" },
  { sender = "c@contoso.example", reply_class = "tls_old", event_time = "-10d" },
  { sender = "c@contoso.example", outcome = "accepted", event_time = "-1h" },
  { sender = "d@contoso.example", reply_class = "tls_old", event_time = "-5d" },
  { sender = "d@contoso.example", outcome = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "stays open when only another sender has newer versions"
given.open_findings = [{ fingerprint = "f1", sender = "a@contoso.example", since = "-9d", last_seen = "-5d" }]
given.usage = [{ sender = "other@contoso.example", tls_version = "1.2", day = "-1d" }]
finds = []

[[case]]
name  = "is not bound by what a report showed before, of another sender, or of newer versions"
given.open_findings = [
  { fingerprint = "f1", sender = "a@contoso.example", since = "-9d", last_seen = "-5d" },
  { fingerprint = "f2", sender = "other@contoso.example", since = "-9d", last_seen = "-5d" },
]
given.usage = [
  { sender = "a@contoso.example", tls_version = "1.0", day = "-20d" },
  { sender = "a@contoso.example", tls_version = "1.2", day = "-6d" },
  { sender = "other@contoso.example", tls_version = "1.0", day = "-6d" },
]
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "tls_old", event_time = "-5d" },
  { sender = "a@contoso.example", outcome = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1" }]
---*/
