"""Where money that comes into a pot otherwise than by contributions goes: to its value, or to its seed reserve.

A pot that is not progressive keeps its value. A ceiling is not passed. And a hidden value is never made certain, or
nearly so, by such money: it lifts the pot no higher than the least that may be hidden (R-CHG-1).
"""

from jackpotd.core.rules import PotRules
from jackpotd.core.state import Pot


def lift_max(rules: PotRules) -> int | None:
    """Up to where such money may lift a pot; None where there is no end."""
    ends = [point.low for point in rules.hidden_values]
    if rules.value_max is not None:
        ends.append(rules.value_max)
    return min(ends, default=None)


def inflow(rules: PotRules, pot: Pot, units: int) -> tuple[int, int]:
    """What goes to the value, and what to the reserve."""
    if not rules.is_progressive:
        return 0, units
    end = lift_max(rules)
    value = units if end is None else min(units, max(0, end - pot.value))
    return value, units - value
