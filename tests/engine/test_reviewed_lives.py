"""What a review of the core found, by name, in lives of an instance: with its engine, secrets and alarms."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from jackpotd.core.commands import Adjust, AskChange, Boost, DecideHeldWin, TakeTransfer, Trigger
from jackpotd.core.events import CommunityPaid, PotWon, RulesChanged, Sealed, WindowEnded
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import Instance, PendingChange, Transfer
from jackpotd.engine.messages import Accepted, DepartMessage, Operated, Reply, Taken
from jackpotd.testing.cases import (
    WHOLE_WAGER,
    community,
    pot,
    template,
    time_point,
    to_active,
    trigger,
    units,
    value_point,
)
from jackpotd.testing.house import House, currencies, instance, operator, request
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import Json
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity

TEST_TIMEOUT_S = 30
HOUR_MS = 3_600_000
BY_TRIGGER: Json = {"hits": [], "seed_share": "0", "supports_external_trigger": True}
TO_TEN: Json = {"community_payout": community(to_active("0.5", 10))}


@asynccontextmanager
async def running(house: House) -> AsyncIterator[House]:
    with trio.fail_after(TEST_TIMEOUT_S):
        async with house.running():
            yield house


def house_of(rules: Json, log: MemoryLog | None = None) -> House:
    """One instance, `one`, of this template."""
    catalog: list[CatalogEntity] = [
        operator("op", ["a"]),
        currencies("default"),
        instance("one", rules),
    ]
    return House(MemoryLog() if log is None else log, catalog)


async def ask(house: House, wager: str, who: str = "anna") -> Sequence[Any]:
    """A contribution's events."""
    asked = request("one", wager=units(wager), player_id=who)
    answer = await house.router.contribute(asked)
    assert isinstance(answer, Accepted), answer
    (taken,) = answer.outcomes
    assert isinstance(taken, Taken), taken
    return taken.events


async def do(house: House, command: Any) -> Sequence[Any]:
    found = await house.shard.operate("one", command)
    assert isinstance(found, Operated), found
    return found.events


def state_of(house: House) -> Instance:
    state = house.shard.state("one")
    assert state is not None
    return state


def of(events: Sequence[Any], kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def triggered(pot_id: str) -> Trigger:
    return trigger(pot_id, at_ms=0, round_id=f"hand of {pot_id}")


@pytest.mark.parametrize("comes", ["boost", "correction", "transfer", "bequest", "rejection"])
async def test_value_that_was_reached_and_not_paid_stays_due_whatever_comes(comes: str) -> None:
    """The pot stands at 15 past its value of 11 to 12, and only wagers of 100 may win it; it is sealed as before."""
    points = [value_point("11", "12")]
    rules = pot("a", "1", points=points, criteria={"min_base_wager": "100"}, **BY_TRIGGER)
    once = pot("b", "0", "30", **BY_TRIGGER, min_reseed="0", max_instantiation_count=1)
    above = "20" if comes == "rejection" else None
    whole = template(rules, once, kind=WHOLE_WAGER, withhold_wins_above=above)
    async with running(house_of(whole)) as house:
        await ask(house, "5")
        seal = state_of(house).rare.seals[0]
        events: Sequence[Any] = []
        match comes:
            case "boost":
                await do(house, Boost(0, "a", units(3), "dora", "why"))
            case "correction":
                await do(house, Adjust(0, "a", -units("0.5"), "dora", "why"))
            case "transfer":
                sent = Transfer("t", 0, "one", "a", units(3), 0, 0)
                await do(house, TakeTransfer(0, "other", sent))
            case "bequest":
                await do(house, triggered("b"))
            case _:
                (won,) = of(await do(house, triggered("b")), PotWon)
                await do(house, DecideHeldWin(0, won.round_id, "b", False, "dora", "why"))

        assert state_of(house).rare.seals[0] == seal
        events = await ask(house, "100")
        assert [str(won.tip) for won in of(events, PotWon)] == ["Value"]
        assert of(events, Sealed)


async def test_correction_upward_ends_at_a_hidden_value_and_seals_below_it_anew() -> None:
    """From 10 to 11, where a value may be hidden, and not a unit more; it is hidden again above 11."""
    rules = pot("a", "1", points=[value_point("11", "20")], **BY_TRIGGER)
    async with running(house_of(template(rules, kind=WHOLE_WAGER))) as house:
        beyond = Adjust(0, "a", units("1.00000001"), "dora", "why")
        refused = await house.shard.operate("one", beyond)
        assert isinstance(refused, Rejection)
        assert refused.code == "INVALID_STATE"
        (sealed,) = of(await do(house, Adjust(0, "a", units(1), "dora", "why")), Sealed)
        assert sealed.seal.floor == units(11)


async def test_hidden_values_below_what_a_pot_has_kept_are_dropped_and_others_taken() -> None:
    """Half of 29 found nobody: with 24.5 in the pot a min of 11 is dropped, and of 25 it is not."""
    for low, is_taken in (("11", False), ("25", True)):
        rules = pot("a", "1", points=[value_point("30", "50")], **BY_TRIGGER, **TO_TEN)
        async with running(house_of(template(rules, kind=WHOLE_WAGER))) as house:
            await ask(house, "19")
            changes = {"pots": {"a": {"pot_types": [value_point(low, "50")]}}}
            part = PendingChange("c", 0, msgspec.json.encode(changes), 0, "dora", "law")
            await do(house, AskChange(0, (part,), b"{}"))
            (changed,) = of(await do(house, triggered("a")), RulesChanged)

            assert (changed.rules is not None) is is_taken
            (point,) = state_of(house).rules.pots[0].hidden_values
            assert point.low == units(low if is_taken else "30")
            assert not state_of(house).rare.pending


def drawn_hourly() -> Json:
    """An hourly pot that is drawn among contributors; half of it is for who else is there."""
    points = [time_point({"Hours": 1}, "DrawAmongContributors")]
    hourly = pot("a", "1", seed_share="0", hits=[], points=points, **TO_TEN)
    return template(hourly | {"criteria": {"min_base_wager": "1"}}, kind=WHOLE_WAGER)


async def with_candidate(house: House) -> None:
    """Two have contributed in a window whose drop has not come."""
    for _ in range(1000):
        await ask(house, "5", "anna")
        await ask(house, "0.5", "bert")
        window = state_of(house).rare.pots[0].windows[0]
        if window.candidate is not None and not window.is_done:
            return
        house.clock.now_ms += HOUR_MS
    raise AssertionError("the drop always comes at once")


@pytest.mark.usefixtures("autojump_clock")
async def test_alarm_of_a_fenced_instance_does_not_ring_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its window is over and cannot be ended: it is told once, and then nobody is woken for it."""

    def break_down(*_args: object) -> None:
        raise ArithmeticError

    async with running(house_of(drawn_hourly())) as house:
        await with_candidate(house)
        log = house.log.copy()
    monkeypatch.setattr("jackpotd.core.windows.end", break_down)
    again = house_of(drawn_hourly(), log)
    again.clock.now_ms = house.clock.now_ms + HOUR_MS
    async with running(again):
        await trio.sleep(1)
        assert again.shard.actor_statistics()["one"].is_fenced
        read = again.clock.now_ms
        for _ in range(500):
            await trio.lowlevel.checkpoint()
        assert again.clock.now_ms - read < 5


async def test_window_that_ended_before_a_restart_is_drawn_with_its_community() -> None:
    """Nobody has been gathered yet when the alarm rings, or the first contribution comes."""
    house = house_of(drawn_hourly())
    async with running(house):
        await with_candidate(house)
    again = house_of(drawn_hourly(), house.log.copy())
    again.clock.now_ms = house.clock.now_ms + HOUR_MS
    async with running(again):
        await ask(again, "5", "caro")
        assert_drawn(again, house.log.last_seq)


@pytest.mark.parametrize("restarts", [False, True])
async def test_instance_that_stays_after_all_ends_its_windows_and_pays_its_community(
    restarts: bool,
) -> None:
    """A departure is called off an hour later, perhaps after a restart: the window that is over is drawn, with all."""
    house = house_of(drawn_hourly())
    async with running(house):
        await with_candidate(house)
        reply: Reply[int | Rejection] = Reply()
        house.shard.actors["one"].mailbox.post_due(DepartMessage(1, reply.resolve))
        departing = await reply.wait()
        assert isinstance(departing, int)
        if not restarts:
            await called_off(house, departing)
            return
    again = house_of(drawn_hourly(), house.log.copy())
    again.clock.now_ms = house.clock.now_ms
    async with running(again):
        await called_off(again, departing)


async def called_off(house: House, departing: int) -> None:
    """The window ends while the instance stands still, and is drawn once it goes on."""
    before = state_of(house)
    house.clock.now_ms += HOUR_MS
    await trio.sleep(0.01)
    assert state_of(house) == before

    returned = records.Returned(house.clock(), "one", departing)
    house.fold.move(house.journal.stage(records.encode(returned)), returned)
    house.shard.actors["one"].go_on()
    await house.journal.durable()
    await ask(house, "5", "caro")

    assert_drawn(house, departing)


def assert_drawn(house: House, after_seq: int) -> None:
    """The window's candidate and the other one were paid since."""
    entries = [records.decode(data) for _, data in house.log.scan(after_seq + 1)]
    events = [
        event
        for entry in entries
        if isinstance(entry, records.Entry)
        for event in records.to_events(entry.events)
    ]
    (won,) = of(events, PotWon)
    (paid,) = of(events, CommunityPaid)
    assert of(events, WindowEnded)
    assert str(won.tip) == "TimeFallback"
    assert {won.player_id, *(each.winner.player_id for each in paid.payouts)} == {"anna", "bert"}
