"""
One file = one way in which lines of mail programs come: a syslog, a journal, a program's own log file.

A carrier takes a line apart (time, host, program, message) and knows nothing of what the program says. It is

- `looks_like(head) -> bool`: whether the bytes are lines of this kind;
- `records(chunk, memory) -> Iterator[Line | Reject | None]`: each record once, None for one without a message;
  `memory` is a dict of JSON values that is kept between two reads of one log.

`plain` is the last resort: text whose lines may begin with a time stamp.
"""
