"""Durability: the append-only log with its group commit, the rows of the checkpoint, and the index of keys.

The only room that imports lmdb. It knows bytes and sequence numbers; what they mean is the engine's.
"""
