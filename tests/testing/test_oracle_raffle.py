"""The oracle's raffles by hand: tickets, rounds, draws, prizes, and where the money comes from (contract §9)."""

from fractions import Fraction
from typing import Any

import pytest

from jackpotd.testing.cases import daily, raffle, schedule
from jackpotd.testing.reference_model import (
    SCALE,
    Ahead,
    Bought,
    Bounds,
    Outcome,
    Places,
    ReferenceInstance,
    RoundEnd,
)
from jackpotd.testing.templates import Json

from .oracle_cases import contribute, exactly, refusal, units

SECRET = bytes(range(32))
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
ONE = Fraction(1)


def running(document: Json, own: Json | None = None, status: str = "Active") -> ReferenceInstance:
    """A raffle, sealed, with its first round open."""
    oracle = ReferenceInstance(document, status, own or schedule())
    value = units(document["pots"][0]["seed_strategy"]["initial_seed_value"])
    oracle.seal("main", SECRET, first=0, at_ms=0, floor_units=value)
    oracle.go_on(0)
    return oracle


def spin(oracle: ReferenceInstance, name: str = "anna", wager: Any = "0.10", **changes: Any) -> Any:
    """What a spin of somebody buys."""
    found = contribute(oracle, base_wager=exactly(wager), who=("op:a", name), **changes)
    return found.bought


def resolved(oracle: ReferenceInstance, at_ms: int) -> RoundEnd:
    """The end of the round that is over by then."""
    assert oracle.is_round_over(at_ms)
    found = oracle.resolve(at_ms, [f"prize {at}" for at in range(50)])
    assert oracle.imbalance() == 0
    return found


def won(end: RoundEnd) -> list[tuple[str, Fraction]]:
    return [(prize.who[1], prize.amount) for prize in end.prizes]


# --- tickets --------------------------------------------------------------------------------------


def test_a_ticket_of_two_is_bought_by_twenty_spins_of_ten_cents() -> None:
    """The release notes' example, and it goes on: the fortieth spin buys the second one."""
    oracle = running(raffle({"count": 1, "amount": "5"}))
    awarded = [spin(oracle).awarded for _ in range(60)]

    assert [20, 40, 60] == [spins for spins, tickets in enumerate(awarded, 1) if tickets]
    assert set(awarded) == {0, 1}


def test_accumulated_parts_are_exact_and_begin_again_with_each_round() -> None:
    """5.50 at 2.00 a ticket are two of them and 1.50; in the next round it begins at nothing."""
    oracle = running(raffle({"count": 1, "amount": "5"}))

    assert spin(oracle, wager="5.5") == Bought(1, 0, exactly("5.5"), 2, exactly("1.5"))
    assert spin(oracle, "bert", wager="0.7") == Bought(1, 1, exactly("0.7"), 0, exactly("0.7"))
    assert spin(oracle, wager="0.5") == Bought(1, 0, exactly("0.5"), 1, Fraction(0))
    end = resolved(oracle, 100_000)
    assert (end.tickets, end.entrants, end.counted) == (3, 2, exactly("6.7"))
    oracle.go_on(100_000)
    oracle.seal(
        "main", SECRET, first=3, at_ms=0, floor_units=int(oracle.pots["main"].value.exact * SCALE)
    )
    assert spin(oracle, "bert", "1.9", at_ms=100_000) == Bought(
        2, 0, exactly("1.9"), 0, exactly("1.9")
    )


def test_without_accumulation_each_contribution_buys_alone() -> None:
    """What is left of it is gone."""
    oracle = running(raffle({"count": 1, "amount": "5"}, accumulate=False))

    assert [spin(oracle, wager=wager).awarded for wager in ("1.99", "1.99", "4", "5.99")] == [
        *(0, 0, 2, 2)
    ]
    assert spin(oracle).accumulated == 0


def test_metric_is_the_base_wager_or_the_contribution() -> None:
    """Of 20.00 that are wagered 10 % are contributed."""
    by_wager = raffle({"count": 1, "amount": "5"}, kind={"Percentage": "0.1"})
    by_contribution = raffle(
        {"count": 1, "amount": "5"}, kind={"Percentage": "0.1"}, metric="Contribution"
    )

    assert spin(running(by_wager), wager="20").awarded == 10
    assert spin(running(by_contribution), wager="20").awarded == 1


def test_nothing_counts_nothing() -> None:
    """Who wagers nothing is no entrant."""
    oracle = running(raffle({"count": 1, "amount": "5"}))

    assert spin(oracle, wager="0") is None
    assert spin(oracle, "bert", "1").entrant == 0


def test_money_of_other_currencies_counts_as_much() -> None:
    """1.0762 dollars are one euro."""
    oracle = running(raffle({"count": 1, "amount": "5"}))

    assert spin(oracle, wager="2.1524", currency="USD").awarded == 1
    assert spin(oracle, wager="324.70", currency="JPY").awarded == 1


# --- prizes ---------------------------------------------------------------------------------------


def test_draws_are_those_of_a_row_of_tickets() -> None:
    """Every ticket stands in a row, in the order of the entrants; the drawn one is taken out of it."""
    oracle = running(
        raffle({"count": 3, "amount": "1"}, {"count": 4, "amount": "2"}, one_prize_per_player=False)
    )
    for name, wager in (("anna", "4"), ("bert", "10"), ("caro", "6"), ("anna", "2")):
        spin(oracle, name, wager)
    row, places = ["anna"] * 3 + ["bert"] * 5 + ["caro"] * 3, Places(SECRET)
    expected = []
    for number in range(7):
        place = places.below(len(row), "raffle 1", number)
        expected.append((row.pop(place), Fraction(1 if number < 3 else 2), place))

    end = resolved(oracle, 100_000)

    assert [(*prize, drawn.draw) for prize, drawn in zip(won(end), end.prizes, strict=True)] == (
        expected
    )
    assert [11, 10, 9, 8, 7, 6, 5] == [prize.among for prize in end.prizes]
    assert [0, 0, 0, 1, 1, 1, 1] == [prize.tier for prize in end.prizes]


def test_one_prize_per_player_takes_all_tickets_of_a_winner() -> None:
    """Two players, five prizes: two are drawn, the others stay in the pot."""
    oracle = running(raffle({"count": 5, "amount": "1"}))
    spin(oracle, "anna", "40")
    spin(oracle, "bert", "4")

    end = resolved(oracle, 100_000)

    assert {("anna", ONE), ("bert", ONE)} == {*won(end)}
    assert 2 == len(end.prizes)
    assert oracle.pots["main"].value.exact == exactly("10.2") - 2 + end.from_reserve + end.deficit


def test_without_that_rule_a_player_wins_no_more_than_the_tickets_hold() -> None:
    """Three tickets, ten prizes."""
    oracle = running(raffle({"count": 10, "amount": "1"}, one_prize_per_player=False))
    spin(oracle, wager="6")

    assert [("anna", ONE)] * 3 == won(resolved(oracle, 100_000))


def test_share_is_of_the_pot_as_the_round_ends_for_each_winner() -> None:
    """A tenth for each of three, whoever was paid before; down to the cent, the rest stays."""
    oracle = running(raffle({"count": 3, "share": "0.1"}))
    for name in ("anna", "bert", "caro"):
        spin(oracle, name, "3")
    held = oracle.pots["main"].value.exact

    end = resolved(oracle, 100_000)

    assert held == exactly("10.3")
    assert [exactly("1.03")] * 3 == [prize.amount for prize in end.prizes]
    assert end.shortfall == 0


def test_what_the_pot_lacks_is_the_operator_s() -> None:
    """10.10 for prizes of 25: 14.90 are added; then the pot is filled up again."""
    oracle = running(raffle({"count": 1, "amount": "25"}))
    spin(oracle, wager="2")

    end = resolved(oracle, 100_000)

    assert (end.pot, end.shortfall, end.deficit) == (
        exactly("10.1"),
        exactly("14.9"),
        exactly("10"),
    )
    assert oracle.pots["main"].value.exact == 10
    assert oracle.jackpot.ledger.deficit == exactly("24.9")


def test_prize_is_paid_in_the_currency_of_the_last_contribution() -> None:
    """5.00 are 811 yen; the rest of a yen stays in the pot."""
    oracle = running(raffle({"count": 1, "amount": "5"}))
    spin(oracle, wager="4")
    spin(oracle, wager="400", currency="JPY")

    (prize,) = resolved(oracle, 100_000).prizes

    assert (prize.currency, prize.amount) == ("JPY", Fraction(811))
    assert prize.left_pot == exactly("4.99538035")


def test_prize_below_a_minor_unit_stays_but_its_draw_counts() -> None:
    """Nobody is paid 0.004; their tickets are gone all the same."""
    oracle = running(raffle({"count": 1, "amount": "0.004"}, {"count": 1, "amount": "1"}))
    spin(oracle, "anna", "4")
    spin(oracle, "bert", "4")

    end = resolved(oracle, 100_000)

    assert [0, 1] == [prize.amount for prize in end.prizes]
    assert end.prizes[0].who != end.prizes[1].who


def test_prize_above_the_limit_is_withheld() -> None:
    """Each prize by itself; its money has left the pot, and comes back where it is rejected."""
    oracle = running(
        raffle({"count": 1, "amount": "6"}, {"count": 2, "amount": "5"}, withhold_wins_above="5")
    )
    for name in ("anna", "bert", "caro"):
        spin(oracle, name, "4")

    end = resolved(oracle, 100_000)

    assert [True, False, False] == [prize.is_withheld for prize in end.prizes]
    assert [6, 10] == [oracle.jackpot.ledger.withheld, oracle.jackpot.ledger.payouts]
    assert oracle.decide_held("prize 0", "main", release=False) is None
    assert oracle.pots["main"].value.exact == 16


@pytest.mark.parametrize(
    ("changes", "boost", "expected"),
    [
        ({"reseed": "Full"}, 0, ("4", "0", "0")),
        ({"reseed": "WholeReserve"}, 0, ("8.4", "0", "0")),
        ({"reseed": "WholeReserve", "max_pot_value": "11"}, 0, ("5", "0", "0")),
        ({"reseed": "Full", "min_reseed": "20"}, 1, ("8.4", "1", "4.6")),
        ({"reseed": "WholeReserve", "is_progressive": False}, 0, ("8.4", "0", "0")),
    ],
)
def test_pot_is_filled_up_from_reserve_then_boost_then_operator(
    changes: Json, boost: int, expected: tuple[str, ...]
) -> None:
    """It has kept 6 of 10 when 8.40 are in the reserve."""
    rules = {"seed_share": "1", "fund": "CollectAlways", **changes}
    oracle = running(
        raffle({"count": 1, "amount": "4"}, pot=rules, kind={"Percentage": "1"}, cost="1")
    )
    spin(oracle, wager="8.4")
    if boost:
        oracle.boost("main", boost)

    end = resolved(oracle, 100_000)

    assert tuple(map(exactly, expected)) == (end.from_reserve, end.from_boost, end.deficit)


def test_round_without_tickets_changes_nothing() -> None:
    """A part of a ticket is none; the pot stays below what it would be filled up to."""
    oracle = running(raffle({"count": 1, "amount": "4"}, pot={"min_reseed": "20"}))
    spin(oracle, wager="1.9")

    end = resolved(oracle, 100_000)

    assert (end.tickets, end.entrants, end.prizes) == (0, 1, ())
    assert end.deficit == 0
    assert oracle.pots["main"].value.exact == exactly("10.1")


# --- rounds ---------------------------------------------------------------------------------------


def test_rounds_follow_each_other_and_those_that_were_missed_are_counted() -> None:
    """Nobody looked from 100 s to 1 050 s: round 1 is resolved then, nine were missed, the eleventh runs."""
    oracle = running(raffle({"count": 1, "amount": "4"}))
    assert not oracle.is_round_over(99_999)

    end = resolved(oracle, 1_050_000)

    assert end.bounds == Bounds(1, 0, 100_000)
    assert oracle.go_on(1_050_000) == Ahead(9, 1_000_000, Bounds(11, 1_000_000, 1_100_000))
    assert oracle.go_on(1_050_000) == Ahead()


def test_last_round_is_cut_at_the_end_of_the_schedule_and_then_it_is_over() -> None:
    """250 s are two rounds and a half one; the pot keeps what it holds."""
    oracle = running(raffle({"count": 1, "amount": "4"}), schedule(0, 250_000))
    for number, ends_ms in ((1, 100_000), (2, 200_000), (3, 250_000)):
        spin(oracle, wager="2", at_ms=ends_ms - 1)
        end = resolved(oracle, ends_ms)
        assert (end.bounds.number, end.bounds.ends_ms) == (number, ends_ms)
        ahead = oracle.go_on(ends_ms)
        if number < 3:
            assert ahead.opened is not None
            held = oracle.pots["main"].value.exact
            oracle.seal("main", SECRET, first=number, at_ms=0, floor_units=int(held * SCALE))

    assert ahead == Ahead(is_over=True)
    assert [0, 0] == [end.from_reserve, end.deficit]
    assert oracle.status == "Ended"
    assert refusal(oracle, at_ms=250_000) == "JackpotNotActive"


def test_round_without_a_duration_lasts_as_long_as_the_schedule() -> None:
    """A once-off raffle."""
    document = raffle({"count": 1, "amount": "4"}, duration=None)
    oracle = running(document, schedule(0, 7 * DAY_MS))

    end = resolved(oracle, 7 * DAY_MS)

    assert end.bounds == Bounds(1, 0, 7 * DAY_MS)
    assert oracle.go_on(7 * DAY_MS).is_over


def test_daily_rounds_of_22_hours_begin_at_midnight() -> None:
    """The guide's example: each resolves at 22:00, the next one begins with the next window."""
    document = raffle({"count": 1, "amount": "4"}, duration={"Hours": 22})
    oracle = running(document, schedule(0, None, daily(0, 22)))

    resolved(oracle, 22 * HOUR_MS)

    assert oracle.go_on(22 * HOUR_MS).opened == Bounds(2, DAY_MS, DAY_MS + 22 * HOUR_MS)
    assert refusal(oracle, at_ms=23 * HOUR_MS) == "OutsideSchedule"


def test_closed_windows_do_not_end_a_round() -> None:
    """Two days of 10:00 to 12:00: one round of 48 hours from 10:00 on."""
    document = raffle({"count": 1, "amount": "4"}, duration={"Hours": 48})
    oracle = running(document, schedule(0, None, daily(10, 12)))

    assert oracle.jackpot.raffle.round is not None
    assert oracle.jackpot.raffle.round.bounds == Bounds(1, 10 * HOUR_MS, 58 * HOUR_MS)
    assert spin(oracle, wager="2", at_ms=10 * HOUR_MS).awarded == 1
    assert refusal(oracle, at_ms=12 * HOUR_MS) == "OutsideSchedule"
    assert spin(oracle, wager="2", at_ms=35 * HOUR_MS).awarded == 1


def test_paused_raffle_is_resolved_when_it_goes_on() -> None:
    """R-FLT-1."""
    oracle = running(raffle({"count": 1, "amount": "4"}))
    oracle.change_status("Paused")
    assert not oracle.is_round_over(100_000)
    assert oracle.go_on(100_000) == Ahead()

    oracle.change_status("Active")

    assert resolved(oracle, 350_000).bounds.number == 1
    assert oracle.go_on(350_000) == Ahead(2, 300_000, Bounds(4, 300_000, 400_000))


def test_what_is_over_must_be_resolved_before_anything_is_contributed() -> None:
    """The oracle does not guess when it was."""
    oracle = running(raffle({"count": 1, "amount": "4"}))

    with pytest.raises(ValueError, match="must have happened first"):
        spin(oracle, at_ms=100_000)


# --- schedules ------------------------------------------------------------------------------------


def test_pending_raffle_begins_with_its_schedule() -> None:
    """Its first round begins then, and not before."""
    oracle = running(raffle({"count": 1, "amount": "4"}), schedule(50_000), "Pending")
    assert oracle.jackpot.raffle.round is None
    assert oracle.pass_time(49_999, {}).statuses == ()

    assert oracle.pass_time(50_000, {}).statuses == ("Active",)
    assert oracle.go_on(50_000).opened == Bounds(1, 50_000, 150_000)


def test_brand_s_own_schedule_goes_before_the_instance_s() -> None:
    """It lets that brand in, and keeps it out; no tickets are bought between rounds, whoever is open then."""
    document = raffle({"count": 1, "amount": "4"}, duration={"Hours": 22})
    oracle = running(document, schedule(0, None, daily(0, 12)))
    assert oracle.set_schedule("op:a", schedule(None, None, daily(6, 23)), 1) is None

    def play(at_ms: int, brand: str) -> Outcome | str:
        who, wager = (brand, "anna"), exactly("2")
        if oracle.is_closed(brand, at_ms):
            return refusal(oracle, at_ms=at_ms, who=who, base_wager=wager)
        return contribute(oracle, at_ms=at_ms, who=who, base_wager=wager)

    assert play(HOUR_MS, "op:a") == "OutsideSchedule"
    assert isinstance(play(HOUR_MS, "op:b"), Outcome)
    assert isinstance(play(13 * HOUR_MS, "op:a"), Outcome)
    assert play(13 * HOUR_MS, "op:b") == "OutsideSchedule"
    resolved(oracle, 22 * HOUR_MS)
    oracle.go_on(22 * HOUR_MS)
    assert refusal(oracle, at_ms=22 * HOUR_MS, who=("op:a", "anna")) == "OutsideSchedule"


def test_another_schedule_moves_the_end_of_the_running_round() -> None:
    """One that lies ahead is set anew."""
    oracle = running(raffle({"count": 1, "amount": "4"}))
    spin(oracle, wager="2", at_ms=10)
    assert oracle.set_schedule("", schedule(0, 40_000), 20_000) is None

    end = resolved(oracle, 40_000)

    assert (end.bounds, end.tickets) == (Bounds(1, 0, 40_000), 1)
    ahead = running(raffle({"count": 1, "amount": "4"}), schedule(50_000))
    assert ahead.set_schedule("", schedule(60_000), 10) is None
    assert ahead.go_on(10).opened == Bounds(1, 60_000, 160_000)


def test_raffle_needs_a_schedule_that_begins() -> None:
    """And one that ends, where its rounds last as long; what has passed is none."""
    once = running(raffle({"count": 1, "amount": "4"}, duration=None), schedule(0, 100))
    for document in (None, schedule(None), schedule(0, None), schedule(0, 5)):
        assert once.set_schedule("", document, 10) is not None
    assert once.set_schedule("", schedule(0, 11), 10) is None
    assert once.set_schedule("op:a", schedule(None, None, daily(1, 2)), 10) is None
    assert once.set_schedule("op:a", None, 10) is None
