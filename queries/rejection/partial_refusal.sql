/*---
title       = "{sender} is refused now and then: {refused} of its {tries} tries"
why         = "Some of its mail gets in and some does not. So one of its devices is still on the old way, or the end of Basic authentication reaches it bit by bit; either way it becomes worse."
severity    = "medium"
confidence  = "medium"
every       = "5m"
window      = "1d"
reads       = ["deliveries"]
about       = ["sender"]
over_when   = "steadily_accepted"
remedy      = "partial_refusal"
references  = ["https://techcommunity.microsoft.com/blog/exchange/4114750", "https://techcommunity.microsoft.com/blog/exchange/4489835"]
known_gaps  = "A sender that tries less than a few times a day never shows it within one day. Devices behind one address that give no name are one device."
false_positives = "A password that somebody changes and mistypes several times in between."

[params]
min_tries = 5
min_refused_share = 0.05
min_switches = 3
most_listed = 5
---*/
WITH
tries AS (
  SELECT
    sender,
    coalesce(client_name, client_ip, 'unknown device') AS device,
    event_time,
    origin_offset,
    event_id,
    outcome <> 'accepted' AS is_refused,
    coalesce(request_id, event_id) AS answer
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND sender <> ''
    AND (
      (outcome = 'accepted' AND service <> 'other')
      OR reply_class IN (
        'basic_retired', 'basic_disabled', 'smtpauth_off_tenant', 'smtpauth_off_mailbox', 'not_authenticated',
        'security_defaults', 'conditional_access', 'bad_credentials', 'account_issue', 'auth_generic'
      )
    )
),
steps AS (
  SELECT
    sender,
    device,
    event_time,
    is_refused,
    answer,
    lag(is_refused) OVER (PARTITION BY sender ORDER BY event_time, origin_offset, event_id) AS was_refused
  FROM tries
),
devices AS (
  SELECT
    sender,
    device,
    count(*) FILTER (WHERE is_refused) AS refused,
    count(*) FILTER (WHERE NOT is_refused) AS accepted
  FROM steps
  GROUP BY sender, device
),
device_ranks AS (
  SELECT
    sender,
    device,
    refused,
    accepted,
    row_number() OVER (PARTITION BY sender ORDER BY refused DESC, device) AS refused_place,
    row_number() OVER (PARTITION BY sender ORDER BY accepted DESC, device) AS accepted_place
  FROM devices
),
listed AS (
  SELECT
    sender,
    count(*) FILTER (WHERE accepted = 0) AS always_refused,
    string_agg(device, ', ' ORDER BY refused_place) FILTER (WHERE refused > 0 AND refused_place <= $most_listed) AS devices_refused,
    string_agg(device, ', ' ORDER BY accepted_place) FILTER (WHERE accepted > 0 AND accepted_place <= $most_listed) AS devices_accepted
  FROM device_ranks
  GROUP BY sender
),
by_sender AS (
  -- The cutover is one switch and its mend another; only who goes to and fro is refused in part.
  SELECT
    sender,
    min(event_time) FILTER (WHERE is_refused) AS first_seen,
    max(event_time) FILTER (WHERE is_refused) AS last_seen,
    count(DISTINCT answer) AS tries,
    count(DISTINCT answer) FILTER (WHERE is_refused) AS refused,
    count(*) FILTER (WHERE is_refused <> was_refused) AS switches
  FROM steps
  GROUP BY sender
)
SELECT
  sender,
  first_seen,
  last_seen,
  tries,
  refused,
  round(refused / tries, 2) AS refused_share,
  devices_refused,
  devices_accepted,
  always_refused AS devices_always_refused,
  switches
FROM by_sender
JOIN listed USING (sender)
WHERE tries >= $min_tries
  AND refused >= $min_refused_share * tries
  AND switches >= $min_switches
ORDER BY refused DESC, sender
/*---
[[case]]
name  = "fires when one of two devices is still on the old way, and says which"
given.deliveries = [
  { times = 2, sender = "scan@contoso.example", client_name = "mfp-2", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "scan@contoso.example", client_name = "mfp-1", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "scan@contoso.example", client_name = "mfp-2", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "scan@contoso.example", client_name = "mfp-1", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
]
finds = [{ sender = "scan@contoso.example", tries = 5, refused = 2, refused_share = 0.4, devices_refused = "mfp-1", devices_accepted = "mfp-2", devices_always_refused = 1, switches = 3, first_seen = 2026-12-31T18:00:00Z, last_seen = 2026-12-31T20:00:00Z }]

[[case]]
name  = "fires when the end comes bit by bit: one device is refused between mails that get in"
given.deliveries = [
  { times = 9, sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "nas@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { times = 9, sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "nas@contoso.example", outcome = "deferred", reply_class = "basic_retired", event_time = "-3h" },
  { times = 20, sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
]
finds = [{ sender = "nas@contoso.example", tries = 40, refused = 2, refused_share = 0.05, last_seen = 2026-12-31T20:00:00Z, devices_refused = "192.0.2.10", devices_accepted = "192.0.2.10", devices_always_refused = 0 }]

[[case]]
name  = "stays silent at the cutover, which basic_auth_refused tells, and when it has been mended since"
given.deliveries = [
  { times = 5, sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { times = 5, sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { times = 5, sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { times = 5, sender = "nas@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { times = 5, sender = "nas@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-2h" },
]
finds = []

[[case]]
name  = "stays silent for too few tries, and for too small a share of many"
given.deliveries = [
  { sender = "few@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "few@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "few@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "few@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { times = 40, sender = "many@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "many@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "many@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "many@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
]
finds = []

[[case]]
name  = "counts one answer once, for however many recipients"
given.deliveries = [
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { times = 9, sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", request_id = "08DE01", event_time = "-5h" },
  { sender = "scan@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { times = 9, sender = "scan@contoso.example", outcome = "rejected", reply_class = "basic_retired", request_id = "08DE02", event_time = "-3h" },
]
finds = []

[[case]]
name  = "stays silent when only a partner's server takes or refuses some, and for bounces and mail that is merely held"
given.deliveries = [
  { times = 5, sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", service = "other", endpoint = "mx.partner.example", event_time = "-6h" },
  { sender = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "a@contoso.example", outcome = "accepted", reply_class = "accepted", service = "other", endpoint = "mx.partner.example", event_time = "-4h" },
  { sender = "a@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { times = 5, sender = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "b@contoso.example", outcome = "rejected", reply_class = "quota", event_time = "-5h" },
  { sender = "b@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "b@contoso.example", outcome = "rejected", reply_class = "quota", event_time = "-3h" },
  { times = 5, sender = "c@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "c@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "c@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "c@contoso.example", kind = "held", outcome = "deferred", reply_class = "basic_retired", event_time = "-3h" },
  { times = 5, sender = "", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
]
finds = []

[[case]]
name  = "lists at most five devices of each kind, those with most tries first"
given.deliveries = [
  { times = 2, sender = "s@contoso.example", client_name = "g", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { sender = "s@contoso.example", client_name = "h", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { sender = "s@contoso.example", client_name = "i", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { sender = "s@contoso.example", client_name = "j", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { sender = "s@contoso.example", client_name = "k", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { sender = "s@contoso.example", client_name = "l", outcome = "accepted", reply_class = "accepted", event_time = "-9h" },
  { sender = "s@contoso.example", client_name = "a", outcome = "rejected", reply_class = "basic_retired", event_time = "-8h" },
  { sender = "s@contoso.example", client_name = "b", outcome = "rejected", reply_class = "basic_retired", event_time = "-8h" },
  { sender = "s@contoso.example", client_name = "c", outcome = "rejected", reply_class = "basic_retired", event_time = "-8h" },
  { sender = "s@contoso.example", client_name = "d", outcome = "rejected", reply_class = "basic_retired", event_time = "-8h" },
  { sender = "s@contoso.example", client_name = "e", outcome = "rejected", reply_class = "basic_retired", event_time = "-8h" },
  { sender = "s@contoso.example", client_name = "g", outcome = "accepted", reply_class = "accepted", event_time = "-7h" },
  { times = 2, sender = "s@contoso.example", client_name = "f", outcome = "rejected", reply_class = "basic_retired", event_time = "-6h" },
]
finds = [{ devices_refused = "f, a, b, c, d", devices_accepted = "g, h, i, j, k", devices_always_refused = 6 }]

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { times = 4, sender = "first@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1440m" },
  { sender = "first@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "first@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "first@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { times = 4, sender = "old@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-1441m" },
  { sender = "old@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "old@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "old@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-3h" },
  { times = 4, sender = "next@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-6h" },
  { sender = "next@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "-5h" },
  { sender = "next@contoso.example", outcome = "accepted", reply_class = "accepted", event_time = "-4h" },
  { sender = "next@contoso.example", outcome = "rejected", reply_class = "basic_retired", event_time = "0m" },
]
finds = [{ sender = "first@contoso.example" }]
---*/
