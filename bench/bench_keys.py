"""What does an idempotency key cost, at few and at many live keys, and how long can a reader pause?

Fills a key index with random keys spread over six of seven days, flushing and merging as it goes,
then asks: a new key (miss and put), a repeat (hit), the background work per key, memory and disk,
reopening, and the rounds of a busy main thread while a flush and a merge run in a thread.
Beside it, in the same run, the obvious alternative: the same keys at random places of an LMDB
tree, in default sync, 64 to a commit, 100 commits (`--lmdb`; sizes above 10 M take a while).

Caveats: one machine, shared and noisy; read ratios of one run. Keys and files are warm in the page
cache. The rounds at the end include the pauses of the machine itself: compare with "alone".

    python bench/bench_keys.py 1000000 10000000 --lmdb
"""

import argparse
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import lmdb

from jackpotd.journal.keys import Compaction, Flush, KeyIndex

DAY_MS = 86_400_000
RETENTION_MS = 7 * DAY_MS
FLUSH_KEYS = 250_000
PAUSE_KEYS = 100_000
PROBES = 50_000
LMDB_BYTES_MAX = 16 << 30


def digests(draw: random.Random, count: int) -> list[bytes]:
    data = draw.randbytes(16 * count)
    return [data[start : start + 16] for start in range(0, 16 * count, 16)]


def each_us(work: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / count * 1e6


class Fill:
    """Puts `keys` keys, doing the background work in the foreground to time it."""

    def __init__(self, directory: Path, keys: int, draw: random.Random) -> None:
        self.index = KeyIndex.open(directory, retention_ms=RETENTION_MS, background_share=1)
        self.known: list[bytes] = []
        self.flush_s = self.merge_s = 0.0
        self.merged_keys = self.seq = 0
        while self.seq < keys:
            batch = digests(draw, min(FLUSH_KEYS, keys - self.seq))
            self.known += batch[:: max(1, keys // PROBES)]
            for digest in batch:
                self.seq += 1
                self.index.put(digest, self.seq, self.seq * 6 * DAY_MS // keys)
            self.now_ms = self.seq * 6 * DAY_MS // keys
            self._flush()
            while job := self.index.begin_merge(self.now_ms):
                self._merge(job)

    def _flush(self) -> None:
        started = time.perf_counter()
        job = self.index.begin_flush(self.seq)
        assert job is not None  # noqa: S101
        job.write()
        self.index.end_flush(job)
        job.release()
        self.flush_s += time.perf_counter() - started

    def _merge(self, job: Compaction) -> None:
        started = time.perf_counter()
        self.merged_keys += sum(run.entry.rows for run in job.removed)
        job.write()
        self.index.end_merge(job)
        job.release()
        self.merge_s += time.perf_counter() - started


def measure_index(keys: int, draw: random.Random, directory: Path) -> float:
    fill = Fill(directory, keys, draw)
    index, now_ms, seq = fill.index, fill.now_ms, fill.seq
    figures = index.statistics()
    fresh, draw_known = digests(draw, PROBES), draw.sample(fill.known, min(PROBES, len(fill.known)))

    def miss() -> None:
        for digest in fresh:
            index.get(digest, now_ms)

    def miss_and_put() -> None:
        for digest in fresh:
            index.get(digest, now_ms)
            index.put(digest, seq, now_ms)

    def hit() -> None:
        for digest in draw_known:
            index.get(digest, now_ms)

    miss_us, hit_us = each_us(miss, PROBES), each_us(hit, len(draw_known))
    new_us = each_us(miss_and_put, PROBES)
    index.close()
    started = time.perf_counter()
    KeyIndex.open(directory, retention_ms=RETENTION_MS).close()
    reopen_ms = (time.perf_counter() - started) * 1e3
    background_us = (fill.flush_s + fill.merge_s) / keys * 1e6
    print(
        f"index {keys:>11,} keys in {figures.runs} runs: new key {new_us:.2f} µs "
        f"(miss {miss_us:.2f}), hit {hit_us:.2f} µs, background {background_us:.2f} µs/key "
        f"(each key merged {fill.merged_keys / keys:.1f} times), memory "
        f"{figures.index_bytes / keys:.2f} B/key, disk {figures.file_bytes / keys:.1f} B/key, "
        f"reopen {reopen_ms:.0f} ms"
    )
    return new_us


class Loop:
    """Stands for the event loop: rounds of 64 new keys and one message through a socket pair."""

    def __init__(self, index: KeyIndex, draw: random.Random, *, idle_s: float) -> None:
        self._index = index
        self._fresh = digests(draw, 64 * 512)  # put again and again, so that the table stays small
        self._position = 0
        self._idle_s = idle_s
        self._left, self._right = socket.socketpair()

    def round_ms(self) -> float:
        started = time.perf_counter()
        for digest in self._fresh[self._position : self._position + 64]:
            self._index.get(digest, 0)
            self._index.put(digest, 9, 0)
        self._left.send(b"x")
        self._right.recv(1)
        lasted_ms = (time.perf_counter() - started) * 1e3
        self._position = (self._position + 64) % len(self._fresh)
        if self._idle_s:
            time.sleep(self._idle_s)
        return lasted_ms

    def close(self) -> None:
        self._left.close()
        self._right.close()


def measure_pauses(draw: random.Random, directory: Path, *, idle_s: float, switch_s: float) -> None:
    sys.setswitchinterval(switch_s)
    index = KeyIndex.open(directory, retention_ms=RETENTION_MS)
    for seq in range(1, 5):
        for digest in digests(draw, PAUSE_KEYS):
            index.put(digest, seq, 0)
        if seq < 4:
            run_in_thread(index, index.begin_flush(seq), None)
    loop = Loop(index, draw, idle_s=idle_s)
    alone = [loop.round_ms() for _ in range(2_000)]
    flushing = run_in_thread(index, index.begin_flush(4), loop)
    merging = run_in_thread(index, index.begin_merge(0), loop)
    loop.close()
    index.close()
    shutil.rmtree(directory)
    load = "half loaded" if idle_s else "saturated"
    print(f"rounds of a {load} loop, switch interval {switch_s * 1e3:.1f} ms, ms:")
    for name, keys, times in (
        ("alone", 0, alone),
        ("flush", PAUSE_KEYS, flushing),
        ("merge", 4 * PAUSE_KEYS, merging),
    ):
        ranked = sorted(times)
        p50, p99, p999 = (ranked[len(ranked) * part // 1000] for part in (500, 990, 999))
        took = f"of {keys:,} keys beside it" if keys else "no job"
        print(
            f"  {name} p50 {p50:.2f} p99 {p99:.2f} p99.9 {p999:.2f} max {ranked[-1]:.2f} ({took})"
        )


def run_in_thread(
    index: KeyIndex, job: Flush | Compaction | None, loop: Loop | None
) -> list[float]:
    """The rounds of the main thread while a job writes and releases in another."""
    assert job is not None  # noqa: S101
    times: list[float] = []
    for stage in (job.write, job.release):
        thread = threading.Thread(target=stage)
        thread.start()
        while loop is not None and thread.is_alive():
            times.append(loop.round_ms())
        thread.join()
        if stage == job.write:
            index.end_flush(job) if isinstance(job, Flush) else index.end_merge(job)
    return times


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
        fresh, commits_ms = digests(draw, 6_400), []
        for start in range(0, len(fresh), 64):
            started = time.perf_counter()
            with env.begin(write=True) as txn:
                for key in fresh[start : start + 64]:
                    if txn.get(key) is None:
                        txn.put(key, key)
            commits_ms.append((time.perf_counter() - started) * 1e3)
    new_us = sum(commits_ms) / len(fresh) * 1e3
    disk = (directory / "data.mdb").stat().st_size / keys
    print(
        f"LMDB  {keys:>11,} keys: new key {new_us:.2f} µs in the answering commit, of 64: "
        f"p50 {sorted(commits_ms)[50]:.2f} max {max(commits_ms):.2f} ms, disk {disk:.0f} B/key"
    )
    return new_us


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--lmdb", action="store_true", help="the random-place tree beside it")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw, new_us = random.Random(arguments.seed), []
    for keys in arguments.keys:
        with tempfile.TemporaryDirectory(prefix="bench-keys-") as place:
            new_us.append(measure_index(keys, draw, Path(place) / "index"))
            if arguments.lmdb:
                lmdb_us = measure_lmdb(keys, draw, Path(place) / "lmdb")
                print(f"      a new key costs LMDB {lmdb_us / new_us[-1]:.1f} times as much")
    if len(new_us) > 1:
        growth = new_us[-1] / new_us[0]
        print(f"growth of a new key from {arguments.keys[0]:,}: {growth:.2f} times")
    with tempfile.TemporaryDirectory(prefix="bench-keys-") as place:
        for idle_s in (0.0005, 0.0):
            for switch_s in (0.005, 0.0005):
                measure_pauses(draw, Path(place) / "index", idle_s=idle_s, switch_s=switch_s)


if __name__ == "__main__":
    main()
