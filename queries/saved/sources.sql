/*---
title = "What was read from where, and how much of it could not be read"
---*/
SELECT
  source,
  format,
  origin,
  max(to_offset) AS bytes_read,
  CAST(sum(lines) AS BIGINT) AS lines,
  CAST(sum(rows) AS BIGINT) AS rows,
  CAST(sum(rejects) AS BIGINT) AS rejects,
  max(read_at) AS last_read_at,
  max(complete_until) AS complete_until
FROM reads
GROUP BY source, format, origin
ORDER BY source, origin
/*---
[[case]]
name = "adds up what was read of a file in pieces, and says how far it is complete"
given.reads = [
  { source = "relay", format = "log", origin = "/var/log/mail.log", to_offset = 100, lines = 10, rows = 4, rejects = 1, read_at = "-9m", complete_until = "-10m" },
  { source = "relay", format = "log", origin = "/var/log/mail.log", to_offset = 250, lines = 15, rows = 6, rejects = 0, read_at = "-3m", complete_until = "-4m" },
]
finds = [{ source = "relay", bytes_read = 250, lines = 25, rows = 10, rejects = 1, complete_until = 2026-12-31T22:56:00Z }]
---*/
