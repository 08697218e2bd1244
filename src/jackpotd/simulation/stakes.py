"""Base wagers of simulated players: a number, or a distribution written as a word.

    1                       every wager the same
    uniform:0.1:5           between the two, each cent as likely
    lognormal:1:0.8         median and sigma; a third number, if given, is the highest wager
    choice:1=0.7,5=0.3      these values with these weights

Amounts are in the template's currency. Drawn ones are rounded to the minor unit of the player's currency, never below
one of it; those that were given as they are stay as they are.
"""

import math
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from random import Random

from msgspec import Struct

from jackpotd.core.money import AmountError, units_from_decimal

SIGMA_MAX = 5.0
CHOICES_MAX = 1000


class StakesError(ValueError):
    """A word that is no distribution; the message completes "stake …"."""


class Constant(Struct, frozen=True):
    """Every wager is the same."""

    units: int


class Uniform(Struct, frozen=True):
    """Wagers spread evenly between two."""

    low: int
    high: int


class LogNormal(Struct, frozen=True):
    """Many small wagers and a few large ones: exp of a normal, with this median; drawn again above `maximum`."""

    median: int
    sigma: float
    maximum: int | None = None


class Choice(Struct, frozen=True):
    """Some values with their weights."""

    values: tuple[int, ...]
    weights: tuple[float, ...]


Stakes = Constant | Uniform | LogNormal | Choice


def parse(text: str) -> Stakes:
    """The distribution that a word says.

    Raises:
        StakesError: it says none, or one that cannot be.
    """
    kind, colon, rest = text.strip().partition(":")
    if not colon:
        return Constant(_amount(kind))
    parts = rest.split(":")
    match kind, parts:
        case "uniform", [low, high]:
            return _uniform(_amount(low), _amount(high))
        case "lognormal", [median, sigma]:
            return _log_normal(_amount(median), sigma, None)
        case "lognormal", [median, sigma, maximum]:
            return _log_normal(_amount(median), sigma, _amount(maximum))
        case "choice", [values]:
            return _choice(values)
    raise StakesError(
        f"{text!r} is none of NUMBER, uniform:LOW:HIGH, lognormal:MEDIAN:SIGMA[:MAX], choice:VALUE=WEIGHT,…"
    )


def _amount(text: str) -> int:
    try:
        units = units_from_decimal(Decimal(text.strip()))
    except InvalidOperation:
        raise StakesError(f"{text!r} is not a number") from None
    except AmountError as error:
        raise StakesError(f"{text!r} {error}") from None
    if units < 0:
        raise StakesError(f"{text!r} must not be negative")
    return units


def positive(text: str) -> float:
    """A number above 0, as weights, rates and sigmas are.

    Raises:
        StakesError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        raise StakesError(f"{text!r} is not a number") from None
    if not (math.isfinite(value) and value > 0):
        raise StakesError(f"{text!r} must be above 0")
    return value


def _uniform(low: int, high: int) -> Uniform:
    if low >= high:
        raise StakesError("uniform needs LOW < HIGH")
    return Uniform(low, high)


def _log_normal(median: int, sigma_text: str, maximum: int | None) -> LogNormal:
    sigma = positive(sigma_text)
    if not median:
        raise StakesError("lognormal needs a median above 0")
    if sigma > SIGMA_MAX:
        raise StakesError(f"lognormal needs a sigma of at most {SIGMA_MAX:g}")
    if maximum is not None and maximum < median:
        raise StakesError("lognormal needs a highest wager that is not below the median")
    return LogNormal(median, sigma, maximum)


def _choice(text: str) -> Choice:
    pairs = [pair.partition("=") for pair in text.split(",")]
    if len(pairs) > CHOICES_MAX:
        raise StakesError(f"choice takes at most {CHOICES_MAX} values")
    if any(not equals for _, equals, _ in pairs):
        raise StakesError("choice needs VALUE=WEIGHT,VALUE=WEIGHT,…")
    return Choice(
        tuple(_amount(value) for value, _, _ in pairs),
        tuple(positive(weight) for _, _, weight in pairs),
    )


def is_exact(stakes: Stakes) -> bool:
    """Whether wagers are values that were given, not drawn between them."""
    return isinstance(stakes, Constant | Choice)


def draw(stakes: Stakes, rng: Random, count: int) -> list[int]:
    """Wagers in units of the template's currency, not rounded to anything yet."""
    match stakes:
        case Constant(units=units):
            return [units] * count
        case Uniform(low=low, high=high):
            span = high - low
            return [low + int(rng.random() * span) for _ in range(count)]
        case Choice(values=values, weights=weights):
            return rng.choices(values, cum_weights=list(accumulate(weights)), k=count)
        case LogNormal():
            return [_log_normal_draw(stakes, rng) for _ in range(count)]


def _log_normal_draw(stakes: LogNormal, rng: Random) -> int:
    while True:
        units = int(stakes.median * math.exp(stakes.sigma * rng.gauss(0.0, 1.0)))
        if stakes.maximum is None or units <= stakes.maximum:
            return units
