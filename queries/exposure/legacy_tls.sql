/*---
title       = "{sender} speaks a version of TLS that is too old"
why         = "TLS 1.0 and 1.1 are refused at smtp.office365.com; where an exception lets them in, it is by an endpoint that ends together with Basic authentication."
severity    = "medium"
confidence  = "high"
every       = "1h"
window      = "30d"
reads       = ["sender_days", "usage"]
about       = ["sender"]
over_when   = "newer_tls"
remedy      = "legacy_tls"
references  = ["https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/opt-in-exchange-online-endpoint-for-legacy-tls-using-smtp-auth"]
known_gaps  = "A relay's log does not tell the version of TLS at Exchange Online, unless it is refused; the SMTP AUTH report does."
false_positives = "A summary counts up to 90 days back, so a device that was updated since still shows its old version."

[params]
min_days = 1
---*/
WITH
signs AS (
  SELECT sender, day, tls_version, auth_protocol, 0 AS refusals
  FROM usage
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND (tls_version LIKE '%1.0%' OR tls_version LIKE '%1.1%')
  UNION ALL
  SELECT coalesce(sender, '(unknown sender)') AS sender, day, NULL AS tls_version, NULL AS auth_protocol, events AS refusals
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND reply_class = 'tls_old'
    AND kind = 'try'
    AND sender IS DISTINCT FROM ''
),
by_sender AS (
  SELECT
    sender,
    min(day) AS first_day,
    max(day) AS last_day,
    count(DISTINCT day) AS days,
    string_agg(DISTINCT tls_version, '; ' ORDER BY tls_version) AS versions_reported,
    string_agg(DISTINCT auth_protocol, ', ' ORDER BY auth_protocol) AS log_in,
    CAST(sum(refusals) AS BIGINT) AS tries_refused
  FROM signs
  GROUP BY sender
)
SELECT
  sender,
  CAST(first_day AS TIMESTAMPTZ) AS first_seen,
  CAST(last_day AS TIMESTAMPTZ) AS last_seen,
  versions_reported,
  log_in,
  tries_refused
FROM by_sender
WHERE days >= $min_days
ORDER BY tries_refused DESC, sender
/*---
[[case]]
name  = "fires for a sender whose report shows TLS 1.0 or 1.1, alone or among others"
given.usage = [
  { sender = "mfp@contoso.example", tls_version = "1.0", auth_protocol = "basic", day = "-3d" },
  { sender = "mfp@contoso.example", tls_version = "1.1, 1.2", auth_protocol = "oauth2", day = "-2d" },
  { sender = "nas@contoso.example", tls_version = "1.1", auth_protocol = "basic", day = "-3d" },
]
finds = [
  { sender = "mfp@contoso.example", versions_reported = "1.0; 1.1, 1.2", log_in = "basic, oauth2", tries_refused = 0 },
  { sender = "nas@contoso.example", versions_reported = "1.1" },
]

[[case]]
name  = "fires for one that is refused for it, and says so when the log does not tell which"
given.sender_days = [
  { sender = "mfp@contoso.example", evidence = "deliveries", kind = "try", reply_class = "tls_old", events = 4, day = "-3d" },
  { sender = "mfp@contoso.example", evidence = "deliveries", kind = "try", reply_class = "tls_old", events = 3, day = "-2d" },
  { evidence = "deliveries", kind = "try", reply_class = "tls_old", events = 1, day = "-2d" },
]
finds = [{ sender = "mfp@contoso.example", tries_refused = 7 }, { sender = "(unknown sender)", tries_refused = 1 }]

[[case]]
name  = "stays silent for TLS 1.2 and 1.3, for a report that tells none, for refusals of another kind, for held mail and bounces"
given.usage = [
  { sender = "a@contoso.example", tls_version = "1.2, 1.3" },
  { sender = "b@contoso.example" },
]
given.sender_days = [
  { sender = "c@contoso.example", evidence = "deliveries", kind = "try", reply_class = "starttls_required" },
  { sender = "d@contoso.example", evidence = "deliveries", kind = "held", reply_class = "tls_old" },
  { sender = "", evidence = "deliveries", kind = "try", reply_class = "tls_old" },
]
finds = []

[[case]]
name  = "looks at the first day of the window, not before it and not after it"
given.usage = [
  { sender = "old@contoso.example", tls_version = "1.0", day = "-31d" },
  { sender = "first@contoso.example", tls_version = "1.0", day = "-30d" },
  { sender = "next@contoso.example", tls_version = "1.0", day = "1d" },
]
given.sender_days = [
  { sender = "older@contoso.example", evidence = "deliveries", kind = "try", reply_class = "tls_old", day = "-31d" },
  { sender = "ahead@contoso.example", evidence = "deliveries", kind = "try", reply_class = "tls_old", day = "1d" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
