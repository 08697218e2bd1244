"""The jackpot itself: money, rules, state and the two words `decide` and `evolve`.

Pure: nothing here knows a clock, randomness, a disk, a socket or a scheduler. Time and entropy arrive stamped on the
commands. The same code answers live requests, replays journals and serves the tests.
"""
