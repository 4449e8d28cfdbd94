/*---
title       = "Microsoft's servers answer with words that are not known: {words}"
why         = "No sentence of the table fits, so nobody can say whether this is about the log-in. If Basic authentication ends with other words than announced, they show up here first."
severity    = "low"
confidence  = "low"
every       = "5m"
window      = "1d"
reads       = ["deliveries"]
about       = ["words"]
over_when   = "words_understood"
remedy      = "unknown_replies"
references  = ["https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/non-delivery-reports-in-exchange-online"]
known_gaps  = "A refusal that the client's program puts into words of its own, without the server's, is not an answer and not seen here."
false_positives = "Answers that have nothing to do with the log-in, such as that of a recipient who does not exist."

[params]
min_answers = 1
longest_words = 160
most_listed = 5
---*/
WITH
answers AS (
  -- Hosts, ids, addresses and numbers of every kind differ from answer to answer; what stays are the words.
  SELECT
    substr(
      regexp_replace(
        regexp_replace(
          regexp_replace(reply_text, '\s*\[[^\]]*\]', '', 'g'),
          '<?[^\s<>@]+@[^\s<>@]+>?', '<…>', 'g'
        ),
        '[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|[0-9A-Fa-f]{12,}|[0-9]{4,}', '…', 'g'
      ),
      1,
      $longest_words
    ) AS words,
    coalesce(sender, '(unknown sender)') AS sender,
    coalesce(request_id, event_id) AS answer,
    event_time,
    endpoint,
    stage
  FROM deliveries
  WHERE event_time >= $window_start
    AND event_time < $window_end
    AND kind = 'try'
    AND outcome <> 'accepted'
    AND reply_class = 'unknown'
    AND reply_code IS NOT NULL
    AND service <> 'other'
),
sender_ranks AS (
  SELECT
    words,
    sender,
    row_number() OVER (PARTITION BY words ORDER BY count(DISTINCT answer) DESC, sender) AS place
  FROM answers
  GROUP BY words, sender
),
listed AS (
  SELECT
    words,
    count(*) AS senders,
    string_agg(sender, ', ' ORDER BY place) FILTER (WHERE place <= $most_listed) AS some_senders
  FROM sender_ranks
  GROUP BY words
),
by_words AS (
  SELECT
    words,
    min(event_time) AS first_seen,
    max(event_time) AS last_seen,
    count(DISTINCT answer) AS answers,
    max_by(endpoint, (event_time, endpoint)) AS answered_by,
    max_by(stage, (event_time, stage)) AS stage
  FROM answers
  GROUP BY words
)
SELECT
  words,
  first_seen,
  last_seen,
  answers,
  senders,
  some_senders,
  answered_by,
  stage
FROM by_words
JOIN listed USING (words)
WHERE answers >= $min_answers
ORDER BY answers DESC, words
/*---
[[case]]
name  = "fires for one refusal in words that nobody knows, without the host and the ids in them"
given.deliveries = [
  { sender = "scan@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 5.7.999 Passwords are no more <scan@contoso.example> from 192.0.2.7 (12345) [A.PROD.OUTLOOK.COM 2026-12-31T22:00:00.000Z 08DE01AAAAAAAAAA]", request_id = "08DE01AAAAAAAAAA", stage = "auth" },
  { sender = "erp@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 5.7.999 Passwords are no more <erp@contoso.example> from 192.0.2.8 (67890) [B.PROD.OUTLOOK.COM 2026-12-31T22:01:00.000Z 08DE01BBBBBBBBBB]", request_id = "08DE01BBBBBBBBBB", stage = "auth" },
]
finds = [{ words = "550 5.7.999 Passwords are no more <…> from … (…)", answers = 2, senders = 2, some_senders = "erp@contoso.example, scan@contoso.example", answered_by = "smtp.office365.com", stage = "auth" }]

[[case]]
name  = "counts answers, not recipients, and at most five senders by name, the busiest first"
given.deliveries = [
  { times = 3, sender = "z@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 no", request_id = "08DE01" },
  { times = 2, sender = "y@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 no" },
  { sender = "a@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 no" },
  { sender = "b@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 no" },
  { sender = "c@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 no" },
  { sender = "d@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 no" },
]
finds = [{ words = "550 no", answers = 7, senders = 6, some_senders = "y@contoso.example, a@contoso.example, b@contoso.example, c@contoso.example, d@contoso.example" }]

[[case]]
name  = "stays silent for what is known, accepted, held, said by others, or said by no server at all"
given.deliveries = [
  { sender = "a@contoso.example", reply_class = "basic_retired", reply_code = 550, reply_text = "550 5.7.30 Basic authentication is not supported" },
  { sender = "b@contoso.example", reply_class = "unknown", reply_code = 354, reply_text = "354 go on", outcome = "accepted" },
  { sender = "c@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 held", kind = "held" },
  { sender = "d@contoso.example", reply_class = "unknown", reply_code = 550, reply_text = "550 no", service = "other" },
  { sender = "e@contoso.example", reply_class = "unknown", reply_text = "connection timed out" },
]
finds = []

[[case]]
name  = "says so when the log does not tell the sender, and cuts what is very long"
given.deliveries = [{ reply_class = "unknown", reply_code = 550, reply_text = "550 one two three four five six seven eight nine ten one two three four five six seven eight nine ten one two three four five six seven eight nine ten one two three four five" }]
finds = [{ words = "550 one two three four five six seven eight nine ten one two three four five six seven eight nine ten one two three four five six seven eight nine ten one two t", some_senders = "(unknown sender)" }]

[[case]]
name  = "looks at the first moment of the window, not before it and not at its end"
given.deliveries = [
  { reply_class = "unknown", reply_code = 550, reply_text = "550 old", event_time = "-1441m" },
  { reply_class = "unknown", reply_code = 550, reply_text = "550 first", event_time = "-1440m" },
  { reply_class = "unknown", reply_code = 550, reply_text = "550 next", event_time = "0m" },
]
finds = [{ words = "550 first" }]
---*/
