/*---
meaning = "A later mail of the sender to one of those domains was accepted by a service that delivers outside."
uncovered = ["later.kind = 'try' because nothing but a try is accepted by a service"]
---*/
-- Reads open_findings(fingerprint, sender, thing, since, last_seen). Missing data ends nothing: only an acceptance does.
WITH
domains AS (
  SELECT DISTINCT
    open_findings.fingerprint,
    open_findings.sender,
    open_findings.last_seen,
    split_part(tries.recipient, '@', 2) AS domain
  FROM open_findings
  JOIN deliveries AS tries ON tries.sender = open_findings.sender
  WHERE tries.event_time >= open_findings.since
    AND tries.event_time <= open_findings.last_seen
    AND tries.service = 'hve'
    AND split_part(tries.recipient, '@', 2) <> split_part(tries.sender, '@', 2)
)
SELECT
  domains.fingerprint,
  min(later.event_time) AS over_at,
  'its mail to people outside was accepted by ' || coalesce(min_by(later.endpoint, (later.event_time, later.endpoint)), 'another server') AS because
FROM domains
JOIN deliveries AS later
  ON later.sender = domains.sender
  AND split_part(later.recipient, '@', 2) = domains.domain
WHERE later.event_time > domains.last_seen
  AND later.kind = 'try'
  AND later.outcome = 'accepted'
  AND later.service <> 'hve'
GROUP BY domains.fingerprint
ORDER BY domains.fingerprint
/*---
[[case]]
name  = "ends when mail for that domain is accepted elsewhere"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "scan@contoso.example", recipient = "a@partner.example", service = "hve", event_time = "-9h" },
  { sender = "scan@contoso.example", recipient = "b@partner.example", service = "acs", endpoint = "smtp.azurecomm.net", outcome = "accepted", event_time = "-1h" },
]
finds = [{ fingerprint = "f1", over_at = 2026-12-31T22:00:00Z, because = "its mail to people outside was accepted by smtp.azurecomm.net" }]

[[case]]
name  = "stays open through silence, for people inside, for another sender or domain, when it was refused, earlier, or taken by High Volume Email again"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "scan@contoso.example", recipient = "a@partner.example", service = "hve", event_time = "-9h" },
  { sender = "scan@contoso.example", recipient = "ops@contoso.example", service = "hve", outcome = "accepted", event_time = "-9h" },
  { sender = "scan@contoso.example", recipient = "a@partner.example", service = "acs", outcome = "accepted", event_time = "-4h" },
  { sender = "scan@contoso.example", recipient = "ops@contoso.example", outcome = "accepted", event_time = "-2h" },
  { sender = "nas@contoso.example", recipient = "a@partner.example", outcome = "accepted", event_time = "-2h" },
  { sender = "scan@contoso.example", recipient = "a@else.example", outcome = "accepted", event_time = "-2h" },
  { sender = "scan@contoso.example", recipient = "a@partner.example", outcome = "rejected", event_time = "-2h" },
  { sender = "scan@contoso.example", recipient = "a@partner.example", service = "hve", outcome = "accepted", event_time = "-1h" },
]
finds = []

[[case]]
name  = "asks only about what it wrote through High Volume Email, in that time"
given.open_findings = [{ fingerprint = "f1", sender = "scan@contoso.example", since = "-9h", last_seen = "-3h" }]
given.deliveries = [
  { sender = "scan@contoso.example", recipient = "a@old.example", service = "hve", event_time = "-10h" },
  { sender = "scan@contoso.example", recipient = "a@else.example", service = "acs", event_time = "-9h" },
  { sender = "nas@contoso.example", recipient = "a@nas.example", service = "hve", event_time = "-9h" },
  { sender = "scan@contoso.example", recipient = "a@new.example", service = "hve", event_time = "-2h" },
  { sender = "scan@contoso.example", recipient = "a@old.example", outcome = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", recipient = "a@else.example", outcome = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", recipient = "a@nas.example", outcome = "accepted", event_time = "-1h" },
  { sender = "scan@contoso.example", recipient = "a@new.example", outcome = "accepted", event_time = "-1h" },
]
finds = []
---*/
