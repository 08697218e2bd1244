"""The template as an operator writes it (contract §9), and its compilation to the core's rules.

Unknown fields are refused with their path: a template that is accepted behaves as it says. Where the shape of a part
depends on its tag, the tag is looked at first, and the part decoded then.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from jackpotd.core import rules as core
from jackpotd.core.money import decimal_text
from jackpotd.core.problems import Problem, problems
from jackpotd.wire.codec import NULL, IncomingAmount, decode_part, decoder, encode
from jackpotd.wire.durations import UNIT_MS, duration_ms
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.gateway_messages import END, PLAIN_ID, BrandPath, Currency
from jackpotd.wire.raffle import raffle_rules

Key = Annotated[str, Meta(min_length=1, max_length=128)]
OwnerPath = Annotated[
    str,
    Meta(
        pattern=f"^{PLAIN_ID}(:{PLAIN_ID})?{END}",
        description="operator, or operator:brand",
    ),
]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bodies of the admin listener refuse unknown fields."""


class Percent(Strict, frozen=True):
    Percentage: IncomingAmount


class RangeDoc(Strict, frozen=True):
    min: IncomingAmount
    max: IncomingAmount
    default: IncomingAmount


class ContributionRulesDoc(Strict, frozen=True):
    opt_in_required: bool
    # One of Fixed, Percentage, Variable.
    contribution_type: dict[str, Raw]
    currency_values: dict[Currency, Raw] | None = None
    operator_contribution_percentage: IncomingAmount | None = None


class SeedStrategyDoc(Strict, frozen=True):
    initial_seed_value: IncomingAmount
    min_reseed_value: IncomingAmount
    fund_strategy: Literal["CollectToMinReseed", "CollectAlways"] = "CollectToMinReseed"
    reseed_strategy: Literal["Full", "WholeReserve"] = "Full"
    open_when_funded: bool = False


class HitRateDoc(Strict, frozen=True):
    max_magic_number: int
    cost_per_attempt: IncomingAmount


class ValueDoc(Strict, frozen=True):
    min: IncomingAmount
    max: IncomingAmount


class TimeDoc(Strict, frozen=True):
    # One of the units.
    every: dict[str, Raw]
    fallback: Literal["RollOver", "DrawAmongContributors"]
    window_start: int = 0


class CriteriaDoc(Strict, frozen=True):
    min_base_wager: IncomingAmount | None = None
    segments: list[str] | None = None
    currencies: list[Currency] | None = None


class BoardDoc(Strict, frozen=True):
    share: IncomingAmount
    winners: int


class ActivePlayersDoc(BoardDoc, frozen=True):
    within_hours: int


class CommunityDoc(Strict, frozen=True):
    share: IncomingAmount
    strategies: list[dict[str, Raw]]


class PotDoc(Strict, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    contribution: Percent
    seed_contribution: Percent
    seed_strategy: SeedStrategyDoc
    pot_types: list[dict[str, Raw]]
    is_progressive: bool = True
    max_instantiation_count: int | None = None
    max_pot_value: IncomingAmount | None = None
    supports_external_trigger: bool = False
    # Decoded late: documents of the first versions may hold anything here, as long as it is null.
    criteria: dict[str, Raw] | None = None
    community_payout: CommunityDoc | None = None


class TemplateDoc(Strict, frozen=True):
    """`POST /templates`."""

    name: Annotated[str, Meta(max_length=256)]
    owner_id: OwnerPath
    currency: Currency
    contribution_rules: ContributionRulesDoc
    house_hold_contribution: Percent
    pots: list[PotDoc]
    id: Key | None = None
    jackpot_type: str = "Jackpot"
    allowed_brands: list[BrandPath] | None = None
    allowed_countries: list[str] | None = None
    blocked_countries: list[str] | None = None
    allowed_segments: list[str] | None = None
    allowed_verticals: list[str] | None = None
    win_selector_strategy: Literal["Highest", "Lowest", "All"] = "Highest"
    withhold_wins_above: IncomingAmount | None = None
    # Decoded late, as it is there for raffles alone.
    raffle: dict[str, Raw] | None = None


DECODER = decoder(TemplateDoc)
JACKPOT_TYPES = ("Jackpot", "Raffle")
_VALUES = "$.contribution_rules.currency_values"


def compile_rules(doc: TemplateDoc, brands: list[str]) -> core.Rules:
    """The rules that a template says, checked whole.

    Args:
        doc: the decoded template.
        brands: what `allowed_brands` means when the template leaves it out: every brand of the owner.

    Raises:
        RequestRefused: a value that cannot be, a relation that does not hold, or a feature that this version lacks.
    """
    rules = rules_in(doc, brands)
    found = problems_of(doc, rules)
    if found:
        text = "; ".join(f"{problem.path} {problem.message}" for problem in found)
        raise RequestRefused("INVALID_REQUEST", text)
    return rules


def problems_of(doc: TemplateDoc, rules: core.Rules) -> list[Problem]:
    """All that does not hold in a template whose rules could be read."""
    written = [[kind for tagged in pot.pot_types for kind in tagged] for pot in doc.pots]
    return [*_document_problems(doc), *problems(rules, written)]


def rules_in(doc: TemplateDoc, brands: list[str]) -> core.Rules:
    """The rules of a template that was checked when it was written, maybe by a version that asked for less.

    Args:
        doc: the decoded template.
        brands: as for `compile_rules`.

    Raises:
        RequestRefused: a value that cannot be, or a feature that this version lacks.
    """
    if doc.jackpot_type not in JACKPOT_TYPES:
        raise invalid("$.jackpot_type", f"is none of {', '.join(JACKPOT_TYPES)}")
    return core.rules_of(
        currency=doc.currency,
        allowed_brands=frozenset(brands if doc.allowed_brands is None else doc.allowed_brands),
        allowed_countries=_optional_set(doc.allowed_countries),
        blocked_countries=frozenset(doc.blocked_countries or ()),
        allowed_segments=_optional_set(doc.allowed_segments),
        allowed_verticals=_optional_set(doc.allowed_verticals),
        opt_in_required=doc.contribution_rules.opt_in_required,
        contribution=_contribution(doc.contribution_rules.contribution_type),
        currency_values={
            code: _range(decode_part(RangeDoc, value, f"{_VALUES}.{code}"))
            for code, value in (doc.contribution_rules.currency_values or {}).items()
        },
        operator_share=_optional_units(doc.contribution_rules.operator_contribution_percentage)
        or 0,
        house_share=doc.house_hold_contribution.Percentage.units,
        win_selector=core.WinSelector(doc.win_selector_strategy),
        withhold_above=_optional_units(doc.withhold_wins_above),
        raffle=None if doc.raffle is None else raffle_rules(Raw(encode(doc.raffle))),
        pots=tuple(_pot(pot, f"$.pots[{index}]") for index, pot in enumerate(doc.pots)),
    )


def _document_problems(doc: TemplateDoc) -> Iterator[Problem]:
    """What must hold in the document and is not seen in the rules any more."""
    if doc.jackpot_type == "Raffle" and doc.raffle is None:
        yield Problem("$.raffle", "is needed: this is a raffle")
    if doc.jackpot_type != "Raffle" and doc.raffle is not None:
        yield Problem("$.raffle", "is for raffles: jackpot_type is Jackpot")
    for index, pot in enumerate(doc.pots):
        path = f"$.pots[{index}]"
        for name in sorted(set(pot.criteria or ()) - set(CriteriaDoc.__struct_fields__)):
            yield Problem(f"{path}.criteria.{name}", "is unknown")
        community = pot.community_payout
        if community is None:
            continue
        path = f"{path}.community_payout"
        shares = [
            _strategy(each, f"{path}.strategies[{at}]").share
            for at, each in enumerate(community.strategies)
        ]
        if not shares:
            yield Problem(f"{path}.strategies", "needs at least one strategy")
        elif sum(shares) != community.share.units:
            total = decimal_text(sum(shares))
            yield Problem(f"{path}.share", f"is not what its strategies add up to: {total}")


def _optional_set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _optional_units(value: IncomingAmount | None) -> int | None:
    return None if value is None else value.units


def _tagged(value: dict[str, Raw], path: str) -> tuple[str, Raw]:
    if len(value) != 1:
        raise invalid(path, "must hold exactly one variant")
    return next(iter(value.items()))


def _contribution(value: dict[str, Raw]) -> core.Fixed | core.Percentage | core.Variable:
    base = "$.contribution_rules.contribution_type"
    kind, content = _tagged(value, base)
    path = f"{base}.{kind}"
    match kind:
        case "Fixed":
            return core.Fixed(decode_part(IncomingAmount, content, path).units)
        case "Percentage":
            return core.Percentage(decode_part(IncomingAmount, content, path).units)
        case "Variable":
            return core.Variable(_range(decode_part(RangeDoc, content, path)))
        case _:
            raise invalid(path, "is none of Fixed, Percentage, Variable")


def _range(value: RangeDoc) -> core.ValueRange:
    return core.ValueRange(
        minimum=value.min.units, maximum=value.max.units, default=value.default.units
    )


def _pot(pot: PotDoc, path: str) -> core.PotRules:
    seed = pot.seed_strategy
    points = [_point(each, f"{path}.pot_types[{at}]") for at, each in enumerate(pot.pot_types)]
    community = () if pot.community_payout is None else pot.community_payout.strategies
    return core.PotRules(
        id=pot.id,
        is_progressive=pot.is_progressive,
        share=pot.contribution.Percentage.units,
        seed_share=pot.seed_contribution.Percentage.units,
        initial_seed=seed.initial_seed_value.units,
        min_reseed=seed.min_reseed_value.units,
        fund_strategy=core.FundStrategy(seed.fund_strategy),
        reseed_strategy=core.ReseedStrategy(seed.reseed_strategy),
        cycles_max=pot.max_instantiation_count,
        hit_rates=tuple(each for each in points if isinstance(each, core.HitRate)),
        hidden_values=tuple(each for each in points if isinstance(each, core.HiddenValue)),
        hidden_times=tuple(each for each in points if isinstance(each, core.HiddenTime)),
        value_max=_optional_units(pot.max_pot_value),
        opens_when_funded=seed.open_when_funded,
        has_trigger=pot.supports_external_trigger,
        criteria=_criteria(pot.criteria or {}, f"{path}.criteria"),
        community=tuple(
            _strategy(each, f"{path}.community_payout.strategies[{at}]")
            for at, each in enumerate(community)
        ),
    )


def _point(value: dict[str, Raw], path: str) -> core.HitRate | core.HiddenValue | core.HiddenTime:
    kind, content = _tagged(value, path)
    path = f"{path}.{kind}"
    match kind:
        case "HitRate":
            hit_rate = decode_part(HitRateDoc, content, path)
            return core.HitRate(
                outcomes=hit_rate.max_magic_number, cost_units=hit_rate.cost_per_attempt.units
            )
        case "Value":
            value_doc = decode_part(ValueDoc, content, path)
            return core.HiddenValue(low=value_doc.min.units, high=value_doc.max.units)
        case "Time":
            time_doc = decode_part(TimeDoc, content, path)
            return core.HiddenTime(
                every_ms=duration_ms(time_doc.every, f"{path}.every"),
                start_ms=time_doc.window_start,
                fallback=core.Fallback(time_doc.fallback),
            )
        case _:
            raise invalid(path, "is none of HitRate, Value, Time")


def _criteria(value: dict[str, Raw], path: str) -> core.Criteria | None:
    asked = {name: content for name, content in value.items() if content != NULL}
    if not asked:
        return None
    doc = decode_part(CriteriaDoc, Raw(encode(asked)), path)
    return core.Criteria(
        wager_min=_optional_units(doc.min_base_wager),
        segments=_optional_set(doc.segments),
        currencies=_optional_set(doc.currencies),
    )


def _strategy(value: dict[str, Raw], path: str) -> core.CommunityStrategy:
    name, content = _tagged(value, path)
    path = f"{path}.{name}"
    try:
        kind = core.CommunityKind(name)
    except ValueError:
        raise invalid(path, f"is none of {', '.join(core.CommunityKind)}") from None
    within_ms = 0
    if kind is core.CommunityKind.ACTIVE_PLAYERS:
        active = decode_part(ActivePlayersDoc, content, path)
        doc: BoardDoc = active
        within_ms = active.within_hours * UNIT_MS["Hours"]
    else:
        doc = decode_part(BoardDoc, content, path)
    return core.CommunityStrategy(
        kind=kind, share=doc.share.units, winners=doc.winners, within_ms=within_ms
    )
