"""What does an idempotency key cost at few and at many live keys, and how long does the event loop wait for the rest?

Fills a key index with random keys spread over six of seven days, flushing and merging as it goes, then asks: a new key
(miss and put), a repeat (hit), the background work for a key, memory and disk, reopening, and how long a start takes
until the filter knows everything. Beside it, where asked for, the alternatives: the same keys at random places of an
LMDB tree, in default sync, 64 to a commit; and in RocksDB (`pip install rocksdict`), with Bloom filters of ten bits.

Then a Trio loop takes 10,000 contributions a second, each with a look-up, a put and 50 µs of other work, first alone,
then while keys are flushed and merged and rows are checkpointed in threads: how late is a timer?

One machine, shared and noisy: read ratios of one run. Keys and files are warm in the page cache.

    python -m bench keys 1000000 10000000 50000000 --lmdb --rocksdict
"""

import random
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click
import lmdb
import trio
import trio.lowlevel

from bench.growing.alternatives import Unavailable, fill_rocks
from bench.reporting.command import DATA_ROOT, Options
from jackpotd.journal.key_jobs import Absorption, Compaction, Flush
from jackpotd.journal.key_upkeep import KeyUpkeep
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.row_store import LmdbRows
from jackpotd.wire import rows

DAY_MS = 86_400_000
RETENTION_MS = 7 * DAY_MS
FLUSH_KEYS = 250_000
PROBES = 50_000
LMDB_BYTES_MAX = 16 << 30
SWITCH_INTERVAL_S = 0.0005

CONTRIBUTIONS_PER_S = 10_000
WORK_S = 50e-6
TICK_CONTRIBUTIONS_MAX = 16
PAUSE_S = 12.0
TIMER_S = 0.002
ROWS = 2_000

J = TypeVar("J", Flush, Compaction, Absorption)


def digests(draw: random.Random, count: int) -> list[bytes]:
    data = draw.randbytes(16 * count)
    return [data[start : start + 16] for start in range(0, 16 * count, 16)]


def each_us(work: Callable[[], object], count: int) -> float:
    """Processor time, the best of three: whoever shares the machine only ever adds."""
    times = []
    for _ in range(3):
        started = time.thread_time()
        work()
        times.append((time.thread_time() - started) / count * 1e6)
    return min(times)


class Fill:
    """Puts `keys` keys, doing the background work in the foreground to time it."""

    def __init__(self, directory: Path, keys: int, draw: random.Random) -> None:
        self.index = KeyIndex.open(directory, retention_ms=RETENTION_MS, background_share=1)
        self.known: list[bytes] = []
        self.work_s, self.merged_keys, self.seq = 0.0, 0, 0
        while self.seq < keys:
            batch = digests(draw, min(FLUSH_KEYS, keys - self.seq))
            self.known += batch[:: max(1, keys // PROBES)]
            for digest in batch:
                self.seq += 1
                self.index.put(digest, self.seq, self.seq * 6 * DAY_MS // keys)
            self.now_ms = self.seq * 6 * DAY_MS // keys
            self._do(self.index.begin_flush(self.seq), self.index.end_flush)
            while job := self.index.begin_merge(self.now_ms):
                self.merged_keys += sum(run.entry.rows for run in job.removed)
                self._do(job, self.index.end_merge)
            while absorption := self.index.begin_absorb():
                self._do(absorption, self.index.end_absorb)

    def _do(self, job: J | None, end: Callable[[J], None]) -> None:
        assert job is not None  # noqa: S101
        started = time.perf_counter()
        job.write()
        end(job)
        job.release()
        self.work_s += time.perf_counter() - started


def measure_index(keys: int, draw: random.Random, directory: Path) -> tuple[float, float]:
    """Microseconds of a new key and of a known one."""
    fill = Fill(directory, keys, draw)
    index, now_ms, seq = fill.index, fill.now_ms, fill.seq
    figures = index.statistics()
    fresh, known = digests(draw, PROBES), draw.sample(fill.known, min(PROBES, len(fill.known)))

    def miss() -> None:
        for digest in fresh:
            index.get(digest, now_ms)

    def hit() -> None:
        for digest in known:
            index.get(digest, now_ms)

    miss_us, hit_us = each_us(miss, PROBES), each_us(hit, len(known))
    new_us = min(new_key_us(index, digests(draw, PROBES), seq, now_ms) for _ in range(3))
    index.close()
    started = time.perf_counter()
    index = KeyIndex.open(directory, retention_ms=RETENTION_MS, background_share=1)
    opened = time.perf_counter()
    absorption = index.begin_absorb()
    assert absorption is not None  # noqa: S101
    absorption.write()
    absorbed = time.perf_counter()
    index.close()
    memory = (figures.index_bytes + figures.filter_bytes) / keys
    print(
        f"index {keys:>11,} keys in {figures.runs} runs: new key {new_us:.2f} µs "
        f"(miss {miss_us:.2f}), hit {hit_us:.2f} µs, background {fill.work_s / keys * 1e6:.2f} "
        f"µs/key (merged {fill.merged_keys / keys:.1f} times), memory {memory:.2f} B/key, "
        f"disk {figures.file_bytes / keys:.1f} B/key, reopen {(opened - started) * 1e3:.0f} ms, "
        f"filter whole after {absorbed - opened:.1f} s of a core"
    )
    return new_us, hit_us


def new_key_us(index: KeyIndex, fresh: list[bytes], seq: int, now_ms: int) -> float:
    started = time.thread_time()
    for digest in fresh:
        index.get(digest, now_ms)
        index.put(digest, seq, now_ms)
    return (time.thread_time() - started) / len(fresh) * 1e6


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


async def measure_pauses(draw: random.Random, directory: Path) -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    fill = Fill(directory / "keys", 8 * FLUSH_KEYS, draw)
    fill.index.close()
    index = KeyIndex.open(directory / "keys", retention_ms=RETENTION_MS)
    upkeep, loop = KeyUpkeep(index, lambda: DAY_MS), Loop(index, draw)
    loop.seq = index.covered_seq
    disk = LmdbRows.open(directory / "rows", map_bytes_max=LMDB_BYTES_MAX)

    async def keys() -> None:
        await upkeep.flush(loop.seq)
        await upkeep.tidy()

    async def checkpoint() -> None:
        await trio.to_thread.run_sync(disk.write, list(changed_rows(draw)))

    print(f"a timer of a loop with {CONTRIBUTIONS_PER_S:,} contributions/s, late by, ms:")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.contribute)
        nursery.start_soon(loop.watch)
        for name, works in (
            ("alone", ()),
            ("keys", (keys,)),
            ("rows", (checkpoint,)),
            ("both", (keys, checkpoint)),
        ):
            async with trio.open_nursery() as background:
                background.cancel_scope.deadline = trio.current_time() + PAUSE_S
                for work in works:
                    background.start_soon(again_and_again, work)
                background.start_soon(trio.sleep_forever)
            late = loop.take()
            p50, p99, p999 = (late[len(late) * part // 1000] for part in (500, 990, 999))
            print(f"  {name:6} p50 {p50:.2f} p99 {p99:.2f} p99.9 {p999:.2f} max {late[-1]:.2f}")
        nursery.cancel_scope.cancel()
    disk.close()
    index.close()


async def again_and_again(work: Callable[[], Awaitable[None]]) -> None:
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


def measure_lmdb(keys: int, draw: random.Random, directory: Path) -> float:
    with lmdb.open(str(directory), map_size=LMDB_BYTES_MAX, sync=False) as env:
        for first in range(256):  # sorted, so that filling does not take the whole bench
            part = sorted(bytes((first,)) + key[1:] for key in digests(draw, keys // 256))
            with env.begin(write=True) as txn:
                txn.cursor().putmulti([(key, key) for key in part], append=True)
    with lmdb.open(str(directory), map_size=LMDB_BYTES_MAX) as env:
        warm = [(key, key) for key in sorted(digests(draw, max(20_000, keys // 50)))]
        with env.begin(write=True) as txn:
            txn.cursor().putmulti(warm)
        fresh, started = digests(draw, 6_400), time.perf_counter()
        for start in range(0, len(fresh), 64):
            with env.begin(write=True) as txn:
                for key in fresh[start : start + 64]:
                    if txn.get(key) is None:
                        txn.put(key, key)
    new_us = (time.perf_counter() - started) / len(fresh) * 1e6
    disk = (directory / "data.mdb").stat().st_size / keys
    print(
        f"LMDB  {keys:>11,} keys: new key {new_us:.2f} µs in the answering commit, {disk:.0f} B/key"
    )
    return new_us


def measure_rocks(keys: int, draw: random.Random, directory: Path) -> None:
    fresh = digests(draw, PROBES)
    try:
        rocks = fill_rocks(directory, keys, lambda count: digests(draw, count))
    except Unavailable as reason:
        print(f"      RocksDB skipped: {reason}")
        return
    table: dict[bytes, int] = {}

    def new() -> None:
        # Its own put costs more than twice as much as all of this; a table in front of it is fair.
        table.clear()
        for number, digest in enumerate(fresh):
            if table.get(digest) is None and rocks.get(digest) is None:
                table[digest] = number

    def hit() -> None:
        for digest in rocks.known:
            rocks.get(digest)

    print(
        f"RocksDB {keys:>9,} keys: new key {each_us(new, PROBES):.2f} µs behind a table in memory, "
        f"hit {each_us(hit, len(rocks.known)):.2f} µs, written at {rocks.write_us:.2f} µs/key"
    )
    rocks.close()


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("sizes", nargs=-1, type=int)
@click.option("--lmdb", "with_lmdb", is_flag=True, help="The tree with random places beside it.")
@click.option("--rocksdict", "with_rocks", is_flag=True, help="RocksDB beside it, if installed.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--data-root",
    default=DATA_ROOT,
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
def main(
    sizes: tuple[int, ...], with_lmdb: bool, with_rocks: bool, seed: int, data_root: Path
) -> None:
    draw, found = random.Random(seed), []
    with Options(data_root=data_root).folder("keys") as folder:
        for keys in sizes or (100_000, 1_000_000):
            found.append(measure_index(keys, draw, folder / "index"))
            if with_lmdb:
                lmdb_us = measure_lmdb(keys, draw, folder / "lmdb")
                print(f"      a new key costs LMDB {lmdb_us / found[-1][0]:.1f} times as much")
            if with_rocks:
                measure_rocks(keys, draw, folder / "rocks")
            for used in folder.iterdir():
                shutil.rmtree(used)
        for name, place in (("new", 0), ("known", 1)):
            ratio = found[-1][place] / found[0][place]
            print(f"growth of a {name} key: {ratio:.2f} times (goal: at most 1.3)")
        trio.run(measure_pauses, draw, folder)


if __name__ == "__main__":
    main()
