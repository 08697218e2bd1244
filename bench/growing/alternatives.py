"""What the key index could be instead: RocksDB, from a wheel that is not among the project's dependencies."""

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH_KEYS = 1_000
KNOWN_KEYS = 50_000
VALUE = bytes(14)


class Unavailable(Exception):
    """The wheel is not installed."""


class Rocks:
    """An open database, with some of the keys that it knows."""

    def __init__(self, database: Any, known: list[bytes], write_us: float) -> None:
        self._database = database
        self.get = database.get
        self.known = known
        self.write_us = write_us

    def close(self) -> None:
        self._database.close()


def fill_rocks(directory: Path, keys: int, digests: Callable[[int], list[bytes]]) -> Rocks:
    """Keys in batches without a log of their own, as a flush of the memory table would write them."""
    try:
        wheel = importlib.import_module("rocksdict")
    except ImportError as error:
        raise Unavailable(str(error)) from None
    options = wheel.Options(raw_mode=True)
    options.create_if_missing(True)
    table = wheel.BlockBasedOptions()
    table.set_bloom_filter(10.0, False)
    table.set_block_cache(wheel.Cache(64 << 20))
    options.set_block_based_table_factory(table)
    options.set_max_open_files(-1)
    database = wheel.Rdict(str(directory), options)
    unlogged = wheel.WriteOptions()
    unlogged.disable_wal = True
    database.set_write_options(unlogged)
    known, write_s, count = list[bytes](), 0.0, 0
    while count < keys:
        batch = digests(min(100 * BATCH_KEYS, keys - count))
        known += batch[:: max(1, keys // KNOWN_KEYS)]
        count += len(batch)
        started = time.perf_counter()
        for start in range(0, len(batch), BATCH_KEYS):
            written = wheel.WriteBatch(raw_mode=True)
            for key in batch[start : start + BATCH_KEYS]:
                written.put(key, VALUE)
            database.write(written)
        write_s += time.perf_counter() - started
    database.flush()
    return Rocks(database, known, write_s / keys * 1e6)
