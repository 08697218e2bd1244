"""What a review of the core found, by name: each of these cases once went wrong."""

import pytest

from jackpotd.core import ledger, rejections
from jackpotd.core.commands import DecideHeldWin
from jackpotd.core.events import CommunityPaid, PotWon
from jackpotd.core.evolve_rare import trigger_id
from jackpotd.core.money import UNITS_MAX
from jackpotd.core.rejections import Rejection
from jackpotd.testing.cases import (
    WHOLE_WAGER,
    bet,
    community,
    pot,
    secret_where,
    template,
    to_active,
    trigger,
    units,
    value_point,
)
from jackpotd.testing.core_driver import Done
from jackpotd.testing.oracle_pair import Pair
from jackpotd.testing.templates import Json

HOUR_MS = 3_600_000
BY_TRIGGER: Json = {"hits": [], "seed_share": "0", "supports_external_trigger": True}


def contribute(pair: Pair, wager: str | int = 1, who: str = "anna", at_ms: int = 0) -> Done:
    done = pair.contribute(bet(wager, who), max(at_ms, pair.at_ms), f"round {len(pair.core.log)}")
    assert isinstance(done, Done), done
    return done


# --- (a) hidden values and reserves ---------------------------------------------------------------


def test_whole_reserve_beyond_a_hidden_value_never_makes_two_wins_for_sure() -> None:
    """A reserve of 500 once seeded the pot past its max of 20, so that whoever came next had won."""
    hidden_high = secret_where(
        lambda stream: all(
            stream.hidden_value(0, units(11) + floor, units(20)) > units(19) for floor in (0, 1)
        )
    )
    rules = pot(
        "a",
        "1",
        hits=[],
        points=[value_point("11", "20")],
        seed_share="0.5",
        fund="CollectAlways",
        reseed="WholeReserve",
    )
    pair = Pair(template(rules, kind=WHOLE_WAGER), secret_of=lambda _pot, _number: hidden_high)

    for _ in range(3):
        assert contribute(pair, 500).of(PotWon)
        assert pair.core.state.pots[0].value == units(11)
        assert not contribute(pair, "0.01").of(PotWon)


# --- (c) nothing for nothing ----------------------------------------------------------------------


@pytest.mark.parametrize("wager", [0, "0.01"])
def test_base_wager_of_nothing_takes_no_part_of_a_community(wager: int | str) -> None:
    """Bert contributed a day ago, and once more now; he is active if that was worth something."""
    shared = pot("a", "1", **BY_TRIGGER, community_payout=community(to_active("0.5", 2, hours=1)))
    pair = Pair(template(shared, kind=WHOLE_WAGER))
    contribute(pair, who="bert")
    last = pair.core.player(("op:a", "bert")).last

    contribute(pair, wager, who="bert", at_ms=24 * HOUR_MS)
    done = pair.trigger(trigger("a", at_ms=24 * HOUR_MS + 1, round_id="hand"))

    assert isinstance(done, Done)
    assert bool(done.of(CommunityPaid)) is (wager != 0)
    assert (pair.core.player(("op:a", "bert")).last == last) is (wager == 0)


def test_nothing_is_a_contribution_where_the_operator_pays_everything() -> None:
    """Then nobody's worth says who plays: a player of 0 is active."""
    free = pot("a", "1", seed_share="0", hits=[(2, "0")], supports_external_trigger=True)
    free |= {"community_payout": community(to_active("0.5", 2))}
    pair = Pair(
        template(free, kind={"Fixed": "0"}, operator_share="1"),
        secret_of=lambda _pot, _number: secret_where(lambda s: s.draw(0, 0) >= 2**63),
    )
    contribute(pair, 0, who="bert")

    done = pair.trigger(trigger("a", at_ms=1, round_id="hand"))

    assert isinstance(done, Done)
    assert [each.winner.player_id for paid in done.of(CommunityPaid) for each in paid.payouts] == [
        "bert"
    ]


# --- (d) rejected wins ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"max_pot_value": "25"}, "25"),
        ({"is_progressive": False}, "10"),
        ({"points": [value_point("12", "25")]}, "12"),
        ({}, "110"),
    ],
)
@pytest.mark.parametrize("of_itself", [True, False])
def test_rejected_win_goes_where_other_money_goes(
    changes: Json, value: str, of_itself: bool
) -> None:
    """100 come back to a pot of 10, its own or those of a pot that is used up: what does not fit is its reserve's."""
    heir = pot("a", "1", "10", **{**BY_TRIGGER, **changes})
    once = pot("b", "0", "100", **BY_TRIGGER, min_reseed="0", max_instantiation_count=1)
    pair = Pair(template(heir, once, kind=WHOLE_WAGER, withhold_wins_above="20"))
    lost = "b"
    if of_itself:
        if changes:
            return  # a pot that holds no more than it may gives back no more either
        lost = "a"
        contribute(pair, 90)
    won = pair.trigger(trigger(lost, at_ms=0, round_id="hand"))
    assert isinstance(won, Done)
    (held,) = won.of(PotWon)

    found = pair.operate(
        DecideHeldWin(0, held.round_id, lost, False, "dora", "why"),
        lambda: pair.oracle.decide_held(held.round_id, lost, release=False),
        "rejection",
    )

    assert isinstance(found, Done)
    after = pair.core.state.pots[0]
    assert (after.value, after.reserve) == (units(value), units(110) - units(value))
    assert ledger.accounts(pair.core.state)["withheld"] == 0


# --- (e) triggers ---------------------------------------------------------------------------------


def test_triggers_of_pots_whose_names_run_into_their_rounds_are_two() -> None:
    """Pot `a` with round `b c`, and pot `a b` with round `c`: each is taken, and each only once."""
    names = ("a", "b c"), ("a b", "c")
    pots = [pot(name, "0.5", **BY_TRIGGER) for name, _ in names]
    pair = Pair(template(*pots, kind=WHOLE_WAGER))

    for name, reference in names:
        assert isinstance(pair.trigger(trigger(name, at_ms=0, round_id=reference)), Done)
    again = [pair.core.operate(trigger(name, at_ms=0, round_id=each)) for name, each in names]

    assert len({trigger_id(*each) for each in names}) == 2
    assert all(isinstance(each, Rejection) for each in again)


# --- (f) the bound of money -----------------------------------------------------------------------


@pytest.mark.parametrize("ceiling", [UNITS_MAX - units(1), None])
def test_pot_near_the_bound_of_money_with_a_ceiling_still_takes_contributions(
    ceiling: int | None,
) -> None:
    """The excess is its reserve's; without a ceiling there is no room for it."""
    most = f"{(UNITS_MAX - units(1)) // 10**8}"
    changes = {} if ceiling is None else {"max_pot_value": most}
    rules = pot("a", "1", most, min_reseed="10", **BY_TRIGGER, **changes)
    pair = Pair(template(rules, kind=WHOLE_WAGER))

    found = pair.core.contribute(bet(5), 0)

    if ceiling is None:
        assert found == rejections.CONTRIBUTION_OUT_OF_RANGE
    else:
        assert isinstance(found, Done)
        assert pair.core.snapshot() == ((ceiling, units(5)),)
