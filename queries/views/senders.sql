/*---
title = "The state of every sender, since when, and by which evidence"
---*/
-- States: refused · partly_refused · went_silent · regressed · does_still · migrated · verified · can_still · unknown
WITH
terms AS (
  SELECT
    400 AS days_looked_at,
    90 AS days_unused,
    14 AS days_to_verify,
    2 AS mails_to_verify,
    5 AS recent_days,
    3 AS settled_days,
    45 AS days_a_refusal_counts,
    3 AS days_of_the_new_way
),
feed_ends AS (
  SELECT "table" AS evidence, min(complete_until) AS complete_until
  FROM feeds
  GROUP BY "table"
),
known AS (
  -- What is not complete is not known: states are as of the table that is furthest behind, and never as of the clock.
  SELECT
    coalesce(
      min(complete_until) FILTER (WHERE evidence IN ('traces', 'deliveries')),
      min(complete_until) FILTER (WHERE evidence IN ('usage', 'signins'))
    ) AS as_of,
    max(complete_until) AS newest
  FROM feed_ends
),
timeline AS (
  SELECT sender_timeline.*
  FROM sender_timeline
  CROSS JOIN known
  CROSS JOIN terms
  WHERE sender_timeline.day >= CAST(known.newest AS DATE) - terms.days_looked_at * INTERVAL 1 DAY
),
reported_days AS (
  -- The days of which a report tells how each mail got in.
  SELECT DISTINCT day
  FROM timeline
  WHERE reported > 0
),
submitters AS (
  SELECT sender
  FROM timeline
  GROUP BY sender
  HAVING sum(by_password) + sum(by_oauth) + sum(by_another_way) + sum(by_log_in) + sum(refused) + sum(reported) > 0
),
ways AS (
  -- A day is of the new way when a log or report says so, when mail got in after passwords have ended for everybody, or
  -- when mail got in and the report of the day has no password.
  SELECT
    timeline.sender,
    timeline.day,
    timeline.by_password > 0 AS is_by_password,
    timeline.by_password = 0 AND (
      timeline.by_oauth + timeline.by_another_way > 0
      OR (timeline.traced + timeline.by_log_in > 0 AND timeline.day > passwords.last_day + INTERVAL 1 DAY)
      OR (timeline.traced > 0 AND timeline.refused = 0 AND reported_days.day IS NOT NULL AND reported_senders.sender IS NOT NULL)
    ) AS is_by_a_new_way,
    timeline.by_oauth + timeline.by_another_way > 0
      OR (timeline.traced + timeline.by_log_in > 0 AND timeline.day > passwords.last_day + INTERVAL 1 DAY) AS is_new_way_told,
    greatest(timeline.traced, timeline.by_log_in + timeline.by_another_way, timeline.reported) AS mails
  FROM timeline
  JOIN submitters ON submitters.sender = timeline.sender
  LEFT JOIN password_end AS passwords ON TRUE
  LEFT JOIN reported_days ON reported_days.day = timeline.day
  LEFT JOIN (SELECT DISTINCT sender FROM timeline WHERE reported > 0) AS reported_senders
    ON reported_senders.sender = timeline.sender
),
password_days AS (
  SELECT sender, day, lag(day) OVER (PARTITION BY sender ORDER BY day) AS day_before
  FROM ways
  WHERE is_by_password
),
returns AS (
  -- Passwords after some days of the new way only.
  SELECT password_days.sender, password_days.day, count(*) AS new_days
  FROM password_days
  JOIN ways
    ON ways.sender = password_days.sender
    AND ways.day > password_days.day_before
    AND ways.day < password_days.day
  CROSS JOIN terms
  WHERE ways.is_by_a_new_way
    AND ways.is_new_way_told
    AND date_diff('day', password_days.day_before, password_days.day) > terms.days_of_the_new_way
  GROUP BY password_days.sender, password_days.day
  HAVING count(*) >= max(terms.days_of_the_new_way)
),
password_use AS (
  SELECT
    password_days.sender,
    min(password_days.day) AS first_password_day,
    max(password_days.day) AS last_password_day,
    coalesce(max(CASE WHEN returns.day IS NULL THEN date_diff('day', password_days.day_before, password_days.day) END), 1) AS longest_gap
  FROM password_days
  LEFT JOIN returns ON returns.sender = password_days.sender AND returns.day = password_days.day
  GROUP BY password_days.sender
),
new_way_use AS (
  SELECT
    ways.sender,
    min(ways.day) FILTER (WHERE password_use.last_password_day IS NULL OR ways.day > password_use.last_password_day) AS new_since,
    max(ways.day) AS last_new_day,
    count(*) FILTER (WHERE password_use.last_password_day IS NULL OR ways.day > password_use.last_password_day) AS new_days,
    count(*) FILTER (WHERE ways.is_new_way_told AND (password_use.last_password_day IS NULL OR ways.day > password_use.last_password_day)) AS told_days,
    count(*) FILTER (WHERE ways.is_new_way_told AND ways.day < password_use.last_password_day) AS mixed_days,
    count(*) FILTER (WHERE NOT ways.is_new_way_told AND ways.day < password_use.last_password_day) AS untold_days_before,
    sum(ways.mails) FILTER (WHERE password_use.last_password_day IS NULL OR ways.day > password_use.last_password_day) AS new_mails
  FROM ways
  LEFT JOIN password_use ON password_use.sender = ways.sender
  WHERE ways.is_by_a_new_way
  GROUP BY ways.sender
),
recent AS (
  SELECT timeline.*, row_number() OVER (PARTITION BY timeline.sender ORDER BY timeline.day DESC) AS days_ago
  FROM timeline
  WHERE timeline.refused > 0 OR timeline.last_in_at IS NOT NULL OR timeline.reported > 0
),
last_days AS (
  SELECT
    recent.sender,
    min(recent.first_refused_at) AS first_refused_at,
    max(recent.last_refused_at) AS last_refused_at,
    max(coalesce(recent.last_in_at, CASE WHEN recent.reported > 0 THEN CAST(recent.day AS TIMESTAMPTZ) END)) AS last_in_at,
    max(coalesce(recent.last_new_way_at, CASE WHEN recent.by_oauth > 0 THEN CAST(recent.day AS TIMESTAMPTZ) END)) AS last_new_way_at
  FROM recent
  CROSS JOIN terms
  WHERE recent.days_ago <= terms.recent_days
  GROUP BY recent.sender
),
streaks AS (
  SELECT
    last_days.sender,
    count(*) FILTER (WHERE recent.refused > 0 AND recent.day > CAST(last_days.last_in_at AS DATE)) AS days_refused_since,
    count(*) FILTER (WHERE recent.refused = 0 AND recent.day > CAST(last_days.last_refused_at AS DATE)) AS days_in_since,
    count(*) FILTER (
      WHERE recent.last_in_at > last_days.first_refused_at
        AND (recent.last_in_at < last_days.last_refused_at OR recent.first_in_at < last_days.last_refused_at AND recent.first_in_at > last_days.first_refused_at)
    ) AS days_of_both
  FROM last_days
  JOIN recent ON recent.sender = last_days.sender
  CROSS JOIN terms
  WHERE recent.days_ago <= terms.recent_days
  GROUP BY last_days.sender
),
devices_seen AS (
  -- A log that names no device is one of them.
  SELECT
    log_in_days.sender,
    coalesce(log_in_days.client_ip, log_in_days.client_name, '') AS device,
    max(log_in_days.last_at) FILTER (WHERE log_in_days.is_by_log_in OR log_in_days.is_by_another_way) AS last_in_at,
    max(log_in_days.last_at) FILTER (WHERE log_in_days.is_refused) AS last_refused_at
  FROM log_in_days
  CROSS JOIN known
  CROSS JOIN terms
  WHERE log_in_days.day >= CAST(known.newest AS DATE) - terms.days_a_refusal_counts * INTERVAL 1 DAY
    AND (log_in_days.is_by_log_in OR log_in_days.is_by_another_way OR log_in_days.is_refused)
  GROUP BY log_in_days.sender, coalesce(log_in_days.client_ip, log_in_days.client_name, '')
),
left_out AS (
  -- Of several devices, one whose last try was refused, whatever the others do.
  SELECT sender
  FROM devices_seen
  GROUP BY sender
  HAVING count(*) > 1
    AND count(*) FILTER (WHERE last_refused_at IS NOT NULL AND (last_in_at IS NULL OR last_in_at < last_refused_at)) > 0
),
refusals AS (
  SELECT
    last_days.sender,
    CASE
      WHEN left_out.sender IS NOT NULL AND last_days.last_in_at IS NOT NULL AND coalesce(last_days.last_in_at > last_days.last_refused_at, TRUE)
        THEN 'some'
      WHEN last_days.last_refused_at IS NULL THEN 'no'
      WHEN last_days.last_in_at IS NULL OR last_days.last_in_at < last_days.first_refused_at THEN 'all'
      WHEN streaks.days_refused_since >= terms.settled_days THEN 'all'
      WHEN last_days.last_in_at > last_days.last_refused_at
        AND (
          streaks.days_in_since >= terms.settled_days
          OR last_days.last_new_way_at > last_days.last_refused_at
          OR streaks.days_of_both = 0
        ) THEN 'no'
      ELSE 'some'
    END AS are_refused,
    last_days.last_in_at,
    last_days.last_refused_at
  FROM last_days
  JOIN streaks ON streaks.sender = last_days.sender
  LEFT JOIN left_out ON left_out.sender = last_days.sender
  CROSS JOIN terms
),
refused_since AS (
  SELECT
    timeline.sender,
    min(timeline.first_refused_at) FILTER (WHERE refusals.last_in_at IS NULL OR timeline.first_refused_at > refusals.last_in_at) AS refused_since,
    min(timeline.first_refused_at) AS first_refused_at,
    sum(timeline.refused) AS refused
  FROM timeline
  JOIN refusals ON refusals.sender = timeline.sender
  GROUP BY timeline.sender
),
silences AS (
  SELECT sender, first_seen AS silent_since
  FROM findings
  WHERE detection = 'silence/went_silent'
  QUALIFY row_number() OVER (PARTITION BY fingerprint ORDER BY episode DESC, noted_at DESC, CASE state WHEN 'over' THEN 0 ELSE 1 END) = 1
    AND state <> 'over'
),
switches AS (
  SELECT scope, name, smtp_auth_disabled, basic_smtp_allowed, policy, seen_at
  FROM exposure
  QUALIFY row_number() OVER (PARTITION BY scope, name ORDER BY seen_at DESC, event_id DESC) = 1
),
tenant_switch AS (
  SELECT bool_or(smtp_auth_disabled) AS smtp_auth_disabled, max(policy) AS policy
  FROM switches
  WHERE scope = 'tenant'
),
mailboxes AS (
  SELECT
    mailbox.name AS sender,
    mailbox.seen_at,
    NOT coalesce(mailbox.smtp_auth_disabled, tenant_switch.smtp_auth_disabled, FALSE)
      AND coalesce(policy.basic_smtp_allowed, TRUE) AS may_use_a_password
  FROM switches AS mailbox
  CROSS JOIN tenant_switch
  LEFT JOIN switches AS policy
    ON policy.scope = 'policy'
    AND policy.name = coalesce(mailbox.policy, tenant_switch.policy)
  WHERE mailbox.scope = 'mailbox'
),
volumes AS (
  SELECT
    timeline.sender,
    sum(greatest(timeline.traced, timeline.by_log_in + timeline.by_another_way, timeline.reported)) AS mails,
    max(timeline.day) AS last_day
  FROM timeline
  CROSS JOIN known
  WHERE timeline.day >= CAST(known.newest AS DATE) - INTERVAL 30 DAY
  GROUP BY timeline.sender
),
tables_seen_in AS (
  SELECT log_in_days.sender, string_agg(DISTINCT log_in_days.evidence, ', ' ORDER BY log_in_days.evidence) AS evidence
  FROM log_in_days
  CROSS JOIN known
  WHERE log_in_days.day >= CAST(known.newest AS DATE) - INTERVAL 30 DAY
  GROUP BY log_in_days.sender
),
clients AS (
  SELECT
    sender_days.sender,
    count(DISTINCT coalesce(sender_days.client_name, sender_days.client_ip)) AS devices,
    list(DISTINCT coalesce(sender_days.client_name || ' (' || sender_days.client_ip || ')', sender_days.client_name, sender_days.client_ip)) AS clients
  FROM sender_days
  CROSS JOIN known
  WHERE sender_days.day >= CAST(known.newest AS DATE) - INTERVAL 30 DAY
    AND coalesce(sender_days.client_name, sender_days.client_ip) IS NOT NULL
    AND sender_days.evidence <> 'traces'
  GROUP BY sender_days.sender
),
own_domains AS (
  SELECT DISTINCT split_part(name, '@', 2) AS domain
  FROM switches
  WHERE scope = 'mailbox'
),
recipients AS (
  -- A log and the traces tell of the same mails, so the larger of the two counts.
  SELECT sender, max(inside) AS inside, max(outside) AS outside
  FROM (
    SELECT
      sender_domains.sender,
      sender_domains.evidence,
      coalesce(sum(sender_domains.events) FILTER (WHERE own_domains.domain IS NOT NULL OR sender_domains.recipient_domain = split_part(sender_domains.sender, '@', 2)), 0) AS inside,
      coalesce(sum(sender_domains.events) FILTER (WHERE own_domains.domain IS NULL AND sender_domains.recipient_domain <> split_part(sender_domains.sender, '@', 2)), 0) AS outside
    FROM sender_domains
    CROSS JOIN known
    LEFT JOIN own_domains ON own_domains.domain = sender_domains.recipient_domain
    WHERE sender_domains.day >= CAST(known.newest AS DATE) - INTERVAL 30 DAY
    GROUP BY sender_domains.sender, sender_domains.evidence
  ) AS counted
  GROUP BY sender
),
everybody AS (
  SELECT sender FROM timeline
  UNION
  SELECT sender FROM mailboxes
),
facts AS (
  SELECT
    everybody.sender,
    known.as_of,
    coalesce(refusals.are_refused, 'no') AS are_refused,
    refused_since.refused_since,
    refused_since.first_refused_at,
    refusals.last_in_at,
    silences.silent_since,
    password_use.first_password_day,
    password_use.last_password_day,
    password_use.last_password_day >= CAST(known.as_of AS DATE) - terms.days_unused * INTERVAL 1 DAY AS is_used,
    new_way_use.new_since,
    new_way_use.last_new_day,
    coalesce(new_way_use.told_days, 0) > 0 AS is_new_way_told,
    new_way_use.new_mails,
    -- A sender of both ways has left its password only when that was not seen for longer than ever before.
    (password_use.last_password_day IS NULL AND new_way_use.told_days > 0 OR new_way_use.last_new_day > password_use.last_password_day)
      -- That a report does not name it is worth more where the report always did.
      AND new_way_use.new_days >= CASE
        WHEN new_way_use.told_days > 0 OR new_way_use.untold_days_before = 0 THEN 1
        ELSE terms.settled_days
      END
      AND (
        new_way_use.mixed_days = 0
        OR date_diff('day', password_use.last_password_day, new_way_use.last_new_day) > password_use.longest_gap + terms.days_of_the_new_way
      ) AS has_left_its_password,
    returns.day AS returned_on,
    mailboxes.may_use_a_password,
    mailboxes.seen_at AS switch_seen_at,
    submitters.sender IS NOT NULL AS is_submitter
  FROM everybody
  CROSS JOIN known
  CROSS JOIN terms
  LEFT JOIN submitters ON submitters.sender = everybody.sender
  LEFT JOIN refusals ON refusals.sender = everybody.sender
  LEFT JOIN refused_since ON refused_since.sender = everybody.sender
  LEFT JOIN silences ON silences.sender = everybody.sender
  LEFT JOIN password_use ON password_use.sender = everybody.sender
  LEFT JOIN new_way_use ON new_way_use.sender = everybody.sender
  LEFT JOIN (SELECT sender, max(day) AS day FROM returns GROUP BY sender) AS returns ON returns.sender = everybody.sender
  LEFT JOIN mailboxes ON mailboxes.sender = everybody.sender
),
states AS (
  SELECT
    facts.*,
    CASE
      WHEN are_refused = 'all' THEN 'refused'
      WHEN are_refused = 'some' THEN 'partly_refused'
      WHEN silent_since IS NOT NULL AND is_submitter THEN 'went_silent'
      WHEN has_left_its_password AND new_mails >= terms.mails_to_verify
        AND new_since <= CAST(as_of AS DATE) - terms.days_to_verify * INTERVAL 1 DAY
        AND (first_refused_at IS NULL OR CAST(first_refused_at AS DATE) <= CAST(as_of AS DATE) - terms.days_to_verify * INTERVAL 1 DAY) THEN 'verified'
      WHEN has_left_its_password THEN 'migrated'
      WHEN is_used AND returned_on IS NOT NULL THEN 'regressed'
      WHEN is_used THEN 'does_still'
      WHEN may_use_a_password THEN 'can_still'
      ELSE 'unknown'
    END AS state
  FROM facts
  CROSS JOIN terms
)
SELECT
  states.sender,
  states.state,
  CASE states.state
    WHEN 'refused' THEN coalesce(states.refused_since, states.first_refused_at)
    WHEN 'partly_refused' THEN states.first_refused_at
    WHEN 'went_silent' THEN states.silent_since
    WHEN 'regressed' THEN CAST(states.returned_on AS TIMESTAMPTZ)
    WHEN 'does_still' THEN CAST(states.first_password_day AS TIMESTAMPTZ)
    WHEN 'can_still' THEN states.switch_seen_at
    WHEN 'unknown' THEN NULL
    ELSE CAST(states.new_since AS TIMESTAMPTZ)
  END AS since,
  CASE states.state
    WHEN 'refused' THEN 'a log shows the refusal, and no mail got in since'
    WHEN 'partly_refused' THEN 'some tries are refused, others get in'
    WHEN 'went_silent' THEN 'its mail used to come regularly and has stopped'
    WHEN 'regressed' THEN 'it logs in with a password again'
    WHEN 'does_still' THEN 'it gets in with a password'
    WHEN 'can_still' THEN 'a password is allowed, and none was used for 90 days'
    WHEN 'unknown' THEN 'nothing tells how its mail gets in'
    ELSE CASE
      WHEN states.is_new_way_told THEN 'it gets in by another way, which a log or report names'
      ELSE 'its mail gets in, and the report has no password of it any more'
    END
  END AS because,
  CASE
    WHEN states.state IN ('refused', 'partly_refused') THEN 'high'
    WHEN states.state IN ('went_silent', 'can_still') THEN 'medium'
    WHEN states.state = 'unknown' THEN 'low'
    WHEN states.state IN ('migrated', 'verified') AND NOT states.is_new_way_told THEN 'medium'
    WHEN contains(tables_seen_in.evidence, 'usage') OR contains(tables_seen_in.evidence, 'deliveries') THEN 'high'
    ELSE 'medium'
  END AS confidence,
  tables_seen_in.evidence,
  CAST(coalesce(volumes.mails, 0) AS BIGINT) AS mails_in_30_days,
  coalesce(clients.devices, 0) AS devices,
  clients.clients,
  CAST(coalesce(recipients.inside, 0) AS BIGINT) AS inside,
  CAST(coalesce(recipients.outside, 0) AS BIGINT) AS outside,
  CAST(states.last_password_day AS TIMESTAMPTZ) AS last_password,
  states.last_in_at AS last_accepted,
  volumes.last_day,
  states.may_use_a_password,
  states.as_of
FROM states
LEFT JOIN volumes ON volumes.sender = states.sender
LEFT JOIN tables_seen_in ON tables_seen_in.sender = states.sender
LEFT JOIN clients ON clients.sender = states.sender
LEFT JOIN recipients ON recipients.sender = states.sender
ORDER BY
  CASE states.state
    WHEN 'refused' THEN 0 WHEN 'partly_refused' THEN 1 WHEN 'went_silent' THEN 2 WHEN 'regressed' THEN 3
    WHEN 'does_still' THEN 4 WHEN 'migrated' THEN 5 WHEN 'verified' THEN 6 WHEN 'can_still' THEN 7 ELSE 8
  END,
  since DESC NULLS LAST,
  states.sender
/*---
[[case]]
name = "each state by what shows it"
given.feeds = [{ table = "traces" }, { table = "usage" }, { table = "deliveries" }]
given.sender_days = [
  { sender = "still@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4, day = "-20d", times = 20, step = "1d" },
  { sender = "moved@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4, day = "-40d", times = 30, step = "1d" },
  { sender = "moved@contoso.example", evidence = "usage", auth_protocol = "oauth2", outcome = "accepted", messages = 4, day = "-9d", times = 8, step = "1d" },
  { sender = "proven@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4, day = "-60d", times = 30, step = "1d" },
  { sender = "proven@contoso.example", evidence = "usage", auth_protocol = "oauth2", outcome = "accepted", messages = 4, day = "-29d", times = 28, step = "1d" },
  { sender = "graph@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4, day = "-40d", times = 31, step = "1d" },
  { sender = "graph@contoso.example", evidence = "traces", outcome = "delivered", day = "-40d", times = 38, step = "1d", last_at = "-40d" },
  { sender = "back@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4, day = "-60d", times = 30, step = "1d" },
  { sender = "back@contoso.example", evidence = "usage", auth_protocol = "oauth2", outcome = "accepted", messages = 4, day = "-30d", times = 20, step = "1d" },
  { sender = "back@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4, day = "-5d", times = 4, step = "1d" },
  { sender = "refused@contoso.example", evidence = "usage", auth_protocol = "basic", outcome = "accepted", messages = 4, day = "-40d", times = 38, step = "1d" },
  { sender = "refused@contoso.example", evidence = "deliveries", kind = "try", outcome = "rejected", reply_class = "basic_retired", day = "-1d", first_at = "-30h", last_at = "-28h" },
  { sender = "partly@contoso.example", evidence = "traces", outcome = "delivered", day = "-40d", times = 41, step = "1d", last_at = "-40d" },
  { sender = "partly@contoso.example", evidence = "deliveries", kind = "try", outcome = "rejected", reply_class = "basic_retired", day = "-3d", times = 3, step = "1d", first_at = "-75h", last_at = "-71h" },
  { sender = "person@contoso.example", evidence = "traces", outcome = "delivered", day = "-40d", times = 41, step = "1d", last_at = "-40d" },
]
given.exposure = [
  { scope = "mailbox", name = "idle@contoso.example", smtp_auth_disabled = false },
  { scope = "mailbox", name = "off@contoso.example", smtp_auth_disabled = true },
  { scope = "tenant", name = "contoso.example", smtp_auth_disabled = true },
]
given.findings = [{ fingerprint = "f1", sender = "silent@contoso.example", detection = "silence/went_silent", state = "open", first_seen = "-9d" }]
finds = [
  { sender = "refused@contoso.example", state = "refused", confidence = "high", evidence = "deliveries, usage" },
  { sender = "partly@contoso.example", state = "partly_refused" },
  { sender = "back@contoso.example", state = "regressed" },
  { sender = "still@contoso.example", state = "does_still", confidence = "high" },
  { sender = "graph@contoso.example", state = "migrated", confidence = "medium" },
  { sender = "moved@contoso.example", state = "migrated", confidence = "high" },
  { sender = "proven@contoso.example", state = "verified" },
  { sender = "idle@contoso.example", state = "can_still" },
  { sender = "off@contoso.example", state = "unknown" },
  { sender = "person@contoso.example", state = "unknown" },
]

[[case]]
name = "one of several devices whose last try was refused is not hidden by the others; a single one that gets in otherwise has moved"
given.feeds = [{ table = "traces" }, { table = "deliveries" }]
given.sender_days = [
  { sender = "several@contoso.example", evidence = "deliveries", kind = "try", outcome = "accepted", service = "exchange_online_mx", client_ip = "192.0.2.1", day = "-20d", times = 20, step = "1d", first_at = "-20d", last_at = "-20d" },
  { sender = "several@contoso.example", evidence = "deliveries", kind = "try", outcome = "rejected", reply_class = "basic_retired", client_ip = "192.0.2.2", day = "-15d", first_at = "-15d", last_at = "-15d" },
  { sender = "single@contoso.example", evidence = "deliveries", kind = "try", outcome = "rejected", reply_class = "basic_retired", client_ip = "192.0.2.3", day = "-10d", first_at = "-10d", last_at = "-10d" },
  { sender = "single@contoso.example", evidence = "deliveries", kind = "try", outcome = "accepted", service = "exchange_online_mx", client_ip = "192.0.2.3", day = "-9d", times = 9, step = "1d", first_at = "-9d", last_at = "-9d" },
]
finds = [
  { sender = "several@contoso.example", state = "partly_refused" },
  { sender = "single@contoso.example", state = "migrated" },
]
---*/
