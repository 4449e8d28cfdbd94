/*---
title = "The day on which password log-ins ended for the whole tenant, if they have"
---*/
-- Days on which next to nobody gets in with a password any more, though it is known who does, are no weekend and no holiday.
WITH
terms AS (
  SELECT 0.1 AS next_to_nobody, 3 AS least_senders, 5 AS least_days
),
days AS (
  SELECT day, count(DISTINCT sender) AS senders
  FROM log_in_days
  WHERE is_by_password
    AND NOT is_summary
  GROUP BY day
),
usual AS (
  SELECT percentile_cont(0.75) WITHIN GROUP (ORDER BY senders) AS senders
  FROM days
),
last_days AS (
  SELECT max(days.day) AS day
  FROM days
  CROSS JOIN usual
  CROSS JOIN terms
  WHERE usual.senders >= terms.least_senders
    AND days.senders >= terms.next_to_nobody * usual.senders
),
known AS (
  SELECT max(complete_until) AS complete_until
  FROM feeds
  WHERE "table" IN ('usage', 'signins')
)
SELECT last_days.day AS last_day
FROM last_days
CROSS JOIN known
CROSS JOIN terms
WHERE CAST(known.complete_until AS DATE) > last_days.day + terms.least_days * INTERVAL 1 DAY
ORDER BY last_day
/*---
[[case]]
name = "passwords have ended when next to nobody uses one for five days of which all is known"
given.feeds = [{ table = "usage", complete_until = "-1d" }]
given.sender_days = [
  { sender = "a@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 30, step = "1d" },
  { sender = "b@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 30, step = "1d" },
  { sender = "c@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 30, step = "1d" },
]
finds = [{ last_day = 2026-12-20 }]

[[case]]
name = "not while the report is behind, nor where hardly anybody ever used one"
given.feeds = [{ table = "usage", complete_until = "-6d" }]
given.sender_days = [
  { sender = "a@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 30, step = "1d" },
  { sender = "b@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 30, step = "1d" },
  { sender = "c@contoso.example", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 30, step = "1d" },
]
finds = []
---*/
