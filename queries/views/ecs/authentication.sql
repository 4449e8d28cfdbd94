/*---
title = "Every log-in: sign-ins as they were reported, and those that deliveries show, in the fields of ECS"
---*/
-- A delivery shows a log-in where it was refused, whichever command the refusal came at, or where it got in by a known
-- way. One answer to a mail of many recipients is as many rows; those of one moment are one log-in.
WITH
logins AS (
  SELECT *
  FROM main.deliveries
  WHERE kind = 'try'
    AND (
      stage = 'auth'
      OR (outcome = 'accepted' AND auth_protocol IN ('basic', 'oauth2'))
      OR reply_class IN ('basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox')
      OR reply_class IN ('security_defaults', 'conditional_access', 'bad_credentials', 'account_issue')
    )
  QUALIFY row_number() OVER (PARTITION BY event_time, log_host, coalesce(request_id, session_id, queue_id, event_id) ORDER BY event_id) = 1
)
SELECT
  event_time AS "@timestamp",
  '9.0.0' AS "ecs.version",
  event_id AS "event.id",
  ingested_at AS "event.ingested",
  'event' AS "event.kind",
  ['authentication'] AS "event.category",
  ['start'] AS "event.type",
  'smtp-login-' || coalesce(outcome, 'unknown') AS "event.action",
  CASE outcome WHEN 'accepted' THEN 'success' WHEN 'rejected' THEN 'failure' ELSE 'unknown' END AS "event.outcome",
  error_text AS "event.reason",
  error_code AS "event.code",
  'authsunset' AS "event.module",
  'authsunset.signins' AS "event.dataset",
  format AS "event.provider",
  "user" AS "user.name",
  CASE WHEN contains("user", '@') THEN "user" END AS "user.email",
  client_ip AS "source.ip",
  client_name AS "source.domain",
  user_agent AS "user_agent.original",
  service AS "service.name",
  log_host AS "host.name",
  origin AS "log.file.path",
  list_filter([client_ip], lambda ip: ip IS NOT NULL) AS "related.ip",
  list_filter(["user"], lambda name: name IS NOT NULL) AS "related.user",
  list_filter([client_name, log_host], lambda name: name IS NOT NULL) AS "related.hosts",
  auth_protocol AS "authsunset.auth.protocol",
  auth_mechanism AS "authsunset.auth.mechanism",
  client_app AS "authsunset.client.app",
  conditional_access AS "authsunset.conditional_access",
  request_id AS "authsunset.request_id",
  origin_offset AS "authsunset.log.offset"
FROM main.signins
UNION ALL BY NAME
SELECT
  event_time AS "@timestamp",
  '9.0.0' AS "ecs.version",
  event_id AS "event.id",
  ingested_at AS "event.ingested",
  'event' AS "event.kind",
  ['authentication'] AS "event.category",
  ['start'] AS "event.type",
  'smtp-login-' || coalesce(outcome, 'unknown') AS "event.action",
  CASE outcome WHEN 'accepted' THEN 'success' WHEN 'unknown' THEN 'unknown' ELSE 'failure' END AS "event.outcome",
  reply_class AS "event.reason",
  coalesce(enhanced_code, CAST(reply_code AS VARCHAR)) AS "event.code",
  'authsunset' AS "event.module",
  'authsunset.deliveries' AS "event.dataset",
  format AS "event.provider",
  reply_text AS "message",
  coalesce(auth_user, sender) AS "user.name",
  CASE WHEN contains(coalesce(auth_user, sender), '@') THEN coalesce(auth_user, sender) END AS "user.email",
  client_ip AS "source.ip",
  client_name AS "source.domain",
  endpoint AS "destination.domain",
  endpoint_ip AS "destination.ip",
  endpoint_port AS "destination.port",
  service AS "service.name",
  log_host AS "host.name",
  origin AS "log.file.path",
  list_filter([client_ip, endpoint_ip], lambda ip: ip IS NOT NULL) AS "related.ip",
  list_filter([auth_user, nullif(sender, auth_user)], lambda name: name IS NOT NULL AND name <> '') AS "related.user",
  list_filter([client_name, endpoint, log_host], lambda name: name IS NOT NULL) AS "related.hosts",
  auth_protocol AS "authsunset.auth.protocol",
  auth_mechanism AS "authsunset.auth.mechanism",
  request_id AS "authsunset.request_id",
  origin_offset AS "authsunset.log.offset"
FROM logins
/*---
[[case]]
name = "a sign-in with a password and a refused log-in of a relay, which names no account"
given.signins = [{ event_time = "-3m", user = "scan@contoso.example", auth_protocol = "basic", outcome = "accepted", client_app = "Authenticated SMTP", user_agent = "BAV2ROPC" }]
given.deliveries = [
  { times = 3, event_time = "-2m", sender = "erp@contoso.example", kind = "try", stage = "auth", outcome = "rejected", reply_class = "basic_retired", request_id = "08DE01", enhanced_code = "5.7.30" },
  { event_time = "-1m", sender = "nas@contoso.example", kind = "try", stage = "data", outcome = "accepted", auth_protocol = "unknown" },
]
finds = [
  { "event.dataset" = "authsunset.signins", "event.outcome" = "success", "user.email" = "scan@contoso.example", "authsunset.auth.protocol" = "basic", "user_agent.original" = "BAV2ROPC" },
  { "event.dataset" = "authsunset.deliveries", "event.outcome" = "failure", "event.reason" = "basic_retired", "event.code" = "5.7.30", "user.name" = "erp@contoso.example" },
]

[[case]]
name = "a mail that got in by OAuth is a log-in, and one that was merely held is none"
given.deliveries = [
  { event_time = "-2m", sender = "nas@contoso.example", kind = "try", stage = "data", outcome = "accepted", auth_protocol = "oauth2", auth_user = "nas@contoso.example" },
  { event_time = "-1m", sender = "nas@contoso.example", kind = "held", stage = "auth" },
]
finds = [{ "event.action" = "smtp-login-accepted", "authsunset.auth.protocol" = "oauth2" }]
---*/
