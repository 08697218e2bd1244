"""Contributions for the oracle's own tests, exact and short."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

from jackpotd.testing.reference_model import (
    DRAWS,
    SCALE,
    Draw,
    Number,
    Outcome,
    Play,
    ReferenceInstance,
    Rejection,
)
from jackpotd.testing.templates import Json

RATES: dict[str, Number] = {
    "EUR": 1,
    "USD": "1.0762",
    "GBP": "0.8592",
    "SEK": "11.6761",
    "JPY": "162.35",
    "KWD": "0.33",
}
NEVER = DRAWS - 1


def play(**changes: Any) -> Play:
    """A base wager of 1 EUR, and what is changed of it."""
    return Play(**{"base_wager": 1, "currency": "EUR", "multipliers": RATES, **changes})


def contribute(oracle: ReferenceInstance, *tipped: str, **changes: Any) -> Outcome:
    """One accepted contribution; every HitRate of the named pots tips, unless draws are given or sealed."""
    draws = [
        Draw(name, place, 0 if name in tipped else NEVER)
        for name, held in oracle.pots.items()
        if held.is_open and held.seal is None
        for place in range(len(held.rules.hit_rates))
    ]
    call: Json = {"draws": draws}
    call |= {name: changes.pop(name) for name in ("draws", "attempts", "meters") if name in changes}
    outcome = oracle.contribute(play(**changes), **call)
    assert isinstance(outcome, Outcome), outcome
    assert oracle.imbalance() == 0
    return outcome


def refusal(instance: ReferenceInstance, **changes: Any) -> str:
    outcome = instance.contribute(play(**changes))
    assert isinstance(outcome, Rejection)
    return outcome.message


def exactly(number: str) -> Fraction:
    return Fraction(Decimal(number))


def units(number: str) -> int:
    return int(exactly(number) * SCALE)
