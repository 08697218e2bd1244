"""The rules of an instance: a published template, compiled to integers (contract §9).

Shares are integers of 1e-8, amounts are units of money in the template's currency, times are milliseconds. What must
hold between fields stands in `problems`; the rest of the core may rely on all of it.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from jackpotd.core.money import SCALE

WHOLE = SCALE  # a share of 1
POTS_MAX = 32
TIPPING_POINTS_MAX = 8
HIT_RATE_MAX = 10**15
COMMUNITY_STRATEGIES_MAX = 8
COMMUNITY_WINNERS_MAX = 100
RAFFLE_PRIZES_MAX = 5_000
RAFFLE_HELD_PRIZES_MAX = 500
TICKET_COST_MIN = SCALE // 10_000


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


class HiddenValue(Struct, frozen=True):
    """A tipping point: a hidden value, uniform in [low, high], drawn when the pot's cycle is sealed."""

    low: int
    high: int


class Fallback(StrEnum):
    """What becomes of a window that ends without its drop."""

    ROLL_OVER = "RollOver"
    DRAW_AMONG_CONTRIBUTORS = "DrawAmongContributors"


class HiddenTime(Struct, frozen=True):
    """A tipping point: a hidden instant in each window; windows are `every_ms` long and one begins at `start_ms`."""

    every_ms: int
    start_ms: int
    fallback: Fallback


class Criteria(Struct, frozen=True):
    """Who can win a pot: a least base wager in the template's currency, any of these segments, these currencies."""

    wager_min: int | None
    segments: frozenset[str] | None
    currencies: frozenset[str] | None


class CommunityKind(StrEnum):
    """How community winners are found."""

    ACTIVE_PLAYERS = "ActivePlayers"
    HIGHEST_CONTRIBUTION_PER_WIN = "HighestContributionPerWin"
    HIGHEST_LIFETIME_CONTRIBUTOR = "HighestLifetimeContributor"


class CommunityStrategy(Struct, frozen=True):
    """A share of the pot for so many winners, in equal parts; `within_ms` is for active players alone."""

    kind: CommunityKind
    share: int
    winners: int
    within_ms: int = 0


class PotRules(Struct, frozen=True):
    """One pot: its share of a contribution, how it reseeds, what tips it, and who wins with the winner.

    `value_max` is the ceiling; what would go beyond it goes to the seed reserve.
    """

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
    hidden_values: tuple[HiddenValue, ...] = ()
    hidden_times: tuple[HiddenTime, ...] = ()
    value_max: int | None = None
    opens_when_funded: bool = False
    has_trigger: bool = False
    criteria: Criteria | None = None
    community: tuple[CommunityStrategy, ...] = ()

    @property
    def has_lots(self) -> bool:
        """Whether a winner may be drawn among the contributors of a window."""
        return any(
            point.fallback is Fallback.DRAW_AMONG_CONTRIBUTORS for point in self.hidden_times
        )

    @property
    def is_plain(self) -> bool:
        """Whether draws alone tip the pot, for everybody alike."""
        return not (
            self.hidden_values or self.hidden_times or self.opens_when_funded or self.criteria
        )


class TicketMetric(StrEnum):
    """What a raffle's ticket is bought with."""

    BASE_WAGER = "BaseWager"
    CONTRIBUTION = "Contribution"


class PrizeTier(Struct, frozen=True):
    """So many prizes of an amount, or each of a share of what the pot holds when the round ends."""

    count: int
    amount: int | None = None
    share: int | None = None


class RaffleRules(Struct, frozen=True):
    """A raffle: rounds of `duration_ms` (None: as long as the schedule), and tickets for `cost` units of a metric.

    `accumulates`: what a ticket is not bought with yet counts towards the next one, within the round.
    """

    duration_ms: int | None
    cost: int
    metric: TicketMetric
    accumulates: bool
    prizes: tuple[PrizeTier, ...]
    one_prize_per_player: bool


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
    withhold_above: int | None = None
    raffle: RaffleRules | None = None
    # Derived, because they are asked for every contribution.
    has_community: bool = False
    has_times: bool = False
    has_attendance: bool = False
    is_plain: bool = True
    leaders_kept: tuple[int, ...] = ()
    lifetime_leaders_kept: int = 0
    active_ms: int = 0


def rules_of(
    *,
    pots: tuple[PotRules, ...],
    **fields: Any,
) -> Rules:
    """Rules with what follows from them.

    A board keeps one more than all who may be picked for the win, because the winner may stand on it; so nobody ever
    has to look further down.
    """
    strategies = [strategy for pot in pots for strategy in pot.community]
    by_pot = []
    for pot in pots:
        kinds = {strategy.kind for strategy in pot.community}
        wanted = CommunityKind.HIGHEST_CONTRIBUTION_PER_WIN in kinds
        by_pot.append(1 + sum(each.winners for each in pot.community) if wanted else 0)
    lifetime = [
        1 + sum(each.winners for each in pot.community)
        for pot in pots
        if any(each.kind is CommunityKind.HIGHEST_LIFETIME_CONTRIBUTOR for each in pot.community)
    ]
    return Rules(
        pots=pots,
        has_community=bool(strategies),
        has_times=any(pot.hidden_times for pot in pots),
        has_attendance=bool(strategies) or any(pot.has_lots for pot in pots),
        is_plain=all(pot.is_plain for pot in pots) and not strategies,
        leaders_kept=tuple(by_pot),
        lifetime_leaders_kept=max(lifetime, default=0),
        active_ms=max((each.within_ms for each in strategies), default=0),
        **fields,
    )
