/*---
meaning = "At least a hundred lines of the source were read since, and less than one in twenty could not be."
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen); `thing` is the source. A source that brings nothing
-- ends nothing.
SELECT
  open_findings.fingerprint,
  max(reads.read_at) AS over_at,
  'its lines can be read again: of ' || CAST(sum(reads.lines) AS BIGINT) || ' since, all but ' || CAST(sum(reads.rejects) AS BIGINT) AS because
FROM open_findings
JOIN reads ON reads.source = open_findings.thing
WHERE reads.read_at > open_findings.last_seen
GROUP BY open_findings.fingerprint
HAVING sum(reads.lines) >= 100 AND sum(reads.rejects) * 20 < sum(reads.lines)
ORDER BY open_findings.fingerprint
/*---
[[case]]
name  = "ends when a hundred lines could be read, but for a few"
given.open_findings = [{ fingerprint = "f1", thing = "relay", since = "-9h", last_seen = "-3h" }]
given.reads = [
  { source = "relay", read_at = "-3h", lines = 100, rejects = 100 },
  { source = "relay", read_at = "-2h", lines = 60, rejects = 4 },
  { source = "relay", read_at = "-1h", lines = 40, rejects = 0 },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z, because = "its lines can be read again: of 100 since, all but 4" }]

[[case]]
name  = "stays open when nothing or little was read since, when as much is rejected, and when another source is read"
given.open_findings = [
  { fingerprint = "f1", thing = "quiet", since = "-9h", last_seen = "-3h" },
  { fingerprint = "f2", thing = "slow", since = "-9h", last_seen = "-3h" },
  { fingerprint = "f3", thing = "bad", since = "-9h", last_seen = "-3h" },
]
given.reads = [
  { source = "slow", read_at = "-1h", lines = 99, rejects = 0 },
  { source = "bad", read_at = "-1h", lines = 200, rejects = 10 },
  { source = "other", read_at = "-1h", lines = 200, rejects = 0 },
  { source = "quiet", read_at = "-4h", lines = 200, rejects = 0 },
]
finds = []
---*/
