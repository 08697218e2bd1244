"""Populations: what can be stated, what is refused with which words, and what arrives."""

import math
from collections.abc import Callable
from itertools import pairwise
from random import Random
from statistics import fmean, pstdev
from typing import Any

import pytest

from jackpotd.core.money import SCALE
from jackpotd.core.rules import Rules
from jackpotd.simulation import population, stakes
from jackpotd.simulation.arrivals import Arrivals
from jackpotd.simulation.population import PopulationError
from jackpotd.simulation.stakes import StakesError

Json = dict[str, Any]
Make = Callable[..., Json]
MakeRules = Callable[[Json], Rules]

COMMUNITY = {
    "share": 0.1,
    "strategies": [{"HighestLifetimeContributor": {"share": 0.1, "winners": 1}}],
}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("much", "'much' is not a number"),
        ("-1", "'-1' must not be negative"),
        ("NaN", "'NaN' must be a finite number"),
        ("uniform:5:1", "uniform needs LOW < HIGH"),
        ("uniform:5", "is none of NUMBER, uniform:LOW:HIGH"),
        ("normal:1:2", "'normal:1:2' is none of NUMBER"),
        ("lognormal:0:1", "lognormal needs a median above 0"),
        ("lognormal:1:9", "lognormal needs a sigma of at most 5"),
        ("lognormal:2:1:1", "a highest wager that is not below the median"),
        ("choice:1,2", "choice needs VALUE=WEIGHT,VALUE=WEIGHT,…"),
        ("choice:1=0,2=1", "'0' must be above 0"),
    ],
)
def test_stakes_that_cannot_be(text: str, problem: str) -> None:
    """The message says what is wrong with which part."""
    with pytest.raises(StakesError) as refused:
        stakes.parse(text)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("text", "mean", "deviation"),
    [
        ("2.5", 2.5, 0.0),
        ("uniform:1:3", 2.0, 2 / math.sqrt(12)),
        ("choice:1=3,5=1", 2.0, math.sqrt(3)),
        ("lognormal:1:0.5", math.exp(0.125), math.sqrt(math.expm1(0.25)) * math.exp(0.125)),
    ],
)
def test_stakes_are_drawn_as_stated(text: str, mean: float, deviation: float) -> None:
    """Mean and deviation of many wagers."""
    drawn = [each / SCALE for each in stakes.draw(stakes.parse(text), Random(3), 40_000)]

    assert fmean(drawn) == pytest.approx(mean, abs=4 * deviation / 200 + 1e-9)
    assert pstdev(drawn) == pytest.approx(deviation, rel=0.05, abs=1e-9)


def test_stakes_stop_at_their_highest() -> None:
    """A third number of a lognormal is never exceeded."""
    drawn = stakes.draw(stakes.parse("lognormal:1:2:3"), Random(3), 2_000)

    assert max(drawn) <= 3 * SCALE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rate = ", "is no TOML"),
        ("stak = 1", "$.stak is unknown"),
        ("rate = 0", "the rate must be above 0"),
        ("rate = 'often'", "$.rate"),
        ("[currencies]\nSEK = 11", "the template's currency EUR has no multiplier"),
        ("[currencies]\nEUR = 0", "the multiplier of EUR must be above 0"),
        ("groups = []", "needs 1 to 100 groups"),
        ("players = 5\n[[groups]]\n", "players and stake belong into the groups"),
        ("[[groups]]\nstake = 'uniform:1'", "$.groups[0].stake: 'uniform:1' is none of"),
        ("[[groups]]\nwieght = 1", "$.groups[0].wieght is unknown"),
        ("[[groups]]\nweight = 0", "group 1: the weight must be above 0"),
        ("[[groups]]\nplayers = 0", "group 1: needs at least 1 player"),
        ("[[groups]]\nactivity = 4", "group 1: activity must be between 0 and 3"),
        ("[[groups]]\nname = 'vip'\ncurrency = 'USD'", "vip: USD has no multiplier"),
        ("[[groups]]\nplayers = 100000000", "has more than 10000000 players"),
    ],
)
def test_population_files_that_cannot_be(text: str, problem: str) -> None:
    """The message names the field, or the group."""
    with pytest.raises(PopulationError) as refused:
        population.from_toml(text, "EUR")
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("currencies", "problem"),
    [
        ("SEK=11", "the template's currency EUR has no multiplier"),
        ("EUR", "--currency needs CODE=MULTIPLIER"),
        ("EUR=1,EUR=2", "EUR stands there twice"),
        ("EUR=one", "EUR=one is not a number"),
    ],
)
def test_currencies_that_cannot_be(currencies: str, problem: str) -> None:
    with pytest.raises(PopulationError) as refused:
        population.from_flags("EUR", currencies=currencies)
    assert problem in str(refused.value)


def test_preferences_have_to_fit_the_template(template: Make, pot: Make, rules: MakeRules) -> None:
    """Only a variable contribution can be preferred, and only within its range."""
    people = population.from_toml("[[groups]]\ncontribution = 7", "EUR")
    with pytest.raises(PopulationError, match="only a Variable contribution can be preferred"):
        population.require_fit(people, rules(template(pot())))
    variable = {
        "opt_in_required": True,
        "contribution_type": {"Variable": {"min": 0.1, "max": 5, "default": 0.1}},
    }
    compiled = rules(template(pot(), contribution_rules=variable))
    with pytest.raises(PopulationError, match="out of range"):
        population.require_fit(people, compiled)


def test_arrivals_are_a_poisson_process(template: Make, pot: Make, rules: MakeRules) -> None:
    """Gaps have the stated mean, and a deviation as large."""
    compiled = rules(template(pot()))
    people = population.from_flags("EUR", per_second=0.5)
    times = Arrivals(people, compiled, Random(1), 0).times(20_000)
    gaps = [after - before for before, after in pairwise(times)]

    assert fmean(gaps) == pytest.approx(2_000, rel=0.03)
    assert pstdev(gaps) == pytest.approx(2_000, rel=0.04)


def test_wagers_in_other_currencies_are_whole_minor_units(
    template: Make, pot: Make, rules: MakeRules
) -> None:
    """What is stated in the template's currency is converted; what is drawn is never below a minor unit."""
    compiled = rules(template(pot()))
    people = population.from_flags("EUR", stake="0.005", currencies="EUR=1,SEK=11.6,JPY=162.35")
    arrivals = Arrivals(people, compiled, Random(1), 0).block(300)
    wagers = {(each.bet.currency, each.bet.wager) for each in arrivals}

    assert wagers == {("EUR", SCALE // 200), ("SEK", 6 * SCALE // 100), ("JPY", SCALE)}


def test_players_are_one_for_all_where_nobody_asks_who_they_are(
    template: Make, pot: Make, rules: MakeRules
) -> None:
    """And themselves where a community is paid: all of them come, as often as each other."""
    people = population.from_flags("EUR", players=50)
    alone = Arrivals(people, rules(template(pot())), Random(1), 0).block(500)
    compiled = rules(template(pot(community_payout=COMMUNITY)))
    known = Arrivals(people, compiled, Random(1), 0).block(5_000)

    assert {each.bet.player_id for each in alone} == {"0"}
    counts = [sum(each.number == number for each in known) for number in range(50)]
    assert sum(counts) == 5_000
    assert min(counts) > 50


def test_activity_makes_some_players_come_more_often(
    template: Make, pot: Make, rules: MakeRules
) -> None:
    """By Zipf's law: with exponent 1 the first comes twice as often as the second."""
    people = population.from_toml("[[groups]]\nplayers = 10\nactivity = 1", "EUR")
    compiled = rules(template(pot(community_payout=COMMUNITY)))
    known = Arrivals(people, compiled, Random(1), 0).block(30_000)
    counts = [sum(each.number == number for each in known) for number in range(10)]

    assert counts[0] / counts[1] == pytest.approx(2, rel=0.1)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)


def test_groups_come_with_their_weights_and_their_own_things(
    template: Make, pot: Make, rules: MakeRules
) -> None:
    """Segments, country and preference are those of the group; the rest is what the template allows."""
    people = population.from_toml(
        """
        [currencies]
        EUR = 1
        SEK = 10
        [[groups]]
        name = "many"
        weight = 3
        [[groups]]
        name = "few"
        currency = "SEK"
        segments = ["vip"]
        country = "SE"
        contribution = 2
        """,
        "EUR",
    )
    variable = {"Variable": {"min": 0.1, "max": 5, "default": 0.1}}
    compiled = rules(
        template(
            pot(),
            contribution_rules={"opt_in_required": True, "contribution_type": variable},
            allowed_countries=["MT", "SE"],
            allowed_segments=["vip", "all"],
        )
    )
    arrivals = Arrivals(people, compiled, Random(1), 0).block(8_000)
    few = [each for each in arrivals if each.bet.currency == "SEK"]

    assert len(few) == pytest.approx(2_000, rel=0.1)
    assert (few[0].bet.country, few[0].bet.segments) == ("SE", ("vip",))
    assert few[0].player.preferences == (("EUR", 2 * SCALE),)
    others = next(each for each in arrivals if each.bet.currency == "EUR")
    assert (others.bet.country, others.bet.segments) == ("MT", ("all",))
