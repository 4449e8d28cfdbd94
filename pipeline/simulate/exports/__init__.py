"""What administrators and scheduled jobs export from Microsoft 365, as such files really look."""
