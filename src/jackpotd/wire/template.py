"""The template as an operator writes it (contract §9), and its compilation to the core's rules.

Unknown fields are refused with their path. So is every feature of the contract that this version does not have: a
template that is accepted behaves as it says.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from jackpotd.core import rules as core
from jackpotd.wire.codec import units
from jackpotd.wire.errors import RequestRefused, invalid
from jackpotd.wire.gateway_messages import BrandPath, Currency

Key = Annotated[str, Meta(min_length=1, max_length=128)]
OwnerPath = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.\-]{1,64}(:[A-Za-z0-9_.\-]{1,64})?$",
        description="operator, or operator:brand",
    ),
]


class Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bodies of the admin listener refuse unknown fields."""


class FixedDoc(Strict, frozen=True):
    Fixed: Decimal


class Percent(Strict, frozen=True):
    Percentage: Decimal


class RangeDoc(Strict, frozen=True):
    min: Decimal
    max: Decimal
    default: Decimal


class VariableDoc(Strict, frozen=True):
    Variable: RangeDoc


class ContributionRulesDoc(Strict, frozen=True):
    opt_in_required: bool
    # One of Fixed, Percentage, Variable: externally tagged, so the tag is looked at before the shape.
    contribution_type: dict[str, Raw]
    currency_values: dict[Currency, RangeDoc] | None = None
    operator_contribution_percentage: Decimal = Decimal(0)


class SeedStrategyDoc(Strict, frozen=True):
    initial_seed_value: Decimal
    min_reseed_value: Decimal
    fund_strategy: Literal["CollectToMinReseed", "CollectAlways"] = "CollectToMinReseed"
    reseed_strategy: Literal["Full", "WholeReserve"] = "Full"
    open_when_funded: bool = False


class HitRateDoc(Strict, frozen=True):
    max_magic_number: int
    cost_per_attempt: Decimal


class PotDoc(Strict, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=64)]
    contribution: Percent
    seed_contribution: Percent
    seed_strategy: SeedStrategyDoc
    pot_types: list[dict[str, Raw]]
    is_progressive: bool = True
    max_instantiation_count: int | None = None
    max_pot_value: Decimal | None = None
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
    withhold_wins_above: Decimal | None = None
    raffle: dict[str, Any] | None = None


DECODER = msgspec.json.Decoder(TemplateDoc)


def compile_rules(doc: TemplateDoc, brands: list[str]) -> core.Rules:
    """The rules that a template says.

    Args:
        doc: the decoded template.
        brands: what `allowed_brands` means when the template leaves it out: every brand of the owner.

    Raises:
        RequestRefused: a value that cannot be, a relation that does not hold, or a feature that this version lacks.
    """
    _refuse_unavailable(doc)
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
            code: _range(value, f"$.contribution_rules.currency_values.{code}")
            for code, value in (doc.contribution_rules.currency_values or {}).items()
        },
        operator_share=units(
            doc.contribution_rules.operator_contribution_percentage,
            "$.contribution_rules.operator_contribution_percentage",
        ),
        house_share=units(
            doc.house_hold_contribution.Percentage, "$.house_hold_contribution.Percentage"
        ),
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


def _convert(value: Raw, kind: Any, path: str) -> Any:
    try:
        return msgspec.json.decode(value, type=kind)
    except msgspec.ValidationError as error:
        # msgspec counts paths from the value; the client's start at the body.
        message, _, at = str(error).partition(" - at `$")
        raise invalid(f"{path}{at.rstrip('`')}", message) from None


def _contribution(value: dict[str, Raw]) -> core.Fixed | core.Percentage | core.Variable:
    base = "$.contribution_rules.contribution_type"
    kind, content = _tagged(value, base)
    path = f"{base}.{kind}"
    match kind:
        case "Fixed":
            return core.Fixed(units(_convert(content, Decimal, path), path))
        case "Percentage":
            return core.Percentage(units(_convert(content, Decimal, path), path))
        case "Variable":
            return core.Variable(_range(_convert(content, RangeDoc, path), path))
        case _:
            raise invalid(path, "is none of Fixed, Percentage, Variable")


def _range(value: RangeDoc, path: str) -> core.ValueRange:
    return core.ValueRange(
        minimum=units(value.min, f"{path}.min"),
        maximum=units(value.max, f"{path}.max"),
        default=units(value.default, f"{path}.default"),
    )


def _pot(pot: PotDoc, path: str) -> core.PotRules:
    seed = pot.seed_strategy
    return core.PotRules(
        id=pot.id,
        is_progressive=pot.is_progressive,
        share=units(pot.contribution.Percentage, f"{path}.contribution.Percentage"),
        seed_share=units(pot.seed_contribution.Percentage, f"{path}.seed_contribution.Percentage"),
        initial_seed=units(seed.initial_seed_value, f"{path}.seed_strategy.initial_seed_value"),
        min_reseed=units(seed.min_reseed_value, f"{path}.seed_strategy.min_reseed_value"),
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
    doc: HitRateDoc = _convert(content, HitRateDoc, f"{path}.HitRate")
    return core.HitRate(
        outcomes=doc.max_magic_number,
        cost_units=units(doc.cost_per_attempt, f"{path}.HitRate.cost_per_attempt"),
    )
