"""What must hold in a raffle's template (contract §9): its prizes, its ticket, and a pot that only the draw can win."""

from collections.abc import Iterator

from jackpotd.core.money import UNITS_MAX, decimal_text
from jackpotd.core.pot_problems import Problem
from jackpotd.core.rules import (
    RAFFLE_HELD_PRIZES_MAX,
    RAFFLE_PRIZES_MAX,
    TICKET_COST_MIN,
    WHOLE,
    Fixed,
    Percentage,
    PotRules,
    PrizeTier,
    RaffleRules,
    Rules,
    TicketMetric,
    Variable,
)

ROUND_MIN_MS = 1_000
ROUND_MAX_MS = 1_000 * 604_800_000  # a thousand weeks


def raffle_problems(rules: Rules) -> Iterator[Problem]:
    """All that is wrong with the rules of a raffle as such."""
    raffle = rules.raffle
    if raffle is None:
        return
    if raffle.duration_ms is not None and not ROUND_MIN_MS <= raffle.duration_ms <= ROUND_MAX_MS:
        yield Problem("$.raffle.duration", "must be between a second and a thousand weeks")
    if raffle.cost < TICKET_COST_MIN:
        yield Problem("$.raffle.ticket.cost", f"must be at least {decimal_text(TICKET_COST_MIN)}")
    if raffle.metric is TicketMetric.CONTRIBUTION:
        yield from _unreachable(rules, raffle)
    yield from _prize_problems(rules, raffle)
    if len(rules.pots) != 1:
        yield Problem("$.pots", "needs exactly one pot: a raffle's prizes come from it")
    for index, pot in enumerate(rules.pots):
        yield from _pot_problems(f"$.pots[{index}]", pot)


def _unreachable(rules: Rules, raffle: RaffleRules) -> Iterator[Problem]:
    """A ticket that nobody can buy; where currencies have values of their own, their rates decide."""
    highest = _highest(rules.contribution)
    if highest is None or rules.currency_values:
        return
    if not highest:
        yield Problem("$.raffle.ticket.metric", "buys no ticket: every contribution is 0")
    elif highest < raffle.cost and not raffle.accumulates:
        message = "is above every contribution, and parts of a ticket do not accumulate"
        yield Problem("$.raffle.ticket.cost", message)


def _highest(contribution: Fixed | Percentage | Variable) -> int | None:
    """The most that a contribution is worth; None where that is up to the wager."""
    match contribution:
        case Fixed(units=units):
            return units
        case Variable(range=value_range):
            return value_range.maximum
        case Percentage(share=share):
            return None if share else 0


def _prize_problems(rules: Rules, raffle: RaffleRules) -> Iterator[Problem]:
    count = 0
    for at, tier in enumerate(raffle.prizes):
        yield from _tier_problems(f"$.raffle.prizes[{at}]", tier)
        count += max(tier.count, 0)
    if rules.withhold_above is not None and count > RAFFLE_HELD_PRIZES_MAX:
        message = f"needs at most {RAFFLE_HELD_PRIZES_MAX} prizes with withhold_wins_above"
        yield Problem("$.raffle.prizes", f"{message}: somebody has to decide on each")
    if not 1 <= count <= RAFFLE_PRIZES_MAX:
        yield Problem("$.raffle.prizes", f"needs 1 to {RAFFLE_PRIZES_MAX} prizes in all")
    if sum(tier.count * (tier.amount or 0) for tier in raffle.prizes) > UNITS_MAX:
        yield Problem("$.raffle.prizes", "amounts of all prizes add up beyond the bound of money")
    if sum(tier.count * (tier.share or 0) for tier in raffle.prizes) > WHOLE:
        yield Problem("$.raffle.prizes", "shares of all winners must not add up to more than 1")


def _tier_problems(path: str, tier: PrizeTier) -> Iterator[Problem]:
    if tier.count < 1:
        yield Problem(f"{path}.count", "must be at least 1")
    if (tier.amount is None) == (tier.share is None):
        yield Problem(path, "needs either an amount or a share")
    elif tier.amount is not None and tier.amount <= 0:
        yield Problem(f"{path}.amount", "must be above 0")
    elif tier.share is not None and not 0 < tier.share <= WHOLE:
        yield Problem(f"{path}.share", "must be above 0 and at most 1")


def _pot_problems(path: str, pot: PotRules) -> Iterator[Problem]:
    """A raffle's pot is won by the draw at the end of each round and by nothing else."""
    refused = {
        "pot_types": bool(pot.hit_rates or pot.hidden_values or pot.hidden_times),
        "community_payout": bool(pot.community),
        "supports_external_trigger": pot.has_trigger,
        "max_instantiation_count": pot.cycles_max is not None,
        "seed_strategy.open_when_funded": pot.opens_when_funded,
        "criteria": pot.criteria is not None,
    }
    for name, is_there in refused.items():
        if is_there:
            yield Problem(f"{path}.{name}", "must be left out: only a raffle's draw wins its pot")
