"""The oracle by itself: which pot pays, what is paid, how pots are seeded again and closed."""

from fractions import Fraction

import pytest

from jackpotd.testing.cases import pot, template
from jackpotd.testing.reference_model import (
    OracleDisagreementError,
    ReferenceInstance,
    Win,
    minor_units_per_one,
)

from .oracle_cases import contribute, exactly, refusal, units

# --- which pot pays -------------------------------------------------------------------------------

THREE = (pot("low", "0.2", "5"), pot("high", "0.2", "20"), pot("same", "0.2", "20"))


@pytest.mark.parametrize(
    ("strategy", "paid", "highest"),
    [
        ("Highest", ["high"], "high"),
        ("Lowest", ["low"], "low"),
        ("All", ["low", "high", "same"], "high"),
    ],
)
def test_win_selector_strategy_chooses_and_ties_go_to_the_earlier_pot(
    strategy: str, paid: list[str], highest: str
) -> None:
    """Highest and Lowest pay one pot; All pays each in pot order and names the highest."""
    oracle = ReferenceInstance(template(*THREE, strategy=strategy))

    outcome = contribute(oracle, "low", "high", "same")

    assert [win.pot_id for win in outcome.wins] == paid
    assert outcome.win_pot_id == highest
    assert sum(win.amount for win in outcome.wins) == outcome.win_amount


def test_real_meters_decide_between_pots_that_are_equal_but_for_remainders() -> None:
    """Equal exact pots may lie a unit apart in the real system, whose meters are then what counts."""
    pots = (pot("a", "0.3", "5.005", seed_share="0"), pot("b", "0.3", "5.005", seed_share="0"))
    value = units("5.005")
    for meters, winner in (
        ({"a": (value, 0), "b": (value, 0)}, "a"),
        ({"a": (value, 0), "b": (value + 1, 0)}, "b"),
    ):
        oracle = ReferenceInstance(template(*pots, kind={"Fixed": "0.00000002"}))
        assert contribute(oracle, "a", "b", meters=[meters]).win_pot_id == winner


def test_meters_that_cannot_be_are_a_disagreement() -> None:
    """A pot two units from where its shares put it was not grown by them, and one that was not read cannot be paid."""
    for meters in ([{"a": (units("10.00375") + 2, units("0.02125"))}], []):
        with pytest.raises(OracleDisagreementError):
            contribute(ReferenceInstance(template(pot("a"))), "a", meters=meters)


def test_pot_that_cannot_pay_a_minor_unit_cannot_be_won() -> None:
    """Half a cent is no win for a player in EUR, and Lowest passes on to the pot that can pay."""
    dust = pot("dust", "0", "0.005")
    alone = ReferenceInstance(template(dust))
    lowest = ReferenceInstance(template(dust, pot("a"), strategy="Lowest"))

    assert contribute(alone, "dust").wins == ()
    assert alone.pots["dust"].value.exact == exactly("0.005")
    assert contribute(lowest, "dust", "a").win_pot_id == "a"


# --- what is paid ---------------------------------------------------------------------------------


def won_at(value: str, currency: str) -> tuple[ReferenceInstance, Win]:
    """A pot of exactly this value, won by a contribution of 0 (k = 0, N = 1)."""
    rules = template(
        pot("a", seed=value, min_reseed="0", hits=[(1, 0)]),
        kind={"Percentage": 1},
        operator_share=1,
    )
    oracle = ReferenceInstance(rules)
    return oracle, contribute(oracle, base_wager=0, currency=currency, draws=[]).wins[0]


@pytest.mark.parametrize(
    ("currency", "amount", "left_pot"),
    [
        ("EUR", "100.21", "100.21"),
        ("JPY", "16270", "100.21558362"),
        ("KWD", "33.071", "100.21515152"),
        ("USD", "107.85", "100.21371492"),
    ],
)
def test_win_is_floored_to_the_players_minor_unit_and_the_rest_stays(
    currency: str, amount: str, left_pot: str
) -> None:
    """100.2175 EUR are 16,270.31 JPY: 16,270 are paid, and what they are worth leaves the pot."""
    oracle, win = won_at("100.2175", currency)

    assert win.amount == exactly(amount)
    assert win.left_pot == exactly(left_pot)
    assert exactly("100.2175") - win.left_pot == oracle.pots["a"].value.exact


def test_payment_is_of_the_real_pot() -> None:
    """A pot of exactly 9.9999999965 that a system of whole units shows, and pays, as 10."""
    rules = template(
        pot("a", "0.33", "9.99999998", min_reseed="0", seed_share="0"), kind={"Percentage": 1}
    )
    oracle = ReferenceInstance(rules)

    outcome = contribute(
        oracle, "a", base_wager="0.00000005", meters=[{"a": (units("9.99999999"), 0)}]
    )

    assert outcome.win_amount == exactly("9.99")
    assert oracle.pots["a"].value.exact == exactly("0.0099999965")


def test_minor_units() -> None:
    """ISO 4217: none, two, three, four decimals."""
    assert [minor_units_per_one(c) for c in ("JPY", "EUR", "BHD", "CLF")] == [1, 100, 1000, 10000]


# --- reseeding ------------------------------------------------------------------------------------


def test_missing_seed_is_the_operators_deficit() -> None:
    """Reserve 0.06375 of 10: the operator adds 9.93625; the unpaid remainder stays in the pot."""
    oracle = ReferenceInstance(template(pot("a")))
    contribute(oracle)
    contribute(oracle)

    (win,) = contribute(oracle, "a").wins

    assert isinstance(win, Win)
    assert (win.amount, win.left_pot) == (exactly("10.01"), exactly("10.01"))
    assert (win.seed, win.from_reserve, win.seed_deficit) == (
        Fraction(10),
        exactly("0.06375"),
        exactly("9.93625"),
    )
    assert not win.pot_closed
    assert oracle.pots["a"].value.exact == exactly("10.00125")
    assert oracle.pots["a"].reserve.exact == 0
    assert oracle.jackpot.ledger.deficit == exactly("9.93625")


@pytest.mark.parametrize(
    ("reseed", "seed", "reserve"),
    [("Full", "0.03", "0.03375"), ("WholeReserve", "0.06375", "0")],
)
def test_reseed_strategy_takes_the_minimum_or_the_whole_reserve(
    reseed: str, seed: str, reserve: str
) -> None:
    """With more in the reserve than min_reseed_value, and no deficit either way."""
    oracle = ReferenceInstance(
        template(pot("a", min_reseed="0.03", fund="CollectAlways", reseed=reseed))
    )
    contribute(oracle)
    contribute(oracle)

    (win,) = contribute(oracle, "a").wins

    assert (win.seed, win.seed_deficit) == (exactly(seed), Fraction(0))
    assert oracle.pots["a"].reserve.exact == exactly(reserve)


def test_whole_reserve_below_the_minimum_leaves_a_deficit() -> None:
    """WholeReserve is never less than Full."""
    oracle = ReferenceInstance(template(pot("a", reseed="WholeReserve")))

    (win,) = contribute(oracle, "a").wins

    assert (win.seed, win.seed_deficit) == (Fraction(10), exactly("9.97875"))


# --- limited tiers --------------------------------------------------------------------------------


def test_limited_pot_sends_seed_money_to_the_pot_in_its_last_cycle() -> None:
    """Of two drops the first is reseeded; then the whole part grows the pot."""
    oracle = ReferenceInstance(template(pot("a", max_instantiation_count=2), pot("b")))

    (first,) = contribute(oracle, "a").wins
    before = oracle.pots["a"].value.exact
    contribute(oracle)

    assert (first.seed, first.pot_closed) == (Fraction(10), False)
    assert oracle.pots["a"].instance_count == 2
    assert oracle.pots["a"].value.exact == before + exactly("0.025")
    assert oracle.pots["a"].reserve.exact == 0


def test_not_progressive_limited_pot_keeps_its_reserve_in_the_last_cycle() -> None:
    """Its value stays at the seed to the end, and the reserve goes to the others when it closes."""
    limited = pot("a", "0.2", max_instantiation_count=1, is_progressive=False)
    oracle = ReferenceInstance(template(limited, pot("b", "0.3"), pot("c", "0.1")))
    contribute(oracle)

    (win,) = contribute(oracle, "a").wins

    assert (win.amount, win.seed, win.pot_closed) == (Fraction(10), Fraction(0), True)
    assert oracle.pots["b"].value.exact == exactly("10.039")  # 2 x 0.0045, and 3/4 of 0.04
    assert oracle.pots["c"].value.exact == exactly("10.013")


def test_closed_pot_leaves_its_share_and_its_money_to_the_open_pots_pro_rata() -> None:
    """A share of 0.2 goes 3 : 1; the cents that could not be paid go with it."""
    limited = pot("a", "0.2", "10.004", max_instantiation_count=1, seed_share="0")
    fixed = pot("c", "0.1", is_progressive=False)
    oracle = ReferenceInstance(template(limited, pot("b", "0.3", seed_share="0"), fixed))

    contribute(oracle, "a")  # 10.024 in a, of which 10.02 are paid
    after = contribute(oracle)

    pots = oracle.pots
    assert [pots[name].share for name in "abc"] == ([0, exactly("0.45"), exactly("0.15")])
    assert after.pots["b"] == exactly("10.078")  # 0.03, 0.003, 0.045
    assert pots["c"].reserve.exact == exactly("0.026")  # 0.01, 0.001, 0.015
    assert (pots["a"].value.exact, pots["a"].is_open) == (Fraction(0), False)
    assert oracle.status == "Active"


def test_instance_ends_with_its_last_open_pot_and_leftovers_stay() -> None:
    """Nothing is open to inherit: what is left stays where it is, and contributions are refused."""
    oracle = ReferenceInstance(template(pot("a", seed="10.004", max_instantiation_count=1)))

    contribute(oracle, "a")

    assert oracle.status == "Ended"
    assert oracle.pots["a"].value.exact == exactly("0.009")
    assert refusal(oracle) == "JackpotNotActive"


def test_amounts_of_an_all_are_fixed_before_the_first_pot_closes() -> None:
    """What the first pot leaves grows the second after its payment, not before."""
    first = pot("a", "0.2", max_instantiation_count=1, is_progressive=False)
    second = pot("b", "0.2", "10.009", min_reseed="0")
    oracle = ReferenceInstance(template(first, second, strategy="All"))

    outcome = contribute(oracle, "a", "b")

    assert [win.amount for win in outcome.wins] == [10, exactly("10.02")]
    assert oracle.pots["b"].value.exact == exactly("0.029")  # 0.009 unpaid, 0.02 left by a
