"""What can be said of a template without playing it; the tags are those of the literature's formulae.

Everything is in the template's currency; a rate is per unit contributed unless it says otherwise.
"""

import math

from jackpotd.core.money import SCALE
from jackpotd.core.rules import WHOLE, PotRules, ReseedStrategy


def chance(rules: PotRules, worth: float) -> float:
    """The chance that draws tip a pot on one contribution of this worth."""
    if not rules.hit_rates or (worth <= 0 and all(each.cost_units for each in rules.hit_rates)):
        return 0.0
    log_of_losing = 0.0
    for point in rules.hit_rates:
        if point.outcomes == 1:
            return 1.0
        attempts = worth * SCALE / point.cost_units if point.cost_units else 1.0
        log_of_losing += attempts * math.log1p(-1 / point.outcomes)
    return -math.expm1(log_of_losing)


def growth_share(rules: PotRules) -> float:
    """What of a contribution grows the pot itself."""
    if not rules.is_progressive:
        return 0.0
    return rules.share / WHOLE * (1 - rules.seed_share / WHOLE)


def reserve_share(rules: PotRules) -> float:
    """What of a contribution goes to the pot's seed reserve, as long as that collects."""
    seed_share = rules.seed_share if rules.is_progressive else WHOLE
    return rules.share / WHOLE * seed_share / WHOLE


def expected_contributed(rules: PotRules, worth: float) -> float | None:
    """What is contributed between two hits, on average (F1, F2); None where neither draws nor one value say it."""
    p = chance(rules, worth)
    if p and not rules.hidden_values:
        return worth / p
    growing = growth_share(rules)
    if not p and len(rules.hidden_values) == 1 and growing:
        value = rules.hidden_values[0]
        start = rules.min_reseed / SCALE
        low = max(value.low / SCALE, start)
        return ((low + value.high / SCALE) / 2 - start) / growing
    return None


def never_short_again(rho: float, start_seeds: float) -> float:
    """The chance that a reserve that starts with so many seeds never goes negative (F6, ruin of M/D/1)."""
    if rho >= 1:
        return 0.0
    total = math.fsum(
        (rho * (k - start_seeds)) ** k * math.exp(-rho * (k - start_seeds)) / math.factorial(k)
        for k in range(math.floor(start_seeds) + 1)
    )
    return (1 - rho) * total


def is_collecting_always(rules: PotRules) -> bool:
    """Whether the reserve grows without an end, so that it can outlive its shortfalls."""
    always = rules.fund_strategy.value == "CollectAlways" or not rules.is_progressive
    return always and rules.reseed_strategy is ReseedStrategy.FULL


def nobody_comes(per_window: float) -> float:
    """The chance that nobody contributes after the hidden instant of a window (F7)."""
    return -math.expm1(-per_window) / per_window if per_window else 1.0


def break_even(maximum: float, rate: float, house_edge: float) -> float:
    """The value above which a must-hit pot is worth more to players than the game costs them (F4)."""
    return maximum * (house_edge + rate) / (house_edge + 2 * rate)
