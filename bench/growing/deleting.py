"""How long the checkpoint's transactions take before and after many rows were deleted."""

import os
import random
import time
from pathlib import Path
from statistics import median

import lmdb

from bench.growing.datasets import BRAND, MAP_BYTES_MAX, instance_id, player_id
from jackpotd.journal.row_store import LmdbRows
from jackpotd.wire import rows

WRITTEN_AT_ONCE = 500
DELETED_AT_ONCE = 1_000
WRITES = 40
ROW = bytes(120)


def key(instance: int, number: int) -> bytes:
    return rows.player_key(instance_id(instance), BRAND, player_id(number))


def measure(directory: Path, players: int, draw: random.Random) -> tuple[float, float]:
    """Milliseconds of one transaction of scattered rows, before and after all of another instance's rows went."""
    directory.mkdir()
    with lmdb.open(os.fspath(directory), map_size=MAP_BYTES_MAX, max_dbs=0, sync=False) as env:
        for instance in (0, 1):
            with env.begin(write=True) as txn, txn.cursor() as cursor:
                everyone = ((key(instance, number), ROW) for number in range(players))
                cursor.putmulti(everyone, append=True)
        env.sync(True)
    disk = LmdbRows.open(directory, map_bytes_max=MAP_BYTES_MAX)
    write_ms(disk, players, draw)  # the first ones find cold pages
    before = write_ms(disk, players, draw)
    for start in range(0, players, DELETED_AT_ONCE):
        gone = range(start, min(start + DELETED_AT_ONCE, players))
        disk.write([(key(1, number), None) for number in gone])
    after = write_ms(disk, players, draw)
    disk.close()
    return before, after


def write_ms(disk: LmdbRows, players: int, draw: random.Random) -> float:
    times = []
    for _ in range(WRITES):
        items = [(key(0, draw.randrange(players)), ROW) for _ in range(WRITTEN_AT_ONCE)]
        started = time.perf_counter()
        disk.write(items)
        times.append((time.perf_counter() - started) * 1e3)
    return median(times)
