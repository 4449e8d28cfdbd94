/*---
title = "What each sender did on each day: got in by which way, or was refused"
---*/
-- A row of traces says that a mail got in and not how. What a log and a report both count is never added.
WITH
told_by_day AS (
  -- A summary counts weeks under their last day; it is asked only about senders of whom nothing better tells.
  SELECT DISTINCT sender
  FROM log_in_days
  WHERE auth_protocol IN ('basic', 'oauth2')
    AND NOT is_summary
),
facts AS (
  SELECT log_in_days.*
  FROM log_in_days
  LEFT JOIN told_by_day ON told_by_day.sender = log_in_days.sender
  WHERE told_by_day.sender IS NULL OR NOT log_in_days.is_summary
)
SELECT
  sender,
  day,
  CAST(coalesce(sum(mails) FILTER (WHERE is_by_password), 0) AS BIGINT) AS by_password,
  CAST(coalesce(sum(mails) FILTER (WHERE is_by_oauth), 0) AS BIGINT) AS by_oauth,
  CAST(coalesce(sum(mails) FILTER (WHERE is_by_another_way), 0) AS BIGINT) AS by_another_way,
  CAST(coalesce(sum(mails) FILTER (WHERE is_by_log_in), 0) AS BIGINT) AS by_log_in,
  CAST(coalesce(sum(mails) FILTER (WHERE is_traced), 0) AS BIGINT) AS traced,
  CAST(coalesce(sum(mails) FILTER (WHERE evidence = 'usage'), 0) AS BIGINT) AS reported,
  CAST(coalesce(sum(mails) FILTER (WHERE is_refused), 0) AS BIGINT) AS refused,
  min(first_at) FILTER (WHERE is_refused) AS first_refused_at,
  max(last_at) FILTER (WHERE is_refused) AS last_refused_at,
  min(first_at) FILTER (WHERE is_traced OR is_by_log_in OR is_by_another_way) AS first_in_at,
  max(last_at) FILTER (WHERE is_traced OR is_by_log_in OR is_by_another_way) AS last_in_at,
  max(last_at) FILTER (WHERE is_by_oauth OR is_by_another_way) AS last_new_way_at,
  string_agg(DISTINCT evidence, ', ' ORDER BY evidence) AS evidence
FROM facts
GROUP BY sender, day
ORDER BY sender, day
/*---
[[case]]
name = "tells the ways apart, and a refusal from a limit"
given.sender_days = [
  { sender = "a@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4 },
  { sender = "a@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "oauth2", outcome = "accepted", events = 2, last_at = "-1h" },
  { sender = "a@contoso.example", evidence = "deliveries", kind = "try", outcome = "accepted", service = "hve", events = 3, last_at = "-2h" },
  { sender = "a@contoso.example", evidence = "deliveries", kind = "held", outcome = "accepted", service = "hve", events = 9 },
  { sender = "a@contoso.example", evidence = "traces", outcome = "delivered", events = 5, last_at = "-30m" },
  { sender = "a@contoso.example", evidence = "traces", outcome = "failed", events = 7, last_at = "-1m" },
  { sender = "a@contoso.example", evidence = "deliveries", kind = "try", outcome = "deferred", reply_class = "basic_retired", events = 6, first_at = "-5h", last_at = "-4h" },
  { sender = "a@contoso.example", evidence = "deliveries", kind = "try", outcome = "deferred", reply_class = "rate", events = 8, last_at = "-1m" },
  { sender = "a@contoso.example", evidence = "deliveries", kind = "try", outcome = "rejected", reply_class = "not_authenticated", service = "other", events = 8 },
]
finds = [{ sender = "a@contoso.example", by_password = 4, by_oauth = 2, by_another_way = 3, by_log_in = 2, traced = 5, reported = 4, refused = 6, evidence = "deliveries, traces, usage" }]
---*/
