/*---
meaning = "The source brought a newer row, or is no longer in the settings."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the source. Missing data ends nothing.
WITH
newest AS (
  SELECT
    open_findings.fingerprint,
    open_findings.last_seen,
    max(feeds.newest_at) AS newest_at,
    max(feeds.noted_at) AS noted_at
  FROM open_findings
  LEFT JOIN feeds ON feeds.source = open_findings.thing
  GROUP BY open_findings.fingerprint, open_findings.last_seen
)
SELECT
  fingerprint,
  coalesce(noted_at, last_seen) AS over_at,
  CASE WHEN newest_at IS NULL THEN 'it is no longer in the settings' ELSE 'it brought newer rows' END AS because
FROM newest
WHERE newest_at IS NULL OR newest_at > last_seen
ORDER BY fingerprint
/*---
[[case]]
name  = "ends when newer rows come, and when nobody reads the source any more"
given.open_findings = [
  { fingerprint = "f1", thing = "tenant", since = "-30h", last_seen = "-30h" },
  { fingerprint = "f2", thing = "gone", since = "-30h", last_seen = "-30h" },
]
given.feeds = [{ source = "tenant", table = "traces", newest_at = "-1h" }]
finds = [{ fingerprint = "f1", because = "it brought newer rows" }, { fingerprint = "f2", because = "it is no longer in the settings" }]

[[case]]
name  = "stays open while nothing newer comes, from it or only from another"
given.open_findings = [{ fingerprint = "f1", thing = "tenant", since = "-30h", last_seen = "-30h" }]
given.feeds = [
  { source = "tenant", table = "traces", newest_at = "-30h" },
  { source = "relay", table = "deliveries", newest_at = "-1h" },
]
finds = []
---*/
