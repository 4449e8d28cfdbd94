"""What a source of objects is made of: which bucket, how to log in, its listing, a download, what was read of it."""
