"""`verify`: opens a data directory for reading, beside a running server or not, and compares it with its journals."""

from msgspec import Struct

from jackpotd.engine.catalog import Catalog, replay
from jackpotd.engine.recovery import Comparison, compare
from jackpotd.journal.keys import KeyIndex
from jackpotd.journal.log import LmdbLog
from jackpotd.journal.row_store import LmdbRows
from jackpotd.service.data_directory import CATALOG_LOG, WORKER_LOG, DataDirectory
from jackpotd.service.settings import Settings
from jackpotd.service.wiring import DAY_MS, GIBIBYTE, clock_ms


class Report(Struct, frozen=True):
    """What was compared, when nothing was off."""

    comparison: Comparison
    catalog_changes: int


def verify(settings: Settings, data: DataDirectory) -> Report:
    """Replays both journals.

    Raises:
        DataDirectoryError: it is none of ours.
        LogError: a broken chain.
        Difference: a row or a key that is not what the journal says.
        InvariantViolation: a ledger that does not add up.
    """
    data.require()
    retention_ms = settings.idempotency.retention_days * DAY_MS
    size = settings.journal.map_gibibytes_max * GIBIBYTE
    catalog_log = LmdbLog.open_readonly(data.catalog, name=CATALOG_LOG, map_bytes_max=size)
    worker_log = LmdbLog.open_readonly(data.worker_journal, name=WORKER_LOG, map_bytes_max=size)
    # Derived things are read first, the journal last: what they reflect is then in the journal that is read.
    keys = KeyIndex.open(data.worker_keys, retention_ms=retention_ms, writable=False)
    rows = LmdbRows.open_readonly(data.worker_rows, map_bytes_max=size)
    disk_rows = dict(rows.snapshot())
    comparison = compare(
        worker_log, disk_rows.items(), keys, alive_since_ms=clock_ms() - retention_ms
    )
    catalog = Catalog()
    changes = 0
    for record in catalog_log.scan_verified():
        replay(catalog, iter([record]))
        changes += record[0] > 0
    for opened in (keys, rows, catalog_log, worker_log):
        opened.close()
    return Report(comparison, changes)
