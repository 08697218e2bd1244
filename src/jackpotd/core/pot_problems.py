"""What the tipping points and the community of a pot need to be able to do what they say (contract §9).

A tipping point that could never come, one that the pot's own seed would set off, and a chance that no draw can resolve
are refused: money would wait in that pot for ever, or leave it without a contribution (R-CHG-1, R-CHG-2).
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from jackpotd.core import hit_rate
from jackpotd.core.money import UNITS_MAX
from jackpotd.core.rules import (
    COMMUNITY_STRATEGIES_MAX,
    COMMUNITY_WINNERS_MAX,
    HIT_RATE_MAX,
    TIPPING_POINTS_MAX,
    WHOLE,
    CommunityKind,
    CommunityStrategy,
    Fallback,
    Fixed,
    FundStrategy,
    HiddenTime,
    HiddenValue,
    HitRate,
    Percentage,
    PotRules,
    Rules,
    Variable,
)

ZERO_REFUSED = (
    "may be 0 only where the operator pays every contribution whole and no pot tips by Value"
)
HIT_RATE, VALUE, TIME = "HitRate", "Value", "Time"

HOUR_MS = 3_600_000
WITHIN_HOURS_MAX = 8760
EVERY_MS_MIN = 60_000
EVERY_DAYS_MAX = 366
START_MS_MAX = 253_402_300_799_999  # the end of the year 9999
_EVERY_MS_MAX = EVERY_DAYS_MAX * 24 * HOUR_MS


class Problem(Struct, frozen=True):
    """A relation between fields that does not hold, with the JSON path of the field to mend."""

    path: str
    message: str


class Contributions(Struct, frozen=True):
    """What contributions under some rules can be.

    `largest` is the worth of the largest, in units of the jackpot's currency; the bound of money where rates decide it.
    `may_be_zero`: the operator pays every contribution whole and no pot tips by Value, so that one of 0 may win.
    """

    largest: int
    may_be_zero: bool

    @staticmethod
    def of(rules: Rules) -> "Contributions":
        """Those of a template."""
        tips_by_value = any(pot.hidden_values for pot in rules.pots)
        is_free = rules.operator_share == WHOLE
        return Contributions(_largest(rules), is_free and not tips_by_value)


def _largest(rules: Rules) -> int:
    match rules.contribution:
        case Percentage(share=share):
            return UNITS_MAX * share // WHOLE
        case Fixed(units=units):
            own = {code: value.default for code, value in rules.currency_values.items()}
        case Variable(range=value_range):
            units = value_range.maximum
            own = {code: value.maximum for code, value in rules.currency_values.items()}
    units = max(units, own.pop(rules.currency, 0))
    return UNITS_MAX if any(own.values()) else units


def tipping_problems(
    path: str, pot: PotRules, kinds: Sequence[str] | None, contributions: Contributions
) -> Iterator[Problem]:
    """What is wrong with the tipping points of the pot at `path`; `kinds` as `written` of `problems.problems`."""
    points = (*pot.hit_rates, *pot.hidden_values, *pot.hidden_times)
    names = [HIT_RATE] * len(pot.hit_rates) + [VALUE] * len(pot.hidden_values)
    names += [TIME] * len(pot.hidden_times)
    if len(points) > TIPPING_POINTS_MAX or not (points or pot.has_trigger):
        message = f"needs 1 to {TIPPING_POINTS_MAX} tipping points, or supports_external_trigger"
        yield Problem(f"{path}.pot_types", message)
    for point, name, at in zip(points, names, _places(names, kinds or names), strict=True):
        where = f"{path}.pot_types[{at}].{name}"
        match point:
            case HitRate():
                yield from _hit_rate_problems(where, point, contributions)
            case HiddenValue():
                yield from _value_problems(where, point, pot)
            case HiddenTime():
                yield from _time_problems(where, point, contributions)
    if pot.hidden_values and pot.is_progressive:
        yield from _growth_problems(path, pot)


def _places(names: list[str], written: Sequence[str]) -> Iterator[int]:
    """Where the tipping points, ordered by kind, stand in the template."""
    for kind in dict.fromkeys(names):
        yield from (at for at, name in enumerate(written) if name == kind)


def _hit_rate_problems(
    path: str, point: HitRate, contributions: Contributions
) -> Iterator[Problem]:
    can_be_drawn = True
    if not 1 <= point.outcomes <= HIT_RATE_MAX:
        can_be_drawn = False
        yield Problem(f"{path}.max_magic_number", "must be between 1 and 1e15")
    if point.cost_units < 0:
        can_be_drawn = False
        yield Problem(f"{path}.cost_per_attempt", "must not be negative")
    if point.cost_units == 0 and not contributions.may_be_zero:
        yield Problem(f"{path}.cost_per_attempt", ZERO_REFUSED)
    largest = contributions.largest
    if not can_be_drawn or hit_rate.threshold(point.outcomes, point.cost_units, largest):
        return
    if largest > 0:
        message = "makes a chance that cannot be reached: the largest contribution wins with less"
        yield Problem(f"{path}.max_magic_number", f"{message} than 1 in 2^64")
    elif largest == 0 and contributions.may_be_zero:
        message = "buys no attempt, for every contribution is 0; at 0 each of them is one attempt"
        yield Problem(f"{path}.cost_per_attempt", message)


def _value_problems(path: str, point: HiddenValue, pot: PotRules) -> Iterator[Problem]:
    if point.low <= 0:
        yield Problem(f"{path}.min", "must be above 0")
    if point.low >= point.high:
        yield Problem(f"{path}.min", "must be below max")
    if not pot.is_progressive:
        yield Problem(path, "needs a progressive pot: the value of this one stays at its seed")


def _growth_problems(path: str, pot: PotRules) -> Iterator[Problem]:
    """A hidden value is reached by contributions, and by nothing else."""
    low = min(point.low for point in pot.hidden_values)
    message = "must not be above the min of Value: seeding the pot could win it"
    if low > 0 and pot.initial_seed > low:
        yield Problem(f"{path}.seed_strategy.initial_seed_value", message)
    if low > 0 and pot.min_reseed > low:
        yield Problem(f"{path}.seed_strategy.min_reseed_value", message)
    if pot.share == 0:
        message = "is 0, so the pot would never reach its Value"
        yield Problem(f"{path}.contribution.Percentage", message)
    is_all_kept = pot.seed_share == WHOLE and pot.fund_strategy is FundStrategy.COLLECT_ALWAYS
    if is_all_kept and pot.cycles_max != 1:  # in its last cycle the seed's part goes to the pot
        message = "leaves the pot nothing to grow by with CollectAlways, so it would never reach"
        yield Problem(f"{path}.seed_contribution.Percentage", f"{message} its Value")


def _time_problems(path: str, point: HiddenTime, contributions: Contributions) -> Iterator[Problem]:
    if not EVERY_MS_MIN <= point.every_ms <= _EVERY_MS_MAX:
        message = f"must be between {EVERY_MS_MIN // 1000} seconds and {EVERY_DAYS_MAX} days"
        yield Problem(f"{path}.every", message)
    if not 0 <= point.start_ms <= START_MS_MAX:
        yield Problem(f"{path}.window_start", f"must be between 0 and {START_MS_MAX}")
    if point.fallback is Fallback.DRAW_AMONG_CONTRIBUTORS and contributions.largest == 0:
        message = "cannot draw by contribution, for every contribution is 0; use RollOver"
        yield Problem(f"{path}.fallback", message)


def community_problems(path: str, pot: PotRules) -> Iterator[Problem]:
    """What is wrong with the community strategies of a pot, whose `community_payout` stands at `path`."""
    if len(pot.community) > COMMUNITY_STRATEGIES_MAX:
        yield Problem(f"{path}.strategies", f"needs 1 to {COMMUNITY_STRATEGIES_MAX} strategies")
    if sum(strategy.share for strategy in pot.community) >= WHOLE:
        yield Problem(f"{path}.share", "must be below 1, or nothing is left for the pot's winner")
    for at, strategy in enumerate(pot.community):
        where = f"{path}.strategies[{at}].{strategy.kind}"
        yield from _strategy_problems(where, strategy)


def _strategy_problems(path: str, strategy: CommunityStrategy) -> Iterator[Problem]:
    if strategy.share <= 0:
        yield Problem(f"{path}.share", "must be above 0")
    if not 1 <= strategy.winners <= COMMUNITY_WINNERS_MAX:
        yield Problem(f"{path}.winners", f"must be between 1 and {COMMUNITY_WINNERS_MAX}")
    is_by_time = strategy.kind is CommunityKind.ACTIVE_PLAYERS
    if is_by_time and not HOUR_MS <= strategy.within_ms <= WITHIN_HOURS_MAX * HOUR_MS:
        yield Problem(f"{path}.within_hours", f"must be between 1 and {WITHIN_HOURS_MAX}")
