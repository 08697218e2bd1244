"""The background work of the key index: plan on the event loop, work in a thread, swap on the event loop."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

from jackpotd.journal.key_merge import JobStopped
from jackpotd.journal.keys import KeyIndex


class _Job(Protocol):
    def write(self) -> None: ...

    def release(self) -> None: ...


J = TypeVar("J", bound=_Job)


class KeyUpkeep:
    """Keeps a key index on stable storage and in few files."""

    def __init__(self, index: KeyIndex, clock: Callable[[], int]) -> None:
        self._index = index
        self._clock = clock

    def stop(self) -> None:
        """Ends the work under way before its result, and makes nothing of further work."""
        self._index.stop()

    async def flush(self, seq: int) -> None:
        """Puts every key of records up to `seq` on stable storage."""
        await _work(self._index.begin_flush(seq), self._index.end_flush)

    async def tidy(self) -> None:
        """Drops what has expired, merges what has become small pieces, and keeps the filter sharp."""
        now_ms = self._clock()
        await _work(self._index.begin_expire(now_ms), self._index.end_expire)
        await _work(self._index.begin_merge(now_ms), self._index.end_merge)
        await self.absorb()

    async def absorb(self) -> None:
        """Takes up what the filter does not know yet, as after a start, when it knows nothing."""
        await _work(self._index.begin_absorb(), self._index.end_absorb)

    async def run(self, interval_s: float) -> None:
        """Tidies at each interval until cancelled."""
        await self.absorb()
        while True:
            await trio.sleep(interval_s)
            await self.tidy()


async def _work(job: J | None, end: Callable[[J], None]) -> None:
    if job is None:
        return
    try:
        await trio.to_thread.run_sync(job.write)
        end(job)
        await trio.to_thread.run_sync(job.release)
    except JobStopped:
        return  # what was not flushed is in the journal, what was not merged stays in pieces
