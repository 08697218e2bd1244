"""The load generator: a seeded workload, a loop over non-blocking sockets, and what it measured.

It runs in a process of its own (`python -m bench.generator`), so that a bench can watch it without disturbing it.
"""
