"""The bounded window of events that are kept for those who come back: so many, and for so long."""

from functools import partial

import trio

from jackpotd.engine.ports import Clock
from jackpotd.journal.feed_store import FeedStore

INTERVAL_S = 2.0


async def keep_window(
    store: FeedStore,
    *,
    events_max: int,
    retention_ms: int,
    clock: Clock,
    interval_s: float = INTERVAL_S,
) -> None:
    """Forgets what has left the window, now and then, until cancelled."""
    while True:
        forget = partial(store.trim, events_max=events_max, before_ms=clock() - retention_ms)
        while await trio.to_thread.run_sync(forget):
            pass
        await trio.sleep(interval_s)
