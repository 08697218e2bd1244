"""Rows and keys that remember each transaction of each checkpoint, so that a crash can be had after any of them."""

from collections.abc import Sequence

from jackpotd.engine.fold import Fold
from jackpotd.engine.ports import Keys
from jackpotd.engine.recovery import MemoryKeys, MemoryRows, recover
from jackpotd.testing.memory_log import MemoryLog
from jackpotd.wire import rows


class Flushed(MemoryKeys):
    """Keys that a checkpoint makes durable, and what a crash leaves of them."""

    def __init__(self) -> None:
        super().__init__()
        self.durable: dict[bytes, tuple[int, int]] = {}
        self.covered_seq = 0

    async def flush(self, seq: int) -> None:
        self.durable = {digest: item for digest, item in self.items.items() if item[0] <= seq}
        self.covered_seq = seq

    def after_crash(self) -> "Flushed":
        left = Flushed()
        left.items, left.durable = dict(self.durable), dict(self.durable)
        left.covered_seq = self.covered_seq
        return left


class CrashableRows(MemoryRows):
    """Rows that remember each transaction, with the journal's end and the keys at that time."""

    def __init__(self, log: MemoryLog, keys: Flushed) -> None:
        super().__init__()
        self._log, self._keys = log, keys
        self.transactions: list[tuple[int, Flushed, dict[bytes, bytes]]] = []

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        super().write(items)
        self.transactions.append((self._log.last_seq, self._keys.after_crash(), dict(self.items)))


def all_rows(fold: Fold, disk: MemoryRows) -> dict[bytes, bytes]:
    """Every row as a checkpoint right now would leave them."""
    whole = MemoryRows(disk.items.items())
    whole.absorb(fold)
    whole.items.pop(rows.POSITION_KEY, None)
    return whole.items


def replayed(log: MemoryLog, disk: MemoryRows, keys: Keys) -> dict[bytes, bytes]:
    """The rows after recovery from these remains."""
    fold = Fold(disk, keys)
    recover(fold, log)
    return all_rows(fold, disk)
