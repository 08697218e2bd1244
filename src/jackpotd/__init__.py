"""jackpotd: the jackpot platform that casinos run their shared pots on."""

__version__ = "0.1.0"
