/*---
title = "What changed from one SMTP AUTH clients report to the next, by sender"

[params.days]
default = 7
help = "How many days of a dated report are held against as many before."
---*/
-- A summary is held against the one before it; the requested report, which dates each mail, against the days before.
WITH
newest AS (
  SELECT report, max(day) AS day
  FROM usage
  GROUP BY report
),
previous AS (
  SELECT usage.report, max(usage.day) AS day
  FROM usage
  JOIN newest ON newest.report = usage.report
  WHERE usage.day < newest.day
  GROUP BY usage.report
),
counts AS (
  -- A day that was read twice, once in its middle and once when it was over, counts once.
  SELECT report, day, sender, auth_protocol, client_ip, tls_version, max(messages) AS messages
  FROM usage
  GROUP BY report, day, sender, auth_protocol, client_ip, tls_version
),
sides AS (
  SELECT
    counts.report,
    counts.sender,
    counts.auth_protocol,
    counts.messages,
    CASE
      WHEN counts.report = 'eac_summary' THEN counts.day = newest.day
      ELSE counts.day > newest.day - CAST($days AS INTEGER)
    END AS is_now
  FROM counts
  JOIN newest ON newest.report = counts.report
  JOIN previous ON previous.report = counts.report
  WHERE CASE
    WHEN counts.report = 'eac_summary' THEN counts.day >= previous.day
    ELSE counts.day > newest.day - 2 * CAST($days AS INTEGER)
  END
),
by_sender AS (
  SELECT
    report,
    sender,
    CAST(coalesce(sum(messages) FILTER (WHERE NOT is_now AND auth_protocol <> 'oauth2'), 0) AS BIGINT) AS basic_before,
    CAST(coalesce(sum(messages) FILTER (WHERE is_now AND auth_protocol <> 'oauth2'), 0) AS BIGINT) AS basic_now,
    CAST(coalesce(sum(messages) FILTER (WHERE NOT is_now AND auth_protocol = 'oauth2'), 0) AS BIGINT) AS oauth_before,
    CAST(coalesce(sum(messages) FILTER (WHERE is_now AND auth_protocol = 'oauth2'), 0) AS BIGINT) AS oauth_now
  FROM sides
  GROUP BY report, sender
)
SELECT
  sender,
  report,
  CASE
    WHEN basic_now > 0 AND basic_before = 0 AND oauth_before > 0 THEN 'back to a password'
    WHEN basic_now = 0 AND basic_before > 0 AND oauth_now > 0 THEN 'now OAuth'
    WHEN basic_now + oauth_now = 0 THEN 'gone'
    WHEN basic_before + oauth_before = 0 THEN 'new'
    WHEN basic_now > basic_before THEN 'more by password'
    WHEN basic_now < basic_before THEN 'fewer by password'
    ELSE 'as before'
  END AS change,
  basic_before,
  basic_now,
  oauth_before,
  oauth_now
FROM by_sender
ORDER BY
  CASE change WHEN 'back to a password' THEN 0 WHEN 'new' THEN 1 WHEN 'more by password' THEN 2 WHEN 'gone' THEN 3 WHEN 'fewer by password' THEN 4 WHEN 'now OAuth' THEN 5 ELSE 6 END,
  basic_now DESC,
  sender,
  report
/*---
[[case]]
name = "tells what became of each sender between two summaries"
given.usage = [
  { sender = "erp@contoso.example", report = "eac_summary", day = "-8d", auth_protocol = "basic", messages = 40 },
  { sender = "crm@contoso.example", report = "eac_summary", day = "-8d", auth_protocol = "basic", messages = 9 },
  { sender = "nas@contoso.example", report = "eac_summary", day = "-8d", auth_protocol = "basic", messages = 3 },
  { sender = "app@contoso.example", report = "eac_summary", day = "-8d", auth_protocol = "oauth2", messages = 5 },
  { sender = "erp@contoso.example", report = "eac_summary", day = "-1d", auth_protocol = "basic", messages = 12 },
  { sender = "crm@contoso.example", report = "eac_summary", day = "-1d", auth_protocol = "oauth2", messages = 9 },
  { sender = "app@contoso.example", report = "eac_summary", day = "-1d", auth_protocol = "basic", messages = 5 },
  { sender = "mfp@contoso.example", report = "eac_summary", day = "-1d", auth_protocol = "basic", messages = 1 },
]
finds = [
  { sender = "app@contoso.example", change = "back to a password" },
  { sender = "mfp@contoso.example", change = "new", basic_now = 1 },
  { sender = "nas@contoso.example", change = "gone", basic_before = 3 },
  { sender = "erp@contoso.example", change = "fewer by password", basic_before = 40, basic_now = 12 },
  { sender = "crm@contoso.example", change = "now OAuth" },
]

[[case]]
name = "holds the last days of the requested report against those before, and counts a day that was read twice once"
given.usage = [
  { sender = "erp@contoso.example", report = "smtp_cs_report", day = "-9d", auth_protocol = "basic", messages = 4 },
  { sender = "erp@contoso.example", report = "smtp_cs_report", day = "-2d", auth_protocol = "basic", messages = 3 },
  { sender = "erp@contoso.example", report = "smtp_cs_report", day = "-2d", auth_protocol = "basic", messages = 7 },
  { sender = "erp@contoso.example", report = "smtp_cs_report", day = "-30d", auth_protocol = "basic", messages = 100 },
]
finds = [{ sender = "erp@contoso.example", change = "more by password", basic_before = 4, basic_now = 7 }]

[[case]]
name = "says nothing of a first export"
given.usage = [{ sender = "erp@contoso.example", report = "eac_summary", day = "-1d", auth_protocol = "basic", messages = 40 }]
finds = []
---*/
