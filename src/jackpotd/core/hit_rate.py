"""The chance of a HitRate tipping point, as an integer threshold for a 64-bit draw (contract §9).

A contribution worth c wins with probability 1 - (1 - 1/N)^(c/k), so splitting a bet never changes the chance. The
threshold is floor(p * 2**64), computed in fixed-point integers alone: the same on every machine, and anyone can
recompute it from N, k and c. It is journalled with the draw; replay never computes it again.
"""

from functools import lru_cache

DRAW_BITS = 64
CERTAIN = 1 << DRAW_BITS

_FRACTION_BITS = 192
_ONE = 1 << _FRACTION_BITS
# Below this the Taylor series of exp gains 8 bits with each term.
_SMALL = _ONE >> 8


@lru_cache(maxsize=1 << 16)
def threshold(outcomes: int, cost_units: int, worth_units: int) -> int:
    """How many of the 2**64 draws tip the pot.

    Args:
        outcomes: N, at least 1; 1 is certainty.
        cost_units: k, the money that buys one attempt; 0 means one attempt for each contribution.
        worth_units: c, the whole contribution in the jackpot's currency.
    """
    if cost_units == 0:
        return CERTAIN // outcomes
    if worth_units <= 0:
        return 0
    if outcomes == 1:
        return CERTAIN
    exponent = _minus_log_of_losing(outcomes) * worth_units // cost_units
    losing = _exp_of_minus(exponent)
    return (_ONE - losing) >> (_FRACTION_BITS - DRAW_BITS)


@lru_cache(maxsize=4096)
def _minus_log_of_losing(outcomes: int) -> int:
    """-ln(1 - 1/N) as the series of 1/(j * N^j)."""
    total, power, j = 0, _ONE, 1
    while power := power // outcomes:
        total += power // j
        j += 1
    return total


def _exp_of_minus(exponent: int) -> int:
    """exp(-x), by halving x until the series is short, then squaring back."""
    if exponent >> _FRACTION_BITS > DRAW_BITS:
        return 0
    halvings = 0
    while exponent > _SMALL:
        exponent >>= 1
        halvings += 1
    total, term, n = _ONE, _ONE, 0
    while True:
        n += 1
        term = term * exponent // (n << _FRACTION_BITS)
        if not term:
            break
        total += -term if n & 1 else term
    for _ in range(halvings):
        total = total * total >> _FRACTION_BITS
    return total
