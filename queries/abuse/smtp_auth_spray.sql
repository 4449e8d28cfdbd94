/*---
title       = "Passwords of many mailboxes are tried over SMTP from {client_ip}"
why         = "One address tries a few passwords on each of many accounts, which no lock-out of an account stops. SMTP AUTH knows no second factor."
severity    = "high"
confidence  = "medium"
every       = "5m"
window      = "1d"
reads       = ["signins"]
about       = ["client_ip"]
over_when   = "tries_ceased"
remedy      = "smtp_auth_spray"
references  = ["https://learn.microsoft.com/security/operations/incident-response-playbook-password-spray", "https://learn.microsoft.com/entra/identity-platform/reference-error-codes"]
known_gaps  = "Tries from very many addresses, a few from each, stay below the threshold. What an authentication policy blocks ends before Entra and leaves no sign-in, so silence after such a policy is no proof. Tries at your own relay are not counted."
false_positives = "An office behind one address whose devices share a password that was changed; a relay that logs in for many mailboxes."
mitre       = ["T1110.003"]

[params]
min_accounts = 10
most_listed = 5
---*/
WITH
log_ins AS (
  SELECT
    client_ip,
    "user" AS account,
    event_time,
    outcome = 'rejected' AND error_code IN ('50126', '50053', '50034', '50056', '50057') AS is_guess,
    -- The password was right, whether or not something else stopped the log-in.
    outcome = 'accepted' OR error_code IN ('50055', '50076', '50079', '50158', '53003') AS is_right
  FROM signins
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND service = 'exchange_online'
    AND auth_protocol = 'basic'
    AND client_ip <> ''
),
by_account AS (
  SELECT
    client_ip,
    account,
    count(*) FILTER (WHERE is_guess) AS guesses,
    min(event_time) FILTER (WHERE is_guess) AS first_guess,
    max(event_time) FILTER (WHERE is_guess) AS last_guess,
    count(*) FILTER (WHERE is_right) AS times_right
  FROM log_ins
  GROUP BY client_ip, account
),
ranked AS (
  SELECT
    client_ip,
    account,
    times_right,
    row_number() OVER (PARTITION BY client_ip, times_right > 0 ORDER BY guesses DESC, account) AS place
  FROM by_account
),
listed AS (
  SELECT
    client_ip,
    string_agg(account, ', ' ORDER BY place) FILTER (WHERE times_right > 0) AS right_for
  FROM ranked
  WHERE place <= $most_listed
  GROUP BY client_ip
),
by_address AS (
  SELECT
    client_ip,
    min(first_guess) AS first_seen,
    max(last_guess) AS last_seen,
    count(*) FILTER (WHERE guesses > 0) AS accounts,
    CAST(sum(guesses) AS BIGINT) AS wrong_passwords,
    count(*) FILTER (WHERE times_right > 0) AS accounts_with_a_right_password
  FROM by_account
  GROUP BY client_ip
)
SELECT
  by_address.client_ip,
  first_seen,
  last_seen,
  accounts,
  wrong_passwords,
  accounts_with_a_right_password,
  right_for
FROM by_address
JOIN listed ON listed.client_ip = by_address.client_ip
WHERE accounts >= $min_accounts
ORDER BY accounts DESC, by_address.client_ip
/*---
[[case]]
name  = "fires for one address that tries ten accounts, and says for which the password was right"
given.signins = [
  { user = "a@contoso.example", event_time = "-20h", auth_protocol = "basic", error_code = "50126" },
  { user = "a@contoso.example", event_time = "-19h", auth_protocol = "basic", error_code = "50126" },
  { user = "b@contoso.example", event_time = "-18h", auth_protocol = "basic", error_code = "50126" },
  { user = "c@contoso.example", event_time = "-17h", auth_protocol = "basic", error_code = "50053" },
  { user = "d@contoso.example", event_time = "-16h", auth_protocol = "basic", error_code = "50034" },
  { user = "e@contoso.example", event_time = "-15h", auth_protocol = "basic", error_code = "50056" },
  { user = "f@contoso.example", event_time = "-14h", auth_protocol = "basic", error_code = "50057" },
  { user = "g@contoso.example", event_time = "-14h", auth_protocol = "basic", error_code = "50126" },
  { user = "h@contoso.example", event_time = "-13h", auth_protocol = "basic", error_code = "50126" },
  { user = "i@contoso.example", event_time = "-12h", auth_protocol = "basic", error_code = "50126" },
  { user = "j@contoso.example", event_time = "-11h", auth_protocol = "basic", error_code = "50126" },
  { user = "j@contoso.example", outcome = "accepted", event_time = "-10h", auth_protocol = "basic", error_code = "0" },
  { user = "k@contoso.example", event_time = "-21h", auth_protocol = "basic", error_code = "53003" },
  { user = "else@contoso.example", outcome = "accepted", client_ip = "203.0.113.77", auth_protocol = "basic", error_code = "0" },
]
finds = [{ client_ip = "192.0.2.10", accounts = 10, wrong_passwords = 11, accounts_with_a_right_password = 2, right_for = "j@contoso.example, k@contoso.example", first_seen = 2026-12-31T03:00:00Z, last_seen = 2026-12-31T12:00:00Z }]

[[case]]
name  = "names five accounts at most, those that were tried most first"
given.signins = [
  { times = 10, user = "a@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "b@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "c@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "d@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "e@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "f@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "g@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "h@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "i@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { times = 2, user = "z@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "z@contoso.example", auth_protocol = "basic", error_code = "50055" },
  { user = "u@contoso.example", auth_protocol = "basic", error_code = "50076" },
  { user = "v@contoso.example", auth_protocol = "basic", error_code = "50079" },
  { user = "w@contoso.example", auth_protocol = "basic", error_code = "50158" },
  { user = "x@contoso.example", outcome = "accepted", auth_protocol = "basic", error_code = "0" },
  { user = "y@contoso.example", outcome = "accepted", auth_protocol = "basic", error_code = "0" },
]
finds = [{ accounts = 10, wrong_passwords = 20, accounts_with_a_right_password = 6, right_for = "z@contoso.example, u@contoso.example, v@contoso.example, w@contoso.example, x@contoso.example" }]

[[case]]
name  = "stays silent for nine accounts, another address, and one account that is tried often"
given.signins = [
  { user = "a@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "b@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "c@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "d@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "e@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "f@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "g@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "h@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { times = 99, user = "i@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "j@contoso.example", client_ip = "203.0.113.10", auth_protocol = "basic", error_code = "50126" },
]
finds = []

[[case]]
name  = "counts no account that only a policy stops, that is let in, or that is tried at one's own relay or with OAuth"
given.signins = [
  { user = "a@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "b@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "c@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "d@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "e@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "f@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "g@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "h@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "i@contoso.example", auth_protocol = "basic", error_code = "50126" },
  { user = "j@contoso.example", auth_protocol = "basic", error_code = "53003" },
  { user = "k@contoso.example", outcome = "accepted", auth_protocol = "basic", error_code = "50126" },
  { user = "l@contoso.example", service = "own_relay", auth_protocol = "basic", error_code = "50126" },
  { user = "m@contoso.example", auth_protocol = "oauth2", error_code = "50126" },
  { user = "n@contoso.example", event_time = "-1441m", auth_protocol = "basic", error_code = "50126" },
  { user = "o@contoso.example", event_time = "0m", auth_protocol = "basic", error_code = "50126" },
]
finds = []

[[case]]
name  = "stays silent where the address is not known"
given.signins = [
  { user = "a@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "b@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "c@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "d@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "e@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "f@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "g@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "h@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "i@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
  { user = "j@contoso.example", client_ip = "", auth_protocol = "basic", error_code = "50126" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.signins = [
  { user = "old@contoso.example", event_time = "-1441m", auth_protocol = "basic", error_code = "50126" },
  { user = "a@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "b@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "c@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "d@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "e@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "f@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "g@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "h@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "i@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "j@contoso.example", event_time = "-1440m", auth_protocol = "basic", error_code = "50126" },
  { user = "next@contoso.example", event_time = "0m", auth_protocol = "basic", error_code = "50126" },
]
finds = [{ accounts = 10, wrong_passwords = 10, first_seen = 2026-12-30T23:00:00Z }]
---*/
