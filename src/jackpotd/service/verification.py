"""`verify`: opens a data directory for reading, beside a running server or not, and compares it with its journals.

Each worker's part is replayed on its own; where an instance has moved, the journals of both sides must say the same.
"""

from contextlib import ExitStack

import msgspec
from msgspec import Struct

from jackpotd.core.ledger import InvariantViolation
from jackpotd.engine.catalog import Catalog, replay
from jackpotd.engine.recovery import Comparison, Difference, compare
from jackpotd.engine.whereabouts import contradictions
from jackpotd.journal.key_runs import KeyIndexDamaged
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog, LogError, StorageError
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import (
    CATALOG_LOG,
    DataDirectory,
    DataDirectoryError,
    WorkerFolder,
)
from jackpotd.service.settings import Settings
from jackpotd.service.storage import DAY_MS, GIBIBYTE, clock_ms

FINDINGS = (
    DataDirectoryError,
    Difference,
    InvariantViolation,
    KeyIndexDamaged,
    LogError,
    StorageError,
    msgspec.MsgspecError,  # a record or a row that is none
)


class Report(Struct, frozen=True):
    """What was compared, by worker, and what was found."""

    comparisons: dict[int, Comparison]
    catalog_changes: int
    problems: tuple[str, ...]

    def total(self, name: str) -> int:
        """A number over all workers."""
        return sum(getattr(comparison, name) for comparison in self.comparisons.values())


def verify(settings: Settings, data: DataDirectory) -> Report:
    """Replays all journals, each to the first thing that is off.

    Raises:
        DataDirectoryError: it is none of ours.
    """
    data.require()
    problems: list[str] = []
    comparisons: dict[int, Comparison] = {}
    folders = data.workers()
    for folder in folders:
        try:
            comparisons[folder.index] = _compare(settings, folder)
        except FINDINGS as error:
            problems.append(f"{folder.log_name}: {error}" if len(folders) > 1 else str(error))
    if len(comparisons) == len(folders):
        problems += contradictions(
            {index: comparison.whereabouts for index, comparison in comparisons.items()}
        )
    changes = 0
    try:
        changes = _catalog_changes(settings, data)
    except FINDINGS as error:
        problems.append(f"catalog: {error}")
    return Report(comparisons, changes, tuple(problems))


def _compare(settings: Settings, folder: WorkerFolder) -> Comparison:
    retention_ms = settings.idempotency.retention_days * DAY_MS
    size = settings.journal.map_gibibytes_max * GIBIBYTE
    with ExitStack() as closing:
        log = LmdbLog.open_readonly(folder.journal, name=folder.log_name, map_bytes_max=size)
        closing.callback(log.close)
        # Derived things are read first, the journal last: what they reflect is then in the journal that is read.
        keys = KeyIndex.open(folder.keys, retention_ms=retention_ms, writable=False)
        closing.callback(keys.close)
        rows = LmdbRows.open_readonly(folder.rows, map_bytes_max=size)
        closing.callback(rows.close)
        disk_rows = dict(rows.snapshot())
        return compare(log, disk_rows.items(), keys, alive_since_ms=clock_ms() - retention_ms)


def _catalog_changes(settings: Settings, data: DataDirectory) -> int:
    size = settings.journal.map_gibibytes_max * GIBIBYTE
    log = LmdbLog.open_readonly(data.catalog, name=CATALOG_LOG, map_bytes_max=size)
    try:
        catalog = Catalog()
        changes = 0
        for record in log.scan_verified():
            replay(catalog, iter([record]))
            changes += record[0] > 0
        return changes
    finally:
        log.close()
