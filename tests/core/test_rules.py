"""Compiled rules: what follows from them for the whole instance, and the random templates of these tests."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core.problems import problems
from jackpotd.core.rules import (
    CommunityKind,
    CommunityStrategy,
    Criteria,
    Fallback,
    Fixed,
    HiddenTime,
    HiddenValue,
    Rules,
    WinSelector,
    rules_of,
)
from jackpotd.testing.templates import EVERYTHING, Feature, Json, compiled, random_template

HOUR_MS = 3_600_000
ACTIVE = CommunityKind.ACTIVE_PLAYERS
PER_WIN = CommunityKind.HIGHEST_CONTRIBUTION_PER_WIN
LIFETIME = CommunityKind.HIGHEST_LIFETIME_CONTRIBUTOR
ci = settings(derandomize=True, deadline=None, max_examples=200)


FIELDS: dict[str, Any] = {
    "currency": "EUR",
    "allowed_brands": frozenset({"op:a"}),
    "allowed_countries": None,
    "blocked_countries": frozenset(),
    "allowed_segments": None,
    "allowed_verticals": None,
    "opt_in_required": False,
    "contribution": Fixed(10_000_000),
    "currency_values": {},
    "operator_share": 0,
    "house_share": 0,
    "win_selector": WinSelector.HIGHEST,
}


def with_pots(*changes: dict[str, Any]) -> Rules:
    """Rules whose pots are copies of one plain pot, each with its changes."""
    plain = compiled(random_template(random.Random(1))).pots[0]
    pots = tuple(replace(plain, id=str(at), **change) for at, change in enumerate(changes))
    return rules_of(pots=pots, **FIELDS)


def strategy(kind: CommunityKind, winners: int = 1, hours: int = 0) -> CommunityStrategy:
    return CommunityStrategy(kind=kind, share=10**7, winners=winners, within_ms=hours * HOUR_MS)


def test_rules_of_plain_pots_use_nothing_rare() -> None:
    """Hit rates alone: no boards, no windows, no crowd."""
    rules = with_pots({}, {})

    assert rules.is_plain
    assert not rules.has_community
    assert not rules.has_times
    assert (rules.leaders_kept, rules.lifetime_leaders_kept, rules.active_ms) == ((0, 0), 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_values": (HiddenValue(1, 2),)},
        {"hidden_times": (HiddenTime(60_000, 0, Fallback.ROLL_OVER),)},
        {"opens_when_funded": True},
        {"criteria": Criteria(1, None, None)},
        {"community": (strategy(ACTIVE, hours=1),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_rules_with_one_rare_pot_are_not_plain(change: dict[str, Any]) -> None:
    """One pot is enough."""
    assert not with_pots({}, change).is_plain


def test_rules_keep_as_many_leaders_as_a_win_may_pick() -> None:
    """A board holds one more than all community winners of the pot, because the winner may stand on it."""
    rules = with_pots(
        {"community": (strategy(PER_WIN, 5), strategy(ACTIVE, 10, hours=24))},
        {"community": (strategy(LIFETIME, 3), strategy(LIFETIME, 4), strategy(ACTIVE, 1, 2))},
        {},
    )

    assert rules.leaders_kept == (16, 0, 0)
    assert rules.lifetime_leaders_kept == 9
    assert rules.active_ms == 24 * HOUR_MS
    assert rules.has_community


@ci
@given(st.integers(0, 2**48))
def test_rules_of_plain_random_templates_can_be_published(seed: int) -> None:
    """Without features the generator makes plain pots that the server accepts."""
    rules = compiled(random_template(random.Random(seed)))

    assert [] == problems(rules)
    assert rules.is_plain
    assert all(pot.hit_rates and not pot.has_trigger for pot in rules.pots)


@ci
@given(st.integers(0, 2**48), st.frozensets(st.sampled_from(Feature)))
def test_rules_of_random_templates_with_features_can_be_published(
    seed: int, features: frozenset[Feature]
) -> None:
    """Whatever is switched on, the template is one that the server accepts."""
    assert [] == problems(compiled(random_template(random.Random(seed), features=features)))


def used(template: Json, rules: Rules) -> set[Feature]:
    """The features that a template uses."""
    found = {
        Feature.WITHHOLD: rules.withhold_above is not None,
        Feature.ZERO: least(template) == "0",
        Feature.VALUE: any(pot.hidden_values for pot in rules.pots),
        Feature.TIME: rules.has_times,
        Feature.DRAW: any(
            point.fallback is Fallback.DRAW_AMONG_CONTRIBUTORS
            for pot in rules.pots
            for point in pot.hidden_times
        ),
        Feature.CEILING: any(pot.value_max is not None for pot in rules.pots),
        Feature.FUNDED: any(pot.opens_when_funded for pot in rules.pots),
        Feature.TRIGGER: any(pot.has_trigger for pot in rules.pots),
        Feature.CRITERIA: any(pot.criteria for pot in rules.pots),
        Feature.COMMUNITY: rules.has_community,
    }
    return {feature for feature, is_used in found.items() if is_used}


def least(template: Json) -> str:
    """The least contribution that a template states, where it states one."""
    kind = template["contribution_rules"]["contribution_type"]
    variable = kind.get("Variable")
    return str(variable["min"] if variable else kind.get("Fixed", ""))


def test_random_templates_use_every_feature_often_and_only_where_it_is_switched_on() -> None:
    """The generator is worth something: each feature in at least one of fifty templates."""
    count = dict.fromkeys(Feature, 0)
    for seed in range(500):
        template = random_template(random.Random(seed), features=EVERYTHING)
        for feature in used(template, compiled(template)):
            count[feature] += 1
        template = random_template(random.Random(seed))
        assert set() == used(template, compiled(template))

    assert all(times >= 10 for times in count.values()), count


def test_random_templates_of_a_seed_are_the_same_whatever_features_exist() -> None:
    """The plain part of a template does not depend on the features."""
    for seed in range(50):
        once = random_template(random.Random(seed))
        again = random_template(random.Random(seed), features=(Feature.CEILING,))
        for pot in again["pots"]:
            pot.pop("max_pot_value", None)
            pot["pot_types"].sort(key=str)
        for pot in once["pots"]:
            pot["pot_types"].sort(key=str)
        assert once == again


def test_rules_of_random_templates_have_pots_of_several_kinds() -> None:
    """Pots of different kinds stand beside each other, and several kinds on one pot."""
    mixed = 0
    for seed in range(200):
        pots = compiled(random_template(random.Random(seed), features=EVERYTHING)).pots
        mixed += any(pot.hit_rates and pot.hidden_values and pot.hidden_times for pot in pots)

    assert mixed >= 5
