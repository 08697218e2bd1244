"""Who calls, and what they may do: passwords, tokens, rights. It knows accounts, not how they are stored."""
