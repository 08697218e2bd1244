"""How late a timer of a busy event loop is while keys are flushed and merged and rows are checkpointed in threads."""

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import trio
import trio.lowlevel

from bench.growing.key_costs import DAY_MS, LMDB_BYTES_MAX, RETENTION_MS, Fill, digests
from jackpotd.journal.key_upkeep import KeyUpkeep
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.row_store import LmdbRows
from jackpotd.wire import rows

CONTRIBUTIONS_PER_S = 10_000
WORK_S = 50e-6
TICK_CONTRIBUTIONS_MAX = 16
TIMER_S = 0.002
ROWS = 2_000

Work = Callable[[], Awaitable[None]]


class Loop:
    """Takes contributions at a constant rate until cancelled, and notes how late a timer is."""

    def __init__(self, index: KeyIndex, draw: random.Random) -> None:
        self._index, self._draw = index, draw
        self.seq = 0
        self.late_ms: list[float] = []

    async def contribute(self) -> None:
        started = time.perf_counter() - self.seq / CONTRIBUTIONS_PER_S
        while True:
            due = int((time.perf_counter() - started) * CONTRIBUTIONS_PER_S) - self.seq
            for digest in digests(self._draw, min(due, TICK_CONTRIBUTIONS_MAX)):
                self._index.get(digest, self.seq)
                self.seq += 1
                self._index.put(digest, self.seq, self.seq)
                until = time.perf_counter() + WORK_S
                while time.perf_counter() < until:
                    pass
            await trio.lowlevel.checkpoint()

    async def watch(self) -> None:
        due = trio.current_time()
        while True:
            due += TIMER_S
            await trio.sleep_until(due)
            late = trio.current_time() - due
            self.late_ms.append(late * 1e3)
            due += late

    def take(self) -> list[float]:
        taken, self.late_ms = sorted(self.late_ms), []
        return taken


async def measure_pauses(
    draw: random.Random, directory: Path, *, keys: int, seconds: float
) -> dict[str, list[float]]:
    """How late a timer was, in ms and in order: alone, and beside each kind of background work for so many seconds."""
    fill = Fill(directory / "keys", keys, draw)
    fill.index.close()
    index = KeyIndex.open(directory / "keys", retention_ms=RETENTION_MS)
    upkeep, loop = KeyUpkeep(index, lambda: DAY_MS), Loop(index, draw)
    loop.seq = index.covered_seq
    disk = LmdbRows.open(directory / "rows", map_bytes_max=LMDB_BYTES_MAX)

    async def flush() -> None:
        await upkeep.flush(loop.seq)
        await upkeep.tidy()

    async def checkpoint() -> None:
        await trio.to_thread.run_sync(disk.write, list(changed_rows(draw)))

    found: dict[str, list[float]] = {}
    kinds: dict[str, tuple[Work, ...]] = {
        "alone": (),
        "keys": (flush,),
        "rows": (checkpoint,),
        "both": (flush, checkpoint),
    }
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.contribute)
        nursery.start_soon(loop.watch)
        for name, works in kinds.items():
            async with trio.open_nursery() as background:
                background.cancel_scope.deadline = trio.current_time() + seconds
                for work in works:
                    background.start_soon(again_and_again, work)
                background.start_soon(trio.sleep_forever)
            found[name] = loop.take()
        nursery.cancel_scope.cancel()
    disk.close()
    index.close()
    return found


async def again_and_again(work: Work) -> None:
    while True:
        with trio.CancelScope(shield=True):
            await work()
        await trio.sleep(0.5)


def changed_rows(draw: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """Rows of players, encoded as they are asked for."""
    pots = tuple(rows.PotCountRow(1, 120, 300_000_000) for _ in range(3))
    for number in sorted(draw.sample(range(200_000), ROWS)):
        row = rows.PlayerRow(number, True, (), 120, 1_200_000_000, pots, 0)
        yield rows.player_key("instance", "op:brand", f"player_{number:09d}"), rows.encode(row)
