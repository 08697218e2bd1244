"""A journal without a thread, for tests that need a virtual clock or choose the moment of a commit.

Same promises as `GroupCommit`: numbers at once, call-backs in order after the commit that covers them, and `read` knows
committed records only.
"""

from collections import deque
from collections.abc import Callable

import trio

from jackpotd.testing.memory_log import MemoryLog


class MemoryJournal:
    """The one writer of a log in memory.

    Args:
        log: where records go.
        commit_s: how long each commit takes on Trio's clock, once `run` runs.
    """

    def __init__(self, log: MemoryLog, *, commit_s: float = 0.0) -> None:
        self._log = log
        self._commit_s = commit_s
        self._staged: list[bytes] = []
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._work = trio.Event()

    @property
    def committed_seq(self) -> int:
        return self._log.last_seq

    @property
    def staged_seq(self) -> int:
        return self._log.last_seq + len(self._staged)

    def stage(self, record: bytes) -> int:
        self._staged.append(record)
        self._work.set()
        return self.staged_seq

    def when_durable(self, callback: Callable[[], None]) -> None:
        if self._staged:
            self._waiting.append((self.staged_seq, callback))
        else:
            callback()

    async def durable(self) -> None:
        event = trio.Event()
        self.when_durable(event.set)
        await event.wait()

    def read(self, seq: int) -> bytes | None:
        return self._log.read(seq)

    def commit(self, count: int | None = None) -> None:
        """Makes the first `count` staged records durable, or all, and calls back whoever waited for them."""
        batch = self._staged[:count]
        self._log.append(self._log.last_seq + 1, batch)
        self._staged = self._staged[len(batch) :]
        if not self._staged:
            self._work = trio.Event()
        while self._waiting and self._waiting[0][0] <= self.committed_seq:
            self._waiting.popleft()[1]()

    async def run(self) -> None:
        """Commits whatever is staged, again and again, until cancelled."""
        while True:
            await self._work.wait()
            await trio.sleep(self._commit_s)
            self.commit()
