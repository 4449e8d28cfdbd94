/*---
title       = "{sender} logged in with a password from {network}, where it never was before"
why         = "A device stays where it is. A log-in over SMTP from another network is a move, or somebody else with its password."
severity    = "high"
confidence  = "medium"
every       = "15m"
window      = "45d"
reads       = ["sender_days"]
about       = ["network", "sender"]
over_when   = "network_left"
remedy      = "basic_from_new_network"
references  = ["https://learn.microsoft.com/security/operations/incident-response-playbook-compromised-malicious-app", "https://learn.microsoft.com/entra/identity/monitoring-health/concept-sign-ins"]
known_gaps  = "Sign-ins and the requested SMTP AUTH report name the address; the summary and the log of a relay do not. An account is judged once it has been seen for a month; one that moves from network to network all the time is not judged. An intruder in the same network looks like the device."
false_positives = "A line whose address changes (DHCP, a new provider, a spare line), another exit of the same provider's NAT, a cloud service that sends from a new range, an office that moved."
mitre       = ["T1078.004"]

[params]
new_days = 7
learning_days = 30
most_usual_networks = 3
least_log_ins = 1
---*/
WITH
log_ins AS (
  SELECT
    sender,
    day,
    evidence,
    client_ip,
    split_part(client_ip, '::', 1) AS before_the_gap,
    coalesce(messages, events) AS log_ins,
    auth_protocol = 'basic' AND service = 'exchange_online' AS is_password,
    first_at,
    last_at
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE)
    AND day < CAST($window_end AS DATE) + INTERVAL 1 DAY
    AND evidence IN ('signins', 'usage')
    AND outcome = 'accepted'
    AND sender <> ''
    AND client_ip <> ''
),
placed AS (
  -- The network of an address is its /24, or its /48, in which the hexadecimal groups that "::" leaves out are zero.
  SELECT
    *,
    CASE
      WHEN client_ip LIKE '%:%' THEN
        split_part(before_the_gap, ':', 1)
        || ':' || coalesce(nullif(split_part(before_the_gap, ':', 2), ''), '0')
        || ':' || coalesce(nullif(split_part(before_the_gap, ':', 3), ''), '0')
        || '::/48'
      ELSE
        split_part(client_ip, '.', 1)
        || '.' || split_part(client_ip, '.', 2)
        || '.' || split_part(client_ip, '.', 3)
        || '.0/24'
    END AS network,
    min(day) OVER (PARTITION BY sender, evidence) AS known_since
  FROM log_ins
),
networks AS (
  SELECT
    sender,
    network,
    min(day) AS first_day,
    max(day) AS last_day,
    min(first_at) AS first_at,
    max(last_at) AS last_at,
    min(known_since) FILTER (WHERE is_password) AS known_since,
    CAST(sum(log_ins) FILTER (WHERE is_password) AS BIGINT) AS log_ins,
    string_agg(DISTINCT client_ip, ', ' ORDER BY client_ip) FILTER (WHERE is_password) AS addresses,
    string_agg(DISTINCT evidence, ', ' ORDER BY evidence) FILTER (WHERE is_password) AS evidence
  FROM placed
  GROUP BY sender, network
),
usual AS (
  SELECT
    newer.sender,
    newer.network,
    count(*) AS usual_networks,
    string_agg(older.network, ', ' ORDER BY older.network) AS usually_from
  FROM networks AS newer
  JOIN networks AS older
    ON older.sender = newer.sender
    AND older.first_day < newer.first_day
  GROUP BY newer.sender, newer.network
)
SELECT
  networks.network,
  networks.sender,
  coalesce(first_at, CAST(first_day AS TIMESTAMPTZ)) AS first_seen,
  coalesce(last_at, CAST(last_day AS TIMESTAMPTZ)) AS last_seen,
  log_ins,
  addresses,
  usually_from,
  evidence
FROM networks
JOIN usual
  ON usual.sender = networks.sender
  AND usual.network = networks.network
WHERE first_day >= CAST($window_end AS DATE) - $new_days * INTERVAL 1 DAY
  AND known_since <= first_day - $learning_days * INTERVAL 1 DAY
  AND usual_networks <= $most_usual_networks
  AND log_ins >= $least_log_ins
ORDER BY first_seen DESC, networks.sender, networks.network
/*---
[[case]]
name  = "fires for one log-in from another network, with what is usual"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", first_at = "-40d", last_at = "-3d", day = "-40d", times = 38, step = "1d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-2d", events = 3, first_at = "-50h", last_at = "-48h" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.10", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d", events = 1, first_at = "-20h", last_at = "-20h" },
]
finds = [{ network = "203.0.113.0/24", sender = "scan@contoso.example", log_ins = 4, addresses = "203.0.113.10, 203.0.113.9", usually_from = "192.0.2.0/24", evidence = "signins", first_seen = 2026-12-29T21:00:00Z, last_seen = 2026-12-31T03:00:00Z }]

[[case]]
name  = "knows the network of an address of version 6, however it is shortened"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "2001:db8:1:2::7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "nas@contoso.example", client_ip = "2001:db8::7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "erp@contoso.example", client_ip = "2001:db8:9:1:2:3:4:5", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "mon@contoso.example", client_ip = "2001::7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "scan@contoso.example", client_ip = "2001:db8:1:9::7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "scan@contoso.example", client_ip = "2001:db8:2::7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "nas@contoso.example", client_ip = "2001:db8:0:5::7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "erp@contoso.example", client_ip = "2001:db8:9::1", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "mon@contoso.example", client_ip = "2001:db8::7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "mon@contoso.example", client_ip = "2001::9:7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
]
finds = [{ network = "2001:db8:0::/48", sender = "mon@contoso.example", usually_from = "2001:0:0::/48" }, { network = "2001:db8:2::/48", sender = "scan@contoso.example", usually_from = "2001:db8:1::/48" }]

[[case]]
name  = "takes a requested report for evidence, and tells senders and networks apart"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.7", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-40d", times = 38, step = "1d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-1d", messages = 5, first_at = "-20h" },
  { sender = "scan@contoso.example", client_ip = "198.51.100.9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-2d", messages = 2, first_at = "-40h" },
  { sender = "nas@contoso.example", client_ip = "203.0.113.9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-40d", times = 38, step = "1d" },
]
finds = [
  { network = "203.0.113.0/24", sender = "scan@contoso.example", log_ins = 5, usually_from = "192.0.2.0/24, 198.51.100.0/24", evidence = "usage" },
  { network = "198.51.100.0/24", sender = "scan@contoso.example", log_ins = 2, usually_from = "192.0.2.0/24" },
]

[[case]]
name  = "stays silent in the same network, for an account that is not known for a month, and for one that is always on the move"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "scan@contoso.example", client_ip = "192.0.2.250", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "new@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-29d" },
  { sender = "new@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "laptop@contoso.example", client_ip = "198.51.0.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d" },
  { sender = "laptop@contoso.example", client_ip = "198.51.1.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-39d" },
  { sender = "laptop@contoso.example", client_ip = "198.51.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-38d" },
  { sender = "laptop@contoso.example", client_ip = "198.51.3.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-37d" },
  { sender = "laptop@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
]
finds = []

[[case]]
name  = "does not judge by evidence that has only begun"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.7", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 1, day = "-40d", times = 38, step = "1d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "usage", auth_protocol = "oauth2", outcome = "accepted", day = "-1d", messages = 1 },
]
finds = []

[[case]]
name  = "stays silent for OAuth, for services that keep passwords, for a log-in that failed, counts nothing, or names no address"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "oauth2", outcome = "accepted", day = "-1d" },
  { sender = "scan@contoso.example", client_ip = "198.51.100.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", service = "hve", day = "-1d" },
  { sender = "scan@contoso.example", client_ip = "198.51.101.9", evidence = "signins", auth_protocol = "basic", outcome = "rejected", day = "-1d" },
  { sender = "scan@contoso.example", client_ip = "198.51.102.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", events = 0, day = "-1d" },
  { sender = "scan@contoso.example", client_ip = "", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "scan@contoso.example", client_ip = "198.51.103.9", evidence = "deliveries", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "relay@contoso.example", client_ip = "192.0.2.7", evidence = "deliveries", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "relay@contoso.example", client_ip = "203.0.113.9", evidence = "deliveries", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
]
finds = []

[[case]]
name  = "takes for usual where it was let in by whatever log-in, and not where it was refused"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "oauth2", outcome = "accepted", day = "-20d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "nas@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d", times = 38, step = "1d" },
  { sender = "nas@contoso.example", client_ip = "198.51.100.9", evidence = "signins", auth_protocol = "basic", outcome = "rejected", day = "-20d" },
  { sender = "nas@contoso.example", client_ip = "198.51.100.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d", events = 2 },
  { sender = "nas@contoso.example", client_ip = "198.51.100.8", evidence = "usage", auth_protocol = "oauth2", outcome = "accepted", day = "-1d", messages = 9 },
]
finds = [{ network = "198.51.100.0/24", sender = "nas@contoso.example", log_ins = 2, addresses = "198.51.100.9", evidence = "signins" }]

[[case]]
name  = "calls new what came within a week, and looks no further than the window"
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-7d" },
  { sender = "old@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d" },
  { sender = "old@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-8d" },
  { sender = "before@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-46d" },
  { sender = "before@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-29d" },
  { sender = "before@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-1d" },
  { sender = "ahead@contoso.example", client_ip = "192.0.2.7", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-40d" },
  { sender = "ahead@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "1d" },
]
finds = [{ sender = "scan@contoso.example" }]
---*/
