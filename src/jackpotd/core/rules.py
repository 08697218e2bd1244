"""The rules of an instance: a published template, compiled to integers (contract §9).

Shares are integers of 1e-8, amounts are units of money. `problems` holds every relation between fields that a type
cannot say; a template with a problem is refused, so the rest of the core may rely on all of them.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import starmap

from msgspec import Struct

from jackpotd.core.money import SCALE

WHOLE = SCALE  # a share of 1
POTS_MAX = 32
HIT_RATES_MAX = 8
HIT_RATE_MAX = 10**15


class WinSelector(StrEnum):
    """Which pots pay when several tip on one contribution."""

    HIGHEST = "Highest"
    LOWEST = "Lowest"
    ALL = "All"


class FundStrategy(StrEnum):
    """When the seed reserve stops collecting."""

    COLLECT_TO_MIN_RESEED = "CollectToMinReseed"
    COLLECT_ALWAYS = "CollectAlways"


class ReseedStrategy(StrEnum):
    """How much of the reserve a reseed takes."""

    FULL = "Full"
    WHOLE_RESERVE = "WholeReserve"


class ValueRange(Struct, frozen=True):
    """The contribution that a player may choose, in units of one currency."""

    minimum: int
    maximum: int
    default: int


class Fixed(Struct, frozen=True):
    """Every contribution is worth the same, in the template's currency."""

    units: int


class Percentage(Struct, frozen=True):
    """A contribution is a share of the base wager."""

    share: int


class Variable(Struct, frozen=True):
    """The player chooses, within a range in the template's currency."""

    range: ValueRange


class HitRate(Struct, frozen=True):
    """A tipping point: one chance in `outcomes` for each `cost_units` contributed (0: for each contribution)."""

    outcomes: int
    cost_units: int


class PotRules(Struct, frozen=True):
    """One pot: its share of a contribution, how it reseeds, and what tips it."""

    id: str
    is_progressive: bool
    share: int
    seed_share: int
    initial_seed: int
    min_reseed: int
    fund_strategy: FundStrategy
    reseed_strategy: ReseedStrategy
    cycles_max: int | None
    hit_rates: tuple[HitRate, ...]


class Rules(Struct, frozen=True):
    """Everything that decides a contribution to one instance."""

    currency: str
    allowed_brands: frozenset[str]
    allowed_countries: frozenset[str] | None
    blocked_countries: frozenset[str]
    allowed_segments: frozenset[str] | None
    allowed_verticals: frozenset[str] | None
    opt_in_required: bool
    contribution: Fixed | Percentage | Variable
    currency_values: dict[str, ValueRange]
    operator_share: int
    house_share: int
    win_selector: WinSelector
    pots: tuple[PotRules, ...]

    @property
    def draws_needed(self) -> int:
        """Random numbers that a contribution must bring: one for each tipping point."""
        return sum([len(pot.hit_rates) for pot in self.pots])


class Problem(Struct, frozen=True):
    """A relation between fields that does not hold, with the JSON path of the field to mend."""

    path: str
    message: str


def problems(rules: Rules) -> list[Problem]:
    """All that is wrong with the rules as a whole; empty when they can be published."""
    return [*_share_problems(rules), *_contribution_problems(rules), *_pot_problems(rules)]


def _share_problems(rules: Rules) -> Iterator[Problem]:
    shares = {"$.house_hold_contribution.Percentage": rules.house_share}
    shares["$.contribution_rules.operator_contribution_percentage"] = rules.operator_share
    for index, pot in enumerate(rules.pots):
        shares[f"$.pots[{index}].contribution.Percentage"] = pot.share
        shares[f"$.pots[{index}].seed_contribution.Percentage"] = pot.seed_share
    for path, share in shares.items():
        if not 0 <= share <= WHOLE:
            yield Problem(path, "must be between 0 and 1")
    if rules.house_share + sum(pot.share for pot in rules.pots) != WHOLE:
        yield Problem("$.house_hold_contribution", "house and pots must add up to exactly 1")


def _range_problem(path: str, value: ValueRange) -> Problem | None:
    if 0 <= value.minimum <= value.default <= value.maximum:
        return None
    return Problem(path, "needs 0 <= min <= default <= max")


def _contribution_problems(rules: Rules) -> Iterator[Problem]:
    base = "$.contribution_rules"
    ranges = {f"{base}.currency_values.{code}": v for code, v in rules.currency_values.items()}
    match rules.contribution:
        case Fixed(units=units) if units < 0:
            yield Problem(f"{base}.contribution_type.Fixed", "must not be negative")
        case Percentage(share=share) if not 0 <= share <= WHOLE:
            yield Problem(f"{base}.contribution_type.Percentage", "must be between 0 and 1")
        case Variable(range=value_range):
            ranges[f"{base}.contribution_type.Variable"] = value_range
        case _:
            pass
    yield from filter(None, starmap(_range_problem, ranges.items()))


def _pot_problems(rules: Rules) -> Iterator[Problem]:
    if not 1 <= len(rules.pots) <= POTS_MAX:
        yield Problem("$.pots", f"needs 1 to {POTS_MAX} pots")
    seen: set[str] = set()
    for index, pot in enumerate(rules.pots):
        path = f"$.pots[{index}]"
        if not pot.id or pot.id in seen:
            yield Problem(f"{path}.id", "must be unique and not empty")
        seen.add(pot.id)
        if pot.initial_seed < 0:
            yield Problem(f"{path}.seed_strategy.initial_seed_value", "must not be negative")
        if pot.min_reseed < 0:
            yield Problem(f"{path}.seed_strategy.min_reseed_value", "must not be negative")
        if pot.cycles_max is not None and pot.cycles_max < 1:
            yield Problem(f"{path}.max_instantiation_count", "must be at least 1")
        if not 1 <= len(pot.hit_rates) <= HIT_RATES_MAX:
            yield Problem(f"{path}.pot_types", f"needs 1 to {HIT_RATES_MAX} tipping points")
        for at, hit_rate in enumerate(pot.hit_rates):
            yield from _hit_rate_problems(f"{path}.pot_types[{at}].HitRate", hit_rate, rules)


def _hit_rate_problems(path: str, hit_rate: HitRate, rules: Rules) -> Iterator[Problem]:
    if not 1 <= hit_rate.outcomes <= HIT_RATE_MAX:
        yield Problem(f"{path}.max_magic_number", "must be between 1 and 1e15")
    if hit_rate.cost_units < 0:
        yield Problem(f"{path}.cost_per_attempt", "must not be negative")
    if hit_rate.cost_units == 0 and rules.operator_share != WHOLE:
        yield Problem(
            f"{path}.cost_per_attempt",
            "may be 0 only where the operator pays every contribution whole",
        )
