"""What a person changes about a raffle while it runs, where two of them did not know of each other."""

import trio
from msgspec import structs

from jackpotd.core.commands import AskChange, SetSchedule
from jackpotd.core.schedule import Schedule
from jackpotd.core.state import PendingChange, Status
from jackpotd.engine.owners import LocalOwners
from jackpotd.testing.house import BORN_MS, House, currencies, instance, operator
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.wire import codec
from jackpotd.wire.parts import part_of
from tests.wire.test_raffle_template import DOCUMENTED, template

ROUND_MS = 1_000


async def test_change_that_the_schedule_has_no_end_for_is_dropped() -> None:
    """One asks for rounds as long as the schedule, another takes its end away: the raffle goes on as it was."""
    raffle = DOCUMENTED | {"duration": {"Seconds": 1}}
    born = instance("r", template(allowed_brands=["op:a"], raffle=raffle))
    schedule = part_of(Schedule(BORN_MS, BORN_MS + 10_000 * ROUND_MS))
    entry = structs.replace(born, schedule=schedule)
    house = House(MemoryLog(), [operator("op", ["a"]), currencies("default"), entry])
    changes = codec.encode({"raffle": DOCUMENTED | {"duration": None}})
    change = PendingChange("change", None, changes, 0, "one", "longer rounds")
    with trio.fail_after(10):
        async with house.running():
            owners = LocalOwners(house.shard)
            await owners.operate("r", AskChange(0, (change,), b"{}"))
            await owners.operate("r", SetSchedule(0, "", Schedule(BORN_MS, None), "other", ""))
            house.clock.now_ms = BORN_MS + ROUND_MS
            await owners.operate("r", SetSchedule(0, "op:a", Schedule(BORN_MS, None), "other", ""))
            state = house.shard.state("r")

    assert state is not None
    assert (state.status, state.rare.rounds) == (Status.ACTIVE, 1)
    assert state.rare.pending == ()
    assert state.rules.raffle is not None
    assert state.rules.raffle.duration_ms == ROUND_MS
