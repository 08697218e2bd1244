"""The worked numbers of jackpot mathematics, by simulation through the real core, within 3 standard errors.

Seeds are fixed, so a test never fails by chance. Standard errors are those of independent cycles, which these are.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest

from jackpotd.core.money import SCALE
from jackpotd.simulation import formulas
from jackpotd.simulation.book import Book
from jackpotd.simulation.figures import Figures

Json = dict[str, Any]
Make = Callable[..., Json]
Simulate = Callable[..., tuple[Figures, Book]]


def within(expected: float, found: float | None, standard_error: float) -> bool:
    assert found is not None
    return abs(found - expected) <= 3 * standard_error


def test_f1_geometric_progressive(template: Make, pot: Make, simulate: Simulate) -> None:
    """E[award] = s + r / p, its deviation r sqrt(1 - p) / p, and RTP = r + s p, for bets of 1."""
    s, r, p = 10.0, 0.01, 1 / 200
    figures, _ = simulate(template(pot()), 200_000)
    main = figures.pots["main"]
    expected_error = r * math.sqrt(1 - p) / p / math.sqrt(main.hits)

    assert within(s + r / p, main.mean_award, expected_error)
    assert main.stderr_award == pytest.approx(expected_error, rel=0.15)
    hits_error = math.sqrt(p * (1 - p) / 200_000)
    assert within(p, main.hit_frequency.value, hits_error)
    assert within(1 / p, main.mean_stake_between_hits, hits_error / p**2)
    assert within(s * p, figures.rtp.seed, s * hits_error)
    # All that contributions grew is paid, but for what the pot still holds.
    assert figures.accounts.in_pots is not None
    assert figures.rtp.growth == pytest.approx(r, abs=figures.accounts.in_pots)
    assert within(r + s * p, figures.rtp.total, s * hits_error + figures.accounts.in_pots / 3)


@pytest.mark.parametrize(
    ("share", "stake", "mean_stake", "rtp"),
    [(0.01, 1, 50.0, 0.19), (0.005, 2, 100.0, 0.095), (0.0025, 4, 200.0, 0.0475)],
)
def test_o2a_must_hit_9_to_10(
    template: Make,
    pot: Make,
    simulate: Simulate,
    share: float,
    stake: int,
    mean_stake: float,
    rtp: float,
) -> None:
    """F2: mean award 9.50, mean stake (m - s) / 2 r, RTP = r (s + m) / (m - s).

    Each contribution is a cent here, so a hidden value is passed by half a cent on average.
    """
    must_hit = template(
        pot(seed=9, pot_types=[{"Value": {"min": 9, "max": 10}}]),
        contribution_rules={"opt_in_required": False, "contribution_type": {"Percentage": share}},
    )
    figures, book = simulate(must_hit, 80_000, stake=str(stake))
    main = figures.pots["main"]
    passed, deviation = 0.005, 1 / math.sqrt(12)

    assert within(9.5 + passed, main.mean_award, deviation / math.sqrt(main.hits))
    assert main.award is not None
    assert 9 <= main.award.lowest <= main.award.highest <= 10.01
    stake_error = deviation / share / math.sqrt(main.hits)
    assert within(mean_stake + passed / share, main.mean_stake_between_hits, stake_error)
    rtp_error = 9.5 / mean_stake * stake_error / mean_stake
    # What passes the hidden value by half a cent is paid, but costs as much stake: only the seeds' part is thinner.
    assert within(share + 9 / (mean_stake + passed / share), figures.rtp.total, rtp_error)
    assert rtp == pytest.approx(share + 9 / mean_stake)
    assert figures.accounts.in_pots is not None
    assert figures.rtp.growth == pytest.approx(share, abs=figures.accounts.in_pots)
    assert book.pots[0].tips == {"Value": main.hits}


def test_f3_hidden_value_hits_like_its_hazard(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """With N equal steps to the cap, the survival after k of them is (N - k) / N."""
    steps = 10
    figures, book = simulate(
        template(
            pot(seed=9.9, pot_types=[{"Value": {"min": 9.9, "max": 10}}]),
        ),
        30_000,
    )
    hits = figures.pots["main"].hits
    survived = [
        sum(stake / SCALE > k + 0.5 for stake in book.pots[0].stakes) / hits
        for k in range(1, steps + 1)
    ]
    for k, share in enumerate(survived, 1):
        expected = (steps - k) / steps
        assert within(expected, share, math.sqrt(expected * (1 - expected) / hits))


def test_f6_first_reset_short_and_its_shortfall(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """P(first reset short) = 1 - exp(-rho), E[shortfall] = s - b V (1 - exp(-rho)), b* = s / V."""
    seed, share, p = 2.0, 0.5, 1 / 400
    funded = pot(
        seed=seed,
        seed_contribution={"Percentage": share},
        strategy={"fund_strategy": "CollectAlways"},
        pot_types=[{"HitRate": {"max_magic_number": 400, "cost_per_attempt": 0.01}}],
    )
    figures, _ = simulate(template(funded), 250_000)
    reserve = figures.pots["main"].reserve
    collected = share * 0.01 / p
    rho = seed / collected
    missing = 1 - math.exp(-rho)

    assert rho == 1.0
    hits = figures.pots["main"].hits
    # The formula is of a continuous stake; a seed is 400 contributions here, so it is off by 1 in 400 at most.
    error = math.sqrt(missing * (1 - missing) / hits)
    assert within(missing, reserve.short_from_empty.value, error + 1 / 1200)
    assert within(
        seed - collected * missing, reserve.shortfall_from_empty.value, 0.8 / math.sqrt(hits)
    )
    assert within(collected, reserve.mean_collected.value, collected / math.sqrt(hits))
    assert reserve.rate_per_stake == pytest.approx(share * 0.01)
    assert within(seed * p, reserve.break_even_rate, seed * p / math.sqrt(hits))


def test_f6_ruin_of_a_reserve_from_any_start(template: Make, pot: Make, simulate: Simulate) -> None:
    """The chance that a reserve of n seeds is ever short is that of M/D/1; from nothing it is rho."""
    funded = pot(
        seed=0.1,
        seed_contribution={"Percentage": 1},
        strategy={"fund_strategy": "CollectAlways"},
        pot_types=[{"HitRate": {"max_magic_number": 20, "cost_per_attempt": 0.01}}],
    )
    figures, _ = simulate(template(funded), 220_000)
    ruin = {each.start_in_seeds: each for each in figures.pots["main"].reserve.ruin}

    assert formulas.never_short_again(0.5, 0) == pytest.approx(0.5)
    for start in (0, 1, 2):
        expected = 1 - formulas.never_short_again(0.5, start)
        trials = ruin[start].trials
        assert trials >= 100
        error = math.sqrt(expected * (1 - expected) / trials)
        assert within(expected, ruin[start].probability.value, error)
        assert ruin[start].formula == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("fallback", ["RollOver", "DrawAmongContributors"])
def test_f7_nobody_comes_after_the_instant(
    template: Make, pot: Make, simulate: Simulate, fallback: str
) -> None:
    """P(nobody after T) = (1 - exp(-lambda L)) / lambda L; the fallback draws where the window had somebody."""
    per_window = 2.0
    timed = pot(
        pot_types=[{"Time": {"every": {"Hours": 1}, "window_start": 0, "fallback": fallback}}]
    )
    figures, _ = simulate(template(timed), 8_000, per_second=per_window / 3600)
    windows = figures.pots["main"].windows
    nobody = (1 - math.exp(-per_window)) / per_window

    assert windows is not None
    assert windows.formula_nobody == pytest.approx(nobody)
    assert within(
        nobody, windows.nobody_came.value, math.sqrt(nobody * (1 - nobody) / windows.windows)
    )
    drawn = nobody - math.exp(-per_window) if fallback == "DrawAmongContributors" else 0.0
    assert within(
        drawn, windows.drawn / windows.windows, math.sqrt(drawn * (1 - drawn) / windows.windows)
    )
    tips = figures.pots["main"].tips
    # The window in which the simulation ended may have been won already.
    assert tips["Time"] - windows.won in (0, 1)
    assert tips.get("TimeFallback", 0) == windows.drawn


def test_f5_splitting_a_bet_changes_no_chance(
    template: Make, pot: Make, simulate: Simulate
) -> None:
    """Ten bets of 1 win as often as one of 10, 1 - (1 - 1/N)^10, and money in any currency wins alike."""
    one, _ = simulate(template(pot()), 20_000, stake="10", seed=3)
    ten, _ = simulate(template(pot()), 200_000, stake="1", seed=4)
    abroad, _ = simulate(
        template(pot()), 20_000, stake="10", seed=5, currencies="EUR=1,SEK=11.6761,JPY=162.35"
    )
    for figures, stake in ((one, 10), (ten, 1), (abroad, 10)):
        main = figures.pots["main"]
        expected = stake / (1 - (1 - 1 / 200) ** stake)
        assert within(expected, main.mean_stake_between_hits, expected / math.sqrt(main.hits))


def test_community_part_of_the_return(template: Make, pot: Make, simulate: Simulate) -> None:
    """Half of a pot for the community is half of what is paid, but for what is less than a cent each."""
    shared = pot(
        community_payout={
            "share": 0.5,
            "strategies": [
                {"ActivePlayers": {"share": 0.2, "winners": 10, "within_hours": 24}},
                {"HighestContributionPerWin": {"share": 0.2, "winners": 5}},
                {"HighestLifetimeContributor": {"share": 0.1, "winners": 3}},
            ],
        }
    )
    figures, book = simulate(template(shared), 60_000, players=500)
    rtp = figures.rtp

    assert rtp.total is not None
    assert rtp.community is not None
    assert rtp.growth is not None
    assert rtp.seed is not None
    assert rtp.total == pytest.approx(rtp.growth + rtp.seed + rtp.community)
    assert rtp.community / rtp.total == pytest.approx(0.5, abs=0.01)
    active, per_win, lifetime = figures.pots["main"].community
    for strategy in (
        active,
        per_win,
        lifetime,
    ):  # the first wins come before there are enough players
        assert 0.98 * strategy.places < strategy.found <= strategy.places
    assert (active.paid + per_win.paid + lifetime.paid) * SCALE == book.pots[0].community
    assert active.paid == pytest.approx(2 * lifetime.paid, rel=0.03)
