"""The oracle by itself: worked numbers, then a stand-in of the real system that it must not accuse.

The stand-in keeps whole units and carries remainders, as the real system does, so these tests show
that the oracle's slack is wide enough for a faithful system, and too narrow for one lost unit more.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import pytest

from jackpotd.testing.reference_model import (
    DRAWS,
    SCALE,
    Doubt,
    Draw,
    Number,
    OracleDisagreementError,
    Outcome,
    OutsideTheModelError,
    PaidWin,
    Preference,
    RealBooks,
    ReferenceInstance,
    Rejection,
    Win,
    hit_threshold,
    minor_units_per_one,
    to_scale,
)

# The developer template of later-facts.md §1.4; what it cuts off after `mega` is as in `major`.
LATER_FACTS = """{
  "name": "quick hit", "owner_id": "my-operator:my-brand", "currency": "EUR",
  "contribution_rules": {
    "opt_in_required": true, "contribution_type": { "Fixed": 0.1 },
    "operator_contribution_percentage": 0 },
  "house_hold_contribution": { "Percentage": 0.3 },
  "win_selector_strategy": "Highest",
  "pots": [ %s, %s, %s ] }"""
LATER_FACTS_POT = """{
  "id": "%s", "contribution": { "Percentage": %s }, "seed_contribution": { "Percentage": 0.85 },
  "seed_strategy": { "initial_seed_value": %s, "min_reseed_value": %s,
    "fund_strategy": "CollectToMinReseed", "reseed_strategy": "Full" },
  "max_instantiation_count": null, "is_progressive": true, "supports_external_trigger": false,
  "pot_types": [ { "HitRate": { "max_magic_number": %s, "cost_per_attempt": 0.1 } } ],
  "criteria": null, "max_pot_value": null }"""

RATES: dict[str, Number] = {
    "EUR": 1,
    "USD": "1.0762",
    "GBP": "0.8592",
    "SEK": "11.6761",
    "JPY": "162.35",
    "KWD": "0.33",
}
NEVER = DRAWS - 1


def later_facts_template() -> dict[str, Any]:
    pots = [("minor", 0.25, 10, 5), ("major", 0.25, 100, 25), ("mega", 0.2, 1000, 100)]
    texts = tuple(
        LATER_FACTS_POT % (name, share, seed, seed, odds) for name, share, seed, odds in pots
    )
    parsed: dict[str, Any] = json.loads(LATER_FACTS % texts, parse_float=Decimal)
    return parsed


Json = dict[str, Any]


def pot(name: str, share: str = "0.25", seed: str = "10", **changes: Any) -> Json:
    """A pot of the template; `min_reseed`, `fund`, `reseed`, `hits` are short for their places."""
    return {
        "id": name,
        "is_progressive": changes.pop("is_progressive", True),
        "contribution": {"Percentage": share},
        "seed_contribution": {"Percentage": changes.pop("seed_share", "0.85")},
        "seed_strategy": {
            "initial_seed_value": seed,
            "min_reseed_value": changes.pop("min_reseed", seed),
            "fund_strategy": changes.pop("fund", "CollectToMinReseed"),
            "reseed_strategy": changes.pop("reseed", "Full"),
            "open_when_funded": False,
        },
        "pot_types": [
            {"HitRate": {"max_magic_number": n, "cost_per_attempt": k}}
            for n, k in changes.pop("hits", [(1000, "0.1")])
        ],
        **changes,
    }


def template(*pots: Json, kind: Json | None = None, **changes: Any) -> Json:
    shares = sum(Decimal(item["contribution"]["Percentage"]) for item in pots)
    rules = {
        "contribution_type": kind or {"Fixed": "0.1"},
        "currency_values": changes.pop("currency_values", None),
        "operator_contribution_percentage": changes.pop("operator_share", 0),
    }
    return {
        "currency": "EUR",
        "jackpot_type": "Jackpot",
        "contribution_rules": rules,
        "house_hold_contribution": {"Percentage": 1 - shares},
        "win_selector_strategy": changes.pop("strategy", "Highest"),
        "pots": list(pots),
        **changes,
    }


def contribute(oracle: ReferenceInstance, *tipped: str, **changes: Any) -> Outcome:
    """One accepted contribution of a player in EUR; every tipping point of the named pots tips."""
    draws = [
        Draw(name, place, 0 if name in tipped else NEVER)
        for name, held in oracle.pots.items()
        for place in range(len(held.rules.tipping_points))
    ]
    call: Json = {"base_wager": 1, "currency": "EUR", "multipliers": RATES, "draws": draws}
    call |= changes
    outcome = oracle.contribute(**call)
    assert isinstance(outcome, Outcome), outcome
    assert oracle.imbalance() == 0
    return outcome


def refusal(instance: ReferenceInstance, **changes: Any) -> str:
    call: Json = {"base_wager": 1, "currency": "EUR", "multipliers": RATES, **changes}
    outcome = instance.contribute(**call)
    assert isinstance(outcome, Rejection)
    return outcome.message


def exactly(number: str) -> Fraction:
    return Fraction(Decimal(number))


# --- growth ---------------------------------------------------------------------------------------


def test_later_facts_steps_grow_major_and_mega_to_the_published_values() -> None:
    """58 contributions of 0.10 show 100.2175 in major, 15 show 1000.045 in mega."""
    oracle = ReferenceInstance(later_facts_template())

    shown = [contribute(oracle).pots for _ in range(58)]

    assert shown[0]["major"] == exactly("100.00375")
    assert shown[0]["mega"] == exactly("1000.003")
    assert shown[14]["mega"] == exactly("1000.045")
    assert shown[57]["major"] == exactly("100.2175")
    assert oracle.pots["major"].reserve.exact == exactly("1.2325")
    assert oracle.house.exact == exactly("1.74")


def test_not_progressive_pot_stays_at_its_seed_and_its_reserve_takes_all() -> None:
    """Even past min_reseed_value nothing of a non-progressive pot's part reaches the pot."""
    oracle = ReferenceInstance(template(pot("a", min_reseed="0.03", is_progressive=False)))

    for _ in range(3):
        contribute(oracle)

    assert oracle.pots["a"].value.exact == 10
    assert oracle.pots["a"].reserve.exact == exactly("0.075")


@pytest.mark.parametrize(
    ("fund", "reserve", "value"),
    [("CollectToMinReseed", "0.03", "10.02"), ("CollectAlways", "0.0425", "10.0075")],
)
def test_fund_strategy_decides_where_seed_money_goes(fund: str, reserve: str, value: str) -> None:
    """A full reserve spills into the pot under CollectToMinReseed, never under CollectAlways."""
    oracle = ReferenceInstance(template(pot("a", min_reseed="0.03", fund=fund)))

    contribute(oracle)
    contribute(oracle)

    assert oracle.pots["a"].reserve.exact == exactly(reserve)
    assert oracle.pots["a"].value.exact == exactly(value)


def test_operator_share_lowers_the_debit_and_nothing_else() -> None:
    """House and pots split the whole contribution, whoever pays it."""
    oracle = ReferenceInstance(template(pot("a"), operator_share="0.4"))

    outcome = contribute(oracle)

    assert outcome.debit == exactly("0.06")
    assert outcome.amount == outcome.worth == oracle.received == exactly("0.1")


# --- amounts --------------------------------------------------------------------------------------

VARIABLE = {"Variable": {"min": "0.1", "max": 5, "default": "0.2"}}
IN_SEK = {"SEK": {"min": 1, "max": 50, "default": 2}}


@pytest.mark.parametrize(
    ("kind", "currency", "values", "preference", "amount", "worth"),
    [
        ({"Fixed": "0.1"}, "USD", None, None, "0.10762", "0.1"),
        ({"Fixed": "0.1"}, "JPY", {"JPY": {"default": 10}}, None, "10", "0.06159532"),
        ({"Fixed": "0.1"}, "SEK", IN_SEK, Preference(3, "SEK"), "2", "0.17129007"),
        ({"Percentage": "0.0775"}, "EUR", None, None, "0.0775", "0.0775"),
        (VARIABLE, "EUR", None, None, "0.2", "0.2"),
        (VARIABLE, "EUR", None, Preference("0.3", "EUR"), "0.3", "0.3"),
        (VARIABLE, "SEK", IN_SEK, None, "2", "0.17129007"),
        (VARIABLE, "SEK", IN_SEK, Preference(3, "SEK"), "3", "0.25693511"),
        (VARIABLE, "SEK", IN_SEK, Preference("0.3", "EUR"), "3.50283", "0.3"),
        (VARIABLE, "SEK", IN_SEK, Preference("4.5", "EUR"), "2", "0.17129007"),
        (VARIABLE, "USD", None, Preference("0.1", "EUR"), "0.10762", "0.1"),
        (VARIABLE, "USD", None, Preference("0.09", "EUR"), "0.21524", "0.2"),
    ],
)
def test_amount_and_worth_follow_preference_then_currency_values_then_default(
    kind: dict[str, Any],
    currency: str,
    values: dict[str, Any] | None,
    preference: Preference | None,
    amount: str,
    worth: str,
) -> None:
    """Each source of the amount in its turn, half-even to 1e-8, in both currencies."""
    oracle = ReferenceInstance(template(pot("a"), kind=kind, currency_values=values))

    outcome = contribute(oracle, currency=currency, preference=preference)

    assert (outcome.amount, outcome.worth) == (exactly(amount), exactly(worth))


def test_incoming_numbers_are_rounded_half_even() -> None:
    """A tie goes to the even unit, and a client's double becomes the decimal it meant."""
    oracle = ReferenceInstance(template(pot("a"), kind={"Percentage": 1}))

    for wager, units in (
        ("0.000000005", 0),
        ("0.000000015", 2),
        ("0.30000000000000004", 3 * 10**7),
    ):
        assert contribute(oracle, base_wager=wager).amount == Fraction(units, SCALE)


def test_floats_are_refused() -> None:
    """A float in a template or a call is a mistake of the test, not a number to be guessed."""
    with pytest.raises(TypeError, match="not an exact number"):
        ReferenceInstance(template(pot("a"), kind={"Fixed": 0.1}))


def test_percentage_outside_the_currencys_range_is_rejected_but_zero_is_not() -> None:
    """The range of currency_values binds a percentage, both ends included; 0 always passes."""
    values = {"EUR": {"min": "0.1", "max": "0.5", "default": "0.1"}}
    oracle = ReferenceInstance(template(pot("a"), kind={"Percentage": 1}, currency_values=values))

    for wager in ("0.09999999", "0.50000001"):
        assert refusal(oracle, base_wager=wager) == "ContributionOutOfRange"
    for wager in ("0", "0.1", "0.5"):
        assert contribute(oracle, base_wager=wager).amount == exactly(wager)
    assert oracle.received == exactly("0.6")


def test_refusals_change_nothing() -> None:
    """Negative wager, unknown currency, an instance that is not Active."""
    oracle = ReferenceInstance(template(pot("a")))

    assert refusal(oracle, base_wager="-0.01") == "NegativeWager"
    missing = oracle.contribute(base_wager=1, currency="CHF", multipliers=RATES)
    assert missing == Rejection("CURRENCY_MULTIPLIERS_NOT_FOUND", "CHF")
    oracle.status = "Paused"
    assert refusal(oracle) == "JackpotNotActive"
    assert oracle.received == 0


def test_one_currency_needs_no_multipliers() -> None:
    """A player in the jackpot's currency is never converted."""
    outcome = contribute(ReferenceInstance(template(pot("a"))), "a", multipliers={})

    assert outcome.win_amount == 10


# --- the chance -----------------------------------------------------------------------------------


def threshold(magic_number: int, cost: str, worth: str) -> int:
    return hit_threshold(Fraction(magic_number), exactly(cost), exactly(worth))


@pytest.mark.parametrize(
    ("magic_number", "cost", "worth", "expected"),
    [
        (5, "0.1", "0.1", DRAWS // 5),
        (2, "0.1", "0.3", DRAWS - DRAWS // 8),
        (4, "1", "1", DRAWS // 4),
        (8, "1", "3", DRAWS - DRAWS // 8**3 * 7**3),
        (2, "1", "64", DRAWS - 1),
        (2, "1", "65", DRAWS - 1),
        (4, "1", "0.5", floor((1 - Decimal("0.75").sqrt()) * 10**20) * DRAWS // 10**20),
        (2, "0.00000001", "90000000000", DRAWS - 1),
        (1, "0.1", "0.00000001", DRAWS),
        (1, "0.1", "0", 0),
        (7, "0.1", "0", 0),
        (7, "0", "0", DRAWS // 7),
        (7, "0", "5", DRAWS // 7),
        (1, "0", "0", DRAWS),
    ],
)
def test_threshold_of_known_chances(
    magic_number: int, cost: str, worth: str, expected: int
) -> None:
    """Exact where the chance is rational; certainty, no attempt and one free attempt."""
    assert abs(expected - threshold(magic_number, cost, worth)) <= (cost == "1" and worth == "0.5")


def test_o5_splitting_a_bet_never_changes_the_chance() -> None:
    """O5: ten bets of 0.10 at V = 1e6 are one of 1.00, 9.9999955000012e-7 and not 1e-6."""
    ten = threshold(10**7, "0.1", "1")
    one = Fraction(threshold(10**7, "0.1", "0.1"), DRAWS)

    assert abs(Fraction(ten, DRAWS) - exactly("9.9999955000012e-7")) < exactly("1e-18")
    assert abs(1 - (1 - one) ** 10 - Fraction(ten, DRAWS)) < Fraction(11, DRAWS)
    exponential = Fraction(threshold(10**14, "0.00000001", "1"), DRAWS)
    assert abs(exponential - exactly("9.999995000001667e-7")) < exactly("1e-18")


@pytest.mark.parametrize(
    "parts", [("0.05", "0.05"), ("0.03", "0.07"), ("0.00000001", "0.09999999")]
)
def test_o5_survival_of_the_parts_is_survival_of_the_whole(parts: tuple[str, str]) -> None:
    """Any split of a bet survives as often as the whole, to the last draws of 2^64."""
    survival = Fraction(1)
    for part in parts:
        survival *= 1 - Fraction(threshold(50, "0.1", part), DRAWS)

    assert abs(survival - (1 - Fraction(threshold(50, "0.1", "0.1"), DRAWS))) < Fraction(3, DRAWS)


@pytest.mark.parametrize("currency", ["EUR", "USD", "GBP", "SEK"])
def test_equal_money_has_equal_chance_in_every_currency(currency: str) -> None:
    """A default converted to the player's currency and back buys the same attempt."""
    outcome = contribute(ReferenceInstance(later_facts_template()), currency=currency)

    assert outcome.thresholds["minor", 0] == threshold(5, "0.1", "0.1")


# --- tips -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distance", "is_won", "is_doubtful"),
    [(-3, True, False), (-2, True, True), (0, False, True), (2, False, True), (3, False, False)],
)
def test_draw_near_the_threshold_is_a_doubt(distance: int, is_won: bool, is_doubtful: bool) -> None:
    """The oracle decides by draw < threshold, and says so where rounding might decide otherwise."""
    draws = [Draw("a", 0, threshold(1000, "0.1", "0.1") + distance)]

    outcome = contribute(ReferenceInstance(template(pot("a"))), draws=draws)

    assert (outcome.win_pot_id == "a") == is_won
    assert (Doubt("tip", "a") in outcome.doubts) == is_doubtful


def test_systems_threshold_settles_a_near_draw_and_must_itself_be_near() -> None:
    """A journalled threshold within 2 of the oracle's decides; a farther one is a disagreement."""
    own = threshold(1000, "0.1", "0.1")

    settled = contribute(
        ReferenceInstance(template(pot("a"))), draws=[Draw("a", 0, own, threshold=own + 1)]
    )

    assert (settled.win_pot_id, settled.doubts) == ("a", ())
    with pytest.raises(OracleDisagreementError, match="threshold should be"):
        contribute(ReferenceInstance(template(pot("a"))), draws=[Draw("a", 0, own, own + 3)])


def test_any_of_several_tipping_points_tips_the_pot() -> None:
    """The second point tips; then no draw of the first is needed."""
    rules = template(pot("a", hits=[(1000, "0.1"), (500, "0.1")]))

    for draws in ([Draw("a", 0, NEVER), Draw("a", 1, 0)], [Draw("a", 1, 0)]):
        assert contribute(ReferenceInstance(rules), draws=draws).win_pot_id == "a"


@pytest.mark.parametrize(
    "draws",
    [[], [Draw("b", 0, 0)], [Draw("a", 0, 0), Draw("a", 0, 1)], [Draw("a", 0, DRAWS)]],
)
def test_draws_must_be_complete_and_known(draws: list[Draw]) -> None:
    """A missing, foreign, doubled or oversized draw is a mistake of the test."""
    with pytest.raises(ValueError, match=r"draw|64 bits"):
        contribute(ReferenceInstance(template(pot("a"))), draws=draws)


def test_no_draw_is_needed_where_nothing_is_left_to_chance() -> None:
    """A contribution of 0 has no attempt; N = 1 is certainty."""
    zero = ReferenceInstance(template(pot("a", hits=[(1, "0.1")]), kind={"Percentage": 1}))
    sure = ReferenceInstance(template(pot("a", hits=[(1, "0.1")])))

    assert contribute(zero, base_wager=0, draws=[]).win_pot_id is None
    assert contribute(sure, draws=[]).win_pot_id == "a"


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
    assert outcome.doubts == ()


def test_tie_is_a_doubt_once_remainders_are_carried() -> None:
    """Equal exact pots may lie a unit apart in the real system, which then ranks them otherwise."""
    pots = (pot("a", "0.3", "5.005"), pot("b", "0.3", "5.005"))
    oracle = ReferenceInstance(template(*pots, kind={"Fixed": "0.00000003"}))

    outcome = contribute(oracle, "a", "b")

    assert outcome.win_pot_id == "a"
    assert outcome.doubts == (Doubt("choice", "b"),)


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


def test_never_more_leaves_than_an_exact_pot_holds() -> None:
    """A pot of 9.9999999965 that a system of whole units paid as 10 is emptied, not overdrawn."""
    rules = template(pot("a", "0.33", "9.99999998", min_reseed="0"), kind={"Percentage": 1})
    oracle = ReferenceInstance(rules)

    outcome = contribute(oracle, "a", base_wager="0.00000005", observed=[PaidWin("a", 10)])

    assert outcome.win_amount == 10
    assert outcome.wins[0].left_pot == outcome.pots["a"] < 10
    assert oracle.pots["a"].value.exact == 0
    assert oracle.paid.admits(10 * SCALE)


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

    expected = Win(
        "a", exactly("10.01"), exactly("10.01"), Fraction(10), exactly("9.93625"), pot_closed=False
    )
    assert win == expected
    assert oracle.pots["a"].value.exact == exactly("10.00125")
    assert oracle.pots["a"].reserve.exact == 0
    assert oracle.deficits.exact == exactly("9.93625")


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


# --- following the system -------------------------------------------------------------------------


def adrift() -> ReferenceInstance:
    """A pot of exactly 10 whose accounts carry remainders: the real one may hold 9.99999999."""
    rules = template(
        pot("a", "0.3", "9.9999998", seed_share="0"), pot("b", "0.2"), kind={"Percentage": 1}
    )
    oracle = ReferenceInstance(rules)
    for wager in ("0.00000033", "0.00000033"):
        contribute(oracle, base_wager=wager)
    return oracle


def test_observed_win_may_lie_a_minor_unit_away_only_across_a_boundary() -> None:
    """0.00000001 more or less is a cent at a boundary; without what was observed it is a doubt."""
    for paid in ("9.99", "10"):
        call = {"base_wager": "0.00000001", "observed": [PaidWin("a", paid)]}
        outcome = contribute(adrift(), "a", **call)
        assert outcome.win_amount == exactly(paid)
        assert outcome.doubts == (Doubt("amount", "a"),)
    for paid in ("9.98", "10.01", "9.995"):
        with pytest.raises(OracleDisagreementError, match="cannot be"):
            contribute(adrift(), "a", base_wager="0.00000001", observed=[PaidWin("a", paid)])


def test_observed_win_must_be_exact_while_every_share_divides() -> None:
    """No remainder was carried, so there is no rounding to excuse a cent."""
    with pytest.raises(OracleDisagreementError, match="cannot be"):
        contribute(ReferenceInstance(template(pot("a"))), "a", observed=[PaidWin("a", "9.99")])


@pytest.mark.parametrize(
    ("strategy", "observed"),
    [
        ("Highest", []),
        ("Highest", ["low"]),
        ("Highest", ["same"]),
        ("Lowest", ["high"]),
        ("Highest", ["low", "high"]),
        ("All", ["low", "high"]),
        ("All", ["high", "low", "same"]),
        ("All", ["low", "high", "same", "same"]),
    ],
)
def test_wrong_winners_are_a_disagreement(strategy: str, observed: list[str]) -> None:
    """Nobody, the wrong pot, the later of equals, too many, too few, out of order, twice."""
    value = {"low": "5", "high": "20", "same": "20"}
    oracle = ReferenceInstance(template(*THREE, strategy=strategy))

    with pytest.raises(OracleDisagreementError):
        contribute(
            oracle,
            "low",
            "high",
            "same",
            observed=[PaidWin(name, value[name]) for name in observed],
        )


def test_pot_that_did_not_tip_cannot_have_paid() -> None:
    """Its draw was far above the threshold."""
    with pytest.raises(OracleDisagreementError, match="cannot be"):
        contribute(ReferenceInstance(template(pot("a"))), observed=[PaidWin("a", 10)])


@pytest.mark.parametrize("observed", [[], [PaidWin("a", "0.01")]])
def test_observed_decides_whether_a_pot_at_a_minor_unit_was_payable(
    observed: list[PaidWin],
) -> None:
    """An exact 0.010000001 may be 0.00999999… in whole units, and then cannot be won."""
    rules = template(pot("a", "0.33", "0.01", min_reseed="0"), kind={"Percentage": 1})

    outcome = contribute(ReferenceInstance(rules), "a", base_wager="0.00000001", observed=observed)

    assert outcome.doubts == (Doubt("payable", "a"),)
    assert len(outcome.wins) == len(observed)


def test_spill_before_and_after_the_first_remainder_is_counted_after_it() -> None:
    """A reserve that was full while all was exact still passes on the remainders that come later."""
    rules = template(pot("a", "0.5", min_reseed="0", seed_share="0.5"), kind={"Percentage": 1})
    oracle = ReferenceInstance(rules)

    contribute(oracle, base_wager=1)
    before = oracle.pots["a"].value.slack
    contribute(oracle, base_wager="0.00000001")

    assert [before, oracle.pots["a"].value.slack] == [0, 2]


@pytest.mark.parametrize("paid", [True, False])
def test_observed_decides_an_undecidable_draw(paid: bool) -> None:
    """On the threshold itself the system may have tipped or not; the oracle follows."""
    draws = [Draw("a", 0, threshold(1000, "0.1", "0.1"))]
    observed = [PaidWin("a", 10)] if paid else []

    outcome = contribute(ReferenceInstance(template(pot("a"))), draws=draws, observed=observed)

    assert (outcome.win_pot_id == "a") == paid


# --- the template ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"jackpot_type": "Raffle"},
        {"withhold_wins_above": 100},
        {"pots": [pot("a", max_pot_value=100)]},
        {"pots": [pot("a", criteria={"min_base_wager": 1})]},
        {"pots": [pot("a", pot_types=[{"Value": {"min": 1, "max": 2}}])]},
        {"pots": [pot("a", fund="Never")]},
    ],
)
def test_template_outside_the_model_is_refused(change: dict[str, Any]) -> None:
    """The oracle never ignores a rule that it does not know."""
    with pytest.raises(OutsideTheModelError):
        ReferenceInstance({**template(pot("a")), **change})


def test_shares_must_add_up_to_one() -> None:
    """House 0.3 and one pot of 0.25 lose 0.45."""
    with pytest.raises(ValueError, match="exactly 1"):
        ReferenceInstance(template(pot("a"), house_hold_contribution={"Percentage": "0.3"}))


# --- against a system of whole units --------------------------------------------------------------


class StandIn:
    """A faithful system in miniature: whole units, each share's remainder carried to the next."""

    def __init__(self, start: ReferenceInstance) -> None:
        self.rules = {name: held.rules for name, held in start.pots.items()}
        self.shares = {name: held.share for name, held in start.pots.items()}
        self.house_share = 1 - sum(self.shares.values(), Fraction(0))
        self.pots = {name: int(rule.initial_seed * SCALE) for name, rule in self.rules.items()}
        self.reserves = dict.fromkeys(self.rules, 0)
        self.cycle = dict.fromkeys(self.rules, 1)
        self.open = list(self.rules)
        self.carried: dict[str, Fraction] = {}
        self.seeds = sum(self.pots.values())
        self.house = self.received = self.paid = self.deficits = 0

    def whole(self, account: str, part: Fraction) -> int:
        part += self.carried.get(account, Fraction(0))
        self.carried[account] = part - floor(part)
        return floor(part)

    def receive(self, units: int) -> None:
        self.received += units
        self.house += self.whole("house", units * self.house_share)
        for name in self.open:
            rule, part = self.rules[name], units * self.shares[name]
            seed_share = rule.seed_share if rule.is_progressive else Fraction(1)
            growth = self.whole(f"{name} growth", part * (1 - seed_share))
            seed = self.whole(f"{name} seed", part * seed_share)
            kept = seed
            if rule.is_progressive and not rule.collects_always:
                kept = min(seed, max(int(rule.min_reseed * SCALE) - self.reserves[name], 0))
            if rule.is_progressive and self.cycle[name] == rule.cycles_max:
                kept = 0
            self.pots[name] += growth + seed - kept
            self.reserves[name] += kept

    def winners(self, tipped: Sequence[str], strategy: str, rate: Fraction) -> list[str]:
        won = [name for name in self.open if name in tipped and self.payable(name, rate) > 0]
        if strategy == "All" or not won:
            return won
        return [(min if strategy == "Lowest" else max)(won, key=lambda name: self.pots[name])]

    def payable(self, name: str, rate: Fraction) -> Fraction:
        """In a currency of two decimals, `rate` of them for one of the jackpot's."""
        return Fraction(floor(Fraction(self.pots[name], SCALE) * rate * 100), 100)

    def settle(self, name: str, left: int) -> None:
        self.pots[name] -= left
        self.paid += left
        rule, least = self.rules[name], int(self.rules[name].min_reseed * SCALE)
        if self.cycle[name] == rule.cycles_max:
            self.close(name)
            return
        held = self.reserves[name]
        taken = held if rule.reseeds_whole_reserve else min(held, least)
        self.reserves[name] -= taken
        self.pots[name] += max(taken, least)
        self.deficits += max(least - taken, 0)
        self.cycle[name] += 1

    def close(self, name: str) -> None:
        self.open.remove(name)
        if not self.open:
            return
        total = sum((self.shares[heir] for heir in self.open), Fraction(0))
        leftover = self.pots[name] + self.reserves[name]
        self.pots[name] = self.reserves[name] = 0
        for heir in self.open:
            weight = self.shares[heir] / total
            grows = self.rules[heir].is_progressive
            account, accounts = ("growth", self.pots) if grows else ("seed", self.reserves)
            accounts[heir] += self.whole(f"{heir} {account}", leftover * weight)
            self.shares[heir] += self.shares[name] * weight
        self.shares[name] = Fraction(0)

    def books(self) -> RealBooks:
        residual = sum(self.carried.values())
        assert residual == int(residual)
        return RealBooks(
            house=self.house,
            pots=dict(self.pots),
            reserves=dict(self.reserves),
            residual=int(residual),
            received=self.received,
            paid=self.paid,
            deficits=self.deficits,
            initial_seeds=self.seeds,
        )


def play(rules: Json, seed: int, contributions: int = 300) -> tuple[ReferenceInstance, StandIn]:
    """Stand-in and oracle side by side, the books compared after every contribution."""
    rng = random.Random(seed)
    oracle = ReferenceInstance(rules)
    system = StandIn(oracle)
    for _ in range(contributions):
        if oracle.status != "Active":
            break
        currency = rng.choice(["EUR", "USD", "SEK"])
        rate = exactly(str(RATES[currency]))
        wager = Fraction(rng.randint(1, 5 * 10 ** rng.randint(1, 8)), SCALE)
        tipped = [name for name in oracle.pots if rng.random() < 0.1]
        system.receive(int(to_scale(wager / rate) * SCALE))
        names = system.winners(tipped, rules["win_selector_strategy"], rate)
        paid = [PaidWin(name, system.payable(name, rate)) for name in names]
        for win in paid:
            left = int(to_scale(Fraction(win.amount) / rate) * SCALE)
            system.settle(win.pot_id, min(left, system.pots[win.pot_id]))
        draws = [Draw(name, 0, 0 if name in tipped else NEVER) for name in oracle.pots]
        contribute(oracle, base_wager=wager, currency=currency, draws=draws, observed=paid)
        assert oracle.differences(system.books()) == []
    return oracle, system


def played_template(strategy: str, fund: str, reseed: str) -> Json:
    shared = {"fund": fund, "reseed": reseed, "hits": [(2, 0)], "min_reseed": "0.4"}
    return template(
        pot("a", "0.07", "0.3", **shared, max_instantiation_count=5),
        pot("b", "0.111", "0.3", **shared, seed_share="0.333"),
        pot("c", "0.23", "2", **shared, is_progressive=False),
        pot("d", "0.31", "0.5", **shared, max_instantiation_count=9),
        kind={"Percentage": 1},
        strategy=strategy,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reseed", ["Full", "WholeReserve"])
@pytest.mark.parametrize("fund", ["CollectToMinReseed", "CollectAlways"])
@pytest.mark.parametrize("strategy", ["Highest", "Lowest", "All"])
def test_faithful_system_of_whole_units_is_never_accused(
    strategy: str, fund: str, reseed: str, seed: int
) -> None:
    """Random money in three currencies, wins, deficits, closings: no difference at any step."""
    oracle, system = play(played_template(strategy, fund, reseed), seed)

    assert system.paid > 0
    assert system.deficits > 0
    assert max(held.value.slack for held in oracle.pots.values()) < 2 * 300


def test_played_instances_do_close_pots_and_end() -> None:
    """The random play reaches closings and, where all pots are limited, Ended."""
    rules = played_template("All", "CollectAlways", "Full")
    for item in rules["pots"]:
        item["max_instantiation_count"] = 4

    oracle, system = play(rules, seed=7)

    assert oracle.status == "Ended"
    assert system.open == []


@pytest.mark.parametrize(
    ("account", "units"),
    [("house", 2), ("residual", 1), ("paid", 1), ("deficits", 1), ("received", 1), ("pots", 1)],
)
def test_lost_units_are_found(account: str, units: int) -> None:
    """One unit out of the sum is always found, whichever account it is missing from."""
    oracle, system = play(played_template("Highest", "CollectAlways", "Full"), seed=1)
    books = system.books()

    if account == "pots":
        wrong = replace(books, pots={**books.pots, "a": books.pots["a"] - units})
    else:
        wrong = replace(books, **{account: getattr(books, account) - units})

    assert any("sum" in line for line in oracle.differences(wrong))


def test_unit_moved_between_accounts_is_found_beyond_the_slack() -> None:
    """The sum is right, and still no account may lie farther off than remainders allow."""
    oracle = ReferenceInstance(template(pot("a", "0.3"), kind={"Percentage": 1}))
    contribute(oracle, base_wager="0.00000001")
    real = RealBooks(0, {"a": 10 * SCALE}, {"a": 0}, 1, 1, 0, 0, 10 * SCALE)

    assert oracle.differences(real) == []
    assert oracle.differences(replace(real, house=1, residual=0)) == []
    moved = replace(real, house=2, residual=-1)
    assert oracle.differences(moved) == ["house: 2 units, exactly 0.7 ± 1"]


def test_not_a_unit_may_be_off_while_every_share_divides() -> None:
    """Without remainders there is nothing to excuse: exact means exact."""
    oracle = ReferenceInstance(template(pot("a", "0.3", seed_share="0.5")))
    contribute(oracle)
    real = RealBooks(
        house=7_000_000,
        pots={"a": 1_001_500_000},
        reserves={"a": 1_500_000},
        residual=0,
        received=10_000_000,
        paid=0,
        deficits=0,
        initial_seeds=10 * SCALE,
    )

    assert oracle.differences(real) == []
    moved = replace(real, house=7_000_001, pots={"a": 1_001_499_999})
    assert len(oracle.differences(moved)) == 2


def test_books_must_name_the_same_pots() -> None:
    """A pot that the real books do not know cannot be compared."""
    oracle = ReferenceInstance(template(pot("a")))

    assert "not ['a']" in oracle.differences(RealBooks(0, {}, {}, 0, 0, 0, 0, 0))[-1]
