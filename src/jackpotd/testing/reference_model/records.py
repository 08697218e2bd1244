"""What goes into the oracle and what comes out of it. Amounts are money, exact; times are milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from jackpotd.testing.reference_model.numbers import ZERO, Number, Rates

Who = tuple[str, str]
"""A player: brand and id."""

Meters = Mapping[str, tuple[int, int]]
"""What the real system holds at one moment, in units of 1e-8: value and seed reserve of each pot."""

Books = Mapping[str, int]
"""The real ledger by account, in units; what came in is negative (see `books`)."""

Tip = Literal["HitRate", "Value", "Time", "TimeFallback", "Trigger"]


class OracleDisagreementError(AssertionError):
    """What the system reports cannot follow from the rules; the oracle is of no use after this."""


@dataclass(frozen=True)
class Draw:
    """64 random bits for one HitRate of a pot that is not sealed, by its place among the pot's HitRates."""

    pot_id: str
    hit_rate: int
    draw: int


@dataclass(frozen=True)
class Attempt:
    """A draw that was compared with a threshold."""

    pot_id: str
    draw: int
    threshold: int


@dataclass(frozen=True)
class Preference:
    """What the player chose at the opt-in of a Variable jackpot."""

    value: Number
    currency: str


@dataclass(frozen=True)
class Play:
    """What a player did."""

    base_wager: Number
    currency: str
    multipliers: Mapping[str, Number]
    who: Who = ("op:a", "anna")
    at_ms: int = 0
    round_id: str = "round"
    segments: frozenset[str] = frozenset()
    preference: Preference | None = None


@dataclass(frozen=True)
class Contributor:
    """Somebody who can be paid: their currency, and the multipliers of that contribution."""

    who: Who
    currency: str
    rates: Rates = field(compare=False)


@dataclass(frozen=True)
class Rejection:
    code: str
    message: str


@dataclass(frozen=True)
class CommunityPart:
    """One community winner: by which strategy, at which draw among how many; `amount` in their currency."""

    strategy: int
    who: Who
    currency: str
    amount: Fraction
    left_pot: Fraction
    draw: int = 0
    among: int = 0


@dataclass(frozen=True)
class Win:
    """One pot paid. `amount` is the winner's own part in their currency; the rest is in the jackpot's.

    `tips` holds everything that tipped the pot at that moment.
    """

    pot_id: str
    who: Who
    amount: Fraction
    left_pot: Fraction
    from_reserve: Fraction
    from_boost: Fraction
    seed_deficit: Fraction
    pot_closed: bool
    tips: frozenset[Tip] = frozenset()
    is_withheld: bool = False
    community: tuple[CommunityPart, ...] = ()

    @property
    def seed(self) -> Fraction:
        """The new starting value; 0 where the pot closed."""
        return self.from_reserve + self.from_boost + self.seed_deficit


@dataclass(frozen=True)
class Bought:
    """What a contribution bought in a round: tickets for what it counted, and what is left towards the next one."""

    round: int
    entrant: int
    counted: Fraction
    awarded: int
    accumulated: Fraction


@dataclass(frozen=True)
class Outcome:
    """One accepted contribution; amounts are exact.

    `pots` as grown by it, before payments. `held` are hidden times that came and were not paid, `lots` the draws for a
    place as candidate, `changes` the pending changes that the wins make due; all by pot and place.
    """

    amount: Fraction  # the player's currency
    worth: Fraction  # c, in the jackpot's currency
    debit: Fraction  # the player's part of `amount`; the rest is the operator's
    thresholds: Mapping[tuple[str, int], int]
    pots: Mapping[str, Fraction]
    wins: tuple[Win, ...] = ()
    win_amount: Fraction = ZERO
    win_pot_id: str | None = None
    held: tuple[tuple[str, int], ...] = ()
    lots: tuple[tuple[str, int, int], ...] = ()
    changes: tuple[str, ...] = ()
    bought: Bought | None = None


@dataclass(frozen=True)
class Settled:
    """What else than a contribution paid pots: a trigger, or time with its windows; `statuses` are by the schedule."""

    wins: tuple[Win, ...] = ()
    held: tuple[tuple[str, int], ...] = ()
    changes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bounds:
    """A round by its number, which begins at one moment and ends before the other."""

    number: int
    starts_ms: int
    ends_ms: int


@dataclass(frozen=True)
class Prize:
    """A prize that was drawn; `value` is what its tier promises, `amount` what is paid in the player's currency."""

    tier: int
    who: Who
    currency: str
    entrant: int
    draw: int
    among: int
    value: Fraction
    amount: Fraction
    left_pot: Fraction
    is_withheld: bool


@dataclass(frozen=True)
class RoundEnd:
    """A round that is over; `pot` is what it held then, `shortfall` the operator's part of the prizes.

    The three after it filled the pot up for the next round.
    """

    bounds: Bounds
    tickets: int
    entrants: int
    counted: Fraction
    pot: Fraction
    prizes: tuple[Prize, ...]
    shortfall: Fraction
    from_reserve: Fraction
    from_boost: Fraction
    deficit: Fraction
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ahead:
    """What a raffle without a round goes on with: the round that is next, or its end; and how many it has missed."""

    missed: int = 0
    until_ms: int = 0
    opened: Bounds | None = None
    is_over: bool = False


@dataclass(frozen=True)
class Shipment:
    """What one pot sends to another instance."""

    pot_id: str
    value: Fraction
    reserve: Fraction
    boost: Fraction
