"""The oracle by itself: ceilings, hidden values and instants, criteria, boosts, held wins, communities, transfers."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from jackpotd.testing.cases import (
    WHOLE_WAGER,
    community,
    pot,
    template,
    time_point,
    to_active,
    to_contributors,
    to_lifetime,
    value_point,
)
from jackpotd.testing.reference_model import (
    SCALE,
    Contributor,
    OracleDisagreementError,
    Outcome,
    Places,
    Rates,
    ReferenceInstance,
    Rejection,
    Shipment,
)

from .oracle_cases import RATES, contribute, exactly, refusal, units


def secret_where(fits: Callable[[Places], bool]) -> bytes:
    """The first of all secrets that decides so."""
    secrets = (number.to_bytes(32, "big") for number in range(100_000))
    return next(secret for secret in secrets if fits(Places(secret)))


def seal(oracle: ReferenceInstance, secret: bytes = bytes(32), pot_id: str = "a") -> None:
    held = oracle.pots[pot_id]
    at_ms = held.seal.at_ms if held.seal else 0
    oracle.seal(
        pot_id,
        secret,
        first=oracle.jackpot.contributions,
        at_ms=at_ms,
        floor_units=int(held.value.exact * SCALE),
    )


def winners(outcome: Outcome) -> list[tuple[str, str]]:
    return [(win.pot_id, win.who[1]) for win in outcome.wins]


def anna_or(name: str) -> dict[str, Any]:
    return {"who": ("op:a", name)}


# --- ceilings -------------------------------------------------------------------------------------


def test_o8b_ceiling_diverts_the_excess_to_the_reserve() -> None:
    """99,000 under a ceiling of 100,000: of 5,000 the pot takes 1,000, of 7,777 nothing."""
    rules = template(
        pot("a", "1", "99000", min_reseed="1000", seed_share="0", max_pot_value="100000"),
        kind=WHOLE_WAGER,
    )
    oracle = ReferenceInstance(rules)
    held = oracle.pots["a"]

    contribute(oracle, base_wager=5000)
    assert [held.value.exact, held.reserve.exact] == [100_000, 4_000]
    contribute(oracle, base_wager=7777)
    assert [held.value.exact, held.reserve.exact] == [100_000, 11_777]


@pytest.mark.parametrize(
    ("reserve", "left", "house"), [("40000", "39000", "0"), ("400", "0", "600")]
)
def test_o8b_reset_comes_from_the_diversion_first(reserve: str, left: str, house: str) -> None:
    """A reset of 1,000: a diversion of 40,000 pays it whole, one of 400 leaves 600 to the operator."""
    rules = template(
        pot("a", "1", "100000", min_reseed="1000", seed_share="0", max_pot_value="100000"),
        kind=WHOLE_WAGER,
    )
    oracle = ReferenceInstance(rules)
    contribute(oracle, base_wager=reserve)

    (win,) = contribute(oracle, "a", base_wager="0.00000001").wins

    assert win.left_pot == 100_000
    assert win.seed_deficit == exactly(house) - (exactly("0.00000001") if house != "0" else 0)
    assert oracle.pots["a"].reserve.exact - exactly(left) in (0, exactly("0.00000001"))


def test_whole_reserve_takes_no_more_than_fits_under_the_ceiling() -> None:
    """Of a reserve of 50 a pot with a ceiling of 20 is seeded with 20; the rest waits."""
    rules = template(
        pot("a", "1", "10", seed_share="1", fund="CollectAlways", reseed="WholeReserve")
        | {"max_pot_value": "20"},
        kind=WHOLE_WAGER,
    )
    oracle = ReferenceInstance(rules)

    (win,) = contribute(oracle, "a", base_wager=50).wins

    assert [win.left_pot, win.seed] == [10, 20]
    assert oracle.pots["a"].reserve.exact == 30


@pytest.mark.parametrize("fixed", [False, True])
def test_rejected_win_comes_back_up_to_the_ceiling(fixed: bool) -> None:
    """Of 15 that come back to a pot of 10 under a ceiling of 15 its value takes 5, or none where it is fixed."""
    rules = pot("a", "1", seed_share="0", min_reseed="10", max_pot_value="15")
    if fixed:
        rules |= {"is_progressive": False, "max_pot_value": None}
    oracle = ReferenceInstance(template(rules, kind=WHOLE_WAGER, withhold_wins_above="5"))
    (win,) = contribute(oracle, "a", base_wager=5).wins
    before = oracle.pots["a"].reserve.exact

    oracle.decide_held("round", "a", release=False)

    assert oracle.pots["a"].value.exact == (10 if fixed else 15)
    assert oracle.pots["a"].reserve.exact - before == 10
    assert win.left_pot == (10 if fixed else 15)
    assert oracle.imbalance() == 0


# --- hidden values --------------------------------------------------------------------------------


@pytest.mark.parametrize(("amount", "accepted"), [("1", True), ("1.00000001", False)])
def test_adjustment_ends_where_a_value_may_be_hidden(amount: str, accepted: bool) -> None:
    """At 11 for a pot that holds 10 and may win from there."""
    oracle = ReferenceInstance(template(pot("a", "1", points=[value_point("11", "15")])))
    oracle.seal("a", bytes(32), first=0, at_ms=0, floor_units=units("10"))

    refused = oracle.adjust("a", amount, units("10"))

    assert (refused is None) is accepted
    assert oracle.pots["a"].needs_seal is accepted


def test_seal_is_kept_once_a_value_is_reached_and_made_anew_otherwise() -> None:
    """Money of another instance comes to a pot of 10 with a value of 11, and to one that stands at 12 unpaid."""
    for wager, must in (("0.5", True), ("2", False)):
        rules = pot("a", "1", seed_share="0", hits=[], points=[value_point("11", "11.00000001")])
        rules |= {"criteria": {"min_base_wager": "5"}}
        oracle = ReferenceInstance(template(rules, kind=WHOLE_WAGER))
        oracle.seal("a", bytes(32), first=0, at_ms=0, floor_units=units("10"))
        contribute(oracle, base_wager=wager)

        oracle.take("a", Shipment("a", Fraction(3), Fraction(0), Fraction(0)))

        assert oracle.pots["a"].needs_seal is must
        assert oracle.pots["a"].value.exact == (11 if must else 12)
        if not must:
            with pytest.raises(OracleDisagreementError, match="why"):
                oracle.seal("a", bytes(32), first=1, at_ms=0, floor_units=units("12"))


def test_hidden_value_tips_when_the_pot_reaches_it() -> None:
    """Hidden at 10.50: the contribution that lifts the pot to it wins, 10.49 does not."""
    rules = template(
        pot("a", "1", seed_share="0", hits=[], points=[value_point("10.5", "10.50000001")]),
        kind=WHOLE_WAGER,
    )
    oracle = ReferenceInstance(rules)
    at = units("10.5")
    seal(oracle, secret_where(lambda places: places.hidden_value(0, at, at + 1, 0) == at))

    assert not contribute(oracle, base_wager="0.49999999").wins
    assert not contribute(oracle, base_wager=0).wins
    (win,) = contribute(oracle, base_wager="0.00000001").wins

    assert win.tips == frozenset({"Value"})
    assert win.left_pot == exactly("10.5")


def test_value_that_was_not_paid_stays_due() -> None:
    """Lowest pays the other pot; the next contributor finds the value still reached."""
    due = pot("a", "0.5", seed_share="0", hits=[], points=[value_point("10.1", "10.2")])
    oracle = ReferenceInstance(
        template(due, pot("b", "0.1", "1"), kind=WHOLE_WAGER, strategy="Lowest")
    )
    seal(oracle)

    assert winners(contribute(oracle, "b")) == [("b", "anna")]
    assert oracle.pots["a"].value.exact == exactly("10.5")
    assert winners(contribute(oracle, **anna_or("bert"))) == [("a", "bert")]


def test_value_without_a_seal_cannot_be_known() -> None:
    """The oracle asks for the secret rather than guess."""
    rules = template(pot("a", hits=[], points=[value_point("11", "12")]))

    with pytest.raises(ValueError, match="not sealed"):
        contribute(ReferenceInstance(rules))


def test_seal_must_tell_the_truth() -> None:
    """`first` and `floor` are published; wrong ones would move the draws and the hidden value."""
    oracle = ReferenceInstance(template(pot("a")))
    contribute(oracle)

    for first, floor in ((0, units("10.00375")), (1, units("10.00375") + 1)):
        with pytest.raises(OracleDisagreementError, match="seal"):
            oracle.seal("a", bytes(32), first=first, at_ms=0, floor_units=floor)


# --- hidden times ---------------------------------------------------------------------------------

MINUTE = {"Minutes": 1}


def timed(fallback: str, **changes: Any) -> ReferenceInstance:
    """One pot that tips by time alone, whose instants are 30 s into the first minute."""
    rules = template(
        pot("a", "1", seed_share="0", hits=[], points=[time_point(MINUTE, fallback)], **changes),
        kind=WHOLE_WAGER,
    )
    oracle = ReferenceInstance(rules)
    seal(oracle, secret_where(lambda places: places.instant(0, 0, 0, 60_000) // 1_000 == 30))
    return oracle


def test_first_contribution_at_or_after_the_hidden_instant_wins() -> None:
    """Once in a window, however many come after it."""
    oracle = timed("RollOver")

    early = contribute(oracle, at_ms=29_999)
    first = contribute(oracle, at_ms=31_000, **anna_or("bert"))
    late = contribute(oracle, at_ms=32_000, **anna_or("caro"))

    assert [winners(each) for each in (early, first, late)] == [[], [("a", "bert")], []]
    assert first.wins[0].tips == {"Time"}


def test_window_without_a_drop_rolls_over() -> None:
    """Nobody came after the instant: the money stays, the next window has an instant of its own."""
    oracle = timed("RollOver")
    contribute(oracle, at_ms=1_000)

    with pytest.raises(ValueError, match="ended first"):
        contribute(oracle, at_ms=60_000)
    settled = oracle.pass_time(60_000, {"a": "drawn"})

    assert settled.wins == ()
    assert oracle.pots["a"].windows[0].index == 1


def test_window_without_a_drop_is_drawn_among_its_contributors() -> None:
    """By what they contributed: the lot of each is below their own part, or the candidate stays."""
    oracle = timed("DrawAmongContributors")
    lots = []
    for number, (name, wager) in enumerate((("anna", 1), ("bert", 3), ("anna", 0), ("caro", 2))):
        outcome = contribute(oracle, base_wager=wager, at_ms=number, **anna_or(name))
        lots += [(name, lot, wager * SCALE) for _, _, lot in outcome.lots]
    expected = next(name for name, lot, worth in reversed(lots) if lot < worth)

    (win,) = oracle.pass_time(60_000, {"a": "drawn"}).wins

    assert [name for name, _, _ in lots] == ["anna", "bert", "caro"]
    assert (win.who[1], win.tips) == (expected, frozenset({"TimeFallback"}))
    assert win.left_pot == 16


def test_drop_for_a_pot_that_is_not_funded_stays_due() -> None:
    """It has come for somebody who could not be paid; the first who can be gets it, also in a later window."""
    oracle = timed("RollOver", open_when_funded=True, min_reseed="5")

    held = contribute(oracle, at_ms=31_000)
    oracle.pass_time(60_000, {"a": "drawn"})
    assert oracle.boost("a", 5) is None
    paid = contribute(oracle, at_ms=60_000, **anna_or("bert"))

    assert (held.wins, held.held) == ((), (("a", 0),))
    assert winners(paid) == [("a", "bert")]
    assert paid.wins[0].from_boost == 5
    assert not oracle.pots["a"].is_due


def test_paused_windows_wait() -> None:
    """Nothing is drawn while the instance is paused; the window ends when it goes on (R-FLT-1)."""
    oracle = timed("DrawAmongContributors")
    contribute(oracle, at_ms=1_000)
    oracle.change_status("Paused")

    assert oracle.pass_time(600_000, {"a": "drawn"}).wins == ()
    oracle.change_status("Active")
    assert len(oracle.pass_time(600_001, {"a": "drawn"}).wins) == 1
    assert oracle.pots["a"].windows[0].index == 10


# --- who can win ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criteria", "changes", "wins"),
    [
        ({"min_base_wager": "2"}, {"base_wager": "1.99999999"}, False),
        ({"min_base_wager": "2"}, {"base_wager": 2}, True),
        ({"min_base_wager": "2"}, {"base_wager": "2.15", "currency": "USD"}, False),
        ({"min_base_wager": "2"}, {"base_wager": "2.1524", "currency": "USD"}, True),
        ({"segments": ["vip"]}, {}, False),
        ({"segments": ["vip"]}, {"segments": frozenset({"new", "vip"})}, True),
        ({"currencies": ["USD"]}, {}, False),
        ({"currencies": ["USD"]}, {"currency": "USD"}, True),
    ],
)
def test_criteria_decide_who_can_win(
    criteria: dict[str, Any], changes: dict[str, Any], wins: bool
) -> None:
    """Whoever does not fit grows the pot and makes no attempt."""
    oracle = ReferenceInstance(template(pot("a", criteria=criteria, hits=[(1, "0.1")])))

    outcome = contribute(oracle, **changes)

    assert bool(outcome.wins) is wins
    assert outcome.pots["a"] == exactly("10.00375")


def test_nothing_is_won_for_nothing_but_where_the_operator_pays() -> None:
    """k = 0 and N = 1: a free jackpot is won by a contribution of 0, a hidden value never is."""
    free = pot("a", hits=[(1, 0)])
    oracle = ReferenceInstance(template(free, kind={"Fixed": 0}, operator_share=1))

    assert winners(contribute(oracle)) == [("a", "anna")]


# --- boosts, held wins, triggers ------------------------------------------------------------------


def test_reserve_then_boost_then_operator_seed_the_next_cycle() -> None:
    """Of 10: 0.02125 from the reserve, 4 from the boost, the rest is the operator's."""
    oracle = ReferenceInstance(template(pot("a")))
    oracle.boost("a", 4)

    (win,) = contribute(oracle, "a").wins

    assert [win.from_reserve, win.from_boost] == [exactly("0.02125"), 4]
    assert win.seed_deficit == exactly("5.97875")
    assert oracle.pots["a"].boost == 0


@pytest.mark.parametrize(("above", "is_withheld"), [("10", False), ("9.99", True)])
def test_win_above_the_limit_is_withheld_until_somebody_decides(
    above: str, is_withheld: bool
) -> None:
    """Released it is paid, rejected it goes back to its pot."""
    for release in (True, False):
        oracle = ReferenceInstance(template(pot("a"), withhold_wins_above=above))
        ledger = oracle.jackpot.ledger

        (win,) = contribute(oracle, "a").wins
        value = oracle.pots["a"].value.exact
        decided = oracle.decide_held("round", "a", release=release)

        assert (win.is_withheld, decided is None) == (is_withheld, is_withheld)
        assert ledger.withheld == 0
        assert ledger.payouts == (0 if is_withheld and not release else 10)
        assert oracle.pots["a"].value.exact - value == (10 if is_withheld and not release else 0)
        assert oracle.imbalance() == 0


def test_trigger_pays_whom_it_names() -> None:
    """In their own currency; a pot without a trigger refuses."""
    to = Contributor(("op:a", "dora"), "USD", Rates(RATES))
    rules = template(pot("a", supports_external_trigger=True), pot("b"))
    oracle = ReferenceInstance(rules)

    settled = oracle.trigger("a", to, at_ms=1, round_id="hand")

    assert not isinstance(settled, Rejection)
    assert settled.wins[0].amount == exactly("10.76")
    assert isinstance(oracle.trigger("b", to, at_ms=1, round_id="hand"), Rejection)


@pytest.mark.parametrize(
    ("amount", "accepted"), [("1.5", True), ("2.00000001", False), ("-2", True), ("-2.01", False)]
)
def test_adjustment_stays_between_least_seed_and_ceiling(amount: str, accepted: bool) -> None:
    """Between 8 and 12 for a pot that holds 10."""
    oracle = ReferenceInstance(template(pot("a", min_reseed="8", max_pot_value="12")))

    refused = oracle.adjust("a", amount, units("10"))

    assert (refused is None) is accepted
    assert oracle.pots["a"].value.exact == 10 + (exactly(amount) if accepted else 0)


# --- communities ----------------------------------------------------------------------------------

NAMES = ("anna", "bert", "caro", "dora", "emil")


def crowd(*strategies: dict[str, Any], **changes: Any) -> ReferenceInstance:
    """A pot of 10 to which five players have contributed 3, 1, 2, 3 and 1 EUR, each a millisecond after the other."""
    rules = template(
        pot(
            "a",
            "0.1",
            seed_share="0",
            supports_external_trigger=True,
            community_payout=community(*strategies),
        ),
        kind=WHOLE_WAGER,
        **changes,
    )
    oracle = ReferenceInstance(rules)
    for number, (name, wager) in enumerate(zip(NAMES, (3, 1, 2, 3, 1), strict=True)):
        contribute(oracle, base_wager=wager, at_ms=number, **anna_or(name))
    return oracle


def test_highest_contributors_share_and_ties_go_to_who_was_first() -> None:
    """11.00 for bert, whose wager of 1 wins: 20 % in two parts of 1.11 for anna and dora, 8.88 for him."""
    oracle = crowd(to_contributors("0.2", 2))

    (win,) = contribute(oracle, "a", at_ms=9, **anna_or("bert")).wins

    assert [(part.who[1], part.amount) for part in win.community] == [
        ("anna", exactly("1.11")),
        ("dora", exactly("1.11")),
    ]
    assert win.amount == exactly("8.88")
    assert oracle.pots["a"].value.exact == 10  # 11.10 are paid


def test_counters_of_a_pot_begin_again_and_those_for_life_do_not() -> None:
    """After its win a pot's board is empty but for who came since; the winner is never picked."""
    oracle = crowd(to_contributors("0.2", 2), to_lifetime("0.2", 1))
    contribute(oracle, "a", at_ms=9, **anna_or("anna"))

    (win,) = contribute(oracle, "a", at_ms=10, **anna_or("emil")).wins

    assert [(part.strategy, part.who[1]) for part in win.community] == [(1, "anna")]


def test_nobody_is_picked_twice() -> None:
    """Strategies in their order: who was found by the first is passed over by the second."""
    oracle = crowd(to_lifetime("0.1", 1), to_contributors("0.1", 2))

    (win,) = contribute(oracle, "a", at_ms=9, **anna_or("caro")).wins

    assert [part.who[1] for part in win.community] == ["anna", "dora", "bert"]


def test_active_players_are_drawn_from_the_secret() -> None:
    """Places in the order of last contributions, drawn until there are enough; a draw of the winner counts as none."""
    oracle = crowd(to_active("0.3", 2))
    seal(oracle, bytes(range(32)))
    places = Places(bytes(range(32)))
    drawn = [places.below(5, "active 0", attempt) for attempt in range(40)]
    order = [*dict.fromkeys(NAMES[at] for at in drawn if NAMES[at] != "caro")]
    to = Contributor(("op:a", "caro"), "EUR", Rates(RATES))

    settled = oracle.trigger("a", to, at_ms=9, round_id="hand")

    assert not isinstance(settled, Rejection)
    assert [part.who[1] for part in settled.wins[0].community] == order[:2]
    assert {part.among for part in settled.wins[0].community} == {5}


def test_active_players_are_those_of_the_last_hours() -> None:
    """At or after the hour; when nobody is left to draw, the rest of the share stays in the pot."""
    oracle = crowd(to_active("0.4", 4, hours=1))
    seal(oracle)
    to = Contributor(("op:a", "emil"), "EUR", Rates(RATES))

    settled = oracle.trigger("a", to, at_ms=3_600_003, round_id="hand")

    assert not isinstance(settled, Rejection)
    (win,) = settled.wins
    assert [(part.who[1], part.amount) for part in win.community] == [("dora", exactly("1.1"))]
    assert win.amount == exactly("6.6")
    assert oracle.pots["a"].value.exact == exactly("3.3") + 10


def test_community_winner_who_cannot_be_paid_leaves_the_part_in_the_pot() -> None:
    """Whole yen alone can be paid: 2 of 2.3, and nothing of 0.2."""
    oracle = crowd(to_lifetime("0.001", 1))
    contribute(oracle, base_wager=5000, currency="JPY", at_ms=8, **anna_or("dora"))
    value = oracle.pots["a"].value.exact

    (win,) = contribute(oracle, "a", at_ms=9, **anna_or("bert")).wins

    part = (value + exactly("0.1")) / 1000  # about 0.014 EUR, 2.3 yen
    assert [(found.currency, found.amount) for found in win.community] == [
        ("JPY", Fraction(int(part * exactly("162.35"))))
    ]
    poor = crowd(to_lifetime("0.0001", 1))
    contribute(poor, base_wager=5000, currency="JPY", at_ms=8, **anna_or("dora"))
    assert contribute(poor, "a", at_ms=9, **anna_or("bert")).wins[0].community == ()


# --- changes, the end, transfers ------------------------------------------------------------------


def test_changes_wait_for_their_win() -> None:
    """One for the pot's own next win, one for any; both take effect when that comes."""
    rules = template(pot("a"), pot("b"))
    oracle = ReferenceInstance(rules)
    oracle.ask_change("own", "b")
    oracle.ask_change("any", None)

    assert contribute(oracle).changes == ()
    assert contribute(oracle, "a").changes == ("any",)
    assert contribute(oracle, "b").changes == ("own",)


def test_changed_shares_count_from_then_on() -> None:
    """The pots keep what they hold."""
    oracle = ReferenceInstance(template(pot("a", "0.2", seed_share="0")))
    contribute(oracle)

    oracle.change_rules(template(pot("a", "0.4", seed_share="0")))

    assert contribute(oracle).pots["a"] == exactly("10.06")


def test_terminated_instance_holds_its_money_until_it_is_moved() -> None:
    """Value, reserve and boost of each pot are undistributed; the house keeps what is the house's."""
    oracle = ReferenceInstance(template(pot("a")))
    contribute(oracle)
    oracle.boost("a", 2)

    oracle.change_status("Terminated")

    assert oracle.pots["a"].undistributed.exact == exactly("12.025")
    assert refusal(oracle) == "JackpotNotActive"
    assert oracle.imbalance() == 0


def test_o12c_switching_the_model_moves_by_weights() -> None:
    """100, 1,000 and 10,000 become 2,150, 1,950 and 7,000, and 11,100 stay 11,100."""
    seeds = {"minor": "100", "major": "1000", "mega": "10000"}
    source = ReferenceInstance(template(*(pot(name, "0.2", seed) for name, seed in seeds.items())))
    target = ReferenceInstance(template(*(pot(name, "0.2", "0") for name in seeds)))
    weights = {
        "minor": {"minor": "1"},
        "major": {"minor": "0.05", "major": "0.95"},
        "mega": {"minor": "0.2", "major": "0.1", "mega": "0.7"},
    }
    moved = [
        (name, to, exactly(weight), exactly(seeds[name]) * exactly(weight))
        for name, targets in weights.items()
        for to, weight in targets.items()
    ]

    source.send(
        [(name, weight) for name, _, weight, _ in moved],
        [Shipment(name, value, Fraction(0), Fraction(0)) for name, _, _, value in moved],
    )
    for _, to, _, value in moved:
        target.take(to, Shipment(to, value, Fraction(0), Fraction(0)))

    assert [held.value.exact for held in target.pots.values()] == [2150, 1950, 7000]
    assert source.imbalance() == target.imbalance() == 0
    assert source.status == "Terminated"
    assert source.jackpot.ledger.transferred == 11_100


def test_transfer_that_leaves_money_behind_is_a_disagreement() -> None:
    """A unit that stayed has been forgotten."""
    oracle = ReferenceInstance(template(pot("a")))

    with pytest.raises(OracleDisagreementError):
        oracle.send(
            [("a", Fraction(1))], [Shipment("a", exactly("9.99999999"), Fraction(0), Fraction(0))]
        )
