"""A server's worth of administration over logs in memory, which can be made to crash at any step.

`Ward` has the logs; a life of it has a catalog's owner, the instances and their owners. A life that crashes does so at
the n-th call that what is tested makes of the catalog or of an instance's owner, before the call or after it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from jackpotd.admin.administration import Administration
from jackpotd.admin.context import AdminContext
from jackpotd.edge.guard import Guard
from jackpotd.engine.catalog import Catalog, CatalogOwner, replay
from jackpotd.engine.owners import LocalOwners
from jackpotd.engine.transfers import Transfers
from jackpotd.identity.tokens import TokenDesk
from jackpotd.testing.house import House, SeededEntropy
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from jackpotd.core.commands import OperatorCommand
    from jackpotd.core.rejections import Rejection
    from jackpotd.core.state import Instance
    from jackpotd.engine.catalog import Change
    from jackpotd.engine.messages import Operated
    from jackpotd.wire.catalog_records import CatalogEntity, InstanceEntry

CALLS_ENOUGH = 1_000_000


class Crash(BaseException):
    """The power is gone; nobody contains that."""


class Fuse:
    """Blows at a call, before it or after it."""

    def __init__(self, at: int = CALLS_ENOUGH, *, is_after: bool = False) -> None:
        self._left = at
        self._is_after = is_after
        self.has_blown = False

    async def through(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self._left -= 1
        if self._left < 0 and not self._is_after:
            self.has_blown = True
            raise Crash
        outcome = await call()
        if self._left < 0:
            self.has_blown = True
            raise Crash
        return outcome


class FusedOwners(LocalOwners):
    """The instances' owners behind a fuse."""

    def __init__(self, house: House, fuse: Fuse) -> None:
        super().__init__(house.shard)
        self._fuse = fuse

    async def operate(self, instance_id: str, command: OperatorCommand) -> Operated | Rejection:
        call = super().operate
        outcome: Operated | Rejection = await self._fuse.through(lambda: call(instance_id, command))
        return outcome

    async def create(self, entry: InstanceEntry) -> Instance | Rejection:
        call = super().create
        outcome: Instance | Rejection = await self._fuse.through(lambda: call(entry))
        return outcome


class FusedCatalogOwner(CatalogOwner):
    """The catalog's owner behind a fuse."""

    fuse: Fuse

    async def change(self, by: str, decide: Change) -> Rejection | None:
        call = super().change
        outcome: Rejection | None = await self.fuse.through(lambda: call(by, decide))
        return outcome


@dataclass(frozen=True)
class Life:
    """One life of the ward."""

    house: House
    administration: Administration
    fuse: Fuse

    @property
    def catalog(self) -> Catalog:
        return self.house.catalog

    def state(self, instance_id: str) -> Instance:
        state = self.house.shard.state(instance_id)
        assert state is not None
        return state


class Ward:
    """The logs, over all lives."""

    def __init__(self, entities: Sequence[CatalogEntity], *, four_eyes: bool = False) -> None:
        self._log, self._catalog_log = MemoryLog(), MemoryLog()
        self._entities: Sequence[CatalogEntity] | None = entities
        self._entropy = SeededEntropy(5)
        self._four_eyes = four_eyes

    @asynccontextmanager
    async def life(self, fuse: Fuse | None = None) -> AsyncIterator[Life]:
        """What is not committed when it is left is lost; a blown fuse ends it."""
        fuse = fuse or Fuse()
        known = Catalog()
        replay(known, self._catalog_log.scan(0))
        entities = self._entities if self._entities is not None else list(known.entities())
        house = House(self._log, list(entities))
        journal = MemoryJournal(self._catalog_log)
        owner = FusedCatalogOwner(house.catalog, journal, house.clock)
        owner.fuse = Fuse()
        try:
            async with house.running() as nursery:
                nursery.start_soon(journal.run)
                if self._entities is not None:
                    await owner.change("test", lambda _: list(entities))
                    self._entities = None
                owner.fuse = fuse
                nursery.start_soon(Transfers(house.shard, LocalOwners(house.shard)).run)
                yield Life(house, self._administration(house, owner, fuse), fuse)
        except* Crash:
            pass

    def _administration(self, house: House, owner: CatalogOwner, fuse: Fuse) -> Administration:
        tokens = TokenDesk(
            b"0" * 64, house.catalog.accounts.get, user_lifetime_s=1, clock=house.clock
        )
        context = AdminContext(
            owner=owner,
            owners=FusedOwners(house, fuse),
            guard=Guard(tokens),
            clock=house.clock,
            new_id=self._entropy.uuid,
            list_limit_max=100,
            four_eyes=self._four_eyes,
        )
        return Administration(context, lambda _: None)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what goes on in the background."""
    while not condition():
        await trio.lowlevel.checkpoint()
