"""The one way into the feed's store: what several tails found goes in one after another, and is told in that order."""

from collections.abc import Callable

import trio

from jackpotd.journal.feed_store import Batch, FeedStore
from jackpotd.wire.feed_events import LoggedEvent

OnEvents = Callable[[list[tuple[int, LoggedEvent]]], None]
OnDeliveries = Callable[[], None]


class Publisher:
    """Commits batches, and tells of them once they are durable.

    Args:
        store: where they go.
        on_events: told of events with their positions, in the order of these.
        on_deliveries: told that there are new results for webhooks.
    """

    def __init__(self, store: FeedStore, on_events: OnEvents, on_deliveries: OnDeliveries) -> None:
        self.store = store
        self.reached: dict[int, int] = {}
        """Up to which record of each worker's journal everything has been told."""
        self._on_events = on_events
        self._on_deliveries = on_deliveries
        self._one_at_a_time = trio.Lock()

    async def commit(self, worker: int, seq: int, batch: Batch) -> None:
        """Writes a batch, and tells of it; one that has begun is finished.

        Args:
            worker: whose journal it came of.
            seq: how far that was read.
            batch: what came of it.

        Raises:
            FeedStoreError: the worker was read further already.
            StorageError: disk full, I/O error; nothing was written or told.
        """
        async with self._one_at_a_time:
            positions = await trio.to_thread.run_sync(self.store.commit, worker, seq, batch)
            if batch.events:
                self._on_events(list(zip(positions, batch.events, strict=True)))
            if batch.deliveries:
                self._on_deliveries()
