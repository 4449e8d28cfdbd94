/*---
title = "The daily sums, with what each says of a log-in: got in by which way, or was refused"
---*/
-- The one place that says what counts as a password, as another way, and as a refused log-in.
SELECT
  *,
  evidence <> 'deliveries' OR kind = 'try' AS is_try,
  coalesce(messages, events) AS mails,
  coalesce(kind, '') = 'eac_summary' AS is_summary,
  auth_protocol = 'basic' AND outcome = 'accepted' AND service = 'exchange_online'
    AND (evidence <> 'deliveries' OR kind = 'try') AS is_by_password,
  auth_protocol = 'oauth2' AND outcome = 'accepted' AND service = 'exchange_online'
    AND (evidence <> 'deliveries' OR kind = 'try') AS is_by_oauth,
  evidence = 'deliveries' AND kind = 'try' AND outcome = 'accepted'
    AND service IN ('hve', 'acs', 'exchange_online_mx') AS is_by_another_way,
  evidence = 'deliveries' AND kind = 'try' AND outcome = 'accepted' AND service = 'exchange_online' AS is_by_log_in,
  evidence = 'traces' AND outcome <> 'failed' AS is_traced,
  evidence = 'deliveries' AND kind = 'try' AND outcome IN ('rejected', 'deferred')
    AND service IN ('exchange_online', 'outlook_consumer')
    AND reply_class IN (
      'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
      'security_defaults', 'conditional_access'
    ) AS is_refused
FROM sender_days
WHERE sender <> ''
ORDER BY day, sender
/*---
[[case]]
name = "a password at Exchange Online is one, at a service that keeps passwords or held back it is none"
given.sender_days = [
  { sender = "a@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted" },
  { sender = "b@contoso.example", evidence = "deliveries", kind = "try", auth_protocol = "basic", outcome = "accepted", service = "hve" },
  { sender = "c@contoso.example", evidence = "deliveries", kind = "held", auth_protocol = "basic", outcome = "accepted" },
  { sender = "", evidence = "usage", auth_protocol = "basic", outcome = "accepted" },
]
finds = [
  { sender = "a@contoso.example", is_by_password = true, is_by_another_way = false },
  { sender = "b@contoso.example", is_by_password = false, is_by_another_way = true },
  { sender = "c@contoso.example", is_by_password = false, is_by_another_way = false },
]
---*/
