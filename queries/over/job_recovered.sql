/*---
meaning = "The job got through again, or is no longer in the settings."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the job. Missing data ends nothing.
WITH
ends AS (
  SELECT
    open_findings.fingerprint,
    min(jobs.noted_at) AS over_at,
    min_by(jobs.error, jobs.noted_at) AS error
  FROM open_findings
  JOIN jobs ON jobs.job = open_findings.thing
  WHERE jobs.state = 'recovered'
    AND jobs.noted_at >= open_findings.last_seen
  GROUP BY open_findings.fingerprint
)
SELECT
  fingerprint,
  over_at,
  CASE error WHEN 'it is no longer in the settings' THEN error ELSE 'it got through again' END AS because
FROM ends
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when the job gets through again"
given.open_findings = [{ fingerprint = "f1", thing = "source relay", since = "-50m", last_seen = "-20m" }]
given.jobs = [
  { job = "source relay", state = "failed", since = "-50m", noted_at = "-20m", times = 180, error = "no disk" },
  { job = "source relay", state = "recovered", since = "-50m", noted_at = "-10m", times = 240, error = "no disk" },
]
finds = [{ fingerprint = "f1", because = "it got through again" }]

[[case]]
name  = "ends when the job is gone, and says so"
given.open_findings = [{ fingerprint = "f1", thing = "source relay", since = "-50m", last_seen = "-20m" }]
given.jobs = [{ job = "source relay", state = "recovered", since = "-50m", noted_at = "-10m", times = 240, error = "it is no longer in the settings" }]
finds = [{ fingerprint = "f1", because = "it is no longer in the settings" }]

[[case]]
name  = "stays open while nothing more is known, when another job recovers, and when it has failed again since"
given.open_findings = [
  { fingerprint = "f1", thing = "source relay", since = "-50m", last_seen = "-20m" },
  { fingerprint = "f2", thing = "channel oncall", since = "-50m", last_seen = "-5m" },
]
given.jobs = [
  { job = "source other", state = "recovered", since = "-50m", noted_at = "-10m", times = 9, error = "no disk" },
  { job = "channel oncall", state = "recovered", since = "-50m", noted_at = "-10m", times = 9, error = "refused" },
]
finds = []

[[case]]
name  = "stays open while it goes on failing"
given.open_findings = [{ fingerprint = "f1", thing = "source relay", since = "-50m", last_seen = "-20m" }]
given.jobs = [{ job = "source relay", state = "failed", since = "-50m", noted_at = "-10m", times = 240, error = "no disk" }]
finds = []
---*/
