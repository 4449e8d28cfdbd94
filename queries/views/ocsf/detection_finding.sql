/*---
title = "Every finding, as it opened, changed and ended: OCSF Detection Finding (2004)"
---*/
WITH
told AS (
  SELECT
    *,
    CASE state WHEN 'open' THEN 1 WHEN 'changed' THEN 2 WHEN 'over' THEN 3 ELSE 99 END AS activity,
    fingerprint || '@' || CAST(epoch_ms(episode) AS VARCHAR) AS finding
  FROM main.findings
)
SELECT
  epoch_ms(noted_at) AS time,
  noted_at AS time_dt,
  2 AS category_uid,
  'Findings' AS category_name,
  2004 AS class_uid,
  'Detection Finding' AS class_name,
  activity AS activity_id,
  CASE activity WHEN 1 THEN 'Create' WHEN 2 THEN 'Update' WHEN 3 THEN 'Close' ELSE 'Other' END AS activity_name,
  200400 + activity AS type_uid,
  CASE severity WHEN 'critical' THEN 5 WHEN 'high' THEN 4 WHEN 'medium' THEN 3 WHEN 'low' THEN 2 WHEN 'info' THEN 1 ELSE 0 END AS severity_id,
  CASE severity WHEN 'critical' THEN 'Critical' WHEN 'high' THEN 'High' WHEN 'medium' THEN 'Medium' WHEN 'low' THEN 'Low' WHEN 'info' THEN 'Informational' ELSE 'Unknown' END AS severity,
  CASE state WHEN 'over' THEN 4 ELSE 1 END AS status_id,
  CASE state WHEN 'over' THEN 'Resolved' ELSE 'New' END AS status,
  because AS status_detail,
  state <> 'over' AS is_alert,
  epoch_ms(first_seen) AS start_time,
  epoch_ms(last_seen) AS end_time,
  {
    'uid': finding,
    'title': replace(split_part(detection, '/', -1), '_', ' '),
    'analytic': { 'type_id': 1, 'type': 'Rule', 'uid': detection, 'name': split_part(detection, '/', -1), 'category': split_part(detection, '/', 1) },
    'created_time': epoch_ms(episode),
    'first_seen_time': epoch_ms(first_seen),
    'last_seen_time': epoch_ms(last_seen),
    'modified_time': epoch_ms(noted_at)
  } AS finding_info,
  [{ 'data': facts }] AS evidences,
  CASE WHEN sender <> '' THEN [{ 'type': 'Email sender', 'name': sender, 'uid': sender }] END AS resources,
  {
    'version': '1.8.0',
    'product': { 'name': 'authsunset', 'vendor_name': 'authsunset' },
    'profiles': ['datetime'],
    'uid': md5(concat_ws('|', finding, state, CAST(noted_at AS VARCHAR))),
    'log_name': 'findings',
    'log_provider': 'authsunset',
    'logged_time': epoch_ms(noted_at)
  } AS metadata,
  { 'fingerprint': fingerprint, 'state': state, 'is_late': is_late } AS unmapped
FROM told
/*---
[[case]]
name = "a finding is created, updated and closed under one uid"
given.findings = [
  { noted_at = "-3m", fingerprint = "f1", episode = "-9m", sender = "scan@contoso.example", detection = "rejection/basic_auth_refused", state = "open", severity = "high", facts = "{}" },
  { noted_at = "-2m", fingerprint = "f1", episode = "-9m", sender = "scan@contoso.example", detection = "rejection/basic_auth_refused", state = "changed", severity = "critical" },
  { noted_at = "-1m", fingerprint = "f1", episode = "-9m", sender = "scan@contoso.example", detection = "rejection/basic_auth_refused", state = "over", severity = "high", because = "accepted later" },
]
finds = [
  { class_uid = 2004, activity_id = 1, type_uid = 200401, severity_id = 4, status_id = 1, is_alert = true, finding_info = { uid = "f1@1798757460000" }, resources = [{ type = "Email sender", name = "scan@contoso.example", uid = "scan@contoso.example" }] },
  { activity_id = 2, type_uid = 200402, severity_id = 5, status_id = 1, finding_info = { uid = "f1@1798757460000" } },
  { activity_id = 3, type_uid = 200403, status_id = 4, status_detail = "accepted later", is_alert = false },
]
---*/
