"""The admin listener: what jackpots there are, who they belong to, and who may call.

Wire messages to catalog changes.
"""
