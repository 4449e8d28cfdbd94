/*---
title = "Every step in the life of a mail, as logs and message traces tell it: OCSF Email Activity (4009)"
---*/
WITH
steps AS (
  SELECT
    *,
    CASE kind WHEN 'try' THEN 1 ELSE 99 END AS activity,
    CASE kind WHEN 'try' THEN 'Send' WHEN 'held' THEN 'Hold' WHEN 'expired' THEN 'Expire' WHEN 'done' THEN 'Leave' ELSE 'Other' END AS activity_said,
    CASE
      WHEN kind = 'expired' THEN 2
      WHEN outcome = 'accepted' THEN 1
      WHEN outcome IN ('rejected', 'deferred') AND kind = 'try' THEN 2
      ELSE 0
    END AS status_told
  FROM main.deliveries
),
traced AS (
  SELECT
    *,
    CASE
      WHEN status IN ('delivered', 'expanded', 'resolved') THEN 1
      WHEN status IN ('failed', 'quarantined', 'filteredasspam') THEN 2
      ELSE 0
    END AS status_told
  FROM main.traces
)
SELECT
  epoch_ms(event_time) AS time,
  event_time AS time_dt,
  4 AS category_uid,
  'Network Activity' AS category_name,
  4009 AS class_uid,
  'Email Activity' AS class_name,
  activity AS activity_id,
  activity_said AS activity_name,
  400900 + activity AS type_uid,
  1 AS severity_id,
  'Informational' AS severity,
  status_told AS status_id,
  CASE status_told WHEN 1 THEN 'Success' WHEN 2 THEN 'Failure' ELSE 'Unknown' END AS status,
  coalesce(enhanced_code, CAST(reply_code AS VARCHAR)) AS status_code,
  reply_text AS status_detail,
  0 AS direction_id,
  'Unknown' AS direction,
  {
    'from': sender,
    'to': CASE WHEN recipient IS NOT NULL THEN [recipient] ELSE CAST([] AS VARCHAR[]) END,
    'message_uid': message_id,
    'uid': queue_id,
    'size': size_bytes
  } AS email,
  CAST(NULL AS VARCHAR) AS message_trace_uid,
  'SMTP' AS protocol_name,
  { 'ip': client_ip, 'hostname': client_name } AS src_endpoint,
  { 'ip': endpoint_ip, 'hostname': endpoint, 'port': endpoint_port } AS dst_endpoint,
  {
    'version': '1.8.0',
    'product': { 'name': 'authsunset', 'vendor_name': 'authsunset' },
    'profiles': ['datetime'],
    'uid': event_id,
    'log_name': format,
    'log_provider': source,
    'logged_time': epoch_ms(ingested_at)
  } AS metadata,
  {
    'table': 'deliveries',
    'kind': kind,
    'stage': stage,
    'service': service,
    'reply_class': reply_class,
    'request_id': request_id,
    'auth_protocol': auth_protocol,
    'log_host': log_host
  } AS unmapped
FROM steps
UNION ALL BY NAME
SELECT
  epoch_ms(received_at) AS time,
  received_at AS time_dt,
  4 AS category_uid,
  'Network Activity' AS category_name,
  4009 AS class_uid,
  'Email Activity' AS class_name,
  4 AS activity_id,
  'Trace' AS activity_name,
  400904 AS type_uid,
  1 AS severity_id,
  'Informational' AS severity,
  status_told AS status_id,
  CASE status_told WHEN 1 THEN 'Success' WHEN 2 THEN 'Failure' ELSE 'Unknown' END AS status,
  CAST(NULL AS VARCHAR) AS status_code,
  status AS status_detail,
  0 AS direction_id,
  'Unknown' AS direction,
  {
    'from': sender,
    'to': CASE WHEN recipient IS NOT NULL THEN [recipient] ELSE CAST([] AS VARCHAR[]) END,
    'message_uid': message_id,
    'uid': trace_id,
    'size': size_bytes
  } AS email,
  trace_id AS message_trace_uid,
  'SMTP' AS protocol_name,
  { 'ip': from_ip, 'hostname': CAST(NULL AS VARCHAR) } AS src_endpoint,
  { 'ip': to_ip, 'hostname': CAST(NULL AS VARCHAR), 'port': CAST(NULL AS INTEGER) } AS dst_endpoint,
  {
    'version': '1.8.0',
    'product': { 'name': 'authsunset', 'vendor_name': 'authsunset' },
    'profiles': ['datetime'],
    'uid': event_id,
    'log_name': format,
    'log_provider': source,
    'logged_time': epoch_ms(ingested_at)
  } AS metadata,
  {
    'table': 'traces',
    'kind': 'trace',
    'stage': CAST(NULL AS VARCHAR),
    'service': 'exchange_online',
    'reply_class': CAST(NULL AS VARCHAR),
    'request_id': CAST(NULL AS VARCHAR),
    'auth_protocol': 'unknown',
    'log_host': CAST(NULL AS VARCHAR)
  } AS unmapped
FROM traced
/*---
[[case]]
name = "a refused try is a failed Send, a held mail is no Send, and a trace is a Trace"
given.deliveries = [
  { event_time = "-3m", sender = "scan@contoso.example", recipient = "ops@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", enhanced_code = "5.7.30", reply_text = "550 5.7.30 Basic authentication is not supported", endpoint = "smtp.office365.com", queue_id = "A1" },
  { event_time = "-2m", sender = "erp@contoso.example", kind = "held", outcome = "deferred" },
]
given.traces = [{ received_at = "-1m", sender = "nas@contoso.example", recipient = "ops@contoso.example", status = "delivered", trace_id = "T1" }]
finds = [
  { time = 1798757820000, class_uid = 4009, activity_id = 1, type_uid = 400901, status_id = 2, status_code = "5.7.30", email = { from = "scan@contoso.example", to = ["ops@contoso.example"], uid = "A1" } },
  { activity_id = 99, activity_name = "Hold", type_uid = 400999, status_id = 0 },
  { activity_id = 4, type_uid = 400904, status_id = 1, message_trace_uid = "T1" },
]
---*/
