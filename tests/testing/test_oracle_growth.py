"""The oracle by itself: what a contribution is, how it grows house, pots and reserves, which templates it knows."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from jackpotd.testing.cases import pot, template
from jackpotd.testing.reference_model import (
    SCALE,
    OutsideTheModelError,
    Preference,
    ReferenceInstance,
    Rejection,
)

from .oracle_cases import contribute, exactly, play, refusal

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


def later_facts_template() -> dict[str, Any]:
    pots = [("minor", 0.25, 10, 5), ("major", 0.25, 100, 25), ("mega", 0.2, 1000, 100)]
    texts = tuple(
        LATER_FACTS_POT % (name, share, seed, seed, odds) for name, share, seed, odds in pots
    )
    parsed: dict[str, Any] = json.loads(LATER_FACTS % texts, parse_float=Decimal)
    return parsed


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
    assert oracle.jackpot.ledger.house.exact == exactly("1.74")


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
    assert outcome.amount == outcome.worth == exactly("0.1")
    assert oracle.jackpot.ledger.players.exact == exactly("0.06")
    assert oracle.jackpot.ledger.operator.exact == exactly("10.04")  # with the seed


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
    assert oracle.jackpot.ledger.players.exact == exactly("0.6")


def test_refusals_change_nothing() -> None:
    """Negative wager, unknown currency, an instance that is not Active."""
    oracle = ReferenceInstance(template(pot("a")))

    assert refusal(oracle, base_wager="-0.01") == "NegativeWager"
    missing = oracle.contribute(play(currency="CHF"))
    assert missing == Rejection("CURRENCY_MULTIPLIERS_NOT_FOUND", "CHF")
    oracle.change_status("Paused")
    assert refusal(oracle) == "JackpotNotActive"
    assert oracle.jackpot.contributions == 0
    assert oracle.jackpot.ledger.players.exact == 0


def test_one_currency_needs_no_multipliers() -> None:
    """A player in the jackpot's currency is never converted."""
    outcome = contribute(ReferenceInstance(template(pot("a"))), "a", multipliers={})

    assert outcome.win_amount == 10


# --- the template ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"jackpot_type": "Raffle"},
        {"pots": [pot("a", points=[{"Bell": {"rings": 1}}])]},
        {"pots": [pot("a", fund="Never")]},
        {"pots": [pot("a", community_payout={"share": 0, "strategies": [{"Loudest": {}}]})]},
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


def test_strategies_must_share_what_the_community_gets() -> None:
    """Half for the community and one strategy of a fifth leave three tenths without an owner."""
    strategies = [{"HighestLifetimeContributor": {"share": "0.2", "winners": 1}}]
    half = {"share": "0.5", "strategies": strategies}

    with pytest.raises(ValueError, match="exactly what"):
        ReferenceInstance(template(pot("a", community_payout=half)))
