"""`python -m jackpotd` is `jackpotd`."""

from jackpotd.cli.main import main

main()
