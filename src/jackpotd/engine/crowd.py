"""The active players of an instance, in the order of their last contributions: whom community payouts are drawn from.

A log of contributions in which only the last one of each player counts. It is cut into chunks of bounded length, each
with the number of its entries that still count. A contribution adds an entry at the end and clears the player's older
one, which is found by its number: the fold knows each player's last contribution, so there is no index by player. Who
asks for a place adds up chunks, never players. A sparse chunk is packed, and joined with a sparse neighbour, one at a
time; chunks at the front go when they are too old for anybody to ask. So no step works on more than two chunks, however
many players there are.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, islice
from typing import TypeVar

import msgspec
import trio.lowlevel
from msgspec import Raw, Struct

from jackpotd.core.state import LastSeen
from jackpotd.engine.crowd_chunks import Chunk, Entry, name_of, packed
from jackpotd.engine.fold import Fold
from jackpotd.engine.overlay import Overlay
from jackpotd.wire import rows

T = TypeVar("T")

CHUNK_SLOTS = 512
_SMALL_PART = 16  # a chunk with fewer slots than this part of a full one is not worth packing
STEP_ROWS = 256  # read between two looks at who else is ready: about half a millisecond


class CrowdStatistics(Struct, frozen=True):
    """`players` are in the crowd, in `slots` entries of `chunks` chunks, which take `memory_bytes`."""

    players: int
    slots: int
    chunks: int
    memory_bytes: int


class Crowd:
    """Who contributed lately, by place.

    A player takes 26 bytes and the length of brand and id, up to twice that where nearly half of the entries are
    cleared ones: 52 MB for a million players of 26 letters who came once, 71 to 76 MB where they come and go.

    Args:
        retention_ms: how far back anybody will ask; older contributions are forgotten, a chunk at a time.
        seen: looks up a player's last contribution.
        chunk_slots: entries of a full chunk.
    """

    def __init__(
        self,
        retention_ms: int,
        seen: Callable[[str, str], LastSeen | None],
        *,
        chunk_slots: int = CHUNK_SLOTS,
    ) -> None:
        self.retention_ms = retention_ms
        self.seen = seen
        self._chunk_slots = chunk_slots
        self._small_slots = max(2, chunk_slots // _SMALL_PART)
        # No chunk is without an entry that counts; the last one grows. `_firsts` has for each a number that is above
        # all before it and not above its own; `_sums`, until something changes, how many count before each.
        self._chunks: list[Chunk] = []
        self._firsts: list[int] = []
        self._sums: list[int] | None = None
        self._last_number = -1

    def note(
        self, number: int, at_ms: int, brand: str, player_id: str, before: LastSeen | None
    ) -> None:
        """A player has contributed; `before` is their last contribution until now.

        Numbers rise, and times never fall.

        Raises:
            ValueError: the number does not rise, or `before` should be here and is not; nothing has changed.
        """
        if number <= self._last_number:
            raise ValueError(f"contribution {number} comes after {self._last_number}")
        if before is not None:
            self._clear(before.number)
        self._tail(number).append(number, at_ms, name_of(brand, player_id))
        self._last_number, self._sums = number, None
        if self._chunks[0].at_ms[-1] < at_ms - self.retention_ms:
            del self._chunks[0], self._firsts[0]

    def load(self, entries: Iterable[Entry]) -> None:
        """Last contributions of players who are not here yet, by number, all above those here.

        Raises:
            ValueError: a number does not rise.
        """
        following = iter(entries)
        while some := list(islice(following, self._chunk_slots - self._tail_slots())):
            last = self._last_number
            for number, _, _ in some:
                if number <= last:
                    raise ValueError(f"contribution {number} comes after {last}")
                last = number
            self._tail(some[0][0]).extend(some)
            self._last_number, self._sums = last, None

    def active(self, since_ms: int) -> int:
        """How many contributed at or after this time, which the retention must reach."""
        sums, skipped = self._skipped(since_ms)
        return sums[-1] - skipped

    def at(self, since_ms: int, place: int) -> tuple[str, str]:
        """Brand and id of one of those, by place from 0, in the order of the last contributions.

        Raises:
            IndexError: there are not so many.
        """
        sums, skipped = self._skipped(since_ms)
        at = skipped + place
        if not skipped <= at < sums[-1]:
            raise IndexError(f"place {place} among {sums[-1] - skipped} active players")
        where = bisect_right(sums, at) - 1
        chunk = self._chunks[where]
        brand, _, player_id = chunk.name(chunk.slot_at(at - sums[where])).decode().partition("\0")
        return brand, player_id

    def _skipped(self, since_ms: int) -> tuple[list[int], int]:
        """How many count before each chunk and in all, and how many of them contributed before this time."""
        sums = self._sums
        if sums is None:
            sums = self._sums = list(accumulate([chunk.live for chunk in self._chunks], initial=0))
        where = bisect_left(self._chunks, since_ms, key=_last_ms)
        if where == len(self._chunks):
            return sums, sums[-1]
        chunk = self._chunks[where]
        return sums, sums[where] + chunk.marks.count(1, 0, bisect_left(chunk.at_ms, since_ms))

    def statistics(self) -> CrowdStatistics:
        chunks = self._chunks
        return CrowdStatistics(
            players=sum(chunk.live for chunk in chunks),
            slots=sum(chunk.slots for chunk in chunks),
            chunks=len(chunks),
            memory_bytes=sum(chunk.memory_bytes() for chunk in chunks),
        )

    def _tail(self, number: int) -> Chunk:
        """The chunk that takes the contribution of this number."""
        if not self._chunks or len(self._chunks[-1].marks) >= self._chunk_slots:
            self._chunks.append(Chunk())
            self._firsts.append(number)
        return self._chunks[-1]

    def _tail_slots(self) -> int:
        """How many there are in that chunk."""
        return self._chunks[-1].slots % self._chunk_slots if self._chunks else 0

    def _clear(self, number: int) -> None:
        where = bisect_right(self._firsts, number) - 1
        if where < 0:
            return  # forgotten, or too old when this crowd began
        chunk = self._chunks[where]
        chunk.clear(number)
        if not chunk.live:
            del self._chunks[where], self._firsts[where]
        elif self._small_slots <= len(chunk.marks) >= 2 * chunk.live:
            self._pack(where)

    def _pack(self, where: int) -> None:
        """Takes the cleared entries out of a chunk, and joins it with a neighbour if both are sparse.

        The half that was cleared has paid for the half that is moved. What two chunks hold fits into half of one, so
        the next join is far away.
        """
        chunks = self._chunks
        for first in (where - 1, where):
            if 0 <= first < len(chunks) - 1:
                pair = chunks[first : first + 2]
                if pair[0].live + pair[1].live <= self._chunk_slots // 2:
                    chunks[first] = packed(pair)
                    del chunks[first + 1], self._firsts[first + 1]
                    return
        chunks[where] = packed(chunks[where : where + 1])


def _last_ms(chunk: Chunk) -> int:
    return chunk.at_ms[-1]


class _LastRow(Struct, frozen=True, gc=False, array_like=True):
    """As much of a `LastSeen` as its order takes."""

    number: int
    at_ms: int


class _PlayerRow(Struct, frozen=True, gc=False, array_like=True, tag="p"):
    """As much of a player's row as the crowd needs; the rest is passed over unread."""

    as_of: int
    opted_in: bool
    preferences: Raw
    count: int
    value: int
    pots: Raw
    updated_ms: int
    last: _LastRow | None = None


_DECODER = msgspec.json.Decoder(_PlayerRow)


async def gathered(fold: Fold, instance_id: str, *, retention_ms: int) -> Crowd:
    """The crowd of an instance from its players' rows; for its owner, before it serves.

    A few rows are read at a time, so that others on the event loop go on; the instance must stand still. Where the
    retention is 0, nobody asks for active players, and nothing is read.
    """
    crowd = _empty_crowd(fold, instance_id, retention_ms)
    for _ in _filling(crowd, fold, instance_id):
        await trio.lowlevel.checkpoint()
    return crowd


def _empty_crowd(fold: Fold, instance_id: str, retention_ms: int) -> Crowd:
    def seen(brand: str, player_id: str) -> LastSeen | None:
        return fold.player(instance_id, brand, player_id).last

    return Crowd(retention_ms, seen)


def _filling(crowd: Crowd, fold: Fold, instance_id: str) -> Iterator[None]:
    """The steps that fill a crowd.

    Rows come in the order of their keys: those of a chunk are sorted at a time, and the chunks merged.
    """
    if not crowd.retention_ms:
        return
    since_ms = fold.cells[instance_id].state.updated_ms - crowd.retention_ms
    prefix = rows.player_prefix(instance_id)
    pieces: list[Chunk] = []
    found: list[Entry] = []
    for step in in_steps(_player_rows(fold.overlay, prefix)):
        for key, data in step:
            last = _DECODER.decode(data).last
            if last is not None and last.at_ms >= since_ms:
                found.append((last.number, last.at_ms, key[len(prefix) :]))
        if len(found) >= CHUNK_SLOTS:
            pieces.append(Chunk(sorted(found)))
            found.clear()
        yield
    pieces.append(Chunk(sorted(found)))
    for entries in in_steps(heapq.merge(*[piece.entries() for piece in pieces])):
        crowd.load(entries)
        yield


def _player_rows(overlay: Overlay, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each player's newest row. What has changed is taken down first: meanwhile a checkpoint may write it to disk."""
    changed = {key: data for key, data in overlay.frozen() if data and key.startswith(prefix)}
    changed |= {key: rows.encode(row) for key, row in overlay.fresh_players(prefix)}
    yield from changed.items()
    yield from ((key, data) for key, data in overlay.scan(prefix) if key not in changed)


def in_steps(items: Iterable[T]) -> Iterator[list[T]]:
    """All of them, so many at a time."""
    following = iter(items)
    while step := list(islice(following, STEP_ROWS)):
        yield step
