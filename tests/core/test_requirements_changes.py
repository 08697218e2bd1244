"""R-CHG: what may change on a live jackpot and when, as tests of the core with the oracle beside it."""

import copy
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jackpotd.core.commands import Adjust, AskChange
from jackpotd.core.events import (
    Adjusted,
    ChangeAsked,
    CommunityPaid,
    Contributed,
    InstanceEvent,
    PotClosed,
    PotWon,
    RulesChanged,
    Sealed,
    StatusChanged,
    TransfersSent,
)
from jackpotd.core.evolve import evolve
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import PendingChange
from jackpotd.testing.cases import (
    WHOLE_WAGER,
    bet,
    pot,
    template,
    trigger,
    units,
    value_point,
)
from jackpotd.testing.core_driver import Done
from jackpotd.testing.histories import decommission, history
from jackpotd.testing.oracle_pair import Pair
from jackpotd.testing.templates import Json, compiled
from jackpotd.wire.errors import RequestRefused

TRIGGERED: Json = {"seed_share": "0", "supports_external_trigger": True}


def contribute(pair: Pair, wager: str | int = 1) -> Done:
    done = pair.contribute(bet(wager), pair.at_ms, f"round {len(pair.core.log)}")
    assert isinstance(done, Done), done
    return done


def win(pair: Pair, pot_id: str = "a") -> Done:
    done = pair.trigger(trigger(pot_id, at_ms=pair.at_ms, round_id=f"hand {len(pair.core.log)}"))
    assert isinstance(done, Done), done
    return done


def ask(pair: Pair, pot_at: int | None, change: Callable[[Json], None]) -> None:
    """A change of the template that waits: of this pot's own rules, or (None) of all."""

    def patch(before: Json) -> Json:
        after = copy.deepcopy(before)
        change(after if pot_at is None else after["pots"][pot_at])
        return after

    part = PendingChange(
        f"change {len(pair.core.log)}", pot_at, b'{"new":1}', pair.at_ms, "dora", "law"
    )
    pair.ask_change(AskChange(pair.at_ms, (part,), b'{"old":1}'), patch)


def sets(**fields: object) -> Callable[[Json], None]:
    return lambda target: target.update(copy.deepcopy(fields))


# --- R-CHG-1 --------------------------------------------------------------------------------------


def test_r_chg_1_increment_rate_waits_for_the_next_win() -> None:
    """From 10 % to 20 % while the pot runs: it grows by 10 % until it is won, then by 20 %."""
    pair = Pair(template(pot("a", "0.1", hits=[], **TRIGGERED), kind=WHOLE_WAGER))

    def double(whole: Json) -> None:
        whole["pots"][0]["contribution"] = {"Percentage": "0.2"}
        whole["house_hold_contribution"] = {"Percentage": "0.8"}

    ask(pair, None, double)
    contribute(pair)
    assert pair.core.state.pots[0].value == units("10.1")
    win(pair)
    contribute(pair)
    assert pair.core.state.pots[0].value == units("10.2")


@pytest.mark.parametrize("ceiling", ["11", "20"])
def test_r_chg_1_ceiling_waits_for_the_next_win(ceiling: str) -> None:
    """Lower or higher, it binds the next cycle; what the pot holds is not cut."""
    pair = Pair(template(pot("a", "1", hits=[], max_pot_value="15", **TRIGGERED), kind=WHOLE_WAGER))
    contribute(pair, 4)

    ask(pair, 0, sets(max_pot_value=ceiling))
    contribute(pair, 4)
    assert pair.core.state.pots[0].value == units(15)
    win(pair)
    contribute(pair, 30)
    assert pair.core.state.pots[0].value == units(ceiling)


def test_r_chg_1_probability_of_the_current_jackpot_never_changes() -> None:
    """New odds for both pots: each keeps its threshold until it is won itself, whatever the other does."""
    sure = {"hits": [(10**6, "1")], **TRIGGERED}
    pair = Pair(
        template(pot("a", "0.3", **sure), pot("b", "0.3", **sure), kind=WHOLE_WAGER, strategy="All")
    )
    odds = [{"HitRate": {"max_magic_number": 10**4, "cost_per_attempt": "1"}}]

    def thresholds() -> list[int]:
        return [limit for _, _, limit in contribute(pair).of(Contributed)[0].draws]

    before, after = thresholds()[0], 2**64 // 10**4
    ask(pair, 0, sets(pot_types=odds))
    ask(pair, 1, sets(pot_types=odds))
    assert thresholds() == [before, before]
    win(pair, "a")
    assert thresholds() == [after, before]
    win(pair, "b")
    assert thresholds() == [after, after]


def test_r_chg_1_hidden_trigger_waits_and_is_drawn_again_only_by_the_win() -> None:
    """New bounds of a hidden value leave the running one: same seal, same value, then new bounds and a new seal."""
    points = [value_point("15", "15.00000001")]
    pair = Pair(template(pot("a", "1", hits=[], points=points, **TRIGGERED), kind=WHOLE_WAGER))
    seal = pair.core.state.rare.seals[0]

    ask(pair, 0, sets(pot_types=[value_point("20", "30")]))
    contribute(pair, "4.99999999")
    assert pair.core.state.rare.seals[0] == seal
    (won,) = contribute(pair, "0.00000002").of(PotWon)

    assert won.win == units("15")
    new = pair.core.state.rare.seals[0]
    assert new is not None
    stream = pair.core.streams[0]
    assert stream is not None
    assert units("20") <= stream.hidden_value(0, units(20), units(30)) <= units("30")
    assert new.floor == pair.core.state.pots[0].value


def test_r_chg_1_change_is_recorded_with_before_after_who_and_why() -> None:
    """Asked for and taken effect are two facts of the journal with one id."""
    pair = Pair(template(pot("a", "1", hits=[], **TRIGGERED), kind=WHOLE_WAGER))
    ask(pair, 0, sets(max_pot_value="20"))
    contribute(pair)
    done = win(pair)

    (asked,) = [event for event in pair.core.log if isinstance(event, ChangeAsked)]
    (changed,) = done.of(RulesChanged)
    assert (asked.changes, asked.before, asked.by, asked.reason) == (
        b'{"new":1}',
        b'{"old":1}',
        "dora",
        "law",
    )
    assert changed.id == asked.id
    assert b'"max_pot_value":"20"' in changed.document


# --- R-CHG-2 --------------------------------------------------------------------------------------


def test_r_chg_2_expected_trigger_value_is_below_the_ceiling() -> None:
    """A hidden value that may lie above the ceiling is refused with its path; at the ceiling it is not."""
    rules = pot("a", "1", hits=[], points=[value_point("11", "20")])

    compiled(template(rules | {"max_pot_value": "20"}))
    with pytest.raises(RequestRefused, match=r"\$\.pots\[0\]"):
        compiled(template(rules | {"max_pot_value": "19.99999999"}))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(0, 2**48))
def test_r_chg_2_jackpot_is_never_below_its_reset(seed: int) -> None:
    """After every win the pot holds at least its reset amount, and grows from there until the next."""
    run = history(seed)
    for _ in range(80):
        run.step()
        for rules, held in zip(run.pair.core.rules.pots, run.pair.core.state.pots, strict=True):
            first = held.cycle == 1 or not held.is_open or run.is_over
            changed = any(isinstance(event, RulesChanged) for event in run.pair.core.log)
            assert first or changed or held.value >= rules.min_reseed


@pytest.mark.parametrize(
    ("amount", "ok"), [("-2", True), ("-2.00000001", False), ("5", True), ("5.00000001", False)]
)
def test_r_chg_2_no_manual_set_below_the_reset_or_above_the_ceiling(amount: str, ok: bool) -> None:
    """A pot of 10 with a reset of 8 and a ceiling of 15."""
    pair = Pair(
        template(pot("a", "1", min_reseed="8", max_pot_value="15", hits=[], **TRIGGERED)),
    )

    found = pair.operate(
        Adjust(0, "a", units(amount), "dora", "why"),
        lambda: pair.oracle.adjust("a", Decimal(amount), units(10)),
        "adjustment",
    )

    assert isinstance(found, Rejection) is not ok


# --- R-CHG-3 --------------------------------------------------------------------------------------

MAY_LOWER = (PotWon, CommunityPaid, PotClosed, Adjusted, TransfersSent, StatusChanged)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(st.integers(0, 2**48))
def test_r_chg_3_displayed_amount_goes_down_only_for_a_recorded_reason(seed: int) -> None:
    """Paid, used up and handed on, corrected with a reason, moved, or terminated: nothing else lowers a pot."""
    run, to = history(seed, instance_id="a"), history(seed + 1, instance_id="b")
    run.play(80)
    decommission(run, to)
    to.play(20)
    for each in (run, to):
        state = each.pair.core.birth
        for event in each.pair.core.log:
            before, state = state, evolve(state, event)
            for old, new in zip(before.pots, state.pots, strict=True):
                assert new.value >= old.value or _may_lower(event), event


def _may_lower(event: InstanceEvent) -> bool:
    if isinstance(event, Adjusted):
        return bool(event.by and event.reason) and event.amount_units < 0
    if isinstance(event, StatusChanged):
        return event.status == "Terminated"
    return isinstance(event, MAY_LOWER)


def test_r_chg_3_correction_says_what_was_there_before_who_and_why() -> None:
    """The amount before stands in the record, and a sealed pot's secret is replaced openly."""
    pair = Pair(template(pot("a", "1", hits=[], min_reseed="1", **TRIGGERED), kind=WHOLE_WAGER))
    contribute(pair)
    found = pair.operate(
        Adjust(0, "a", -units("0.5"), "dora", "malfunction"),
        lambda: pair.oracle.adjust("a", "-0.5", units(11)),
        "adjustment",
    )

    assert isinstance(found, Done)
    (adjusted,) = found.of(Adjusted)
    assert (adjusted.before, adjusted.by, adjusted.reason) == (units(11), "dora", "malfunction")
    assert not found.of(Sealed)
