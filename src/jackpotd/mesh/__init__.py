"""Connections between the nodes of one jackpotd: frames of many messages over Unix sockets, questions and answers.

It knows who is connected and what was asked; what the messages mean is the engine's.
"""

EDGE = -1
"""The node that owns the catalog; workers are numbered from 0 on."""

FEED = 1 << 15
"""The node that the world listens to: it connects to all others, and none connects to it."""


def is_worker(node: int) -> bool:
    """Whether a node owns instances."""
    return EDGE < node < FEED
