"""The seed reserve of a pot as a risk process: money comes in with every contribution, a seed is taken at every win.

From what each cycle brought in, in the order in which it came, this tells how a reserve of any start would have fared:
the operator pays the deficits of the simulated jackpot, so its own reserve never shows it (F6).
"""

from collections.abc import Sequence

from msgspec import Struct

from jackpotd.core.money import SCALE
from jackpotd.core.rules import PotRules
from jackpotd.simulation import estimates, formulas
from jackpotd.simulation.book import PotBook
from jackpotd.simulation.estimates import Estimate

STARTS_IN_SEEDS = (0, 1, 2, 5)
HORIZON_CYCLES = 100


class Ruin(Struct, frozen=True):
    """How a reserve that starts with so many seeds fares: whether it is ever short within the horizon.

    `formula` is the long-run chance where every contribution can win alike (M/D/1), to compare with.
    """

    start_in_seeds: int
    horizon_cycles: int
    trials: int
    probability: Estimate
    formula: float | None


class ReserveFigures(Struct, frozen=True):
    """What is known of a pot's seeds; amounts in the template's currency.

    `rate_per_stake` is b and `break_even_rate` is b* = s / V of F6; `short_from_empty` and `shortfall_from_empty` are
    of a reserve that starts each cycle with nothing.
    """

    reseeds: int
    mean_collected: Estimate
    rate_per_stake: float | None
    break_even_rate: float | None
    rho: float | None
    short: Estimate
    short_from_empty: Estimate
    shortfall_from_empty: Estimate
    from_reserve: float
    from_boost: float
    deficit: float
    mean_at_reseed: float | None
    highest: float
    ruin: list[Ruin]
    ruin_note: str | None


def figures_of(
    pot: PotBook,
    rules: PotRules,
    staked: int,
    contributed: int,
    shorts: Sequence[tuple[int, int]],
) -> ReserveFigures:
    """The figures of one pot; `shorts` holds (short reseeds, reseeds) of each batch."""
    seed = rules.min_reseed
    rate = formulas.reserve_share(rules) * contributed / staked if staked else None
    break_even = seed * pot.hits / staked if staked else None
    missing = [max(0, seed - each) / SCALE for each in pot.collected]
    ruin, note = _ruin(pot, rules, break_even / rate if rate and break_even is not None else None)
    return ReserveFigures(
        reseeds=pot.reseeds,
        mean_collected=estimates.mean([each / SCALE for each in pot.collected]),
        rate_per_stake=rate,
        break_even_rate=break_even,
        rho=break_even / rate if rate and break_even is not None else None,
        short=_short(pot, rules, shorts),
        short_from_empty=estimates.share(
            sum(each < seed for each in pot.collected), len(pot.collected)
        ),
        shortfall_from_empty=estimates.mean(missing),
        from_reserve=pot.from_reserve / SCALE,
        from_boost=pot.from_boost / SCALE,
        deficit=pot.deficit / SCALE,
        mean_at_reseed=None
        if pot.reserve_at_reseed.mean is None
        else pot.reserve_at_reseed.mean / SCALE,
        highest=pot.reserve_highest / SCALE,
        ruin=ruin,
        ruin_note=note,
    )


def _short(pot: PotBook, rules: PotRules, shorts: Sequence[tuple[int, int]]) -> Estimate:
    """How often a reseed found the reserve short: cycles hang together where money is left in it."""
    if formulas.is_collecting_always(rules) and pot.reseeds >= estimates.GARWOOD_MAX:
        return estimates.ratio([short for short, _ in shorts], [all_ for _, all_ in shorts])
    return estimates.share(pot.short, pot.reseeds)


def _ruin(pot: PotBook, rules: PotRules, rho: float | None) -> tuple[list[Ruin], str | None]:
    if not rules.min_reseed:
        return [], "nothing is reseeded"
    if not formulas.is_collecting_always(rules):
        return [], (
            "certain in the long run: the reserve is emptied or stops collecting, so every cycle has a chance of its "
            "own to be short"
        )
    is_alike = rules.is_plain and rules.value_max is None and rho is not None
    found = []
    for start in STARTS_IN_SEEDS:
        hits, trials = ruined(pot.collected, rules.min_reseed, start)
        formula = (
            1 - formulas.never_short_again(rho, start) if is_alike and rho is not None else None
        )
        found.append(Ruin(start, HORIZON_CYCLES, trials, estimates.share(hits, trials), formula))
    return found, None


def ruined(
    collected: Sequence[int], seed: int, start_in_seeds: int, horizon: int = HORIZON_CYCLES
) -> tuple[int, int]:
    """How many stretches of `horizon` cycles would have emptied a reserve of that start, and how many there are.

    Stretches do not overlap, so they are independent where cycles are.
    """
    hits = trials = 0
    for begin in range(0, len(collected) - horizon + 1, horizon):
        trials += 1
        level = start_in_seeds * seed
        for each in collected[begin : begin + horizon]:
            level += each - seed
            if level < 0:
                hits += 1
                break
    return hits, trials
