/*---
title = "The state of every sender: is refused, does still, recovered, seen"
---*/
WITH
latest_findings AS (
  SELECT *
  FROM findings
  WHERE sender <> ''
  QUALIFY row_number() OVER (PARTITION BY fingerprint ORDER BY episode DESC, noted_at DESC, CASE state WHEN 'over' THEN 0 ELSE 1 END) = 1
),
problems AS (
  SELECT
    sender,
    bool_or(state <> 'over' AND starts_with(detection, 'rejection/')) AS is_refused,
    bool_or(state <> 'over' AND starts_with(detection, 'residual/')) AS does_still,
    min(first_seen) AS first_problem,
    max(last_seen) AS last_problem,
    string_agg(detection, ', ' ORDER BY detection) FILTER (WHERE state <> 'over') AS open_findings
  FROM latest_findings
  GROUP BY sender
),
days AS (
  SELECT
    sender,
    min(day) AS first_day,
    max(day) AS last_day,
    CAST(sum(events) FILTER (WHERE evidence = 'deliveries' AND kind = 'try' AND outcome = 'accepted') AS BIGINT) AS accepted,
    count(DISTINCT client_ip) AS devices
  FROM sender_days
  WHERE sender <> ''
  GROUP BY sender
)
SELECT
  coalesce(days.sender, problems.sender) AS sender,
  CASE
    WHEN is_refused THEN 'is refused'
    WHEN does_still THEN 'does still'
    WHEN first_problem IS NOT NULL THEN 'recovered'
    ELSE 'seen'
  END AS state,
  open_findings,
  first_problem,
  last_problem,
  coalesce(accepted, 0) AS accepted,
  devices,
  first_day,
  last_day
FROM days
FULL JOIN problems ON problems.sender = days.sender
ORDER BY
  CASE state WHEN 'is refused' THEN 0 WHEN 'does still' THEN 1 WHEN 'recovered' THEN 2 ELSE 3 END,
  last_problem DESC NULLS LAST,
  sender
/*---
[[case]]
name = "puts the worst state first, and says 'recovered' only of what was a problem"
given.findings = [
  { fingerprint = "f1", sender = "scan@contoso.example", state = "open", detection = "rejection/basic_auth_refused" },
  { fingerprint = "f2", sender = "erp@contoso.example", state = "open", detection = "residual/residual_basic_sender" },
  { fingerprint = "f3", sender = "nas@contoso.example", state = "over", detection = "rejection/basic_auth_refused" },
]
given.sender_days = [
  { sender = "scan@contoso.example", evidence = "deliveries" },
  { sender = "fine@contoso.example", evidence = "deliveries", outcome = "accepted", kind = "try", events = 4 },
]
finds = [
  { sender = "scan@contoso.example", state = "is refused" },
  { sender = "erp@contoso.example", state = "does still" },
  { sender = "nas@contoso.example", state = "recovered" },
  { sender = "fine@contoso.example", state = "seen", accepted = 4 },
]
---*/
