/*---
title = "Who logged in where, with a password or OAuth, from how many addresses"

[params.since]
default = "-30d"
help = "Only log-ins from then on."

[params.protocol]
type = "choice"
choices = ["any", "basic", "oauth2", "unknown"]
default = "any"
help = "Only log-ins in this way."

[params.only_refused]
default = false
help = "Only accounts of which a log-in was refused."

[params.min_logins]
default = 1
help = "Only accounts with so many log-ins."
---*/
WITH
by_user AS (
  SELECT
    "user",
    service,
    auth_protocol,
    count(*) AS logins,
    count(*) FILTER (WHERE outcome = 'rejected') AS refused,
    count(DISTINCT client_ip) AS addresses,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    string_agg(DISTINCT client_app, ', ' ORDER BY client_app) AS client_apps
  FROM signins
  WHERE event_time >= $since
    AND ($protocol = 'any' OR auth_protocol = $protocol)
  GROUP BY "user", service, auth_protocol
)
SELECT "user", service, auth_protocol, logins, refused, addresses, first_seen, last_seen, client_apps
FROM by_user
WHERE logins >= $min_logins
  AND (refused > 0 OR NOT $only_refused)
ORDER BY logins DESC, "user", service, auth_protocol
/*---
[[case]]
name = "counts an account once for each way in"
given.signins = [
  { times = 3, user = "scan@contoso.example", auth_protocol = "basic", outcome = "accepted", client_app = "Authenticated SMTP" },
  { user = "scan@contoso.example", auth_protocol = "oauth2", outcome = "rejected", client_ip = "198.51.100.7" },
]
finds = [
  { user = "scan@contoso.example", auth_protocol = "basic", logins = 3, refused = 0, addresses = 1, client_apps = "Authenticated SMTP" },
  { user = "scan@contoso.example", auth_protocol = "oauth2", logins = 1, refused = 1 },
]
---*/
