/*---
title = "Every step in the life of a mail, as logs and message traces tell it, in the fields of ECS"
---*/
SELECT
  event_time AS "@timestamp",
  '9.0.0' AS "ecs.version",
  event_id AS "event.id",
  ingested_at AS "event.ingested",
  'event' AS "event.kind",
  ['email'] AS "event.category",
  ['info'] AS "event.type",
  CASE kind
    WHEN 'try' THEN 'smtp-' || coalesce(outcome, 'unknown')
    ELSE 'mail-' || kind
  END AS "event.action",
  CASE
    WHEN kind = 'expired' THEN 'failure'
    WHEN outcome = 'accepted' THEN 'success'
    WHEN outcome IN ('rejected', 'deferred') AND kind = 'try' THEN 'failure'
    ELSE 'unknown'
  END AS "event.outcome",
  reply_class AS "event.reason",
  coalesce(enhanced_code, CAST(reply_code AS VARCHAR)) AS "event.code",
  'authsunset' AS "event.module",
  'authsunset.deliveries' AS "event.dataset",
  format AS "event.provider",
  reply_text AS "message",
  CASE WHEN sender IS NOT NULL THEN [sender] END AS "email.from.address",
  sender AS "email.sender.address",
  CASE WHEN recipient IS NOT NULL THEN [recipient] END AS "email.to.address",
  message_id AS "email.message_id",
  queue_id AS "email.local_id",
  client_ip AS "source.ip",
  client_name AS "source.domain",
  coalesce(endpoint, endpoint_ip) AS "destination.address",
  endpoint AS "destination.domain",
  endpoint_ip AS "destination.ip",
  endpoint_port AS "destination.port",
  auth_user AS "user.name",
  'smtp' AS "network.protocol",
  log_host AS "host.name",
  origin AS "log.file.path",
  list_filter([client_ip, endpoint_ip], lambda ip: ip IS NOT NULL) AS "related.ip",
  list_filter([sender, nullif(recipient, sender), nullif(auth_user, sender)], lambda name: name IS NOT NULL AND name <> '') AS "related.user",
  list_filter([client_name, endpoint, log_host], lambda name: name IS NOT NULL) AS "related.hosts",
  kind AS "authsunset.kind",
  stage AS "authsunset.stage",
  service AS "authsunset.service",
  auth_protocol AS "authsunset.auth.protocol",
  auth_mechanism AS "authsunset.auth.mechanism",
  client_user AS "authsunset.client.user",
  request_id AS "authsunset.request_id",
  size_bytes AS "authsunset.email.size",
  origin_offset AS "authsunset.log.offset"
FROM main.deliveries
UNION ALL BY NAME
SELECT
  received_at AS "@timestamp",
  '9.0.0' AS "ecs.version",
  event_id AS "event.id",
  ingested_at AS "event.ingested",
  'event' AS "event.kind",
  ['email'] AS "event.category",
  ['info'] AS "event.type",
  'trace-' || coalesce(status, 'unknown') AS "event.action",
  CASE
    WHEN status IN ('delivered', 'expanded', 'resolved') THEN 'success'
    WHEN status IN ('failed', 'quarantined', 'filteredasspam') THEN 'failure'
    ELSE 'unknown'
  END AS "event.outcome",
  status AS "event.reason",
  'authsunset' AS "event.module",
  'authsunset.traces' AS "event.dataset",
  format AS "event.provider",
  CASE WHEN sender IS NOT NULL THEN [sender] END AS "email.from.address",
  sender AS "email.sender.address",
  CASE WHEN recipient IS NOT NULL THEN [recipient] END AS "email.to.address",
  message_id AS "email.message_id",
  trace_id AS "email.local_id",
  from_ip AS "source.ip",
  to_ip AS "destination.address",
  to_ip AS "destination.ip",
  'smtp' AS "network.protocol",
  origin AS "log.file.path",
  list_filter([from_ip, to_ip], lambda ip: ip IS NOT NULL) AS "related.ip",
  list_filter([sender, recipient], lambda name: name IS NOT NULL AND name <> '') AS "related.user",
  'trace' AS "authsunset.kind",
  'exchange_online' AS "authsunset.service",
  size_bytes AS "authsunset.email.size",
  origin_offset AS "authsunset.log.offset"
FROM main.traces
/*---
[[case]]
name = "a refused try, a mail held back untried and a trace, each as what it is"
given.deliveries = [
  { event_time = "-3m", sender = "scan@contoso.example", recipient = "ops@contoso.example", kind = "try", outcome = "rejected", reply_class = "basic_retired", reply_code = 550, enhanced_code = "5.7.30", endpoint = "smtp.office365.com", queue_id = "A1" },
  { event_time = "-2m", sender = "erp@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired" },
]
given.traces = [{ received_at = "-1m", sender = "nas@contoso.example", recipient = "ops@contoso.example", status = "delivered", trace_id = "T1", from_ip = "198.51.100.7" }]
finds = [
  { "@timestamp" = 2026-12-31T22:57:00Z, "event.action" = "smtp-rejected", "event.outcome" = "failure", "event.reason" = "basic_retired", "event.code" = "5.7.30", "email.from.address" = ["scan@contoso.example"], "email.to.address" = ["ops@contoso.example"], "email.local_id" = "A1", "destination.domain" = "smtp.office365.com", "source.ip" = "192.0.2.10", "related.user" = ["scan@contoso.example", "ops@contoso.example"] },
  { "event.action" = "mail-held", "event.outcome" = "unknown" },
  { "event.dataset" = "authsunset.traces", "event.action" = "trace-delivered", "event.outcome" = "success", "email.local_id" = "T1", "source.ip" = "198.51.100.7", "related.ip" = ["198.51.100.7"] },
]

[[case]]
name = "a sender that nobody knows is none, and the null sender of a bounce is itself"
given.deliveries = [
  { event_time = "-2m", kind = "try" },
  { event_time = "-1m", kind = "try", sender = "" },
]
finds = [{ "related.user" = [] }, { "email.from.address" = [""], "email.sender.address" = "", "related.user" = [] }]
---*/
