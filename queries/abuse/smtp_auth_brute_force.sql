/*---
title       = "The password of {account} is being guessed over SMTP"
why         = "An account is tried again and again from addresses where it never logged in. SMTP AUTH knows no second factor, so a weak password falls in the end."
severity    = "high"
confidence  = "medium"
every       = "5m"
window      = "1d"
reads       = ["sender_days", "signins"]
about       = ["account"]
over_when   = "tries_ceased"
remedy      = "smtp_auth_brute_force"
references  = ["https://learn.microsoft.com/entra/identity/authentication/howto-password-smart-lockout", "https://learn.microsoft.com/entra/identity-platform/reference-error-codes"]
known_gaps  = "Tries from an address where the account has logged in lately count as its own devices'. What an authentication policy blocks ends before Entra and leaves no sign-in, so silence after such a policy is no proof. Tries at your own relay are not counted."
false_positives = "A new or moved device that was given a wrong password and tries every minute: one address of yours, and no other."
mitre       = ["T1110.001"]

[params]
min_wrong_passwords = 30
learning_days = 30
most_listed = 5
---*/
WITH
known AS (
  -- Where it logged in before the day in question: what gets in on that very day proves nothing.
  SELECT sender AS account, client_ip
  FROM sender_days
  WHERE day >= CAST($window_start AS DATE) - $learning_days * INTERVAL 1 DAY
    AND day < CAST($window_end AS DATE) - INTERVAL 1 DAY
    AND evidence = 'signins'
    AND outcome = 'accepted'
  GROUP BY sender, client_ip
),
log_ins AS (
  SELECT
    "user" AS account,
    client_ip,
    event_time,
    outcome = 'rejected' AND error_code IN ('50126', '50053', '50056') AS is_guess,
    -- The password was right, whether or not something else stopped the log-in.
    outcome = 'accepted' OR error_code IN ('50055', '50076', '50079', '50158', '53003') AS is_right
  FROM signins
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND service = 'exchange_online'
    AND auth_protocol = 'basic'
    AND "user" <> ''
),
by_address AS (
  SELECT
    account,
    client_ip,
    count(*) FILTER (WHERE is_guess) AS guesses,
    min(event_time) FILTER (WHERE is_guess) AS first_guess,
    max(event_time) FILTER (WHERE is_guess) AS last_guess,
    count(*) FILTER (WHERE is_right) AS times_right
  FROM log_ins
  GROUP BY account, client_ip
),
strangers AS (
  SELECT
    by_address.*,
    row_number() OVER (PARTITION BY by_address.account ORDER BY guesses DESC, by_address.client_ip) AS place
  FROM by_address
  LEFT JOIN known
    ON known.account = by_address.account
    AND known.client_ip = by_address.client_ip
  WHERE known.account IS NULL
    AND guesses > 0
),
by_account AS (
  SELECT
    account,
    min(first_guess) AS first_seen,
    max(last_guess) AS last_seen,
    CAST(sum(guesses) AS BIGINT) AS wrong_passwords,
    count(*) AS addresses,
    string_agg(client_ip, ', ' ORDER BY place) FILTER (WHERE place <= $most_listed) AS some_addresses,
    string_agg(client_ip, ', ' ORDER BY place) FILTER (WHERE times_right > 0) AS right_password_from
  FROM strangers
  GROUP BY account
)
SELECT
  account,
  first_seen,
  last_seen,
  wrong_passwords,
  addresses,
  some_addresses,
  right_password_from
FROM by_account
WHERE wrong_passwords >= $min_wrong_passwords
ORDER BY wrong_passwords DESC, account
/*---
[[case]]
name  = "fires for thirty wrong passwords from anywhere, names where most come from and where one was right"
given.signins = [
  { times = 20, step = "1s", user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126", event_time = "-9h" },
  { times = 3, user = "erp@contoso.example", client_ip = "203.0.113.10", auth_protocol = "basic", error_code = "50053" },
  { times = 2, user = "erp@contoso.example", client_ip = "203.0.113.11", auth_protocol = "basic", error_code = "50056" },
  { times = 2, user = "erp@contoso.example", client_ip = "203.0.113.12", auth_protocol = "basic", error_code = "50126" },
  { times = 2, user = "erp@contoso.example", client_ip = "203.0.113.13", auth_protocol = "basic", error_code = "50126" },
  { user = "erp@contoso.example", client_ip = "203.0.113.14", auth_protocol = "basic", error_code = "50126", event_time = "-3h" },
  { user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", outcome = "accepted", error_code = "0", event_time = "-1m" },
  { user = "erp@contoso.example", client_ip = "203.0.113.14", auth_protocol = "basic", error_code = "53003", event_time = "-20h" },
  { user = "erp@contoso.example", client_ip = "203.0.113.77", auth_protocol = "basic", outcome = "accepted", error_code = "0" },
]
finds = [{ account = "erp@contoso.example", wrong_passwords = 30, addresses = 6, some_addresses = "203.0.113.9, 203.0.113.10, 203.0.113.11, 203.0.113.12, 203.0.113.13", right_password_from = "203.0.113.9, 203.0.113.14", first_seen = 2026-12-31T14:00:00Z, last_seen = 2026-12-31T22:55:00Z }]

[[case]]
name  = "knows a right password by what stopped the log-in instead"
given.signins = [
  { times = 30, user = "erp@contoso.example", client_ip = "203.0.113.1", auth_protocol = "basic", error_code = "50126" },
  { user = "erp@contoso.example", client_ip = "203.0.113.2", auth_protocol = "basic", error_code = "50126" },
  { user = "erp@contoso.example", client_ip = "203.0.113.2", auth_protocol = "basic", error_code = "50055" },
  { user = "erp@contoso.example", client_ip = "203.0.113.3", auth_protocol = "basic", error_code = "50126" },
  { user = "erp@contoso.example", client_ip = "203.0.113.3", auth_protocol = "basic", error_code = "50076" },
  { user = "erp@contoso.example", client_ip = "203.0.113.4", auth_protocol = "basic", error_code = "50126" },
  { user = "erp@contoso.example", client_ip = "203.0.113.4", auth_protocol = "basic", error_code = "50079" },
  { user = "erp@contoso.example", client_ip = "203.0.113.5", auth_protocol = "basic", error_code = "50126" },
  { user = "erp@contoso.example", client_ip = "203.0.113.5", auth_protocol = "basic", error_code = "50158" },
]
finds = [{ wrong_passwords = 34, right_password_from = "203.0.113.2, 203.0.113.3, 203.0.113.4, 203.0.113.5" }]

[[case]]
name  = "stays silent for twenty-nine, for thirty of two accounts, and for a device that has logged in from there"
given.sender_days = [
  { sender = "nas@contoso.example", evidence = "signins", outcome = "accepted", client_ip = "203.0.113.9", day = "-9d" },
]
given.signins = [
  { times = 29, user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 15, user = "a@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 15, user = "b@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 99, user = "nas@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
]
finds = []

[[case]]
name  = "takes for known only where that very account was let in, before that day and lately, as sign-ins show"
given.sender_days = [
  { sender = "a@contoso.example", evidence = "signins", outcome = "accepted", client_ip = "203.0.113.9", day = "-1d" },
  { sender = "b@contoso.example", evidence = "signins", outcome = "accepted", client_ip = "203.0.113.9", day = "-32d" },
  { sender = "c@contoso.example", evidence = "signins", outcome = "rejected", client_ip = "203.0.113.9", day = "-9d" },
  { sender = "d@contoso.example", evidence = "deliveries", outcome = "accepted", client_ip = "203.0.113.9", day = "-9d" },
  { sender = "e@contoso.example", evidence = "signins", outcome = "accepted", client_ip = "203.0.113.10", day = "-9d" },
  { sender = "else@contoso.example", evidence = "signins", outcome = "accepted", client_ip = "203.0.113.9", day = "-9d" },
]
given.signins = [
  { times = 30, user = "a@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 30, user = "b@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 30, user = "c@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 30, user = "d@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 30, user = "e@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 30, user = "f@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
]
finds = [
  { account = "a@contoso.example" },
  { account = "b@contoso.example" },
  { account = "c@contoso.example" },
  { account = "d@contoso.example" },
  { account = "e@contoso.example" },
  { account = "f@contoso.example" },
]

[[case]]
name  = "counts nothing that only a policy stops, that is let in, tried at one's own relay or with OAuth, or names no account"
given.signins = [
  { times = 29, user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
  { times = 9, user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "53003" },
  { times = 9, user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", outcome = "accepted", error_code = "50126" },
  { times = 9, user = "erp@contoso.example", client_ip = "203.0.113.9", service = "own_relay", auth_protocol = "basic", error_code = "50126" },
  { times = 9, user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "oauth2", error_code = "50126" },
  { times = 30, user = "", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126" },
]
finds = []

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.signins = [
  { user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126", event_time = "-1441m" },
  { times = 30, step = "1s", user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126", event_time = "-1440m" },
  { user = "erp@contoso.example", client_ip = "203.0.113.9", auth_protocol = "basic", error_code = "50126", event_time = "0m" },
]
finds = [{ wrong_passwords = 30, first_seen = 2026-12-30T23:00:00Z }]
---*/
