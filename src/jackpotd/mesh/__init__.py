"""Connections between the nodes of one jackpotd: frames of many messages over Unix sockets, questions and answers.

It knows who is connected and what was asked; what the messages mean is the engine's.
"""

EDGE = -1
"""The node that owns the catalog; workers are numbered from 0 on."""
