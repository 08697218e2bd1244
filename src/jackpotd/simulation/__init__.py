"""The designer's room: lives of a jackpot through the real core, under a stated population, and what they show.

Reads no clock of the world and no disk; what it is given decides what it finds. Rules of the jackpot are the core's
alone: nothing here decides a contribution.
"""
