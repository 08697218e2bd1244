"""Raffles in corners where a review found something: moves called off, links that come twice, new schedules."""

import trio
import trio.lowlevel
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.core import evolve as transitions
from jackpotd.core import operating, raffle
from jackpotd.core.commands import Bet, SetSchedule
from jackpotd.core.events import InstanceEvent, RoundResolved, ScheduleChanged, StatusChanged
from jackpotd.core.money import SCALE
from jackpotd.core.schedule import DAY_MS, DailyRule, Schedule
from jackpotd.core.state import Instance, Status
from jackpotd.engine.cells import born
from jackpotd.engine.messages import DepartMessage, LinkMessage, Reply
from jackpotd.testing.house import BORN_MS, House, currencies, instance, operator, request
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import rates
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity, InstanceEntry
from jackpotd.wire.parts import part_of
from tests.wire.test_raffle_template import DOCUMENTED, template

HOUR_MS = 3_600_000
LONG_S = 20


def entry_of(**changes: object) -> InstanceEntry:
    """A raffle of one hour, without an end."""
    rules = DOCUMENTED | {"duration": {"Hours": 1}} | changes
    made = instance("r", template(allowed_brands=["op:a"], raffle=rules))
    return replace(made, schedule=part_of(Schedule(BORN_MS, None)))


def catalog_of(entry: InstanceEntry) -> list[CatalogEntity]:
    return [operator("op", ["a"]), currencies("default"), entry]


class NobodyListens:
    """Another worker, whose connection has just broken."""

    deadline_s = 1.0

    def send(self, instance_id: str, message: LinkMessage) -> None:
        """Nothing is sent there."""

    def settled(self, cause: int, links: tuple[str, ...]) -> None:
        """Nor told."""

    def received(self, message: LinkMessage, record: bytes) -> None:
        """Nor answered."""


async def bought(house: House, *players: str) -> None:
    for player in players:
        await house.router.contribute(request("r", wager=10 * SCALE, player_id=player))


async def test_raffle_that_stays_after_all_resolves_its_round() -> None:
    """Its worker was restarted while it stood still for a move that is then called off: its tickets are there again."""
    log, catalog = MemoryLog(), catalog_of(entry_of())
    with trio.fail_after(LONG_S):
        house = House(log, catalog)
        async with house.running():
            await bought(house, "a", "b", "c")
            departing: Reply[object] = Reply()
            house.shard.actors["r"].mailbox.post_due(DepartMessage(1, departing.resolve))
            await departing.wait()
        house = House(log, catalog, seed=1)
        async with house.running():
            seq = house.fold.moves.departures["r"].departing_seq
            returned = records.Returned(house.clock(), "r", seq)
            house.fold.move(house.journal.stage(records.encode(returned)), returned)
            house.shard.actors["r"].go_on()
            await bought(house, "d")
            house.clock.now_ms = BORN_MS + HOUR_MS
            await bought(house, "e")
            state = house.fold.cells["r"].state

    assert (state.rare.rounds, state.contributions) == (1, 5)
    assert state.pots[0].hits > 0


async def test_link_that_comes_twice_around_a_draw_is_taken_once() -> None:
    """Its sender has settled, and this worker forgets, while the draw goes on and the second copy waits."""
    entry = entry_of(prizes=[{"count": 2000, "amount": 1}], one_prize_per_player=False)
    bet = Bet("op:a", "a", None, None, None, "EUR", 10 * SCALE, None, "gameround", None)
    link = LinkMessage(5, 0, bet, rates(), can_debit=True, worker=1)
    with trio.fail_after(LONG_S):
        house = House(MemoryLog(), catalog_of(entry))
        async with house.running():
            house.shard.propagation.away = NobodyListens()
            await house.router.contribute(request("r", wager=10_000 * SCALE, player_id="z"))
            actor = house.shard.actors["r"]
            actor.mailbox.post_due(link)
            await house.journal.durable()
            house.clock.now_ms = BORN_MS + HOUR_MS
            actor.mailbox.post_due(link)
            for _ in range(2):  # as those do who forget
                await trio.lowlevel.checkpoint()
            busy = house.shard.catching_up()
            forgotten = house.fold.forgotten(1, (5,), 0, busy)
            house.journal.stage(records.encode(forgotten))
            house.fold.forget(forgotten)
            await bought(house, "z")
            state = house.fold.cells["r"].state

    assert busy == {"r"}
    assert (state.rare.rounds, state.contributions) == (1, 3)


def gone_on(state: Instance, *events: InstanceEvent) -> Instance:
    """The state after these events, with its next round if it has none."""
    for event in events:
        state = transitions.evolve(state, event)
    for event in raffle.next_round(state, state.updated_ms):
        state = transitions.evolve(state, event)
    return state


def begun(entry: InstanceEntry, schedule: Schedule) -> Instance:
    created = records.Created(
        BORN_MS, "r", "r", "op", "t", "op", Raw(bytes(entry.document)), ("op:a",), Status.ACTIVE, "me"
    )  # fmt: skip
    return gone_on(born(created), ScheduleChanged(BORN_MS, "", schedule, "me", ""))


def test_round_that_is_over_stays_over_under_another_schedule() -> None:
    """A later end, set while the raffle is paused, does not open again what waits for its draw."""
    entry = entry_of(duration={"Days": 7})
    state = begun(entry, Schedule(BORN_MS, BORN_MS + DAY_MS))
    state = gone_on(state, StatusChanged(BORN_MS + 1, Status.PAUSED, "", "me"))
    later = SetSchedule(BORN_MS + 2 * DAY_MS, "", Schedule(BORN_MS, BORN_MS + 9 * DAY_MS), "me", "")
    decided = operating.decide(state, later)
    assert isinstance(decided, list)
    state = gone_on(state, *decided)
    state = gone_on(state, StatusChanged(BORN_MS + 2 * DAY_MS + 1, Status.ACTIVE, "", "me"))

    assert raffle.due_ms(state) == BORN_MS + DAY_MS
    assert raffle.running(state, state.updated_ms) is None


def test_rounds_that_no_schedule_had_are_not_missed() -> None:
    """One round a week; then, three days after one, a schedule of a round each day: it begins with that day's."""
    weekly = Schedule(BORN_MS, None, (DailyRule(((0, DAY_MS),), 7),))
    state = begun(entry_of(duration={"Days": 1}), weekly)
    ended = state.rare.round
    assert ended is not None
    resolved = RoundResolved(
        ended.ends_ms, 1, ended.starts_ms, ended.ends_ms, 0, 0, 0, state.pots[0].value, (), 0, 0, 0, 0
    )  # fmt: skip
    state = gone_on(state, resolved)
    now_ms = ended.ends_ms + 3 * DAY_MS
    decided = operating.decide(state, SetSchedule(now_ms, "", Schedule(BORN_MS, None), "me", ""))
    assert isinstance(decided, list)
    state = gone_on(state, *decided)

    assert state.rare.missed == 0
    assert state.rare.round is not None
    assert (state.rare.round.number, state.rare.round.starts_ms) == (2, now_ms)
