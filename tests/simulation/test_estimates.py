"""Estimates and their intervals: known values, and that they hold what they promise."""

import math
import random
from itertools import pairwise
from statistics import fmean

import pytest

from jackpotd.simulation import estimates, formulas, reserve
from jackpotd.simulation.samples import KEPT_MAX, TRACK_MAX, Sample, Track, sample_of


@pytest.mark.parametrize(("degrees", "expected"), [(9, 2.2622), (39, 2.0227), (1000, 1.9623)])
def test_student_points(degrees: int, expected: float) -> None:
    """Those of the tables."""
    assert estimates.student(degrees) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize(
    ("hits", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39)]
)
def test_rare_counts_have_garwoods_interval(hits: int, low: float, high: float) -> None:
    """Those of the tables of exact Poisson limits."""
    found = estimates.rare_count(hits)

    assert found == pytest.approx((low, high), rel=1e-3, abs=1e-4)


def test_shares_have_wilsons_interval() -> None:
    """10 of 100; and nothing of nothing is no share."""
    found = estimates.share(10, 100)

    assert found.ci95 == pytest.approx((0.05523, 0.17437), abs=1e-4)
    assert estimates.share(0, 0).value is None
    assert estimates.share(0, 10).ci95 == pytest.approx((0.0, 0.27753), abs=1e-4)


def test_interval_of_the_median_by_order_statistics() -> None:
    """Of 100 values the 40th and the 61st; of five there is none at 95 %."""
    found = estimates.quantile([float(each) for each in range(1, 101)], 0.5)

    assert (found.value, found.ci95) == (50.0, (40.0, 61.0))
    assert estimates.quantile([1.0, 2.0, 3.0, 4.0, 5.0], 0.5).ci95 is None
    assert estimates.quantile([], 0.5) == estimates.NOTHING


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("count", [200, 4_000])
def test_quantile_intervals_hold_the_quantile(share: float, count: int) -> None:
    """Of many samples of a skewed distribution at least 19 in 20 do, small or large, exact or not."""
    rng = random.Random(7)
    truth = -math.log(1 - share)
    runs, held = 300, 0
    for _ in range(runs):
        ordered = sorted(rng.expovariate(1.0) for _ in range(count))
        ci95 = estimates.quantile(ordered, share).ci95
        assert ci95 is not None
        held += ci95[0] <= truth <= ci95[1]

    assert held / runs > 0.95 - 3 * math.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize("count", [60, 4_000])
def test_intervals_of_means_hold_the_mean(count: int) -> None:
    """Of geometric awards, by the bootstrap where they are few and by batch means where they are many."""
    rng = random.Random(8)
    runs, held = 100, 0
    for _ in range(runs):
        found = estimates.mean([rng.expovariate(1.0) for _ in range(count)])
        assert found.ci95 is not None
        held += found.ci95[0] <= 1 <= found.ci95[1]

    assert held / runs > 0.87


def test_ratio_of_batches() -> None:
    """The ratio of the sums, not the mean of the ratios; few batches have no interval."""
    found = estimates.ratio([1.0, 3.0] * 20, [10.0, 10.0] * 20)

    assert found.value == pytest.approx(0.2)
    assert found.ci95 is not None
    # Deviation 1 of each batch of 10, of 40 batches.
    half = estimates.student(39) * math.sqrt(40 / 39) * 1 / math.sqrt(40) / 10
    assert found.ci95 == pytest.approx((0.2 - half, 0.2 + half))
    assert estimates.ratio([1.0], [4.0]) == estimates.Estimate(0.25)
    assert estimates.ratio([], []) == estimates.NOTHING


def test_few_hits_are_counted_not_batched() -> None:
    """Five wins in a thousand: Garwood's interval, on either side."""
    between = estimates.each_hit([500.0, 500.0], [2, 3])
    frequency = estimates.frequency([2, 3], [500.0, 500.0])

    assert (between.value, frequency.value) == (200.0, 0.005)
    assert between.ci95 is not None
    assert frequency.ci95 is not None
    assert between.ci95[0] == pytest.approx(1 / frequency.ci95[1])
    assert estimates.each_hit([500.0], [0]) == estimates.NOTHING
    assert estimates.frequency([0], [500.0]).ci95 == pytest.approx((0, 3.689 / 500), rel=1e-3)


def test_sample_of_too_many_numbers_keeps_some_and_the_sums() -> None:
    """Memory is bounded; count, total and bounds are those of all."""
    sample = Sample()
    for value in range(KEPT_MAX + 10):
        sample.add(float(value))

    assert len(sample) < KEPT_MAX
    assert (sample.count, sample.lowest, sample.highest) == (KEPT_MAX + 10, 0.0, KEPT_MAX + 9)
    assert sample.mean == pytest.approx((KEPT_MAX + 9) / 2)
    assert fmean(sample) == pytest.approx((KEPT_MAX + 9) / 2, rel=1e-5)

    small = sample_of([1.0, 2.0, 3.0, 4.0])
    sample.extend(small)
    assert sample.count == KEPT_MAX + 14
    assert list(sample.kept)[-2:] == [1.0, 3.0]


def test_track_stays_short() -> None:
    """However long a life is, its picture has some hundred points, from its beginning on."""
    track = Track()
    for step in range(10 * TRACK_MAX):
        if track.is_due:
            track.add((float(step),))
        else:
            track.skip()

    assert TRACK_MAX / 2 <= len(track.rows) < TRACK_MAX
    steps = [row[0] for row in track.rows]
    assert steps[0] == 0.0
    assert len({after - before for before, after in pairwise(steps)}) == 1


@pytest.mark.parametrize(("rho", "start"), [(0.5, 0), (0.5, 1), (0.8, 0), (0.8, 2)])
def test_f6_ruin_formula_agrees_with_the_process(rho: float, start: int) -> None:
    """M/D/1: what comes in between two seeds is exponential, so the formula is exact."""
    rng = random.Random(9)
    seed, horizon, trials = 1_000_000, 400, 1_500
    collected = [int(rng.expovariate(rho) * seed) for _ in range(horizon * trials)]
    hits, found = reserve.ruined(collected, seed, start, horizon)
    expected = 1 - formulas.never_short_again(rho, start)

    assert found == trials
    assert abs(hits / trials - expected) <= 3 * math.sqrt(expected * (1 - expected) / trials)


def test_f6_reserve_that_cannot_last_is_ruined_for_certain() -> None:
    """With rho of 1 or more nothing helps."""
    assert formulas.never_short_again(1.0, 5) == 0.0
    assert formulas.never_short_again(0.4, 0) == pytest.approx(0.6)


def test_f7_formula_of_empty_windows() -> None:
    """Nobody comes to a window without contributions; one in two comes too late at about 1.6 a window."""
    assert formulas.nobody_comes(0.0) == 1.0
    assert formulas.nobody_comes(1.5936) == pytest.approx(0.5, abs=1e-4)


def test_f4_break_even_is_where_the_marginal_return_pays_the_edge() -> None:
    """x r / (m - x) = h + r at the formula's value."""
    maximum, rate, edge = 500.0, 0.01, 0.05
    at = formulas.break_even(maximum, rate, edge)

    assert at * rate / (maximum - at) == pytest.approx(edge + rate)
