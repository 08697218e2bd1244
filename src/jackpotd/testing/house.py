"""One worker's house in memory: the real catalog, fold, shard and router over a log that a test can cut.

Nothing here decides: it puts the engine's parts together as the service's wiring does, with a seeded source of entropy
whose draws tip pots often, and a clock that counts its readings.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID

import trio
from msgspec import Raw
from msgspec.structs import replace

from jackpotd.core.commands import Bet
from jackpotd.core.state import Status
from jackpotd.engine.catalog import Catalog
from jackpotd.engine.fold import Fold
from jackpotd.engine.messages import ContributionRequest, Target
from jackpotd.engine.ports import Journal, Keys, Rows
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, recover
from jackpotd.engine.router import Router
from jackpotd.engine.shard import Shard
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.testing.templates import Json, compiled_schedule, encoded, rates
from jackpotd.testing.vault import SeededVault
from jackpotd.wire import parts
from jackpotd.wire.catalog_records import (
    Brand,
    CatalogEntity,
    Currencies,
    InstanceEntry,
    Links,
    Operator,
)
from jackpotd.wire.codec import NULL

BORN_MS = 1_700_000_000_000


class RunningJournal(Journal, Protocol):
    """A journal that a task runs."""

    async def run(self) -> None: ...


class StepClock:
    """Every reading is a millisecond later."""

    def __init__(self, now_ms: int = BORN_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


class SeededEntropy:
    """Names from a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def uuid(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128), version=4))


def operator(name: str, brands: Sequence[str]) -> Operator:
    """An operator whose brands are all in service."""
    return Operator(
        id=name,
        name=name,
        enabled=True,
        created_ms=BORN_MS,
        brands=tuple(
            Brand(id=brand, name=brand, enabled=True, created_ms=BORN_MS) for brand in brands
        ),
    )


def currencies(brand_path: str) -> Currencies:
    """The multipliers of the random templates, for a brand or for `default`."""
    return Currencies(brand_id=brand_path, base_currency="EUR", rates=rates(), updated_ms=BORN_MS)


def instance(
    instance_id: str,
    template: Json,
    *,
    status: Status = Status.ACTIVE,
    schedule: Json | None = None,
) -> InstanceEntry:
    """An instance that the shard gives birth to when it starts."""
    own = compiled_schedule(schedule)
    return InstanceEntry(
        instance_id=instance_id,
        name=instance_id,
        owner_id="op",
        template_id="random",
        template_owner_id="op",
        document=Raw(encoded(template)),
        brands=("op:a",),
        status=status,
        created_ms=BORN_MS,
        by="test",
        schedule=None if own is None else parts.part_of(own),
    )


def links(instance_id: str, *linked: str) -> Links:
    return Links(instance_id=instance_id, linked=linked)


def request(
    target: str, *, wager: int, key: str | None = None, **changes: Any
) -> ContributionRequest:
    """A contribution to an instance; the fingerprint covers what the contract says a repeat must have in common."""
    plain = Bet("op:a", "player", None, None, None, "EUR", wager, None, "gameround", None)
    of_bet = {name: changes.pop(name) for name in plain.__struct_fields__ if name in changes}
    bet = replace(plain, **of_bet)
    with_links = changes.get("with_links", True)
    fields: dict[str, Any] = {
        "target": Target("instance", target),
        "operator": "op",
        "bet": bet,
        "with_links": with_links,
        "key": key,
        "fingerprint": f"{target} {bet.brand} {bet.player_id} {wager} {with_links}".encode(),
        "trace_id": f"trace {key}",
        "accepted_ms": BORN_MS,
        "api_version": 2,
        "metadata": NULL,
        "event_metadata": NULL,
    }
    return ContributionRequest(**{**fields, **changes})


class House:
    """A shard with its router, recovered from a log and the rows and keys that a checkpoint left.

    Args:
        log: the journal's records so far.
        entities: the catalog.
        journal: makes the writer of the log.
    """

    def __init__(
        self,
        log: MemoryLog,
        entities: Sequence[CatalogEntity],
        *,
        disk: Rows | None = None,
        keys: Keys | None = None,
        journal: Callable[[MemoryLog], RunningJournal] = MemoryJournal,
        seed: int = 0,
        mailbox_length_max: int = 10_000,
        has_embedded_wallet: bool = True,
        clock: StepClock | None = None,
    ) -> None:
        self.log = log
        self.catalog = Catalog()
        for entity in entities:
            self.catalog.apply(entity)
        self.clock = StepClock() if clock is None else clock
        self.fold = Fold(MemoryRows() if disk is None else disk, keys or MemoryKeys())
        self.replayed = recover(self.fold, log)
        self.journal = journal(log)
        self.shard = Shard(
            self.fold,
            self.journal,
            self.clock,
            SeededEntropy(seed),
            vault=SeededVault(seed),
            mailbox_length_max=mailbox_length_max,
            has_embedded_wallet=has_embedded_wallet,
        )
        self.router = Router(self.catalog, self.shard, requests_in_flight_max=100_000)

    @asynccontextmanager
    async def running(self, *, commits: bool = True) -> AsyncIterator[trio.Nursery]:
        """Runs journal and shard; leaving it is a crash: what is not committed is lost.

        Args:
            commits: whether the journal runs by itself; else the test commits by hand.
        """
        async with trio.open_nursery() as nursery:
            if commits:
                nursery.start_soon(self.journal.run)
            await nursery.start(self.shard.run, self.catalog)
            if commits:
                await self.journal.durable()
            yield nursery
            nursery.cancel_scope.cancel()

    async def settled(self) -> None:
        """Waits until no link is outstanding and nothing is staged."""
        while self.fold.propagations or self.journal.staged_seq != self.journal.committed_seq:
            await self.journal.durable()
            await trio.lowlevel.checkpoint()
