"""Transitions of an instance and of a player: legal, illegal, and nothing changed."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import decide, ledger, operating, rejections
from jackpotd.core import evolve as transitions
from jackpotd.core.commands import Bet, ChangeStatus, Contribute, OptIn
from jackpotd.core.events import OptInChanged, PotWon, StatusChanged
from jackpotd.core.ledger import InvariantViolation
from jackpotd.core.money import SCALE, UNITS_MAX
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import Fixed, Percentage, ValueRange, Variable
from jackpotd.core.state import (
    STATUS_CHANGES,
    UNKNOWN_PLAYER,
    Definition,
    Instance,
    Player,
    Status,
)
from jackpotd.testing.sealed import SealedPlay
from jackpotd.testing.templates import compiled, random_template, rates

PLAY = SealedPlay("id")
LEGAL = {
    ("Pending", "Active"),
    ("Pending", "Terminated"),
    ("Active", "Paused"),
    ("Active", "Terminated"),
    ("Paused", "Active"),
    ("Paused", "Terminated"),
    ("Ended", "Terminated"),
}


def instance(status: Status = Status.ACTIVE, **changes: Any) -> Instance:
    """An instance of one pot for `op:a`, without an opt-in, that pays on one draw in two."""
    template = random_template(random.Random(2))
    template |= {"currency": "EUR", "house_hold_contribution": {"Percentage": "0.5"}}
    template["contribution_rules"] = {
        "opt_in_required": False,
        "contribution_type": {"Percentage": "1"},
    }
    template["pots"] = [template["pots"][0] | {"contribution": {"Percentage": "0.5"}}]
    template["pots"][0] |= {"is_progressive": True, "max_instantiation_count": None}
    rules = replace(compiled(template), **changes)
    return PLAY.begun(transitions.create(Definition("id", "", "op", "t", "op", 0, rules), status))


def contribute(state: Instance, **changes: Any) -> Contribute:
    bet = Bet("op:a", "anna", "MT", ("vip",), "slots", "EUR", SCALE, None, "gameround", None)
    of_bet = {name: changes.pop(name) for name in bet.__struct_fields__ if name in changes}
    fields: dict[str, Any] = {
        "at_ms": 5,
        "round_id": "round",
        "streams": PLAY.streams(state),
        "bet": replace(bet, **of_bet),
        "rates": rates(),
    }
    return Contribute(**(fields | changes))


def opt_in(**changes: Any) -> OptIn:
    fields: dict[str, Any] = {
        "at_ms": 5,
        "brand": "op:a",
        "player_id": "anna",
        "country": "MT",
        "opt_in": True,
        "preferred": None,
        "preferred_currency": None,
        "rates": rates(),
    }
    return OptIn(**(fields | changes))


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Status, Status)))
def test_transitions_of_state_are_those_of_the_contract(before: Status, after: Status) -> None:
    """Pending to Active, Active to and from Paused, anything to Terminated; every other one is INVALID_STATE."""
    state = instance(before)
    outcome = operating.decide(state, ChangeStatus(5, after, "why", "who"))

    assert ((str(before), str(after)) in LEGAL) is (after in STATUS_CHANGES[before])
    if (str(before), str(after)) in LEGAL:
        assert [StatusChanged(5, after, "why", "who")] == outcome
        assert isinstance(outcome, list)
        assert replace(state, status=after, updated_ms=5) == transitions.evolve(state, outcome[0])
    else:
        assert isinstance(outcome, Rejection)
        assert outcome.code is Code.INVALID_STATE


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTIVE])
def test_transitions_refuse_contributions_unless_active(status: Status) -> None:
    """Only an Active instance takes money."""
    state = instance(status)

    assert rejections.JACKPOT_NOT_ACTIVE == decide.contribute(
        state, UNKNOWN_PLAYER, contribute(state)
    )


@pytest.mark.parametrize(
    ("rules", "command", "expected"),
    [
        ({}, {"wager": -1}, rejections.NEGATIVE_WAGER),
        ({}, {"brand": "op:b"}, rejections.unsupported_brand("op:b")),
        ({"allowed_countries": frozenset({"SE"})}, {}, rejections.COUNTRY_NOT_ALLOWED),
        (
            {"allowed_countries": frozenset({"SE"})},
            {"country": None},
            rejections.COUNTRY_NOT_ALLOWED,
        ),
        ({"blocked_countries": frozenset({"MT"})}, {}, rejections.COUNTRY_NOT_ALLOWED),
        ({"allowed_segments": frozenset({"gold"})}, {}, rejections.SEGMENT_NOT_ALLOWED),
        (
            {"allowed_segments": frozenset({"gold"})},
            {"segments": None},
            rejections.SEGMENT_NOT_ALLOWED,
        ),
        ({"allowed_verticals": frozenset({"bingo"})}, {}, rejections.VERTICAL_NOT_ALLOWED),
        (
            {"allowed_verticals": frozenset({"bingo"})},
            {"vertical": None},
            rejections.VERTICAL_NOT_ALLOWED,
        ),
        ({"opt_in_required": True}, {}, rejections.PLAYER_NOT_OPTED_IN),
        ({}, {"currency": "CHF"}, rejections.multipliers_not_found("CHF")),
        ({}, {"rates": {"USD": 1}, "currency": "USD"}, rejections.multipliers_not_found("EUR")),
        (
            {"currency_values": {"JPY": ValueRange(5, 6, 5)}},
            {"currency": "JPY"},
            rejections.CONTRIBUTION_OUT_OF_RANGE,
        ),
        ({}, {"wager": UNITS_MAX, "currency": "XAU"}, rejections.CONTRIBUTION_OUT_OF_RANGE),
    ],
)
def test_transitions_refuse_what_a_rule_keeps_out(
    rules: dict[str, Any], command: dict[str, Any], expected: Rejection
) -> None:
    """Each rule has its own word, and a refusal is only a value."""
    state = instance(**rules)

    assert expected == decide.contribute(state, UNKNOWN_PLAYER, contribute(state, **command))
    assert instance(**rules) == state


def test_transitions_of_an_opt_in_are_refused_unless_active_or_paused() -> None:
    """Opt-in works while Active or Paused; elsewhere it is OPTIN_ERROR."""
    for status in Status:
        outcome = decide.opt_in(instance(status), UNKNOWN_PLAYER, opt_in())
        allowed = status in (Status.ACTIVE, Status.PAUSED)
        assert isinstance(outcome, list) is allowed
        assert allowed or rejections.OPT_IN_JACKPOT_NOT_ACTIVE == outcome


@pytest.mark.parametrize(
    ("preferred", "currency", "expected"),
    [
        (SCALE, None, None),
        (5 * SCALE, "EUR", None),
        (5 * SCALE + 1, None, rejections.PREFERENCE_OUT_OF_RANGE),
        (SCALE // 10 - 1, "EUR", rejections.PREFERENCE_OUT_OF_RANGE),
        (6 * SCALE, "USD", rejections.PREFERENCE_OUT_OF_RANGE),
        (5 * SCALE, "USD", None),
        (10 * SCALE, "JPY", None),
        (9 * SCALE, "JPY", rejections.PREFERENCE_OUT_OF_RANGE),
        (SCALE, "CHF", rejections.multipliers_not_found("CHF")),
        (-SCALE, "EUR", rejections.PREFERENCE_OUT_OF_RANGE),
    ],
)
def test_transitions_of_a_preference_stay_in_its_range(
    preferred: int, currency: str | None, expected: Rejection | None
) -> None:
    """A preference is measured in its currency's own values, or converted to the template's range."""
    state = instance(
        contribution=Variable(ValueRange(SCALE // 10, 5 * SCALE, SCALE)),
        currency_values={"JPY": ValueRange(10 * SCALE, 500 * SCALE, 10 * SCALE)},
    )
    command = opt_in(preferred=preferred, preferred_currency=currency)
    outcome = decide.opt_in(state, replace(UNKNOWN_PLAYER, count=3, value=7), command)
    if expected is not None:
        assert expected == outcome
        return
    changed = OptInChanged(5, "op:a", "anna", True, preferred, currency or "EUR", 3, 7)
    assert [changed] == outcome


def test_transitions_out_of_a_jackpot_are_always_open() -> None:
    """Nothing keeps a player in: no brand, country or preference stands against an opt-out, and it keeps no choice."""
    state = instance(blocked_countries=frozenset({"MT"}))
    refused = (
        (opt_in(), rejections.OPT_IN_COUNTRY_NOT_ALLOWED),
        (opt_in(country=None, brand="op:b"), rejections.unsupported_brand("op:b")),
        (opt_in(country=None, preferred=1), rejections.PREFERENCE_NOT_SUPPORTED),
    )
    for command, expected in refused:
        assert expected == decide.opt_in(state, UNKNOWN_PLAYER, command)
        leaving = replace(command, opt_in=False)
        out = OptInChanged(5, command.brand, "anna", False, None, None, 0, 0)
        assert [out] == decide.opt_in(state, UNKNOWN_PLAYER, leaving)


@pytest.mark.parametrize(("share", "wager"), [(0, SCALE), (SCALE // 2, SCALE), (SCALE - 1, SCALE)])
def test_transitions_refuse_a_debit_that_no_wallet_can_make(share: int, wager: int) -> None:
    """Where the brand has no wallet, only what the operator pays whole, or nothing, is taken."""
    state, whole = instance(operator_share=share), instance(operator_share=SCALE)
    command = contribute(state, wager=wager, can_debit=False)
    expected = rejections.wallet_not_configured("op:a")

    assert expected == decide.contribute(state, UNKNOWN_PLAYER, command)
    for taken, asked in (
        (whole, command),
        (state, replace(command, bet=replace(command.bet, wager=0))),
    ):
        assert isinstance(decide.contribute(taken, UNKNOWN_PLAYER, asked), list)


@pytest.mark.parametrize("contribution", [Fixed(SCALE), Percentage(SCALE)])
def test_transitions_refuse_a_preference_where_nothing_can_be_chosen(
    contribution: Fixed | Percentage,
) -> None:
    """A preferred value on a jackpot that is not Variable is OPTIN_ERROR."""
    outcome = decide.opt_in(
        instance(contribution=contribution), UNKNOWN_PLAYER, opt_in(preferred=SCALE)
    )

    assert rejections.PREFERENCE_NOT_SUPPORTED == outcome


def test_transitions_of_a_player_follow_their_own_events_only() -> None:
    """Opt-ins set and clear preferences, contributions count, and an instance's own events leave a player alone."""
    changed = OptInChanged(5, "op:a", "anna", True, SCALE, "EUR")
    first = transitions.evolve_player(UNKNOWN_PLAYER, changed)
    second = transitions.evolve_player(
        first, replace(changed, preferred=2, preferred_currency="USD")
    )
    out = transitions.evolve_player(second, OptInChanged(6, "op:a", "anna", False, None, None))
    again = transitions.evolve_player(out, OptInChanged(7, "op:a", "anna", True, None, None))

    assert Player(True, (("EUR", SCALE),), 0, 0, (), 5) == first
    assert (("EUR", SCALE), ("USD", 2)) == second.preferences
    assert (False, second.preferences) == (out.opted_in, out.preferences)
    assert (True, ()) == (again.opted_in, again.preferences)
    assert again is transitions.evolve_player(again, StatusChanged(8, Status.PAUSED, "", ""))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0, 2**48))
def test_transitions_never_change_a_state_in_place(seed: int) -> None:
    """Deciding and evolving leave the states that they were given as they were, and repeat to the same result."""
    rng = random.Random(seed)
    rules = replace(compiled(random_template(rng)), opt_in_required=False)
    state = transitions.create(Definition("id", "", "op", "t", "op", 0, rules), Status.ACTIVE)
    state = SealedPlay("id", seed).begun(state)
    for _ in range(20):
        before, text = state, repr(state)
        streams = SealedPlay("id", rng.getrandbits(64)).streams(state)
        command = contribute(state, streams=streams, wager=rng.randint(0, 10**9))
        events = decide.contribute(state, UNKNOWN_PLAYER, command)
        assert events == decide.contribute(state, UNKNOWN_PLAYER, command)
        if isinstance(events, Rejection):
            break
        for item in events:
            state = transitions.evolve(state, item)
        wins = [item.pot for item in events if isinstance(item, PotWon)]
        assert text == repr(before)
        assert state.version == before.version + len(wins)
        assert len(wins) == len(set(wins))


def test_transitions_to_books_that_do_not_add_up_are_a_violation() -> None:
    """One unit in the wrong place, a negative pot, or a residual that is not whole: nothing may go on."""
    state = instance()
    ledger.check(state)
    pot = state.pots[0]
    below = replace(pot, value=-1, reserve=pot.reserve + pot.value + 1)
    for wrong in (
        replace(state, house=1),
        replace(state, payouts=-1),
        replace(state, pots=(below,)),
        replace(state, carried=(1, *state.carried[1:])),
    ):
        with pytest.raises(InvariantViolation):
            ledger.check(wrong)
    assert 0 == sum(ledger.accounts(state).values()) == ledger.imbalance(state)
