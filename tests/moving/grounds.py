"""What is left of a worker when its machine stops: journal, rows and keys, each as far as it was durable.

`History` takes down how all of them stood after each change of any, so that a test can begin anew from any moment.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import trio.lowlevel
from msgspec import Struct

from jackpotd.engine.checkpoint import KeyFlush
from jackpotd.engine.ports import Read, Views
from jackpotd.engine.recovery import MemoryKeys, MemoryRows
from jackpotd.testing.house import RunningJournal
from jackpotd.testing.memory_journal import MemoryJournal
from jackpotd.testing.memory_log import MemoryLog

if TYPE_CHECKING:
    from .neighbourhood import Neighbourhood

RETENTION_MS = 1 << 40

Remains = tuple[int, dict[bytes, bytes], dict[bytes, tuple[int, int]], int]
"""One worker at one moment: the end of its log, its rows, its keys on disk, and what those cover."""


class FreshViews(Views, Protocol):
    """Views that a test can bring up to date."""

    async def refresh(self) -> None: ...


class FlushedKeys(MemoryKeys):
    """Keys that a checkpoint makes durable."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.durable: dict[bytes, tuple[int, int]] = {}
        self.covered_seq = 0
        self._changed = changed

    async def flush(self, seq: int) -> None:
        # Files are added to: what an earlier flush has written stays, though memory may be further.
        self.durable = {
            **self.durable,
            **{digest: item for digest, item in self.items.items() if item[0] <= seq},
        }
        self.covered_seq = seq
        self._changed()


class NotedRows(MemoryRows):
    """Rows that tell of each transaction."""

    def __init__(self, items: dict[bytes, bytes], changed: Callable[[], None]) -> None:
        super().__init__(items.items())
        self._changed = changed

    def write(self, items: Sequence[tuple[bytes, bytes | None]]) -> None:
        super().write(items)
        self._changed()


class OneByOne(MemoryJournal):
    """A journal that commits record after record, so that each of them may be the last."""

    def __init__(self, log: MemoryLog, changed: Callable[[], None]) -> None:
        super().__init__(log)
        self._changed = changed

    async def run(self) -> None:
        while True:
            await self._work.wait()
            await trio.lowlevel.checkpoint()
            self.commit(1)
            self._changed()


class MemoryViews:
    """Views of what a neighbour's keys were on disk when they were last looked at."""

    def __init__(self, hood: "Neighbourhood") -> None:
        self._hood = hood
        self._seen: dict[int, dict[bytes, tuple[int, int]]] = {}

    def find(self, digest: bytes, now_ms: int) -> tuple[int, Read] | None:
        for worker, keys in self._seen.items():
            found = keys.get(digest)
            if found is not None and now_ms - found[1] <= RETENTION_MS:
                return found[0], self._hood.grounds[worker].log.read
        return None

    async def open(self, worker: int, since_ms: int) -> None:
        assert since_ms > 0
        await trio.lowlevel.checkpoint()
        self._look(worker)

    def _look(self, worker: int) -> None:
        self._seen[worker] = self._hood.grounds[worker].keys.durable

    async def refresh(self) -> None:
        for worker in self._seen:
            self._look(worker)


class Ground:
    """One worker's disk."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.log = MemoryLog()
        self.rows = NotedRows({}, changed)
        self.keys = FlushedKeys(changed)

    def journal(self) -> RunningJournal:
        return OneByOne(self.log, self.changed)

    @property
    def key_flush(self) -> KeyFlush:
        return self.keys

    def views(self, hood: "Neighbourhood") -> FreshViews:
        return MemoryViews(hood)

    def items(self) -> dict[bytes, bytes]:
        return self.rows.items

    def remains(self) -> Remains:
        keys = self.keys
        return self.log.last_seq, dict(self.rows.items), dict(keys.durable), keys.covered_seq

    def restored(self, remains: Remains, changed: Callable[[], None]) -> "Ground":
        """A disk of its own, as this one was."""
        last_seq, rows, keys, covered_seq = remains
        ground = Ground(changed)
        ground.log = self.log.copy(last_seq)
        ground.rows = NotedRows(rows, changed)
        ground.keys.items, ground.keys.durable = dict(keys), dict(keys)
        ground.keys.covered_seq = covered_seq
        return ground

    def crashed(self) -> "Ground":
        """The disk of a worker that has just stopped."""
        return self.restored(self.remains(), self.changed)


class Moment(Struct, frozen=True):
    """All disks at one moment, where instances were placed, and how many answers had been given."""

    remains: tuple[Remains, ...]
    places: dict[str, int]
    answers: int
