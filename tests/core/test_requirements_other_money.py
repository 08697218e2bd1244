"""R-CHG-1: money that nobody contributed never wins a pot with a hidden value, nor takes a win that is due away."""

import copy
from collections.abc import Callable
from decimal import Decimal

import pytest

from jackpotd.core.commands import Adjust, AskChange, DecideHeldWin
from jackpotd.core.events import PotClosed, PotWon
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import PendingChange, Transfer
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

TRIGGERED: Json = {"seed_share": "0", "supports_external_trigger": True}
BY_VALUE: Json = {
    "hits": [],
    "points": [value_point("11", "20")],
    "criteria": {"min_base_wager": "0.01"},
    **TRIGGERED,
}
HIDDEN_HIGH = secret_where(
    lambda stream: all(
        stream.hidden_value(0, low, units(20)) > units("18.5") for low in (units(11), units(11) + 1)
    )
)
"""Hides a value near the end of its range, with the seed in the pot and with all that may lift it."""


def contribute(pair: Pair, wager: str | int = 1) -> Done:
    done = pair.contribute(bet(wager), pair.at_ms, f"round {len(pair.core.log)}")
    assert isinstance(done, Done), done
    return done


def win(pair: Pair, pot_id: str = "a") -> Done:
    done = pair.trigger(trigger(pot_id, at_ms=pair.at_ms, round_id=f"hand {len(pair.core.log)}"))
    assert isinstance(done, Done), done
    return done


def adjust(pair: Pair, amount: str, before: str | int = 10) -> Done | Rejection:
    return pair.operate(
        Adjust(pair.at_ms, "a", units(amount), "dora", "why"),
        lambda: pair.oracle.adjust("a", Decimal(amount), units(before)),
        "adjustment",
    )


@pytest.mark.parametrize(
    ("amount", "ok"),
    [("1", True), ("-0.5", True), ("1.00000001", False), ("2", False), ("4.99999999", False)],
)
def test_r_chg_1_correction_ends_where_a_value_may_be_hidden(amount: str, ok: bool) -> None:
    """Up to the least of it, which then is drawn again above the pot; across it no correction is taken at all."""
    points = [value_point("11", "20")]
    pair = Pair(
        template(pot("a", "1", hits=[], points=points, min_reseed="1"), kind=WHOLE_WAGER),
        secret_of=lambda _pot, _number: HIDDEN_HIGH,
    )
    before = pair.core.state.rare.seals[0]
    found = adjust(pair, amount)

    after = pair.core.state.rare.seals[0]
    assert after is not None
    assert before is not None
    assert isinstance(found, Rejection) is not ok
    if ok:
        assert (after.number, after.floor) == (before.number + 1, units(10) + units(amount))
    else:
        assert after == before
    # What is hidden is above what the pot holds, so a contribution of nothing, or of little, does not win it for sure.
    contribute(pair, 0)
    contribute(pair, "0.01")
    assert not pair.seen["pots won"]


def reseeds(pair: Pair) -> None:
    """A win from outside, after which the whole of a large reserve is to seed the pot."""
    give(pair, value=0, reserve=500)
    win(pair)


def takes(pair: Pair) -> None:
    """Money of another instance."""
    give(pair, value=500, reserve=0)


def is_corrected(pair: Pair) -> None:
    """As far as it may be."""
    assert isinstance(adjust(pair, "1"), Done)


def gets_back(pair: Pair) -> None:
    """Its own win, which was withheld and is rejected."""
    contribute(pair)
    (won,) = win(pair).of(PotWon)
    assert won.is_withheld
    reject(pair, won.round_id, "a")


def inherits(pair: Pair) -> None:
    """What a pot that is used up leaves."""
    assert win(pair, "b").of(PotClosed)


def gets_another_s(pair: Pair) -> None:
    """The withheld win of a pot that is used up by then."""
    (won,) = win(pair, "b").of(PotWon)
    reject(pair, won.round_id, "b")


def give(pair: Pair, *, value: int, reserve: int) -> None:
    pair.take("other", Transfer("t", 0, "instance", "a", units(value), units(reserve), 0), 0)


def reject(pair: Pair, round_id: str, pot_id: str) -> None:
    pair.operate(
        DecideHeldWin(pair.at_ms, round_id, pot_id, False, "dora", "why"),
        lambda: pair.oracle.decide_held(round_id, pot_id, release=False),
        "rejection",
    )
    assert pair.seen["rejection"]


def of_two(**changes: object) -> Pair:
    """A pot with a hidden value, seeded by all there is, and one of 100 that is used up by a win."""
    whole: Json = {"reseed": "WholeReserve", "fund": "CollectAlways"}
    once: Json = {"hits": [], **TRIGGERED, "max_instantiation_count": 1}
    pots = pot("a", "0.9", **BY_VALUE, **whole), pot("b", "0.1", "100", **once)
    return Pair(
        template(*pots, kind=WHOLE_WAGER, **changes), secret_of=lambda _pot, _number: HIDDEN_HIGH
    )


OTHER_MONEY = [reseeds, takes, is_corrected, gets_back, inherits, gets_another_s]


@pytest.mark.parametrize("comes", OTHER_MONEY)
def test_r_chg_1_money_that_nobody_contributed_never_wins(comes: Callable[[Pair], None]) -> None:
    """However much it is, it ends where a value may be hidden: the next contributions win as surely as others."""
    pair = of_two(withhold_wins_above="5")
    comes(pair)
    wins, held = pair.seen["pots won"], pair.core.state.pots[0].value

    assert held <= units(11)
    for who in range(5):
        contribute(pair, "0.05" if who else "0.01")
    assert pair.seen["pots won"] == wins
    contribute(pair, 20)
    assert pair.seen["pots won"] == wins + 1


@pytest.mark.parametrize("comes", [takes, inherits, gets_another_s])
def test_r_chg_1_value_that_was_reached_stays_due_whatever_money_comes(
    comes: Callable[[Pair], None],
) -> None:
    """Contributors who may not win have lifted the pot past its value: whoever may is paid next, by the same secret."""
    pair = of_two(withhold_wins_above="50")
    for _ in range(1_200):
        contribute(pair, "0.0099")
    assert pair.core.state.pots[0].value > units(20)
    seal = pair.core.state.rare.seals[0]
    comes(pair)

    assert pair.core.state.rare.seals[0] == seal
    (won,) = contribute(pair, "0.01").of(PotWon)
    assert (won.pot, str(won.tip)) == (0, "Value")


def test_r_chg_1_hidden_values_below_what_the_pot_has_kept_are_not_taken_up() -> None:
    """Half of it found no active players: with 24.5 in the pot a minimum of 11 would all but give it away."""
    rules = pot("a", "1", **{**BY_VALUE, "points": [value_point("30", "50")]})
    shared = rules | {"community_payout": community(to_active("0.5", 10))}
    pair = Pair(template(shared, kind=WHOLE_WAGER))
    contribute(pair, 19)
    for low, held, dropped in (("11", "24.5", 1), ("24.5", "22.25", 1)):
        ask_for_values(pair, low)
        win(pair)
        assert pair.core.state.pots[0].value == units(held)
        assert pair.seen["changes dropped"] == dropped
    assert [point.low for point in pair.core.rules.pots[0].hidden_values] == [units("24.5")]


def ask_for_values(pair: Pair, low: str) -> None:
    """A change of the only pot's hidden values that waits."""

    def patch(before: Json) -> Json:
        after = copy.deepcopy(before)
        after["pots"][0]["pot_types"] = [value_point(low, "50")]
        return after

    name = f"change {len(pair.core.log)}"
    part = PendingChange(name, 0, b'{"new":1}', pair.at_ms, "dora", "law")
    pair.ask_change(AskChange(pair.at_ms, (part,), b'{"old":1}'), patch)
