"""The template as an operator writes it (contract §9), and its compilation to the core's rules.

Unknown fields are refused with their path. So is every feature of the contract that this version does not have: a
template that is accepted behaves as it says.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from jackpotd.core import rules as core
from jackpotd.wire.codec import IncomingAmount, decode_part, decoder
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.gateway_messages import END, PLAIN_ID, BrandPath, Currency

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


class FixedDoc(Strict, frozen=True):
    Fixed: IncomingAmount


class Percent(Strict, frozen=True):
    Percentage: IncomingAmount


class RangeDoc(Strict, frozen=True):
    min: IncomingAmount
    max: IncomingAmount
    default: IncomingAmount


class VariableDoc(Strict, frozen=True):
    Variable: RangeDoc


class ContributionRulesDoc(Strict, frozen=True):
    opt_in_required: bool
    # One of Fixed, Percentage, Variable: externally tagged, so the tag is looked at before the shape.
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
    criteria: dict[str, Any] | None = None
    community_payout: dict[str, Any] | None = None


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
    raffle: dict[str, Any] | None = None


DECODER = decoder(TemplateDoc)
_VALUES = "$.contribution_rules.currency_values"


def compile_rules(doc: TemplateDoc, brands: list[str]) -> core.Rules:
    """The rules that a template says.

    Args:
        doc: the decoded template.
        brands: what `allowed_brands` means when the template leaves it out: every brand of the owner.

    Raises:
        RequestRefused: a value that cannot be, a relation that does not hold, or a feature that this version lacks.
    """
    _refuse_unavailable(doc)
    operator_share = doc.contribution_rules.operator_contribution_percentage
    rules = core.Rules(
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
        operator_share=0 if operator_share is None else operator_share.units,
        house_share=doc.house_hold_contribution.Percentage.units,
        win_selector=core.WinSelector(doc.win_selector_strategy),
        pots=tuple(_pot(pot, f"$.pots[{index}]") for index, pot in enumerate(doc.pots)),
    )
    found = core.problems(rules)
    if found:
        text = "; ".join(f"{problem.path} {problem.message}" for problem in found)
        raise RequestRefused("INVALID_REQUEST", text)
    return rules


def _optional_set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _refuse_unavailable(doc: TemplateDoc) -> None:
    wanted = {
        "$.jackpot_type": doc.jackpot_type != "Jackpot",
        "$.raffle": doc.raffle is not None,
        "$.withhold_wins_above": doc.withhold_wins_above is not None,
    }
    for index, pot in enumerate(doc.pots):
        path = f"$.pots[{index}]"
        wanted |= {
            f"{path}.max_pot_value": pot.max_pot_value is not None,
            f"{path}.supports_external_trigger": pot.supports_external_trigger,
            f"{path}.criteria": any(v is not None for v in (pot.criteria or {}).values()),
            f"{path}.community_payout": pot.community_payout is not None,
            f"{path}.seed_strategy.open_when_funded": pot.seed_strategy.open_when_funded,
        }
    for path, is_wanted in wanted.items():
        if is_wanted:
            raise invalid(path, "asks for a feature that this version does not have")


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
        hit_rates=tuple(
            _hit_rate(value, f"{path}.pot_types[{at}]") for at, value in enumerate(pot.pot_types)
        ),
    )


def _hit_rate(value: dict[str, Raw], path: str) -> core.HitRate:
    kind, content = _tagged(value, path)
    if kind in ("Value", "Time"):
        raise invalid(f"{path}.{kind}", "asks for a feature that this version does not have")
    if kind != "HitRate":
        raise invalid(f"{path}.{kind}", "is none of HitRate, Value, Time")
    doc = decode_part(HitRateDoc, content, f"{path}.HitRate")
    return core.HitRate(outcomes=doc.max_magic_number, cost_units=doc.cost_per_attempt.units)
