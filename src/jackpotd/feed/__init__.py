"""The feed: what has happened is read from the journals, kept for those who missed it, and told to all who listen."""
