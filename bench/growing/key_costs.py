"""A key index of a given size, and what the same keys cost elsewhere: in an LMDB tree, in RocksDB."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import lmdb
from msgspec import Struct

from bench.growing.alternatives import fill_rocks
from jackpotd.journal.key_jobs import Absorption, Compaction, Flush
from jackpotd.journal.keys import KeyIndex

DAY_MS = 86_400_000
RETENTION_MS = 7 * DAY_MS
FLUSH_KEYS = 250_000
PROBES = 50_000
LMDB_BYTES_MAX = 16 << 30

J = TypeVar("J", Flush, Compaction, Absorption)


class Costs(Struct, frozen=True):
    """Of one index: µs and bytes for each key, and what a start takes."""

    keys: int
    runs: int
    new_us: float
    hit_us: float
    background_us: float
    memory_bytes: float
    disk_bytes: float
    reopen_ms: float
    filter_s: float


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
        self.work_s, self.seq = 0.0, 0
        while self.seq < keys:
            batch = digests(draw, min(FLUSH_KEYS, keys - self.seq))
            self.known += batch[:: max(1, keys // PROBES)]
            for digest in batch:
                self.seq += 1
                self.index.put(digest, self.seq, self.seq * 6 * DAY_MS // keys)
            self.now_ms = self.seq * 6 * DAY_MS // keys
            self._do(self.index.begin_flush(self.seq), self.index.end_flush)
            while job := self.index.begin_merge(self.now_ms):
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


def measure_index(keys: int, draw: random.Random, directory: Path) -> Costs:
    """Fills an index and asks it: for new keys, for known ones, and to open again."""
    fill = Fill(directory, keys, draw)
    index, now_ms, seq = fill.index, fill.now_ms, fill.seq
    figures = index.statistics()
    known = draw.sample(fill.known, min(PROBES, len(fill.known)))

    def hit() -> None:
        for digest in known:
            index.get(digest, now_ms)

    hit_us = each_us(hit, len(known))
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
    return Costs(
        keys=keys,
        runs=figures.runs,
        new_us=new_us,
        hit_us=hit_us,
        background_us=fill.work_s / keys * 1e6,
        memory_bytes=(figures.index_bytes + figures.filter_bytes) / keys,
        disk_bytes=figures.file_bytes / keys,
        reopen_ms=(opened - started) * 1e3,
        filter_s=absorbed - opened,
    )


def new_key_us(index: KeyIndex, fresh: list[bytes], seq: int, now_ms: int) -> float:
    started = time.thread_time()
    for digest in fresh:
        index.get(digest, now_ms)
        index.put(digest, seq, now_ms)
    return (time.thread_time() - started) / len(fresh) * 1e6


def measure_lmdb(keys: int, draw: random.Random, directory: Path) -> float:
    """µs of a new key at a random place, in the answering commit, 64 to a commit."""
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
    return (time.perf_counter() - started) / len(fresh) * 1e6


def measure_rocks(keys: int, draw: random.Random, directory: Path) -> tuple[float, float]:
    """µs of a new key behind a table in memory, and of writing one.

    Raises:
        Unavailable: RocksDB is not installed.
    """
    fresh = digests(draw, PROBES)
    rocks = fill_rocks(directory, keys, lambda count: digests(draw, count))
    table: dict[bytes, int] = {}

    def new() -> None:
        # Its own put costs more than twice as much as all of this; a table in front of it is fair.
        table.clear()
        for number, digest in enumerate(fresh):
            if table.get(digest) is None and rocks.get(digest) is None:
                table[digest] = number

    new_us = each_us(new, PROBES)
    rocks.close()
    return new_us, rocks.write_us
