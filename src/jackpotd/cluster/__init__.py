"""Several workers as one server: what the engine does where an instance, a key or a link lives in another process.

A node is a process: the edge, which owns the catalog and moves instances, or a worker, which owns some of them.
"""
