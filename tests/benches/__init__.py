"""The benches: what they send, count and say."""
