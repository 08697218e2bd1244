"""The demo's jackpots as contract §11 describes them: what the oracle knows beforehand.

Written from the contract and shared with nothing of the program. Amounts are integers of 1e-8
units, shares are exact fractions.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

SCALE: Final = 10**8
MINOR_STEP: Final = 10**6  # a cent; each currency below has two digits
OPERATOR: Final = "thrilltech"
BRANDS: Final = ("brand1", "brand2")
JACKPOT_CURRENCY: Final = "EUR"
RATES: Final = {"EUR": 100_000_000, "USD": 107_620_000, "SEK": 1_167_610_000}

HOUSE_SHARE: Final = Fraction(30, 100)
SEED_SHARE: Final = Fraction(85, 100)
PERCENTAGE: Final = Fraction(775, 10_000)
TEN_CENTS: Final = SCALE // 10


@dataclass(frozen=True, slots=True)
class PotRule:
    """A pot; the seed is both the first value and what the reserve is filled up to."""

    id: str
    share: Fraction
    seed: int


@dataclass(frozen=True, slots=True)
class Tier:
    """So many prizes of an amount, or each of a share of the pot."""

    count: int
    amount: int = 0
    share: Fraction | None = None


@dataclass(frozen=True, slots=True)
class RaffleRule:
    """A raffle whose rounds follow each other; a ticket for each `cost` of base wager, parts of one are kept."""

    duration_ms: int
    tiers: tuple[Tier, ...]
    cost: int = 2 * SCALE
    one_prize_per_player: bool = True


@dataclass(frozen=True, slots=True)
class Jackpot:
    """An instance; `source` leads to it alone, so that players can be read."""

    id: str
    source: str
    takes: int | Fraction
    pots: tuple[PotRule, ...]
    is_variable: bool = False
    opt_in_required: bool = False
    links: tuple[str, ...] = ()
    raffle: RaffleRule | None = None


def as_decimal(units: int) -> Decimal:
    return Decimal(units) / SCALE


def as_units(amount: Decimal | str | int) -> int:
    """An exact amount in units; a finer one is a mistake of the server."""
    scaled = Decimal(amount) * SCALE
    assert scaled == int(scaled), f"{amount} is finer than the scale"
    return int(scaled)


def converted(units: int, from_currency: str, to_currency: str) -> int:
    """An amount in another currency, half-even to the scale."""
    return round(Fraction(units * RATES[to_currency], RATES[from_currency]))


def _pot(pot_id: str, share: int, seed: int) -> PotRule:
    return PotRule(pot_id, Fraction(share, 100), seed * SCALE)


_THREE_POTS: Final = (_pot("minor", 25, 10), _pot("major", 25, 100), _pot("mega", 20, 1000))
_MAIN: Final = (_pot("main", 70, 100),)
_PRIZES: Final = tuple(Tier(1, amount * SCALE) for amount in (50, 25, 10))


def _raffle(hours: int) -> RaffleRule:
    return RaffleRule(hours * 3_600_000, _PRIZES)


DROP: Final = Jackpot(
    "3c90cb1e-a594-437e-a695-e76acb0e6809", "drop-alone", TEN_CENTS, (_pot("drop", 70, 5),)
)
WEEKLY: Final = Jackpot(
    "209cc142-ccb2-4e28-a763-0a031b560d74",
    "weekly-alone",
    TEN_CENTS,
    _MAIN,
    opt_in_required=True,
    raffle=_raffle(7 * 24),
)
MONTHLY: Final = Jackpot(
    "12231b6a-a774-4a93-8f16-f8af9aee2076",
    "monthly-alone",
    TEN_CENTS,
    _MAIN,
    raffle=_raffle(30 * 24),
)
SITEWIDE: Final = Jackpot(
    "bdfa6295-d5a5-4c54-98bf-046355ce0252",
    "sitewide-casino",
    PERCENTAGE,
    _THREE_POTS,
    links=(DROP.id,),
)
SLOTS: Final = Jackpot(
    "a49ff35f-6ecd-491f-b373-85e6caabacf1", "casino-slots", TEN_CENTS, _THREE_POTS
)
DAILY: Final = Jackpot(
    "0a1cfeea-5b07-4f2b-b2f1-2e4cd2aa991d",
    "daily",
    TEN_CENTS,
    _MAIN,
    links=(WEEKLY.id, MONTHLY.id),
    raffle=_raffle(22),
)
DEPOSIT: Final = Jackpot(
    "8dcc9f5a-f1c5-466f-83e9-928277d8bfb7",
    "deposit",
    TEN_CENTS,
    (_pot("main", 70, 50),),
    is_variable=True,
    opt_in_required=True,
)
JACKPOTS: Final = {
    jackpot.id: jackpot for jackpot in (SITEWIDE, DROP, SLOTS, DAILY, WEEKLY, MONTHLY, DEPOSIT)
}
# Linked only in the demo: the test maps sources to them.
UNMAPPED: Final = (DROP, WEEKLY, MONTHLY)
