"""The checkpoint: rows follow the journal in the background, in small transactions (design decision 4).

A round freezes what has changed, waits until the journal holds all of it, writes the rows, and last the position: every
row then reflects the journal at least that far. Rows carry their own `as_of`, so a crash between two transactions costs
nothing but a longer tail.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Protocol

import trio

from jackpotd.engine.fold import Fold
from jackpotd.engine.ports import Journal, Rows
from jackpotd.wire import rows


class KeyFlush(Protocol):
    """Makes keys durable."""

    async def flush(self, seq: int) -> None:
        """Puts every key of records up to `seq` on stable storage."""
        ...


class Checkpointer:
    """Writes the rows of one shard."""

    def __init__(
        self,
        fold: Fold,
        journal: Journal,
        disk: Rows,
        keys: KeyFlush,
        *,
        interval_s: float,
        transaction_rows_max: int,
    ) -> None:
        self._fold = fold
        self._journal = journal
        self._disk = disk
        self._keys = keys
        self._interval_s = interval_s
        self._transaction_rows_max = transaction_rows_max
        self.position = 0
        self._one_at_a_time = trio.Lock()

    async def run(self) -> None:
        """Checkpoints at each interval until cancelled."""
        while True:
            await trio.sleep(self._interval_s)
            await self.checkpoint()

    async def checkpoint(self) -> None:
        """One round; returns when rows and keys reflect everything that was staged when it began.

        Rounds never overlap: a second caller waits for the first. A round that is cancelled must be the last one.
        """
        async with self._one_at_a_time:
            await self._round()

    async def _round(self) -> None:
        seq = self._journal.staged_seq
        if seq == self.position:
            return
        self._fold.freeze()
        await self._journal.durable()
        pending = self._fold.frozen()
        while await trio.to_thread.run_sync(self._write_some, pending):
            pass
        position = (rows.POSITION_KEY, rows.encode(rows.PositionRow(seq)))
        await trio.to_thread.run_sync(self._disk.write, [position])
        self._fold.forget_frozen()
        await self._keys.flush(seq)
        self.position = seq

    def _write_some(self, pending: Iterator[tuple[bytes, bytes | None]]) -> int:
        batch = list(islice(pending, self._transaction_rows_max))
        if batch:
            self._disk.write(batch)
        return len(batch)
