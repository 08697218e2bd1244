"""What a raffle holds: its rounds so far, and who has how many tickets in the one that runs."""

from dataclasses import dataclass, field
from fractions import Fraction

from jackpotd.testing.reference_model.numbers import ZERO
from jackpotd.testing.reference_model.records import Bounds, Contributor, Who


@dataclass(slots=True)
class Holding:
    """What a player has put into a round; without accumulation each contribution buys its tickets alone."""

    contributor: Contributor
    counted: Fraction = ZERO
    tickets: int = 0
    part: Fraction = ZERO


@dataclass(slots=True)
class Round:
    """A round that runs, or is the next to run; its entrants in the order in which they entered."""

    bounds: Bounds
    holdings: dict[Who, Holding] = field(default_factory=dict)

    @property
    def tickets(self) -> int:
        return sum(holding.tickets for holding in self.holdings.values())

    @property
    def counted(self) -> Fraction:
        return sum((holding.counted for holding in self.holdings.values()), ZERO)


@dataclass(slots=True)
class Raffle:
    """All rounds so far: `over` of them are over, the last one since `ended_ms`, `missed` of them unserved."""

    round: Round | None = None
    opened: int = 0
    over: int = 0
    missed: int = 0
    ended_ms: int = 0
