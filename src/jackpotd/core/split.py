"""How one contribution is divided among house, pots and seed reserves, to the last unit (contract §9, "Ledger").

Each account has an integer weight; what a division leaves over is carried forward as a numerator and counted with the
next contribution. The carried numerators always add up to whole units: those are the account `residual`.
"""

from math import gcd

from msgspec import Struct

from jackpotd.core.rules import WHOLE, Rules


class Allocation(Struct, frozen=True, gc=False):
    """Weights of house, then of (value, reserve) for each pot; they add up to `denominator`."""

    denominator: int
    weights: tuple[int, ...]


def allocation(rules: Rules, is_open: tuple[bool, ...]) -> Allocation:
    """The weights while these pots are open; a closed pot's share goes to the open ones pro rata (contract §9)."""
    pots_share = sum(pot.share for pot in rules.pots)
    open_weights = pro_rata_weights(rules, is_open)
    open_total = sum(open_weights)
    if not open_total:
        return Allocation(denominator=1, weights=(1, *(0 for _ in range(2 * len(rules.pots)))))
    weights = [rules.house_share * open_total * WHOLE]
    for pot, weight in zip(rules.pots, open_weights, strict=True):
        part = pots_share * weight
        # A pot that is not progressive keeps its value: all of its part is seed.
        seed_share = pot.seed_share if pot.is_progressive else WHOLE
        weights += (part * (WHOLE - seed_share), part * seed_share)
    common = gcd(*weights)
    reduced = tuple(weight // common for weight in weights)
    return Allocation(denominator=sum(reduced), weights=reduced)


def pro_rata_weights(rules: Rules, is_open: tuple[bool, ...]) -> tuple[int, ...]:
    """A weight for each pot: its share while open, 0 when closed; open pots without any share count alike."""
    weights = tuple(pot.share if up else 0 for pot, up in zip(rules.pots, is_open, strict=True))
    return weights if any(weights) else tuple(int(up) for up in is_open)


def split(
    plan: Allocation, carried: tuple[int, ...], units: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Parts in units for each weight, and the numerators to carry to the next contribution."""
    denominator = plan.denominator
    parts: list[int] = []
    remainders: list[int] = []
    for weight, carry in zip(plan.weights, carried, strict=True):
        part, remainder = divmod(units * weight + carry, denominator)
        parts.append(part)
        remainders.append(remainder)
    return tuple(parts), tuple(remainders)


def share_out(units: int, weights: tuple[int, ...]) -> tuple[int, ...]:
    """A sum divided by weights, whole: what does not divide goes to the first account with a weight."""
    total = sum(weights)
    parts = [units * weight // total for weight in weights]
    first = next(index for index, weight in enumerate(weights) if weight)
    parts[first] += units - sum(parts)
    return tuple(parts)
