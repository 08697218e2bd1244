"""R-WIN, R-FLT-1 and R-RNG-5: wins, pauses and chance, as tests of the core with the oracle beside it."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jackpotd.core import fairness, rejections
from jackpotd.core.commands import Boost, ChangeStatus
from jackpotd.core.events import Contributed, PotWon, Sealed, StatusChanged
from jackpotd.core.state import Instance, Status
from jackpotd.testing.cases import (
    WHOLE_WAGER,
    bet,
    pot,
    secret_where,
    template,
    time_point,
    trigger,
    units,
    value_point,
)
from jackpotd.testing.core_driver import CoreInstance, Done
from jackpotd.testing.histories import history
from jackpotd.testing.oracle_pair import Pair
from jackpotd.testing.templates import Json, compiled

SURE: Json = {"hits": [(1, "1")], "seed_share": "0"}
BY_VALUE: Json = {"hits": [], "seed_share": "0"}


def contribute(pair: Pair, wager: str | int = 1, who: str = "anna", at_ms: int = 0) -> Done:
    done = pair.contribute(bet(wager, who), max(at_ms, pair.at_ms), f"round {len(pair.core.log)}")
    assert isinstance(done, Done), done
    return done


def paid(pair: Pair, done: Done) -> list[tuple[str, int]]:
    return [(pair.pot_ids[won.pot], won.win) for won in done.of(PotWon)]


# --- R-WIN-1 --------------------------------------------------------------------------------------


def test_r_win_1_simultaneous_triggers_are_recorded_and_paid_in_order() -> None:
    """All: each is paid its full amount, in pot order, in one entry; what they tipped by is recorded with each."""
    pots = [
        pot("a", "0.2", "10", **SURE),
        pot("b", "0.2", "30", points=[value_point("30.1", "30.2")], **BY_VALUE),
        pot("c", "0.2", "20", **SURE),
    ]
    pair = Pair(template(*pots, kind=WHOLE_WAGER, strategy="All"))

    done = contribute(pair)

    assert paid(pair, done) == [("a", units("10.2")), ("b", units("30.2")), ("c", units("20.2"))]
    assert [str(won.tip) for won in done.of(PotWon)] == ["HitRate", "Value", "HitRate"]
    assert len({won.round_id for won in done.of(PotWon)}) == 1


@pytest.mark.parametrize(("strategy", "name"), [("Highest", "b"), ("Lowest", "a")])
def test_r_win_1_disclosed_rule_decides_where_one_is_paid(strategy: str, name: str) -> None:
    """Highest or Lowest pays one; the value that was not paid stays due for the next contribution."""
    pots = [
        pot("a", "0.2", "10", points=[value_point("10.1", "10.2")], **BY_VALUE),
        pot("b", "0.2", "30", points=[value_point("30.1", "30.2")], **BY_VALUE),
    ]
    pair = Pair(template(*pots, kind=WHOLE_WAGER, strategy=strategy))

    first, second = contribute(pair), contribute(pair, "0.01", who="bert")

    assert [pot_id for pot_id, _ in paid(pair, first)] == [name]
    assert [pot_id for pot_id, _ in paid(pair, second)] == ["a" if name == "b" else "b"]


def test_r_win_1_two_players_win_in_the_order_of_their_contributions() -> None:
    """Strict order: the first who reaches the hidden value has the whole pot, the second has the next one."""
    points = [value_point("10.5", "10.50000001")]
    pair = Pair(template(pot("a", "1", points=points, **BY_VALUE), kind=WHOLE_WAGER))

    outcomes = [contribute(pair, who=who).of(PotWon) for who in ("anna", "bert")]

    assert [[(won.player_id, won.win) for won in wins] for wins in outcomes] == [
        [("anna", units(11))],
        [("bert", units(11))],
    ]


# --- R-WIN-2 --------------------------------------------------------------------------------------


def test_r_win_2_hidden_trigger_is_drawn_at_each_reset_under_a_new_commitment() -> None:
    """After each win another secret, before any contribution of the new cycle; the old one is revealed and fits."""
    pair = Pair(template(pot("a", "1", points=[value_point("11", "12")], **BY_VALUE)))
    for _ in range(60):
        contribute(pair)

    seals = [event for event in pair.core.log if isinstance(event, Sealed)]
    wins = [event for event in pair.core.log if isinstance(event, PotWon)]
    assert len(seals) == len(wins) + 1 > 3
    for number, (before, after) in enumerate(pairwise(seals), 1):
        assert before.seal is not None
        secret = bytes.fromhex(after.revealed)
        assert before.seal.commitment == fairness.commitment_to(secret, "instance", "a", number)
    firsts = [event.seal.first for event in seals if event.seal]
    assert firsts == sorted(firsts)
    assert len({event.seal.commitment for event in seals if event.seal}) == len(seals)


def test_r_win_2_commitment_hides_what_it_commits_to() -> None:
    """A secret of 256 bits, all of them hashed with the names of what it is for: it cannot be guessed."""
    assert fairness.SECRET_BYTES * 8 >= 128
    one = fairness.commitment_to(bytes(32), "i", "a", 1)
    flipped = {
        fairness.commitment_to(bytes(at) + b"\x01" + bytes(31 - at), "i", "a", 1)
        for at in range(32)
    }
    assert len(flipped | {one}) == 33
    others = {fairness.commitment_to(bytes(32), *who) for who in (("j", "a", 1), ("i", "b", 1))}
    assert one not in others | {fairness.commitment_to(bytes(32), "i", "a", 2)}


def published(rules: Json, secret: bytes) -> Instance:
    """The state after a contribution, without the one number that a hash may show."""
    core = CoreInstance(compiled(rules), secret_of=lambda _pot, _number: secret)
    core.contribute(bet(), 1)
    (seal,) = core.state.rare.seals
    assert seal is not None
    without = replace(core.state.rare, seals=(replace(seal, commitment=""),))
    return replace(core.state, rare=without)


def test_r_win_2_what_is_published_does_not_change_before_the_reveal() -> None:
    """A seal names no number that is hidden: the state but for the streams is equal for two hidden values."""
    rules = template(pot("a", "1", points=[value_point("11", "12")], **BY_VALUE))
    low, high = units(11), units(12)
    secrets = (
        secret_where(lambda stream: stream.hidden_value(0, low, high) < low + 10**6),
        secret_where(lambda stream: stream.hidden_value(0, low, high) > high - 10**6),
    )
    states = [published(rules, secret) for secret in secrets]
    assert states[0] == states[1]


# --- R-WIN-3 --------------------------------------------------------------------------------------


def test_r_win_3_winner_is_told_with_the_game_and_the_pot_is_updated_at_once() -> None:
    """The answer to the very contribution holds the win; the state after it is the new cycle."""
    pair = Pair(template(pot("a", "0.5", **SURE), kind=WHOLE_WAGER))

    done = contribute(pair)

    assert paid(pair, done) == [("a", units("10.5"))]
    (held,) = pair.core.state.pots
    assert (held.value, held.cycle, held.hits, held.paid) == (units(10), 2, 1, units("10.5"))


# --- R-FLT-1 --------------------------------------------------------------------------------------


def test_r_flt_1_paused_jackpot_neither_grows_nor_wins() -> None:
    """Contributions, triggers and windows that end: nothing moves while it is paused."""
    points = [time_point({"Minutes": 1}, "DrawAmongContributors")]
    pots = pot("a", "0.5", hits=[], points=points, supports_external_trigger=True)
    pair = Pair(template(pots, kind=WHOLE_WAGER))
    contribute(pair, at_ms=1)
    change(pair, Status.PAUSED)
    before = pair.core.state

    refused = pair.contribute(bet(), 2, "late")
    pair.trigger(trigger("a", at_ms=3, round_id="hand"))
    pair.pass_time(600_000)

    assert refused == rejections.JACKPOT_NOT_ACTIVE
    assert pair.core.state == before
    assert not pair.seen["pots won"]


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(0, 2**48))
def test_r_flt_1_parameters_and_amounts_are_identical_on_resume(seed: int) -> None:
    """Whatever was tried meanwhile: pots, reserves, seals, windows, boards and rules are those of before the pause."""
    run = history(seed)
    run.play(40)
    pair = run.pair
    if pair.core.state.status is not Status.ACTIVE:
        return
    change(pair, Status.PAUSED)
    before = pair.core.state
    for _ in range(10):
        run.number += 1
        run.at_ms += 1
        run.contribute()
        run.trigger()
    change(pair, Status.ACTIVE)

    after = pair.core.state
    assert replace(before, status=Status.ACTIVE, updated_ms=0, version=0) == replace(
        after, updated_ms=0, version=0
    )


def change(pair: Pair, status: Status) -> None:
    found = pair.operate(
        ChangeStatus(pair.at_ms, status, "why", "someone"),
        lambda: pair.oracle.change_status(str(status)),
        str(status),
    )
    assert isinstance(found, Done)
    assert found.of(StatusChanged)


# --- R-RNG-5 --------------------------------------------------------------------------------------


def outcomes(pair: Pair, contributions: int) -> list[tuple[int, int]]:
    """Draw and threshold of each contribution of 1 by somebody new."""
    found = []
    for number in range(contributions):
        done = contribute(pair, who=f"player {number}")
        found += [(draw, limit) for _, draw, limit in done.of(Contributed)[0].draws]
    return found


def test_r_rng_5_outcome_does_not_depend_on_pot_bank_or_history() -> None:
    """The same secret and the same number of the contribution: equal draws and thresholds, and equal winners.

    One pot is small, the other huge with a full reserve and a boost, has paid before and has a hot player.
    """
    secret = secret_where(
        lambda s: [s.draw(0, n) < 2**64 // 5 for n in range(3)] == [False, False, True]
    )

    def instance(seed: str, **changes: object) -> Pair:
        rules = pot("a", "0.5", seed, hits=[(5, "1")], **changes)
        return Pair(template(rules, kind=WHOLE_WAGER), secret_of=lambda _pot, _number: secret)

    small = instance("10", min_reseed="0.01")
    huge = instance("1000000", min_reseed="5000", fund="CollectAlways", seed_share="0.9")
    huge.operate(
        Boost(0, "a", units(70_000), "dora", "why"), lambda: huge.oracle.boost("a", 70_000), "boost"
    )

    first, second = outcomes(small, 12), outcomes(huge, 12)

    assert first == second
    assert small.seen["pots won"] == huge.seen["pots won"] > 1


def test_r_rng_5_return_is_never_adapted_to_past_payouts() -> None:
    """Thresholds are one and the same before and after any number of wins and of losses."""
    pair = Pair(template(pot("a", "0.5", hits=[(3, "1")]), kind=WHOLE_WAGER))

    limits = {limit for _, limit in outcomes(pair, 60)}

    assert len(limits) == 1
    assert pair.seen["pots won"] > 5


@pytest.mark.parametrize(("bits", "bound", "tail"), [(52, 6, 4), (32, 10, 6), (64, 10**6, 551_616)])
def test_r_rng_2_o18_scaling_rejects_the_words_of_the_incomplete_round(
    bits: int, bound: int, tail: int
) -> None:
    """2^52 mod 6 = 4, 2^32 mod 10 = 6, 2^64 mod 10^6 = 551,616: exactly these last words are passed over."""
    assert 2**bits % bound == tail
    assert fairness.scaled(2**bits - tail - 1, bound, bits) == bound - 1
    for word in (2**bits - tail, 2**bits - 1):
        assert fairness.scaled(word, bound, bits) is None


@pytest.mark.parametrize("bound", [1, 2, 3, 6, 7, 100, 255, 256])
def test_r_rng_2_o18_every_outcome_has_as_many_words(bound: int) -> None:
    """All words of eight bits: each outcome equally often, and the leftover nowhere."""
    found = [fairness.scaled(word, bound, 8) for word in range(256)]

    counts = [found.count(outcome) for outcome in range(bound)]
    assert set(counts) == {256 // bound}
    assert found.count(None) == 256 % bound
