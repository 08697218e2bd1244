"""What a bench says: figures, goals and skipped parts, on a terminal, as JSON, as Markdown and as pictures."""
