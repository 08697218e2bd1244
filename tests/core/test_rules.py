"""Relations between fields of a template: each one broken alone is found, at its path."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core.rules import (
    HIT_RATE_MAX,
    HIT_RATES_MAX,
    POTS_MAX,
    WHOLE,
    Fixed,
    FundStrategy,
    HitRate,
    Percentage,
    PotRules,
    ReseedStrategy,
    Rules,
    ValueRange,
    Variable,
    WinSelector,
    problems,
)
from jackpotd.testing.templates import compiled, random_template

POT = PotRules(
    id="a",
    is_progressive=True,
    share=WHOLE // 2,
    seed_share=WHOLE,
    initial_seed=0,
    min_reseed=0,
    fund_strategy=FundStrategy.COLLECT_ALWAYS,
    reseed_strategy=ReseedStrategy.FULL,
    cycles_max=None,
    hit_rates=(HitRate(outcomes=1, cost_units=1),),
)
RULES = Rules(
    currency="EUR",
    allowed_brands=frozenset({"op:a"}),
    allowed_countries=None,
    blocked_countries=frozenset(),
    allowed_segments=None,
    allowed_verticals=None,
    opt_in_required=False,
    contribution=Fixed(0),
    currency_values={},
    operator_share=0,
    house_share=WHOLE // 2,
    win_selector=WinSelector.ALL,
    pots=(POT,),
)
CONTRIBUTION = "$.contribution_rules"
HIT = "$.pots[0].pot_types[0].HitRate"


def broken(**changes: Any) -> Rules:
    return replace(RULES, **changes)


def broken_pot(**changes: Any) -> Rules:
    return replace(RULES, pots=(replace(POT, **changes),))


def broken_hit(outcomes: int, cost: int, **changes: Any) -> Rules:
    return replace(broken_pot(hit_rates=(HitRate(outcomes, cost),)), **changes)


def out_of_order(low: int, high: int, default: int) -> ValueRange:
    return ValueRange(minimum=low, maximum=high, default=default)


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        (broken(house_share=WHOLE // 2 + 1), "$.house_hold_contribution"),
        (broken(house_share=WHOLE // 2 - 1), "$.house_hold_contribution"),
        (broken(operator_share=-1), f"{CONTRIBUTION}.operator_contribution_percentage"),
        (broken(operator_share=WHOLE + 1), f"{CONTRIBUTION}.operator_contribution_percentage"),
        (broken_pot(seed_share=WHOLE + 1), "$.pots[0].seed_contribution.Percentage"),
        (broken_pot(seed_share=-1), "$.pots[0].seed_contribution.Percentage"),
        (broken(contribution=Fixed(-1)), f"{CONTRIBUTION}.contribution_type.Fixed"),
        (broken(contribution=Percentage(-1)), f"{CONTRIBUTION}.contribution_type.Percentage"),
        (
            broken(contribution=Percentage(WHOLE + 1)),
            f"{CONTRIBUTION}.contribution_type.Percentage",
        ),
        (
            broken(contribution=Variable(out_of_order(2, 1, 1))),
            f"{CONTRIBUTION}.contribution_type.Variable",
        ),
        (
            broken(contribution=Variable(out_of_order(1, 3, 4))),
            f"{CONTRIBUTION}.contribution_type.Variable",
        ),
        (
            broken(contribution=Variable(out_of_order(-1, 3, 1))),
            f"{CONTRIBUTION}.contribution_type.Variable",
        ),
        (
            broken(currency_values={"JPY": out_of_order(1, 2, 0)}),
            f"{CONTRIBUTION}.currency_values.JPY",
        ),
        (broken(house_share=WHOLE, pots=()), "$.pots"),
        (broken_pot(id=""), "$.pots[0].id"),
        (broken_pot(initial_seed=-1), "$.pots[0].seed_strategy.initial_seed_value"),
        (broken_pot(min_reseed=-1), "$.pots[0].seed_strategy.min_reseed_value"),
        (broken_pot(cycles_max=0), "$.pots[0].max_instantiation_count"),
        (broken_pot(hit_rates=()), "$.pots[0].pot_types"),
        (broken_pot(hit_rates=POT.hit_rates * (HIT_RATES_MAX + 1)), "$.pots[0].pot_types"),
        (broken_hit(0, 1), f"{HIT}.max_magic_number"),
        (broken_hit(HIT_RATE_MAX + 1, 1), f"{HIT}.max_magic_number"),
        (broken_hit(1, -1), f"{HIT}.cost_per_attempt"),
        (broken_hit(1, 0), f"{HIT}.cost_per_attempt"),
        (broken_hit(1, 0, operator_share=WHOLE - 1), f"{HIT}.cost_per_attempt"),
    ],
)
def test_rules_with_one_broken_relation_name_its_path(rules: Rules, path: str) -> None:
    """One thing wrong, one problem, at the field to mend."""
    assert [path] == [problem.path for problem in problems(rules)]


@pytest.mark.parametrize(
    "rules",
    [
        RULES,
        broken(operator_share=WHOLE),
        broken_hit(HIT_RATE_MAX, 1),
        broken_hit(1, 0, operator_share=WHOLE),
        broken(contribution=Percentage(WHOLE)),
        broken(contribution=Variable(out_of_order(0, 0, 0))),
        broken(currency_values={"JPY": out_of_order(1, 3, 2)}),
        broken(currency_values={"EUR": out_of_order(0, 2, 1)}),
        broken_pot(cycles_max=1, hit_rates=POT.hit_rates * HIT_RATES_MAX),
        broken(
            house_share=0,
            pots=tuple(replace(POT, id=str(at), share=WHOLE // POTS_MAX) for at in range(POTS_MAX)),
        ),
    ],
)
def test_rules_at_the_edge_of_what_is_allowed_have_no_problem(rules: Rules) -> None:
    """Every bound is itself allowed."""
    assert [] == problems(rules)


def test_rules_with_two_pots_of_one_id_or_too_many_pots_are_refused() -> None:
    """Pots are told apart by their ids, and there is a limit on them."""
    twice = broken(house_share=0, pots=(POT, POT))
    many = tuple(replace(POT, id=str(at), share=0) for at in range(POTS_MAX))

    assert ["$.pots[1].id"] == [problem.path for problem in problems(twice)]
    found = problems(broken(pots=(POT, *many)))
    assert ["$.pots"] == [problem.path for problem in found]


def test_rules_with_everything_broken_name_everything() -> None:
    """A person mends a template in one go: all problems come at once."""
    rules = replace(
        broken_hit(0, -1),
        house_share=-1,
        operator_share=-1,
        contribution=Fixed(-1),
        currency_values={"EUR": out_of_order(2, 1, 0)},
    )

    assert len({problem.path for problem in problems(rules)}) >= 7


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.integers(0, 2**48))
def test_rules_of_random_templates_can_be_published(seed: int) -> None:
    """The generator of these tests makes templates that the server accepts, with a draw for each tipping point."""
    rules = compiled(random_template(random.Random(seed)))

    assert [] == problems(rules)
    assert rules.draws_needed == sum(len(pot.hit_rates) for pot in rules.pots)
