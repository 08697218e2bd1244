"""Outbound: results on their way to webhooks; signed, guarded, tried again, or kept as dead letters (contract §3)."""
