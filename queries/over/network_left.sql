/*---
meaning = "For thirty days, of which its source has brought everything, nobody logged in to the account from there."
uncovered = ["sender_days.sender IN (SELECT sender FROM open_findings) because it only spares work"]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the network. Silence counts only as far
-- as the sources that show such log-ins are complete and without a gap in those days. Whether it was an intruder is for
-- people to find out.
WITH
days AS (
  SELECT
    sender_days.sender,
    sender_days.evidence,
    sender_days.day,
    CASE
      WHEN sender_days.client_ip LIKE '%:%' THEN
        split_part(split_part(sender_days.client_ip, '::', 1), ':', 1)
        || ':' || coalesce(nullif(split_part(split_part(sender_days.client_ip, '::', 1), ':', 2), ''), '0')
        || ':' || coalesce(nullif(split_part(split_part(sender_days.client_ip, '::', 1), ':', 3), ''), '0')
        || '::/48'
      ELSE
        split_part(sender_days.client_ip, '.', 1)
        || '.' || split_part(sender_days.client_ip, '.', 2)
        || '.' || split_part(sender_days.client_ip, '.', 3)
        || '.0/24'
    END AS network
  FROM sender_days
  WHERE sender_days.sender IN (SELECT sender FROM open_findings)
    AND sender_days.evidence IN ('signins', 'usage')
    AND sender_days.outcome = 'accepted'
    AND sender_days.auth_protocol = 'basic'
),
last_log_ins AS (
  SELECT
    open_findings.fingerprint,
    max(days.day) AS last_day,
    bool_or(days.evidence = 'signins') AS is_in_signins,
    bool_or(days.evidence = 'usage') AS is_in_usage
  FROM open_findings
  JOIN days
    ON days.sender = open_findings.sender
    AND days.network = open_findings.thing
  WHERE days.day >= CAST(open_findings.since AS DATE)
  GROUP BY open_findings.fingerprint
)
SELECT
  last_log_ins.fingerprint,
  CAST(last_log_ins.last_day AS TIMESTAMPTZ) + INTERVAL 31 DAY AS over_at,
  'nobody has logged in from there for thirty days, and everything of them was read' AS because
FROM last_log_ins
JOIN feeds
  ON (feeds."table" = 'signins' AND last_log_ins.is_in_signins)
  OR (feeds."table" = 'usage' AND last_log_ins.is_in_usage)
LEFT JOIN gaps
  ON gaps.source = feeds.source
  AND coalesce(gaps.to_time, gaps.noticed_at) > CAST(last_log_ins.last_day AS TIMESTAMPTZ)
  AND coalesce(gaps.from_time, CAST(last_log_ins.last_day AS TIMESTAMPTZ)) < CAST(last_log_ins.last_day AS TIMESTAMPTZ) + INTERVAL 31 DAY
GROUP BY last_log_ins.fingerprint, last_log_ins.last_day
HAVING min(feeds.complete_until) >= CAST(last_log_ins.last_day AS TIMESTAMPTZ) + INTERVAL 31 DAY
  AND count(gaps.source) = 0
ORDER BY last_log_ins.fingerprint
/*---
[[case]]
name  = "ends after thirty days of which everything was read"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" },
  { fingerprint = "f2", thing = "2001:db8:0::/48", sender = "nas@contoso.example", since = "-50d", last_seen = "-45d" },
  { fingerprint = "f3", thing = "2001:db8:7::/48", sender = "erp@contoso.example", since = "-50d", last_seen = "-45d" },
]
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-50d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.10", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "nas@contoso.example", client_ip = "2001:db8::9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "erp@contoso.example", client_ip = "2001:db8:7:1::9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
]
given.feeds = [
  { source = "graph", table = "signins", complete_until = "-1d" },
  { source = "report", table = "usage", complete_until = "-1d" },
  { source = "relay", table = "deliveries", complete_until = "-60d" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-17T00:00:00Z }, { fingerprint = "f2" }, { fingerprint = "f3" }]

[[case]]
name  = "stays open while those days are not complete, by the table that showed it, and when nothing is known of it"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" },
  { fingerprint = "f2", thing = "203.0.113.0/24", sender = "nas@contoso.example", since = "-50d", last_seen = "-45d" },
]
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "nas@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "nas@contoso.example", client_ip = "203.0.113.9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
]
given.feeds = [
  { source = "graph", table = "signins", complete_until = "-20d" },
  { source = "other", table = "signins", complete_until = "-1d" },
  { source = "report", table = "usage", complete_until = "-1d" },
]
finds = []

[[case]]
name  = "stays open while the report is behind that shows it too"
given.open_findings = [{ fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" }]
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
]
given.feeds = [
  { source = "graph", table = "signins", complete_until = "-1d" },
  { source = "report", table = "usage", complete_until = "-20d" },
]
finds = []

[[case]]
name  = "stays open while somebody logs in from there"
given.open_findings = [{ fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" }]
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-9d" },
]
given.feeds = [{ source = "graph", table = "signins", complete_until = "-1h" }]
finds = []

[[case]]
name  = "is not kept open by log-ins from elsewhere, of others, with OAuth, in vain, or that only a relay saw; nor ended by older ones"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" },
  { fingerprint = "f2", thing = "203.0.113.0/24", sender = "nas@contoso.example", since = "-50d", last_seen = "-45d" },
]
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "scan@contoso.example", client_ip = "198.51.100.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-9d" },
  { sender = "erp@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-9d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "oauth2", outcome = "accepted", day = "-9d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "rejected", day = "-9d" },
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "deliveries", auth_protocol = "basic", outcome = "accepted", day = "-9d" },
  { sender = "nas@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-60d" },
]
given.feeds = [{ source = "graph", table = "signins", complete_until = "-1h" }]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "does not wait for a table that never showed it"
given.open_findings = [{ fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" }]
given.sender_days = [{ sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" }]
given.feeds = [
  { source = "graph", table = "signins", complete_until = "-1d" },
  { source = "report", table = "usage", complete_until = "-20d" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "nor for sign-ins where the report showed it"
given.open_findings = [{ fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" }]
given.sender_days = [{ sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-45d" }]
given.feeds = [
  { source = "graph", table = "signins", complete_until = "-20d" },
  { source = "report", table = "usage", complete_until = "-1d" },
]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "stays open when something of those days is missing, and not for a gap before, after, or of another source"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.0/24", sender = "scan@contoso.example", since = "-50d", last_seen = "-45d" },
  { fingerprint = "f2", thing = "203.0.113.0/24", sender = "nas@contoso.example", since = "-50d", last_seen = "-45d" },
]
given.sender_days = [
  { sender = "scan@contoso.example", client_ip = "203.0.113.9", evidence = "signins", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
  { sender = "nas@contoso.example", client_ip = "203.0.113.9", evidence = "usage", auth_protocol = "basic", outcome = "accepted", day = "-45d" },
]
given.feeds = [
  { source = "graph", table = "signins", complete_until = "-1d" },
  { source = "report", table = "usage", complete_until = "-1d" },
]
given.gaps = [
  { source = "graph", from_time = "-30d", to_time = "-29d", noticed_at = "-1d" },
  { source = "report", from_time = "-60d", to_time = "-46d", noticed_at = "-1d" },
  { source = "report", from_time = "-14d", to_time = "-10d", noticed_at = "-1d" },
  { source = "relay", from_time = "-30d", to_time = "-29d", noticed_at = "-1d" },
]
finds = [{ fingerprint = "f2" }]
---*/
