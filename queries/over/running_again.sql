/*---
meaning = "The service has been at work again for ten minutes."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen).
WITH
work AS (
  SELECT max(updated_at) AS last_at
  FROM cursors
)
SELECT
  open_findings.fingerprint,
  work.last_at AS over_at,
  'it has been running again for ten minutes' AS because
FROM open_findings
CROSS JOIN work
WHERE work.last_at >= open_findings.last_seen + INTERVAL 10 MINUTE
ORDER BY open_findings.fingerprint
/*---
[[case]]
name  = "ends when it has been at work for ten minutes"
given.open_findings = [{ fingerprint = "f1", thing = "source relay", since = "-50m", last_seen = "-15m" }]
given.cursors = [{ name = "source relay", state = "1", updated_at = "-5m" }, { name = "source old", state = "1", updated_at = "-40m" }]
finds = [{ fingerprint = "f1", because = "it has been running again for ten minutes" }]

[[case]]
name  = "stays open until then"
given.open_findings = [{ fingerprint = "f1", thing = "source relay", since = "-50m", last_seen = "-14m" }]
given.cursors = [{ name = "source relay", state = "1", updated_at = "-5m" }]
finds = []
---*/
