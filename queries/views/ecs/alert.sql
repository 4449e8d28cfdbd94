/*---
title = "Every finding, as it opened, changed and ended, in the fields of ECS"
---*/
SELECT
  noted_at AS "@timestamp",
  '9.0.0' AS "ecs.version",
  md5(concat_ws('|', fingerprint, CAST(episode AS VARCHAR), state, CAST(noted_at AS VARCHAR))) AS "event.id",
  'alert' AS "event.kind",
  ['email'] AS "event.category",
  ['info'] AS "event.type",
  'finding-' || state AS "event.action",
  CASE severity WHEN 'critical' THEN 99 WHEN 'high' THEN 73 WHEN 'medium' THEN 47 WHEN 'low' THEN 21 ELSE 1 END AS "event.severity",
  because AS "event.reason",
  first_seen AS "event.start",
  coalesce(over_at, last_seen) AS "event.end",
  'authsunset' AS "event.module",
  'authsunset.findings' AS "event.dataset",
  facts AS "event.original",
  detection AS "rule.id",
  split_part(detection, '/', -1) AS "rule.name",
  split_part(detection, '/', 1) AS "rule.category",
  'authsunset' AS "rule.ruleset",
  nullif(sender, '') AS "email.sender.address",
  list_filter([sender], lambda name: name IS NOT NULL AND name <> '') AS "related.user",
  fingerprint AS "authsunset.fingerprint",
  episode AS "authsunset.episode",
  state AS "authsunset.state",
  severity AS "authsunset.severity",
  is_late AS "authsunset.is_late"
FROM main.findings
/*---
[[case]]
name = "a finding that opens and ends is two alerts of one episode, and one about no sender names none"
given.findings = [
  { noted_at = "-2m", fingerprint = "f1", sender = "scan@contoso.example", detection = "rejection/basic_auth_refused", state = "open", severity = "high" },
  { noted_at = "-1m", fingerprint = "f1", sender = "scan@contoso.example", detection = "rejection/basic_auth_refused", state = "over", severity = "high", because = "accepted later" },
  { noted_at = "-1m", fingerprint = "f2", sender = "", detection = "health/job_failing", state = "open", severity = "low" },
]
finds = [
  { "event.kind" = "alert", "event.action" = "finding-open", "event.severity" = 73, "rule.id" = "rejection/basic_auth_refused", "rule.name" = "basic_auth_refused", "email.sender.address" = "scan@contoso.example" },
  { "event.action" = "finding-over", "event.reason" = "accepted later" },
  { "rule.category" = "health", "event.severity" = 21, "related.user" = [] },
]
---*/
