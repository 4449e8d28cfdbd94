/*---
title = "Every log-in: sign-ins as they were reported, and those that deliveries show: OCSF Authentication (3002)"
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
  epoch_ms(event_time) AS time,
  event_time AS time_dt,
  3 AS category_uid,
  'Identity & Access Management' AS category_name,
  3002 AS class_uid,
  'Authentication' AS class_name,
  1 AS activity_id,
  'Logon' AS activity_name,
  300201 AS type_uid,
  1 AS severity_id,
  'Informational' AS severity,
  CASE outcome WHEN 'accepted' THEN 1 WHEN 'rejected' THEN 2 ELSE 0 END AS status_id,
  CASE outcome WHEN 'accepted' THEN 'Success' WHEN 'rejected' THEN 'Failure' ELSE 'Unknown' END AS status,
  error_code AS status_code,
  error_text AS status_detail,
  { 'name': "user", 'email_addr': CASE WHEN contains("user", '@') THEN "user" END } AS user,
  CASE auth_protocol WHEN 'basic' THEN 11 WHEN 'oauth2' THEN 6 WHEN 'none' THEN 99 ELSE 0 END AS auth_protocol_id,
  CASE auth_protocol WHEN 'basic' THEN 'Basic Authentication' WHEN 'oauth2' THEN 'OAUTH 2.0' WHEN 'none' THEN 'None' ELSE 'Unknown' END AS auth_protocol,
  -- Basic passes the password itself to the service, which is what the attribute asks; TLS around it is another matter.
  CASE
    WHEN upper(auth_mechanism) IN ('CRAM-MD5', 'DIGEST-MD5', 'NTLM', 'GSSAPI') OR starts_with(upper(auth_mechanism), 'SCRAM-') THEN FALSE
    WHEN auth_protocol = 'basic' THEN TRUE
    WHEN auth_protocol = 'oauth2' THEN FALSE
  END AS is_cleartext,
  TRUE AS is_remote,
  3 AS logon_type_id,
  'Network' AS logon_type,
  { 'name': coalesce(service, 'unknown') } AS service,
  { 'ip': client_ip, 'hostname': client_name } AS src_endpoint,
  { 'ip': CAST(NULL AS VARCHAR), 'hostname': CAST(NULL AS VARCHAR), 'port': CAST(NULL AS INTEGER) } AS dst_endpoint,
  { 'user_agent': user_agent } AS http_request,
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
    'table': 'signins',
    'auth_mechanism': auth_mechanism,
    'client_app': client_app,
    'conditional_access': conditional_access,
    'reply_class': CAST(NULL AS VARCHAR),
    'request_id': request_id,
    'log_host': log_host
  } AS unmapped
FROM main.signins
UNION ALL BY NAME
SELECT
  epoch_ms(event_time) AS time,
  event_time AS time_dt,
  3 AS category_uid,
  'Identity & Access Management' AS category_name,
  3002 AS class_uid,
  'Authentication' AS class_name,
  1 AS activity_id,
  'Logon' AS activity_name,
  300201 AS type_uid,
  1 AS severity_id,
  'Informational' AS severity,
  CASE outcome WHEN 'accepted' THEN 1 WHEN 'unknown' THEN 0 ELSE 2 END AS status_id,
  CASE outcome WHEN 'accepted' THEN 'Success' WHEN 'unknown' THEN 'Unknown' ELSE 'Failure' END AS status,
  coalesce(enhanced_code, CAST(reply_code AS VARCHAR)) AS status_code,
  reply_text AS status_detail,
  {
    'name': coalesce(auth_user, sender),
    'email_addr': CASE WHEN contains(coalesce(auth_user, sender), '@') THEN coalesce(auth_user, sender) END
  } AS user,
  CASE auth_protocol WHEN 'basic' THEN 11 WHEN 'oauth2' THEN 6 WHEN 'none' THEN 99 ELSE 0 END AS auth_protocol_id,
  CASE auth_protocol WHEN 'basic' THEN 'Basic Authentication' WHEN 'oauth2' THEN 'OAUTH 2.0' WHEN 'none' THEN 'None' ELSE 'Unknown' END AS auth_protocol,
  -- Basic passes the password itself to the service, which is what the attribute asks; TLS around it is another matter.
  CASE
    WHEN upper(auth_mechanism) IN ('CRAM-MD5', 'DIGEST-MD5', 'NTLM', 'GSSAPI') OR starts_with(upper(auth_mechanism), 'SCRAM-') THEN FALSE
    WHEN auth_protocol = 'basic' THEN TRUE
    WHEN auth_protocol = 'oauth2' THEN FALSE
  END AS is_cleartext,
  TRUE AS is_remote,
  3 AS logon_type_id,
  'Network' AS logon_type,
  { 'name': coalesce(service, 'unknown') } AS service,
  { 'ip': client_ip, 'hostname': client_name } AS src_endpoint,
  { 'ip': endpoint_ip, 'hostname': endpoint, 'port': endpoint_port } AS dst_endpoint,
  { 'user_agent': CAST(NULL AS VARCHAR) } AS http_request,
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
    'auth_mechanism': auth_mechanism,
    'client_app': CAST(NULL AS VARCHAR),
    'conditional_access': CAST(NULL AS VARCHAR),
    'reply_class': reply_class,
    'request_id': request_id,
    'log_host': log_host
  } AS unmapped
FROM logins
/*---
[[case]]
name = "Basic is 11 and in clear text, OAuth is 6 and not, a challenge is Basic and not, and what is not known is 0"
given.signins = [
  { event_time = "-5m", user = "scan@contoso.example", auth_protocol = "basic", outcome = "accepted" },
  { event_time = "-4m", user = "erp@contoso.example", auth_protocol = "oauth2", outcome = "rejected", error_code = "50053" },
  { event_time = "-3m", user = "nas", auth_protocol = "basic", auth_mechanism = "CRAM-MD5", outcome = "accepted", service = "own_relay" },
]
given.deliveries = [{ times = 2, event_time = "-2m", sender = "prtg@contoso.example", kind = "try", stage = "mail_from", outcome = "deferred", reply_class = "basic_retired", request_id = "08DE01" }]
finds = [
  { class_uid = 3002, type_uid = 300201, auth_protocol_id = 11, auth_protocol = "Basic Authentication", is_cleartext = true, status_id = 1, user = { name = "scan@contoso.example" } },
  { auth_protocol_id = 6, auth_protocol = "OAUTH 2.0", is_cleartext = false, status_id = 2, status_code = "50053" },
  { auth_protocol_id = 11, is_cleartext = false, user = { name = "nas" }, service = { name = "own_relay" } },
  { auth_protocol_id = 0, status_id = 2, user = { name = "prtg@contoso.example" }, unmapped = { table = "deliveries", reply_class = "basic_retired" } },
]
---*/
