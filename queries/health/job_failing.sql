/*---
title       = "authsunset's {job} keeps failing"
why         = "A part of authsunset itself does not work, so what it should see or say is missing."
severity    = "high"
confidence  = "high"
every       = "1m"
window      = "1h"
reads       = ["jobs"]
about       = ["job"]
over_when   = "job_recovered"
remedy      = "job_failing"
references  = ["https://apscheduler.readthedocs.io/en/3.x/userguide.html"]
known_gaps  = "When the whole service is down nobody asks; systemd or whatever starts it has to tell. A job that runs rarely is said at its second failure. What the channels do not take is on stderr only."
false_positives = "A server or a lock that is away for longer than the thresholds and comes back by itself."

[params]
min_minutes = 15
min_times = 3
min_minutes_of_times = 5
---*/
WITH
notes AS (
  SELECT job, state, since, noted_at, times, error
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
    max_by(times, noted_at) AS times,
    max_by(error, noted_at) AS error
  FROM notes
  GROUP BY job
)
SELECT job, since AS first_seen, noted_at AS last_seen, times, error
FROM latest
WHERE state = 'failed'
  AND (
    noted_at - since >= $min_minutes * INTERVAL 1 MINUTE
    OR (times >= $min_times AND noted_at - since >= $min_minutes_of_times * INTERVAL 1 MINUTE)
  )
ORDER BY first_seen, job
/*---
[[case]]
name  = "fires for a job that has failed for a quarter of an hour"
given.jobs = [{ job = "source relay", state = "failed", since = "-16m", noted_at = "-1m", times = 90, error = "no disk" }]
finds = [{ job = "source relay", times = 90, error = "no disk" }]

[[case]]
name  = "fires for a job of an hour that has failed twice"
given.jobs = [{ job = "detection residual/residual_basic_sender", state = "failed", since = "-61m", noted_at = "-1m", times = 2, error = "no disk" }]
finds = [{ job = "detection residual/residual_basic_sender", times = 2 }]

[[case]]
name  = "fires for three times in a row within five minutes, and waits that long with a job of ten seconds"
given.jobs = [
  { job = "source tenant", state = "failed", since = "-6m", noted_at = "-1m", times = 3, error = "503" },
  { job = "source relay", state = "failed", since = "-2m", noted_at = "-1m", times = 7, error = "busy" },
]
finds = [{ job = "source tenant" }]

[[case]]
name  = "stays silent for one failure, however long ago, and for a job that got through again"
given.jobs = [
  { job = "maintenance", state = "failed", since = "-50m", noted_at = "-50m", times = 1, error = "busy" },
  { job = "source relay", state = "failed", since = "-40m", noted_at = "-20m", times = 120, error = "no disk" },
  { job = "source relay", state = "recovered", since = "-40m", noted_at = "-19m", times = 121, error = "no disk" },
]
finds = []

[[case]]
name  = "leaves a run that does not end to its own detection, and turns that were missed to nobody"
given.jobs = [
  { job = "source tenant", state = "overrunning", since = "-50m", noted_at = "-1m", times = 9, error = "its run does not come to an end" },
  { job = "source relay", state = "missed", since = "-50m", noted_at = "-1m", times = 300, error = "the machine slept" },
]
finds = []

[[case]]
name  = "tells each job apart, and the one that has failed for longest first"
given.jobs = [
  { job = "source b", state = "failed", since = "-16m", noted_at = "-1m", times = 9, error = "b" },
  { job = "channel oncall", state = "failed", since = "-30m", noted_at = "-2m", times = 4, error = "refused" },
]
finds = [{ job = "channel oncall", error = "refused" }, { job = "source b", error = "b" }]

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.jobs = [
  { job = "source old", state = "failed", since = "-90m", noted_at = "-61m", times = 9, error = "x" },
  { job = "source first", state = "failed", since = "-90m", noted_at = "-60m", times = 9, error = "x" },
  { job = "source next", state = "failed", since = "-90m", noted_at = "0m", times = 9, error = "x" },
]
finds = [{ job = "source first" }]

[[case]]
name  = "a turn that is missed later hides no failure"
given.jobs = [
  { job = "source relay", state = "failed", since = "-20m", noted_at = "-5m", times = 90, error = "no disk" },
  { job = "source relay", state = "missed", since = "-2m", noted_at = "-1m", times = 4, error = "the machine slept" },
]
finds = [{ job = "source relay", times = 90, error = "no disk" }]
---*/
