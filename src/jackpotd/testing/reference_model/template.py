"""The template as the oracle reads it (contract §9): every rule of a jackpot and of a raffle."""

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from fractions import Fraction
from typing import Any, Final, Literal, NamedTuple

from jackpotd.testing.reference_model.numbers import DRAWS, Number, hit_threshold, incoming

Strategy = Literal["Highest", "Lowest", "All"]

COMMUNITY_KINDS: Final = frozenset(
    {"ActivePlayers", "HighestContributionPerWin", "HighestLifetimeContributor"}
)
_MS_IN: Final = {
    "Seconds": 1_000,
    "Minutes": 60_000,
    "Hours": 3_600_000,
    "Days": 86_400_000,
    "Weeks": 604_800_000,
}


class OutsideTheModelError(ValueError):
    """The template or the case needs a rule that this oracle does not have."""


class HitRate(NamedTuple):
    magic_number: Fraction
    cost_per_attempt: Fraction

    def threshold(self, worth: Fraction) -> int:
        return hit_threshold(self.magic_number, self.cost_per_attempt, worth)

    def is_certain(self, worth: Fraction) -> bool:
        return self.threshold(worth) == DRAWS


class HiddenValue(NamedTuple):
    low: Fraction
    high: Fraction


class HiddenTime(NamedTuple):
    """Windows of `every_ms`, one of which begins at `start_ms`."""

    every_ms: int
    start_ms: int
    draws_among_contributors: bool

    def window_at(self, at_ms: int) -> int:
        return (at_ms - self.start_ms) // self.every_ms

    def start_of(self, window: int) -> int:
        return self.start_ms + window * self.every_ms


class CommunityRule(NamedTuple):
    kind: str
    share: Fraction
    winners: int
    within_ms: int


class Criteria(NamedTuple):
    """Who can win a pot; None = whoever."""

    wager_min: Fraction | None = None
    segments: frozenset[str] | None = None
    currencies: frozenset[str] | None = None


@dataclass(frozen=True)
class Values:
    """`min`, `max` and `default` of a contribution in one currency; None = not listed."""

    low: Fraction | None = None
    high: Fraction | None = None
    default: Fraction | None = None

    @staticmethod
    def read(listed: Mapping[str, Any]) -> "Values":
        return Values(*(_optional(listed.get(name)) for name in ("min", "max", "default")))

    def allow(self, amount: Fraction) -> bool:
        above = self.low is None or amount >= self.low
        return above and (self.high is None or amount <= self.high)

    def completed(self, terms: "Values", convert: Callable[[Fraction], Fraction]) -> "Values":
        """What this currency does not list follows the template's own terms, converted."""

        def either(listed: Fraction | None, term: Fraction | None) -> Fraction | None:
            return listed if listed is not None or term is None else convert(term)

        pairs = zip(astuple(self), astuple(terms), strict=True)
        return Values(*(either(listed, term) for listed, term in pairs))


@dataclass(frozen=True)
class PotRules:
    id: str
    share: Fraction
    seed_share: Fraction
    initial_seed: Fraction
    min_reseed: Fraction
    collects_always: bool
    reseeds_whole_reserve: bool
    opens_when_funded: bool
    is_progressive: bool
    cycles_max: int | None
    ceiling: Fraction | None
    has_trigger: bool
    hit_rates: tuple[HitRate, ...]
    hidden_values: tuple[HiddenValue, ...]
    hidden_times: tuple[HiddenTime, ...]
    criteria: Criteria
    community: tuple[CommunityRule, ...]

    @property
    def lift_end(self) -> Fraction | None:
        """Where money that is no contribution stops lifting the pot: its ceiling, and where a value may be hidden."""
        ends = [point.low for point in self.hidden_values]
        if self.ceiling is not None:
            ends.append(self.ceiling)
        return min(ends, default=None)


@dataclass(frozen=True)
class PrizeTier:
    """So many prizes of an amount, or each of a share of the pot."""

    count: int
    amount: Fraction | None
    share: Fraction | None


@dataclass(frozen=True)
class RaffleRules:
    duration_ms: int | None  # None: as long as the schedule
    cost: Fraction
    by_wager: bool  # else by contribution
    accumulates: bool
    prizes: tuple[PrizeTier, ...]
    one_prize_per_player: bool


@dataclass(frozen=True)
class Rules:
    currency: str
    percentage: Fraction | None  # of the base wager; None for Fixed and Variable
    terms: Values  # Fixed: the default alone
    is_variable: bool
    currency_values: Mapping[str, Values]
    operator_share: Fraction
    house_share: Fraction
    strategy: Strategy
    withhold_above: Fraction | None
    pots: tuple[PotRules, ...]
    raffle: RaffleRules | None = None


def _optional(number: Number | None) -> Fraction | None:
    return None if number is None else incoming(number)


def _percentage(tagged: Mapping[str, Any]) -> Fraction:
    if set(tagged) != {"Percentage"}:
        raise OutsideTheModelError(f"a share that is no Percentage: {dict(tagged)}")
    return incoming(tagged["Percentage"])


def _one_of(value: str, first: str, second: str) -> bool:
    """True for the first, False for the second."""
    if value not in (first, second):
        raise OutsideTheModelError(f"neither {first} nor {second}: {value}")
    return value == first


def _only(tagged: Mapping[str, Any]) -> tuple[str, Any]:
    ((tag, content),) = tagged.items()
    return tag, content


def _milliseconds(duration: Mapping[str, Any]) -> int:
    unit, number = _only(duration)
    length = incoming(number) * _MS_IN[unit]
    if length.denominator != 1 or length <= 0:
        raise OutsideTheModelError(f"not a whole number of milliseconds: {dict(duration)}")
    return length.numerator


def _read_community(payout: Mapping[str, Any] | None) -> tuple[CommunityRule, ...]:
    if payout is None:
        return ()
    found = []
    for kind, terms in map(_only, payout["strategies"]):
        if kind not in COMMUNITY_KINDS:
            raise OutsideTheModelError(f"community strategy {kind}")
        within = incoming(terms["within_hours"]) * _MS_IN["Hours"] if "within_hours" in terms else 0
        found.append(CommunityRule(kind, incoming(terms["share"]), terms["winners"], int(within)))
    if sum(rule.share for rule in found) != incoming(payout["share"]):
        raise ValueError("the strategies must share exactly what the community gets")
    return tuple(found)


def _read_criteria(criteria: Mapping[str, Any] | None) -> Criteria:
    listed = criteria or {}
    names = [listed.get(name) for name in ("segments", "currencies")]
    return Criteria(
        _optional(listed.get("min_base_wager")),
        *(None if each is None else frozenset(each) for each in names),
    )


def _read_points(
    pot_types: list[Mapping[str, Any]],
) -> tuple[tuple[HitRate, ...], tuple[HiddenValue, ...], tuple[HiddenTime, ...]]:
    hits, values, times = [], [], []
    for tag, terms in map(_only, pot_types):
        if tag == "HitRate":
            hits.append(
                HitRate(incoming(terms["max_magic_number"]), incoming(terms["cost_per_attempt"]))
            )
        elif tag == "Value":
            values.append(HiddenValue(incoming(terms["min"]), incoming(terms["max"])))
        elif tag == "Time":
            draws = _one_of(terms.get("fallback", "RollOver"), "DrawAmongContributors", "RollOver")
            times.append(
                HiddenTime(_milliseconds(terms["every"]), int(terms["window_start"]), draws)
            )
        else:
            raise OutsideTheModelError(f"tipping point {tag}")
    return tuple(hits), tuple(values), tuple(times)


def _read_pot(pot: Mapping[str, Any]) -> PotRules:
    seed = pot["seed_strategy"]
    hits, values, times = _read_points(pot["pot_types"])
    return PotRules(
        id=pot["id"],
        share=_percentage(pot["contribution"]),
        seed_share=_percentage(pot["seed_contribution"]),
        initial_seed=incoming(seed["initial_seed_value"]),
        min_reseed=incoming(seed["min_reseed_value"]),
        collects_always=_one_of(seed["fund_strategy"], "CollectAlways", "CollectToMinReseed"),
        reseeds_whole_reserve=_one_of(seed["reseed_strategy"], "WholeReserve", "Full"),
        opens_when_funded=seed.get("open_when_funded", False),
        is_progressive=pot["is_progressive"],
        cycles_max=pot.get("max_instantiation_count"),
        ceiling=_optional(pot.get("max_pot_value")),
        has_trigger=pot.get("supports_external_trigger", False),
        hit_rates=hits,
        hidden_values=values,
        hidden_times=times,
        criteria=_read_criteria(pot.get("criteria")),
        community=_read_community(pot.get("community_payout")),
    )


def _read_raffle(template: Mapping[str, Any]) -> RaffleRules | None:
    raffle = template.get("raffle")
    is_raffle = not _one_of(template.get("jackpot_type", "Jackpot"), "Jackpot", "Raffle")
    if is_raffle != (raffle is not None):
        raise OutsideTheModelError("a raffle without its rules, or rules of a raffle that is none")
    if raffle is None:
        return None
    ticket, duration = raffle["ticket"], raffle.get("duration")
    return RaffleRules(
        duration_ms=None if duration is None else _milliseconds(duration),
        cost=incoming(ticket["cost"]),
        by_wager=_one_of(ticket["metric"], "BaseWager", "Contribution"),
        accumulates=ticket.get("accumulate", True),
        prizes=tuple(
            PrizeTier(prize["count"], _optional(prize.get("amount")), _optional(prize.get("share")))
            for prize in raffle["prizes"]
        ),
        one_prize_per_player=raffle.get("one_prize_per_player", True),
    )


def read_rules(template: Mapping[str, Any]) -> Rules:
    """The rules of a template; raises OutsideTheModelError rather than ignore one."""
    rules = template["contribution_rules"]
    kind, terms = _only(rules["contribution_type"])
    if kind not in ("Fixed", "Percentage", "Variable"):
        raise OutsideTheModelError(f"contribution type {kind}")
    listed = rules.get("currency_values") or {}
    pots = tuple(_read_pot(pot) for pot in template["pots"])
    house_share = _percentage(template["house_hold_contribution"])
    if house_share + sum(pot.share for pot in pots) != 1:
        raise ValueError("house and pots must share exactly 1")
    return Rules(
        currency=template["currency"],
        percentage=incoming(terms) if kind == "Percentage" else None,
        terms=Values.read(terms if kind == "Variable" else {"default": terms}),
        is_variable=kind == "Variable",
        currency_values={currency: Values.read(values) for currency, values in listed.items()},
        operator_share=incoming(rules.get("operator_contribution_percentage", 0)),
        house_share=house_share,
        strategy=template["win_selector_strategy"],
        withhold_above=_optional(template.get("withhold_wins_above")),
        pots=pots,
        raffle=_read_raffle(template),
    )
