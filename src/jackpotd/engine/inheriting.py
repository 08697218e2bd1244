"""Opt-ins that an instance has from another one: copied in the background, a handful at a time (later-facts 1.6).

While an instance inherits, the opt-in of the other one counts for whoever has no row of their own; so nothing waits for
the copy, and a million players are never in one list. The other one is over: its players do not change any more. Both
live with the same worker, and stay there until this is done. A crash begins anew: a player is copied once.
"""

import structlog
import trio
import trio.lowlevel
from msgspec import Struct

from jackpotd.core.commands import Inherit
from jackpotd.core.rejections import Code, Rejection
from jackpotd.core.state import Instance
from jackpotd.engine.checkpoint import Checkpointer
from jackpotd.engine.fold import Fold
from jackpotd.engine.owners import LocalOwners
from jackpotd.engine.ports import Clock, Journal, Rows
from jackpotd.engine.shard import Shard
from jackpotd.wire import records, rows

# Records above 2 kB become overflow pages that need contiguous space.
RECORD_BYTES_MAX = 1800
PREFERENCE_BYTES = 24
PLAYERS_READ_MAX = 2000
# How many copies stay in memory before a checkpoint is asked for.
PLAYERS_IN_MEMORY_MAX = 10_000
RETRY_S = 1.0

_log = structlog.get_logger("jackpotd.inheriting")

Heir = tuple[str, str, tuple[tuple[str, int], ...]]
"""Brand, player and preferences of somebody who is opted in."""


class _Chunk(Struct, frozen=True):
    """Those of some players who are opted in, a handful for one record each; `last` is empty at the end."""

    handfuls: tuple[tuple[Heir, ...], ...]
    last: bytes


class Inheriting:
    """Copies for all instances of one worker.

    Args:
        shard: where they live; it says which inherit.
        fold: the shard's.
        journal: the shard's.
        disk: the rows that checkpoints have written.
        checkpointer: writes them.
        clock: stamps the copies.
    """

    def __init__(
        self,
        shard: Shard,
        fold: Fold,
        journal: Journal,
        disk: Rows,
        checkpointer: Checkpointer,
        clock: Clock,
    ) -> None:
        self._shard = shard
        self._fold = fold
        self._journal = journal
        self._disk = disk
        self._checkpointer = checkpointer
        self._clock = clock
        self._heirs: set[str] = set()
        self._wake = trio.Event()
        shard.on_unfinished(self._notice)

    def _notice(self, state: Instance) -> None:
        if state.rare.inherits:
            self._heirs.add(state.definition.instance_id)
            self._wake.set()

    async def run(self) -> None:
        """Copies until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            heirs, self._heirs = sorted(self._heirs), set()
            for heir in heirs:
                await self._inherit(heir)

    async def _inherit(self, heir: str) -> None:
        state = self._shard.state(heir)
        if state is None or not state.rare.inherits:
            return
        other = state.rare.inherits
        if self._shard.state(other) is None:
            _log.error("opt-ins cannot be copied: the other jackpot is not here", instance=heir)
            return
        await self._shard.durable()
        # Rows of the other one that have changed last are on disk after this, and change no more.
        await self._checkpointer.checkpoint()
        players = await self._copy(heir, other)
        ended = await LocalOwners(self._shard).operate(heir, Inherit(0, ""))
        while isinstance(ended, Rejection) and ended.code is Code.OVERLOADED:
            await trio.sleep(RETRY_S)
            ended = await LocalOwners(self._shard).operate(heir, Inherit(0, ""))
        if isinstance(ended, Rejection):
            _log.error("opt-ins are inherited until the next start", instance=heir, reason=ended)
        else:
            _log.info("opt-ins copied", instance=heir, origin=other, players=players)

    async def _copy(self, heir: str, other: str) -> int:
        players, in_memory, last = 0, 0, b""
        while True:
            chunk = await trio.to_thread.run_sync(self._read, other, last)
            for some in chunk.handfuls:
                copy = records.InheritedPlayers(heir, other, some, self._clock())
                self._fold.inherit(self._journal.stage(records.encode(copy)), copy)
                in_memory += len(some)
                await trio.lowlevel.checkpoint()
            await self._journal.durable()
            if in_memory >= PLAYERS_IN_MEMORY_MAX or not chunk.last:
                players, in_memory = players + in_memory, 0
                await self._checkpointer.checkpoint()
            if not chunk.last:
                return players
            last = chunk.last

    def _read(self, other: str, after: bytes) -> _Chunk:
        """In a worker thread: who of the next players is opted in."""
        handfuls: list[tuple[Heir, ...]] = []
        some: list[Heir] = []
        size, last = 0, b""
        for count, (key, data) in enumerate(self._disk.scan(rows.player_prefix(other), after), 1):
            row: rows.PlayerRow = rows.decode(data)
            if row.opted_in:
                length = len(key) + PREFERENCE_BYTES * len(row.preferences)
                if some and size + length > RECORD_BYTES_MAX:
                    handfuls.append(tuple(some))
                    some, size = [], 0
                some.append((*rows.player_of(key), row.preferences))
                size += length
            if count == PLAYERS_READ_MAX:
                last = key
                break
        if some:
            handfuls.append(tuple(some))
        return _Chunk(tuple(handfuls), last)
