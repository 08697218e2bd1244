"""The chance of a tipping point as an integer threshold, against a hundred digits of the formula."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.core.hit_rate import CERTAIN, threshold
from jackpotd.core.money import SCALE, UNITS_MAX
from jackpotd.core.rules import HIT_RATE_MAX
from jackpotd.testing.reference_model import hit_threshold

ci = settings(derandomize=True, deadline=None, max_examples=400)
OUTCOMES = st.one_of(st.integers(2, 100), st.integers(2, HIT_RATE_MAX))
COSTS = st.one_of(st.integers(1, 10**4), st.integers(1, 10**10), st.just(10_000_000))
WORTHS = st.one_of(st.integers(1, 10**4), st.integers(1, 10**10), st.integers(1, UNITS_MAX))


def exact_threshold(outcomes: int, cost: int, worth: int) -> int:
    """floor of (1 - (1 - 1/N)^(c/k)) * 2^64 with 120 digits."""
    with localcontext(Context(prec=120, Emin=-(10**15), Emax=10**15)):
        log_of_losing = (Decimal(outcomes - 1) / outcomes).ln()
        losing = (log_of_losing * worth / cost).exp()
        return floor((1 - losing) * CERTAIN)


@ci
@given(OUTCOMES, COSTS, WORTHS)
def test_hit_rate_is_the_formula_within_one_draw(outcomes: int, cost: int, worth: int) -> None:
    """N, k and c of any size: at most one of the 2^64 draws off the exact chance."""
    assert abs(threshold(outcomes, cost, worth) - exact_threshold(outcomes, cost, worth)) <= 1


@ci
@given(OUTCOMES, st.integers(1, 1_000), st.integers(1, 50_000))
def test_hit_rate_is_the_formula_where_the_chance_is_neither_none_nor_all(
    outcomes: int, cost: int, thousandths: int
) -> None:
    """About N attempts for one in N: here the digits of the logarithm count most."""
    worth = min(outcomes * cost * thousandths // 1_000 + 1, UNITS_MAX)

    assert abs(threshold(outcomes, cost, worth) - exact_threshold(outcomes, cost, worth)) <= 1


@ci
@given(OUTCOMES, st.integers(1, 40), st.integers(1, 10**9))
def test_hit_rate_of_whole_attempts_is_the_fraction(outcomes: int, count: int, cost: int) -> None:
    """A whole number of attempts has a rational chance, met within one draw, as the oracle has it."""
    exact = floor((1 - Fraction(outcomes - 1, outcomes) ** count) * CERTAIN)
    found = threshold(outcomes, cost, cost * count)

    assert abs(found - exact) <= 1
    oracle = hit_threshold(Fraction(outcomes), Fraction(cost, SCALE), Fraction(cost * count, SCALE))
    assert abs(found - oracle) <= 1


@ci
@given(OUTCOMES, COSTS, WORTHS, st.integers(1, 10**12))
def test_hit_rate_grows_with_the_contribution(
    outcomes: int, cost: int, worth: int, more: int
) -> None:
    """More money never has a lower chance."""
    assert threshold(outcomes, cost, worth) <= threshold(outcomes, cost, worth + more)


@ci
@given(OUTCOMES, COSTS, WORTHS, st.integers(1, 10**12))
def test_hit_rate_falls_with_the_number_of_outcomes(
    outcomes: int, cost: int, worth: int, more: int
) -> None:
    """One chance in more outcomes is never a better chance."""
    assert threshold(outcomes + more, cost, worth) <= threshold(outcomes, cost, worth)


@ci
@given(OUTCOMES, COSTS, WORTHS, WORTHS)
def test_hit_rate_does_not_change_when_a_bet_is_split(
    outcomes: int, cost: int, first: int, second: int
) -> None:
    """(1 - p(c1)) (1 - p(c2)) = 1 - p(c1 + c2), up to two units of 2^-64."""
    one, other = threshold(outcomes, cost, first), threshold(outcomes, cost, second)
    together = threshold(outcomes, cost, first + second)
    losing = Fraction((CERTAIN - one) * (CERTAIN - other), CERTAIN)

    assert abs(losing - (CERTAIN - together)) <= 2


@pytest.mark.parametrize(
    ("outcomes", "cost", "worth", "expected"),
    [
        (1, 1, 1, CERTAIN),
        (1, 10_000_000, UNITS_MAX, CERTAIN),
        (1, 10_000_000, 0, 0),
        (1, 0, 0, CERTAIN),
        (2, 0, 0, CERTAIN // 2),
        (5, 0, UNITS_MAX, CERTAIN // 5),
        (2, 10_000_000, 10_000_000, CERTAIN // 2),
        (5, 10_000_000, 10_000_000, CERTAIN // 5),
        (50, 10_000_000, 0, 0),
        (HIT_RATE_MAX, 0, 7, CERTAIN // HIT_RATE_MAX),
    ],
)
def test_hit_rate_at_its_corners_is_exact(
    outcomes: int, cost: int, worth: int, expected: int
) -> None:
    """N = 1 is certainty, k = 0 is one attempt whatever the worth, and no money is no attempt."""
    assert abs(threshold(outcomes, cost, worth) - expected) <= (1 if cost and outcomes > 1 else 0)


def test_hit_rate_of_ten_small_bets_is_that_of_one_large_bet() -> None:
    """Domain facts O5 and F5: the linear form gives 9.9999955e-7 against 1e-6, this form the same for both."""
    outcomes, cost = 1_000_000, SCALE
    large = threshold(outcomes, cost, SCALE)
    small = threshold(outcomes, cost, SCALE // 10)
    ten = 1 - (1 - Fraction(small, CERTAIN)) ** 10
    linear = 1 - (1 - Fraction(1, 10 * outcomes)) ** 10

    assert abs(ten - Fraction(large, CERTAIN)) <= Fraction(10, CERTAIN)
    assert f"{float(linear):.13e}" == "9.9999955000012e-07"
    assert float(ten) == pytest.approx(1e-6, rel=1e-12)


@ci
@given(OUTCOMES, COSTS, WORTHS, st.integers(1, 10**14))
def test_hit_rate_does_not_depend_on_the_currency_s_size(
    outcomes: int, cost: int, worth: int, factor: int
) -> None:
    """The chance depends on c/k alone: a template in a thousand times smaller money has the same one."""
    scaled = threshold(outcomes, cost * factor, worth * factor)

    assert abs(threshold(outcomes, cost, worth) - scaled) <= 1
