"""Warnings for the designer: each where it is deserved, none where it is not."""

from collections.abc import Callable
from typing import Any

import pytest

from jackpotd.simulation import population
from jackpotd.simulation.book import Book
from jackpotd.simulation.figures import Figures

Json = dict[str, Any]
Make = Callable[..., Json]
Simulate = Callable[..., tuple[Figures, Book]]

HOUSE = {
    "house_hold_contribution": {"Percentage": 0.1},
}
SOUND: Json = {
    "contribution": {"Percentage": 0.9},
    "seed": 0.5,
    "seed_contribution": {"Percentage": 0.5},
    "strategy": {"fund_strategy": "CollectAlways"},
}
RARE = {"HitRate": {"max_magic_number": 10**12, "cost_per_attempt": 0.01}}
MUST_HIT = {"Value": {"min": 9, "max": 10}}


def daily(fallback: str) -> Json:
    return {"Time": {"every": {"Hours": 24}, "window_start": 0, "fallback": fallback}}


def said(figures: Figures, code: str) -> str:
    found = [warned.message for warned in figures.warnings if warned.code == code]
    assert found, [warned.code for warned in figures.warnings]
    return found[0]


def test_sound_pot_has_no_warnings(template: Make, pot: Make, simulate: Simulate) -> None:
    """A seed that its reserve covers, a household, and wins to be seen."""
    figures, _ = simulate(template(pot(**SOUND), **HOUSE), 10_000)

    assert figures.warnings == []


def test_pot_that_cannot_fund_its_seed(template: Make, pot: Make, simulate: Simulate) -> None:
    """b* = s / V: 10 of seed for 2 of contributions between hits need five times what comes in."""
    funded = pot(seed_contribution={"Percentage": 0.5})
    figures, _ = simulate(template(funded), 10_000)
    message = said(figures, "SEED_NOT_FUNDED")

    assert "collects 1.00 EUR between two hits (by its chances) and 10.00 are reseeded" in message
    assert "needs 500.00% of each contribution (b* = s / V), not 50.00%" in message


def test_pot_that_waits_for_its_seed_is_funded(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """It opens when its seed is covered; where nothing goes to the reserve it never does."""
    strategy = {"open_when_funded": True}
    waiting = pot(seed_contribution={"Percentage": 0.5}, strategy=strategy)
    figures, _ = simulate(template(waiting), 10_000)

    assert "SEED_NOT_FUNDED" not in {warned.code for warned in figures.warnings}
    assert figures.pots["main"].reserve.deficit == 0


def test_ceiling_below_the_expected_trigger(template: Make, pot: Make, simulate: Simulate) -> None:
    """A pot that would be won at 12 on average, held at 11."""
    figures, _ = simulate(template(pot(max_pot_value=11)), 10_000)

    assert "ceiling of 11.00 EUR lies below the 12.00" in said(figures, "CEILING_BELOW_TRIGGER")


def test_chance_that_nobody_would_see(template: Make, pot: Make, simulate: Simulate) -> None:
    """Less than one win in a year, and odds that have to be shown."""
    figures, _ = simulate(template(pot(pot_types=[RARE])), 500, per_second=0.01)

    assert said(figures, "NOBODY_IN_A_YEAR").endswith("3.2e-07 times a year")
    assert "1e-12" in said(figures, "RARER_THAN_1_IN_100_MILLION")
    assert said(figures, "NO_HITS")
    assert figures.pots["main"].mean_award is None


@pytest.mark.parametrize(
    ("fallback", "then"),
    [("RollOver", "rolls over"), ("DrawAmongContributors", "is drawn among its contributors")],
)
def test_window_that_is_often_empty(
    template: Make, pot: Make, simulate: Simulate, fallback: str, then: str
) -> None:
    """Two contributions a day come too late in 43 % of the days; a thousand an hour never do."""
    timed = template(pot(pot_types=[daily(fallback)]))
    few, _ = simulate(timed, 500, per_second=2 / 86_400)
    many, _ = simulate(timed, 500, per_second=1)

    assert "nobody comes after its instant in 43.2% of the windows" in said(
        few, "WINDOW_OFTEN_EMPTY"
    )
    assert then in said(few, "WINDOW_OFTEN_EMPTY")
    assert "WINDOW_OFTEN_EMPTY" not in {warned.code for warned in many.warnings}


def test_hidden_value_that_is_worth_waiting_for(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """F4: t = m (h + r) / (h + 2 r); asked for with the game's house edge."""
    must_hit = template(pot(seed=9, pot_types=[MUST_HIT]))
    warned, _ = simulate(must_hit, 2_000, house_edge=0.01)
    silent, _ = simulate(must_hit, 2_000)

    # 10 * 0.02 / 0.03 is below where the cycle begins.
    assert "above 6.67 EUR" in said(warned, "WORTH_WAITING_FOR")
    assert "100% of its cycles" in said(warned, "WORTH_WAITING_FOR")
    assert "WORTH_WAITING_FOR" not in {each.code for each in silent.warnings}


def test_more_paid_than_taken(template: Make, pot: Make, simulate: Simulate) -> None:
    """A seed of 10 for contributions of 2 a cycle, and no household that could carry it."""
    figures, _ = simulate(template(pot()), 20_000)

    assert said(figures, "PAYS_MORE_THAN_IT_TAKES")
    assert said(figures, "HOUSEHOLD_ZERO")
    assert figures.accounts.paid_of_contributed.value is not None
    assert figures.accounts.paid_of_contributed.value > 4


def test_criteria_that_keep_everybody_out(template: Make, pot: Make, simulate: Simulate) -> None:
    """Or some of the groups, by name."""
    document = template(pot(criteria={"segments": ["vip"]}))
    people = population.from_toml(
        "[[groups]]\nname = 'vips'\nsegments = ['vip']\n[[groups]]\nname = 'others'", "EUR"
    )
    nobody, _ = simulate(document, 500)
    some, _ = simulate(document, 5_000, people=people)

    assert "it is never won" in said(nobody, "CRITERIA_EXCLUDE")
    assert said(some, "CRITERIA_EXCLUDE").endswith("others")
    assert some.pots["main"].hits > 0


def test_community_places_that_find_nobody(template: Make, pot: Make, simulate: Simulate) -> None:
    """Ten places for two players, of whom one is the winner."""
    strategy = {"ActivePlayers": {"share": 0.5, "winners": 10, "within_hours": 1}}
    shared = pot(community_payout={"share": 0.5, "strategies": [strategy]})
    figures, _ = simulate(template(shared), 5_000, players=2)

    assert "90% of the places of ActivePlayers found nobody" in said(figures, "COMMUNITY_NOT_FOUND")


def test_pot_of_an_external_trigger_alone(template: Make, pot: Make, simulate: Simulate) -> None:
    """What is not simulated is said."""
    figures, _ = simulate(template(pot(pot_types=[], supports_external_trigger=True)), 500)

    assert said(figures, "TRIGGER_ALONE")


def test_few_wins_are_said(template: Make, pot: Make, simulate: Simulate) -> None:
    figures, _ = simulate(template(pot()), 600)

    assert 0 < figures.pots["main"].hits < 10
    assert said(figures, "FEW_HITS")
