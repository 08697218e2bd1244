"""Small stories on a stage: a house of chosen jackpots whose journal is on disk, and what the feed tells of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import trio
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.core.commands import OperatorCommand, OptIn
from jackpotd.core.rejections import Rejection
from jackpotd.engine.messages import Accepted, Operated, Reply, Taken, Target
from jackpotd.journal.group_commit import GroupCommit
from jackpotd.testing.house import House, currencies, instance, operator, request
from jackpotd.testing.templates import Json, rates
from jackpotd.wire.catalog_records import Assignment, CatalogEntity, Source

from .feed_oracle import plain
from .ground import TEST_TIMEOUT_S, Following, delivered, journal_on_disk, open_store


def brands(*names: str) -> list[CatalogEntity]:
    """An operator with these brands, and default multipliers."""
    return [operator("op", names), currencies("default")]


def jackpot(instance_id: str, template: Json, *, name: str = "", **changes: Any) -> CatalogEntity:
    made = instance(instance_id, template, **changes)
    return replace(made, name=name or f"The {instance_id}")


def source(owner: str, source_id: str, *names: str) -> Source:
    jackpots = tuple(Assignment(instance_id=name, priority=at) for at, name in enumerate(names))
    return Source(owner_id=owner, source_id=source_id, name=source_id, jackpots=jackpots)


def json(value: Any) -> Raw:
    return Raw(msgspec.json.encode(value))


class Stage:
    """A house with a journal on disk."""

    def __init__(self, directory: Path, entities: Sequence[CatalogEntity]) -> None:
        self.directory = directory
        self.entities = list(entities)
        self.log = journal_on_disk(directory, 0)
        log: Any = self.log
        self.house = House(
            log, entities, journal=lambda own: GroupCommit(own, batch_records_max=64)
        )
        self._count = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Stage"]:
        try:
            with trio.fail_after(TEST_TIMEOUT_S):
                async with self.house.running():
                    yield self
        finally:
            self.log.close()

    async def contribute(
        self, target: str, *, by_source: bool = False, **changes: Any
    ) -> Accepted | Rejection:
        """A contribution of a wager of 1.00, of player `anna` of `op:a` if nothing else is said."""
        self._count += 1
        if by_source:
            changes["source_id"] = target
        wager = changes.pop("wager", 10**8)
        asked = request(target, wager=wager, key=f"key {self._count}", **changes)
        if by_source:
            asked = replace(asked, target=Target("source", target))
        outcome = await self.house.router.contribute(asked)
        await self.house.settled()
        return outcome

    async def opt(self, instance_id: str, player_id: str, *, opt_in: bool, **changes: Any) -> None:
        """An opt-in or opt-out that is taken."""
        command = OptIn(0, "op:a", player_id, None, opt_in, None, None, rates())
        reply: Reply[Taken | Rejection | None] = Reply()
        self.house.shard.opt_in(instance_id, replace(command, **changes), reply.resolve)
        assert isinstance(await reply.wait(), Taken)

    async def operate(self, instance_id: str, command: OperatorCommand) -> Operated:
        found = await self.house.shard.operate(instance_id, command)
        assert isinstance(found, Operated)
        return found

    async def told(self, entities: Sequence[CatalogEntity] | None = None) -> list[Any]:
        """All that the feed tells: kind and data of each event, in their order, under this catalog or another one."""
        return [
            (str(event.kind), plain(bytes(event.data))) for _, event in await self.log_of(entities)
        ]

    async def log_of(self, entities: Sequence[CatalogEntity] | None = None) -> list[Any]:
        with open_store(self.directory) as store:
            following = Following(
                {0: self.log}, self.entities if entities is None else entities, store
            )
            await following.caught_up()
            return store.events_after(0, 1_000)

    async def results(self) -> list[tuple[str, Any]]:
        """URLs and bodies of all results for webhooks, in the order in which they were found."""
        await self.log_of()
        with open_store(self.directory) as store:
            found = [
                each
                for lane in store.deliveries.lanes()
                for each in store.deliveries.earliest(lane, 1_000)
            ]
            assert delivered(store).keys() == {each.id for each in found}
        found.sort(key=lambda each: each.created_ms)
        return [(each.url, plain(bytes(each.body))) for each in found]
