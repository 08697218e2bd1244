"""What the feed keeps, in one LMDB environment: the events in their order, results on their way to webhooks, and how
far each worker's journal was read.

All that comes of some records is written in one durable transaction, together with the position behind them. So each
record counts exactly once, whatever is killed when. Writing may be done in any thread, one at a time; reads are short.
"""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lmdb
import msgspec
from msgspec import Struct

from jackpotd.journal.delivery_store import DeliveryLimits, DeliveryStore
from jackpotd.wire import deliveries as outgoing
from jackpotd.wire import feed_events, feed_rows
from jackpotd.wire.deliveries import Awaiting, Delivery
from jackpotd.wire.feed_events import LoggedEvent
from jackpotd.wire.feed_rows import FeedGenesis, Position

FORMAT = 1
EPOCH_BITS = 24
POSITION_BITS = 40
TRIM_STEP_EVENTS = 256

# Keys of deliveries begin with other letters, see `delivery_store`.
_GENESIS = b"@"
_LAST = b"@last"
_AWAITING = b"a"
_EVENTS = b"e"
_POSITIONS = b"p"
_POSITION_BYTES = 8


class FeedStoreError(Exception):
    """The feed's store cannot be used: of another format, or it has read a journal that is not there any more."""


class Batch(Struct, frozen=True):
    """What came of some records of one worker's journal.

    `awaiting` and `settled` are requests by the sequence number of their record.
    """

    events: Sequence[LoggedEvent] = ()
    deliveries: Sequence[Delivery] = ()
    awaiting: Sequence[tuple[int, Awaiting]] = ()
    settled: Sequence[int] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing but a position would be written."""
        return not (self.events or self.deliveries or self.awaiting or self.settled)


class FeedStoreStatistics(Struct, frozen=True):
    """The window of events that is kept: the first position is behind the last one where there is none."""

    first_position: int
    last_position: int


def _number(value: int) -> bytes:
    return value.to_bytes(_POSITION_BYTES, "big")


def _worker_prefix(letter: bytes, worker: int) -> bytes:
    return letter + worker.to_bytes(2, "big")


def _awaiting_key(worker: int, cause: int) -> bytes:
    return _worker_prefix(_AWAITING, worker) + _number(cause)


class FeedStore:
    """The store of one feed. Events have contiguous positions from 1; a position is never given twice."""

    def __init__(
        self, env: Any, genesis: FeedGenesis, delivery_limits: DeliveryLimits | None
    ) -> None:
        self._env = env
        self._writing = threading.Lock()
        self.epoch = genesis.epoch
        self.deliveries = DeliveryStore(env, self._writing, delivery_limits)
        self._positions = {
            int.from_bytes(key[1:], "big"): feed_rows.decode(data, Position)
            for key, data in self._rows(_POSITIONS)
        }
        with env.begin() as txn, txn.cursor() as cursor:
            self.last_position = int.from_bytes(txn.get(_LAST, b""), "big")
            self.first_position = self._first_in(cursor)

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        map_bytes_max: int,
        new_epoch: Callable[[], int],
        delivery_limits: DeliveryLimits | None = None,
    ) -> "FeedStore":
        """The store in a directory, created if it is not there yet.

        Args:
            directory: made where it is missing.
            map_bytes_max: the address space that the store may fill.
            new_epoch: a random number of 24 bits, for a new store.
            delivery_limits: how many results are kept; those of `DeliveryLimits` by default.

        Raises:
            FeedStoreError: what is there has another format.
            StorageError: LMDB cannot open it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        env = lmdb.open(os.fspath(directory), map_size=map_bytes_max, max_dbs=0, max_readers=64)
        try:
            return cls(env, _genesis(env, new_epoch), delivery_limits)
        except BaseException:
            env.close()
            raise

    def statistics(self) -> FeedStoreStatistics:
        return FeedStoreStatistics(self.first_position, self.last_position)

    # Positions.

    def positions(self) -> dict[int, int]:
        """The last record of each worker's journal that was looked at."""
        return {worker: position.seq for worker, position in self._positions.items()}

    def follow(self, worker: int, created_ms: int, last_seq: int) -> int:
        """How far a worker's journal was read: 0, its own genesis, where it never was.

        Args:
            worker: whose journal it is.
            created_ms: when that journal was created.
            last_seq: its last record.

        Raises:
            FeedStoreError: what was read was another journal, or a longer one than this.
        """
        known = self._positions.get(worker)
        if known is None:
            known = Position(0, created_ms)
            with self._writing:
                with self._env.begin(write=True) as txn:
                    txn.put(_worker_prefix(_POSITIONS, worker), feed_rows.encode(known))
                self._positions[worker] = known
        if known.created_ms != created_ms or known.seq > last_seq:
            raise FeedStoreError(
                f"the feed has read {known.seq} records of worker {worker}'s journal, created at"
                f" {known.created_ms}; the one that is there was created at {created_ms} and has"
                f" {last_seq}. Restore both from the same moment; or move the feed's folder away:"
                " a new one tells the whole journals again, old results for webhooks, too"
            )
        return known.seq

    def commit(self, worker: int, seq: int, batch: Batch) -> list[int]:
        """Writes what came of a worker's records up to a sequence number, and that number, in one durable transaction.

        Args:
            worker: whose records they are.
            seq: the last of them.
            batch: what came of them.

        Returns:
            The positions of the batch's events, in their order.

        Raises:
            FeedStoreError: the worker is not followed, or was read further already.
            StorageError: disk full, I/O error; nothing was written.
        """
        with self._writing:
            known = self._positions.get(worker)
            if known is None or seq < known.seq:
                raise FeedStoreError(f"worker {worker} stands at {known}, not before {seq}")
            position = Position(seq, known.created_ms)
            first = self.last_position + 1
            last = self.last_position + len(batch.events)
            if last >> POSITION_BITS:
                raise FeedStoreError(f"the store is full: position {last}")
            with self._env.begin(write=True) as txn:
                txn.put(_worker_prefix(_POSITIONS, worker), feed_rows.encode(position))
                self._put_events(txn, first, batch.events)
                self._put_owed(txn, worker, batch)
                if batch.deliveries:
                    self.deliveries.put(txn, batch.deliveries)
            self._positions[worker] = position
            self.last_position = last
        return list(range(first, last + 1))

    @staticmethod
    def _put_events(txn: Any, first: int, events: Sequence[LoggedEvent]) -> None:
        for position, event in enumerate(events, first):
            txn.put(_EVENTS + _number(position), feed_events.encode(event))
        if events:
            txn.put(_LAST, _number(first + len(events) - 1))

    @staticmethod
    def _put_owed(txn: Any, worker: int, batch: Batch) -> None:
        for cause, awaiting in batch.awaiting:
            txn.put(_awaiting_key(worker, cause), outgoing.encode(awaiting))
        for cause in batch.settled:
            txn.delete(_awaiting_key(worker, cause))

    # What is owed.

    def awaiting(self, worker: int) -> dict[int, Awaiting]:
        """The requests of a worker whose links have not all answered, by the sequence number of their record."""
        found: dict[int, Awaiting] = {}
        for key, data in self._rows(_worker_prefix(_AWAITING, worker)):
            row = outgoing.decode(data)
            if not isinstance(row, Awaiting):
                raise FeedStoreError(f"{row} is no request that waits for links")
            found[int.from_bytes(key[3:], "big")] = row
        return found

    def _rows(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """All rows with a prefix: of kinds of which there are few."""
        with self._env.begin() as txn, txn.cursor() as cursor:
            found: list[tuple[bytes, bytes]] = []
            there = cursor.set_range(prefix)
            while there and cursor.key().startswith(prefix):
                found.append((cursor.key(), cursor.value()))
                there = cursor.next()
        return found

    # Events.

    def events_after(self, position: int, limit: int) -> list[tuple[int, LoggedEvent]]:
        """The first events behind a position that are still kept, in one short read."""
        with self._env.begin() as txn, txn.cursor() as cursor:
            rows: list[tuple[bytes, bytes]] = []
            there = cursor.set_range(_EVENTS + _number(position + 1))
            while there and len(rows) < limit and cursor.key().startswith(_EVENTS):
                rows.append((cursor.key(), cursor.value()))
                there = cursor.next()
        return [(int.from_bytes(key[1:], "big"), feed_events.decode(data)) for key, data in rows]

    def trim(self, *, events_max: int, before_ms: int) -> bool:
        """Forgets some of the oldest events: of those beyond `events_max`, or from before a time (Unix ms).

        A small transaction, as a great one would slow every commit after it.

        Returns:
            Whether there may be more to forget.
        """
        if not self._is_beyond(events_max, before_ms):
            return False
        with self._writing, self._env.begin(write=True) as txn, txn.cursor() as cursor:
            keep_from = self.last_position - events_max + 1
            dropped = 0
            there = cursor.set_range(_EVENTS)
            while there and dropped < TRIM_STEP_EVENTS and cursor.key().startswith(_EVENTS):
                is_beyond = int.from_bytes(cursor.key()[1:], "big") < keep_from
                if not is_beyond and feed_events.decode(cursor.value()).at_ms >= before_ms:
                    break
                there = cursor.delete()  # goes on to the next one
                dropped += 1
            first = self._first_in(cursor)
        self.first_position = first
        return dropped == TRIM_STEP_EVENTS

    def _is_beyond(self, events_max: int, before_ms: int) -> bool:
        """Whether the oldest event has left the window: mostly not, and then nobody need be kept from writing."""
        oldest = self.events_after(0, 1)
        return bool(oldest) and (
            oldest[0][0] <= self.last_position - events_max or oldest[0][1].at_ms < before_ms
        )

    def _first_in(self, cursor: Any) -> int:
        """The first event that is kept; behind the last one where there is none."""
        if cursor.set_range(_EVENTS) and cursor.key().startswith(_EVENTS):
            return int.from_bytes(cursor.key()[1:], "big")
        return self.last_position + 1

    def close(self) -> None:
        self._env.close()


def _genesis(env: Any, new_epoch: Callable[[], int]) -> FeedGenesis:
    with env.begin(write=True) as txn:
        data = txn.get(_GENESIS)
        if data is None:
            data = feed_rows.encode(FeedGenesis(FORMAT, new_epoch() % (1 << EPOCH_BITS)))
            txn.put(_GENESIS, data)
    try:
        genesis = feed_rows.decode(data, FeedGenesis)
    except msgspec.DecodeError as error:
        raise FeedStoreError(f"the feed's first row is unreadable: {error}") from None
    if genesis.format != FORMAT:
        raise FeedStoreError(f"expected format {FORMAT}, found {genesis.format}")
    return genesis
