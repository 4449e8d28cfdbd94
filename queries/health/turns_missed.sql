/*---
title       = "authsunset was not running: {job} missed its turns"
why         = "Nothing was seen or said in that time. It has begun to catch up; what it finds now says that it is late."
severity    = "medium"
confidence  = "high"
every       = "1m"
window      = "1h"
reads       = ["jobs"]
about       = ["job"]
over_when   = "running_again"
remedy      = "turns_missed"
references  = ["https://apscheduler.readthedocs.io/en/3.x/userguide.html"]
known_gaps  = "Said only once it runs again; while it is down, systemd or whatever starts it has to tell."
false_positives = "A machine that sleeps at night, a restart for an update that took long."

[params]
min_minutes = 30
---*/
WITH
notes AS (
  SELECT job, since, noted_at, times
  FROM jobs
  WHERE noted_at >= $window_start
    AND noted_at < $window_end
    AND state = 'missed'
)
SELECT
  job,
  min(since) AS first_seen,
  max(noted_at) AS last_seen,
  CAST(max(epoch(noted_at) - epoch(since)) / 60 AS BIGINT) AS minutes_without_it,
  CAST(sum(times) AS BIGINT) AS turns_missed
FROM notes
WHERE epoch(noted_at) - epoch(since) >= $min_minutes * 60
GROUP BY job
ORDER BY minutes_without_it DESC, job
/*---
[[case]]
name  = "fires when the service was down for half an hour"
given.jobs = [{ job = "source tenant", state = "missed", since = "-31m", noted_at = "-1m", times = 1 }]
finds = [{ job = "source tenant", minutes_without_it = 30, turns_missed = 1 }]

[[case]]
name  = "stays silent for a shorter pause, and for a job that fails"
given.jobs = [
  { job = "source a", state = "missed", since = "-20m", noted_at = "-1m", times = 1 },
  { job = "source b", state = "failed", since = "-90m", noted_at = "-1m", times = 1, error = "no disk" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.jobs = [
  { job = "source old", state = "missed", since = "-3h", noted_at = "-61m", times = 1 },
  { job = "source first", state = "missed", since = "-3h", noted_at = "-60m", times = 1 },
  { job = "source next", state = "missed", since = "-3h", noted_at = "0m", times = 1 },
]
finds = [{ job = "source first", minutes_without_it = 120 }]

[[case]]
name  = "says nothing where nothing is known of jobs"
given.jobs = []
finds = []
---*/
