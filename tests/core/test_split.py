"""The division of a contribution: nothing is dropped, and what does not divide is carried, to the last numerator."""

import random
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.core.money import SCALE
from jackpotd.core.rules import WHOLE, Rules
from jackpotd.core.split import Allocation, allocation, pro_rata_weights, share_out, split
from jackpotd.testing.templates import compiled, random_template

ci = settings(derandomize=True, deadline=None, max_examples=150)
WORTHS = st.lists(st.integers(0, 10**18), min_size=1, max_size=30)
SEEDS = st.integers(0, 2**32)


def rules_and_openness(seed: int) -> tuple[Rules, tuple[bool, ...]]:
    rng = random.Random(seed)
    rules = compiled(random_template(rng))
    return rules, tuple(rng.random() < 0.7 for _ in rules.pots)


def exact_shares(rules: Rules, is_open: tuple[bool, ...]) -> list[Fraction]:
    """House, then (value, reserve) for each pot; a closed pot's share goes to the open ones pro rata."""
    pots_share = Fraction(sum(pot.share for pot in rules.pots), WHOLE)
    open_share = sum(pot.share for pot, up in zip(rules.pots, is_open, strict=True) if up)
    shares = [1 - pots_share]
    for pot, up in zip(rules.pots, is_open, strict=True):
        part = pots_share * Fraction(pot.share, open_share) if up else Fraction(0)
        seed = Fraction(pot.seed_share, WHOLE) if pot.is_progressive else Fraction(1)
        shares += [part * (1 - seed), part * seed]
    return shares


@ci
@given(SEEDS)
def test_split_weights_are_the_template_s_shares_exactly(seed: int) -> None:
    """The integer weights are house, pot and seed shares, whichever pots are still open."""
    rules, is_open = rules_and_openness(seed)
    if not any(is_open):
        is_open = tuple(True for _ in is_open)
    plan = allocation(rules, is_open)

    assert plan.denominator == sum(plan.weights)
    assert exact_shares(rules, is_open) == [Fraction(w, plan.denominator) for w in plan.weights]


@ci
@given(SEEDS, WORTHS)
def test_split_neither_drops_nor_invents_a_numerator(seed: int, worths: list[int]) -> None:
    """Parts and carried numerators are the exact shares of all money so far; the residual is whole units."""
    rules, _ = rules_and_openness(seed)
    plan = allocation(rules, tuple(True for _ in rules.pots))
    carried = tuple(0 for _ in plan.weights)
    totals = [0] * len(carried)
    for worth in worths:
        parts, carried = split(plan, carried, worth)
        totals = [total + part for total, part in zip(totals, parts, strict=True)]

        assert all(0 <= carry < plan.denominator for carry in carried)
        assert sum(carried) % plan.denominator == 0
    received = sum(worths)

    assert received == sum(totals) + sum(carried) // plan.denominator
    for total, carry, weight in zip(totals, carried, plan.weights, strict=True):
        assert received * weight == total * plan.denominator + carry


@ci
@given(SEEDS, st.lists(st.integers(1, 10**12), min_size=1, max_size=20))
def test_split_of_a_wager_in_parts_gives_what_the_whole_gives(seed: int, worths: list[int]) -> None:
    """Nobody gains or loses a unit by dividing a contribution into many."""
    rules, _ = rules_and_openness(seed)
    plan = allocation(rules, tuple(True for _ in rules.pots))
    none = tuple(0 for _ in plan.weights)
    whole, left = split(plan, none, sum(worths))
    carried, totals = none, [0] * len(none)
    for worth in worths:
        parts, carried = split(plan, carried, worth)
        totals = [total + part for total, part in zip(totals, parts, strict=True)]

    assert (list(whole), left) == (totals, carried)


@ci
@given(st.integers(0, 10**19), st.lists(st.integers(0, 10**8), min_size=1, max_size=6))
def test_split_of_a_bequest_is_whole_and_complete(units: int, weights: list[int]) -> None:
    """What a used-up pot leaves is shared to the last unit, within a few units of the exact shares."""
    weights[0] += 1
    parts = share_out(units, tuple(weights))

    assert units == sum(parts)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(units * weight, sum(weights))) <= len(weights)
        assert weight or not part


def test_split_without_an_open_pot_sends_everything_to_the_house() -> None:
    """An instance that has no pot left has nothing else to divide among."""
    rules, is_open = rules_and_openness(1)
    plan = allocation(rules, tuple(False for _ in is_open))

    assert Allocation(1, (1, *(0 for _ in range(2 * len(is_open))))) == plan


def test_split_among_open_pots_without_shares_is_even() -> None:
    """Open pots that get no part of contributions count alike when another is used up."""
    template = random_template(random.Random(3))
    template["pots"] = [dict(template["pots"][0], id=name) for name in ("a", "b", "c")]
    for pot, share in zip(template["pots"], ("1", "0", "0"), strict=True):
        pot["contribution"] = {"Percentage": share}
    template["house_hold_contribution"] = {"Percentage": "0"}
    rules = compiled(template)

    assert (0, 1, 1) == pro_rata_weights(rules, (False, True, True))


def test_split_gives_a_pot_that_is_not_progressive_its_whole_part() -> None:
    """All of such a pot's part goes to its reserve: 0.4 of 2.00 is 0.80, whatever its seed share."""
    template = random_template(random.Random(3))
    template["pots"] = [dict(template["pots"][0], is_progressive=False)]
    template["pots"][0]["contribution"] = {"Percentage": "0.4"}
    template["pots"][0]["seed_contribution"] = {"Percentage": "0.62386669"}
    template["house_hold_contribution"] = {"Percentage": "0.6"}
    plan = allocation(compiled(template), (True,))
    parts, carried = split(plan, (0, 0, 0), 2 * SCALE)

    assert (120_000_000, 80_000_000) == (parts[0], parts[1] + parts[2])
    assert not any(carried)
