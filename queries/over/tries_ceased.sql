/*---
meaning = "No wrong password was tried for a day of which its source has brought everything."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the address that tries, or the account
-- that is tried. Silence counts only as far as the source is complete and no gap is known of that day. A gap that
-- names no span of time may be of any day up to when it was noticed.
WITH
tries AS (
  SELECT open_findings.fingerprint, signins.source, max(signins.event_time) AS last_try
  FROM open_findings
  JOIN signins ON signins.client_ip = open_findings.thing OR signins."user" = open_findings.thing
  WHERE signins.event_time >= open_findings.since
    AND signins.service = 'exchange_online'
    AND signins.outcome = 'rejected'
  GROUP BY open_findings.fingerprint, signins.source
),
attacks AS (
  SELECT fingerprint, max(last_try) + INTERVAL 1 DAY AS over_at
  FROM tries
  GROUP BY fingerprint
),
looked_at AS (
  -- Each source that showed tries has to be complete, or they may go on where nobody looks.
  SELECT
    tries.fingerprint,
    tries.source,
    attacks.over_at,
    max(feeds.complete_until) AS complete_until
  FROM tries
  JOIN attacks ON attacks.fingerprint = tries.fingerprint
  LEFT JOIN feeds
    ON feeds.source = tries.source
    AND feeds."table" = 'signins'
  GROUP BY tries.fingerprint, tries.source, attacks.over_at
),
holes AS (
  SELECT DISTINCT looked_at.fingerprint
  FROM looked_at
  JOIN gaps ON gaps.source = looked_at.source
  WHERE coalesce(gaps.to_time, gaps.noticed_at) > looked_at.over_at - INTERVAL 1 DAY
    AND coalesce(gaps.from_time, looked_at.over_at - INTERVAL 1 DAY) < looked_at.over_at
)
SELECT
  looked_at.fingerprint,
  max(looked_at.over_at) AS over_at,
  'no wrong password was tried for a day, and everything of that day was read' AS because
FROM looked_at
LEFT JOIN holes ON holes.fingerprint = looked_at.fingerprint
WHERE holes.fingerprint IS NULL
GROUP BY looked_at.fingerprint
HAVING bool_and(coalesce(looked_at.complete_until >= looked_at.over_at, FALSE))
ORDER BY looked_at.fingerprint
/*---
[[case]]
name  = "ends a day after the last try when everything of that day was read, for an address and for an account"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.9", since = "-60h", last_seen = "-50h" },
  { fingerprint = "f2", thing = "erp@contoso.example", since = "-60h", last_seen = "-40h" },
]
given.signins = [
  { user = "scan@contoso.example", client_ip = "203.0.113.9", event_time = "-60h" },
  { user = "scan@contoso.example", client_ip = "203.0.113.9", event_time = "-50h" },
  { user = "erp@contoso.example", client_ip = "203.0.113.77", event_time = "-40h" },
]
given.feeds = [
  { source = "case", table = "signins", complete_until = "-16h" },
  { source = "case", table = "deliveries", complete_until = "-60h" },
  { source = "other", table = "signins", complete_until = "-60h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-30T21:00:00Z }, { fingerprint = "f2", over_at = 2026-12-31T07:00:00Z }]

[[case]]
name  = "stays open while that day is not complete, by the table that tells, of any source that showed tries, or when nothing is known of it"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.9", since = "-60h", last_seen = "-50h" },
  { fingerprint = "f2", thing = "203.0.113.10", since = "-60h", last_seen = "-50h" },
  { fingerprint = "f3", thing = "203.0.113.11", since = "-60h", last_seen = "-50h" },
]
given.signins = [
  { client_ip = "203.0.113.9", event_time = "-50h" },
  { client_ip = "203.0.113.10", event_time = "-50h", source = "complete" },
  { client_ip = "203.0.113.10", event_time = "-55h", source = "behind" },
  { client_ip = "203.0.113.11", event_time = "-50h", source = "gone" },
]
given.feeds = [
  { source = "case", table = "signins", complete_until = "-27h" },
  { source = "case", table = "usage", complete_until = "-1h" },
  { source = "complete", table = "signins", complete_until = "-1h" },
  { source = "behind", table = "signins", complete_until = "-27h" },
]
finds = []

[[case]]
name  = "stays open while the tries go on, at Exchange Online"
given.open_findings = [{ fingerprint = "f1", thing = "203.0.113.9", since = "-60h", last_seen = "-50h" }]
given.signins = [
  { client_ip = "203.0.113.9", event_time = "-50h" },
  { client_ip = "203.0.113.9", event_time = "-3h" },
]
given.feeds = [{ source = "case", table = "signins", complete_until = "-1h" }]
finds = []

[[case]]
name  = "is not kept open by log-ins that work, tries elsewhere or by others, or older ones"
given.open_findings = [{ fingerprint = "f1", thing = "203.0.113.9", since = "-60h", last_seen = "-50h" }]
given.signins = [
  { client_ip = "203.0.113.9", event_time = "-50h" },
  { client_ip = "203.0.113.9", event_time = "-3h", outcome = "accepted" },
  { client_ip = "203.0.113.9", event_time = "-3h", service = "own_relay" },
  { client_ip = "203.0.113.10", event_time = "-3h" },
  { client_ip = "203.0.113.9", event_time = "-61h", source = "gone" },
]
given.feeds = [{ source = "case", table = "signins", complete_until = "-2h" }]
finds = [{ fingerprint = "f1" }]

[[case]]
name  = "stays open when something of that day is missing, a span of it or nobody knows what"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.9", since = "-60h", last_seen = "-50h" },
  { fingerprint = "f2", thing = "203.0.113.10", since = "-60h", last_seen = "-50h" },
]
given.signins = [
  { client_ip = "203.0.113.9", event_time = "-50h", source = "graph" },
  { client_ip = "203.0.113.10", event_time = "-50h", source = "exports" },
]
given.feeds = [
  { source = "graph", table = "signins", complete_until = "-1h" },
  { source = "exports", table = "signins", complete_until = "-1h" },
]
given.gaps = [
  { source = "graph", from_time = "-27h", to_time = "-20h", noticed_at = "-60h" },
  { source = "exports", noticed_at = "-40h", from_time = "-60h", to_time = "-49h" },
]
finds = []

[[case]]
name  = "a gap before or after that day, or of another source, does not matter"
given.open_findings = [
  { fingerprint = "f1", thing = "203.0.113.9", since = "-60h", last_seen = "-50h" },
  { fingerprint = "f2", thing = "203.0.113.10", since = "-60h", last_seen = "-50h" },
]
given.signins = [
  { client_ip = "203.0.113.9", event_time = "-50h" },
  { client_ip = "203.0.113.10", event_time = "-50h", source = "other" },
]
given.feeds = [
  { source = "case", table = "signins", complete_until = "-1h" },
  { source = "other", table = "signins", complete_until = "-1h" },
]
given.gaps = [
  { source = "case", from_time = "-60h", to_time = "-51h", noticed_at = "-1h" },
  { source = "case", from_time = "-25h", to_time = "-20h", noticed_at = "-1h" },
  { source = "other", from_time = "-40h", to_time = "-30h", noticed_at = "-1h" },
]
finds = [{ fingerprint = "f1" }]
---*/
