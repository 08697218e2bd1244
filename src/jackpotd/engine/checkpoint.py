"""The checkpoint: rows follow the journal in the background, in small transactions (design decision 4).

A round freezes what has changed, waits until the journal holds all of it, writes the rows, and last the position: every
row then reflects the journal at least that far. Rows carry their own `as_of`, so a crash between two transactions costs
nothing but a longer tail.
"""

import heapq
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Protocol

import trio

from jackpotd.engine.fold import Fold
from jackpotd.engine.ports import Journal, Rows
from jackpotd.wire import rows

Item = tuple[bytes, bytes | None]

STEP_ROWS = 64  # encoded between two rests: about 0.3 ms
PIECE_ROWS = 2048  # sorted in one call: about 1 ms
PIECES_MAX = 32  # rows in order at a time, which are in memory twice: as they are, and encoded


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
        while batch := await trio.to_thread.run_sync(_next_in_order, pending):
            for start in range(0, len(batch), self._transaction_rows_max):
                part = batch[start : start + self._transaction_rows_max]
                await trio.to_thread.run_sync(self._disk.write, part)
        position = (rows.POSITION_KEY, rows.encode(rows.PositionRow(seq)))
        await trio.to_thread.run_sync(self._disk.write, [position])
        await trio.to_thread.run_sync(_let_go, self._fold.forget_frozen())
        await self._keys.flush(seq)
        self.position = seq

    async def between_rounds(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        """One transaction of rows that no record speaks of any more."""
        async with self._one_at_a_time:
            await trio.to_thread.run_sync(self._disk.write, items)


def _let_go(tables: list[dict[bytes, Any]]) -> None:
    """In a worker thread, row by row: a table that goes at once keeps the interpreter from the event loop."""
    for table in tables:
        while table:
            table.popitem()


def _next_in_order(pending: Iterator[Item]) -> list[Item]:
    """In a worker thread: the next rows in the order of the tree, so that a transaction touches few of its pages.

    It rests as long as it works, and no step of it keeps the interpreter from the event loop for long.
    """
    pieces: list[list[Item]] = []
    while len(pieces) < PIECES_MAX:
        piece: list[Item] = []
        while len(piece) < PIECE_ROWS:
            started = time.thread_time()
            step = list(islice(pending, STEP_ROWS))
            if not step:
                break
            piece += step
            time.sleep(time.thread_time() - started)
        if not piece:
            break
        piece.sort(key=itemgetter(0))
        pieces.append(piece)
    return list(heapq.merge(*pieces, key=itemgetter(0)))
