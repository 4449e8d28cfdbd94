/*---
title       = "Nothing comes from {source} any more"
why         = "A sender that is refused or falls silent there raises no alarm, and no open problem there is called over. What authsunset says of it is as of the last row."
severity    = "high"
confidence  = "medium"
every       = "10m"
window      = "35d"
reads       = ["reads", "feeds"]
complete    = ["reads"]
about       = ["source"]
over_when   = "source_heard"
remedy      = "source_stale"
references  = ["https://learn.microsoft.com/exchange/monitoring/trace-an-email-message/graph-api-message-trace"]
known_gaps  = "A log whose host is down looks the same as one in which nothing happens. A source that never brought anything is not missed here; `doctor` tells of it."
false_positives = "A relay that has less to do than ever before, an export that somebody makes by hand now and then."

[params]
least_hours = 26
most_hours = 240
times_usual = 2.0
unknown_hours = 50
few_gaps = 3
---*/
WITH
arrivals AS (
  SELECT DISTINCT source, CAST(floor(epoch(read_at) / 3600) AS BIGINT) AS hour
  FROM reads
  WHERE read_at >= $window_start
    AND read_at < $window_end
    AND rows > 0
),
steps AS (
  SELECT source, hour - lag(hour) OVER (PARTITION BY source ORDER BY hour) AS gap
  FROM arrivals
),
rhythms AS (
  SELECT source, count(gap) AS gaps, max(gap) AS longest_gap
  FROM steps
  GROUP BY source
),
newest AS (
  SELECT
    source,
    max(newest_at) AS newest_at,
    max(complete_until) AS complete_until,
    string_agg("table", ', ' ORDER BY "table") AS brings
  FROM feeds
  GROUP BY source
),
judged AS (
  SELECT
    newest.source,
    newest.newest_at,
    newest.complete_until,
    newest.brings,
    (epoch(CAST($window_end AS TIMESTAMPTZ)) - epoch(newest.newest_at)) / 3600 AS hours,
    CASE
      WHEN coalesce(rhythms.gaps, 0) < $few_gaps THEN $unknown_hours
      ELSE least(greatest($least_hours, $times_usual * rhythms.longest_gap), $most_hours)
    END AS most_hours
  FROM newest
  LEFT JOIN rhythms ON rhythms.source = newest.source
)
SELECT
  source,
  newest_at AS first_seen,
  newest_at AS last_seen,
  brings,
  complete_until,
  CAST(most_hours AS BIGINT) AS usually_within_hours
FROM judged
WHERE hours > most_hours
ORDER BY first_seen, source
/*---
[[case]]
name  = "fires when the hourly source brings nothing for more than a day, and says what is missing"
given.feeds = [
  { source = "tenant", table = "traces", newest_at = "-27h", complete_until = "-27h" },
  { source = "tenant", table = "signins", newest_at = "-28h", complete_until = "-28h" },
]
given.reads = [{ source = "tenant", read_at = "-90h", times = 63, step = "1h", rows = 5 }]
finds = [{ source = "tenant", brings = "signins, traces", usually_within_hours = 26 }]

[[case]]
name  = "waits for a weekly export for two weeks and no longer"
given.feeds = [
  { source = "people", table = "exposure", newest_at = "-13d" },
  { source = "gone", table = "exposure", newest_at = "-20d" },
  { source = "monthly", table = "exposure", newest_at = "-9d" },
]
given.reads = [
  { source = "people", read_at = "-34d", times = 4, step = "7d", rows = 9 },
  { source = "gone", read_at = "-34d", times = 4, step = "4d", rows = 9 },
  { source = "monthly", read_at = "-34d", times = 1, rows = 9 },
]
finds = [{ source = "gone", usually_within_hours = 192 }, { source = "people", usually_within_hours = 240 }, { source = "monthly", usually_within_hours = 50 }]

[[case]]
name  = "stays silent while rows come, whatever else was read, and for a gap no longer than usual"
given.feeds = [
  { source = "fresh", table = "deliveries", newest_at = "-5m" },
  { source = "nightly", table = "usage", newest_at = "-30h" },
]
given.reads = [
  { source = "fresh", read_at = "-90h", times = 90, step = "1h", rows = 5 },
  { source = "nightly", read_at = "-200h", times = 4, step = "48h", rows = 5 },
]
finds = []

[[case]]
name  = "learns nothing from reads without rows, nor from those before the window or after it"
given.feeds = [{ source = "tenant", table = "traces", newest_at = "-51h" }]
given.reads = [
  { source = "tenant", read_at = "-200h", times = 40, step = "1h", rows = 0 },
  { source = "tenant", read_at = "-36d", times = 20, step = "1h", rows = 5 },
  { source = "tenant", read_at = "0m", times = 20, step = "1h", rows = 5 },
  { source = "tenant", read_at = "-35d", rows = 5 },
]
finds = [{ source = "tenant", usually_within_hours = 50 }]

[[case]]
name  = "waits two days for a source whose rhythm is not known yet"
given.feeds = [{ source = "tenant", table = "traces", newest_at = "-49h" }]
given.reads = [{ source = "tenant", read_at = "-52h", times = 3, step = "1h", rows = 5 }]
finds = []
---*/
