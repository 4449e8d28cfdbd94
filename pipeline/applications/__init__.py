"""What applications and libraries that send mail share: errors that hold an answer, and transcripts of a session."""
