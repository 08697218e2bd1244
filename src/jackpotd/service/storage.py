"""What a node has open on disk for writing: the catalog's log, and a worker's log, rows and keys."""

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from msgspec import Struct

from jackpotd.feed.journals import Journals
from jackpotd.journal.delivery_store import DeliveryLimits
from jackpotd.journal.feed_store import FeedStore, FeedStoreError
from jackpotd.journal.key_views import KeyViews, ViewSource
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog, StorageError
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import CATALOG_LOG, DataDirectory, WorkerFolder
from jackpotd.service.settings import Settings

GIBIBYTE = 1 << 30
DAY_MS = 86_400_000
_EPOCH_BITS = 24
_ADVICE = "restore that folder, or move it away: a new one tells the whole journals again"


class FeedUnusable(Exception):
    """What the feed keeps cannot be used; the message says why, and what can be done."""


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


def journals(settings: Settings, data: DataDirectory) -> Journals:
    """The workers' journals, for reading."""

    def open_journal(worker: int) -> LmdbLog:
        folder = data.worker(worker)
        return LmdbLog.open_readonly(
            folder.journal, name=folder.log_name, map_bytes_max=map_bytes_max(settings)
        )

    return Journals(open_journal)


@contextmanager
def fitting_feed(data: DataDirectory) -> Iterator[None]:
    """Says in one line that what the feed keeps is of other journals.

    Raises:
        FeedUnusable: it is.
    """
    try:
        yield
    except* FeedStoreError as group:
        raise FeedUnusable(f"{data.feed}: {_reason(group)}") from None


def _reason(group: BaseExceptionGroup[BaseException]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


@contextmanager
def opened_feed(settings: Settings, data: DataDirectory) -> Iterator[FeedStore]:
    """What the feed keeps."""
    data.prepare_feed()
    limits = DeliveryLimits(letters_per_operator_max=settings.webhooks.dead_letters_max)
    try:
        store = FeedStore.open(
            data.feed,
            map_bytes_max=map_bytes_max(settings),
            new_epoch=partial(secrets.randbits, _EPOCH_BITS),
            delivery_limits=limits,
        )
    except (FeedStoreError, StorageError) as error:
        raise FeedUnusable(f"{data.feed}: {error}; {_ADVICE}") from None
    try:
        data.sync_feed()
        yield store
    finally:
        store.close()


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
