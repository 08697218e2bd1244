"""The journal's log alone: what one durable append costs on this disk, with records as contributions leave them."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.servers.slots import BORN_MS, contribution, record, slots
from jackpotd.core import decide
from jackpotd.core.rejections import Rejection
from jackpotd.core.state import UNKNOWN_PLAYER
from jackpotd.journal.log import LmdbLog

MAP_BYTES_MAX = 16 << 30
SAMPLES = 2048


@contextmanager
def log_in_folder(folder: Path) -> Iterator[LmdbLog]:
    """A new log, closed afterwards."""
    log = LmdbLog.open(folder, name="bench", map_bytes_max=MAP_BYTES_MAX, now_ms=BORN_MS)
    try:
        yield log
    finally:
        log.close()


def sample_records(seed: int) -> list[bytes]:
    """Records of contributions to the jackpot of three pots, by different players."""
    draw, (state, seals) = random.Random(seed), slots()
    streams = seals.streams(state)
    found = []
    for at in range(SAMPLES):
        command = contribution(draw, BORN_MS + at, streams)
        events = decide.contribute(state, UNKNOWN_PLAYER, command)
        if not isinstance(events, Rejection):
            found.append(record(events, at))
    return found


def append_times(
    folder: Path, records: Sequence[bytes], *, batch: int, seconds: float
) -> list[float]:
    """Seconds of each of many appends, in a log of their own; at least one."""
    times: list[float] = []
    with log_in_folder(folder / f"appends-{batch}-{time.monotonic_ns()}") as log:
        began = time.perf_counter()
        at = 0
        while not times or time.perf_counter() - began < seconds:
            chosen = [records[(at + place) % len(records)] for place in range(batch)]
            at += batch
            started = time.perf_counter()
            log.append(log.last_seq + 1, chosen)
            times.append(time.perf_counter() - started)
    return times
