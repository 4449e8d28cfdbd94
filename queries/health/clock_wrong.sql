/*---
title       = "The times of {log_host} in {source} are {difference} {direction}"
why         = "What happens there is noted at the wrong hour: windows are asked too late or about the wrong mails, and an acceptance may seem to come before the refusal that it ends."
severity    = "medium"
confidence  = "medium"
every       = "5m"
window      = "6h"
reads       = ["deliveries"]
about       = ["log_host", "source"]
over_when   = "clock_right"
remedy      = "clock_wrong"
references  = ["https://www.rfc-editor.org/rfc/rfc5424", "https://www.freedesktop.org/software/systemd/man/latest/timedatectl.html"]
known_gaps  = "Behind is told only of a log that is followed line by line: of one that comes in batches nobody knows how old a line may be. Ahead by more than a day is taken for last year where stamps have no year."
false_positives = "A log that is passed on with a delay that is always the same."

[params]
min_minutes_ahead = 5
min_rows_ahead = 3
min_minutes_behind = 20
min_rows_behind = 5
min_reads_behind = 3
min_minutes_followed = 30
most_wobble_minutes = 10
zone_step_minutes = 30
zone_slack_minutes = 3
---*/
WITH
events AS (
  -- A bounce tells of another's clock, and a queue listing of no moment at all.
  SELECT
    coalesce(log_host, source) AS log_host,
    source,
    format,
    event_time,
    ingested_at,
    date_diff('second', ingested_at, event_time) / 60.0 AS offset_minutes
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND format <> 'dsn'
),
clocks AS (
  -- A line is read after it was written, never before: so the largest offset is the nearest to that of the clock.
  SELECT
    log_host,
    source,
    max(offset_minutes) AS offset_minutes,
    max(offset_minutes) - min(offset_minutes) AS wobble_minutes,
    count(*) FILTER (WHERE offset_minutes >= $min_minutes_ahead) AS rows_ahead,
    count(*) AS rows,
    count(DISTINCT ingested_at) AS reads_seen,
    date_diff('minute', min(ingested_at), max(ingested_at)) AS minutes_followed,
    min(ingested_at) AS first_read,
    max(ingested_at) AS last_read,
    min(ingested_at) FILTER (WHERE offset_minutes >= $min_minutes_ahead) AS first_ahead,
    max(ingested_at) FILTER (WHERE offset_minutes >= $min_minutes_ahead) AS last_ahead,
    max_by(event_time, (offset_minutes, event_time)) AS its_time,
    max_by(ingested_at, (offset_minutes, event_time)) AS time_here,
    max(format) AS program
  FROM events
  GROUP BY log_host, source
),
wrong AS (
  SELECT
    log_host,
    source,
    program,
    rows_ahead >= $min_rows_ahead AS is_ahead,
    CAST(round(abs(offset_minutes)) AS BIGINT) AS minutes,
    first_read,
    last_read,
    first_ahead,
    last_ahead,
    its_time,
    time_here
  FROM clocks
  WHERE rows_ahead >= $min_rows_ahead
    OR (
      offset_minutes <= -$min_minutes_behind
      AND rows >= $min_rows_behind
      AND reads_seen >= $min_reads_behind
      AND minutes_followed >= $min_minutes_followed
      AND wobble_minutes <= $most_wobble_minutes
    )
)
SELECT
  log_host,
  source,
  CASE WHEN is_ahead THEN first_ahead ELSE first_read END AS first_seen,
  CASE WHEN is_ahead THEN last_ahead ELSE last_read END AS last_seen,
  CASE
    WHEN minutes >= 2 * 1440 THEN CAST(round(minutes / 1440.0) AS BIGINT) || ' days'
    WHEN minutes >= 2 * 60 THEN round(minutes / 60.0, 1) || ' hours'
    ELSE minutes || ' minutes'
  END AS difference,
  minutes,
  CASE WHEN is_ahead THEN 'ahead' ELSE 'behind' END AS direction,
  CASE
    WHEN (minutes + $zone_slack_minutes) % $zone_step_minutes <= $zone_slack_minutes + $zone_slack_minutes
      THEN 'a time zone: the difference is whole or half hours'
    ELSE 'a clock that runs wrong: the difference is no whole hours'
  END AS looks_like,
  its_time,
  time_here,
  program
FROM wrong
ORDER BY minutes DESC, log_host, source
/*---
[[case]]
name  = "fires for lines that were read before they were written, and knows a time zone by its whole hours"
given.deliveries = [
  { source = "mail", log_host = "relay01", event_time = "-3h", ingested_at = "-240m", outcome = "accepted" },
  { source = "mail", log_host = "relay01", event_time = "-2h", ingested_at = "-181m", outcome = "accepted" },
  { source = "mail", log_host = "relay01", event_time = "-1h", ingested_at = "-122m", outcome = "accepted" },
]
finds = [{ log_host = "relay01", source = "mail", minutes = 62, difference = "62 minutes", direction = "ahead", looks_like = "a time zone: the difference is whole or half hours", first_seen = 2026-12-31T19:00:00Z, last_seen = 2026-12-31T20:58:00Z, its_time = 2026-12-31T22:00:00Z, time_here = 2026-12-31T20:58:00Z, program = "postfix" }]

[[case]]
name  = "fires for a log that is followed line by line, each of them hours old"
given.deliveries = [
  { source = "mail", log_host = "relay01", event_time = "-300m", ingested_at = "-179m" },
  { source = "mail", log_host = "relay01", event_time = "-290m", ingested_at = "-170m" },
  { source = "mail", log_host = "relay01", event_time = "-280m", ingested_at = "-155m" },
  { source = "mail", log_host = "relay01", event_time = "-270m", ingested_at = "-149m" },
  { source = "mail", log_host = "relay01", event_time = "-269m", ingested_at = "-149m" },
]
finds = [{ log_host = "relay01", minutes = 120, difference = "2.0 hours", direction = "behind", looks_like = "a time zone: the difference is whole or half hours", its_time = 2026-12-31T18:31:00Z, time_here = 2026-12-31T20:31:00Z, first_seen = 2026-12-31T20:01:00Z, last_seen = 2026-12-31T20:31:00Z }]

[[case]]
name  = "calls a clock wrong whose difference is no whole hours, or only minutes"
given.deliveries = [
  { times = 3, source = "mail", log_host = "a", event_time = "-1h", ingested_at = "-105m" },
  { times = 3, source = "mail", log_host = "b", event_time = "-1h", ingested_at = "-65m" },
  { times = 3, source = "mail", log_host = "c", event_time = "-1h", ingested_at = "-62m" },
]
finds = [
  { log_host = "a", minutes = 45, looks_like = "a clock that runs wrong: the difference is no whole hours" },
  { log_host = "b", minutes = 5, looks_like = "a clock that runs wrong: the difference is no whole hours" },
]

[[case]]
name  = "calls minutes minutes, however near to no difference they are"
given.deliveries = [{ times = 3, source = "mail", log_host = "d", event_time = "-1h", ingested_at = "-66m" }]
finds = [{ minutes = 6, looks_like = "a clock that runs wrong: the difference is no whole hours" }]

[[case]]
name  = "says days where it is days"
given.deliveries = [{ times = 3, source = "mail", log_host = "d", event_time = "-1h", ingested_at = "-30d" }]
finds = [{ difference = "30 days", direction = "ahead" }]

[[case]]
name  = "tells the lines that are ahead from those of before, when the clock was still right"
given.deliveries = [
  { source = "mail", log_host = "relay01", event_time = "-5h", ingested_at = "-5h" },
  { times = 3, source = "mail", log_host = "relay01", event_time = "-2h", ingested_at = "-3h" },
  { source = "mail", log_host = "relay01", event_time = "-1h", ingested_at = "-1h" },
]
finds = [{ log_host = "relay01", first_seen = 2026-12-31T20:00:00Z, last_seen = 2026-12-31T20:00:00Z }]

[[case]]
name  = "stays silent for two odd lines, for a bounce that tells of another's clock, and for what a listing holds"
given.deliveries = [
  { times = 2, log_host = "a", event_time = "-1h", ingested_at = "-2h" },
  { times = 9, log_host = "b", format = "dsn", event_time = "-1h", ingested_at = "-2h" },
  { times = 9, log_host = "c", kind = "held", event_time = "-1h", ingested_at = "-2h" },
]
finds = []

[[case]]
name  = "stays silent for old lines that are read at once, that come in batches, or that are few"
given.deliveries = [
  { times = 9, log_host = "once", event_time = "-5h", ingested_at = "-1h" },
  { times = 3, log_host = "twice", event_time = "-5h", ingested_at = "-100m" },
  { times = 3, log_host = "twice", event_time = "-265m", ingested_at = "-65m" },
  { times = 2, log_host = "short", event_time = "-5h", ingested_at = "-100m" },
  { times = 2, log_host = "short", event_time = "-285m", ingested_at = "-85m" },
  { times = 2, log_host = "short", event_time = "-271m", ingested_at = "-71m" },
  { times = 2, log_host = "batch", event_time = "-5h", ingested_at = "-100m" },
  { times = 2, log_host = "batch", event_time = "-4h", ingested_at = "-80m" },
  { times = 2, log_host = "batch", event_time = "-3h", ingested_at = "-60m" },
  { log_host = "few", event_time = "-5h", ingested_at = "-100m" },
  { log_host = "few", event_time = "-4h", ingested_at = "-40m" },
  { times = 2, log_host = "few", event_time = "-200m", ingested_at = "0m" },
  { times = 2, log_host = "fine", event_time = "-5h", ingested_at = "-285m" },
  { times = 2, log_host = "fine", event_time = "-4h", ingested_at = "-225m" },
  { times = 2, log_host = "fine", event_time = "-3h", ingested_at = "-165m" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { times = 3, log_host = "old", event_time = "-361m", ingested_at = "-9h" },
  { times = 3, log_host = "first", event_time = "-360m", ingested_at = "-9h" },
  { times = 3, log_host = "next", event_time = "0m", ingested_at = "-1h" },
]
finds = [{ log_host = "first", minutes = 180 }]
---*/
