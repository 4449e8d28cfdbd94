"""What the process that commands are forked off has imported: all that a command may need, and no test."""

import queries.library  # noqa: F401
