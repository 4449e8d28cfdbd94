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
