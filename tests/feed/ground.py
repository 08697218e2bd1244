"""Journals on disk that the real engine has written, and the tails that follow them into a store."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio

from jackpotd.engine.catalog import Catalog
from jackpotd.engine.places import Definitions
from jackpotd.feed.event_building import EventBuilder
from jackpotd.feed.journals import Journals
from jackpotd.feed.publishing import Publisher
from jackpotd.feed.tail import Tail
from jackpotd.journal.feed_store import FeedStore
from jackpotd.journal.log import LmdbLog, LogError
from jackpotd.testing.house import BORN_MS, StepClock
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.wire.catalog_records import (
    CatalogEntity,
    Currencies,
    InstanceEntry,
    Source,
)
from jackpotd.wire.feed_events import LoggedEvent

from .feed_oracle import Expected, FeedOracle, Jackpot, plain

MAP_BYTES = 64 << 20
EPOCH = 0xABCDE
TEST_TIMEOUT_S = 30


def journal_on_disk(directory: Path, worker: int, log: MemoryLog | None = None) -> LmdbLog:
    """A worker's journal; what a log in memory holds is copied there."""
    made = LmdbLog.open(
        directory / f"worker-{worker}",
        name=f"worker-{worker}",
        map_bytes_max=MAP_BYTES,
        now_ms=BORN_MS,
    )
    if log is not None and log.last_seq:
        made.append(1, log.records[1:])
    return made


def open_journal(directory: Path, worker: int) -> LmdbLog:
    """A worker's journal for reading, as another process has it."""
    return LmdbLog.open_readonly(
        directory / f"worker-{worker}", name=f"worker-{worker}", map_bytes_max=MAP_BYTES
    )


@contextmanager
def open_store(directory: Path) -> Iterator[FeedStore]:
    store = FeedStore.open(directory / "feed", map_bytes_max=MAP_BYTES, new_epoch=lambda: EPOCH)
    try:
        yield store
    finally:
        store.close()


def catalog_of(entities: Sequence[CatalogEntity]) -> Catalog:
    catalog = Catalog()
    for entity in entities:
        catalog.apply(entity)
    return catalog


class Following:
    """The feed's part over some journals: one life of it.

    Args:
        logs: the journals; one that is not among them is not there.
        entities: the catalog.
        store: where everything goes.
        idle_commit_s: how often a position alone is written.
    """

    def __init__(
        self,
        logs: Mapping[int, LmdbLog],
        entities: Sequence[CatalogEntity],
        store: FeedStore,
        *,
        idle_commit_s: float = 0.0,
    ) -> None:
        self.logs = logs
        self.store = store
        self.catalog = catalog_of(entities)
        self.told: list[tuple[int, LoggedEvent]] = []
        self.deliveries_told = 0
        self.tell: Callable[[], None] = lambda: None
        self.missed: Callable[[], None] = lambda: None
        journals = Journals(self._found)
        builder = EventBuilder(self.catalog, Definitions(self.catalog), journals.read)
        publisher = Publisher(store, self._on_events, self._on_deliveries)
        self._reached = publisher.reached
        clock = StepClock()
        self.tails = {
            worker: Tail(
                worker,
                journals,
                publisher,
                builder,
                clock,
                poll_s=0.001,
                idle_commit_s=idle_commit_s,
            )
            for worker in logs
        }

    def _found(self, worker: int) -> LmdbLog:
        if worker not in self.logs:
            self.missed()
            raise LogError(f"worker {worker} has no journal")
        return self.logs[worker]

    def _on_events(self, events: list[tuple[int, LoggedEvent]]) -> None:
        self.told += events
        self.tell()

    def _on_deliveries(self) -> None:
        self.deliveries_told += 1
        self.tell()

    async def caught_up(self) -> None:
        """Runs the tails until they stand at the end of their journals."""
        async with trio.open_nursery() as nursery:
            for tail in self.tails.values():
                nursery.start_soon(tail.run)
            while not self.is_caught_up():
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    def is_caught_up(self) -> bool:
        return all(self._reached.get(worker) == log.last_seq for worker, log in self.logs.items())


# What is there, as the oracle has it.


def shown(event: LoggedEvent) -> Any:
    """A logged event as plain JSON."""
    return {
        "kind": str(event.kind),
        "at_ms": event.at_ms,
        "owner_id": event.owner_id,
        "brands": list(event.brands),
        "brand": event.brand,
        "player_id": event.player_id,
        "data": plain(bytes(event.data)),
    }


def logged(store: FeedStore) -> list[Any]:
    """All events of a store, whose positions are contiguous from 1."""
    found = store.events_after(0, 1_000_000)
    assert [position for position, _ in found] == list(range(1, store.last_position + 1))
    for _, event in found:
        assert event.instance_id == plain(bytes(event.data))["instance_id"]
    return [shown(event) for _, event in found]


def delivered(store: FeedStore) -> dict[str, tuple[str, Any]]:
    """All deliveries of a store: URL and body by id."""
    found = [
        each
        for lane in store.deliveries.lanes()
        for each in store.deliveries.earliest(lane, 1_000_000)
    ]
    assert len({each.id for each in found}) == len(found)
    return {each.id: (each.url, plain(bytes(each.body))) for each in found}


def comparable(things: Sequence[Any]) -> list[str]:
    """In an order of their own, for where several workers were told at once."""
    return sorted(json.dumps(_normal(each), sort_keys=True) for each in things)


def _normal(value: Any) -> Any:
    """Equal numbers as equal texts."""
    if isinstance(value, dict):
        return {key: _normal(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_normal(each) for each in value]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"{Decimal(value).normalize():f}"
    return value


def oracle_of(entities: Sequence[CatalogEntity], logs: Mapping[int, Any]) -> FeedOracle:
    """An oracle of these journals under this catalog."""
    sources = [each for each in entities if isinstance(each, Source)]
    jackpots = {
        entry.instance_id: _jackpot(entry, sources)
        for entry in entities
        if isinstance(entry, InstanceEntry)
    }
    rates = {each.brand_id: each.rates for each in entities if isinstance(each, Currencies)}
    journals = {worker: [data for _, data in log.scan(0)] for worker, log in logs.items()}
    return FeedOracle(jackpots, rates, journals)


def _jackpot(entry: InstanceEntry, sources: Sequence[Source]) -> Jackpot:
    document = plain(bytes(entry.document))
    mapped = [
        source.source_id
        for source in sources
        if any(each.instance_id == entry.instance_id for each in source.jackpots)
    ]
    return Jackpot(
        id=entry.instance_id,
        name=entry.name,
        owner_id=entry.owner_id,
        currency=document["currency"],
        pots=tuple(pot["id"] for pot in document["pots"]),
        is_raffle=document.get("raffle") is not None,
        brands=tuple(sorted(document["allowed_brands"])),
        sources=tuple(dict.fromkeys(mapped)),
    )


def assert_told(store: FeedStore, expected: Sequence[Expected]) -> None:
    """The store holds exactly what the journals tell; those of a single journal in their order."""
    events = logged(store)
    wanted = [each for own in expected for each in own.events]
    if len(expected) == 1:
        assert events == wanted
    assert comparable(events) == comparable(wanted)
    bodies = [each for own in expected for each in own.deliveries]
    assert comparable(list(delivered(store).values())) == comparable(bodies)
