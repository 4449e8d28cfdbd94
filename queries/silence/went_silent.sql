/*---
title       = "{sender} has gone silent"
why         = "Its mail used to come regularly and has stopped, and no log tells why. A device that submits directly is refused without a trace."
severity    = "medium"
confidence  = "medium"
every       = "1h"
window      = "200d"
reads       = ["sender_days", "feeds"]
complete    = ["traces", "deliveries"]
about       = ["sender"]
over_when   = "heard_again"
remedy      = "went_silent"
references  = ["https://learn.microsoft.com/exchange/monitoring/trace-an-email-message/message-trace-modern-eac"]
known_gaps  = "A sender without a rhythm, or seen on fewer than three days, is never called silent. What shares its address with a sender that goes on is not seen."
false_positives = "A device that was retired, an office that is closed for longer than ever before, a person on a long leave."

[params]
many_gaps = 6
few_gaps = 2
regular_times = 1.35
slack_days = 2
few_slack_share = 0.26
closed_days = 6
long_after_days = 21
known_days = 14
seldom_days = 4
spread_times = 3.0
people_days = 11
people_share = 0.5
few_quiet_days = 0.1
quiet_share = 0.5
hole_share = 0.05
min_people = 5
busy_hours = 18
least_hours = 20
---*/
WITH
signs AS (
  -- Whatever a sender was seen doing; a refused try is a sign of life too.
  SELECT sender, day, evidence, auth_protocol, sum(events) AS events, bit_or(hours) AS hours, max(last_at) AS last_at
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND sender <> ''
    AND (evidence <> 'deliveries' OR kind = 'try')
    AND (evidence <> 'signins' OR outcome = 'accepted')
    -- A summary counts weeks under their last day, so it says nothing of any day.
    AND coalesce(kind, '') <> 'eac_summary'
  GROUP BY sender, day, evidence, auth_protocol
  HAVING sum(events) > 0
),
machines AS (
  -- What submits by itself, and not only logs in; the rest are people, and tell which days are working days.
  SELECT sender
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND service IN ('exchange_online', 'exchange_online_mx', 'hve', 'acs')
    AND (evidence <> 'signins' OR outcome = 'accepted')
  GROUP BY sender
),
day_counts AS (
  SELECT
    signs.day,
    count(DISTINCT signs.sender) AS senders,
    count(DISTINCT signs.sender) FILTER (WHERE machines.sender IS NULL) AS people
  FROM signs
  LEFT JOIN machines ON machines.sender = signs.sender
  GROUP BY signs.day
),
usual_days AS (
  SELECT
    percentile_cont(0.75) WITHIN GROUP (ORDER BY people) AS people,
    percentile_cont(0.75) WITHIN GROUP (ORDER BY senders) AS senders
  FROM day_counts
),
known_days AS (
  -- A day of which next to nothing is known is a hole in what was read, and counts for nobody.
  SELECT
    day_counts.day,
    CASE
      WHEN usual_days.people >= $min_people THEN day_counts.people < $quiet_share * usual_days.people
      ELSE day_counts.senders < $quiet_share * usual_days.senders
    END AS is_quiet
  FROM day_counts
  CROSS JOIN usual_days
  WHERE day_counts.senders >= $hole_share * usual_days.senders
),
numbered_days AS (
  SELECT
    day,
    is_quiet,
    row_number() OVER (ORDER BY day) AS day_number,
    sum(CASE WHEN is_quiet THEN 0 ELSE 1 END) OVER (ORDER BY day) AS working_day_number
  FROM known_days
),
all_days AS (
  SELECT avg(CASE WHEN is_quiet THEN 1.0 ELSE 0.0 END) AS quiet_share
  FROM known_days
),
complete_tables AS (
  SELECT "table" AS evidence, min(complete_until) AS complete_until
  FROM feeds
  GROUP BY "table"
),
seen_in AS (
  SELECT sender, evidence, max(day) AS last_day
  FROM signs
  GROUP BY sender, evidence
),
known_until AS (
  -- What is judged is the time up to which everything that shows the sender was read; a report only where nothing else does.
  SELECT
    seen_in.sender,
    coalesce(
      min(complete_tables.complete_until) FILTER (WHERE seen_in.evidence IN ('traces', 'deliveries')),
      min(complete_tables.complete_until)
    ) AS as_of
  FROM seen_in
  JOIN complete_tables ON complete_tables.evidence = seen_in.evidence
  GROUP BY seen_in.sender
),
active_days AS (
  SELECT sender, day, bool_or(evidence <> 'signins') AS has_mail, bool_or(evidence = 'deliveries') AS is_logged, max(last_at) AS last_at
  FROM signs
  GROUP BY sender, day
),
habits AS (
  SELECT
    active_days.sender,
    count(*) AS days,
    max(all_days.quiet_share) >= $few_quiet_days
      AND avg(CASE WHEN numbered_days.is_quiet THEN 1.0 ELSE 0.0 END) <= $people_share * max(all_days.quiet_share) AS is_of_working_days,
    max(active_days.day) AS last_day,
    bool_or(active_days.is_logged) AS is_logged,
    max(active_days.last_at) AS last_at
  FROM active_days
  JOIN machines ON machines.sender = active_days.sender
  JOIN numbered_days ON numbered_days.day = active_days.day
  CROSS JOIN all_days
  GROUP BY active_days.sender
  HAVING bool_or(active_days.has_mail)
),
counted_days AS (
  SELECT
    active_days.sender,
    active_days.day,
    CASE WHEN habits.is_of_working_days THEN numbered_days.working_day_number ELSE numbered_days.day_number END AS number
  FROM active_days
  JOIN habits ON habits.sender = active_days.sender
  JOIN numbered_days ON numbered_days.day = active_days.day
),
steps AS (
  -- What came after passwords have ended is nobody's usual rhythm.
  SELECT counted_days.sender, counted_days.number - lag(counted_days.number) OVER (PARTITION BY counted_days.sender ORDER BY counted_days.day) AS gap
  FROM counted_days
  LEFT JOIN password_end ON TRUE
  WHERE password_end.last_day IS NULL OR counted_days.day <= password_end.last_day + INTERVAL 1 DAY
),
rhythms AS (
  SELECT
    sender,
    count(gap) AS gaps,
    sum(gap) AS known_days,
    greatest(min(gap), 1) AS least_gap,
    greatest(median(gap), 1) AS usual_gap,
    greatest(percentile_cont(0.95) WITHIN GROUP (ORDER BY gap), 1) AS common_gap,
    greatest(max(gap), 1) AS longest_gap
  FROM steps
  GROUP BY sender
),
silences AS (
  -- Whole days of which everything is known and in which nothing came.
  SELECT
    habits.sender,
    max(CASE WHEN habits.is_of_working_days THEN numbered_days.working_day_number ELSE numbered_days.day_number END)
      - max(CASE
          WHEN numbered_days.day > habits.last_day THEN NULL
          WHEN habits.is_of_working_days THEN numbered_days.working_day_number
          ELSE numbered_days.day_number
        END) AS silent_days
  FROM habits
  JOIN known_until ON known_until.sender = habits.sender
  JOIN numbered_days ON numbered_days.day < CAST(known_until.as_of AS DATE)
  GROUP BY habits.sender
),
allowed AS (
  SELECT
    rhythms.sender,
    CASE
      WHEN rhythms.gaps >= $many_gaps AND rhythms.known_days >= $known_days
        -- One run may be left out without anybody minding.
        THEN rhythms.longest_gap
          + greatest($slack_days, rhythms.usual_gap + 1, $spread_times * (rhythms.longest_gap - rhythms.usual_gap))
      WHEN rhythms.gaps >= $few_gaps AND rhythms.known_days >= $known_days
        AND rhythms.usual_gap >= $seldom_days
        AND rhythms.longest_gap <= $regular_times * rhythms.least_gap
        THEN rhythms.longest_gap + greatest($slack_days, $few_slack_share * rhythms.longest_gap)
    END AS most_days,
    CASE WHEN rhythms.gaps >= $many_gaps THEN greatest($closed_days, 2 * rhythms.common_gap + $slack_days) END AS most_days_when_closed,
    CASE WHEN rhythms.gaps >= $few_gaps THEN greatest($closed_days, rhythms.common_gap + $slack_days) END AS most_days_long_after
  FROM rhythms
),
busy_days AS (
  SELECT sender, day, bit_count(bit_or(hours)) AS active_hours, max(last_at) AS last_at
  FROM signs
  GROUP BY sender, day
),
round_the_clock AS (
  -- A sender that is there in nearly every hour is missed after hours, not after days.
  SELECT sender, greatest($least_hours, 2 * (25 - percentile_cont(0.25) WITHIN GROUP (ORDER BY active_hours))) AS most_hours
  FROM busy_days
  GROUP BY sender
  HAVING count(*) >= $many_gaps AND percentile_cont(0.25) WITHIN GROUP (ORDER BY active_hours) >= $busy_hours
),
protocols AS (
  SELECT sender, max_by(auth_protocol, day) AS last_protocol
  FROM signs
  WHERE auth_protocol IN ('basic', 'oauth2')
  GROUP BY sender
),
judged AS (
  SELECT
    habits.sender,
    habits.last_day,
    habits.last_at,
    habits.days,
    habits.is_of_working_days,
    rhythms.usual_gap,
    known_until.as_of,
    silences.silent_days,
    -- Where passwords have ended for everybody, one that used them till then is missed much sooner, unless a log would show
    -- its refusal.
    CASE
      WHEN protocols.last_protocol = 'basic' AND NOT habits.is_logged
        AND habits.last_day <= password_end.last_day + INTERVAL 1 DAY
        THEN least(
          allowed.most_days,
          CASE
            WHEN CAST(known_until.as_of AS DATE) >= password_end.last_day + $long_after_days * INTERVAL 1 DAY
              THEN allowed.most_days_long_after
            ELSE allowed.most_days_when_closed
          END + CASE WHEN habits.is_of_working_days THEN $people_days - $closed_days ELSE 0 END
        )
      WHEN habits.is_of_working_days AND allowed.most_days < $people_days THEN $people_days
      ELSE allowed.most_days
    END AS most_days,
    protocols.last_protocol,
    round_the_clock.most_hours,
    (epoch(known_until.as_of) - epoch(habits.last_at)) / 3600 AS silent_hours
  FROM habits
  JOIN rhythms ON rhythms.sender = habits.sender
  JOIN known_until ON known_until.sender = habits.sender
  JOIN allowed ON allowed.sender = habits.sender
  LEFT JOIN silences ON silences.sender = habits.sender
  LEFT JOIN round_the_clock ON round_the_clock.sender = habits.sender
  LEFT JOIN protocols ON protocols.sender = habits.sender
  LEFT JOIN password_end ON TRUE
)
SELECT
  judged.sender,
  coalesce(judged.last_at, CAST(judged.last_day AS TIMESTAMPTZ)) AS first_seen,
  coalesce(judged.last_at, CAST(judged.last_day AS TIMESTAMPTZ)) AS last_seen,
  CASE
    WHEN judged.most_hours IS NOT NULL THEN 'all day and night'
    WHEN judged.usual_gap < 2 AND judged.is_of_working_days THEN 'on working days'
    WHEN judged.usual_gap < 2 THEN 'every day'
    WHEN judged.is_of_working_days AND judged.usual_gap BETWEEN 4 AND 6 THEN 'every week'
    WHEN judged.usual_gap BETWEEN 6 AND 8 THEN 'every week'
    WHEN judged.is_of_working_days AND judged.usual_gap BETWEEN 17 AND 24 THEN 'every month'
    WHEN judged.usual_gap BETWEEN 27 AND 33 THEN 'every month'
    ELSE 'every ' || CAST(CAST(round(judged.usual_gap) AS BIGINT) AS VARCHAR)
      || CASE WHEN judged.is_of_working_days THEN ' working days' ELSE ' days' END
  END AS usually_comes,
  CAST(judged.silent_days AS BIGINT) AS days_without_mail,
  judged.last_protocol
FROM judged
WHERE judged.silent_days >= judged.most_days
  OR (judged.most_days IS NOT NULL AND judged.silent_hours >= judged.most_hours)
ORDER BY first_seen, judged.sender
/*---
[[case]]
name  = "misses a nightly job after more nights than ever before"
given.feeds = [{ table = "traces" }]
given.sender_days = [
  { sender = "nas@contoso.example", evidence = "traces", outcome = "delivered", day = "-40d", times = 34, step = "1d" },
  { sender = "other@contoso.example", evidence = "traces", outcome = "delivered", day = "-40d", times = 41, step = "1d" },
]
finds = [{ sender = "nas@contoso.example", usually_comes = "every day", days_without_mail = 6 }]

[[case]]
name  = "misses a monthly job of which only three mails are known"
given.feeds = [{ table = "traces" }]
given.sender_days = [
  { sender = "payroll@contoso.example", evidence = "traces", outcome = "delivered", day = "-100d", times = 3, step = "30d" },
  { sender = "other@contoso.example", evidence = "traces", outcome = "delivered", day = "-120d", times = 121, step = "1d" },
]
finds = [{ sender = "payroll@contoso.example", usually_comes = "every month", days_without_mail = 39 }]

[[case]]
name  = "waits for a monthly job as long as a month may be"
given.feeds = [{ table = "traces" }]
given.sender_days = [
  { sender = "payroll@contoso.example", evidence = "traces", outcome = "delivered", day = "-92d", times = 3, step = "30d" },
  { sender = "other@contoso.example", evidence = "traces", outcome = "delivered", day = "-120d", times = 121, step = "1d" },
]
finds = []

[[case]]
name  = "says nothing of a sender that was seen too seldom to have a rhythm, or has none"
given.feeds = [{ table = "traces" }]
given.sender_days = [
  { sender = "twice@contoso.example", evidence = "traces", outcome = "delivered", day = "-110d", times = 2, step = "30d" },
  { sender = "odd@contoso.example", evidence = "traces", outcome = "delivered", day = "-120d" },
  { sender = "odd@contoso.example", evidence = "traces", outcome = "delivered", day = "-110d" },
  { sender = "odd@contoso.example", evidence = "traces", outcome = "delivered", day = "-80d" },
  { sender = "other@contoso.example", evidence = "traces", outcome = "delivered", day = "-120d", times = 121, step = "1d" },
]
finds = []

[[case]]
name  = "tells each rhythm from the days on which the office works, which was closed for three weeks in October"
given.feeds = [{ table = "traces" }, { table = "deliveries" }]
given.sender_days = [
  { sender = "anna@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "anna@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "berta@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "berta@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "carl@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "carl@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "dora@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "dora@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "emil@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "emil@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "on-leave@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "on-leave@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 55, step = "1d" },
  { sender = "left@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 30, step = "1d" },
  { sender = "well@contoso.example", evidence = "deliveries", day = "-120d", times = 120, step = "1d" },
  { sender = "due-20@contoso.example", evidence = "deliveries", day = "-56d", times = 3, step = "20d" },
  { sender = "work-20@contoso.example", evidence = "deliveries", day = "-120d", times = 2, step = "20d" },
  { sender = "work-20@contoso.example", evidence = "deliveries", day = "-60d" },
  { sender = "all-20@contoso.example", evidence = "deliveries", day = "-119d", times = 4, step = "20d" },
  { sender = "work-10@contoso.example", evidence = "deliveries", day = "-120d", times = 4, step = "10d" },
  { sender = "work-10@contoso.example", evidence = "deliveries", day = "-60d", times = 2, step = "10d" },
  { sender = "all-5@contoso.example", evidence = "deliveries", day = "-120d", times = 15, step = "5d" },
  { sender = "all-30@contoso.example", evidence = "deliveries", day = "-108d", times = 3, step = "30d" },
  { sender = "work-5@contoso.example", evidence = "deliveries", day = "-120d", times = 8, step = "5d" },
  { sender = "work-5@contoso.example", evidence = "deliveries", day = "-60d", times = 5, step = "5d" },
  { sender = "all-7@contoso.example", evidence = "deliveries", day = "-115d", times = 12, step = "7d" },
  { sender = "work-1@contoso.example", evidence = "deliveries", day = "-120d", times = 40, step = "1d" },
  { sender = "work-1@contoso.example", evidence = "deliveries", day = "-60d", times = 26, step = "1d" },
  { sender = "all-1@contoso.example", evidence = "deliveries", day = "-120d", times = 90, step = "1d" },
]
finds = [
  { sender = "work-20@contoso.example", usually_comes = "every month", days_without_mail = 59 },
  { sender = "all-20@contoso.example", usually_comes = "every 20 days", days_without_mail = 58 },
  { sender = "all-5@contoso.example", usually_comes = "every 5 days", days_without_mail = 49 },
  { sender = "work-10@contoso.example", usually_comes = "every 10 working days", days_without_mail = 49 },
  { sender = "all-30@contoso.example", usually_comes = "every month", days_without_mail = 47 },
  { sender = "work-5@contoso.example", usually_comes = "every week", days_without_mail = 39 },
  { sender = "all-7@contoso.example", usually_comes = "every week", days_without_mail = 37 },
  { sender = "work-1@contoso.example", usually_comes = "on working days", days_without_mail = 34 },
  { sender = "all-1@contoso.example", usually_comes = "every day", days_without_mail = 30 },
]

[[case]]
name  = "at Christmas it waits for whom the holidays silence, and not for a machine that worked on through them"
given.feeds = [{ table = "traces" }, { table = "deliveries" }]
given.sender_days = [
  { sender = "anna@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 46, step = "1d" },
  { sender = "berta@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 46, step = "1d" },
  { sender = "carl@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 46, step = "1d" },
  { sender = "dora@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 46, step = "1d" },
  { sender = "emil@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 46, step = "1d" },
  { sender = "scan@contoso.example", evidence = "deliveries", day = "-60d", times = 46, step = "1d" },
  { sender = "nas@contoso.example", evidence = "deliveries", day = "-60d", times = 55, step = "1d" },
  { sender = "mon1@contoso.example", evidence = "deliveries", day = "-60d", times = 60, step = "1d" },
  { sender = "mon2@contoso.example", evidence = "deliveries", day = "-60d", times = 60, step = "1d" },
  { sender = "mon3@contoso.example", evidence = "deliveries", day = "-60d", times = 60, step = "1d" },
  { sender = "mon4@contoso.example", evidence = "deliveries", day = "-60d", times = 60, step = "1d" },
  { sender = "mon5@contoso.example", evidence = "deliveries", day = "-60d", times = 60, step = "1d" },
  { sender = "mon6@contoso.example", evidence = "deliveries", day = "-60d", times = 60, step = "1d" },
]
finds = [{ sender = "nas@contoso.example", usually_comes = "every day", days_without_mail = 5 }]

[[case]]
name  = "misses within a day what comes in every hour of the day, once that is known for a week"
given.feeds = [{ table = "deliveries" }]
given.sender_days = [
  { sender = "mon@contoso.example", evidence = "deliveries", hours = 0xFFFFFF, day = "-30d", last_at = "-30d", times = 30, step = "1d" },
  { sender = "well@contoso.example", evidence = "deliveries", hours = 0xFFFFFF, day = "-29d", last_at = "-698h", times = 30, step = "1d" },
  { sender = "shop@contoso.example", evidence = "deliveries", hours = 0x03FC00, day = "-30d", last_at = "-30d", times = 30, step = "1d" },
  { sender = "backup@contoso.example", evidence = "deliveries", hours = 0xFFFFFF, day = "-17d", last_at = "-17d", times = 3, step = "7d" },
  { sender = "new@contoso.example", evidence = "deliveries", hours = 0xFFFFFF, day = "-8d", last_at = "-8d", times = 6, step = "1d" },
]
finds = [{ sender = "mon@contoso.example", usually_comes = "all day and night", days_without_mail = 0, last_seen = 2026-12-30T23:00:00Z }]

[[case]]
name  = "takes no held mail, failed log-in, summary or withdrawn trace for a sign of life, and misses nobody who only logs in"
given.feeds = [{ table = "traces" }, { table = "deliveries" }, { table = "usage" }, { table = "signins" }]
given.sender_days = [
  { sender = "crm@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 47, step = "1d" },
  { sender = "crm@contoso.example", evidence = "signins", kind = {}, outcome = "accepted", auth_protocol = "oauth2", day = "-60d", times = 47, step = "1d" },
  { sender = "crm@contoso.example", evidence = "signins", kind = {}, outcome = "rejected", auth_protocol = "oauth2", day = "-13d", times = 14, step = "1d" },
  { sender = "erp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", day = "-60d", times = 48, step = "1d" },
  { sender = "erp@contoso.example", evidence = "usage", kind = "eac_summary", auth_protocol = "basic", day = "-2d" },
  { sender = "nas@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", day = "-60d", times = 48, step = "1d" },
  { sender = "nas@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "unknown", day = "-12d" },
  { sender = "nas@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", day = "-11d", times = 12, step = "1d" },
  { sender = "scan@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "unknown", day = "-60d" },
  { sender = "scan@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 50, step = "1d" },
  { sender = "scan@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-2d" },
  { sender = "scan@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-2d", events = -1 },
  { sender = "still-logs-in@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 47, step = "1d" },
  { sender = "still-logs-in@contoso.example", evidence = "signins", kind = {}, outcome = "accepted", day = "-60d", times = 60, step = "1d" },
  { sender = "only-logs-in@contoso.example", evidence = "signins", kind = {}, outcome = "accepted", day = "-60d", times = 47, step = "1d" },
  { sender = "anna@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 47, step = "1d" },
  { sender = "anna@contoso.example", evidence = "signins", kind = {}, outcome = "rejected", day = "-60d", times = 60, step = "1d" },
  { sender = "", evidence = "deliveries", kind = "try", day = "-60d", times = 48, step = "1d" },
  { sender = "mon1@contoso.example", evidence = "deliveries", kind = "try", day = "-60d", times = 60, step = "1d" },
  { sender = "mon2@contoso.example", evidence = "deliveries", kind = "try", day = "-60d", times = 60, step = "1d" },
  { sender = "mon3@contoso.example", evidence = "deliveries", kind = "try", day = "-60d", times = 60, step = "1d" },
  { sender = "mon4@contoso.example", evidence = "deliveries", kind = "try", day = "-60d", times = 60, step = "1d" },
  { sender = "mon5@contoso.example", evidence = "deliveries", kind = "try", day = "-60d", times = 60, step = "1d" },
  { sender = "mon6@contoso.example", evidence = "deliveries", kind = "try", day = "-60d", times = 60, step = "1d" },
  { sender = "mon7@contoso.example", evidence = "deliveries", kind = "try", day = "-60d", times = 60, step = "1d" },
]
finds = [
  { sender = "crm@contoso.example", days_without_mail = 13, last_protocol = "oauth2" },
  { sender = "erp@contoso.example", days_without_mail = 12, last_protocol = "basic" },
  { sender = "nas@contoso.example", days_without_mail = 11, last_protocol = "basic" },
  { sender = "scan@contoso.example", days_without_mail = 10 },
]

[[case]]
name  = "judges each sender up to when what shows it was read, a report only where nothing else does"
given.feeds = [
  { table = "traces" },
  { table = "usage", complete_until = "-20d" },
  { table = "exposure", complete_until = "-40d" },
]
given.sender_days = [
  { sender = "nas@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 50, step = "1d" },
  { sender = "nas@contoso.example", evidence = "usage", kind = "smtp_cs_report", day = "-60d", times = 39, step = "1d" },
  { sender = "scan@contoso.example", evidence = "usage", kind = "smtp_cs_report", day = "-60d", times = 39, step = "1d" },
  { sender = "mon1@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "mon2@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "mon3@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-60d", times = 60, step = "1d" },
]
finds = [{ sender = "nas@contoso.example", days_without_mail = 10 }]

[[case]]
name  = "misses one whose gaps differ once many of them are known, but nothing that was tried out for some days"
given.feeds = [{ table = "deliveries" }]
given.sender_days = [
  { sender = "odd@contoso.example", evidence = "deliveries", day = "-90d", times = 25, step = "3d" },
  { sender = "odd@contoso.example", evidence = "deliveries", day = "-89d", times = 25, step = "3d" },
  { sender = "ten-days@contoso.example", evidence = "deliveries", day = "-40d", times = 10, step = "1d" },
  { sender = "three-mails@contoso.example", evidence = "deliveries", day = "-40d", times = 3, step = "5d" },
  { sender = "two-weeks@contoso.example", evidence = "deliveries", day = "-60d", times = 6, step = "3d" },
  { sender = "other@contoso.example", evidence = "deliveries", day = "-90d", times = 90, step = "1d" },
]
finds = [{ sender = "odd@contoso.example", days_without_mail = 16 }]

[[case]]
name  = "once passwords have ended it misses sooner whoever used one till then, unless a log would show the refusal"
given.feeds = [{ table = "traces" }, { table = "deliveries" }, { table = "usage" }]
given.sender_days = [
  { sender = "anna@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "anna@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "berta@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "berta@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "carl@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "carl@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "dora@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "dora@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "emil@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-120d", times = 40, step = "1d" },
  { sender = "emil@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-60d", times = 60, step = "1d" },
  { sender = "nas@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-120d", times = 10, step = "1d" },
  { sender = "nas@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-95d", times = 88, step = "1d" },
  { sender = "desk@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-120d", times = 10, step = "1d" },
  { sender = "desk@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-95d", times = 15, step = "1d" },
  { sender = "desk@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-60d", times = 53, step = "1d" },
  { sender = "relay@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-120d", times = 10, step = "1d" },
  { sender = "relay@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", day = "-95d", times = 88, step = "1d" },
  { sender = "crm@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "oauth2", outcome = "accepted", day = "-120d", times = 10, step = "1d" },
  { sender = "crm@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "oauth2", outcome = "accepted", day = "-95d", times = 88, step = "1d" },
]
finds = [{ sender = "nas@contoso.example", usually_comes = "every day", days_without_mail = 7, last_protocol = "basic" }]

[[case]]
name  = "what came after passwords have ended is no rhythm, and whoever came on after it is not missed sooner"
given.feeds = [{ table = "traces" }, { table = "usage" }]
given.sender_days = [
  { sender = "mfp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-90d", times = 10, step = "1d" },
  { sender = "mfp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-65d", times = 36, step = "1d" },
  { sender = "on@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-90d", times = 10, step = "1d" },
  { sender = "on@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-65d", times = 36, step = "1d" },
  { sender = "on@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-29d", times = 10, step = "1d" },
  { sender = "once@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-90d", times = 61, step = "1d" },
  { sender = "once@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-19d" },
  { sender = "rare@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-43d", times = 2, step = "5d" },
  { sender = "rare@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-30d" },
  { sender = "twice@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-43d", times = 2, step = "5d" },
  { sender = "anna@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-90d", times = 90, step = "1d" },
  { sender = "berta@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-90d", times = 90, step = "1d" },
  { sender = "carl@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-90d", times = 90, step = "1d" },
  { sender = "dora@contoso.example", evidence = "traces", kind = {}, service = {}, auth_protocol = {}, day = "-90d", times = 90, step = "1d" },
]
finds = [
  { sender = "mfp@contoso.example", days_without_mail = 29 },
  { sender = "rare@contoso.example", days_without_mail = 29 },
  { sender = "once@contoso.example", days_without_mail = 18 },
]

[[case]]
name  = "looks at the first day of the window and not before it, nor at a clock that is ahead"
given.feeds = [{ table = "traces" }]
given.sender_days = [
  { sender = "old@contoso.example", evidence = "traces", kind = {}, day = "-201d", times = 3, step = "30d" },
  { sender = "edge@contoso.example", evidence = "traces", kind = {}, day = "-200d", times = 3, step = "30d" },
  { sender = "nas@contoso.example", evidence = "traces", kind = {}, day = "-200d", times = 190, step = "1d" },
  { sender = "nas@contoso.example", evidence = "traces", kind = {}, service = {}, day = "1d" },
  { sender = "past@contoso.example", evidence = "usage", day = "-201d" },
  { sender = "past@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-200d", times = 180, step = "1d" },
  { sender = "next@contoso.example", evidence = "usage", day = "1d" },
  { sender = "next@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-200d", times = 180, step = "1d" },
  { sender = "mon1@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-200d", times = 200, step = "1d" },
  { sender = "mon2@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-200d", times = 200, step = "1d" },
  { sender = "mon3@contoso.example", evidence = "traces", kind = {}, service = {}, day = "-200d", times = 200, step = "1d" },
]
finds = [
  { sender = "edge@contoso.example", usually_comes = "every month", days_without_mail = 139 },
  { sender = "nas@contoso.example", usually_comes = "every day", days_without_mail = 10 },
]

[[case]]
name  = "waits two weeks of working days for what people use, because people go on holiday"
given.feeds = [{ table = "traces" }]
given.sender_days = [
  { sender = "mfp@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-87d", times = 11, step = "7d" },
  { sender = "mfp@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-86d", times = 11, step = "7d" },
  { sender = "mfp@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-85d", times = 11, step = "7d" },
  { sender = "mfp@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-84d", times = 11, step = "7d" },
  { sender = "mfp@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-83d", times = 11, step = "7d" },
  { sender = "gone@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-87d", times = 10, step = "7d" },
  { sender = "gone@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-86d", times = 10, step = "7d" },
  { sender = "gone@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-85d", times = 10, step = "7d" },
  { sender = "gone@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-84d", times = 10, step = "7d" },
  { sender = "gone@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-83d", times = 10, step = "7d" },
  { sender = "other1@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-87d", times = 13, step = "7d" },
  { sender = "other1@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-86d", times = 13, step = "7d" },
  { sender = "other1@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-85d", times = 13, step = "7d" },
  { sender = "other1@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-84d", times = 13, step = "7d" },
  { sender = "other1@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-83d", times = 13, step = "7d" },
  { sender = "other2@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-87d", times = 13, step = "7d" },
  { sender = "other2@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-86d", times = 13, step = "7d" },
  { sender = "other2@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-85d", times = 13, step = "7d" },
  { sender = "other2@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-84d", times = 13, step = "7d" },
  { sender = "other2@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-83d", times = 13, step = "7d" },
  { sender = "nas@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, day = "-87d", times = 88, step = "1d" },
]
finds = [{ sender = "gone@contoso.example", usually_comes = "on working days", days_without_mail = 13 }]

[[case]]
name  = "soon after passwords have ended, whoever came each day is missed, and whoever came a few times is not yet"
given.feeds = [{ table = "traces" }, { table = "usage" }]
given.sender_days = [
  { sender = "mfp@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-70d", times = 60, step = "1d" },
  { sender = "nas@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-70d", times = 60, step = "1d" },
  { sender = "crm@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-70d", times = 60, step = "1d" },
  { sender = "few@contoso.example", evidence = "usage", kind = "smtp_cs_report", auth_protocol = "basic", outcome = "accepted", day = "-14d", times = 4, step = "1d" },
  { sender = "anna@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, service = {}, auth_protocol = {}, day = "-70d", times = 70, step = "1d" },
  { sender = "berta@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, service = {}, auth_protocol = {}, day = "-70d", times = 70, step = "1d" },
  { sender = "carl@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, service = {}, auth_protocol = {}, day = "-70d", times = 70, step = "1d" },
  { sender = "dora@contoso.example", evidence = "traces", outcome = "delivered", kind = {}, service = {}, auth_protocol = {}, day = "-70d", times = 70, step = "1d" },
]
finds = [{ sender = "crm@contoso.example" }, { sender = "mfp@contoso.example" }, { sender = "nas@contoso.example" }]
---*/
