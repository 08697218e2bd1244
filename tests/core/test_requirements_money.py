"""R-MON: where the money of a jackpot is, as tests of the core with the oracle beside it.

The wins are triggered from outside where a test needs one at a given moment; what is paid and how the pot is seeded
again is the same whatever tips it.
"""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import ledger
from jackpotd.core.commands import Adjust, Boost, ChangeStatus, SendTransfers
from jackpotd.core.events import Contributed, PotWon, StatusChanged, TransfersSent
from jackpotd.core.ledger import InvariantViolation
from jackpotd.core.money import SCALE
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.rules import WHOLE
from jackpotd.core.state import Status, Transfer
from jackpotd.testing.cases import (
    WHOLE_WAGER,
    bet,
    community,
    pot,
    template,
    to_active,
    trigger,
    units,
    value_point,
)
from jackpotd.testing.core_driver import Done
from jackpotd.testing.histories import history
from jackpotd.testing.oracle_pair import Pair
from jackpotd.testing.templates import Json


def triggered(name: str = "a", share: str = "1", seed: str = "10", **changes: object) -> Json:
    """A pot that only a trigger tips, and whose whole part grows it."""
    changes = {"seed_share": "0", "hits": [], "supports_external_trigger": True} | changes
    return pot(name, share, seed, **changes)


def contribute(pair: Pair, wager: str | int = 1, who: str = "anna") -> Done:
    done = pair.contribute(bet(wager, who), pair.at_ms, f"round {len(pair.core.log)}")
    assert isinstance(done, Done), done
    return done


def win(pair: Pair, pot_id: str = "a", currency: str = "EUR") -> PotWon:
    asked = trigger(
        pot_id, at_ms=pair.at_ms, round_id=f"hand {len(pair.core.log)}", currency=currency
    )
    done = pair.trigger(asked)
    assert isinstance(done, Done), done
    return done.of(PotWon)[0]


def meters(pair: Pair) -> list[Fraction]:
    """Value and reserve of the only pot, in money."""
    ((value, reserve),) = pair.core.snapshot()
    return [Fraction(value, SCALE), Fraction(reserve, SCALE)]


# --- R-MON-1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "paid"), [("EUR", "12.34"), ("JPY", "2004"), ("KWD", "4.074")]
)
def test_r_mon_1_remainder_of_a_payoff_goes_to_the_reset_value(currency: str, paid: str) -> None:
    """12.3456789 is paid as far as the currency goes; what is left is in the reset pot, on top of the seed."""
    pair = Pair(template(triggered(seed="10"), kind=WHOLE_WAGER))
    contribute(pair, "2.3456789")

    won = win(pair, currency=currency)

    assert won.win == units(paid)
    assert meters(pair)[0] == Fraction("12.3456789") - Fraction(won.paid, SCALE) + 10
    assert won.seed == units("10")


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(0, 2**48))
def test_r_mon_1_contributions_are_never_lost(seed: int) -> None:
    """Random templates and histories: what came in is in a named account to the last unit, after every event."""
    run = history(seed)
    run.play(80)

    state = run.pair.core.state
    contributed = sum(event.worth for event in run.pair.core.log if isinstance(event, Contributed))
    books = ledger.accounts(state)
    assert 0 == sum(books.values())
    operators = -books["operator"] - contributed_by_operator(run.pair)
    assert contributed == -books["players"] + operators


def contributed_by_operator(pair: Pair) -> int:
    """What the operator paid in beside contributions: initial seeds, boosts, adjustments."""
    log = pair.core.log
    extra = sum(getattr(event, "amount_units", 0) for event in log)
    return extra + sum(rules.initial_seed for rules in pair.core.birth.rules.pots)


def test_r_mon_1_meter_returns_to_its_defined_reset() -> None:
    """Exactly min_reseed_value, whatever the pot had been."""
    pair = Pair(template(triggered(seed="10", min_reseed="4"), kind=WHOLE_WAGER))
    for wager in ("5", "0.5", "123.45"):
        contribute(pair, wager)
        win(pair)
        assert meters(pair)[0] == 4


# --- R-MON-2 --------------------------------------------------------------------------------------


def test_r_mon_2_ceiling_holds_the_pot_until_it_is_won() -> None:
    """At the ceiling the pot stays, the excess is in the overflow to the unit, and the next cycle grows again."""
    pair = Pair(template(triggered(max_pot_value="12"), kind=WHOLE_WAGER))

    for _ in range(5):
        contribute(pair, "0.77777777")

    assert meters(pair) == [12, Fraction("1.88888885")]
    win(pair)
    contribute(pair, "1")
    assert meters(pair) == [11, 0]


@pytest.mark.parametrize("fund", ["CollectToMinReseed", "CollectAlways"])
@pytest.mark.parametrize("cycles", [None, 1])
def test_r_mon_2_ceiling_never_drops_the_excess(fund: str, cycles: int | None) -> None:
    """Also with a full reserve that spills into the pot, and in the last cycle of a limited pot."""
    rules = triggered(
        max_pot_value="10.5",
        seed_share="0.4",
        min_reseed="1",
        fund=fund,
        max_instantiation_count=cycles,
    )
    pair = Pair(template(rules, kind=WHOLE_WAGER))

    for _ in range(20):
        contribute(pair, "0.33333333")

    value, reserve = meters(pair)
    assert value == Fraction("10.5")
    assert value + reserve == 10 + 20 * Fraction("0.33333333")


def test_r_mon_2_diversion_has_a_finite_expectation() -> None:
    """WholeReserve seeds what fits under the ceiling, so a diversion comes back to the players cycle by cycle."""
    rules = triggered(
        max_pot_value="20", min_reseed="0", fund="CollectAlways", reseed="WholeReserve"
    )
    pair = Pair(template(rules, kind=WHOLE_WAGER))
    contribute(pair, "55")
    diverted = [meters(pair)[1]]
    while diverted[-1]:
        win(pair)
        diverted.append(meters(pair)[1])

    assert diverted == [45, 25, 5, 0]


# --- R-MON-3 --------------------------------------------------------------------------------------


def test_r_mon_3_contributions_are_not_the_operator_s_and_large_awards_wait_for_a_signature() -> (
    None
):
    """House share apart, the contribution is held for players; a win above the limit waits in `withheld`."""
    pair = Pair(template(triggered(share="0.7"), kind=WHOLE_WAGER, withhold_wins_above="50"))
    contribute(pair, "100")
    assert win(pair).is_withheld

    books = ledger.accounts(pair.core.state)
    assert (books["house"], books["withheld"], books["payouts"]) == (units(30), units(80), 0)


# --- R-MON-4 --------------------------------------------------------------------------------------


def test_r_mon_4_o8a_balancing_of_a_month() -> None:
    """Opening 10,000 + contributions 250,000 + seeded 4,000 - paid 200,000 = closing 64,000."""
    pair = Pair(template(triggered(seed="10000", min_reseed="4000"), kind=WHOLE_WAGER))
    opening = meters(pair)[0]

    contribute(pair, "190000")
    won = win(pair)
    contribute(pair, "60000")

    assert opening == 10_000
    assert (won.paid, won.deficit) == (units(200_000), units(4_000))
    assert meters(pair)[0] == 64_000
    books = ledger.accounts(pair.core.state)
    assert books["pot:a"] == units(10_000) - books["players"] - books["deficit"] - books["payouts"]


def test_r_mon_4_o8a_a_discrepancy_of_one_is_an_incident() -> None:
    """64,001 instead of 64,000, or one unit of 1e-8: zero tolerance, the worker stops."""
    pair = Pair(template(triggered(seed="10000", min_reseed="4000"), kind=WHOLE_WAGER))
    contribute(pair, "190000")
    win(pair)
    contribute(pair, "60000")
    state = pair.core.state

    for off in (SCALE, 1, -1):
        pots = (replace(state.pots[0], value=state.pots[0].value + off),)
        with pytest.raises(InvariantViolation, match=f"off by {off} units"):
            ledger.check(replace(state, pots=pots))


def test_r_mon_4_o8b_excess_of_the_ceiling_is_diverted() -> None:
    """99,000 of 100,000: +5,000 is 1,000 to the pot and 4,000 diverted, +7,777 is 0 and 7,777."""
    rules = triggered(seed="99000", min_reseed="1000", max_pot_value="100000")
    pair = Pair(template(rules, kind=WHOLE_WAGER))

    contribute(pair, "5000")
    assert meters(pair) == [100_000, 4_000]
    contribute(pair, "7777")
    assert meters(pair) == [100_000, 11_777]


@pytest.mark.parametrize(
    ("start", "diverted", "paid", "left", "house"),
    [("99000", "41000", 100_000, 39_000, 0), ("49600", "800", 50_000, 0, 600)],
)
def test_r_mon_4_o8b_reset_is_paid_by_the_diversion_then_by_the_house(
    start: str, diverted: str, paid: int, left: int, house: int
) -> None:
    """Reset 1,000: a win of 100,000 with 40,000 diverted, one of 50,000 with 400."""
    rules = triggered(seed=start, min_reseed="1000", max_pot_value=str(paid))
    pair = Pair(template(rules, kind=WHOLE_WAGER))
    contribute(pair, diverted)

    won = win(pair)

    assert won.paid == units(paid)
    assert won.deficit == units(house)
    assert meters(pair) == [1_000, left]


def test_r_mon_4_an_unpaid_jackpot_is_not_cancelled() -> None:
    """Termination leaves every unit in the pot's own undistributed account, and nothing can be taken out of it."""
    pair = Pair(template(triggered(), kind=WHOLE_WAGER))
    contribute(pair, "5")
    pair.operate(
        Boost(0, "a", units(3), "someone", "why"), lambda: pair.oracle.boost("a", 3), "boost"
    )

    pair.operate(
        ChangeStatus(0, Status.TERMINATED, "why", "someone"),
        lambda: pair.oracle.change_status("Terminated"),
        "termination",
    )

    assert ledger.accounts(pair.core.state)["undistributed:a"] == units(18)
    taken = pair.core.operate(Adjust(0, "a", -units(1), "someone", "why"))
    assert isinstance(taken, Rejection)
    assert taken.code is Code.INVALID_STATE


# --- R-MON-5 --------------------------------------------------------------------------------------


def test_r_mon_5_decommission_moves_pot_overflow_and_boost_at_once_and_whole() -> None:
    """What arrives is what left, account by account; the source is terminated and empty, and says who and why."""
    rules = triggered(max_pot_value="12", seed_share="0.5")
    source = Pair(template(rules, kind=WHOLE_WAGER))
    target = Pair(template(triggered("main", seed="0"), kind=WHOLE_WAGER))
    contribute(source, "7.00000001")
    source.operate(
        Boost(0, "a", units(3), "someone", "why"), lambda: source.oracle.boost("a", 3), "boost"
    )
    before = ledger.accounts(source.core.state)

    sent = source.send(
        SendTransfers(0, (Transfer("t", 0, "b", "main", 0, 0, 0),), (WHOLE,), "dora", "closing")
    )
    assert not isinstance(sent, Rejection)
    (transfer,) = sent
    target.take("instance", transfer, 0)

    after = ledger.accounts(target.core.state)
    for account in ("pot", "seed_reserve", "boost"):
        moved = before[f"{account}:a"] + (before["residual"] if account == "pot" else 0)
        assert after[f"{account}:main"] == moved
    assert source.core.state.status is Status.TERMINATED
    assert sum(after.values()) == sum(ledger.accounts(source.core.state).values()) == 0
    (event,) = [each for each in source.core.log if isinstance(each, TransfersSent)]
    assert (event.by, event.reason) == ("dora", "closing")


def test_r_mon_5_money_that_waits_for_a_person_is_not_left_behind() -> None:
    """While a win is withheld its instance cannot be decommissioned."""
    pair = Pair(template(triggered(), kind=WHOLE_WAGER, withhold_wins_above="5"))
    assert win(pair).is_withheld

    refused = pair.send(
        SendTransfers(0, (Transfer("t", 0, "b", "main", 0, 0, 0),), (WHOLE,), "dora", "closing")
    )

    assert isinstance(refused, Rejection)
    assert refused.code is Code.INVALID_STATE


# --- R-MON-6 --------------------------------------------------------------------------------------


def test_r_mon_6_levels_that_have_swapped_pay_the_highest() -> None:
    """The minor pot has outgrown the major one: Highest pays by what they hold, not by their names."""
    sure = {"hits": [(1, "1")], "seed_share": "0"}
    pair = Pair(
        template(
            pot("minor", "0.9", "10", **sure), pot("major", "0.1", "15", **sure), kind=WHOLE_WAGER
        )
    )
    wins = []
    for wager in (1, 20, 20):
        (won,) = contribute(pair, wager).of(PotWon)
        wins.append(pair.pot_ids[won.pot])

    assert wins == ["major", "minor", "minor"]


def test_r_mon_6_odds_are_proportional_to_stake_and_the_same_for_all() -> None:
    """The same stake has the same threshold whoever plays it; survival of a stake is that of its parts."""
    pair = Pair(template(pot("a", hits=[(10**6, "0.1")]), kind=WHOLE_WAGER))

    def chance(wager: str, who: str) -> Fraction:
        ((_, _, limit),) = contribute(pair, wager, who).of(Contributed)[0].draws
        return Fraction(limit, 2**64)

    single, double = chance("1", "anna"), chance("2", "bert")
    assert single == chance("1", "caro")
    assert abs((1 - single) ** 2 - (1 - double)) < Fraction(3, 2**64)


# --- nothing is lost where a community shares -----------------------------------------------------


def test_r_mon_1_shares_that_find_nobody_stay_in_the_pot() -> None:
    """Half for ten active players of whom one is there: nine tenths of that half are in the next pot."""
    rules = triggered(community_payout=community(to_active("0.5", 10)))
    pair = Pair(template(rules, kind=WHOLE_WAGER))
    contribute(pair, "90", who="bert")

    won = win(pair)

    assert won.paid == units(50)
    assert meters(pair)[0] == 45 + 10
    assert ledger.accounts(pair.core.state)["payouts"] == units(55)


def test_r_mon_2_pot_that_ends_keeps_what_could_not_be_paid() -> None:
    """The last limited pot of all: Ended, and its remainder still has an account."""
    rules = triggered(max_instantiation_count=1, points=[value_point("10.00000001", "11")])
    pair = Pair(template(rules, kind=WHOLE_WAGER))
    (won,) = contribute(pair, "1.00999999").of(PotWon)

    assert won.paid == units("11")
    assert meters(pair) == [Fraction("0.00999999"), 0]
    assert any(
        isinstance(event, StatusChanged) and event.status is Status.ENDED for event in pair.core.log
    )
