"""Keys of other workers, read from their files: an instance that has moved here left its used keys behind.

A view is a reader of a worker's key index and of its journal. That worker may be running, and merge, delete and append
meanwhile, or be no more. What it has published since is taken up at each refresh; a view that was just opened knows
every key that was on disk then, and nothing ever makes it forget one before its time.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import trio
from msgspec import Struct

from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog

Read = Callable[[int], bytes | None]


class ViewSource(Struct, frozen=True):
    """Where a worker's keys lie, and how its journal is opened for reading."""

    keys: Path
    open_journal: Callable[[], LmdbLog]


class _View:
    """One worker's keys."""

    __slots__ = ("index", "log", "since_ms")

    def __init__(self, index: KeyIndex, log: LmdbLog, since_ms: int) -> None:
        self.index = index
        self.log = log
        self.since_ms = since_ms

    def close(self) -> None:
        self.index.close()
        self.log.close()


class KeyViews:
    """The views of one worker.

    Args:
        source: the files of a worker.
        retention_ms: how long keys live.
        clock: Unix time in milliseconds.
    """

    def __init__(
        self, source: Callable[[int], ViewSource], *, retention_ms: int, clock: Callable[[], int]
    ) -> None:
        self._source = source
        self._retention_ms = retention_ms
        self._clock = clock
        self._views: dict[int, _View] = {}
        self._one_at_a_time = trio.Lock()

    def __len__(self) -> int:
        return len(self._views)

    def find(self, digest: bytes, now_ms: int) -> tuple[int, Read] | None:
        """The record that has used a key, and how the journal that has it is read."""
        for view in self._views.values():
            seq = view.index.get(digest, now_ms)
            if seq is not None:
                return seq, view.log.read
        return None

    async def open(self, worker: int, since_ms: int) -> None:
        """Looks into a worker's keys from now on, as they are on disk now, for as long as keys of that time live.

        Raises:
            LogError: the worker has no journal.
            KeyIndexDamaged: its keys cannot be trusted.
        """
        if since_ms + self._retention_ms < self._clock():
            return
        async with self._one_at_a_time:
            view = self._views.get(worker)
            if view is None:
                self._views[worker] = await trio.to_thread.run_sync(self._opened, worker, since_ms)
            else:
                view.since_ms = max(view.since_ms, since_ms)
                await _refresh(view)

    async def open_all(self, views: Mapping[int, int]) -> None:
        """After a start: opens what a worker's rows name."""
        for worker, since_ms in views.items():
            await self.open(worker, since_ms)

    def _opened(self, worker: int, since_ms: int) -> _View:
        source = self._source(worker)
        log = source.open_journal()
        try:
            index = KeyIndex.open(source.keys, retention_ms=self._retention_ms, writable=False)
        except BaseException:
            log.close()
            raise
        return _View(index, log, since_ms)

    async def refresh(self) -> None:
        """Takes up what the workers have published, and lets go of views that are past their time."""
        async with self._one_at_a_time:
            for worker, view in list(self._views.items()):
                if view.since_ms + self._retention_ms < self._clock():
                    del self._views[worker]
                    view.close()
                else:
                    await _refresh(view)

    async def run(self, interval_s: float) -> None:
        """Refreshes at each interval until cancelled."""
        while True:
            await trio.sleep(interval_s)
            await self.refresh()

    def close(self) -> None:
        for view in self._views.values():
            view.close()
        self._views.clear()


async def _refresh(view: _View) -> None:
    newer = await trio.to_thread.run_sync(view.index.newer)
    if newer is not None:
        older, view.index = view.index, newer
        older.give_way(newer)
