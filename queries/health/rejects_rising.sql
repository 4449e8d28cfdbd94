/*---
title       = "More of {source} cannot be read than before: {rejects} of {lines} lines"
why         = "What cannot be read is kept and not lost, but a sender that is refused in those lines raises no alarm."
severity    = "medium"
confidence  = "high"
every       = "15m"
window      = "6h"
reads       = ["reads", "quarantine"]
about       = ["source"]
over_when   = "rejects_fell"
remedy      = "rejects_rising"
references  = ["https://www.rfc-editor.org/rfc/rfc5424"]
known_gaps  = "What has been unreadable from the first day on is past as well after a week. A line that is read wrongly, rather than not at all, is not seen here."
false_positives = "A file that is no log among those of the source."

[params]
min_rejects = 20
min_rejected_share = 0.05
min_rise = 3
past_days = 7
---*/
WITH
pieces AS (
  SELECT
    source,
    format,
    origin,
    read_at,
    lines,
    rejects,
    read_at >= $window_start AS is_now
  FROM reads
  WHERE read_at >= CAST($window_start AS TIMESTAMPTZ) - $past_days * INTERVAL 1 DAY
    AND read_at < $window_end
),
sums AS (
  SELECT
    source,
    format,
    min(read_at) FILTER (WHERE is_now AND rejects > 0) AS first_seen,
    max(read_at) FILTER (WHERE rejects > 0) AS last_seen,
    coalesce(sum(lines) FILTER (WHERE is_now), 0) AS lines,
    coalesce(sum(rejects) FILTER (WHERE is_now), 0) AS rejects,
    coalesce(sum(rejects) FILTER (WHERE NOT is_now) / nullif(sum(lines) FILTER (WHERE NOT is_now), 0), 0) AS past_share
  FROM pieces
  GROUP BY source, format
),
origins AS (
  SELECT source, format, origin, sum(rejects) AS rejects
  FROM pieces
  WHERE is_now
  GROUP BY source, format, origin
),
worst_origins AS (
  SELECT source, format, max_by(origin, (rejects, origin)) AS origin
  FROM origins
  GROUP BY source, format
),
reasons AS (
  SELECT source, format, reason, count(*) AS records
  FROM quarantine
  WHERE quarantined_at >= $window_start
    AND quarantined_at < $window_end
  GROUP BY source, format, reason
),
common_reasons AS (
  SELECT source, format, max_by(reason, (records, reason)) AS reason
  FROM reasons
  GROUP BY source, format
),
rising AS (
  -- One finding for each source: that of its format which rejects most.
  SELECT
    source,
    format,
    first_seen,
    last_seen,
    lines,
    rejects,
    past_share,
    row_number() OVER (PARTITION BY source ORDER BY rejects DESC, format) AS place
  FROM sums
  WHERE rejects >= $min_rejects
    AND rejects >= $min_rejected_share * lines
    AND rejects >= $min_rise * past_share * lines
)
SELECT
  source,
  rising.first_seen,
  rising.last_seen,
  format,
  worst_origins.origin,
  CAST(rising.rejects AS BIGINT) AS rejects,
  CAST(rising.lines AS BIGINT) AS lines,
  round(rising.rejects / rising.lines, 2) AS rejected_share,
  round(rising.past_share, 2) AS share_before,
  common_reasons.reason AS commonest_reason
FROM rising
JOIN worst_origins USING (source, format)
LEFT JOIN common_reasons USING (source, format)
WHERE rising.place = 1
ORDER BY rising.rejects DESC, source
/*---
[[case]]
name  = "fires when a source has more rejects than it used to, and says where they are and why"
given.reads = [
  { source = "relay", format = "log", origin = "/var/log/mail.log", read_at = "-3d", lines = 100, rejects = 1 },
  { source = "relay", format = "log", origin = "/var/log/mail.log", read_at = "-3h", lines = 0, rejects = 0 },
  { source = "relay", format = "log", origin = "/var/log/mail.log", read_at = "-2h", lines = 300, rejects = 30 },
  { source = "relay", format = "log", origin = "/var/log/other.log", read_at = "-90m", lines = 100, rejects = 10 },
  { source = "relay", format = "log", origin = "/var/log/mail.log", read_at = "-1h", lines = 100, rejects = 0 },
]
given.quarantine = [
  { source = "relay", format = "log", quarantined_at = "-2h", reason = "no time that can be read" },
  { source = "relay", format = "log", quarantined_at = "-2h", reason = "no time that can be read" },
  { source = "relay", format = "log", quarantined_at = "-2h", reason = "a line is too long" },
  { times = 9, source = "relay", format = "log", quarantined_at = "-3d", reason = "an old reason" },
  { times = 9, source = "relay", format = "log", quarantined_at = "0m", reason = "a later reason" },
]
finds = [{ source = "relay", format = "log", origin = "/var/log/mail.log", rejects = 40, lines = 500, rejected_share = 0.08, share_before = 0.01, commonest_reason = "no time that can be read", first_seen = 2026-12-31T21:00:00Z, last_seen = 2026-12-31T21:30:00Z }]

[[case]]
name  = "fires for a new source of which much cannot be read, though nothing is known of its past"
given.reads = [{ source = "new", format = "message_trace_csv", origin = "a.csv", read_at = "-1h", lines = 40, rejects = 40 }]
finds = [{ source = "new", format = "message_trace_csv", rejected_share = 1.0, share_before = 0.0 }]

[[case]]
name  = "stays silent when it is no more than before, for a small share of many lines, and for a handful"
given.reads = [
  { source = "noisy", format = "log", origin = "a", read_at = "-3d", lines = 1000, rejects = 300 },
  { source = "noisy", format = "log", origin = "a", read_at = "-1h", lines = 100, rejects = 40 },
  { source = "large", format = "log", origin = "b", read_at = "-3d", lines = 1000, rejects = 1 },
  { source = "large", format = "log", origin = "b", read_at = "-1h", lines = 1000, rejects = 40 },
  { source = "small", format = "log", origin = "c", read_at = "-1h", lines = 19, rejects = 19 },
]
finds = []

[[case]]
name  = "says of one source only the format that rejects most"
given.reads = [
  { source = "mixed", format = "dsn", origin = "a", read_at = "-1h", lines = 50, rejects = 30 },
  { source = "mixed", format = "log", origin = "b", read_at = "-1h", lines = 50, rejects = 40 },
]
given.quarantine = [
  { times = 2, source = "mixed", format = "dsn", quarantined_at = "-1h", reason = "of a bounce" },
  { source = "mixed", format = "log", quarantined_at = "-1h", reason = "of a log" },
  { times = 3, source = "other", format = "log", quarantined_at = "-1h", reason = "of another" },
]
finds = [{ source = "mixed", format = "log", origin = "b", commonest_reason = "of a log" }]

[[case]]
name  = "takes the worst file from now, not from the past, and of that very source and format"
given.reads = [
  { source = "relay", format = "log", origin = "old", read_at = "-3d", lines = 90000, rejects = 90 },
  { source = "relay", format = "log", origin = "new", read_at = "-1h", lines = 50, rejects = 30 },
  { source = "other", format = "log", origin = "else", read_at = "-1h", lines = 90000, rejects = 90 },
  { source = "relay", format = "dsn", origin = "mail", read_at = "-1h", lines = 90000, rejects = 91 },
]
finds = [{ source = "relay", format = "log", origin = "new" }]

[[case]]
name  = "looks at the first moment of the window and not at its end; before it is the past, for a week"
given.reads = [
  { source = "first", format = "log", origin = "a", read_at = "-6h", lines = 50, rejects = 30 },
  { source = "first", format = "log", origin = "a", read_at = "-8d", lines = 50, rejects = 50 },
  { source = "old", format = "log", origin = "b", read_at = "-361m", lines = 50, rejects = 30 },
  { source = "next", format = "log", origin = "c", read_at = "0m", lines = 50, rejects = 30 },
]
finds = [{ source = "first", share_before = 0.0 }]
---*/
