/*---
title       = "{sender} writes to people outside through High Volume Email"
why         = "High Volume Email has delivered only inside the tenant since June 2025. Mail for others is refused, or taken and never delivered."
severity    = "high"
confidence  = "medium"
every       = "5m"
window      = "1d"
reads       = ["deliveries", "exposure", "sender_days"]
about       = ["sender"]
over_when   = "sent_outside_otherwise"
remedy      = "hve_external_recipient"
references  = ["https://learn.microsoft.com/exchange/mail-flow-best-practices/high-volume-mails-m365"]
known_gaps  = "A device that submits directly and logs nowhere is not seen here."
false_positives = "A domain of the tenant from which nobody logs in and of which no mailbox was exported looks like one outside."

[params]
min_recipients = 1
days_of_own_domains = 90
most_listed = 5
---*/
WITH
own_domains AS (
  SELECT split_part(name, '@', 2) AS domain
  FROM exposure
  WHERE seen_at < $window_end
    AND scope = 'mailbox'
  UNION
  SELECT split_part(sender, '@', 2) AS domain
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE) - $days_of_own_domains * INTERVAL 1 DAY
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND evidence IN ('usage', 'signins')
    AND service = 'exchange_online'
    AND outcome = 'accepted'
),
tries AS (
  SELECT
    sender,
    recipient,
    split_part(recipient, '@', 2) AS domain,
    event_time,
    outcome,
    reply_text,
    coalesce(log_host || ' ' || queue_id, message_id, session_id, event_id) AS mail
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND service = 'hve'
    AND sender <> ''
    AND split_part(recipient, '@', 2) <> split_part(sender, '@', 2)
),
outside AS (
  SELECT tries.*
  FROM tries
  LEFT JOIN own_domains ON own_domains.domain = tries.domain
  WHERE own_domains.domain IS NULL
),
listed AS (
  SELECT
    sender,
    string_agg(recipient, ', ' ORDER BY place) AS some_recipients
  FROM (
    SELECT sender, recipient, row_number() OVER (PARTITION BY sender ORDER BY recipient) AS place
    FROM outside
    GROUP BY sender, recipient
  ) AS ranked
  WHERE place <= $most_listed
  GROUP BY sender
),
by_sender AS (
  SELECT
    sender,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(DISTINCT recipient) AS recipients_outside,
    count(DISTINCT mail) AS mails,
    count(DISTINCT mail) FILTER (WHERE outcome = 'accepted') AS mails_taken,
    max_by(reply_text, (event_time, reply_text)) FILTER (WHERE outcome <> 'accepted') AS answer
  FROM outside
  GROUP BY sender
)
SELECT
  by_sender.sender,
  first_seen,
  last_seen,
  recipients_outside,
  some_recipients,
  mails,
  mails_taken,
  answer
FROM by_sender
JOIN listed ON listed.sender = by_sender.sender
WHERE recipients_outside >= $min_recipients
ORDER BY recipients_outside DESC, by_sender.sender
/*---
[[case]]
name  = "fires for one mail to somebody outside, refused or taken, and quotes the answer"
given.deliveries = [
  { sender = "scan@contoso.example", recipient = "a@partner.example", service = "hve", queue_id = "A1", reply_text = "550 5.7.1 no external recipients", event_time = "-20m" },
  { sender = "scan@contoso.example", recipient = "b@partner.example", service = "hve", queue_id = "A2", outcome = "accepted", reply_text = "250 2.0.0 OK", event_time = "-10m" },
]
given.exposure = [{ scope = "mailbox", name = "anna@fabrikam.example" }]
finds = [{ sender = "scan@contoso.example", recipients_outside = 2, some_recipients = "a@partner.example, b@partner.example", mails = 2, mails_taken = 1, answer = "550 5.7.1 no external recipients" }]

[[case]]
name  = "names five recipients at most"
given.deliveries = [
  { sender = "erp@contoso.example", recipient = "f@partner.example", service = "hve" },
  { times = 2, sender = "erp@contoso.example", recipient = "e@partner.example", service = "hve" },
  { sender = "erp@contoso.example", recipient = "d@partner.example", service = "hve" },
  { sender = "erp@contoso.example", recipient = "c@partner.example", service = "hve" },
  { sender = "erp@contoso.example", recipient = "b@partner.example", service = "hve" },
  { sender = "erp@contoso.example", recipient = "a@partner.example", service = "hve" },
]
finds = [{ recipients_outside = 6, some_recipients = "a@partner.example, b@partner.example, c@partner.example, d@partner.example, e@partner.example" }]

[[case]]
name  = "stays silent for people inside: of the same domain, of an exported mailbox, and of one that logs in"
given.deliveries = [
  { sender = "scan@contoso.example", recipient = "ops@contoso.example", service = "hve", outcome = "accepted" },
  { sender = "scan@contoso.example", recipient = "ops@fabrikam.example", service = "hve", outcome = "accepted" },
  { sender = "scan@contoso.example", recipient = "ops@adatum.example", service = "hve", outcome = "accepted" },
  { sender = "scan@contoso.example", recipient = "ops@tailspin.example", service = "hve", outcome = "accepted" },
]
given.exposure = [{ scope = "mailbox", name = "anna@fabrikam.example" }]
given.sender_days = [
  { sender = "berta@adatum.example", evidence = "signins", outcome = "accepted", day = "-91d" },
  { sender = "nas@tailspin.example", evidence = "usage", outcome = "accepted" },
]
finds = []

[[case]]
name  = "a name is a domain of ours only where a mailbox of it lets somebody in at Exchange Online, and lately"
given.deliveries = [
  { sender = "a@contoso.example", recipient = "x@one.example", service = "hve" },
  { sender = "b@contoso.example", recipient = "x@two.example", service = "hve" },
  { sender = "c@contoso.example", recipient = "x@three.example", service = "hve" },
  { sender = "d@contoso.example", recipient = "x@four.example", service = "hve" },
  { sender = "e@contoso.example", recipient = "x@five.example", service = "hve" },
  { sender = "f@contoso.example", recipient = "x@six.example", service = "hve" },
  { sender = "g@contoso.example", recipient = "x@seven.example", service = "hve" },
]
given.exposure = [
  { scope = "policy", name = "policy@one.example" },
  { scope = "mailbox", name = "anna@seven.example", seen_at = "0m" },
]
given.sender_days = [
  { sender = "spam@two.example", evidence = "traces", outcome = "accepted" },
  { sender = "guest@three.example", evidence = "signins", service = "other", outcome = "accepted" },
  { sender = "guess@four.example", evidence = "signins", outcome = "rejected" },
  { sender = "old@five.example", evidence = "usage", outcome = "accepted", day = "-92d" },
  { sender = "next@six.example", evidence = "usage", outcome = "accepted", day = "1d" },
]
finds = [
  { sender = "a@contoso.example" },
  { sender = "b@contoso.example" },
  { sender = "c@contoso.example" },
  { sender = "d@contoso.example" },
  { sender = "e@contoso.example" },
  { sender = "f@contoso.example" },
  { sender = "g@contoso.example" },
]

[[case]]
name  = "stays silent where other services send outside, for held mail, bounces, and mail whose recipient is not known"
given.deliveries = [
  { sender = "a@contoso.example", recipient = "x@partner.example", service = "exchange_online" },
  { sender = "b@contoso.example", recipient = "x@partner.example", service = "hve", kind = "held", outcome = "deferred" },
  { sender = "", recipient = "x@partner.example", service = "hve" },
  { sender = "c@contoso.example", service = "hve" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { sender = "old@contoso.example", recipient = "x@partner.example", service = "hve", event_time = "-1441m" },
  { sender = "first@contoso.example", recipient = "x@partner.example", service = "hve", event_time = "-1440m" },
  { sender = "next@contoso.example", recipient = "x@partner.example", service = "hve", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
