/*---
title       = "authsunset's {job} does not come to an end"
why         = "A run of a part of authsunset goes on and on, so its next runs wait, and what they should see or say is missing."
severity    = "medium"
confidence  = "high"
every       = "1m"
window      = "1h"
reads       = ["jobs"]
about       = ["job"]
over_when   = "job_recovered"
remedy      = "job_overrunning"
references  = ["https://apscheduler.readthedocs.io/en/3.x/userguide.html"]
known_gaps  = "A run that hangs ends only with the service; what is kept of it is what it has committed."
false_positives = "The first read of years of logs, or of 90 days of traces within the limits of Microsoft Graph."

[params]
min_minutes = 60
---*/
WITH
notes AS (
  SELECT job, state, since, noted_at, times
  FROM jobs
  WHERE noted_at >= $window_start
    AND noted_at < $window_end
    AND state <> 'missed'
),
latest AS (
  SELECT
    job,
    max_by(state, noted_at) AS state,
    max_by(since, noted_at) AS since,
    max(noted_at) AS noted_at,
    max_by(times, noted_at) AS times
  FROM notes
  GROUP BY job
)
SELECT job, since AS first_seen, noted_at AS last_seen, times
FROM latest
WHERE state = 'overrunning'
  AND noted_at - since >= $min_minutes * INTERVAL 1 MINUTE
ORDER BY first_seen, job
/*---
[[case]]
name  = "fires for a run of an hour that its next turns wait for"
given.jobs = [{ job = "source tenant", state = "overrunning", since = "-61m", noted_at = "-1m", times = 12 }]
finds = [{ job = "source tenant", times = 12 }]

[[case]]
name  = "stays silent for a shorter one, for one that has ended, and for a job that fails"
given.jobs = [
  { job = "source a", state = "overrunning", since = "-50m", noted_at = "-1m", times = 10 },
  { job = "source b", state = "overrunning", since = "-90m", noted_at = "-20m", times = 14 },
  { job = "source b", state = "recovered", since = "-90m", noted_at = "-19m", times = 15 },
  { job = "source c", state = "failed", since = "-90m", noted_at = "-1m", times = 500, error = "no disk" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.jobs = [
  { job = "source old", state = "overrunning", since = "-3h", noted_at = "-61m", times = 9 },
  { job = "source first", state = "overrunning", since = "-3h", noted_at = "-60m", times = 9 },
  { job = "source next", state = "overrunning", since = "-3h", noted_at = "0m", times = 9 },
]
finds = [{ job = "source first" }]

[[case]]
name  = "a turn that is missed later hides no run that goes on"
given.jobs = [
  { job = "source tenant", state = "overrunning", since = "-90m", noted_at = "-5m", times = 12 },
  { job = "source tenant", state = "missed", since = "-2m", noted_at = "-1m", times = 4 },
]
finds = [{ job = "source tenant", times = 12 }]
---*/
