"""Raffles as a bench needs them: with a million tickets, before anybody has contributed."""
