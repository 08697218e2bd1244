"""Rows that are to go: of instances that have departed, and of imports that were abandoned.

There may be millions, so they go in the background, in small transactions, straight from the disk: once the checkpoint
has reached the record that says so, nothing in memory and no replay speaks of them any more. A crash in between leaves
fewer rows and the same task. `Dropped` is staged when none is left; until then the instance cannot come back.
"""

import time
from collections.abc import Iterator
from itertools import islice

import trio

from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.fold import Fold
from jackpotd.engine.ports import Journal, Rows
from jackpotd.wire import records, rows

ROWS_AT_ONCE = 500
# A giant free list slows every later commit, and each transaction syncs the disk that the journal waits for.
SHARE_OF_THE_DISK = 0.25


class Dropper:
    """Drops rows, one instance after another."""

    def __init__(
        self, fold: Fold, journal: Journal, disk: Rows, checkpointer: Checkpointer
    ) -> None:
        self._fold = fold
        self._journal = journal
        self._disk = disk
        self._checkpointer = checkpointer
        self._asked = trio.Event()
        self._progress = trio.Event()

    async def run(self) -> None:
        """Drops what is to be dropped until cancelled."""
        while True:
            for instance_id in list(self._fold.moves.droppings):
                await self._drop(instance_id)
            if not self._fold.moves.droppings:
                await self._asked.wait()
                self._asked = trio.Event()

    def wake(self) -> None:
        """There is more to do."""
        self._asked.set()

    async def dropped(self, instance_id: str) -> None:
        """Waits until nothing of an instance is left to be dropped."""
        while instance_id in self._fold.moves.droppings:
            await self._progress.wait()

    async def _drop(self, instance_id: str) -> None:
        since_seq = self._fold.moves.droppings[instance_id].since_seq
        while self._checkpointer.position < since_seq:
            await self._checkpointer.checkpoint()
        for prefix in rows.prefixes_of(instance_id):
            await self._drop_prefix(prefix)
        await self._checkpointer.between_rounds([(rows.instance_key(instance_id), None)])
        self._journal.stage(records.encode(records.Dropped(instance_id)))
        self._fold.moves.dropped(instance_id)
        await self._journal.durable()
        self._progress.set()
        self._progress = trio.Event()

    async def _drop_prefix(self, prefix: bytes) -> None:
        while True:
            started = time.monotonic()
            found = await trio.to_thread.run_sync(_some_keys, self._disk.scan(prefix))
            if not found:
                return
            await self._checkpointer.between_rounds([(key, None) for key in found])
            await trio.sleep((time.monotonic() - started) * (1 / SHARE_OF_THE_DISK - 1))


def _some_keys(scan: Iterator[tuple[bytes, bytes]]) -> list[bytes]:
    return [key for key, _ in islice(scan, ROWS_AT_ONCE)]
