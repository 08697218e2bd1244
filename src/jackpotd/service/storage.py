"""What a node has open on disk for writing: the catalog's log, and a worker's log, rows and keys."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from msgspec import Struct

from jackpotd.journal.key_views import KeyViews, ViewSource
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import CATALOG_LOG, DataDirectory, WorkerFolder
from jackpotd.service.settings import Settings

GIBIBYTE = 1 << 30
DAY_MS = 86_400_000


def clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def map_bytes_max(settings: Settings) -> int:
    """The address space of each environment."""
    return settings.journal.map_gibibytes_max * GIBIBYTE


def retention_ms(settings: Settings) -> int:
    """How long idempotency keys live."""
    return settings.idempotency.retention_days * DAY_MS


class WorkerStorage(Struct, frozen=True):
    """A worker's part."""

    log: LmdbLog
    rows: LmdbRows
    keys: KeyIndex


def key_views(settings: Settings, data: DataDirectory) -> KeyViews:
    """A worker's views of the keys of others, which instances that have moved in may have left there; none open yet."""

    def source(worker: int) -> ViewSource:
        folder = data.worker(worker)
        open_journal = partial(
            LmdbLog.open_readonly,
            folder.journal,
            name=folder.log_name,
            map_bytes_max=map_bytes_max(settings),
        )
        return ViewSource(folder.keys, open_journal)

    return KeyViews(source, retention_ms=retention_ms(settings), clock=clock_ms)


@contextmanager
def opened_catalog(settings: Settings, data: DataDirectory) -> Iterator[LmdbLog]:
    """The catalog's log."""
    data.prepare()
    log = LmdbLog.open(
        data.catalog,
        name=CATALOG_LOG,
        map_bytes_max=map_bytes_max(settings),
        now_ms=clock_ms(),
    )
    try:
        data.sync()
        yield log
    finally:
        log.close()


@contextmanager
def opened_worker(settings: Settings, folder: WorkerFolder) -> Iterator[WorkerStorage]:
    """The part of one worker."""
    folder.prepare()
    with ExitStack() as closing:
        rows = LmdbRows.open(folder.rows, map_bytes_max=map_bytes_max(settings))
        closing.callback(rows.close)
        keys = KeyIndex.open(folder.keys, retention_ms=retention_ms(settings))
        closing.callback(keys.close)
        log = LmdbLog.open(
            folder.journal,
            name=folder.log_name,
            map_bytes_max=map_bytes_max(settings),
            now_ms=clock_ms(),
        )
        closing.callback(log.close)
        folder.sync()
        yield WorkerStorage(log, rows, keys)
