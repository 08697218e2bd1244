"""Group commit: many records, one append, one fsync (design decision 3).

Records are staged on the event loop and get their sequence numbers at once. One persistent thread appends a batch while
the next one fills; whoever waits for durability is called back in order, after the commit that covers it. A failed
append answers nobody: `run` raises, and the worker stops.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import trio
import trio.lowlevel

Callback = Callable[[], None]


class JournalFailed(Exception):
    """An append failed (disk full, I/O error). What was not answered may or may not be there after a restart."""


class AppendLog(Protocol):
    """A log that takes a batch at an expected sequence number: LMDB, memory in tests, a replicated log one day."""

    @property
    def last_seq(self) -> int: ...

    def append(self, expected_seq: int, records: Sequence[bytes]) -> None: ...

    def read(self, seq: int) -> bytes | None: ...


class CommitStatistics(msgspec.Struct, frozen=True):
    """Totals since the start; `commit_s` is time spent inside appends, `staged` waits for the next one."""

    commits: int
    records: int
    commit_s: float
    staged: int
    committed_seq: int
    failed: bool


class GroupCommit:
    """The one writer of a log.

    Args:
        log: where batches go, durably.
        batch_records_max: the most records in one append.
        on_commit: told the records and the seconds of each append, for metrics.
    """

    def __init__(
        self,
        log: AppendLog,
        *,
        batch_records_max: int,
        on_commit: Callable[[int, float], None] = lambda _records, _seconds: None,
    ) -> None:
        self._log = log
        self._batch_records_max = batch_records_max
        self._on_commit = on_commit
        self._staged: list[bytes] = []
        self._waiting: deque[tuple[int, Callback]] = deque()
        self._work = trio.Event()
        self._progress = trio.Event()
        self.committed_seq = log.last_seq
        self.staged_seq = log.last_seq
        self._failed = False
        self._commits = self._records = 0
        self._commit_s = 0.0

    def stage(self, record: bytes) -> int:
        """Adds a record to the next batch; returns its sequence number. It is not durable yet."""
        if self._failed:
            raise JournalFailed("the journal does not accept writes")
        self.staged_seq += 1
        self._staged.append(record)
        self._work.set()
        return self.staged_seq

    def when_durable(self, callback: Callback) -> None:
        """Calls back once everything staged so far is on stable storage; at once if it is."""
        if self.committed_seq == self.staged_seq and not self._waiting:
            callback()
        else:
            self._waiting.append((self.staged_seq, callback))

    async def durable(self) -> None:
        """Waits until everything staged so far is on stable storage.

        Raises:
            JournalFailed: it will never be.
        """
        target = self.staged_seq
        while self.committed_seq < target:
            if self._failed:
                raise JournalFailed("the journal does not accept writes")
            await self._progress.wait()

    def read(self, seq: int) -> bytes | None:
        """One committed record."""
        return self._log.read(seq)

    async def run(self) -> None:
        """Commits batches until cancelled; an append that has begun is finished first.

        Raises:
            JournalFailed: an append failed.
        """
        writer = _Writer(self._log.append)
        try:
            while True:
                await self._work.wait()
                # Whatever can run now may still join this batch: the links of a request, a burst of requests.
                await trio.lowlevel.checkpoint()
                await self._commit(writer)
        finally:
            writer.stop()

    async def _commit(self, writer: "_Writer") -> None:
        batch = self._staged[: self._batch_records_max]
        self._staged = self._staged[self._batch_records_max :]
        if not self._staged:
            self._work = trio.Event()
        started = time.perf_counter()
        try:
            await writer.append(self.committed_seq + 1, batch)
        except Exception as error:
            self._failed = True
            self._progress.set()
            raise JournalFailed(f"append at {self.committed_seq + 1} failed: {error}") from error
        seconds = time.perf_counter() - started
        self.committed_seq += len(batch)
        self._commits += 1
        self._records += len(batch)
        self._commit_s += seconds
        self._on_commit(len(batch), seconds)
        self._progress.set()
        self._progress = trio.Event()
        waiting = self._waiting
        while waiting and waiting[0][0] <= self.committed_seq:
            waiting.popleft()[1]()

    def statistics(self) -> CommitStatistics:
        return CommitStatistics(
            commits=self._commits,
            records=self._records,
            commit_s=self._commit_s,
            staged=len(self._staged),
            committed_seq=self.committed_seq,
            failed=self._failed,
        )


class _Writer:
    """One persistent thread; LMDB binds a write transaction to its thread, and a new thread for each commit costs."""

    def __init__(self, append: Callable[[int, Sequence[bytes]], None]) -> None:
        self._append = append
        self._jobs: queue.SimpleQueue[tuple[int, Sequence[bytes], trio.Event] | None] = (
            queue.SimpleQueue()
        )
        self._error: BaseException | None = None
        self._token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    async def append(self, first_seq: int, batch: Sequence[bytes]) -> None:
        done = trio.Event()
        self._jobs.put((first_seq, batch, done))
        # Bounded by one append: to leave earlier would leave a commit running without an owner.
        with trio.CancelScope(shield=True):
            await done.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            first_seq, batch, done = job
            try:
                self._append(first_seq, batch)
            except BaseException as error:  # noqa: BLE001 - carried to the waiting task, which stops the worker
                self._error = error
            self._token.run_sync_soon(done.set)
