"""Opt-ins copied from an instance that is over: whoever was opted in is, once, whatever happens in between."""

from __future__ import annotations

import random

import pytest
import trio
import trio.lowlevel

from jackpotd.core.commands import ChangeStatus, Inherit, OperatorCommand, OptIn
from jackpotd.core.rejections import PLAYER_NOT_OPTED_IN, Rejection
from jackpotd.core.state import Status
from jackpotd.engine import inheriting
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.fold import Fold
from jackpotd.engine.inheriting import Inheriting
from jackpotd.engine.messages import Accepted, Operated, Reply, Taken
from jackpotd.engine.owners import LocalOwners
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, compare, recover
from jackpotd.testing.house import House, currencies, instance, operator, request
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import rates
from jackpotd.wire import records
from jackpotd.wire.catalog_records import CatalogEntity

TEST_TIMEOUT_S = 30
PLAYERS = [f"player {number}" for number in range(60)]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks, records and generations that sixty players fill many times."""
    monkeypatch.setattr(inheriting, "PLAYERS_READ_MAX", 7)
    monkeypatch.setattr(inheriting, "PLAYERS_IN_MEMORY_MAX", 11)
    monkeypatch.setattr(inheriting, "RECORD_BYTES_MAX", 60)


def catalog() -> list[CatalogEntity]:
    template = {
        "name": "a model",
        "owner_id": "op",
        "currency": "EUR",
        "allowed_brands": ["op:a"],
        "contribution_rules": {
            "opt_in_required": True,
            "contribution_type": {"Variable": {"min": "0.1", "max": "5", "default": "0.1"}},
        },
        "house_hold_contribution": {"Percentage": "0.5"},
        "pots": [
            {
                "id": "main",
                "contribution": {"Percentage": "0.5"},
                "seed_contribution": {"Percentage": "0.5"},
                "seed_strategy": {"initial_seed_value": 1, "min_reseed_value": 1},
                "pot_types": [{"HitRate": {"max_magic_number": 10**9, "cost_per_attempt": "0.1"}}],
            }
        ],
    }
    return [
        operator("op", ["a"]),
        currencies("default"),
        instance("old", template),
        instance("heir", template),
    ]


class Place:
    """A house with a checkpoint in the background and what copies opt-ins."""

    def __init__(self, log: MemoryLog, disk: MemoryRows) -> None:
        self.house = House(log, catalog(), disk=disk)
        house, keys = self.house, MemoryKeys()
        self.disk = disk
        self.checkpointer = Checkpointer(
            house.fold, house.journal, disk, Flush(keys), interval_s=0.001, transaction_rows_max=5
        )
        self.inheriting = Inheriting(
            house.shard, house.fold, house.journal, disk, self.checkpointer, house.clock
        )

    async def operate(self, name: str, command: OperatorCommand) -> None:
        outcome = await LocalOwners(self.house.shard).operate(name, command)
        assert isinstance(outcome, Operated), outcome

    async def opt_in(self, name: str, player: str, units: int | None, *, is_in: bool) -> None:
        reply: Reply[Taken | Rejection | None] = Reply()
        currency = None if units is None else "EUR"
        command = OptIn(0, "op:a", player, None, is_in, units, currency, rates())
        self.house.shard.opt_in(name, command, reply.resolve)
        assert isinstance(await reply.wait(), Taken)

    async def contribute(self, player: str) -> int | Rejection:
        """What the player put into the heir, in units of euros."""
        asked = request("heir", wager=10**8, player_id=player)
        answer = await self.house.router.contribute(asked)
        if isinstance(answer, Accepted):
            (outcome,) = answer.outcomes
            assert isinstance(outcome, Taken)
            return int(outcome.events[0].amount)  # type: ignore[union-attr]
        return answer

    async def copied(self) -> None:
        while True:
            state = self.house.shard.state("heir")
            if state is not None and not state.rare.inherits:
                return
            await trio.lowlevel.checkpoint()


class Flush:
    def __init__(self, keys: MemoryKeys) -> None:
        self._keys = keys

    async def flush(self, seq: int) -> None:
        self._keys.covered_seq = seq


async def opted_in(place: Place, rng: random.Random) -> dict[str, int | None]:
    """Who is opted in to the old instance, and what they prefer; some opt out again. Then it ends."""
    found: dict[str, int | None] = {}
    for player in PLAYERS:
        kind = rng.randrange(4)
        if kind:
            units = rng.choice([None, 10**8, 3 * 10**8])
            await place.opt_in("old", player, units, is_in=True)
            found[player] = units
        if kind == 3:
            await place.opt_in("old", player, None, is_in=False)
            del found[player]
    await place.operate("old", ChangeStatus(0, Status.TERMINATED, "why", "ann"))
    return found


def assert_inherited(amount: int | Rejection, expected: dict[str, int | None], player: str) -> None:
    if player not in expected:
        assert PLAYER_NOT_OPTED_IN == amount
    else:
        assert (expected[player] or 10**7) == amount


@pytest.mark.parametrize("seed", range(3))
async def test_everybody_who_was_opted_in_is_and_keeps_their_choice(seed: int) -> None:
    """Before the copy, while it runs, and after it: the same answer; rows and journal agree in the end."""
    rng = random.Random(seed)
    with trio.fail_after(TEST_TIMEOUT_S):
        place = Place(MemoryLog(), MemoryRows())
        async with place.house.running() as nursery:
            expected = await opted_in(place, rng)
            await place.operate("heir", Inherit(0, "old"))
            early, during, late = PLAYERS[:15], PLAYERS[15:30], PLAYERS[30:45]
            for player in early:
                assert_inherited(await place.contribute(player), expected, player)
            nursery.start_soon(place.checkpointer.run)
            nursery.start_soon(place.inheriting.run)
            for player in during:
                assert_inherited(await place.contribute(player), expected, player)
            await place.copied()
            for player in late:
                assert_inherited(await place.contribute(player), expected, player)
            await place.house.journal.durable()
            await place.checkpointer.checkpoint()
            nursery.cancel_scope.cancel()
    compare(place.house.log, place.disk.items.items(), MemoryKeys(), alive_since_ms=1 << 60)


async def test_a_copy_that_a_crash_cut_off_begins_anew() -> None:
    """After each record of the copy: the next life ends it, and each player is opted in by the journal once."""
    with trio.fail_after(TEST_TIMEOUT_S):
        place = Place(MemoryLog(), MemoryRows())
        async with place.house.running() as nursery:
            expected = await opted_in(place, random.Random(7))
            await place.operate("heir", Inherit(0, "old"))
            nursery.start_soon(place.inheriting.run)
            await place.copied()
            nursery.cancel_scope.cancel()
        log = place.house.log
        copies = [
            seq
            for seq, data in log.scan(1)
            if isinstance(records.decode(data), records.InheritedPlayers)
        ]
        assert len(copies) > 5
        for end in (copies[0] - 1, *copies, log.last_seq):
            again = Place(log.copy(end), MemoryRows())
            async with again.house.running() as nursery:
                nursery.start_soon(again.inheriting.run)
                await again.copied()
                nursery.cancel_scope.cancel()
            fold = Fold(MemoryRows(), MemoryKeys())
            recover(fold, again.house.log)
            for player in PLAYERS:
                known = fold.player("heir", "op:a", player)
                assert (player in expected) == known.opted_in
                choice = expected.get(player)
                assert ((("EUR", choice),) if choice else ()) == known.preferences
