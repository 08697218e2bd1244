"""Exact numbers of the oracle: money as fractions, the scale, minor units, multipliers, the chance of a HitRate."""

from collections.abc import Mapping
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import floor
from typing import Final

Number = int | str | Decimal | Fraction

SCALE: Final = 10**8
DRAWS: Final = 2**64
# A threshold this near to ours is for the last digits of an exponential to decide.
NEAR: Final = 2
ZERO: Final = Fraction(0)

# ISO 4217, list one: every currency that does not have two decimals.
NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
FOUR_DECIMALS: Final = "CLF UYW"


class MissingMultiplierError(Exception):
    """No multiplier for the currency in the message."""


def to_scale(amount: Fraction) -> Fraction:
    """Half-even to 1e-8 (`round` of a fraction is half-even)."""
    return Fraction(round(amount * SCALE), SCALE)


def down_to_scale(amount: Fraction) -> Fraction:
    """Whole units of 1e-8, the rest cut off."""
    return Fraction(floor(amount * SCALE), SCALE)


def is_whole(amount: Fraction) -> bool:
    """Whole units of 1e-8, so that splitting it off left no remainder."""
    return (amount * SCALE).denominator == 1


def incoming(number: Number) -> Fraction:
    """A number of a template or a request. Floats are refused: parse with `parse_float=Decimal`."""
    if isinstance(number, bool | float):
        raise TypeError(f"not an exact number: {number!r}")
    return to_scale(Fraction(Decimal(number) if isinstance(number, str) else number))


def minor_units_per_one(currency: str) -> int:
    if currency in NO_DECIMALS.split():
        return 1
    if currency in THREE_DECIMALS.split():
        return 1_000
    return 10_000 if currency in FOUR_DECIMALS.split() else 100


class Rates:
    """Multipliers: units of each currency for one unit of the brand's base currency."""

    def __init__(self, multipliers: Mapping[str, Number]) -> None:
        self._multipliers = {name: incoming(number) for name, number in multipliers.items()}

    def convert(self, amount: Fraction, source: str, target: str) -> Fraction:
        """Exact; the caller rounds where the contract does."""
        if source == target:
            return amount
        for currency in (source, target):
            if currency not in self._multipliers:
                raise MissingMultiplierError(currency)
        return amount * self._multipliers[target] / self._multipliers[source]


def hit_threshold(magic_number: Fraction, cost_per_attempt: Fraction, worth: Fraction) -> int:
    """floor(p * 2^64), p = 1 - (1 - 1/N)^(c/k): how many of the 2^64 possible draws tip the pot.

    k = 0 is exactly one attempt; a contribution of 0 at k > 0 is none, even where N = 1.
    """
    if cost_per_attempt == 0:
        return floor(DRAWS / magic_number)
    if worth == 0:
        return 0
    if magic_number == 1:
        return DRAWS
    attempts = worth / cost_per_attempt
    if attempts.denominator == 1 and attempts <= 64:  # only here can p * 2^64 be a whole number
        return floor((1 - (1 - 1 / magic_number) ** attempts.numerator) * DRAWS)
    miss = 1 - 1 / magic_number
    with localcontext(Context(prec=120)):
        log_miss = (Decimal(miss.numerator) / miss.denominator).ln()
        survival = (log_miss * attempts.numerator / attempts.denominator).exp()
        return min(floor((1 - survival) * DRAWS), DRAWS - 1)  # p < 1, whatever the digits say
