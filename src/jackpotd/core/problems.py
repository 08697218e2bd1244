"""What must hold between the fields of a template that a type cannot say (contract §9).

A template with a problem is refused with the JSON path of the field to mend, so the rest of the core may rely on all of
it. All problems are found at once: a person mends a template in one go. What the tipping points and the community of a
pot need stands in `pot_problems`, what a raffle does in `raffle_problems`.
"""

from collections.abc import Iterator, Sequence
from itertools import starmap

from jackpotd.core.pot_problems import (
    ZERO_REFUSED,
    Contributions,
    Problem,
    community_problems,
    tipping_problems,
)
from jackpotd.core.raffle_problems import raffle_problems
from jackpotd.core.rules import (
    POTS_MAX,
    WHOLE,
    Criteria,
    Fixed,
    Percentage,
    PotRules,
    Rules,
    ValueRange,
    Variable,
)

__all__ = ["Problem", "problems"]

_BASE = "$.contribution_rules"
_TYPE = f"{_BASE}.contribution_type"


def problems(rules: Rules, written: Sequence[Sequence[str]] | None = None) -> list[Problem]:
    """All that is wrong with the rules as a whole; empty when they can be published.

    Args:
        rules: what the template was compiled to.
        written: for each pot the kinds of its tipping points (`HitRate`, `Value`, `Time`) in the order of the template,
            so that paths lead there; by default those of each kind stand together, in this order.
    """
    contributions = Contributions.of(rules)
    found = [*_share_problems(rules), *_contribution_problems(rules, contributions)]
    found += _audience_problems(rules)
    if rules.raffle is None and not 1 <= len(rules.pots) <= POTS_MAX:
        found.append(Problem("$.pots", f"needs 1 to {POTS_MAX} pots"))
    seen: set[str] = set()
    for index, pot in enumerate(rules.pots):
        path = f"$.pots[{index}]"
        if not pot.id or pot.id in seen:
            found.append(Problem(f"{path}.id", "must be unique and not empty"))
        if "/" in pot.id:
            found.append(Problem(f"{path}.id", "stands in paths, so it must not contain /"))
        seen.add(pot.id)
        kinds = None if written is None else written[index]
        found += _pot_problems(path, pot)
        if rules.raffle is None:
            found += tipping_problems(path, pot, kinds, contributions)
            found += community_problems(f"{path}.community_payout", pot)
    return [*found, *raffle_problems(rules)]


def _share_problems(rules: Rules) -> Iterator[Problem]:
    shares = {"$.house_hold_contribution.Percentage": rules.house_share}
    shares[f"{_BASE}.operator_contribution_percentage"] = rules.operator_share
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


def _contribution_problems(rules: Rules, contributions: Contributions) -> Iterator[Problem]:
    ranges = {f"{_BASE}.currency_values.{code}": v for code, v in rules.currency_values.items()}
    match rules.contribution:
        case Fixed(units=units) if units < 0:
            yield Problem(f"{_TYPE}.Fixed", "must not be negative")
        case Percentage(share=share) if not 0 <= share <= WHOLE:
            yield Problem(f"{_TYPE}.Percentage", "must be between 0 and 1")
        case Variable(range=value_range):
            ranges[f"{_TYPE}.Variable"] = value_range
        case _:
            pass
    yield from filter(None, starmap(_range_problem, ranges.items()))
    if not contributions.may_be_zero:
        for path in _zeros(rules):
            yield Problem(path, ZERO_REFUSED)


def _zeros(rules: Rules) -> Iterator[str]:
    """Where the template allows contributions of nothing.

    A range of a currency only bounds a percentage: it makes no zero that the base wager did not make.
    """
    match rules.contribution:
        case Fixed(units=0):
            yield f"{_TYPE}.Fixed"
        case Percentage(share=0):
            yield f"{_TYPE}.Percentage"
        case Variable(range=ValueRange(minimum=0)):
            yield f"{_TYPE}.Variable.min"
        case _:
            pass
    if not isinstance(rules.contribution, Percentage):
        for code, value in rules.currency_values.items():
            if value.minimum == 0:
                yield f"{_BASE}.currency_values.{code}.min"


def _audience_problems(rules: Rules) -> Iterator[Problem]:
    allowed = {
        "countries": rules.allowed_countries,
        "segments": rules.allowed_segments,
        "verticals": rules.allowed_verticals,
    }
    for name, values in allowed.items():
        if values is not None and not values:
            yield Problem(f"$.allowed_{name}", "is empty, so nobody could contribute; null is all")
    if rules.allowed_countries and rules.allowed_countries <= rules.blocked_countries:
        yield Problem("$.blocked_countries", "blocks every allowed country")
    if rules.withhold_above is not None and rules.withhold_above < 0:
        yield Problem("$.withhold_wins_above", "must not be negative")


def _pot_problems(path: str, pot: PotRules) -> Iterator[Problem]:
    seeds = f"{path}.seed_strategy"
    if pot.initial_seed < 0:
        yield Problem(f"{seeds}.initial_seed_value", "must not be negative")
    if pot.min_reseed < 0:
        yield Problem(f"{seeds}.min_reseed_value", "must not be negative")
    if pot.cycles_max is not None and pot.cycles_max < 1:
        yield Problem(f"{path}.max_instantiation_count", "must be at least 1")
    if pot.value_max is not None:
        message = _ceiling_problem(pot, pot.value_max)
        if message:
            yield Problem(f"{path}.max_pot_value", message)
    if pot.criteria is not None:
        yield from _criteria_problems(f"{path}.criteria", pot.criteria)


def _ceiling_problem(pot: PotRules, ceiling: int) -> str:
    """A pot starts below its ceiling and reaches what tips it below it too (R-CHG-2)."""
    if ceiling <= 0:
        return "must be above 0"
    if ceiling < pot.initial_seed:
        return "must not be below initial_seed_value"
    if ceiling < pot.min_reseed:
        return "must not be below min_reseed_value"
    if any(ceiling < point.high for point in pot.hidden_values):
        return "must not be below the max of Value, or the hidden value might never be reached"
    return ""


def _criteria_problems(path: str, criteria: Criteria) -> Iterator[Problem]:
    if criteria.wager_min is not None and criteria.wager_min < 0:
        yield Problem(f"{path}.min_base_wager", "must not be negative")
    for name, values in (("segments", criteria.segments), ("currencies", criteria.currencies)):
        if values is not None and not values:
            yield Problem(f"{path}.{name}", "is empty, so nobody could win; null is everybody")
