"""What the logs of Exchange Server share: lines, sessions, reasons, and events of a message."""
